"""Mass of calcium by vessel, from the HU that calcium adds to unenhanced blood. No torch."""

import numpy as np

from ctacal.arrays import Floats32, Mask
from ctacal.nn.classes import is_coronary
from ctacal.nn.inputs import MASS_VESSELS

TISSUE_HU = 40.0
"""HU of unenhanced blood, which fills a voxel that holds no calcium."""

MASS_ABOVE_HU = 80.0
"""Lowest HU of a voxel that is summed; noise alone seldom reaches it (own choice; the networks are trained at 50 HU and
above)."""

HU_PER_MG_CM3 = 1.28
"""HU of 1 mg/cm3 of hydroxyapatite at 120 kVp: 200 mg/cm3 reads 255 to 262 HU (the simulator's beam; QRM phantom).
There is no correction for other voltages."""


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
