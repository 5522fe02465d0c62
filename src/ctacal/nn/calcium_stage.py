"""Stage 2 of scoring: class probabilities of the voxels near the heart that can score. No torch."""

from dataclasses import replace

import numpy as np

from ctacal.arrays import Box, Floats32, Ints, Mask
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.morphology import grown
from ctacal.nn.anatomy_stage import AnatomyMap
from ctacal.nn.grids import crop_grid, end_slices, index_map, resampled
from ctacal.nn.inputs import HEART_REACH_MM, heart_centre_index, network_input
from ctacal.nn.mass import excess_mass_mg
from ctacal.nn.runtime import Stage
from ctacal.prediction import ScanFigures
from ctacal.volume import Volume

CONTEXT_SLICES = 2
"""Slices without a candidate that the calcium network still sees at either end (own choice)."""

SHARP_GRAIN_MM, SHARP_NOISE_HU = 0.6, 25.0
"""Finer and louder noise than this means a reconstruction kernel that enhances edges. Soft kernels read 0.7 mm and more
(own choice, docs/log.md)."""

SOFTENING_MM = 1.2
"""SD of the Gaussian that brings such a scan to the resolution of a soft-tissue kernel (own choice, docs/log.md)."""

Index = tuple[Ints, ...]
"""(slice, row, column) of some voxels."""


def candidates(volume: Volume, heart: HeartMask, threshold_hu: float) -> Index:
    """Return the voxels at or above the threshold in the heart and just beside, above or below it."""
    box = _box_around(heart)
    near = along_slices(
        grown(heart.mask[box], HEART_REACH_MM, heart.geometry.spacing_mm[1]), end_slices(heart.geometry)
    )
    found = np.nonzero(near & (volume.hu[box] >= threshold_hu))
    return tuple(index + part.start for index, part in zip(found, box, strict=True))


def as_soft_kernel(volume: Volume, figures: ScanFigures) -> Volume:
    """Return the scan as the calcium network sees it: blurred if its kernel enhances edges, otherwise as it is.

    Such kernels (for lung and bone) lift borders of fat, and noise, above 130 HU. The blurred copy decides only which
    voxels are calcium; they score by the scan's own HU.
    """
    if figures.noise_grain_mm is None or figures.noise_sd_hu is None:
        return volume
    if figures.noise_grain_mm >= SHARP_GRAIN_MM or figures.noise_sd_hu < SHARP_NOISE_HU:
        return volume
    from scipy import ndimage

    sd = [0.0, *(SOFTENING_MM / mm for mm in volume.geometry.spacing_mm[1:])]
    return Volume(np.asarray(ndimage.gaussian_filter(volume.hu.astype(np.float32), sd), np.float32), volume.geometry)


def classify(
    stage: Stage, volume: Volume, heart: HeartMask, at: Index, anatomy: AnatomyMap | None = None
) -> tuple[Floats32, dict[str, float] | None]:
    """Return class probabilities at voxels (candidates, classes), and the mass by vessel.

    Without candidates the network does not run, and the mass is None. Raises ``ValueError`` if the network needs the
    ``anatomy`` and there is none.
    """
    if stage.config.structures and anatomy is None:
        raise ValueError("this calcium network needs the anatomy, but the first stage finds only the heart")
    if not at[0].size:
        return np.zeros((0, len(stage.classes)), np.float32), None
    grid = _slices_around(at, crop_grid(heart, stage.config.pixel_mm, stage.config.multiple), heart.geometry)
    hu = resampled(volume.hu, volume.geometry, grid, fill=None)
    inside = resampled(heart.mask, volume.geometry, grid, fill=0.0) >= 0.5
    box = heart.bounding_box
    centre = heart_centre_index(heart.mask[box]) + [part.start for part in box]  # of the whole heart, not of the crop
    start, step = index_map(volume.geometry, grid)
    own = replace(stage.config, structures=False)
    inputs = [network_input(hu, inside, (centre - start) / step, grid.spacing_mm, own)]
    if anatomy and stage.config.structures:
        inputs.append(anatomy.structures_around(grid))
    probability = stage.run(*inputs)[0]
    near = along_slices(grown(inside, HEART_REACH_MM, grid.spacing_mm[1]), end_slices(heart.geometry))
    mass_mg = excess_mass_mg(hu, probability, near, stage.classes, grid.voxel_volume_mm3)
    return _sampled(probability, volume.geometry, grid, at), mass_mg


def along_slices(mask: Mask, slices: int) -> Mask:
    """Grow a mask along the patient: each slice gets the voxels of the ``slices`` below and above it."""
    wide = mask.copy()
    for by in range(1, slices + 1):
        wide[by:] |= mask[:-by]
        wide[:-by] |= mask[by:]
    return wide


def _box_around(heart: HeartMask) -> Box:
    """Return the heart's box, wider by ``HEART_REACH_MM`` in plane and by ``end_slices`` at either end."""
    slices, *plane = heart.bounding_box
    beyond = end_slices(heart.geometry)
    slices = slice(max(0, slices.start - beyond), slices.stop + beyond)
    reach = [int(np.ceil(HEART_REACH_MM / mm)) for mm in heart.geometry.spacing_mm[1:]]
    rows, columns = (
        slice(max(0, extent.start - by), extent.stop + by) for extent, by in zip(plane, reach, strict=True)
    )
    return slices, rows, columns


def _slices_around(at: Index, grid: Geometry, scan: Geometry) -> Geometry:
    """Return the part of the grid whose slices hold candidates, and ``CONTEXT_SLICES`` more at either end."""
    first = round(float(index_map(scan, grid)[0][0]))
    low, high = int(at[0].min()) - first - CONTEXT_SLICES, int(at[0].max()) - first + CONTEXT_SLICES + 1
    slices, rows, columns = grid.shape
    return grid.crop((slice(max(0, low), min(slices, high)), slice(0, rows), slice(0, columns)))


def _sampled(probability: Floats32, scan: Geometry, grid: Geometry, at: Index) -> Floats32:
    """Return the probabilities at voxels of the scan (candidates, classes), interpolated linearly in plane."""
    start, step = index_map(scan, grid)
    slices, rows, columns = ((index - first) / by for index, first, by in zip(at, start, step, strict=True))
    number = np.rint(slices).astype(np.int64)
    r, c = (np.clip(place, 0, n - 1) for place, n in zip((rows, columns), probability.shape[2:], strict=True))
    r0, c0 = (np.minimum(place.astype(np.int64), n - 2) for place, n in zip((r, c), probability.shape[2:], strict=True))
    fr, fc = (r - r0)[:, None].astype(np.float32), (c - c0)[:, None].astype(np.float32)
    upper = probability[number, :, r0, c0] * (1 - fc) + probability[number, :, r0, c0 + 1] * fc
    lower = probability[number, :, r0 + 1, c0] * (1 - fc) + probability[number, :, r0 + 1, c0 + 1] * fc
    return np.asarray(upper * (1 - fr) + lower * fr, np.float32)
