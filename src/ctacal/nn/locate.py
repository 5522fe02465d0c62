"""Stage 1 of scoring, by whichever network the model has: the heart, and the anatomy if it knows it. No torch."""

from dataclasses import dataclass

from ctacal.errors import Code, Refusal
from ctacal.heart import HeartMask
from ctacal.nn.anatomy_stage import AnatomyMap, find_anatomy
from ctacal.nn.heart_stage import locate_heart
from ctacal.nn.plausibility import implausible
from ctacal.nn.runtime import Stage
from ctacal.volume import Volume


@dataclass(frozen=True, eq=False, slots=True)
class Located:
    """Where the heart lies in a scan."""

    heart: HeartMask
    anatomy: AnatomyMap | None = None
    """None: the network knows the heart alone."""


def locate(volume: Volume, stage: Stage) -> Located:
    """Return the heart of a canonical volume. Raises ``Refusal`` (``HEART_NOT_FOUND``) if there is none to score."""
    if stage.config.kind == "heart":
        return Located(locate_heart(volume, stage))
    anatomy = find_anatomy(volume, stage)
    if reason := implausible(anatomy):
        raise Refusal(Code.HEART_NOT_FOUND, f"{reason}; score a CT that shows the heart")
    return Located(anatomy.heart_on(volume.geometry), anatomy)


def heart_anywhere(volume: Volume, stage: Stage) -> HeartMask:
    """Return what looks most like a heart in a volume that may reach far beyond the chest, plausible or not.

    Raises ``Refusal`` (``HEART_NOT_FOUND``) if it is too small.
    """
    if stage.config.kind == "heart":
        return locate_heart(volume, stage)
    return find_anatomy(volume, stage).heart_on(volume.geometry)
