"""Words -> stored values: Bits Stored, High Bit and the sign applied in one place, whatever the pixels were stored as.

Bits outside Bits Stored may hold anything, such as an overlay (PS3.5 section 8.1.1), and are dropped. But headers lie:
if the image is torn where words exceed Bits Stored, or where a sign begins, these bits belong to the image.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats, Mask
from ctacal.dicom.header import Slice
from ctacal.errors import Code, Refusal

PADDING_HU = -1024
"""Value that padding, and anything darker, gets: as dark as air, so that it can never score."""

_MAX_STEP_HU = 500
"""Largest median step, at the border of words that exceed Bits Stored, of an image that is whole without their high
bits (own choice: noise and edges of tissue give 10 to 200, metal that wraps round to dark gives above 1,000)."""

_MAX_METAL_STEP_HU = 1000
"""Largest median step at the border of metal that is read rightly (own choice)."""

_MAX_STEPS = 20_000
"""Number of steps that are enough for a median."""


class StoredFrame(NamedTuple):
    """A frame as its decoder gives it."""

    words: NDArray[Any]
    """(rows, columns), unsigned, 8, 16 or 32 bits."""
    bits: int
    """Number of bits that the code stream holds; the sign can lie no higher."""
    remark: str = ""
    """How the pixel data differ from what the header says, if they were read all the same; else empty."""
    is_lossy: bool = False
    """Whether the code stream is one that loses something."""


class StoredValues(NamedTuple):
    """Values that Rescale Slope and Intercept apply to."""

    values: NDArray[Any]
    remarks: tuple[str, ...] = ()
    """How the pixels differ from their header."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the value lies in a word of ``container`` bits."""

    container: int
    stored: int
    high: int
    signed: bool

    @property
    def range(self) -> tuple[int, int]:
        """Lowest and highest stored value."""
        return (-(1 << self.stored - 1), (1 << self.stored - 1) - 1) if self.signed else (0, (1 << self.stored) - 1)

    @property
    def is_shifted(self) -> bool:
        return self.high + 1 > self.stored


def stored_values(frame: StoredFrame, slice_: Slice) -> StoredValues:
    """Return the stored values of a frame; raises ``Refusal`` if neither reading of its high bits gives an image."""
    layout = _layout(frame, slice_)
    words = frame.words.astype(frame.words.dtype.newbyteorder("="), copy=False)
    if layout.signed:
        words = words.view(f"i{words.dtype.itemsize}")
        if layout.stored < frame.bits < layout.container:
            words = np.left_shift(words, layout.container - frame.bits) >> (layout.container - frame.bits)
    remarks = [frame.remark] if frame.remark else []
    if layout.is_shifted and words.min() >= 0 and words.max() < 1 << layout.stored:
        remarks.append(f"High Bit is {layout.high}, but the pixels use only the lowest {layout.stored} bits")
        layout = _Layout(layout.container, layout.stored, layout.stored - 1, layout.signed)
    if _fit(words, layout):
        return StoredValues(words, tuple(remarks))
    if _fit(swapped := words.byteswap(), layout):
        return StoredValues(swapped, (*remarks, "the bytes of the pixels are in the other order than the header says"))
    values = np.left_shift(words, layout.container - 1 - layout.high) >> (layout.container - layout.stored)
    if layout.is_shifted:
        return StoredValues(values, tuple(remarks))
    exceeds = _exceed(words, values, layout)
    if slice_.padding is not None:  # it is given in whole words (63536 in 12 bits)
        padding = (words >= slice_.padding[0]) & (words <= slice_.padding[1])
        values, exceeds = np.where(padding, words, values), exceeds & ~padding
    remark = _reading_of_high_bits(words, values, exceeds, slice_, layout)
    if remark:
        return StoredValues(words, (*remarks, remark))
    if exceeds.any() and not _only_sign_in_question(words, layout):
        remarks.append(f"pixels hold bits beyond Bits Stored ({layout.stored}); they were left out, as an overlay's")
    return StoredValues(values, tuple(remarks))


def _fit(words: NDArray[Any], layout: _Layout) -> bool:
    """Whether the words are values already: no bit is used beyond Bits Stored, and signs are extended."""
    lowest, highest = layout.range
    return bool(not layout.is_shifted and lowest <= words.min() and words.max() <= highest)


def _exceed(words: NDArray[Any], values: NDArray[Any], layout: _Layout) -> Mask:
    """Whether each word uses bits beyond Bits Stored; if none does, whether its sign is not extended."""
    if layout.signed:
        above = words >> layout.stored
        beyond = (above != 0) & (above != -1)
        if beyond.any():
            return np.asarray(beyond)
    return np.asarray(values != words)


def _layout(frame: StoredFrame, slice_: Slice) -> _Layout:
    """Return what the header says as far as it is possible: values out of range are ignored, as others do."""
    container = 8 * frame.words.dtype.itemsize
    signed = bool(slice_.is_signed)
    stored = slice_.bits_stored or 0
    if not 0 < stored <= container:
        stored = container
    high = slice_.high_bit or 0
    if signed and frame.bits < stored:
        stored, high = frame.bits, 0
    return _Layout(container, stored, high if stored <= high < container else stored - 1, signed)


def _reading_of_high_bits(
    words: NDArray[Any], values: NDArray[Any], exceeds: Mask, slice_: Slice, layout: _Layout
) -> str:
    """Return empty if the image is whole without the high bits, else why the whole words are the image.

    Raises ``Refusal`` if the image is whole in neither way.
    """
    without = _median_step_hu(_hu(values, slice_), exceeds)
    if without <= _MAX_STEP_HU:
        return ""
    whole = _median_step_hu(_hu(words, slice_), exceeds)
    if _only_sign_in_question(words, layout):
        darkest = float(np.median(values[exceeds])) * _slope(slice_) + _intercept(slice_)
        if whole < without or darkest < PADDING_HU:
            return "the header says signed pixels, but they are unsigned: bright pixels would turn darker than air"
        return ""
    if whole < without and whole <= _MAX_METAL_STEP_HU:
        return f"Bits Stored is {slice_.bits_stored}, but bright pixels use more bits; all bits were read"
    raise Refusal(
        Code.HU_OUT_OF_RANGE,
        f"{slice_.source}: pixels hold values beyond Bits Stored ({slice_.bits_stored}) that are no overlay: the "
        f"header declares the bits or the sign of the pixels wrongly; export the series again from its source",
    )


def _only_sign_in_question(words: NDArray[Any], layout: _Layout) -> bool:
    """Whether no bit is used beyond Bits Stored, so that words are unsigned, or signed without extension."""
    return bool(layout.signed and words.min() >= 0 and words.max() < 1 << layout.stored)


def _median_step_hu(hu: Floats, exceeds: Mask) -> float:
    """Return the median step between neighbouring pixels of which one exceeds Bits Stored; 0 if there are none."""
    across = exceeds[:, 1:] != exceeds[:, :-1]
    down = exceeds[1:] != exceeds[:-1]
    steps = np.concatenate([np.abs(hu[:, 1:] - hu[:, :-1])[across], np.abs(hu[1:] - hu[:-1])[down]])
    return float(np.median(steps[:: max(1, len(steps) // _MAX_STEPS)])) if len(steps) else 0.0


def _hu(values: NDArray[Any], slice_: Slice) -> Floats:
    """Return Hounsfield units, none darker than air, since steps between padding and air mean nothing."""
    return np.maximum(values.astype(np.float64) * _slope(slice_) + _intercept(slice_), PADDING_HU)


def _slope(slice_: Slice) -> float:
    return 1.0 if slice_.rescale_slope is None else slice_.rescale_slope


def _intercept(slice_: Slice) -> float:
    return 0.0 if slice_.rescale_intercept is None else slice_.rescale_intercept
