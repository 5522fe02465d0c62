"""Stored values to Hounsfield units, with proof that they are: padding masked, rescale required, range checked."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import HUArray
from ctacal.dicom.header import Slice, quiet_pydicom
from ctacal.dicom.pixels import stored_frames
from ctacal.dicom.source import close_archives
from ctacal.dicom.stack import Stack
from ctacal.errors import Code, Reason, Refusal

PADDING_HU = -1024
"""What padding, and anything darker than it, becomes: as dark as air, so that it can never score."""

MAX_PLAUSIBLE_HU = 31743
"""Extended 16-bit CT scales end here for metal (PS3.3 C.8.2.1 bounds none; 2^15 - 1 - 1024 in practice)."""

AIR_OR_LUNG_HU = (-1100, -400)
SOFT_TISSUE_HU = (-250, 250)
MIN_AIR_SHARE = 0.01
MIN_SOFT_TISSUE_SHARE = 0.03
"""A chest CT holds at least this share of each; checked on every scan, since corrupted files decode too."""

PEAK_HU = {"air": (-1030, -940), "soft tissue": (-130, 120)}
"""Where unscaled values must peak to prove that they are Hounsfield units already."""

MAX_MU_MAP_MATRIX = 128
_CORRELATION_STRIDE = 4
_METAL_HU = 1000
_MIN_SHARED_TISSUE = 0.05
_MAX_SHIFT_HU = 60
"""No anatomy moves the median of the tissue that a slice shares with its neighbours so far (own judgement)."""


def decode_hu(stack: Stack) -> tuple[HUArray, tuple[Reason, ...]]:
    """Hounsfield units (slices, rows, columns) of a stack, int16 where the rescale is whole-numbered, else float32.

    Raises ``Refusal``: pixels unreadable, no rescale, not HU, out of range, or a slice that fits no neighbour.
    """
    present = [one for one in stack.slices if one is not None]
    _require_rescale(present)
    whole = all(float(v).is_integer() for one in present for v in (_slope(one), _intercept(one)))
    hu: NDArray[Any] = np.empty(stack.geometry.shape, np.int16 if whole else np.float32)
    with quiet_pydicom():
        frames = stored_frames(present)
        for index, one in enumerate(stack.slices):
            if one is not None:
                hu[index] = _slice_hu(next(frames), one, whole=whole)
    close_archives()
    _interpolate_missing(hu, stack.slices)
    _require_coherent(hu, stack.slices)
    return hu, _require_hounsfield(hu, present)


def _slope(one: Slice) -> float:
    return 1.0 if one.rescale_slope is None else one.rescale_slope


def _intercept(one: Slice) -> float:
    return 0.0 if one.rescale_intercept is None else one.rescale_intercept


def _has_rescale(one: Slice) -> bool:
    return one.rescale_slope is not None and one.rescale_intercept is not None


def _require_rescale(slices: Sequence[Slice]) -> None:
    for one in slices:
        if one.has_modality_lut:
            raise Refusal(Code.NO_RESCALE, f"{one.source}: a Modality LUT instead of Rescale Slope / Intercept")
        if one.rescale_slope == 0:
            raise Refusal(Code.NO_RESCALE, f"{one.source}: Rescale Slope is 0")
    if len({_has_rescale(one) for one in slices}) > 1:
        raise Refusal(Code.NO_RESCALE, "Rescale Slope / Intercept are missing in some of the slices")


def _slice_hu(stored: NDArray[Any], one: Slice, *, whole: bool) -> NDArray[Any]:
    hu: NDArray[Any] = stored.astype(np.int64 if stored.dtype.itemsize > 2 else np.int32 if whole else np.float32)
    if _slope(one) != 1:
        hu *= hu.dtype.type(_slope(one))
    hu += hu.dtype.type(_intercept(one))
    if one.padding is not None:
        hu[(stored >= one.padding[0]) & (stored <= one.padding[1])] = PADDING_HU
    np.maximum(hu, PADDING_HU, out=hu)
    if hu.max() > MAX_PLAUSIBLE_HU:
        message = f"{one.source}: {hu.max():.0f} HU; padding or the sign of the pixels is declared wrongly"
        raise Refusal(Code.HU_OUT_OF_RANGE, message)
    return hu


def _interpolate_missing(hu: NDArray[Any], slices: Sequence[Slice | None]) -> None:
    """Fill a missing slice with the mean of its two neighbours, in place; ``Stack`` allows no wider gap."""
    for index, one in enumerate(slices):
        if one is None:
            mean = (hu[index - 1].astype(np.float32) + hu[index + 1]) / 2
            hu[index] = np.rint(mean) if hu.dtype == np.int16 else mean


def _require_coherent(hu: NDArray[Any], slices: Sequence[Slice | None]) -> None:
    """Refuse a slice unlike both its neighbours, which are alike: a corrupted file that decodes without an error."""
    sample = hu[:, ::_CORRELATION_STRIDE, ::_CORRELATION_STRIDE].reshape(len(hu), -1)
    sample = np.minimum(sample, _METAL_HU).astype(np.float32)  # metal in one slice alone is no corruption
    misfit = _unlike_neighbours(sample) | _off_level(sample)
    for index in np.flatnonzero(misfit):
        one = slices[int(index)]
        name = one.source if one is not None else f"slice {index}"
        raise Refusal(Code.INCONSISTENT_SLICE, f"{name}: its image fits neither neighbour; copy the file again")


def _unlike_neighbours(sample: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Slices that are blank, or correlate with neither neighbour although these correlate with each other."""
    centred = sample - sample.mean(axis=1, keepdims=True)
    size = np.sqrt(np.einsum("ij,ij->i", centred, centred)) + 1e-6
    near = np.einsum("ij,ij->i", centred[:-1], centred[1:]) / (size[:-1] * size[1:])
    over = np.einsum("ij,ij->i", centred[:-2], centred[2:]) / (size[:-2] * size[2:])
    lost = (near[:-1] < 0.5 * over) & (near[1:] < 0.5 * over) & (over > 0.5)
    blank = size < 0.01 * np.median(size)
    blank_between = blank[1:-1] & ~blank[:-2] & ~blank[2:]  # slices of air beyond head or table are no fault
    return np.pad(lost | blank_between, 1)


def _off_level(sample: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Slices whose soft tissue has other values than in the two nearest: a corrupted Rescale Slope or Intercept."""
    soft = (sample >= SOFT_TISSUE_HU[0]) & (sample <= SOFT_TISSUE_HU[1])
    last = len(sample) - 1
    shift = np.zeros(len(sample))
    for index, plane in enumerate(sample):
        near, far = (index - 1, index + 1) if 0 < index < last else (abs(index - 1), abs(index - 2))
        shared = soft[near] & soft[far]
        if shared.mean() >= _MIN_SHARED_TISSUE:
            shift[index] = np.median(plane[shared] - (sample[near] + sample[far])[shared] / 2)
    size = np.abs(shift)
    return np.asarray((size > _MAX_SHIFT_HU) & (size == size.max()))


def _require_hounsfield(hu: NDArray[Any], slices: Sequence[Slice]) -> tuple[Reason, ...]:
    """Proof from the values that they are Hounsfield units; the notes say where they alone prove it."""
    sample = hu[::2, ::4, ::4]
    sample = sample[sample > PADDING_HU] if (sample > PADDING_HU).any() else sample
    air, soft = (_share(sample, *span) for span in (AIR_OR_LUNG_HU, SOFT_TISSUE_HU))
    if not _has_rescale(slices[0]):
        if all(
            low <= _peak(sample, *span) <= high for span, (low, high) in zip(_PEAK_SPANS, PEAK_HU.values(), strict=True)
        ):
            return (
                Reason(
                    Code.RESCALE_ASSUMED, "no Rescale Slope / Intercept; air and soft tissue lie where HU have them"
                ),
            )
        raise Refusal(Code.NO_RESCALE, "Rescale Slope / Intercept are missing, and the values are not Hounsfield units")
    if air < MIN_AIR_SHARE or soft < MIN_SOFT_TISSUE_SHARE:
        small = max(slices[0].rows, slices[0].columns) <= MAX_MU_MAP_MATRIX
        code = Code.MU_MAP if small and sample.min() >= 0 else Code.NOT_HU
        what = "an attenuation map" if code is Code.MU_MAP else "not Hounsfield units"
        raise Refusal(
            code,
            f"{what}: values {sample.min():.4g} to {sample.max():.4g}, {air:.1%} of them air, {soft:.1%} soft tissue",
        )
    return ()


_PEAK_SPANS = ((-1100, -700), (-200, 200))


def _share(sample: NDArray[Any], low: float, high: float) -> float:
    return float(np.mean((sample >= low) & (sample <= high)))


def _peak(sample: NDArray[Any], low: float, high: float) -> float:
    """The most frequent value between low and high, to 10 HU; NaN where fewer than 1 % lie there."""
    counts, edges = np.histogram(sample, bins=int((high - low) / 10), range=(low, high))
    return float(edges[counts.argmax()] + 5) if counts.sum() > 0.01 * sample.size else float("nan")
