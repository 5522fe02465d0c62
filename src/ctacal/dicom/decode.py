"""Stored values -> Hounsfield units, and the proof that they are: padding masked, rescale required, range checked."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats32, HUArray, Mask
from ctacal.dicom.files.source import close_archives
from ctacal.dicom.header import Slice, quiet_pydicom
from ctacal.dicom.pixel_data.padding import MAX_PLAUSIBLE_HU, blank_padding
from ctacal.dicom.pixel_data.pixels import stored_frames
from ctacal.dicom.pixel_data.seams import require_one_scan
from ctacal.dicom.pixel_data.stored_values import PADDING_HU, stored_values
from ctacal.dicom.pixel_data.transfer_syntaxes import LOSSY
from ctacal.dicom.stack import Stack
from ctacal.errors import Code, Reason, Refusal
from ctacal.volume import MAX_VOXELS

AIR_OR_LUNG_HU = (-1100, -400)
"""Range of air and lung."""

SOFT_TISSUE_HU = (-250, 250)
"""Range of fat, water and soft tissue."""

MIN_AIR_SHARE = 0.01
"""Smallest share of air and lung in a chest CT; checked on every scan, since corrupted files decode too."""

MIN_SOFT_TISSUE_SHARE = 0.03
"""Smallest share of soft tissue in a chest CT; checked on every scan."""

PEAK_SEARCH_HU = {"air": (-1100, -700), "soft tissue": (-200, 200)}
"""Ranges in which the most frequent value of air and of soft tissue is searched for."""

PEAK_HU = {"air": (-1030, -940), "soft tissue": (-130, 120)}
"""Ranges in which these most frequent values prove that unscaled values are Hounsfield units already."""

MAX_MU_MAP_MATRIX = 128
"""Largest matrix of an attenuation map; a larger image without Hounsfield units is reported as ``NOT_HU``."""

_SAMPLE_STRIDE = 4
"""Every fourth pixel of every fourth row is enough to compare slices."""

_METAL_HU = 1000
"""Values are cut off here before slices are compared: metal in one slice alone is no corruption."""

_BONE_HU, _GAP_BIN_HU, _MIN_GAP_HU = 130, 50, 300
"""Gaps in the values of bone, up to ``_METAL_HU``, are searched for in bins, and told from this width (own choice)."""

_MIN_BRIGHT_SHARE, _MIN_BRIGHT = 0.001, 300
"""Smallest share and number of pixels brighter than a gap: a piece of metal alone has few at its edges (own choice)."""

_MIN_SHARED_TISSUE = 0.05
"""Smallest share of a slice that must be soft tissue in both neighbours for their levels to be compared."""

_LOSSY = "stored with loss"
"""Remark on a slice whose transfer syntax or code stream says so."""

_MAX_SHIFT_HU = 60
"""Largest shift that anatomy gives the median of the tissue that a slice shares with its neighbours (own choice)."""


def decode_hu(stack: Stack) -> tuple[HUArray, tuple[Reason, ...]]:
    """Return the Hounsfield units (slices, rows, columns) of a stack, and notes on what was corrected or assumed.

    They are int16 if slope and intercept are whole numbers, else float32. Raises ``Refusal``: pixels unreadable, no
    rescale, not HU, out of range, too many voxels, or a slice that fits no neighbour.
    """
    _require_size(stack.geometry.shape)
    places = [index for index, slice_ in enumerate(stack.slices) if slice_ is not None]
    present = [slice_ for slice_ in stack.slices if slice_ is not None]
    hu: NDArray[Any] = np.empty(stack.geometry.shape, np.int16 if _are_whole(present) else np.float32)
    remarks: Counter[str] = Counter()
    for index, plane in zip(places, hu_of_slices(present, remarks.update), strict=True):
        hu[index] = plane
    close_archives()
    _interpolate_missing(hu, stack.slices)
    thinned = np.minimum(hu[:, ::_SAMPLE_STRIDE, ::_SAMPLE_STRIDE], _METAL_HU).astype(np.float32)
    seams = require_one_scan(thinned, stack.slices, stack.geometry.slice_spacing_mm)
    _require_coherent(thinned.reshape(len(hu), -1), stack.slices)
    return hu, (*_notes(remarks, present), *require_hounsfield(hu, present), *_gap_note(thinned), *seams)


def _notes(remarks: Mapping[str, int], slices: Sequence[Slice]) -> Iterator[Reason]:
    for remark, times in remarks.items():
        if remark == _LOSSY:
            message = f"{times} of {len(slices)} slices are stored with loss, which changes small lesions"
            yield Reason(Code.LOSSY_COMPRESSION, message)
            continue
        where = "" if times == len(slices) else f" (in {times} of {len(slices)} slices)"
        yield Reason(Code.PIXELS_UNLIKE_HEADER, remark + where)
    yield from _rescale_notes(slices)


def _gap_note(sample: Floats32) -> Iterator[Reason]:
    """Yield a note if values of bone are missing: at its edges some pixels always hold part of it (partial volume)."""
    bright = sample[sample >= _BONE_HU]
    counts = np.bincount(((bright - _BONE_HU) / _GAP_BIN_HU).astype(np.int64), minlength=1)
    above = np.cumsum(counts[::-1])[::-1]
    empty = (counts == 0) & (above >= max(_MIN_BRIGHT_SHARE * sample.size, _MIN_BRIGHT))
    widest = max((len(run) for run in "".join(".#"[int(bin_)] for bin_ in empty).split(".")), default=0)
    if widest * _GAP_BIN_HU >= _MIN_GAP_HU:
        gap = f"a range of {widest * _GAP_BIN_HU} HU between soft tissue and bright bone holds no pixel"
        yield Reason(Code.HU_GAP, f"{gap}, but many are brighter, which no scanner makes: values were altered")


def _rescale_notes(slices: Sequence[Slice]) -> Iterator[Reason]:
    found = Counter((_slope(slice_), _intercept(slice_)) for slice_ in slices)
    if len(found) > 1:
        (slope, intercept), times = found.most_common()[-1]
        message = f"{len(found)} different rescales in a series, such as slope {slope:g} and intercept {intercept:g}"
        yield Reason(Code.RESCALE_VARIES, f"{message} in {times} of {len(slices)} slices; all were applied as written")


def hu_of_slices(
    slices: Sequence[Slice], tell: Callable[[Iterable[str]], object] = lambda remarks: None
) -> Iterator[NDArray[Any]]:
    """Yield the Hounsfield units of each slice in turn, (rows, columns): integers if all rescales are whole numbers.

    ``tell`` is called with remarks on pixels that differ from their header, or were stored with loss. Raises
    ``Refusal``: pixels unreadable, out of range, or no rescale that gives HU.
    """
    _require_rescale(slices)
    whole = _are_whole(slices)
    with quiet_pydicom():
        for frame, slice_ in zip(stored_frames(slices), slices, strict=True):
            stored = stored_values(frame, slice_)
            hu, remark = _slice_hu(stored.values, slice_, whole=whole)
            lossy = _LOSSY if frame.is_lossy or slice_.transfer_syntax in LOSSY else ""
            tell((*stored.remarks, *filter(None, [remark, lossy])))
            yield hu


def _require_size(shape: tuple[int, int, int]) -> None:
    if math.prod(shape) > MAX_VOXELS:
        slices, rows, columns = shape
        raise Refusal(Code.TOO_LARGE, f"{slices} slices of {rows} x {columns} pixels")


def _are_whole(slices: Sequence[Slice]) -> bool:
    """Whether slope and intercept of every slice are whole numbers."""
    return all(float(v).is_integer() for slice_ in slices for v in (_slope(slice_), _intercept(slice_)))


def _slope(slice_: Slice) -> float:
    return 1.0 if slice_.rescale_slope is None else slice_.rescale_slope


def _intercept(slice_: Slice) -> float:
    return 0.0 if slice_.rescale_intercept is None else slice_.rescale_intercept


def _has_rescale(slice_: Slice) -> bool:
    return slice_.rescale_slope is not None and slice_.rescale_intercept is not None


def _missing_rescale(slice_: Slice) -> str:
    if slice_.rescale_slope is None and slice_.rescale_intercept is None:
        return "Rescale Slope and Rescale Intercept are missing"
    return f"Rescale {'Slope' if slice_.rescale_slope is None else 'Intercept'} is missing"


def _require_rescale(slices: Sequence[Slice]) -> None:
    for slice_ in slices:
        if slice_.has_modality_lut:
            raise Refusal(Code.NO_RESCALE, f"{slice_.source}: a Modality LUT instead of Rescale Slope / Intercept")
        if slice_.faults:
            raise Refusal(Code.NO_RESCALE, f"{slice_.source}: {'; '.join(slice_.faults)}")
        if slice_.rescale_slope == 0:
            raise Refusal(Code.NO_RESCALE, f"{slice_.source}: Rescale Slope is 0")
    if len({_has_rescale(slice_) for slice_ in slices}) > 1:
        raise Refusal(Code.NO_RESCALE, "Rescale Slope / Intercept are missing in some of the slices")


def _slice_hu(stored: NDArray[Any], slice_: Slice, *, whole: bool) -> tuple[NDArray[Any], str]:
    hu: NDArray[Any] = stored.astype(np.int64 if stored.dtype.itemsize > 2 else np.int32 if whole else np.float32)
    if _slope(slice_) != 1:
        hu *= hu.dtype.type(_slope(slice_))
    hu += hu.dtype.type(_intercept(slice_))
    remark = blank_padding(hu, stored, slice_)
    np.maximum(hu, PADDING_HU, out=hu)
    if hu.max() > MAX_PLAUSIBLE_HU:
        message = (
            f"{slice_.source}: {hu.max():.0f} HU; the header declares padding, sign or byte order of the pixels wrongly"
        )
        raise Refusal(Code.HU_OUT_OF_RANGE, message)
    return hu, remark


def _interpolate_missing(hu: NDArray[Any], slices: Sequence[Slice | None]) -> None:
    """Fill each missing slice with the mean of its two neighbours, in place; ``Stack`` allows no wider gap."""
    for index, slice_ in enumerate(slices):
        if slice_ is None:
            mean = (hu[index - 1].astype(np.float32) + hu[index + 1]) / 2
            hu[index] = np.rint(mean) if hu.dtype == np.int16 else mean


def _require_coherent(sample: Floats32, slices: Sequence[Slice | None]) -> None:
    """Refuse a slice unlike both neighbours that are alike themselves: a corrupted file that decodes without error."""
    misfit = _unlike_neighbours(sample) | _off_level(sample)
    for index in np.flatnonzero(misfit):
        slice_ = slices[int(index)]
        name = slice_.source if slice_ is not None else f"slice {index}"
        raise Refusal(Code.INCONSISTENT_SLICE, f"{name}: the image fits neither neighbour; copy the file again")


def _unlike_neighbours(sample: Floats32) -> Mask:
    """Whether each slice is blank, or correlates with neither neighbour although these correlate with each other."""
    centred = sample - sample.mean(axis=1, keepdims=True)
    size = np.sqrt(np.einsum("ij,ij->i", centred, centred)) + 1e-6
    near = np.einsum("ij,ij->i", centred[:-1], centred[1:]) / (size[:-1] * size[1:])
    over = np.einsum("ij,ij->i", centred[:-2], centred[2:]) / (size[:-2] * size[2:])
    lost = (near[:-1] < 0.5 * over) & (near[1:] < 0.5 * over) & (over > 0.5)
    blank = size < 0.01 * np.median(size)
    blank_between = blank[1:-1] & ~blank[:-2] & ~blank[2:]  # slices of air beyond head or table are no fault
    return np.pad(lost | blank_between, 1)


def _off_level(sample: Floats32) -> Mask:
    """Whether the soft tissue of each slice is off the level of the two nearest slices: a corrupted rescale."""
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


def require_hounsfield(hu: NDArray[Any], slices: Sequence[Slice]) -> tuple[Reason, ...]:
    """Prove from the values that they are Hounsfield units; a note says so if the header does not.

    Raises ``Refusal`` if they are not.
    """
    sample = hu[::2, ::4, ::4]
    sample = sample[sample > PADDING_HU] if (sample > PADDING_HU).any() else sample
    if not _has_rescale(slices[0]):
        if not _peaks_like_hounsfield(sample):
            message = f"{_missing_rescale(slices[0])}, and the values are not Hounsfield units"
            raise Refusal(Code.NO_RESCALE, message)
        message = f"{_missing_rescale(slices[0])}; air and soft tissue have the values of Hounsfield units"
        return (Reason(Code.RESCALE_ASSUMED, message),)
    air, soft = (_share(sample, *span) for span in (AIR_OR_LUNG_HU, SOFT_TISSUE_HU))
    if air < MIN_AIR_SHARE or soft < MIN_SOFT_TISSUE_SHARE:
        small = max(slices[0].rows, slices[0].columns) <= MAX_MU_MAP_MATRIX
        code = Code.MU_MAP if small and sample.min() >= 0 else Code.NOT_HU
        finding = "an attenuation map" if code is Code.MU_MAP else "not Hounsfield units"
        values = f"values {sample.min():.4g} to {sample.max():.4g}, {air:.1%} of them air, {soft:.1%} soft tissue"
        raise Refusal(code, f"{finding}: {values}")
    return ()


def _peaks_like_hounsfield(sample: NDArray[Any]) -> bool:
    peaks_hu = [_peak(sample, *PEAK_SEARCH_HU[tissue]) for tissue in PEAK_HU]
    return all(low <= peak <= high for peak, (low, high) in zip(peaks_hu, PEAK_HU.values(), strict=True))


def _share(sample: NDArray[Any], low: float, high: float) -> float:
    return float(np.mean((sample >= low) & (sample <= high)))


def _peak(sample: NDArray[Any], low: float, high: float) -> float:
    """Return the most frequent value between low and high, to 10 HU; NaN if fewer than 1 % lie there."""
    counts, edges = np.histogram(sample, bins=int((high - low) / 10), range=(low, high))
    return float(edges[counts.argmax()] + 5) if counts.sum() > 0.01 * sample.size else float("nan")
