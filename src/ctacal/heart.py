"""``find_heart``: a ``Volume`` -> the ``HeartMask``, by morphology alone; nothing is trained.

The steps: body -> lungs (air inside the body) -> chest cavity (the convex hull of both lungs) -> mediastinum (the
tissue in it) -> its thick part -> followed down to the diaphragm and up to the great vessels. All of it happens on a
grid of about 4 mm, so that the scan itself is read only once.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ctacal.arrays import Box, Floats32, Ints, Mask
from ctacal.components import parts
from ctacal.errors import Code, Refusal
from ctacal.geometry import Geometry
from ctacal.morphology import (
    convex_hulls,
    extent,
    grown,
    grown_along_slices,
    large_parts,
    largest_part,
    opened,
    widened,
)
from ctacal.volume import Volume, block_sums

COARSE_MM = 4.0
"""Voxel size of the search grid: finer than any structure that is searched for, coarse enough to average noise away
(own choice)."""

TISSUE_ABOVE_HU = -300.0
"""Fat, muscle and blood are brighter, blurred borders of lung darker (own choice)."""

LUNG_BELOW_HU = -500.0
"""Aerated lung is darker (own choice, halfway between lung and soft tissue)."""

BONE_ABOVE_HU = 90.0
"""Bone and rib cartilage are brighter on average over a voxel of 4 mm, unenhanced soft tissue is darker (own
choice)."""

ENHANCED_BONE_ABOVE_HU = 400.0
"""The same where blood is enhanced, which rarely reads more on a CT of the chest; thin bone is lost (own choice)."""

MIN_BONE_ML = 10.0
"""Smallest volume of a bone: more than any coronary plaque, less than the bones in view, which are connected (own
choice)."""

MIN_AIR_ML = 100.0
"""Smallest volume of lung: smaller pockets of air inside the body are bowel, stomach or airways (own choice)."""

MIN_LUNG_ML = 150.0
"""Smallest volume of lung on each side; a scan that is only as long as a heart holds more (own choice)."""

CAVITY_REACH_MM = 15.0
"""Lung up to this far above and below a slice outlines its chest cavity: the chest wall hardly changes over this
distance (own choice)."""

SPINE_HALF_WIDTH_MM = 40.0
"""Bone within this distance of the mid-line, in the back half of the cavity, is spine or rib head (own choice)."""

SPINE_CLEARANCE_MM = 8.0
"""Tissue within this distance of the spine is not heart: the descending aorta lies there (own choice)."""

OPENING_SHARE = 0.06
"""Radius of the opening that removes vessels, oesophagus and descending aorta, as a share of the chest's width (own
choice; 16 mm in an adult)."""

HEART_RIGHT_SHARE = 0.27
"""Furthest distance of the heart's right border from the mid-line, as a share of the chest's width: what reaches
further is merged with the liver (own choice; 75 mm in an adult)."""

MIN_SEED_CM2 = 40.0
"""Smallest cross-section of the widest slice of a heart (own choice)."""

GROWTH_PER_MM = 1.2
"""Largest widening of the heart's outline from slice to slice, in mm per mm: a slope of about 50 degrees (own
choice)."""

RIGHT_SLACK_MM = 10.0
"""Below its widest slice the heart reaches at most this much further right; more is liver (own choice)."""

TOP_AREA_SHARE = 0.5
"""Above the widest slice, the great vessels begin at the first cross-section below this share of the widest (own
choice)."""

DIAPHRAGM_LUNG_SHARE = 0.3
"""Smallest share of lung in the surroundings of the heart, behind its centre; with less, the abdomen begins (own
choice)."""

RING_MM = (4.0, 16.0)
"""Distances from the heart's border between which its surroundings lie (own choice)."""

MAX_HEART_MM = 140.0
"""Largest height of a heart, from apex to pulmonary trunk (own choice)."""

MARGIN_MM = 4.0
"""Margin that is added all round: the 4 mm grid loses the border, and the coronaries run in it (own choice)."""

TONGUE_MM = 12.0
"""Radius of the opening that cuts off tongues of the mask between ribs (own choice)."""

HEART_ML = (200.0, 2500.0)
"""Range of a heart's volume; a mask outside of it is no heart, or too little of one (own choice)."""


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
    def bounding_box(self) -> Box:
        """The smallest box that holds the heart; three empty slices if there is none."""
        slices = extent(self.mask, 0)
        in_plane = self.mask[slices]
        return slices, extent(in_plane, 1), extent(in_plane, 2)

    @property
    def touches_first_slice(self) -> bool:
        """Whether the scan cuts the heart off towards the feet."""
        return bool(self.mask[0].any())

    @property
    def touches_last_slice(self) -> bool:
        """Whether the scan cuts the heart off towards the head."""
        return bool(self.mask[-1].any())

    @property
    def mm_to_the_ends(self) -> float:
        """Distance from the heart to the nearer end of the scan."""
        slices, *_ = self.bounding_box
        return float(min(slices.start, len(self.mask) - slices.stop) * self.geometry.slice_spacing_mm)

    @property
    def volume_ml(self) -> float:
        """Volume of the mask."""
        return float(np.count_nonzero(self.mask)) * self.geometry.voxel_volume_mm3 / 1000.0


@dataclass(frozen=True, eq=False, slots=True)
class CoarseScan:
    """The scan in blocks of about ``COARSE_MM``: block means, their spacing, and voxels per block along each axis."""

    hu: Floats32
    spacing_mm: tuple[float, float, float]
    block: tuple[int, int, int]

    @property
    def pixel_mm(self) -> float:
        """In-plane spacing between rows."""
        return self.spacing_mm[1]


def find_heart(volume: Volume, *, bone_above_hu: float = BONE_ABOVE_HU) -> HeartMask:
    """Find the heart in a canonical volume (slices to the head, rows to posterior, columns to the left).

    ``bone_above_hu`` is raised (``ENHANCED_BONE_ABOVE_HU``) where blood with contrast medium would pass for bone.
    Raises ``Refusal`` (``HEART_NOT_FOUND``) if there is no body, no pair of lungs, or nothing like a heart between.
    """
    scan = coarsened(volume)
    body = _body(scan)
    lungs = _lungs(scan, body)
    bone = large_parts(scan.hu > bone_above_hu, MIN_BONE_ML, scan.spacing_mm)
    box = (slice(None), extent(lungs, 1), extent(lungs, 2))
    scan, lungs = CoarseScan(scan.hu[box], scan.spacing_mm, scan.block), lungs[box]
    bone = widened(bone[box], diagonal=True)
    cavity = _chest_cavity(lungs, scan)
    midline = _midline(lungs)
    mediastinum = cavity & (scan.hu > TISSUE_ABOVE_HU) & ~_spine_zone(bone, cavity, midline, scan)
    thick = opened(mediastinum & ~bone, OPENING_SHARE * lungs.shape[2] * scan.spacing_mm[2], scan.pixel_mm)
    heart = _followed(thick, lungs, midline, scan)
    heart = opened(grown(heart, MARGIN_MM, scan.pixel_mm) & cavity & ~bone, TONGUE_MM, scan.pixel_mm)
    return _checked(HeartMask(_to_full_grid(heart, box, scan, volume.geometry.shape), volume.geometry))


def coarsened(volume: Volume) -> CoarseScan:
    """Average a volume over blocks of about ``COARSE_MM``.

    It is done slice by slice, so that a slice stays in the cache. Sums are exact, so that int16 and float32 give the
    same.
    """
    spacing_mm = volume.geometry.spacing_mm
    block = tuple(min(n, max(1, round(COARSE_MM / mm))) for n, mm in zip(volume.hu.shape, spacing_mm, strict=True))
    slices, rows, columns = (n // b for n, b in zip(volume.hu.shape, block, strict=True))
    total = np.zeros((slices, rows, columns), np.float32)
    for index, plane in enumerate(volume.hu[: slices * block[0]]):
        total[index // block[0]] += block_sums(plane, (block[1], block[2]))
    total /= float(np.prod(block))
    spacing = (spacing_mm[0] * block[0], spacing_mm[1] * block[1], spacing_mm[2] * block[2])
    return CoarseScan(total, spacing, (block[0], block[1], block[2]))


def _not_found(finding: str) -> Refusal:
    return Refusal(Code.HEART_NOT_FOUND, f"{finding}; score a CT that shows the heart between both lungs")


def _body(scan: CoarseScan) -> Mask:
    """Return the largest part of the scan that is not air, without the table (thin, so that erosion removes it).

    Raises ``Refusal`` if there is none, or if it ends inside the scan at both ends, as no patient does.
    """
    tissue = scan.hu > TISSUE_ABOVE_HU
    core = largest_part(~widened(~tissue, diagonal=False))
    if not core.any():
        raise _not_found("the scan shows no body")
    body = widened(widened(core, diagonal=False), diagonal=False) & tissue
    per_slice = body.sum(axis=(1, 2))
    if max(per_slice[0], per_slice[-1]) < 0.1 * np.median(per_slice[per_slice > 0]):
        raise _not_found("the scanned object ends inside the scan at both ends: a phantom, not a patient")
    return body


def _lungs(scan: CoarseScan, body: Mask) -> Mask:
    """Return the air with body in front of it and behind it, in large parts, on both sides.

    Front and back suffice: a field of view that cuts off the sides of the chest leaves the lungs open sideways.
    """
    in_front = np.maximum.accumulate(body, axis=1)
    behind = np.maximum.accumulate(body[:, ::-1], axis=1)[:, ::-1]
    lungs = large_parts((scan.hu < LUNG_BELOW_HU) & in_front & behind, MIN_AIR_ML, scan.spacing_mm)
    if not lungs.any():
        raise _not_found("the scan shows no lungs")
    voxel_ml = float(np.prod(scan.spacing_mm)) / 1000.0
    middle = round(_midline(body))
    if min(lungs[:, :, :middle].sum(), lungs[:, :, middle:].sum()) * voxel_ml < MIN_LUNG_ML:
        raise _not_found("the scan does not show lung on both sides")
    return lungs


def _midline(mask: Mask) -> float:
    """Return the column halfway between the outer borders of the lungs, or of the body."""
    columns = extent(mask, 2)
    return float(columns.start + columns.stop - 1) / 2


def _chest_cavity(lungs: Mask, scan: CoarseScan) -> Mask:
    """Return the convex hull, in each slice, of both lungs as they are within ``CAVITY_REACH_MM`` above and below."""
    slab = grown_along_slices(lungs, round(CAVITY_REACH_MM / scan.spacing_mm[0]))
    return convex_hulls(slab, scan.spacing_mm[1:])


def _spine_zone(bone: Mask, cavity: Mask, midline: float, scan: CoarseScan) -> Mask:
    """Return the bone near the mid-line in the back half of the cavity, and all within ``SPINE_CLEARANCE_MM`` of it."""
    columns_mm = np.abs(np.arange(bone.shape[2]) - midline) * scan.spacing_mm[2]
    rows = np.arange(bone.shape[1])[None, :, None]
    center_row = (cavity * rows).sum(axis=(1, 2)) / np.maximum(1, cavity.sum(axis=(1, 2)))
    spine = bone & (columns_mm <= SPINE_HALF_WIDTH_MM) & (rows > center_row[:, None, None])
    return grown(spine, SPINE_CLEARANCE_MM, scan.pixel_mm)


def _followed(thick: Mask, lungs: Mask, midline: float, scan: CoarseScan) -> Mask:
    """Follow the heart from its widest slice that is free of liver, down to the diaphragm and up to the great vessels.

    Raises ``Refusal`` if no slice holds a heart's cross-section.
    """
    seed, widest = _widest_free_of_liver(thick, lungs, midline, scan)
    heart = np.zeros(thick.shape, bool)
    heart[seed] = widest
    furthest_right = extent(widest, 1).start - round(RIGHT_SLACK_MM / scan.spacing_mm[2])
    bottom = seed
    for index in range(seed - 1, -1, -1):
        part = _continued(heart[index + 1], thick[index], scan)
        part[:, : max(0, furthest_right)] = False
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


def _widest_free_of_liver(thick: Mask, lungs: Mask, midline: float, scan: CoarseScan) -> tuple[int, Mask]:
    """Return the slice with the largest cross-section that has lung behind it and does not reach far right, and it."""
    furthest_right = midline - HEART_RIGHT_SHARE * lungs.shape[2]
    largest = [largest_part(plane) for plane in thick]
    area_cm2 = np.array([np.count_nonzero(part) for part in largest]) * scan.spacing_mm[1] * scan.spacing_mm[2] / 100.0
    for index in np.argsort(-area_cm2, kind="stable").tolist():
        if area_cm2[index] < MIN_SEED_CM2:
            break
        left_of_liver = extent(largest[index], 1).start >= furthest_right
        if left_of_liver and _lung_share(largest[index], index, lungs, scan) >= DIAPHRAGM_LUNG_SHARE:
            return index, largest[index]
    raise _not_found("nothing between the lungs has the size of a heart")


def _continued(before: Mask, thick: Mask, scan: CoarseScan) -> Mask:
    """Return the part of the next slice that continues the heart; empty if there is none."""
    near = grown(before, max(GROWTH_PER_MM * scan.spacing_mm[0], scan.pixel_mm), scan.pixel_mm) & thick
    found = parts(near, neighbours=4)
    if not found.count:
        return near
    overlap = np.bincount(found.number, before.ravel()[found.voxel], minlength=found.count)
    return found.mask_of(np.arange(found.count) == overlap.argmax())


def _lung_share(part: Mask, index: int, lungs: Mask, scan: CoarseScan) -> float:
    """Return the share of lung in the surroundings of a part of a slice, behind its centre (in front is chest wall).

    Air that is not lung counts neither way: it lies outside of the field of view.
    """
    if not part.any():
        return 0.0
    rows, _ = np.nonzero(part)
    ring = grown(part, RING_MM[1], scan.pixel_mm) & ~grown(part, RING_MM[0], scan.pixel_mm)
    ring[: round(float(rows.mean()))] = False
    ring &= lungs[index] | (scan.hu[index] > TISSUE_ABOVE_HU)
    return float(np.mean(lungs[index][ring])) if ring.any() else 0.0


def _to_full_grid(heart: Mask, box: Box, scan: CoarseScan, shape: tuple[int, int, int]) -> Mask:
    """Return the mask on the scan's voxels, its border interpolated linearly between the voxels of the coarse grid."""
    full = np.zeros(shape, bool)
    if not heart.any():
        return full
    coarse = heart.astype(np.float32)
    slices, rows, columns = (
        _interpolation(extent(heart, axis), heart.shape[axis], box[axis].start or 0, scan.block[axis], shape[axis])
        for axis in range(3)
    )
    for index, below, above, fraction in zip(range(*slices.span.indices(shape[0])), *slices.weights, strict=True):
        level = coarse[below] * (1 - fraction) + coarse[above] * fraction
        level = rows.apply(columns.apply(level.T).T)
        full[index, rows.span, columns.span] = level >= 0.5
    return full


@dataclass(frozen=True, eq=False, slots=True)
class _Interpolation:
    """Along one axis: the span of the full grid that holds the mask, and how coarse voxels fill it."""

    span: slice
    weights: tuple[Ints, Ints, Floats32]
    """For each full voxel: the coarse voxels before and after it, and how far it lies from the first to the second."""

    def apply(self, level: Floats32) -> Floats32:
        """Interpolate along the first axis; plain sums, since small matrix products stall on busy cores."""
        below, above, fraction = self.weights
        return level[below] * (1 - fraction[:, None]) + level[above] * fraction[:, None]


def _interpolation(occupied: slice, coarse: int, start: int, block: int, full: int) -> _Interpolation:
    """Return how an axis of ``full`` voxels is filled from ``coarse`` ones, of which the mask occupies a range.

    The coarse voxels begin with the ``start``-th block of the scan.
    """
    stop = (occupied.stop + start + 1) * block
    span = slice(max(0, (occupied.start + start - 1) * block), full if stop > full - block else stop)
    position = np.clip((np.arange(span.start, span.stop) + 0.5) / block - 0.5 - start, 0, coarse - 1)
    below = np.floor(position).astype(np.int64)
    return _Interpolation(span, (below, np.minimum(below + 1, coarse - 1), (position - below).astype(np.float32)))


def _checked(heart: HeartMask) -> HeartMask:
    if not HEART_ML[0] <= heart.volume_ml <= HEART_ML[1]:
        raise _not_found(f"the tissue between the lungs has {heart.volume_ml:.0f} mL, not the volume of a heart")
    return heart
