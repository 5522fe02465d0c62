"""The baseline without training: calcium is bright, lies in the heart, and is not bone, noise, edge or aorta.

It recognises valves by their depth and the aorta by the spine, nothing else; networks are compared with it.
"""

from dataclasses import dataclass

import numpy as np

from ctacal.arrays import Box, Floats32, HUArray, Ints, Mask
from ctacal.components import parts
from ctacal.heart import BONE_ABOVE_HU, LUNG_BELOW_HU, MIN_BONE_ML, CoarseScan, HeartMask, coarsened
from ctacal.labels import Calcium, LabelMap
from ctacal.morphology import grown, large_parts
from ctacal.noise import blood_pool_noise_hu
from ctacal.volume import Volume, require_same_grid

SURROUNDINGS_MM = 60.0
"""Distance around the heart within which bone is searched for: as far as the spine (own choice)."""

MIN_PIXELS = 2
"""Smallest candidate, in pixels of its slice; a single pixel is taken for noise (own choice; two pixels of 0.7 mm make
the 1 mm2 of Agatston 1990)."""

TOLERATED_NOISE_HU = 10.0
"""Noise of a smooth kernel: 130 HU lies 8 standard deviations above blood of 45 HU. In a noisier scan, a candidate must
also reach the threshold in an image that is smoothed to this noise. Own choice: with 40 HU of noise, 2 of 100 pixels of
blood exceed 130 HU, many of them side by side, so that no minimum size separates them from calcium."""

EDGE_MM = 3.5
"""Distance from lung within which sharp kernels overshoot and moving borders are doubled: a candidate that lies mostly
there is a rim, not a plaque (own choice)."""

BONE_CLEARANCE_MM = 6.0
"""Distance that rib, cartilage and sternum reach beyond the 4 mm voxels that are bone on average (own choice)."""

SPINE_HALF_WIDTH_MM = 35.0
"""Half the width of a vertebra (own choice)."""

AORTA_FROM_SPINE_MM = 30.0
"""Distance from the spine within which calcium is aortic: the descending aorta lies on the spine and is about this wide
(own choice)."""

DEEP_MM = 32.0
"""Depth in the heart from which calcium is in a valve or the aortic root: coronaries run near the surface (own
choice)."""

WHITE_NOISE_GAIN = 2.0 * float(np.sqrt(np.pi))
"""A Gaussian of s pixels divides white in-plane noise by this number times s (the integral of its square)."""


def threshold_labels(volume: Volume, heart: HeartMask, *, threshold_hu: float = 130.0) -> LabelMap:
    """Label the calcium of the heart as ``CORONARY``, or as ``OTHER`` near the spine (aorta) or deep inside (valves).

    ``threshold_hu`` is 130 HU (Agatston 1990). Candidates are the 8-connected parts of a slice at or above it; each is
    accepted or rejected as a whole. Raises ``Refusal`` (``LABELS_MISMATCH``) if the mask is not the volume's.
    """
    require_same_grid(volume, heart.geometry, "heart mask")
    labels = np.zeros(volume.geometry.shape, np.uint8)
    if not heart.mask.any():
        return LabelMap(labels, volume.geometry)
    box = _surroundings(heart)
    part, inside = volume.crop(box), heart.mask[box]
    found = _candidates(part, threshold_hu)
    near_bone, other = _near_bone_and_not_coronary(found, part, inside)
    calcium = found.mostly_in(inside) & (found.pixels >= MIN_PIXELS) & ~found.mostly_in(_rims(part)) & ~near_bone
    calcium &= _survives_smoothing(found, calcium, part, threshold_hu, blood_pool_noise_hu(volume, heart) or 0.0)
    value = np.where(other, Calcium.OTHER, Calcium.CORONARY) * calcium
    painted = np.zeros(part.hu.shape, np.uint8)
    painted[found.index] = value[found.number]
    labels[box] = painted * inside
    return LabelMap(labels, volume.geometry)


@dataclass(frozen=True, eq=False, slots=True)
class _Candidates:
    """Bright voxels: their indices, and the number, from 0, of the candidate that each belongs to."""

    index: tuple[Ints, Ints, Ints]
    number: Ints
    count: int

    @property
    def pixels(self) -> Ints:
        return np.bincount(self.number, minlength=self.count)

    def mostly_in(self, mask: Mask, block: tuple[int, int, int] = (1, 1, 1)) -> Mask:
        """Whether at least half of each candidate lies in the mask; its voxels are blocks of ``block`` voxels."""
        at = tuple(np.minimum(i // b, n - 1) for i, b, n in zip(self.index, block, mask.shape, strict=True))
        return 2 * np.bincount(self.number[mask[at]], minlength=self.count) >= self.pixels


def _surroundings(heart: HeartMask) -> Box:
    slices, rows, columns = heart.bounding_box
    row_reach, column_reach = (round(SURROUNDINGS_MM / mm) for mm in heart.geometry.spacing_mm[1:])
    return (
        slices,
        slice(max(0, rows.start - row_reach), rows.stop + row_reach),
        slice(max(0, columns.start - column_reach), columns.stop + column_reach),
    )


def _candidates(part: Volume, threshold_hu: float) -> _Candidates:
    found = parts(part.hu >= threshold_hu, neighbours=8)
    slices, rows, columns = np.unravel_index(found.voxel, part.hu.shape)
    return _Candidates((slices, rows, columns), found.number, found.count)


def _near_bone_and_not_coronary(found: _Candidates, part: Volume, inside: Mask) -> tuple[Mask, Mask]:
    """Whether each candidate lies near bone, and whether near the spine (aorta) or deep in the heart (valves, root)."""
    scan = coarsened(part)
    bone = large_parts(scan.hu > BONE_ABOVE_HU, MIN_BONE_ML, scan.spacing_mm)
    near_bone = grown(bone, BONE_CLEARANCE_MM, scan.pixel_mm)
    near_spine = grown(_spine(bone, scan), AORTA_FROM_SPINE_MM, scan.pixel_mm)
    deep = ~grown(~_sampled(inside, scan), DEEP_MM, scan.pixel_mm)
    return found.mostly_in(near_bone, scan.block), found.mostly_in(near_spine | deep, scan.block)


def _sampled(inside: Mask, scan: CoarseScan) -> Mask:
    """Return the mask at the first voxel of each block, which is exact enough to measure depths."""
    slices, rows, columns = (np.arange(n) * b for n, b in zip(scan.hu.shape, scan.block, strict=True))
    return np.asarray(inside[np.ix_(slices, rows, columns)])


def _spine(bone: Mask, scan: CoarseScan) -> Mask:
    """Return the bone of the back half within ``SPINE_HALF_WIDTH_MM`` of the columns that hold most of it."""
    behind = bone.copy()
    behind[:, : bone.shape[1] // 2] = False
    half = round(SPINE_HALF_WIDTH_MM / scan.spacing_mm[2])
    per_column = np.convolve(behind.sum(axis=(0, 1)), np.ones(2 * half + 1), mode="same")
    center = int(per_column.argmax())
    behind[:, :, : max(0, center - half)] = False
    behind[:, :, center + half + 1 :] = False
    return behind


def _rims(part: Volume) -> Mask:
    """Return all within ``EDGE_MM`` of lung, rounded down to whole pixels: more would be too deep in a coarse scan."""
    pixel_mm = part.geometry.spacing_mm[1]
    return grown(part.hu < LUNG_BELOW_HU, int(EDGE_MM / pixel_mm) * pixel_mm, pixel_mm)


def _survives_smoothing(
    found: _Candidates, considered: Mask, part: Volume, threshold_hu: float, noise_hu: float
) -> Mask:
    """Whether each considered candidate still reaches the threshold when smoothing removes the noise.

    With little noise all of them do.
    """
    if noise_hu <= TOLERATED_NOISE_HU:
        return considered
    width = noise_hu / TOLERATED_NOISE_HU / WHITE_NOISE_GAIN
    at = considered[found.number]
    peak = np.full(found.count, -np.inf)
    np.maximum.at(peak, found.number[at], _smoothed_at(part.hu, tuple(i[at] for i in found.index), width))
    return peak >= threshold_hu


def _smoothed_at(hu: HUArray, index: tuple[Ints, ...], width: float) -> Floats32:
    """Return the HU at these few voxels after smoothing in plane by a Gaussian of ``width`` pixels."""
    reach = np.arange(-int(4 * width + 0.5), int(4 * width + 0.5) + 1)
    weight = np.exp(-(reach**2) / (2 * width**2)).astype(np.float32)
    weight /= weight.sum()
    rows, columns = (np.clip(i[:, None] + reach, 0, n - 1) for i, n in zip(index[1:], hu.shape[1:], strict=True))
    patches = hu[index[0][:, None, None], rows[:, :, None], columns[:, None, :]].astype(np.float32)
    return np.asarray(np.einsum("nij,i,j->n", patches, weight, weight), np.float32)
