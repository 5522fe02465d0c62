"""Stored pixel values of slices; nothing is decoded before header and code stream agree on a bounded size."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from math import ceil
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGLSLossless, JPEGLSNearLossless, RLELossless

from ctacal.dicom import jpeg2000
from ctacal.dicom.header import READING_ERRORS, Slice, pixels_fit
from ctacal.dicom.source import Source
from ctacal.errors import Code, Refusal

_PLUGINS = {
    RLELossless: "pylibjpeg",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    JPEG2000Lossless: jpeg2000.PLUGIN,
    JPEG2000: jpeg2000.PLUGIN,
}
"""Decoding plugins that replace pydicom's first choice, GDCM: they decode RLE 8 times and JPEG-LS 2 times faster
(measured), and GDCM was seen to abort the process on a JPEG 2000 image with a wrong header."""

MIN_PIXELS_SIDE_BY_SIDE = 12 * 512 * 512
"""Number of JPEG 2000 pixels from which several processes pay; they take 0.1 to 0.2 s to start."""

_STANDALONE_MARKERS = {0x01, *range(0xD0, 0xD9)}
_SOF_MARKERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7}
"""Frame headers of JPEG (ITU T.81 B.1) and of JPEG-LS (ITU T.87)."""
_HUFFMAN_TABLE, _START_OF_SCAN = 0xC4, 0xDA


def stored_frames(slices: Iterable[Slice]) -> Iterator[NDArray[Any]]:
    """Yield the (rows, columns) stored values of each slice in turn; a multi-frame file is opened once.

    Raises ``Refusal`` (``PIXELS_UNREADABLE``) that names the file.
    """
    files = [(source, list(group)) for source, group in groupby(slices, lambda slice_: slice_.source)]
    slow = [first for _, (first, *_) in files if first.transfer_syntax in (JPEG2000, JPEG2000Lossless)]
    if sum(slice_.rows * slice_.columns for slice_ in slow) < MIN_PIXELS_SIDE_BY_SIDE:
        for source, group in files:
            yield from _named_frames(source, group)
        return
    with jpeg2000.decoding_threads() as threads:
        for frames in threads.map(lambda file: list(_named_frames(*file)), files):
            yield from frames


def _named_frames(source: Source, slices: Sequence[Slice]) -> Iterator[NDArray[Any]]:
    """Yield the frames of a file; every error names the file."""
    try:
        yield from _frames_of(source, slices)
    except Refusal as refusal:
        raise Refusal(refusal.reason.code, f"{source}: {refusal.reason.message}") from refusal
    except READING_ERRORS as problem:
        message = f"{source}: {type(problem).__name__}: {problem}; copy the file again from its source"
        raise Refusal(Code.PIXELS_UNREADABLE, " ".join(message.split())) from problem


def _frames_of(source: Source, slices: Sequence[Slice]) -> Iterator[NDArray[Any]]:
    with source.open() as file:
        if all(slice_.native for slice_ in slices):
            yield from (_native_frame(file, slice_) for slice_ in slices)
            return
        image = dcmread(file, force=True)
    yield from (_decoded(image, slice_) for slice_ in slices)


def _native_frame(file: BinaryIO, slice_: Slice) -> NDArray[Any]:
    """Read an uncompressed frame at its known position; pydicom would parse the header a second time."""
    assert slice_.native is not None
    dtype = np.dtype(slice_.native.dtype)
    size = slice_.rows * slice_.columns * dtype.itemsize
    file.seek(slice_.native.offset + slice_.frame * size)
    content = file.read(size)
    if len(content) < size:
        raise Refusal(Code.PIXELS_UNREADABLE, f"pixel data end after {len(content)} of {size} bytes; copy it again")
    frame = np.frombuffer(content, dtype).reshape(slice_.rows, slice_.columns)
    return _without_unused_bits(frame, slice_.native.unused_bits, slice_.padding)


def _without_unused_bits(frame: NDArray[Any], unused: int, padding: tuple[int, int] | None) -> NDArray[Any]:
    """Drop the high bits above Bits Stored, but keep padding, which is given in whole words (63536 in 12 bits)."""
    if not unused:
        return frame
    values = (frame << unused) >> unused
    if padding is None:
        return np.asarray(values)
    return np.where((frame >= padding[0]) & (frame <= padding[1]), frame, values)


def _decoded(image: Dataset, slice_: Slice) -> NDArray[Any]:
    if (image.get("Rows"), image.get("Columns")) != (slice_.rows, slice_.columns):
        raise Refusal(Code.PIXELS_UNREADABLE, "the file changed while it was read")
    return decoded_frame(image, slice_.frame)


def decoded_frame(image: Dataset, index: int) -> NDArray[Any]:
    """Return the (rows, columns) stored values of a frame of a whole dataset.

    Raises ``Refusal``, or any of ``READING_ERRORS`` from the decoder.
    """
    if is_encapsulated(image):
        _check_code_stream(image, index)
    else:
        _check_length(image)
    try:
        frame = np.asarray(pixel_array(image, raw=True, index=index, decoding_plugin=_plugin(image)))
    except BaseException as problem:
        if type(problem).__name__ != "PanicException":  # from Rust: not an Exception, and not importable
            raise
        raise ValueError(str(problem)) from problem
    if frame.shape != (image.Rows, image.Columns) or frame.dtype.kind not in "iu":
        raise Refusal(Code.PIXELS_UNREADABLE, f"decodes to {frame.dtype} {frame.shape}, not one plane of integers")
    return frame


def is_encapsulated(image: Dataset) -> bool:
    """Whether the pixels are compressed (PS3.5 section A.4)."""
    syntax = image.file_meta.get("TransferSyntaxUID", None)
    return bool(syntax and syntax.is_encapsulated)


def _plugin(image: Dataset) -> str:
    syntax = image.file_meta.get("TransferSyntaxUID", "")
    plugin = _PLUGINS.get(syntax, "")
    return plugin if plugin and plugin in get_decoder(syntax).available_plugins else ""


def _check_length(image: Dataset) -> None:
    """Refuse uncompressed pixels of another size than the header says: too few rows would pass for a scan."""
    frames, bits, length = int(image.get("NumberOfFrames") or 1), image.BitsAllocated, len(image.PixelData)
    if not pixels_fit(length, frames, image.Rows, image.Columns, bits):
        message = f"{length} bytes for {frames} x {image.Rows} x {image.Columns} pixels of {bits} bits; copy it again"
        raise Refusal(Code.PIXELS_UNREADABLE, message)


def _check_code_stream(image: Dataset, index: int) -> None:
    """Refuse a compressed frame whose own header claims another size: decoders allocate that size."""
    frame = get_frame(image.PixelData, index, number_of_frames=int(image.get("NumberOfFrames") or 1))
    rows, columns = image.Rows, image.Columns
    if image.file_meta.TransferSyntaxUID == RLELossless:
        if len(frame) > 2 * rows * columns * image.BitsAllocated // 8 + 4096:
            raise Refusal(Code.TOO_LARGE, f"RLE frame of {len(frame)} bytes for {rows} x {columns} pixels")
        return
    size = code_stream_size(frame)
    if size is None or size[:3] != (rows, columns, 1) or 8 * ceil(size[3] / 8) != image.BitsAllocated:
        raise Refusal(
            Code.PIXELS_UNREADABLE,
            f"the header says {rows} x {columns} pixels of {image.BitsAllocated} bits, the compressed image {size} "
            "(rows, columns, components, bits); copy the file again",
        )


def code_stream_size(frame: bytes) -> tuple[int, int, int, int] | None:
    """Return (rows, columns, components, bits) as a JPEG, JPEG-LS or JPEG 2000 code stream declares them, or None.

    >>> code_stream_size(bytes.fromhex("ffd8 ffc3 000b 0c 0040 0020 01 001100 ffc4 0004 0000 ffda 0002"))
    (64, 32, 1, 12)
    """
    if frame[:4] == b"\xff\x4f\xff\x51":  # JPEG 2000 SIZ (ITU T.800 A.5.1)
        right, bottom, left, top = (int.from_bytes(frame[i : i + 4], "big") for i in (8, 12, 16, 20))
        return bottom - top, right - left, int.from_bytes(frame[40:42], "big"), (frame[42] & 0x7F) + 1
    segments = list(_jpeg_segments(frame))
    markers = [marker for marker, _ in segments]
    headers = [at for marker, at in segments if marker in _SOF_MARKERS]
    coded = 0xF7 in markers or _HUFFMAN_TABLE in markers  # GDCM ends the process if the tables are missing
    if len(headers) != 1 or not coded or markers[-1] != _START_OF_SCAN:
        return None
    rows, columns = (int.from_bytes(frame[headers[0] + i : headers[0] + i + 2], "big") for i in (5, 7))
    return rows, columns, frame[headers[0] + 9], frame[headers[0] + 4]


def _jpeg_segments(frame: bytes) -> Iterator[tuple[int, int]]:
    """Yield (marker, position) of each segment up to the scan; stop at the first gap between segments."""
    at = 2 if frame[:2] == b"\xff\xd8" else len(frame)
    while at + 3 < len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        yield marker, at
        if marker == _START_OF_SCAN:
            return
        at += 2 if marker in _STANDALONE_MARKERS else 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
