"""Padding (PS3.3 C.7.5.1.1.2): what surrounds the image. A padding value inside the body gives a note.

Headers were seen whose padding value, or range, is a value of tissue or of calcium: applied as written, it would blank
the pixels that are to be scored.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Mask
from ctacal.components import Parts, parts
from ctacal.dicom.header import Slice
from ctacal.dicom.pixel_data.stored_values import PADDING_HU

MAX_PLAUSIBLE_HU = 31743
"""Largest value, of metal, on extended 16-bit CT scales (PS3.3 C.8.2.1 sets no limit; 2^15 - 1 - 1024 in practice)."""

_TISSUE_HU = -250
"""Smallest value of fat and soft tissue; a hole is padding that borders on tissue."""

_MIN_CLIPPED_HOLE = 10
"""Smallest hole, in pixels, where padding is as dark as clipped air: noise and streaks clip a few pixels in tissue."""

_MIN_TISSUE_BORDER = 0.5
"""Smallest share of a hole's neighbours that must be tissue: holes in gas are gas (own choice)."""


def blank_padding(hu: NDArray[Any], stored: NDArray[Any], slice_: Slice) -> str:
    """Set padding to ``PADDING_HU`` in place, in a slice (rows, columns); return a remark if it lies in the body."""
    if slice_.padding is None:
        return ""
    low, high = slice_.padding
    padded: Mask = stored == low if low == high else (stored >= low) & (stored <= high)
    if not padded.any():
        return ""
    ends = sorted(end * _slope(slice_) + _intercept(slice_) for end in (low, high))
    if ends[1] <= PADDING_HU or ends[0] > MAX_PLAUSIBLE_HU:
        hu[padded] = PADDING_HU
        return _hole_remark(padded, hu, 1 if ends[1] < PADDING_HU or ends[0] > 0 else _MIN_CLIPPED_HOLE)
    kept = _without_surroundings(padded) if low == high else padded & (hu > PADDING_HU) & (hu <= MAX_PLAUSIBLE_HU)
    hu[padded & ~kept] = PADDING_HU
    if (hu[kept] > _TISSUE_HU).any():
        return f"padding is declared from {ends[0]:.0f} to {ends[1]:.0f} HU, values of the body; those were kept"
    return ""


def _slope(slice_: Slice) -> float:
    return 1.0 if slice_.rescale_slope is None else slice_.rescale_slope


def _intercept(slice_: Slice) -> float:
    return 0.0 if slice_.rescale_intercept is None else slice_.rescale_intercept


def _without_surroundings(padded: Mask) -> Mask:
    """Return the padding that is not connected to a corner of the image.

    What surrounds a convex image, such as a circle, reaches a corner wherever it lies.
    """
    found = parts(padded, 4)
    kept = np.ones(found.count, bool)
    kept[found.number[np.isin(found.voxel, _corners(padded))]] = False
    return found.mask_of(kept)


def _corners(plane: Mask) -> tuple[int, ...]:
    return 0, plane.shape[1] - 1, plane.size - plane.shape[1], plane.size - 1


def _hole_remark(padded: Mask, hu: NDArray[Any], min_pixels: int) -> str:
    if not _borders_on_tissue(padded, hu):
        return ""
    inside = _without_surroundings(padded)
    found = parts(inside, 4)
    holes = (found.sizes >= min_pixels) & (_tissue_share(found, padded, hu) >= _MIN_TISSUE_BORDER)
    if not holes.any():
        return ""
    return "pixels inside the body are marked as padding; calcium there is not seen"


def _borders_on_tissue(padded: Mask, hu: NDArray[Any]) -> bool:
    """Whether padding that reaches no side of the image has tissue beside it, in every other row: quick."""
    border = np.flatnonzero(padded[::2, 1:] != padded[::2, :-1])  # far quicker than nonzero
    row, column = np.divmod(border, padded.shape[1] - 1)
    first, last = np.diff(row, prepend=-1) != 0, np.diff(row, append=-1) != 0
    inner = ~(first & padded[2 * row, 0] | last & padded[2 * row, -1])
    row, column = 2 * row[inner], column[inner]
    return bool((np.maximum(hu[row, column], hu[row, column + 1]) > _TISSUE_HU).any())


def _tissue_share(found: Parts, padded: Mask, hu: NDArray[Any]) -> NDArray[np.float64]:
    """Return the share of tissue among the neighbours of each part in its rows and columns."""
    rows, columns = np.unravel_index(found.voxel, padded.shape)
    tissue, border = np.zeros(found.count), np.full(found.count, 1e-9)
    for down, across in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        row, column = rows + down, columns + across
        within = (row >= 0) & (row < padded.shape[0]) & (column >= 0) & (column < padded.shape[1])
        row, column, number = row[within], column[within], found.number[within]
        outside = ~padded[row, column]
        border += np.bincount(number[outside], minlength=found.count)
        tissue += np.bincount(number[outside & (hu[row, column] > _TISSUE_HU)], minlength=found.count)
    return np.asarray(tissue / border)
