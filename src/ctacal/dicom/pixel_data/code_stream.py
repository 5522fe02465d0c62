"""``CodeStream``: what a compressed frame says of itself, read from its first bytes before any decoder sees it.

These bytes decide which codec is used: archives and converters were seen to keep the transfer syntax of another codec.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ctacal.dicom.pixel_data.transfer_syntaxes import Codec

_J2K_START = b"\xff\x4f\xff\x51"
"""Start of a JPEG 2000 code stream and of its size segment (ITU-T T.800 A.5.1)."""
_JP2_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
"""First box of a JP2 file (T.800 I.5.1). PS3.5 A.4.4 allows only the code stream, but some write the whole file."""
_JPEG_START = b"\xff\xd8"
_FOREIGN = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\x01\xb3": "MPEG2 video",
    b"\0\0\0\x01": "H.264 or H.265 video",
}
"""First bytes of what ctacal does not decode."""

_STANDALONE_MARKERS = {0x01, *range(0xD0, 0xD9)}
_SOF_MARKERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7}
"""Frame headers of JPEG (ITU-T T.81 B.1) and of JPEG-LS (T.87)."""
_REMARKS = {*range(0xE0, 0xF0), 0xFE}
"""Application data and comments (T.81 B.2.4); JPEG-LS has its colour transform in one, which a CT does not need."""
_HUFFMAN_TABLE, _START_OF_SCAN, _START_OF_TILE = 0xC4, 0xDA, 0x90
_JPEG_CODECS = {0xC0: Codec.JPEG, 0xC1: Codec.JPEG, 0xC3: Codec.JPEG_LOSSLESS, 0xF7: Codec.JPEG_LS}
"""The processes that are decoded: baseline, extended sequential and lossless with Huffman coding, and JPEG-LS."""

_CODING_STYLE = 0x52
"""Marker of JPEG 2000's coding style (T.800 A.6.1)."""

_RLE_HEADER_BYTES = 64


@dataclass(frozen=True, slots=True)
class CodeStream:
    """A frame's own header. RLE, deflated and uncompressed frames do not say their size."""

    codec: Codec
    content: bytes
    """Without the boxes of a JP2 file."""
    rows: int | None = None
    columns: int | None = None
    components: int = 1
    bits: int | None = None
    """Sample precision."""
    is_lossy: bool = False
    """Whether the coding itself loses something; a lossless coding cut short is not told."""


def code_stream_of(frame: bytes) -> CodeStream | None:
    """Return what the first bytes of a frame say, or None if they are of no codec that ctacal reads.

    >>> lossless = bytes.fromhex("ffd8 ffc3 000b 0c 0040 0020 01 001100 ffc4 0004 0000 ffda 0002")
    >>> stream = code_stream_of(lossless)
    >>> stream.codec.value, stream.rows, stream.columns, stream.components, stream.bits
    ('JPEG Lossless', 64, 32, 1, 12)
    """
    if frame.startswith(_JP2_SIGNATURE):
        frame = _without_boxes(frame)
    if frame.startswith(_J2K_START):
        return _jpeg_2000(frame)
    if frame.startswith(_JPEG_START):
        return _jpeg(frame)
    if is_rle(frame):
        return CodeStream(Codec.RLE, frame)
    return None


def foreign_name(frame: bytes) -> str:
    """Return the name of a codec that ctacal does not read, by the first bytes; empty if it is not recognised.

    >>> foreign_name(bytes.fromhex("ff0a 00"))
    'JPEG XL'
    """
    process = _process(frame) if frame.startswith(_JPEG_START) else None
    if process is not None and process not in _JPEG_CODECS:
        return f"JPEG process FF{process:02X}"
    return next((name for start, name in _FOREIGN.items() if frame.startswith(start)), "")


def is_rle(frame: bytes) -> bool:
    """Whether the frame begins with the header of RLE: a few segments, the first behind the header (PS3.5 G.5)."""
    if len(frame) < _RLE_HEADER_BYTES:
        return False
    segments, first = struct.unpack("<II", frame[:8])
    return bool(0 < segments < 16 and first == _RLE_HEADER_BYTES)


def _without_boxes(frame: bytes) -> bytes:
    """Return the code stream inside a JP2 file (T.800 I.4); nothing if there is none."""
    at = 0
    while at + 8 <= len(frame):
        length, kind = struct.unpack(">I4s", frame[at : at + 8])
        head = 8
        if length == 1:
            length, head = int.from_bytes(frame[at + 8 : at + 16], "big"), 16
        if kind == b"jp2c":
            return frame[at + head : at + length if length else None]
        if length < head:
            break
        at += length
    return b""


def _jpeg_2000(frame: bytes) -> CodeStream | None:
    if len(frame) < 43:
        return None
    right, bottom, left, top = struct.unpack(">4I", frame[8:24])
    (components,) = struct.unpack(">H", frame[40:42])
    bits = (frame[42] & 0x7F) + 1
    return CodeStream(Codec.JPEG_2000, frame, bottom - top, right - left, components, bits, _is_irreversible(frame))


def _is_irreversible(frame: bytes) -> bool:
    """Whether the wavelets are the irreversible 9-7 ones (T.800 A.6.1: last byte of the coding style segment)."""
    coding_style = next((at for marker, at in _jpeg_segments(frame) if marker == _CODING_STYLE), None)
    return coding_style is not None and frame[coding_style + 13 : coding_style + 14] == b"\0"


def _is_near_lossless(frame: bytes, scan: int) -> bool:
    """Whether JPEG-LS allows errors: NEAR of the scan header is above 0 (T.87 C.2.3)."""
    near = scan + 5 + 2 * frame[scan + 4]
    return frame[near : near + 1] not in (b"", b"\0")


def _process(frame: bytes) -> int | None:
    return next((marker for marker, _ in _jpeg_segments(frame) if marker in _SOF_MARKERS), None)


def _jpeg(frame: bytes) -> CodeStream | None:
    """Read the only frame header; None if there is none, or several, or if a table is missing.

    GDCM ends the whole process on some of these.
    """
    segments = list(_jpeg_segments(frame))
    markers = [marker for marker, _ in segments]
    headers = [(marker, at) for marker, at in segments if marker in _SOF_MARKERS]
    coded = 0xF7 in markers or _HUFFMAN_TABLE in markers
    if len(headers) != 1 or not coded or markers[-1] != _START_OF_SCAN:
        return None
    marker, at = headers[0]
    codec = _JPEG_CODECS.get(marker)
    if codec is None or len(frame) < at + 10:
        return None
    bits, rows, columns, components = struct.unpack(">BHHB", frame[at + 4 : at + 10])
    lossy = codec is Codec.JPEG or (codec is Codec.JPEG_LS and _is_near_lossless(frame, segments[-1][1]))
    return CodeStream(codec, _without_remarks(frame, segments), rows, columns, components, bits, lossy)


def _without_remarks(frame: bytes, segments: list[tuple[int, int]]) -> bytes:
    """Leave out application data and comments: GDCM ends the whole process if these name an unknown JFIF version."""
    ends = [*(at for _, at in segments[1:]), len(frame)]
    kept = [frame[at:end] for (marker, at), end in zip(segments, ends, strict=True) if marker not in _REMARKS]
    return frame if len(kept) == len(segments) else _JPEG_START + b"".join(kept)


def _jpeg_segments(frame: bytes) -> Iterator[tuple[int, int]]:
    """Yield (marker, position) of each segment up to the scan, or of JPEG 2000 up to its first tile; stop at a gap."""
    at = 2
    while at + 3 < len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        yield marker, at
        if marker in (_START_OF_SCAN, _START_OF_TILE):
            return
        at += 2 if marker in _STANDALONE_MARKERS else 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
