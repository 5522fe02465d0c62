"""``implausible``: why what an anatomy network calls a heart can be none. No torch.

The limits lie far outside of what 100 simulated patients show (docs/log.md, 2026-11-29), since a real heart may be ill,
cut off by the scan, or pushed aside by a collapsed lung; a rib or a shoulder fails several of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ctacal.anatomy import HEART, Anatomy
from ctacal.arrays import Floats32, Ints, Mask
from ctacal.geometry import Geometry
from ctacal.morphology import widened
from ctacal.nn.anatomy_stage import AnatomyMap
from ctacal.nn.grids import BODY_ABOVE_HU

MIN_VENTRICLE_ML = 30.0
"""Smallest volume found of each ventricle (own choice; simulated: 71 to 561 mL with the walls)."""

MAX_HEART_ML = 2500.0
"""Largest volume inside the pericardium (own choice; simulated: below 1500 mL)."""

PLACED_ML = 10.0
"""Smallest volume of a chamber whose place is judged (own choice)."""

MIN_LUNG_ML = 150.0
"""Smallest volume of lung in the slices of the heart: one lung may be collapsed (own choice; simulated: 1.1 L)."""

VENTRICLES = (Anatomy.LEFT_VENTRICLE, Anatomy.RIGHT_VENTRICLE)

ABOVE_VENTRICLES = (Anatomy.LEFT_ATRIUM, Anatomy.ASCENDING_AORTA)
"""What lies at the height of the ventricles' top and above."""

SEEN_ML = 5.0
"""Smallest volume of a structure that counts as seen (own choice; simulated: at least 12 mL)."""

BEYOND_MM = 50.0
"""A scan that reaches this far above the ventricles shows left atrium and ascending aorta (own choice)."""

DEPTH, SIDE = (0.05, 0.75), (0.18, 0.82)
"""Where the heart's centre may lie in the box of heart and lungs in its slices, from front to back, right to left
(own choice; simulated: 0.26 to 0.35, and 0.48 to 0.71, in that of the lungs). A collapsed lung leaves the heart at the
side of the box."""

SPINE_MM, SPINE_CM2 = 44.0, 5.0
"""Width of the column of most bone behind the heart, and its smallest area in a slice: the spine (own choice;
simulated and real scans: at least 15 cm2)."""

LEFT_OF_SPINE_MM, AORTA_CM2 = 14.0, 3.5
"""A heart whose middle lies further left of the spine is not mirrored, nor is a chest with more descending aorta behind
the heart in a slice (own choice; 4.2 cm2 or more; mirrored 12 mm and 3.3 cm2 or less; docs/log.md)."""

COLLAPSED = 0.4
"""A lung smaller than this share of the other has collapsed or is missing, and has drawn the heart to its side (own
choice)."""

CHANGE_MM, CHANGED_HU = 30.0, 100.0
"""Two places this far apart along the patient are different tissue if they differ by more HU (own choice): noise on the
coarse grid is far less."""

MIN_CHANGED = 0.1
"""Smallest share of the chest, in the slices of the heart, that differs over ``CHANGE_MM``, or over less in a short
scan (own choice; simulated and real scans: at least 0.17, and 0.14 over 10 mm; cylinders with a heart and lungs, laid
slightly askew: at most 0.07). Heart, lungs and diaphragm are no cylinders."""

FAT_HU, BONE_ABOVE_HU = (-140.0, -40.0), 150.0

MIN_FAT, MIN_BONE_CM2 = 0.03, 15.0
"""Share of the body that is fat, and area of bone in a slice, of which a chest shows at least one: a torso filled with
water shows neither (own choice; simulated and real scans: at least 0.08 and 25 cm2)."""


@dataclass(frozen=True, slots=True)
class Order:
    """The first structure lies at least ``mm`` further along an axis than the second: to the head, back or left."""

    first: Anatomy
    second: Anatomy
    axis: int
    mm: float
    words: str


ORDERS = (
    Order(Anatomy.LEFT_ATRIUM, Anatomy.LEFT_VENTRICLE, 0, 5.0, "the left atrium does not lie above the left ventricle"),
    Order(Anatomy.LEFT_ATRIUM, Anatomy.RIGHT_VENTRICLE, 1, 10.0,
          "the left atrium does not lie behind the right ventricle"),
    Order(Anatomy.LEFT_VENTRICLE, Anatomy.RIGHT_ATRIUM, 2, 20.0,
          "the left ventricle does not lie to the left of the right atrium"),
)  # fmt: skip
"""The order of the chambers, by their centres (own choice; simulated: at least 29, 33 and 57 mm)."""


def implausible(anatomy: AnatomyMap) -> str | None:
    """Return the first reason why the scan's anatomy is not that of a chest with a heart; None if there is none."""
    checks: tuple[Callable[[AnatomyMap], str | None], ...] = (_volumes, _phantom, _order, _complete, _place, _side)
    return next((reason for check in checks if (reason := check(anatomy))), None)


def _volumes(anatomy: AnatomyMap) -> str | None:
    ml = anatomy.volumes_ml
    for ventricle in VENTRICLES:
        if ml[ventricle] < MIN_VENTRICLE_ML:
            return f"{ml[ventricle]:.0f} mL of {ventricle.title} found, expected at least {MIN_VENTRICLE_ML:.0f}"
    heart_ml = sum(ml[structure] for structure in HEART)
    if heart_ml > MAX_HEART_ML:
        return f"{heart_ml:.0f} mL of heart found, expected at most {MAX_HEART_ML:.0f}"
    return None


def _phantom(anatomy: AnatomyMap) -> str | None:
    """A picture that is alike in all slices, or of water without fat or ribs, shows no chest."""
    if anatomy.hu is None:
        return None
    low, high = np.percentile(_places(np.isin(anatomy.likeliest, HEART))[0], (5, 95)).astype(int)
    hu, lung = anatomy.hu[low : high + 1], anatomy.likeliest[low : high + 1] == Anatomy.LUNG
    return _alike(hu, lung, anatomy.geometry) or _without_fat_and_bone(hu, anatomy.geometry)


def _alike(hu: Floats32, lung: Mask, grid: Geometry) -> str | None:
    step = min(round(CHANGE_MM / grid.slice_spacing_mm), len(hu) - 1)
    if step < 1:
        return None
    chest = (hu > BODY_ABOVE_HU) | lung
    both = chest[step:] & chest[:-step]
    differ = both & (np.abs(hu[step:] - hu[:-step]) > CHANGED_HU)
    share = np.median(differ.sum(axis=(1, 2)) / np.maximum(both.sum(axis=(1, 2)), 1))  # one pair may lie at an end
    if share >= MIN_CHANGED:
        return None
    return f"a phantom: {share:.0%} of the picture changes over {step * grid.slice_spacing_mm:.0f} mm along the table"


def _without_fat_and_bone(hu: Floats32, grid: Geometry) -> str | None:
    inside = ~widened(hu <= BODY_ABOVE_HU, diagonal=False)  # borders with lung and air read as fat
    fat = np.count_nonzero(inside & (hu > FAT_HU[0]) & (hu < FAT_HU[1])) / max(int(np.count_nonzero(inside)), 1)
    bone_cm2 = np.count_nonzero(hu > BONE_ABOVE_HU) / len(hu) * grid.pixel_area_mm2 / 100
    if fat >= MIN_FAT or bone_cm2 >= MIN_BONE_CM2:
        return None
    return f"a phantom: {fat:.0%} fat, and {bone_cm2:.0f} cm2 of bone in a slice"


def _order(anatomy: AnatomyMap) -> str | None:
    for order in ORDERS:
        if min(anatomy.volumes_ml[order.first], anatomy.volumes_ml[order.second]) < PLACED_ML:
            continue  # a scan may cut off an atrium
        first, second = (_middle(anatomy, part, order.axis) for part in (order.first, order.second))
        if (first - second) * anatomy.geometry.spacing_mm[order.axis] < order.mm:
            return order.words
    return None


def _complete(anatomy: AnatomyMap) -> str | None:
    """Ventricles alone are no heart if the scan shows what lies above them."""
    slices = np.flatnonzero(np.isin(anatomy.likeliest, VENTRICLES).any(axis=(1, 2)))
    beyond_mm = (len(anatomy.likeliest) - 1 - slices[-1]) * anatomy.geometry.slice_spacing_mm
    lacking = [part for part in ABOVE_VENTRICLES if anatomy.volumes_ml[part] < SEEN_ML]
    if beyond_mm >= BEYOND_MM and lacking:
        return f"no {lacking[0].title} found, though the scan reaches {beyond_mm:.0f} mm above the ventricles"
    return None


def _middle(anatomy: AnatomyMap, structure: Anatomy, axis: int) -> float:
    """Return the median place of a structure along slices, rows or columns: stray islands do not move it."""
    return float(np.median(_places(anatomy.likeliest == structure)[axis]))


def _places(mask: Mask) -> tuple[Ints, ...]:
    """Return the (slice, row, column) of a mask's voxels; by flat indices, which is faster than ``nonzero``."""
    return np.unravel_index(np.flatnonzero(mask), mask.shape)


def _place(anatomy: AnatomyMap) -> str | None:
    slices, *plane = _places(np.isin(anatomy.likeliest, HEART))
    rows, columns = (np.median(at) for at in plane)
    low, high = np.percentile(slices, (5, 95)).astype(int)
    part = anatomy.likeliest[low : high + 1]
    if np.count_nonzero(part == Anatomy.LUNG) * anatomy.geometry.voxel_volume_mm3 / 1000 < MIN_LUNG_ML:
        return "no lung beside the heart"
    _, *chest = _places(np.isin(part, (*HEART, Anatomy.LUNG)))
    (top, bottom), (right, left) = (np.percentile(at, (1, 99)) for at in chest)
    depth, side = (rows - top) / max(bottom - top, 1.0), (columns - right) / max(left - right, 1.0)
    if not (DEPTH[0] <= depth <= DEPTH[1] and SIDE[0] <= side <= SIDE[1]):
        return "what looks like a heart does not lie between the lungs"
    return None


def _side(anatomy: AnatomyMap) -> str | None:
    """In a mirrored picture neither the heart nor the descending aorta lies left of the spine. Stage 1 alone does not
    tell: it calls the left half of a mirrored heart left ventricle, and half an aorta is still found at the left. The
    heart alone does not tell either: it may hang in the middle, and a patient may lie turned (docs/log.md, 2026-12-01).
    """
    slices, rows, columns = _places(np.isin(anatomy.likeliest, HEART))
    low, high = np.percentile(slices, (5, 95)).astype(int)
    part, behind = anatomy.likeliest[low : high + 1], int(np.percentile(rows, 95))
    spine = _spine_column(part[:, behind:] == Anatomy.BONE, anatomy.geometry)
    if spine is None or (np.median(columns) - spine) * anatomy.geometry.spacing_mm[2] > LEFT_OF_SPINE_MM:
        return None
    aorta_cm2 = np.count_nonzero(part[:, behind:] == Anatomy.AORTA) / len(part) * anatomy.geometry.pixel_area_mm2 / 100
    if aorta_cm2 >= AORTA_CM2:
        return None
    lung = part == Anatomy.LUNG
    if np.count_nonzero(lung[..., :spine]) < COLLAPSED * np.count_nonzero(lung[..., spine:]):
        return None
    return "neither heart nor aorta lies left of the spine: the picture is mirrored, or the patient has dextrocardia"


def _spine_column(bone: Mask, geometry: Geometry) -> int | None:
    """Return the middle of the columns that hold most of the bone behind the heart; None if no spine is seen."""
    _, row_mm, column_mm = geometry.spacing_mm
    width = max(1, min(round(SPINE_MM / column_mm), bone.shape[2]))
    area_cm2 = np.convolve(bone.sum(axis=(0, 1)), np.ones(width), mode="same") * row_mm * column_mm / 100 / len(bone)
    spine = int(area_cm2.argmax())
    return spine if area_cm2[spine] >= SPINE_CM2 else None
