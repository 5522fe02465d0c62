"""``find_regions``: the tissues of a chest CT, from thresholds, distances and positions alone.

The same rules apply to simulated and real scans; the truth of a simulated scan is not used. A region holds voxels that
certainly are the tissue, not all of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ctacal.arrays import Floats32, Mask
from ctacal.heart import find_heart
from ctacal.morphology import grown, large_parts
from ctacal.volume import Volume

WORKING_MM = 1.7
"""Size of the pixels on which regions are found: finer than any relevant border, and half the noise (own choice)."""

SMOOTH_MM = 2.5
"""SD of the Gaussian, in plane, that reduces noise before thresholds are applied (own choice)."""

BODY_ABOVE_HU, LUNG_BELOW_HU = -400.0, -500.0
"""Thresholds half-way between soft tissue and air, and between soft tissue and lung (own choice)."""

FAT_HU, SOFT_HU, MARROW_HU = (-150.0, -50.0), (10.0, 90.0), (90.0, 350.0)
"""HU of smoothed voxels: fat; unenhanced organs and muscle; trabecular bone of a vertebra (own choice)."""

BONE_ABOVE_HU = 250.0
"""HU of unsmoothed voxels above which there is cortical bone, beyond the noise of unenhanced organs (own choice)."""

SKIN_MM, FAT_DEPTH_MM, ORGAN_RIM_MM, LUNG_RIM_MM, MUSCLE_RIM_MM, AIR_GAP_MM = 5.0, 60.0, 8.0, 8.0, 2.0, 15.0
"""Distances that regions keep from borders, so that neither partial volume nor motion enters (own choice)."""

BLOOD_DEPTH_MM = 15.0
"""Depth inside the outline of the heart at which there are chambers and septum, and no fat (own choice)."""


@dataclass(frozen=True, eq=False, slots=True)
class Regions:
    """Regions to measure: masks of (slices, rows, columns)."""

    body: Mask
    lungs: Mask
    heart: Mask
    """Outline of ``find_heart``, including the fat."""
    tissues: Mapping[str, Mask]
    """Voxels that certainly are the tissue; empty if the scan does not show it."""


def find_regions(volume: Volume) -> Regions:
    """Find the tissues of a canonical chest CT; raises ``Refusal`` if no heart is found."""
    coarse = _Coarse.of(volume, find_heart(volume).mask)
    body = _body(coarse.smooth)
    lungs = coarse.large((coarse.smooth < LUNG_BELOW_HU) & body, least_ml=100.0)
    chest = _chest(lungs)
    tissues = {
        "air": _air(coarse, body),
        "lung": coarse.deep(lungs, LUNG_RIM_MM),
        "subcutaneous fat": _subcutaneous_fat(coarse, body, chest, lungs),
        "muscle": _muscle(coarse, body, chest, lungs),
        "blood pool": coarse.deep(coarse.heart, BLOOD_DEPTH_MM) & coarse.between(SOFT_HU),
        "liver": _liver(coarse, body, lungs),
        "trabecular bone": _vertebral_body(coarse, body, lungs),
    }
    full = {name: coarse.enlarged(mask, volume) for name, mask in tissues.items()}
    body, lungs, heart = (coarse.enlarged(mask, volume) for mask in (body, lungs, coarse.heart))
    full["cortical bone"] = body & (volume.hu > BONE_ABOVE_HU) & ~heart
    return Regions(body, lungs, heart, full)


@dataclass(frozen=True, eq=False, slots=True)
class _Coarse:
    """The scan with larger pixels, smoothed in plane, and its heart."""

    smooth: Floats32
    heart: Mask
    spacing_mm: tuple[float, float, float]
    block: int

    @classmethod
    def of(cls, volume: Volume, heart: Mask) -> "_Coarse":
        slice_mm, row_mm, column_mm = volume.geometry.spacing_mm
        block = max(1, round(WORKING_MM / row_mm))
        means = _in_blocks(volume.hu, block).mean(axis=(2, 4), dtype=np.float32)
        sd = SMOOTH_MM / (block * row_mm)
        smooth = ndimage.gaussian_filter(means, (0, sd, sd), mode="nearest")
        middle = _in_blocks(heart, block)[:, :, block // 2, :, block // 2]
        return cls(smooth, middle, (slice_mm, block * row_mm, block * column_mm), block)

    def between(self, span: tuple[float, float]) -> Mask:
        return (self.smooth > span[0]) & (self.smooth < span[1])

    def deep(self, mask: Mask, depth_mm: float) -> Mask:
        """Return the voxels of the mask that lie at least so far, in plane, from its border."""
        return ~grown(~mask, depth_mm, self.spacing_mm[1])

    def large(self, mask: Mask, least_ml: float) -> Mask:
        return large_parts(mask, least_ml, self.spacing_mm)

    def enlarged(self, mask: Mask, volume: Volume) -> Mask:
        """Return the mask on the pixels of the scan."""
        full = np.zeros(volume.hu.shape, bool)
        part = mask.repeat(self.block, axis=1).repeat(self.block, axis=2)
        full[:, : part.shape[1], : part.shape[2]] = part
        return full


def _in_blocks(array: NDArray[Any], block: int) -> NDArray[Any]:
    """Return whole blocks of pixels, (slices, rows, block, columns, block)."""
    slices, rows, columns = array.shape[0], array.shape[1] // block, array.shape[2] // block
    return array[:, : rows * block, : columns * block].reshape(slices, rows, block, columns, block)


def _body(smooth: Floats32) -> Mask:
    """Return the largest object in each slice with its holes filled; opening removes the thin table."""
    body = np.zeros(smooth.shape, bool)
    for index, plane in enumerate(smooth):
        core = ndimage.binary_opening(plane > BODY_ABOVE_HU, iterations=3)
        number, count = ndimage.label(core)
        if count:
            largest = np.argmax(np.bincount(number.ravel())[1:]) + 1
            body[index] = ndimage.binary_fill_holes(number == largest)
    return body


def _chest(lungs: Mask) -> Mask:
    """Return, in each slice, the pixels with lung on both sides, left and right or front and back."""
    return np.asarray(_both_sides(lungs, 1) | _both_sides(lungs, 2))


def _both_sides(mask: Mask, axis: int) -> Mask:
    before = np.maximum.accumulate(mask, axis=axis)
    behind = np.flip(np.maximum.accumulate(np.flip(mask, axis), axis=axis), axis)
    return np.asarray(before & behind)


def _lung_slices(lungs: Mask) -> Mask:
    """Return the slices, (slices, 1, 1), in which the lungs are wide: there is no abdominal organ or shoulder."""
    area = lungs.sum(axis=(1, 2))
    return np.asarray((area > 0.5 * area.max())[:, None, None])


def _air(coarse: _Coarse, body: Mask) -> Mask:
    """Return the air in front of the body, because behind it lies the table; within the circle of the field of view,
    because many scanners pad beyond it."""
    rows, columns = body.shape[1:]
    at = np.indices((rows, columns)) - np.array([(rows - 1) / 2, (columns - 1) / 2])[:, None, None]
    circle = np.hypot(at[0], at[1]) < 0.47 * min(rows, columns)
    occupied = np.flatnonzero(body.any(axis=(0, 2)))
    ahead = np.arange(rows)[:, None] < occupied.mean()
    return np.asarray(coarse.deep(~body, AIR_GAP_MM) & circle & ahead)


def _subcutaneous_fat(coarse: _Coarse, body: Mask, chest: Mask, lungs: Mask) -> Mask:
    shallow = coarse.deep(body, SKIN_MM) & ~coarse.deep(body, FAT_DEPTH_MM) & ~chest & _lung_slices(lungs)
    return coarse.deep(shallow & coarse.between(FAT_HU), MUSCLE_RIM_MM)


def _muscle(coarse: _Coarse, body: Mask, chest: Mask, lungs: Mask) -> Mask:
    """Return the muscles of the chest wall and back."""
    soft = coarse.between(SOFT_HU) & coarse.deep(body, SKIN_MM) & ~chest & _lung_slices(lungs)
    return coarse.deep(soft, MUSCLE_RIM_MM)


def _liver(coarse: _Coarse, body: Mask, lungs: Mask) -> Mask:
    """Return wide soft tissue to the right of the heart, from the middle of the heart downwards."""
    slices, columns = (np.flatnonzero(coarse.heart.any(axis=axes)) for axes in ((1, 2), (0, 1)))
    zone = np.zeros(body.shape, bool)
    zone[: (slices[0] + slices[-1]) // 2, :, : columns[0]] = True
    soft = zone & ~lungs & coarse.between(SOFT_HU) & coarse.deep(body, 30.0)
    return coarse.large(coarse.deep(soft, ORGAN_RIM_MM), least_ml=15.0)


def _vertebral_body(coarse: _Coarse, body: Mask, lungs: Mask) -> Mask:
    """Return trabecular bone near the midline, deep within bright tissue, in the back half of the body."""
    columns, rows = np.flatnonzero(lungs.any(axis=(0, 1))), np.flatnonzero(body.any(axis=(0, 2)))
    middle, half = (columns[0] + columns[-1]) // 2, round(30.0 / coarse.spacing_mm[2])
    zone = np.zeros(body.shape, bool)
    zone[:, (rows[0] + rows[-1]) // 2 :, middle - half : middle + half] = True
    return coarse.deep(zone & (coarse.smooth > MARROW_HU[0]), 6.0) & coarse.between(MARROW_HU)
