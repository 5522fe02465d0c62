"""Mass of calcium by vessel, from the HU that calcium adds to unenhanced blood. No torch.

What an island of bright voxels adds is less than its calcium: blur and motion spread the rest below the threshold, more
of a small plaque than of a large one. ``MassScale`` is the regression from one to the other, fitted on validation
studies and kept in the model card.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats, Floats32, Mask
from ctacal.fields import from_fields
from ctacal.islands import Islands
from ctacal.nn.classes import is_coronary
from ctacal.nn.inputs import MASS_VESSELS
from ctacal.prediction import ScanFigures

TISSUE_HU = 40.0
"""HU of unenhanced blood, which fills a voxel that holds no calcium."""

MASS_ABOVE_HU = 80.0
"""Lowest HU of a voxel that is summed; noise alone seldom reaches it (own choice; the networks are trained at 50 HU and
above)."""

HU_PER_MG_CM3 = 1.28
"""HU of 1 mg/cm3 of hydroxyapatite at 120 kVp: 200 mg/cm3 reads 255 to 262 HU (the simulator's beam; QRM phantom).
There is no correction for other voltages."""

USUAL_BLUR_MM, USUAL_NOISE_HU = 2.0, 13.0
"""Blur of the heart's border and noise of a usual scan (medians of validation studies, docs/log.md); assumed where they
could not be measured."""

BLUR_MM, NOISE_HU = (0.5, 6.0), (4.0, 30.0)
"""Beyond these ends, which few validation studies reach, blur and noise have no further effect on the mass (own
choice)."""

MIN_STUDIES = 20
"""Smallest number of validation studies in which calcium is found for a fit of four numbers (own choice)."""

PRIOR_WEIGHT = 0.3
"""Weight of a study by which the power is drawn to 1, and the effects of blur and noise to none (own choice)."""


def excess_mass_mg(
    hu: Floats32, probability: Floats32, near: Mask, classes: tuple[int, ...], voxel_mm3: float
) -> dict[str, float] | None:
    """Return the mass of hydroxyapatite by vessel; None if the network names no vessel.

    ``hu`` and ``near`` (the heart) are (slices, rows, columns), ``probability`` (slices, classes, rows, columns). Blur
    spreads calcium but keeps its sum, so voxels below the threshold of the score are summed too.
    """
    if not set(MASS_VESSELS) <= set(classes):
        return None
    slices, rows, columns = np.nonzero(near & (hu >= MASS_ABOVE_HU))  # few: no others are touched
    coronary = np.array([is_coronary(label) for label in classes])
    chance = probability[slices, :, rows, columns][:, coronary]  # (voxels, coronary classes)
    excess = (hu[slices, rows, columns] - TISSUE_HU) * (chance.sum(axis=1) >= 0.5)
    label = np.asarray(classes)[coronary][chance.argmax(axis=1)]
    mg_per_hu = voxel_mm3 / 1000 / HU_PER_MG_CM3
    return {vessel.name: round(float(excess[label == vessel].sum()) * mg_per_hu, 2) for vessel in MASS_VESSELS}


@dataclass(frozen=True, slots=True, kw_only=True)
class MassScale:
    """Mass of an island = ``scale`` x excess ^ ``power``, more or less by blur and noise of the scan; all in mg."""

    scale: float
    power: float
    blur_per_mm: float = 0.0
    """Change of log(mass) for each mm by which the heart's border is more blurred than usual."""
    noise_per_hu: float = 0.0
    """Change of log(mass) for each HU of noise SD above the usual."""
    studies: int = 0

    def mass_mg(self, excess_mg: Floats, figures: ScanFigures) -> Floats:
        """Return the mass of islands from their excess (``island_excess_mg``).

        >>> figures = ScanFigures(13.0, None, None, 3.0, 1.0, 400.0, None, 2.0, 0.0)
        >>> MassScale(scale=10.0, power=0.5).mass_mg(np.array([0.0, 4.0, 100.0]), figures).tolist()
        [0.0, 20.0, 100.0]
        """
        blur, noise = _unusual(figures)
        factor = self.scale * np.exp(self.blur_per_mm * blur + self.noise_per_hu * noise)
        return np.asarray(factor * np.maximum(excess_mg, 0.0) ** self.power)

    def to_json(self) -> dict[str, Any]:
        """Return the entry ``mass_scale`` of the model card."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], where: str = "") -> "MassScale":
        """Read the card's entry. Raises ``UsageError`` naming the field that is unknown or impossible."""
        return from_fields(cls, fields, where)


@dataclass(frozen=True, eq=False, slots=True)
class KnownMass:
    """A validation study: the islands that count, and the true mass of the coronary calcium."""

    excess_mg: Floats
    """(islands,)."""
    figures: ScanFigures
    true_mg: float


def island_excess_mg(islands: Islands) -> Floats:
    """Return (islands,): hydroxyapatite that would add what the voxels read above blood."""
    excess_hu = islands.summed((islands.hu - TISSUE_HU)[:, None])[:, 0]
    return np.asarray(excess_hu * islands.geometry.voxel_volume_mm3 / 1000 / HU_PER_MG_CM3)


def fit_mass_scale(rows: Sequence[KnownMass]) -> MassScale:
    """Fit on validation studies: the least mean error of log(1 + mg), where calcium is present and found.

    Raises ``ValueError`` if these are fewer than ``MIN_STUDIES``.
    """
    from scipy.optimize import minimize

    known = [row for row in rows if row.true_mg > 0 and row.excess_mg.sum() > 0]
    if len(known) < MIN_STUDIES:
        raise ValueError(f"expected calcium in at least {MIN_STUDIES} studies, it is found in {len(known)}")
    true = np.array([row.true_mg for row in known])

    def error(values: NDArray[Any]) -> float:
        scale = _mass_scale(values, len(known))
        found = np.array([scale.mass_mg(row.excess_mg, row.figures).sum() for row in known])
        prior = PRIOR_WEIGHT * ((values[1] - 1) ** 2 + (values[2:] ** 2).sum()) / len(known)
        return float(np.abs(np.log1p(found) - np.log1p(true)).mean() + prior)

    first = np.array([1.0, 0.8, 0.0, 0.0])
    simplex = first + np.vstack([np.zeros(4), 0.2 * np.eye(4)])
    found = minimize(
        error, first, method="Nelder-Mead",
        options={"maxfev": 2000, "xatol": 1e-3, "fatol": 1e-6, "initial_simplex": simplex},
    )  # fmt: skip
    return _mass_scale(np.asarray(found.x), len(known))


def _mass_scale(values: NDArray[Any], studies: int) -> MassScale:
    """Return the scale of (log scale, power, effect of a mm of blur, effect of 10 HU of noise)."""
    scale, power, blur, noise = (round(float(value), 5) for value in (np.exp(values[0]), *values[1:3], values[3] / 10))
    return MassScale(scale=scale, power=power, blur_per_mm=blur, noise_per_hu=noise, studies=studies)


def _unusual(figures: ScanFigures) -> tuple[float, float]:
    """Return by how much blur (mm) and noise (HU) are above the usual; 0 if not measured."""
    blur, noise = figures.border_blur_mm, figures.noise_sd_hu
    return (
        0.0 if blur is None else float(np.clip(blur, *BLUR_MM)) - USUAL_BLUR_MM,
        0.0 if noise is None else float(np.clip(noise, *NOISE_HU)) - USUAL_NOISE_HU,
    )
