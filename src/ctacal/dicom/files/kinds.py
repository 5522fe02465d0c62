"""What a file is, by its first bytes: DICOM, an archive, or something else that a user wants to see named."""

import re
from collections.abc import Mapping
from enum import Enum

from pydicom.uid import UID

ZEROS, EMPTY, UNKNOWN, TEXT, WEB_PAGE = "file of zeros", "empty file", "unknown file", "text file", "web page"
DICOMDIR = "DICOMDIR"

SUSPECT = (ZEROS, EMPTY, UNKNOWN, TEXT, WEB_PAGE)
"""Kinds that a damaged DICOM file, or the error page of a download, may have."""

_EXPLICIT_VRS = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
"""Value representations (PS3.5 section 6.2)."""
_LONGEST_FIRST_VALUE = 64
"""Longest first element of a bare dataset in bytes; a longer one is believed if another element follows it."""

_MARKS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF", "PDF file"),
    (0, b"\x89PNG", "picture"),
    (0, b"\xff\xd8\xff", "picture"),
    (0, b"GIF8", "picture"),
    (0, b"BM", "picture"),
    (0, b"II*\0", "picture"),
    (0, b"MM\0*", "picture"),
    (0, b"\0\0\1\0", "picture"),
    (344, b"n+1\0", "NIfTI file"),
    (344, b"ni1\0", "NIfTI file"),
    (4, b"n+2\0", "NIfTI file"),
    (0, b"\x5c\x01\0\0", "Analyze header"),
    (0, b"NRRD", "NRRD file"),
    (0, b"ObjectType", "MetaImage file"),
    (0, b"!INTERFILE", "Interfile header"),
    (0, b"\x89HDF", "HDF5 file"),
    (0, b"MZ", "program"),
    (0, b"\x7fELF", "program"),
    (0, b"\xcf\xfa\xed\xfe", "program"),
    (0, b"\xd0\xcf\x11\xe0", "Office document"),
    (0, b"L\0\0\0\x01\x14\x02\0", "Windows shortcut"),
    (0, b"\0\x05\x16\x07", "file of macOS"),
    (0, b"bplist0", "file of macOS"),
    (0, b"Bud1", "file of macOS"),
    (0, b"\0\0\0\1Bud1", "file of macOS"),
    (0, b"PK\x05\x06", "empty zip"),
)
"""Offset and bytes by which a kind of file is known (libmagic's database, and the formats' own descriptions)."""

_CLOSED: tuple[tuple[bytes, str], ...] = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\x04\x22\x4d\x18", "an LZ4 archive"),
    (b"\x1f\x9d", "a compress (.Z) archive"),
    (b"\x1f\xa0", "a compress (.Z) archive"),
    (b"LZIP", "an lzip archive"),
    (b"MSCF", "a cabinet archive"),
    (b"PK\x07\x08", "a part of a split zip"),
)
"""Archives that are not opened."""
_CLOSED_NAMES = (
    (r"\.z\d\d", "a part of a split zip"),
    (r"\.(zip|7z|rar|tar|gz|tgz)\.\d{2,3}", "a part of a split archive"),
    (r"\.r\d\d", "a part of a RAR archive"),
    (r"\.(iso|dmg|nrg|vhdx?)", "a disk image"),
)
"""Endings of the names of archives without a mark at their start."""

_SOP_CLASSES: Mapping[str, str] = {
    "SR": "DICOM structured report",
    "Segmentation": "DICOM segmentation",
    "Presentation State": "DICOM presentation state",
    "RT ": "DICOM radiotherapy object",
    "Encapsulated": "DICOM document",
    "Raw Data": "DICOM raw data object",
    "Key Object": "DICOM key object selection",
    "Registration": "DICOM registration",
    "Waveform": "DICOM waveform",
    "Media Storage Directory": DICOMDIR,
    "Dose": "DICOM dose report",
}
"""Names of SOP classes (PS3.6 annex A), or parts of them, in words."""
_NEW_SOP_CLASSES = {"1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage"}
"""Classes that pydicom does not know yet."""
_PROMISING_NAMES = (
    ".dcm", ".dicom", ".dic", ".ima", ".zip", ".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".gz", ".bz2", ".xz",
)  # fmt: skip
_ICLOUD = ".icloud"
"""Ending of the files that macOS leaves in place of those that it moved to iCloud."""


class Form(Enum):
    """How a file holds DICOM."""

    FILE = "preamble, prefix, elements (PS3.10 section 7.1)"
    BARE = "elements at once"
    NO_PREAMBLE = "prefix at once"
    NO_PREFIX = "an empty preamble, then elements"
    DISPLACED = "something else before the preamble"


def dicom_form(head: bytes) -> Form | None:
    """Return how a file with this beginning holds DICOM, or None if it does not."""
    if head[128:132] == b"DICM":
        return Form.FILE
    if head[:4] == b"DICM":
        return Form.NO_PREAMBLE
    if _is_element(head):
        return Form.BARE
    if head[:128] == bytes(128) and _is_element(head[128:]):
        return Form.NO_PREFIX
    return Form.DISPLACED if b"DICM\x02\x00" in head else None


def _is_element(head: bytes) -> bool:
    """Whether the bytes are an element of group 0002 or 0008, in any encoding (PS3.5 section 7.1)."""
    if len(head) < 32 or head[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08"):
        return False
    little = head[0] != 0
    if head[3 if little else 2] != 0:
        return False
    return head[4:6] in _EXPLICIT_VRS or _is_implicit(head, "little" if little else "big")


def _is_implicit(head: bytes, order: str) -> bool:
    length = int.from_bytes(head[4:8], order)  # type: ignore[arg-type]
    if length <= _LONGEST_FIRST_VALUE:
        return True
    return head[8 + length : 10 + length] in (head[:2], b"\x10\x00")


def closed_archive(head: bytes, name: str) -> str | None:
    """Return what archive a file is, if it is one that is not opened."""
    by_mark = next((kind for mark, kind in _CLOSED if head.startswith(mark)), None)
    return by_mark or next((kind for end, kind in _CLOSED_NAMES if re.search(end + r"\Z", name.lower())), None)


def may_hold_zip(head: bytes, name: str) -> bool:
    """Whether a file that does not begin as a zip may be one: a program that unpacks itself, or by its name."""
    return head.startswith((b"MZ", b"\x7fELF")) or name.lower().endswith(".zip")


def is_promising(name: str) -> bool:
    """Whether the name says DICOM, or an archive that is opened."""
    return name.lower().endswith(_PROMISING_NAMES)


def is_in_cloud(name: str) -> bool:
    """Whether a file only stands for one in iCloud that is DICOM by its name, or has no suffix.

    >>> is_in_cloud(".IM1.dcm.icloud"), is_in_cloud(".IM1.icloud"), is_in_cloud(".report.pdf.icloud")
    (True, True, False)
    """
    stem = name[1 : -len(_ICLOUD)]
    return name.startswith(".") and name.endswith(_ICLOUD) and ("." not in stem or is_promising(stem))


def kind_of(head: bytes) -> str:
    """Return what a file is, in the singular.

    >>> kind_of(b"%PDF-1.7"), kind_of(b""), kind_of(b"Dear colleague")
    ('PDF file', 'empty file', 'text file')
    """
    if dicom_form(head):
        return _dicom_kind(head)
    known = next((kind for at, mark, kind in _MARKS if head[at : at + len(mark)] == mark), None)
    if known:
        return known
    if not head.strip(b"\0"):
        return ZEROS if head else EMPTY
    if head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        return WEB_PAGE
    return TEXT if _is_text(head) else UNKNOWN


def _is_text(head: bytes) -> bool:
    return not re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]", head)


def _dicom_kind(head: bytes) -> str:
    """Return the kind of a DICOM object by the SOP class in its file meta information (PS3.10 section 7.1)."""
    found = re.search(rb"\x02\x00\x02\x00UI..([0-9.]+)|\x08\x00\x16\x00(?:UI..|....)([0-9.]+)", head, re.DOTALL)
    if not found:
        return "DICOM object"
    uid = (found[1] or found[2]).decode("ascii")
    name = _NEW_SOP_CLASSES.get(uid) or UID(uid).name
    return next((kind for part, kind in _SOP_CLASSES.items() if part in name), "DICOM object")


def counted(kinds: Mapping[str, int]) -> str:
    """Return numbers of kinds in words, the most frequent first.

    >>> counted({"PDF file": 1, "NIfTI file": 2})
    '2 NIfTI files, 1 PDF file'
    """
    ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number:,} {kind if number == 1 else _plural(kind)}" for kind, number in ordered)


def _plural(kind: str) -> str:
    first, *rest = kind.split(" of ")
    return " of ".join([f"{first}s", *rest])
