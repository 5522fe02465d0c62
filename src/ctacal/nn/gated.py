"""Estimate of the score of a gated calcium scan of the same patient, from the calcium mass on the CTAC.

Heartbeat, breathing and thick slices blur a CTAC. Its Agatston score is therefore lower than that of a gated scan, and
small plaques fall below 130 HU altogether. Blur hardly changes mass, so this second number is given beside the score,
never in its place. No torch.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ctacal.arrays import Floats, Mask
from ctacal.fields import from_fields

MIN_STUDIES = 40
"""Smallest number of validation studies for a fit (as ``calibration``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedScale:
    """Agatston score of a gated scan = ``scale`` x (mass - ``least_mg``) ^ ``power``; 0 for a smaller mass."""

    scale: float
    power: float
    least_mg: float
    """Mass that is measured without calcium: noise above the floor of what is summed."""
    studies: int = 0

    def agatston(self, mass_mg: float, seen: float = 0.0) -> float:
        """Return the equivalent score; it is never below ``seen``, the scan's own score: blur only lowers a score.

        >>> GatedScale(scale=5.0, power=1.0, least_mg=1.0).agatston(21.0)
        100.0
        """
        return float(max(seen, self.scale * max(0.0, mass_mg - self.least_mg) ** self.power))

    def to_json(self) -> dict[str, Any]:
        """Return the entry ``gated_scale`` of the model card."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any], where: str = "") -> "GatedScale":
        """Read the card's entry. Raises ``UsageError`` naming the field that is unknown or impossible."""
        return from_fields(cls, fields, where)


def fit_gated_scale(
    mass_mg: Sequence[float], gated_agatston: Sequence[float], *, least_mg: float | None = None
) -> GatedScale:
    """Fit on validation studies: mass (all vessels), and the score of a gated scan of the same calcium.

    If ``least_mg`` is not given, it has the highest sum of sensitivity and specificity for any calcium (Youden WJ,
    Cancer 1950;3:32-35). The mass of islands that count needs none: 0, because noise adds nothing to it. The power law
    has the least absolute error of log(1 + score) among studies with calcium and more mass than that.
    Raises ``ValueError`` if there are fewer than ``MIN_STUDIES``, none with or none without calcium, or none above it.
    """
    mass, gated = np.asarray(mass_mg, np.float64), np.asarray(gated_agatston, np.float64)
    if len(mass) < MIN_STUDIES or not (gated > 0).any() or (gated > 0).all():
        raise ValueError(f"expected {MIN_STUDIES} studies or more, with and without calcium, got {len(mass)}")
    least = _least_mg(mass, gated > 0) if least_mg is None else least_mg
    both = (mass > least) & (gated > 0)
    if not both.any():
        raise ValueError("no study with calcium shows more mass than those without")
    scale, power = _power_law(mass[both] - least, gated[both])
    return GatedScale(scale=round(scale, 4), power=round(power, 4), least_mg=round(least, 4), studies=len(mass))


def _power_law(mass: Floats, gated: Floats) -> tuple[float, float]:
    from scipy.optimize import minimize

    def error(values: Floats) -> float:
        return float(np.abs(np.log1p(np.exp(values[0]) * mass ** values[1]) - np.log1p(gated)).mean())

    first = np.array([np.log(np.median(gated / mass)), 1.0])
    found = minimize(error, first, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-7}).x
    return float(np.exp(found[0])), float(found[1])


def _least_mg(mass: Floats, any_calcium: Mask) -> float:
    """Return the lowest of the thresholds that separate best; they lie halfway between neighbouring masses."""
    levels = np.unique(mass)
    thresholds = np.concatenate([[levels[0]], (levels[1:] + levels[:-1]) / 2])
    gained = [(mass[any_calcium] >= t).mean() - (mass[~any_calcium] >= t).mean() for t in thresholds]
    return float(thresholds[int(np.argmax(gained))])
