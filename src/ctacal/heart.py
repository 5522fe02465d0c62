"""``HeartMask``: where the heart lies, found by morphology alone, and the noise of its blood pool.

The way: body -> lungs (air inside the body) -> chest cavity (the convex hull of both lungs) -> mediastinum (the tissue
in it) -> its thick part -> followed down to the diaphragm and up to the great vessels. All of it happens on a grid of
about 4 mm, so that the scan itself is passed over only once. Nothing is trained.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats32, Mask
from ctacal.components import parts
from ctacal.errors import Code, Refusal
from ctacal.geometry import Geometry
from ctacal.volume import Volume, require_same_grid

COARSE_MM = 4.0
"""Voxel size of the search grid: finer than any structure that is looked for, coarse enough to average noise away (own
choice)."""

TISSUE_ABOVE_HU = -300.0
"""Fat, muscle and blood are brighter, blurred borders of lung darker (own choice)."""

LUNG_BELOW_HU = -500.0
"""Aerated lung is darker (own choice, halfway between lung and soft tissue)."""

BONE_ABOVE_HU = 90.0
"""Mean of a 4 mm voxel of bone or rib cartilage, and of no unenhanced soft tissue (own choice)."""

MIN_BONE_ML = 10.0
"""Larger than any coronary plaque, smaller than the bones in view, which hang together (own choice)."""

MIN_AIR_ML = 100.0
"""Smaller pockets of air inside the body are bowel, stomach or airways (own choice)."""

MIN_LUNG_ML = 150.0
"""Each lung's part of a scan that is only as long as a heart holds more (own choice)."""

CAVITY_REACH_MM = 15.0
"""The chest wall hardly moves over this distance, so that lung above and below shows where it is beside the heart (own
choice)."""

SPINE_HALF_WIDTH_MM = 40.0
"""Bone this near to the mid-line, in the back half of the cavity, is spine or rib head (own choice)."""

SPINE_CLEARANCE_MM = 8.0
"""Nothing this near to the spine is taken for heart: there the descending aorta lies (own choice)."""

OPENING_SHARE = 0.06
"""Half the width, as a share of the chest's, below which a structure is no heart: vessels, oesophagus, descending aorta
(own choice; 16 mm in an adult)."""

HEART_RIGHT_SHARE = 0.27
"""The heart's right border lies within this share of the chest's width from the mid-line: what reaches further is
merged with the liver (own choice; 75 mm in an adult)."""

MIN_SEED_CM2 = 40.0
"""The widest slice of a heart has a larger cross-section (own choice)."""

GROWTH_PER_MM = 1.2
"""How fast the heart's outline may widen from slice to slice: a slope of about 50 degrees (own choice)."""

RIGHT_SLACK_MM = 10.0
"""Below its widest slice the heart reaches at most this much further right (own choice): more is liver."""

TOP_AREA_SHARE = 0.5
"""Above, where the cross-section falls below this share of the widest, great vessels begin (own choice)."""

DIAPHRAGM_LUNG_SHARE = 0.3
"""Where less than this share of what lies around the heart, behind its centre, is lung, the abdomen begins (own
choice)."""

RING_MM = (4.0, 16.0)
"""How far from the heart's border that lung is looked for (own choice)."""

MAX_HEART_MM = 140.0
"""From apex to pulmonary trunk no heart is taller (own choice)."""

MARGIN_MM = 4.0
"""Added all round: the 4 mm grid loses the border, and the coronaries run in it (own choice)."""

TONGUE_MM = 12.0
"""Half the width below which a part of the mask is a tongue between ribs, to be cut off (own choice)."""

HEART_ML = (200.0, 2500.0)
"""What is found outside of this range is no heart, or too little of one (own choice)."""

NOISE_PATCH_MM = 16.0
"""Side of the squares whose standard deviation is the noise: many noise grains wide, and no wider than a chamber (own
choice)."""

BLOOD_HU = (10.0, 80.0)
"""Mean of a patch of unenhanced blood or myocardium, anaemia and 80 to 140 kVp included (own choice)."""

MIN_NOISE_PATCHES = 8
"""Fewer patches give no estimate (own choice)."""


@dataclass(frozen=True, eq=False)  # no slots: the box is kept
class HeartMask:
    """The heart with its epicardial fat and ``MARGIN_MM`` around it: (slices, rows, columns) bool, on a scan's grid."""

    mask: Mask
    geometry: Geometry

    def __post_init__(self) -> None:
        if self.mask.dtype != np.bool_ or self.mask.shape != self.geometry.shape:
            raise ValueError(
                f"mask must be bool of shape {self.geometry.shape}, got {self.mask.dtype} {self.mask.shape}"
            )

    @cached_property
    def bounding_box(self) -> tuple[slice, slice, slice]:
        """The smallest box that holds the heart; three empty slices where there is none."""
        slices = _extent(self.mask, 0)
        in_plane = self.mask[slices]
        return slices, _extent(in_plane, 1), _extent(in_plane, 2)

    @property
    def touches_first_slice(self) -> bool:
        """Whether the scan cuts the heart off towards the feet."""
        return bool(self.mask[0].any())

    @property
    def touches_last_slice(self) -> bool:
        """Whether the scan cuts the heart off towards the head."""
        return bool(self.mask[-1].any())

    @property
    def volume_ml(self) -> float:
        """Volume of the mask."""
        return float(np.count_nonzero(self.mask)) * self.geometry.voxel_volume_mm3 / 1000.0


def find_heart(volume: Volume) -> HeartMask:
    """Find the heart of a canonical volume (slices to the head, rows to posterior, columns to the left).

    Raises ``Refusal`` (``HEART_NOT_FOUND``) where there is no body, no pair of lungs, or nothing like a heart between.
    """
    scan = coarsened(volume)
    body = _body(scan)
    lungs = _lungs(scan, body)
    bone = large_parts(scan.hu > BONE_ABOVE_HU, MIN_BONE_ML, scan.spacing_mm)
    box = (slice(None), _extent(lungs, 1), _extent(lungs, 2))
    scan, lungs = CoarseScan(scan.hu[box], scan.spacing_mm, scan.block), lungs[box]
    bone = _widened(bone[box], diagonal=True)
    cavity = _chest_cavity(lungs, scan)
    midline = _midline(lungs)
    mediastinum = cavity & (scan.hu > TISSUE_ABOVE_HU) & ~_spine_zone(bone, cavity, midline, scan)
    thick = _opened(mediastinum & ~bone, OPENING_SHARE * lungs.shape[2] * scan.spacing_mm[2], scan)
    heart = _followed(thick, lungs, midline, scan)
    heart = _opened(grown(heart, MARGIN_MM, scan.pixel_mm) & cavity & ~bone, TONGUE_MM, scan)
    return _checked(HeartMask(_to_full_grid(heart, box, scan, volume.geometry.shape), volume.geometry))


def blood_pool_noise_hu(volume: Volume, heart: HeartMask) -> float | None:
    """In-plane noise of the blood pool (HU): the median standard deviation of patches deep inside the heart.

    Each patch's own plane is taken off first, so that neither shading nor a slanting border counts. The standard
    deviation, unlike differences of neighbours, holds for smooth kernels too, whose noise is grainy. None where too few
    patches hold blood. Raises ``Refusal`` (``LABELS_MISMATCH``) where the mask is not the volume's.
    """
    require_same_grid(volume, heart.geometry, "heart mask")
    box = heart.bounding_box
    side = tuple(max(3, round(NOISE_PATCH_MM / mm)) for mm in volume.geometry.spacing_mm[1:])
    inside = _patches(heart.mask[box], side).all(axis=(3, 4))
    deep = ~_widened(np.pad(~inside, ((0, 0), (1, 1), (1, 1)), constant_values=True), diagonal=False)[:, 1:-1, 1:-1]
    patches = _patches(volume.hu[box], side)[deep].astype(np.float32)
    mean_hu = patches.mean(axis=(1, 2))
    blood = patches[(mean_hu >= BLOOD_HU[0]) & (mean_hu <= BLOOD_HU[1])]
    return float(np.median(_deviation_from_plane(blood))) if len(blood) >= MIN_NOISE_PATCHES else None


def _patches(array: NDArray[Any], side: tuple[int, ...]) -> NDArray[Any]:
    """(slices, patch rows, patch columns, rows, columns): the array in whole patches."""
    rows, columns = (n // s for n, s in zip(array.shape[1:], side, strict=True))
    whole = array[:, : rows * side[0], : columns * side[1]]
    return whole.reshape(len(array), rows, side[0], columns, side[1]).swapaxes(2, 3)


def _deviation_from_plane(patches: Floats32) -> NDArray[np.float64]:
    """Standard deviation of each (rows, columns) patch about its own least-squares plane; 3 degrees of freedom less."""
    rows, columns = patches.shape[1:]
    slope_row, slope_column = np.meshgrid(np.arange(rows) - (rows - 1) / 2, np.arange(columns) - (columns - 1) / 2)
    plane = np.stack([np.ones(rows * columns), slope_row.T.ravel(), slope_column.T.ravel()])
    plane /= np.linalg.norm(plane, axis=1, keepdims=True)
    flat = patches.reshape(len(patches), -1).astype(np.float64)
    rest = flat - (flat @ plane.T) @ plane
    return np.asarray(np.sqrt((rest**2).sum(axis=1) / (rows * columns - 3)))


@dataclass(frozen=True, eq=False, slots=True)
class CoarseScan:
    """The scan in blocks of about ``COARSE_MM``: block means, their spacing, and voxels per block along each axis."""

    hu: Floats32
    spacing_mm: tuple[float, float, float]
    block: tuple[int, int, int]

    @property
    def pixel_mm(self) -> float:
        """In-plane spacing along the rows' axis."""
        return self.spacing_mm[1]


def _not_found(what: str) -> Refusal:
    return Refusal(Code.HEART_NOT_FOUND, f"{what}; score a CT that shows the heart between both lungs")


def _extent(mask: Mask, axis: int) -> slice:
    """The range of an axis that the mask occupies; empty where the mask is."""
    at = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
    return slice(int(at[0]), int(at[-1]) + 1) if at.size else slice(0, 0)


def coarsened(volume: Volume) -> CoarseScan:
    """Block means; slice by slice, so that a slice stays in the cache. Sums are exact, so int16 equals float32."""
    spacing_mm = volume.geometry.spacing_mm
    block = tuple(min(n, max(1, round(COARSE_MM / mm))) for n, mm in zip(volume.hu.shape, spacing_mm, strict=True))
    slices, rows, columns = (n // b for n, b in zip(volume.hu.shape, block, strict=True))
    total = np.zeros((slices, rows, columns), np.float32)
    for index, plane in enumerate(volume.hu[: slices * block[0]]):
        row_blocks = plane[: rows * block[1], : columns * block[2]].reshape(rows, -1, columns * block[2])
        row_sums = np.add.reduce(row_blocks, axis=1, dtype=np.float32)
        total[index // block[0]] += row_sums.reshape(rows, columns, -1).sum(axis=2)
    total /= float(np.prod(block))
    spacing = (spacing_mm[0] * block[0], spacing_mm[1] * block[1], spacing_mm[2] * block[2])
    return CoarseScan(total, spacing, (block[0], block[1], block[2]))


def _body(scan: CoarseScan) -> Mask:
    """The largest thing in the scan that is not air, without the table (thin, so that erosion removes it).

    Raises ``Refusal`` where there is none, or where it ends inside the scan at both ends, as no patient does.
    """
    tissue = scan.hu > TISSUE_ABOVE_HU
    core = _largest(~_widened(~tissue, diagonal=False))
    if not core.any():
        raise _not_found("the scan shows no body")
    body = _widened(_widened(core, diagonal=False), diagonal=False) & tissue
    per_slice = body.sum(axis=(1, 2))
    if max(per_slice[0], per_slice[-1]) < 0.1 * np.median(per_slice[per_slice > 0]):
        raise _not_found("what is scanned ends inside the scan at both ends: a phantom, not a patient")
    return body


def _lungs(scan: CoarseScan, body: Mask) -> Mask:
    """Air with body before and behind it, in large parts, on both sides.

    Front and back suffice: a field of view that cuts the sides of the chest off leaves the lungs open sideways.
    """
    before = np.maximum.accumulate(body, axis=1)
    behind = np.maximum.accumulate(body[:, ::-1], axis=1)[:, ::-1]
    lungs = large_parts((scan.hu < LUNG_BELOW_HU) & before & behind, MIN_AIR_ML, scan.spacing_mm)
    if not lungs.any():
        raise _not_found("the scan shows no lungs")
    voxel_ml = float(np.prod(scan.spacing_mm)) / 1000.0
    middle = round(_midline(body))
    if min(lungs[:, :, :middle].sum(), lungs[:, :, middle:].sum()) * voxel_ml < MIN_LUNG_ML:
        raise _not_found("the scan does not show lung on both sides")
    return lungs


def _midline(mask: Mask) -> float:
    """The column halfway between the outer borders of the lungs, or of the body."""
    extent = _extent(mask, 2)
    return float(extent.start + extent.stop - 1) / 2


def _chest_cavity(lungs: Mask, scan: CoarseScan) -> Mask:
    """The convex hull, in each slice, of both lungs as they are within ``CAVITY_REACH_MM`` above and below.

    A hull is where no half-plane that holds all lung leaves one out; 24 directions draw it to within a voxel.
    """
    slab = lungs.copy()
    for step in range(1, round(CAVITY_REACH_MM / scan.spacing_mm[0]) + 1):
        slab[step:] |= lungs[:-step]
        slab[:-step] |= lungs[step:]
    at_slice, at_row, at_column = np.nonzero(slab)
    slices, starts = np.unique(at_slice, return_index=True)
    row_mm = np.arange(lungs.shape[1], dtype=np.float32)[:, None] * scan.spacing_mm[1]
    column_mm = np.arange(lungs.shape[2], dtype=np.float32)[None, :] * scan.spacing_mm[2]
    inside = np.ones((len(slices), *lungs.shape[1:]), bool)
    for angle in np.arange(24) * (2 * np.pi / 24):
        along = np.float32(np.sin(angle)) * row_mm + np.float32(np.cos(angle)) * column_mm
        furthest = np.maximum.reduceat(along[at_row, at_column], starts)
        inside &= along <= furthest[:, None, None]
    cavity = np.zeros(lungs.shape, bool)
    cavity[slices] = inside
    return cavity


def large_parts(mask: Mask, min_ml: float, spacing_mm: tuple[float, float, float]) -> Mask:
    """The 6-connected parts of the mask of at least ``min_ml``."""
    found = parts(mask, neighbours=6)
    return found.mask_of(found.sizes * (float(np.prod(spacing_mm)) / 1000.0) >= min_ml)


def _spine_zone(bone: Mask, cavity: Mask, midline: float, scan: CoarseScan) -> Mask:
    """Bone near the mid-line in the back half of the cavity, and all within ``SPINE_CLEARANCE_MM`` of it."""
    columns_mm = np.abs(np.arange(bone.shape[2]) - midline) * scan.spacing_mm[2]
    rows = np.arange(bone.shape[1])[None, :, None]
    center_row = (cavity * rows).sum(axis=(1, 2)) / np.maximum(1, cavity.sum(axis=(1, 2)))
    spine = bone & (columns_mm <= SPINE_HALF_WIDTH_MM) & (rows > center_row[:, None, None])
    return grown(spine, SPINE_CLEARANCE_MM, scan.pixel_mm)


def grown(mask: Mask, by_mm: float, pixel_mm: float) -> Mask:
    """The mask and what lies within ``by_mm`` of it in plane, to the nearest voxel; (slices, rows, columns) or a slice.

    Steps to 4 and to 8 neighbours in turn reach an octagon: a disc to within 8 %, for less than a distance transform.
    """
    for step in range(round(by_mm / pixel_mm)):
        mask = _widened(mask, diagonal=step % 2 == 1)
    return mask


def _widened(mask: Mask, *, diagonal: bool) -> Mask:
    """The mask and its 4 or 8 neighbours in plane; ten times as fast as ``ndimage.binary_dilation`` on small grids."""
    wide = mask.copy()
    wide[..., 1:, :] |= mask[..., :-1, :]
    wide[..., :-1, :] |= mask[..., 1:, :]
    source = wide.copy() if diagonal else mask
    wide[..., 1:] |= source[..., :-1]
    wide[..., :-1] |= source[..., 1:]
    return wide


def _opened(mask: Mask, radius_mm: float, scan: CoarseScan) -> Mask:
    """What a disc of that radius can reach without leaving the mask, in each slice; the grid's outside is not mask."""
    rim = round(radius_mm / scan.pixel_mm) + 1
    padded = np.pad(mask, ((0, 0), (rim, rim), (rim, rim)))
    reached = grown(~grown(~padded, radius_mm, scan.pixel_mm), radius_mm, scan.pixel_mm)
    return reached[:, rim:-rim, rim:-rim] & mask


def _followed(thick: Mask, lungs: Mask, midline: float, scan: CoarseScan) -> Mask:
    """The heart: from its widest slice that is free of liver, down to the diaphragm and up to the great vessels.

    Raises ``Refusal`` where no slice holds a heart's cross-section.
    """
    seed, widest = _widest_free_of_liver(thick, lungs, midline, scan)
    heart = np.zeros(thick.shape, bool)
    heart[seed] = widest
    right_of_heart = _extent(widest, 1).start - round(RIGHT_SLACK_MM / scan.spacing_mm[2])
    bottom = seed
    for index in range(seed - 1, -1, -1):
        part = _continued(heart[index + 1], thick[index], scan)
        part[:, : max(0, right_of_heart)] = False
        if _lung_share(part, index, lungs, scan) < DIAPHRAGM_LUNG_SHARE:
            break
        heart[index], bottom = part, index
    highest = bottom + round(MAX_HEART_MM / scan.spacing_mm[0])
    for index in range(seed + 1, min(len(thick), highest)):
        part = _continued(heart[index - 1], thick[index], scan)
        if np.count_nonzero(part) < TOP_AREA_SHARE * np.count_nonzero(widest):
            break
        heart[index] = part
    return heart


def _widest_free_of_liver(thick: Mask, lungs: Mask, midline: float, scan: CoarseScan) -> tuple[int, NDArray[np.bool_]]:
    """The slice, and in it the part, of the largest cross-section with lung at its back that reaches not far right."""
    furthest_right = midline - HEART_RIGHT_SHARE * lungs.shape[2]
    largest = [_largest(plane) for plane in thick]
    area_cm2 = np.array([np.count_nonzero(part) for part in largest]) * scan.spacing_mm[1] * scan.spacing_mm[2] / 100.0
    for index in np.argsort(-area_cm2, kind="stable").tolist():
        if area_cm2[index] < MIN_SEED_CM2:
            break
        left_of_liver = _extent(largest[index], 1).start >= furthest_right
        if left_of_liver and _lung_share(largest[index], index, lungs, scan) >= DIAPHRAGM_LUNG_SHARE:
            return index, largest[index]
    raise _not_found("between the lungs lies nothing of the size of a heart")


def _largest(mask: Mask) -> Mask:
    """The largest connected part; empty where the mask is."""
    found = parts(mask, neighbours=6)
    return found.mask_of(np.arange(found.count) == (found.sizes.argmax() if found.count else 0))


def _continued(before: NDArray[np.bool_], thick: NDArray[np.bool_], scan: CoarseScan) -> NDArray[np.bool_]:
    """The part of the next slice that continues the heart; empty where there is none."""
    near = grown(before, max(GROWTH_PER_MM * scan.spacing_mm[0], scan.pixel_mm), scan.pixel_mm) & thick
    found = parts(near, neighbours=4)
    if not found.count:
        return near
    overlap = np.bincount(found.number, before.ravel()[found.voxel], minlength=found.count)
    return found.mask_of(np.arange(found.count) == overlap.argmax())


def _lung_share(part: NDArray[np.bool_], index: int, lungs: Mask, scan: CoarseScan) -> float:
    """How much of what surrounds a part of a slice, behind its centre, is lung; in front lies the chest wall.

    Air that is not lung counts neither way: it lies outside of the field of view.
    """
    if not part.any():
        return 0.0
    rows, _ = np.nonzero(part)
    ring = grown(part, RING_MM[1], scan.pixel_mm) & ~grown(part, RING_MM[0], scan.pixel_mm)
    ring[: round(float(rows.mean()))] = False
    ring &= lungs[index] | (scan.hu[index] > TISSUE_ABOVE_HU)
    return float(np.mean(lungs[index][ring])) if ring.any() else 0.0


def _to_full_grid(heart: Mask, box: tuple[slice, slice, slice], scan: CoarseScan, shape: tuple[int, int, int]) -> Mask:
    """The mask on the scan's voxels, its border interpolated linearly between those of the coarse grid."""
    full = np.zeros(shape, bool)
    if not heart.any():
        return full
    coarse = heart.astype(np.float32)
    slices, rows, columns = (
        _interpolation(_extent(heart, axis), heart.shape[axis], box[axis].start or 0, scan.block[axis], shape[axis])
        for axis in range(3)
    )
    for index, below, above, part in zip(range(*slices.span.indices(shape[0])), *slices.weights, strict=True):
        level = coarse[below] * (1 - part) + coarse[above] * part
        level = rows.apply(columns.apply(level.T).T)
        full[index, rows.span, columns.span] = level >= 0.5
    return full


@dataclass(frozen=True, eq=False, slots=True)
class _Interpolation:
    """Along one axis: the span of the full grid that holds the mask, and how coarse voxels fill it."""

    span: slice
    weights: tuple[NDArray[np.int64], NDArray[np.int64], Floats32]
    """Of each full voxel: the coarse ones before and after it, and how far it lies from the first to the second."""

    def apply(self, level: Floats32) -> Floats32:
        """Interpolate along the first axis; plain sums, since small matrix products stall on busy cores."""
        below, above, part = self.weights
        return level[below] * (1 - part[:, None]) + level[above] * part[:, None]


def _interpolation(extent: slice, coarse: int, start: int, block: int, full: int) -> _Interpolation:
    """``coarse`` voxels, from the ``start``-th block of the scan, hold the mask in ``extent``."""
    reaches_end = (extent.stop + start + 1) * block > full - block
    span = slice(max(0, (extent.start + start - 1) * block), full if reaches_end else (extent.stop + start + 1) * block)
    position = np.clip((np.arange(span.start, span.stop) + 0.5) / block - 0.5 - start, 0, coarse - 1)
    below = np.floor(position).astype(np.int64)
    return _Interpolation(span, (below, np.minimum(below + 1, coarse - 1), (position - below).astype(np.float32)))


def _checked(heart: HeartMask) -> HeartMask:
    if not HEART_ML[0] <= heart.volume_ml <= HEART_ML[1]:
        raise _not_found(f"what lies between the lungs has {heart.volume_ml:.0f} mL, no heart's volume")
    return heart
