"""Where each tissue lies in any chest CT, by thresholds, distance and place alone.

The same rules look at a simulated and at a real scan (never at the simulated one's truth), so that both are measured
alike. A region is what surely is that tissue, not all of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ctacal.arrays import Mask
from ctacal.heart import find_heart
from ctacal.morphology import grown, large_parts
from ctacal.volume import Volume

WORKING_MM = 1.7
"""Regions are found on pixels of about this size: finer than any border that matters, and half the noise (own choice).
"""

SMOOTH_MM = 2.5
"""SD of the Gaussian, in plane, that noise is taken off with before thresholds are applied (own choice)."""

BODY_ABOVE_HU, LUNG_BELOW_HU = -400.0, -500.0
"""Half-way between soft tissue and air, and between it and lung (own choice)."""

FAT_HU, SOFT_HU, MARROW_HU = (-150.0, -50.0), (10.0, 90.0), (90.0, 350.0)
"""Of smoothed voxels: fat, unenhanced organs and muscle, spongy bone of a vertebra (own choice)."""

BONE_ABOVE_HU = 250.0
"""Of the scan's own voxels: compact bone, and no unenhanced organ's noise (own choice)."""

SKIN_MM, FAT_DEPTH_MM, ORGAN_RIM_MM, LUNG_RIM_MM, MUSCLE_RIM_MM, AIR_GAP_MM = 5.0, 60.0, 8.0, 8.0, 2.0, 15.0
"""What a region keeps away from borders, so that neither partial volume nor motion enters (own choice)."""

BLOOD_DEPTH_MM = 15.0
"""So deep inside the heart's outline lie its chambers and the septum, no fat (own choice)."""


@dataclass(frozen=True, eq=False, slots=True)
class Regions:
    """Where to measure: masks of (slices, rows, columns)."""

    body: Mask
    lungs: Mask
    heart: Mask
    """As ``find_heart`` outlines it: with its fat."""
    tissues: Mapping[str, Mask]
    """What surely is one tissue; empty where the scan does not show it."""


def find_regions(volume: Volume) -> Regions:
    """Find the tissues of a canonical chest CT; raises ``Refusal`` where no heart is found."""
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

    smooth: NDArray[np.float32]
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
        """What lies at least so far, in plane, from the mask's border."""
        return ~grown(~mask, depth_mm, self.spacing_mm[1])

    def large(self, mask: Mask, least_ml: float) -> Mask:
        return large_parts(mask, least_ml, self.spacing_mm)

    def enlarged(self, mask: Mask, volume: Volume) -> Mask:
        """The mask on the scan's own pixels."""
        full = np.zeros(volume.hu.shape, bool)
        part = mask.repeat(self.block, axis=1).repeat(self.block, axis=2)
        full[:, : part.shape[1], : part.shape[2]] = part
        return full


def _in_blocks(array: NDArray[Any], block: int) -> NDArray[Any]:
    """(slices, rows, block, columns, block): whole blocks of pixels."""
    slices, rows, columns = array.shape[0], array.shape[1] // block, array.shape[2] // block
    return array[:, : rows * block, : columns * block].reshape(slices, rows, block, columns, block)


def _body(smooth: NDArray[np.float32]) -> Mask:
    """The largest thing in each slice, its holes filled; what is thin, the table, is opened away."""
    body = np.zeros(smooth.shape, bool)
    for index, plane in enumerate(smooth):
        core = ndimage.binary_opening(plane > BODY_ABOVE_HU, iterations=3)
        number, count = ndimage.label(core)
        if count:
            largest = np.argmax(np.bincount(number.ravel())[1:]) + 1
            body[index] = ndimage.binary_fill_holes(number == largest)
    return body


def _chest(lungs: Mask) -> Mask:
    """In each slice, whatever lies between lung on its left and right, or before and behind it."""
    return np.asarray(_both_sides(lungs, 1) | _both_sides(lungs, 2))


def _both_sides(mask: Mask, axis: int) -> Mask:
    before = np.maximum.accumulate(mask, axis=axis)
    behind = np.flip(np.maximum.accumulate(np.flip(mask, axis), axis=axis), axis)
    return np.asarray(before & behind)


def _lung_slices(lungs: Mask) -> Mask:
    """(slices, 1, 1): where both lungs are wide, so that no abdominal organ or shoulder enters."""
    area = lungs.sum(axis=(1, 2))
    return np.asarray((area > 0.5 * area.max())[:, None, None])


def _air(coarse: _Coarse, body: Mask) -> Mask:
    """Before the body: behind it lies the table. Within the picture's circle: beyond it, many scanners pad."""
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
    """Of the chest wall and back."""
    soft = coarse.between(SOFT_HU) & coarse.deep(body, SKIN_MM) & ~chest & _lung_slices(lungs)
    return coarse.deep(soft, MUSCLE_RIM_MM)


def _liver(coarse: _Coarse, body: Mask, lungs: Mask) -> Mask:
    """Wide soft tissue to the right of the heart, from its lower half on downwards."""
    slices, columns = (np.flatnonzero(coarse.heart.any(axis=axes)) for axes in ((1, 2), (0, 1)))
    zone = np.zeros(body.shape, bool)
    zone[: (slices[0] + slices[-1]) // 2, :, : columns[0]] = True
    soft = zone & ~lungs & coarse.between(SOFT_HU) & coarse.deep(body, 30.0)
    return coarse.large(coarse.deep(soft, ORGAN_RIM_MM), least_ml=15.0)


def _vertebral_body(coarse: _Coarse, body: Mask, lungs: Mask) -> Mask:
    """Spongy bone near the mid-line, deep within what is bright, in the back half of the body."""
    columns, rows = np.flatnonzero(lungs.any(axis=(0, 1))), np.flatnonzero(body.any(axis=(0, 2)))
    middle, half = (columns[0] + columns[-1]) // 2, round(30.0 / coarse.spacing_mm[2])
    zone = np.zeros(body.shape, bool)
    zone[:, (rows[0] + rows[-1]) // 2 :, middle - half : middle + half] = True
    return coarse.deep(zone & (coarse.smooth > MARROW_HU[0]), 6.0) & coarse.between(MARROW_HU)
