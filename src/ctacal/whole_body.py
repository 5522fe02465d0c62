"""``part_to_read``: of a scan too large to be read whole, such as a whole body, the slices that hold the heart.

The scan is seen coarsely first (``dicom.overview``), so that memory does not grow with it, and only these slices are
read and decoded fully. What is measured on them is what would be measured on a scan of the chest alone.
"""

import math
from collections.abc import Callable

from ctacal.dicom.overview import decode_overview
from ctacal.dicom.stack import Stack
from ctacal.errors import Refusal
from ctacal.heart import ENHANCED_BONE_ABOVE_HU, find_heart
from ctacal.volume import Volume

LARGE_VOXELS = 2**26
"""Number of voxels above which a scan is seen coarsely first: 256 slices of 512 x 512, more than most chests, less than
most whole bodies; 128 MB as int16 (own choice)."""

MARGIN_MM = 50.0
"""What is read above and below the heart on the coarse view: lungs, and the context in which a predictor finds the
heart again; with it, the part is about as long as the CTAC of a heart study (own choice)."""

Locate = Callable[[Volume], slice]
"""Finds the slices of a canonical volume, coarse or not, that hold what is scored. Raises ``Refusal``."""


def heart_slices(volume: Volume) -> slice:
    """Return the slices that hold the heart, by morphology, also of an enhanced heart, which is to be refused as such.

    Raises ``Refusal`` (``HEART_NOT_FOUND``).
    """
    try:
        return find_heart(volume).bounding_box[0]
    except Refusal as refusal:
        try:
            return find_heart(volume, bone_above_hu=ENHANCED_BONE_ABOVE_HU).bounding_box[0]
        except Refusal:
            raise refusal from None


def part_to_read(stack: Stack, locate: Locate | None) -> Stack:
    """Return the part of a large stack around the slices that ``locate`` finds; the stack itself if it is not large.

    With None it is read whole. Raises ``Refusal``: what decoding or ``locate`` raises.
    """
    if locate is None or math.prod(stack.geometry.shape) <= LARGE_VOXELS:
        return stack
    overview = decode_overview(stack)
    try:
        found = locate(overview.volume)
    except Refusal:
        overview.require_hounsfield()  # the truer reason; whole bodies between much air may not prove it
        raise
    margin = round(MARGIN_MM / stack.geometry.slice_spacing_mm)
    first = max(0, found.start * overview.every - margin)
    stop = min(len(stack.slices), (found.stop - 1) * overview.every + 1 + margin)
    return stack.part(first, stop)
