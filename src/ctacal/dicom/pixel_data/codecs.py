"""Code streams -> words: the decoder of each codec, called without a DICOM library between, all with one result.

A decoder returns the words as they were coded, unsigned in their container of 8, 16 or 32 bits. What Bits Stored, High
Bit and the sign make of them is decided in one place for all codecs: ``ctacal.dicom.pixel_data.stored_values``.
"""

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctacal.dicom.pixel_data import jpeg2000
from ctacal.dicom.pixel_data.code_stream import CodeStream
from ctacal.dicom.pixel_data.jpeg_process import decoded_apart
from ctacal.dicom.pixel_data.transfer_syntaxes import Codec

_GDCM_DCT_BITS = 16
"""Precision that GDCM writes into its own JPEG Extended; T.81 allows 8 and 12 only. It then shifts words by 2^15."""


class Matrix(NamedTuple):
    """What the DICOM header says of a frame."""

    rows: int
    columns: int
    bits_allocated: int


def decoded(stream: CodeStream, matrix: Matrix) -> NDArray[Any]:
    """Return the (rows, columns) words of a frame, unsigned.

    The code stream's size must have been checked against the header: decoders allocate what it claims. Raises any of
    ``ctacal.dicom.header.READING_ERRORS`` if the stream is damaged.
    """
    try:
        content, bits = _DECODERS[stream.codec](stream, matrix)
    except BaseException as problem:
        if type(problem).__name__ != "PanicException":  # from Rust: not an Exception, and not importable
            raise
        raise ValueError(str(problem)) from problem
    words = np.frombuffer(content, f"<u{_container_bytes(bits)}")
    if words.size < matrix.rows * matrix.columns:
        raise ValueError(f"decodes to {words.size} of {matrix.rows * matrix.columns} pixels")
    words = words[: matrix.rows * matrix.columns].reshape(matrix.rows, matrix.columns)
    shifted_by_gdcm = stream.codec is Codec.JPEG and stream.bits == _GDCM_DCT_BITS
    return np.maximum(words, 2**15) - np.uint16(2**15) if shifted_by_gdcm else words


def _container_bytes(bits: int) -> int:
    return next(size for size in (1, 2, 4) if bits <= 8 * size)


def _native(stream: CodeStream, matrix: Matrix) -> tuple[bytes, int]:
    if matrix.bits_allocated == 1:  # PS3.5 8.1.1: the first pixel is the lowest bit
        return np.unpackbits(np.frombuffer(stream.content, np.uint8), bitorder="little").tobytes(), 8
    return stream.content[: matrix.rows * matrix.columns * matrix.bits_allocated // 8], matrix.bits_allocated


def _deflated(stream: CodeStream, matrix: Matrix) -> tuple[bytes, int]:
    """Inflate a frame (PS3.5 A.4.13, RFC 1951), never beyond the size that the header gives."""
    size = -(-matrix.rows * matrix.columns * matrix.bits_allocated // 8)
    content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream.content, size)
    return _native(CodeStream(Codec.NATIVE, content), matrix)


def _rle(stream: CodeStream, matrix: Matrix) -> tuple[bytes, int]:
    from rle.utils import decode_pixel_data

    return bytes(decode_pixel_data(stream.content, version=2, **matrix._asdict())), matrix.bits_allocated


def _jpeg_ls(stream: CodeStream, _: Matrix) -> tuple[bytes, int]:
    import jpeg_ls  # type: ignore[import-untyped]

    assert stream.bits is not None
    return bytes(jpeg_ls.decode_pixel_data(stream.content)[0]), stream.bits


def _jpeg_2000(stream: CodeStream, _: Matrix) -> tuple[bytes, int]:
    assert stream.bits is not None
    return bytes(jpeg2000.decoded(stream.content)), stream.bits


JPEG_EXTENDED, JPEG_LOSSLESS = "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.70"


def _jpeg(stream: CodeStream, matrix: Matrix) -> tuple[bytes, int]:
    assert stream.bits is not None
    return decoded_apart(stream.content, matrix.rows, matrix.columns, stream.bits), stream.bits


def _jpeg_lossless(stream: CodeStream, matrix: Matrix) -> tuple[bytes, int]:
    assert stream.bits is not None
    return by_gdcm(JPEG_LOSSLESS, stream.content, matrix.rows, matrix.columns, stream.bits), stream.bits


def by_gdcm(syntax: str, code_stream: bytes, rows: int, columns: int, bits: int) -> bytes:
    """Decode an image of a transfer syntax of JPEG by GDCM. Raises ``ValueError`` if it is damaged."""
    import gdcm  # type: ignore[import-untyped]

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(code_stream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    image.SetPixelFormat(gdcm.PixelFormat(1, 8 * _container_bytes(bits), bits, bits - 1, 0))
    content: str | None = image.GetBuffer()  # bytes, dressed up as text by SWIG
    if content is None:
        raise ValueError("GDCM cannot decode this image")
    return content.encode("utf-8", "surrogateescape")


_DECODERS: dict[Codec, Callable[[CodeStream, Matrix], tuple[bytes, int]]] = {
    Codec.NATIVE: _native,
    Codec.DEFLATED_FRAME: _deflated,
    Codec.RLE: _rle,
    Codec.JPEG: _jpeg,
    Codec.JPEG_LOSSLESS: _jpeg_lossless,
    Codec.JPEG_LS: _jpeg_ls,
    Codec.JPEG_2000: _jpeg_2000,
}
