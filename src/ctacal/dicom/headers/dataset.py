"""``read_dataset``: a file -> its pydicom dataset, also if the file names a transfer syntax that its bytes do not have.

pydicom trusts the transfer syntax for the byte order and for deflating. Converters were seen to change the one and keep
the other; the first bytes of the dataset, which always begins with group 0008, tell.
"""

import io
import zlib
from typing import Any, BinaryIO

from pydicom import FileDataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian

from ctacal.dicom.files.source import check_inflated_size

_PREAMBLE_BYTES = 132
_LONG_VRS = (b"OB", b"OW", b"UN", b"UT", b"SQ")
"""Value representations with a length of four bytes behind two reserved ones (PS3.5 7.1.2) that occur in group 0002."""


def read_dataset(file: BinaryIO, **options: Any) -> tuple[FileDataset, bool]:
    """Return the dataset of a file, and whether it was read at its place, so that the file stands where reading ended.

    ``options`` are those of ``pydicom.dcmread``, whose exceptions it raises.
    """
    try:
        image = dcmread(file, force=True, **options)
    except zlib.error:
        image = None
    if image is not None and ("SeriesInstanceUID" in image or "SOPClassUID" in image):
        return image, True
    file.seek(0)
    relabelled = _relabelled(file.read())
    if relabelled is None:
        file.seek(0)
        return image if image is not None else dcmread(file, force=True, **options), True
    other = dcmread(io.BytesIO(relabelled), force=True, **options)
    if image is not None:  # JPIP is deflated too
        other.file_meta = image.file_meta
    return other, False


def _relabelled(content: bytes) -> bytes | None:
    """Return the file with the transfer syntax that its dataset has; None if it is no other than was tried."""
    meta, syntax, end = b"", b"", _PREAMBLE_BYTES
    while content[end : end + 2] == b"\x02\0":
        start = end
        if content[start + 4 : start + 6] in _LONG_VRS:
            end += 12 + int.from_bytes(content[start + 8 : start + 12], "little")
        else:
            end += 8 + int.from_bytes(content[start + 6 : start + 8], "little")
        if content[start + 2 : start + 4] == b"\x10\0":
            syntax = content[start + 8 : end].rstrip(b"\0 ")
        elif content[start + 2 : start + 4] != b"\0\0":
            meta += content[start:end]
    found = _form(content[end:])
    if found is None or found == syntax or (found == _LITTLE and syntax != _BIG and syntax != _DEFLATED):
        return None
    value = found + b"\0" * (len(found) % 2)
    label = b"\x02\0\x10\0UI" + len(value).to_bytes(2, "little") + value
    return content[:_PREAMBLE_BYTES] + meta + label + content[end:]


_LITTLE, _BIG, _DEFLATED = (
    uid.encode() for uid in (ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
)


def _form(dataset: bytes) -> bytes | None:
    """Return the transfer syntax whose byte order and deflating the dataset has; pydicom tells implicit VR itself.

    Raises ``Refusal`` (``TOO_LARGE``) if it inflates to more than is allowed.
    """
    if dataset[:2] == b"\x08\0":
        return _LITTLE
    if dataset[:2] == b"\0\x08":
        return _BIG
    try:
        begin = zlib.decompressobj(-zlib.MAX_WBITS).decompress(dataset[:4096], 2)
    except zlib.error:
        return None
    if begin != b"\x08\0":
        return None
    check_inflated_size(io.BytesIO(dataset))
    return _DEFLATED
