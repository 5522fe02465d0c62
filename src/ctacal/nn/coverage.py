"""``cut_off``: what of the heart lies outside of a scan, by what its ends cut through or lack. No torch."""

from collections.abc import Iterable, Iterator

import numpy as np

from ctacal.anatomy import HEART, Anatomy
from ctacal.errors import Code, Reason
from ctacal.heart import HeartMask
from ctacal.nn.anatomy_stage import AnatomyMap, without_stray
from ctacal.nn.plausibility import SEEN_ML

CUT_CM2 = 2.0
"""Smallest area of a structure in the first or last slice that means that the scan cuts it off: a dozen voxels (own
choice)."""

ENDS = {"lowest": 0, "highest": -1}

CHAMBERS = tuple(part for part in HEART if part is not Anatomy.PERICARDIAL_SPACE)

BEYOND_CHAMBERS_MM = 15.0
"""An end of the scan that lies further from all chambers cuts nothing: what looks like the space in the pericardium
there is fat of the mediastinum (own choice; simulated: the space reaches at most 10 mm beyond the chambers)."""

SOUGHT = (
    Anatomy.LEFT_VENTRICLE, Anatomy.RIGHT_VENTRICLE, Anatomy.LEFT_ATRIUM, Anatomy.RIGHT_ATRIUM, Anatomy.ASCENDING_AORTA,
)  # fmt: skip
"""What a scan of the whole heart shows: the arteries run in the grooves between the chambers, from the root."""


def cut_off(anatomy: AnatomyMap, heart: HeartMask) -> Reason | None:
    """Return the warning that the scan does not show the whole heart; None if it does."""
    lacks = "; ".join(filter(None, (missing(anatomy), _beyond_the_sides(heart))))
    return Reason(Code.HEART_CUT_OFF, f"{lacks}; calcium there is not counted") if lacks else None


def missing(anatomy: AnatomyMap) -> str | None:
    """Return what of the heart lies outside of the scan, in words; None if the scan shows all of it.

    >>> from ctacal.geometry import Geometry
    >>> probability = np.zeros((3, len(Anatomy), 8, 8), np.float32)
    >>> probability[:, Anatomy.LEFT_VENTRICLE] = 1
    >>> missing(AnatomyMap(probability, Geometry.from_spacing((3, 8, 8), (5.0, 4.0, 4.0)))).split("; ")[0]
    'the lowest slice cuts through the left ventricle'
    """
    found = [*_cut_through(anatomy), *_not_seen(anatomy)]
    return "; ".join(found) or None


def _cut_through(anatomy: AnatomyMap) -> Iterator[str]:
    slice_mm, row_mm, column_mm = anatomy.geometry.spacing_mm
    reach = int(BEYOND_CHAMBERS_MM / slice_mm) + 1
    chambers = without_stray(np.isin(anatomy.likeliest, CHAMBERS), anatomy.geometry)
    for (end, index), near in zip(ENDS.items(), (chambers[:reach], chambers[-reach:]), strict=True):
        if not near.any():
            continue
        inside = anatomy.likeliest[index][anatomy.in_heart[index]]
        counts = np.bincount(inside, minlength=len(Anatomy))
        cut = [part for part in HEART if counts[part] * row_mm * column_mm / 100 >= CUT_CM2]
        if cut:
            yield f"the {end} slice cuts through the {_listed(cut)}"


def _not_seen(anatomy: AnatomyMap) -> Iterator[str]:
    lacking = [part for part in SOUGHT if anatomy.volumes_ml[part] < SEEN_ML]
    if lacking:
        yield f"the scan does not show the {_listed(lacking)}"


def _beyond_the_sides(heart: HeartMask) -> str | None:
    """Return at which sides a field of view smaller than the heart cuts it off."""
    mask, (slice_mm, row_mm, column_mm) = heart.mask, heart.geometry.spacing_mm
    faces = {"front": (mask[:, 0], column_mm), "back": (mask[:, -1], column_mm),
             "right": (mask[:, :, 0], row_mm), "left": (mask[:, :, -1], row_mm)}  # fmt: skip
    cut = [side for side, (face, mm) in faces.items() if np.count_nonzero(face) * slice_mm * mm / 100 >= CUT_CM2]
    return f"the field of view cuts the heart off at its {' and '.join(cut)}" if cut else None


def _listed(parts: Iterable[Anatomy]) -> str:
    *most, last = [part.title for part in parts]
    return f"{', '.join(most)} and {last}" if most else last
