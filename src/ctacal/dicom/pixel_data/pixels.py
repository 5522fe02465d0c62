"""The pixels of slices as words; nothing is decoded before header and code stream agree on a bounded size."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from math import ceil
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import get_frame

from ctacal.dicom.files.source import Source
from ctacal.dicom.header import ITEM_START, READING_ERRORS, Slice, pixels_fit
from ctacal.dicom.headers.dataset import read_dataset
from ctacal.dicom.pixel_data import jpeg2000
from ctacal.dicom.pixel_data.code_stream import CodeStream, code_stream_of, foreign_name
from ctacal.dicom.pixel_data.codecs import Matrix, decoded
from ctacal.dicom.pixel_data.jpeg_process import end_decoder
from ctacal.dicom.pixel_data.stored_values import StoredFrame
from ctacal.dicom.pixel_data.transfer_syntaxes import GE_PRIVATE, Codec, codec_of, name_of
from ctacal.errors import Code, Refusal

MIN_PIXELS_SIDE_BY_SIDE = 12 * 512 * 512
"""Number of JPEG 2000 pixels from which several processes pay; they take 0.1 to 0.2 s to start."""

_EXPORT = "export the study uncompressed (Explicit VR Little Endian) and score that"

_OTHER_PIXELS = {"FloatPixelData": "Float Pixel Data", "DoubleFloatPixelData": "Double Float Pixel Data"}


def stored_frames(slices: Iterable[Slice]) -> Iterator[StoredFrame]:
    """Yield the (rows, columns) words of each slice in turn; a multi-frame file is opened once.

    Raises ``Refusal`` (``PIXELS_UNREADABLE``, ``SYNTAX_UNSUPPORTED``, ``TOO_LARGE``) that names the file.
    """
    files = [(source, list(group)) for source, group in groupby(slices, lambda slice_: slice_.source)]
    slow = [first for _, (first, *_) in files if codec_of(first.transfer_syntax) is Codec.JPEG_2000]
    try:
        if sum(slice_.rows * slice_.columns for slice_ in slow) < MIN_PIXELS_SIDE_BY_SIDE:
            for source, group in files:
                yield from _named_frames(source, group)
            return
        with jpeg2000.decoding_threads() as threads:
            for frames in threads.map(lambda file: list(_named_frames(*file)), files):
                yield from frames
    finally:
        end_decoder()


def _named_frames(source: Source, slices: Sequence[Slice]) -> Iterator[StoredFrame]:
    """Yield the frames of a file; every error names the file."""
    try:
        yield from _frames_of(source, slices)
    except Refusal as refusal:
        raise Refusal(refusal.reason.code, f"{source}: {refusal.reason.message}") from refusal
    except READING_ERRORS as problem:
        message = f"{source}: {type(problem).__name__}: {problem}; copy the file again from its source"
        raise Refusal(Code.PIXELS_UNREADABLE, " ".join(message.split())) from problem


def _frames_of(source: Source, slices: Sequence[Slice]) -> Iterator[StoredFrame]:
    with source.open() as file:
        if all(slice_.native for slice_ in slices):
            yield from (_native_frame(file, slice_) for slice_ in slices)
            return
        image, _ = read_dataset(file)
    for slice_ in slices:
        if (image.get("Rows"), image.get("Columns")) != (slice_.rows, slice_.columns):
            raise Refusal(Code.PIXELS_UNREADABLE, "the file changed while it was read")
        yield frame_of(image, slice_.frame)


def _native_frame(file: BinaryIO, slice_: Slice) -> StoredFrame:
    """Read an uncompressed frame at its known position; pydicom would parse the header a second time."""
    assert slice_.native is not None
    dtype = np.dtype(slice_.native.dtype)
    size = slice_.rows * slice_.columns * dtype.itemsize
    file.seek(slice_.native.offset + slice_.frame * size)
    content = file.read(size)
    if len(content) < size:
        raise Refusal(Code.PIXELS_UNREADABLE, f"pixel data end after {len(content)} of {size} bytes; copy it again")
    words = np.frombuffer(content, dtype).reshape(slice_.rows, slice_.columns)
    return StoredFrame(words, 8 * dtype.itemsize, _remark(slice_.transfer_syntax, Codec.NATIVE))


def _remark(syntax: str, found: Codec) -> str:
    """Return how the pixels differ from their transfer syntax; empty if they do not, or if the file names none."""
    if not syntax or codec_of(syntax) is found:
        return ""
    return f"the transfer syntax is {name_of(syntax)}, but the pixels are {found}; they were read as such"


def frame_of(image: Dataset, index: int) -> StoredFrame:
    """Return the words of a frame of a whole dataset.

    Raises ``Refusal``, or any of ``READING_ERRORS`` from the decoder.
    """
    if not image.get("PixelData"):
        raise _missing_pixels(image)
    if is_encapsulated(image):
        return _encapsulated_frame(image, index)
    _check_length(image)
    dtype = np.dtype(f"{'<' if _is_little_endian(image) else '>'}u{image.BitsAllocated // 8}")
    pixels = image.Rows * image.Columns
    words = np.frombuffer(image.PixelData, dtype, pixels, index * pixels * dtype.itemsize)
    remark = _remark(_syntax(image), Codec.NATIVE)
    return StoredFrame(words.reshape(image.Rows, image.Columns), 8 * dtype.itemsize, remark)


def _missing_pixels(image: Dataset) -> Refusal:
    name = name_of(_syntax(image))
    if name.startswith("JPIP"):
        return Refusal(Code.SYNTAX_UNSUPPORTED, f"the file only refers to its pixels: {name}; {_EXPORT}")
    for keyword, other in _OTHER_PIXELS.items():
        if keyword in image:
            message = f"the file holds {other}, where a CT has whole numbers in Pixel Data; export the CT itself"
            return Refusal(Code.PIXELS_UNREADABLE, message)
    return Refusal(Code.PIXELS_UNREADABLE, "the file has no Pixel Data; copy it again from its source")


def is_encapsulated(image: Dataset) -> bool:
    """Whether the pixels lie in fragments (PS3.5 section A.4): their form decides, not the transfer syntax."""
    return bool(image["PixelData"].is_undefined_length) or bytes(image.PixelData[:4]) == ITEM_START


def _syntax(image: Dataset) -> str:
    return str(image.file_meta.get("TransferSyntaxUID", ""))


def _is_little_endian(image: Dataset) -> bool:
    return bool(image.original_encoding[1]) and _syntax(image) != GE_PRIVATE


def _check_length(image: Dataset) -> None:
    """Refuse uncompressed pixels of another size than the header says: too few rows would pass for a scan.

    More bytes than needed are allowed if all of them are zero (PS3.5 section 8.1.1 needs one at most).
    """
    frames, bits, content = max(int(image.get("NumberOfFrames") or 1), 1), image.BitsAllocated, image.PixelData
    if bits not in (8, 16, 32):
        raise Refusal(Code.PIXELS_UNREADABLE, f"Bits Allocated is {bits}; ctacal reads 8, 16 and 32; {_EXPORT}")
    size = frames * image.Rows * image.Columns * bits // 8
    if pixels_fit(len(content), frames, image.Rows, image.Columns, bits):
        return
    if len(content) < size or any(content[size:]):
        message = f"{len(content)} bytes for {frames} x {image.Rows} x {image.Columns} pixels of {bits} bits"
        raise Refusal(Code.PIXELS_UNREADABLE, f"{message}; copy it again")


def _encapsulated_frame(image: Dataset, index: int) -> StoredFrame:
    matrix = Matrix(image.Rows, image.Columns, image.BitsAllocated)
    stream = _recognised(_fragments(image, index), _syntax(image), matrix)
    _check_code_stream(stream, matrix)
    words: NDArray[Any] = decoded(stream, matrix)
    bits, remark = stream.bits or 8 * words.dtype.itemsize, _remark(_syntax(image), stream.codec)
    return StoredFrame(words, bits, remark, stream.is_lossy)


def _fragments(image: Dataset, index: int) -> bytes:
    """Return the joined fragments of a frame."""
    offsets = image.get("ExtendedOffsetTable"), image.get("ExtendedOffsetTableLengths")
    return get_frame(
        image.PixelData,
        index,
        number_of_frames=max(int(image.get("NumberOfFrames") or 1), 1),
        extended_offsets=offsets if all(offsets) else None,
    )


def _recognised(frame: bytes, syntax: str, matrix: Matrix) -> CodeStream:
    """Tell the codec of a frame by its content; the transfer syntax decides where the content says nothing.

    Raises ``Refusal`` that names what cannot be read.
    """
    expected = codec_of(syntax)
    found = code_stream_of(frame)
    size = ceil(matrix.rows * matrix.columns * matrix.bits_allocated / 8)
    if len(frame) in (size, size + size % 2) and (found is None or expected is Codec.NATIVE):
        return CodeStream(Codec.NATIVE, frame)
    if found is not None:
        return found
    if expected is Codec.DEFLATED_FRAME:
        return CodeStream(expected, frame)
    foreign = foreign_name(frame)
    if foreign or (expected is None and syntax):
        pixels = f"; the pixels are {foreign}" if foreign else ""
        message = f"ctacal does not read the transfer syntax {name_of(syntax)}{pixels}; {_EXPORT}"
        raise Refusal(Code.SYNTAX_UNSUPPORTED, message)
    kind = f"{expected} image" if expected else "image of a known codec"
    raise Refusal(Code.PIXELS_UNREADABLE, f"the compressed pixels are damaged, or no {kind}; copy the file again")


def _check_code_stream(stream: CodeStream, matrix: Matrix) -> None:
    """Refuse a compressed frame whose own header claims another size: decoders allocate that size."""
    rows, columns, bits = matrix
    if stream.codec is Codec.RLE and len(stream.content) > 2 * rows * columns * bits // 8 + 4096:
        raise Refusal(Code.TOO_LARGE, f"RLE frame of {len(stream.content)} bytes for {rows} x {columns} pixels")
    if stream.bits is None:
        return
    if stream.codec is Codec.JPEG and stream.bits == 8 and bits > 8:
        raise Refusal(Code.SYNTAX_UNSUPPORTED, f"JPEG of 8 bits cannot hold CT values; {_EXPORT}")
    size = (stream.rows, stream.columns, stream.components, 8 * ceil(stream.bits / 8))
    if size != (rows, columns, 1, bits):
        raise Refusal(
            Code.PIXELS_UNREADABLE,
            f"the header says {rows} x {columns} pixels of {bits} bits, the compressed image {stream.rows} x "
            f"{stream.columns} of {stream.bits} bits and {stream.components} components; copy the file again",
        )
