"""Image noise and CT value of a scan, measured in the blood pool of the heart."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats, Floats32, Mask
from ctacal.heart import HeartMask
from ctacal.morphology import widened
from ctacal.volume import Volume, require_same_grid

NOISE_PATCH_MM = 16.0
"""Side of the squares in which the standard deviation is measured: many noise grains wide, and no wider than a chamber
(own choice)."""

BLOOD_HU = (10.0, 80.0)
"""Range of the mean of a patch of unenhanced blood or myocardium, anaemia and 80 to 140 kVp included (own choice)."""

SOFT_ABOVE_HU = -30.0
"""Lowest mean of a patch inside the heart that holds no fat or lung (own choice)."""

MIN_NOISE_PATCHES = 8
"""Smallest number of patches that gives an estimate (own choice)."""


def blood_pool_noise_hu(volume: Volume, heart: HeartMask) -> float | None:
    """Return the in-plane noise of the blood pool in HU: the median standard deviation of patches deep in the heart.

    The least-squares plane of each patch is subtracted first, so that neither shading nor a slanting border counts. The
    standard deviation, unlike differences of neighbours, also holds for smooth kernels, whose noise is grainy. Returns
    None if too few patches hold blood. Raises ``Refusal`` (``LABELS_MISMATCH``) if the mask is not the volume's.
    """
    require_same_grid(volume, heart.geometry, "heart mask")
    patches = _deep_patches(volume, heart)
    mean_hu = patches.mean(axis=(1, 2))
    blood = patches[(mean_hu >= BLOOD_HU[0]) & (mean_hu <= BLOOD_HU[1])]
    return float(np.median(_deviation_from_plane(blood))) if len(blood) >= MIN_NOISE_PATCHES else None


def blood_pool_hu(volume: Volume, heart: HeartMask) -> float | None:
    """Return the CT value inside the heart, blood and myocardium: the median over patches without fat or lung.

    Returns None if there are too few. Raises ``Refusal`` (``LABELS_MISMATCH``) if the mask is not the volume's.
    """
    require_same_grid(volume, heart.geometry, "heart mask")
    mean_hu = _deep_patches(volume, heart).mean(axis=(1, 2))
    soft = mean_hu[mean_hu > SOFT_ABOVE_HU]
    return float(np.median(soft)) if soft.size >= MIN_NOISE_PATCHES else None


def _deep_patches(volume: Volume, heart: HeartMask) -> Floats32:
    """Return (patches, rows, columns) HU of the squares whose neighbours too lie inside the heart."""
    box = heart.bounding_box
    side = tuple(max(3, round(NOISE_PATCH_MM / mm)) for mm in volume.geometry.spacing_mm[1:])
    deep = _without_border(np.asarray(_patches(heart.mask[box], side).all(axis=(3, 4))))
    return _patches(volume.hu[box], side)[deep].astype(np.float32)


def _without_border(inside: Mask) -> Mask:
    """Return the patches whose four neighbours are inside as well."""
    outside = np.pad(~inside, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    return ~widened(outside, diagonal=False)[:, 1:-1, 1:-1]


def _patches(array: NDArray[Any], side: tuple[int, ...]) -> NDArray[Any]:
    """Cut the array into whole patches: (slices, patch rows, patch columns, rows, columns)."""
    rows, columns = (n // s for n, s in zip(array.shape[1:], side, strict=True))
    whole = array[:, : rows * side[0], : columns * side[1]]
    return whole.reshape(len(array), rows, side[0], columns, side[1]).swapaxes(2, 3)


def _deviation_from_plane(patches: Floats32) -> Floats:
    """Return the standard deviation of each (rows, columns) patch about its own least-squares plane.

    The plane takes 3 degrees of freedom.
    """
    rows, columns = patches.shape[1:]
    slope_row, slope_column = np.meshgrid(np.arange(rows) - (rows - 1) / 2, np.arange(columns) - (columns - 1) / 2)
    plane = np.stack([np.ones(rows * columns), slope_row.T.ravel(), slope_column.T.ravel()])
    plane /= np.linalg.norm(plane, axis=1, keepdims=True)
    flat = patches.reshape(len(patches), -1).astype(np.float64)
    rest = flat - (flat @ plane.T) @ plane
    return np.asarray(np.sqrt((rest**2).sum(axis=1) / (rows * columns - 3)))
