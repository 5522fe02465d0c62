"""``Uncounted``: bright islands in or beside the heart that a predictor weighed and did not count: they are shown."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ctacal.arrays import Floats
from ctacal.islands import Islands
from ctacal.scores import ScoredLesion, ScoringRule, component_agatston, scored_lesion

MOST_LISTED = 100
"""Largest number of islands that are listed one by one, those that would score most; a noisy scan shows thousands (own
choice)."""


class TakenFor(StrEnum):
    """What an island is taken for. Without an anatomy network only the first four, and metal, can be told."""

    DOUBTFUL = "possible coronary calcium"
    """More likely coronary than anything else, but not likely enough to count."""
    NO_CALCIUM = "no calcium"
    """Noise, or an edge of soft tissue; without an anatomy network also bone."""
    OTHER_CALCIUM = "other calcium"
    METAL = "metal"
    ASCENDING_AORTA = "wall of the ascending aorta"
    AORTA = "wall of the aorta"
    AORTIC_VALVE = "aortic valve"
    MITRAL_ANNULUS = "mitral annulus"
    TRICUSPID_ANNULUS = "tricuspid annulus"
    PULMONARY_ARTERY = "pulmonary artery or hilum"
    VEIN = "wall of a vein"
    PERICARDIUM = "pericardium"
    MYOCARDIUM = "myocardium"
    LUNG = "lung"
    AIRWAY = "wall of an airway"
    BONE = "bone"
    ABDOMEN = "abdomen"


@dataclass(frozen=True, eq=False, slots=True)
class Uncounted:
    """The islands on the scan's voxels, of any size."""

    islands: Islands
    taken_for: tuple[TakenFor, ...]
    """What each island is taken for."""
    probability: Floats
    """(islands,): of being coronary calcium."""


@dataclass(frozen=True, slots=True)
class UncountedIsland:
    """An island that would score if it counted."""

    island: ScoredLesion
    """Its place and size, and what it would score; as ``OTHER``."""
    taken_for: TakenFor
    probability: float
    """Probability that it is coronary calcium."""


@dataclass(frozen=True, slots=True)
class UncountedList:
    """What was weighed and not counted, as outputs list it."""

    islands: tuple[UncountedIsland, ...]
    """Those that would score most, at most ``MOST_LISTED``."""
    rest: int
    """Number of the others: most are below the rule's smallest size."""
    rest_volume_mm3: float
    rest_agatston: float
    """What they would score together."""


def listed(uncounted: Uncounted, rule: ScoringRule, *, first_slice: int = 0) -> UncountedList:
    """List the islands; ``first_slice`` is the number of the volume's first slice in the scan."""
    lesions = uncounted.islands.lesions(rule.connectivity)
    of_component = component_agatston(lesions, rule)
    agatston, volume_mm3 = lesions.summed(of_component), lesions.summed(lesions.volume_mm3)
    shown = [int(n) for n in np.argsort(-agatston, kind="stable")[:MOST_LISTED] if agatston[n] > 0]
    islands = tuple(
        UncountedIsland(
            scored_lesion(lesions, of_component, n, first_slice),
            uncounted.taken_for[n],
            float(uncounted.probability[n]),
        )
        for n in shown
    )
    rest = np.ones(len(agatston), bool)
    rest[shown] = False
    return UncountedList(islands, int(rest.sum()), float(volume_mm3[rest].sum()), float(agatston[rest].sum()))
