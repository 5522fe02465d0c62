"""What comes in, by C-STORE, STOW-RS or from a watched folder: checked, and kept in the store or refused with a reason.

Every file of the store has the same form: a preamble of zeros, file meta information that follows from the object
alone (PS3.10 section 7.1), and the data set as it came, byte by byte. So an object that comes again by another way is
known by its bytes.
"""

import io
import zlib
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path
from typing import BinaryIO, Self

from pydicom import Dataset
from pydicom.datadict import dictionary_description
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import data_element_generator, read_dataset
from pydicom.filewriter import write_file_meta_info
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from ctacal.dicom.files.source import check_inflated_size
from ctacal.dicom.header import READING_ERRORS, quiet_pydicom
from ctacal.dicom.pixel_data.transfer_syntaxes import DEFLATED, LOSSY, TRANSFER_SYNTAXES, name_of
from ctacal.dicom.uids import is_used_uid
from ctacal.errors import Refusal, system_message
from ctacal.jobs.node.store import Placed, Store

CT_CLASSES = frozenset((CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage))

IMPLEMENTATION_CLASS_UID = "2.25.81328296848550610082058440223519348041"
"""Implementation Class UID (PS3.7 annex D.3.3.2) of every file and association of the node, whatever its version."""

_NO_STORAGE = ("Commitment", "Media Storage Directory")
"""Words in names of SOP classes that speak of storage, and are no objects of a study."""
_PREAMBLE = bytes(128) + b"DICM"
_HEAD_BYTES = 8 * 2**20
"""The identity of an object stands within so many first bytes of its data set: real ones need a few thousand."""
_MOST_META_BYTES = 2**20
_CHUNK_BYTES = 2**20
_MOST_UID_BYTES = 1024
"""Longest value of an identifying element that is read; a UID has up to 64 characters."""
_LONG_VRS = (b"OB", b"OW", b"UN", b"UT", b"SQ")
_IDENTITY = {"SOPClassUID": 0x00080016, "SOPInstanceUID": 0x00080018, "StudyInstanceUID": 0x0020000D}
_CHARACTER_SET = 0x00080005
_ROWS, _PIXELS = Tag("Rows"), {Tag("PixelData"), Tag("FloatPixelData"), Tag("DoubleFloatPixelData")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a sender says of an object before it sends it; empty: nothing."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the store takes; MB are millions of bytes."""

    largest_object_mb: float
    reserve_mb: float
    reserve_percent: float

    def has_room(self, store: Store, more_bytes: int = 0) -> bool:
        """Whether the store may take so much more. Raises ``OSError`` if the store is not there."""
        return store.has_room(reserve_mb=self.reserve_mb, reserve_percent=self.reserve_percent, more_bytes=more_bytes)


class Why(StrEnum):
    """Why an object is not kept; each answer of a protocol is derived from it."""

    NO_ROOM = "no room"
    """The disk is below its reserve, or failed. It can be sent again later."""
    TOO_LARGE = "too large"
    """It is larger than allowed, or its data set inflates to more than allowed."""
    INVALID_UID = "invalid UID"
    """One of its UIDs is missing or not valid."""
    OTHER_CLASS = "other class"
    """The data set is of another SOP class than the request says."""
    OTHER_INSTANCE = "other instance"
    """The data set has another SOP Instance UID than the request says."""
    OTHER_STUDY = "other study"
    """The data set has another Study Instance UID than the request says."""
    NOT_STORED = "not stored"
    """Objects of its SOP class do not belong to studies."""
    SYNTAX = "transfer syntax"
    """Its transfer syntax cannot be read."""
    UNREADABLE = "unreadable"
    """It is not DICOM, or damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """An object that the store has."""

    placed: Placed
    """``ASIDE``: the store has other bytes under its UID, which stay; a person must look at both."""
    study_uid: str
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Refused:
    """An object that is not kept: nothing of it is left."""

    why: Why
    message: str
    """For people; it names no patient."""
    sop_class_uid: str = ""
    """UIDs of the object, where they are known; else empty."""
    sop_instance_uid: str = ""


_OF_OTHER_STUDY = Refused(Why.OTHER_STUDY, "the data set has another Study Instance UID than the request says")


class _Refuse(Exception):
    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.refused = Refused(why, message)


class IncomingObject:
    """An object that is written to the store piece by piece. What is wrong with it never raises: see ``finish``."""

    def __init__(self, store: Store, limits: Limits, request: Request) -> None:
        self._store, self._limits, self.request = store, limits, request
        self._bytes, self._stack = 0, ExitStack()
        self._path = Path()
        self._file: BinaryIO = io.BytesIO()
        self.refused: Refused | None = None
        """Why it will not be kept, as far as that is known."""
        try:
            _check_request(request)
            self._check_room()
            self._path = self._stack.enter_context(store.incoming())
            self._file = self._stack.enter_context(self._path.open("r+b"))
            self._file.write(_file_header(request))
        except (_Refuse, OSError) as problem:
            self._refuse(problem)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, content: bytes) -> int:
        """Add a piece of the data set; once the object is refused, nothing is kept of it. Returns its length."""
        self._bytes += len(content)
        if self.refused is None:
            try:
                if self._bytes > self._limits.largest_object_mb * 10**6:
                    raise _Refuse(Why.TOO_LARGE, f"larger than {self._limits.largest_object_mb:g} MB")
                self._check_room()
                self._file.write(content)
            except (_Refuse, OSError) as problem:
                self._refuse(problem)
        return len(content)

    def finish(self) -> Taken | Refused:
        """Keep the object if it is what the request says. When this returns, it is on the disk for good, or gone."""
        try:
            if self.refused is None:
                return self._keep()
        except (_Refuse, OSError) as problem:
            self._refuse(problem)
        finally:
            self.close()
        return self.refused or Refused(Why.UNREADABLE, "nothing came")

    def close(self) -> None:
        """Leave nothing of an object that was not kept."""
        try:
            self._stack.close()
        except OSError as problem:  # a full disk cannot take what is buffered
            self._refuse(problem)

    def _keep(self) -> Taken:
        self._file.seek(start := len(_file_header(self.request)))
        head = self._file.read(_HEAD_BYTES)
        if self.request.transfer_syntax_uid in DEFLATED:
            self._file.seek(start)
            _check_no_bomb(self._file)
        study_uid, sop_class_uid, sop_instance_uid = _identity(head, self.request.transfer_syntax_uid)
        _check_agreement(self.request, sop_class_uid, sop_instance_uid)
        self._file.close()
        placed = self._store.keep(self._path, study_uid, sop_instance_uid)
        return Taken(placed=placed, study_uid=study_uid, sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid)

    def _check_room(self) -> None:
        if not self._limits.has_room(self._store):
            raise _Refuse(Why.NO_ROOM, "the disk is below its reserve; send it again later")

    def _refuse(self, problem: "_Refuse | OSError") -> None:
        self.refused = (
            problem.refused
            if isinstance(problem, _Refuse)
            else Refused(Why.NO_ROOM, f"the store cannot take it: {system_message(problem)}")
        )
        self.close()


def keep_object(store: Store, limits: Limits, file: BinaryIO, *, study_uid: str = "") -> Taken | Refused:
    """Keep an object from a DICOM file (PS3.10), which is read once from where it stands. See ``IncomingObject``.

    With ``study_uid``, an object of another study is refused.
    """
    try:
        syntax, begin = _transfer_syntax(file)
        head = begin + file.read(_HEAD_BYTES - len(begin))
        own_study_uid, sop_class_uid, sop_instance_uid = _identity(head, syntax)
    except _Refuse as problem:
        return problem.refused
    request = Request(sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid, transfer_syntax_uid=syntax)
    outcome = _kept(store, limits, file, request, head) if study_uid in ("", own_study_uid) else _OF_OTHER_STUDY
    if isinstance(outcome, Refused):
        return replace(outcome, sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid)
    return outcome


def broken_off(file: BinaryIO) -> str:
    """Return why a DICOM file is not whole, as one that is still being written; empty if nothing says so. Rewinds it.

    Not for files that hold no DICOM: ``keep_object`` says what is wrong with them.
    """
    try:
        syntax, begin = _transfer_syntax(file)
        file.seek(-len(begin), io.SEEK_CUR)
        with quiet_pydicom():
            return _deflated_problem(file) if syntax in DEFLATED else _end_problem(file, syntax)
    except EOFError:
        return "it ends within a sequence or a frame"
    except (_Refuse, *READING_ERRORS):
        return ""
    finally:
        file.seek(0)


def _end_problem(file: BinaryIO, transfer_syntax_uid: str) -> str:
    """Go from element to element, without their values, to the end that the last one should have."""
    seen, ends_at = set(), file.tell()
    for element in data_element_generator(file, *_encoding(transfer_syntax_uid), defer_size=0):
        seen.add(element.tag)
        ends_at = file.tell()
    size = file.seek(0, io.SEEK_END)
    if ends_at != size:
        return f"it has {size} bytes, and its last element ends at {ends_at}"
    return "it has rows and columns, and no pixels" if _ROWS in seen and not seen & _PIXELS else ""


def _deflated_problem(file: BinaryIO) -> str:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    while not inflater.eof and (packed := inflater.unconsumed_tail or file.read(_CHUNK_BYTES)):
        inflater.decompress(packed, _CHUNK_BYTES)
    return "" if inflater.eof else "its deflated data set ends too early"


def _kept(store: Store, limits: Limits, file: BinaryIO, request: Request, head: bytes) -> Taken | Refused:
    """Keep an object whose first bytes are ``head``, and the rest of which lies in ``file``."""
    with IncomingObject(store, limits, request) as incoming:
        incoming.write(head)
        while incoming.refused is None and (chunk := file.read(_CHUNK_BYTES)):
            incoming.write(chunk)
        return incoming.finish()


@cache
def is_storage(sop_class_uid: str) -> bool:
    """Whether objects of a SOP class are kept: every storage class of the standard, and private classes.

    >>> is_storage("1.2.840.10008.5.1.4.1.1.2"), is_storage("1.2.840.10008.1.1"), is_storage("1.3.12.2.1107.5.9.1")
    (True, False, True)
    """
    uid = UID(sop_class_uid)
    if not uid.type:
        return is_used_uid(sop_class_uid)
    return uid.type == "SOP Class" and "Storage" in uid.name and not any(word in uid.name for word in _NO_STORAGE)


@cache
def transfer_syntaxes(sop_class_uid: str) -> tuple[str, ...]:
    """Return the transfer syntaxes in which objects of a class are taken, the preferred first.

    A CT must be in one that is read. Uncompressed is preferred, lossy comes last.
    """
    usual = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]
    read = [uid for uid, syntax in TRANSFER_SYNTAXES.items() if syntax.codec is not None and uid not in usual]
    last = ("1.2.840.10008.1.2.2", *sorted(DEFLATED | LOSSY))
    uids = [*usual, *sorted(read, key=lambda uid: uid in last)]
    is_ct = sop_class_uid in CT_CLASSES
    return tuple(uid for uid in uids if TRANSFER_SYNTAXES[uid].holds_ct or not is_ct)


def _check_request(request: Request) -> None:
    for name, uid in (("SOP Class UID", request.sop_class_uid), ("SOP Instance UID", request.sop_instance_uid)):
        if not is_used_uid(uid):
            raise _Refuse(Why.INVALID_UID, f"{name} {uid[:64]!r} is not valid")
    if not is_storage(request.sop_class_uid):
        raise _Refuse(Why.NOT_STORED, f"{UID(request.sop_class_uid).name} is no object of a study")
    if request.transfer_syntax_uid not in transfer_syntaxes(request.sop_class_uid):
        raise _Refuse(Why.SYNTAX, f"{name_of(request.transfer_syntax_uid)} is not read; send it uncompressed")


def _check_agreement(request: Request, sop_class_uid: str, sop_instance_uid: str) -> None:
    if sop_class_uid != request.sop_class_uid:
        raise _Refuse(Why.OTHER_CLASS, "the data set is of another SOP class than the request says")
    if sop_instance_uid != request.sop_instance_uid:
        raise _Refuse(Why.OTHER_INSTANCE, "the data set has another SOP Instance UID than the request says")


def _check_no_bomb(file: BinaryIO) -> None:
    try:
        check_inflated_size(file)
    except Refusal as problem:
        raise _Refuse(Why.TOO_LARGE, problem.reason.message) from problem


def _identity(head: bytes, transfer_syntax_uid: str) -> tuple[str, str, str]:
    """Return Study Instance UID, SOP Class UID and SOP Instance UID from the begin of a data set."""
    try:
        with quiet_pydicom():
            header = _read_identity(head, transfer_syntax_uid)
            values = {name: str(header.get(name, "") or "") for name in _IDENTITY}
    except READING_ERRORS as problem:
        raise _Refuse(Why.UNREADABLE, f"the data set cannot be read ({type(problem).__name__})") from problem
    for name, value in values.items():
        if not is_used_uid(value):
            is_there = f"{value[:64]!r} is not valid" if value else "is missing"
            raise _Refuse(Why.INVALID_UID, f"{dictionary_description(name)} {is_there}")
    return values["StudyInstanceUID"], values["SOPClassUID"], values["SOPInstanceUID"]


def _read_identity(head: bytes, transfer_syntax_uid: str) -> Dataset:
    if transfer_syntax_uid in DEFLATED:
        head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, _HEAD_BYTES)
    wanted = [*_IDENTITY.values(), _CHARACTER_SET]

    def stop(tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag in wanted and length > _MOST_UID_BYTES:
            said = f"the data set cannot be read: {dictionary_description(tag)} has {length} bytes"
            raise _Refuse(Why.UNREADABLE, said)
        return bool(tag > max(wanted))

    return read_dataset(io.BytesIO(head), *_encoding(transfer_syntax_uid), stop_when=stop, specific_tags=wanted)


def _encoding(transfer_syntax_uid: str) -> tuple[bool, bool]:
    """Return whether a data set has implicit VR, and whether it is little endian."""
    syntax = UID(transfer_syntax_uid)
    return (syntax.is_implicit_VR, syntax.is_little_endian) if syntax.is_transfer_syntax else (False, True)


@lru_cache(maxsize=256)
def _file_header(request: Request) -> bytes:
    """Return what precedes the data set in a file, the same for every version of ctacal."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = UID(request.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(request.sop_instance_uid)
    meta.TransferSyntaxUID = UID(request.transfer_syntax_uid)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta)
    return _PREAMBLE + buffer.getvalue()


def _transfer_syntax(file: BinaryIO) -> tuple[str, bytes]:
    """Read a file up to its data set; returns its transfer syntax, and the first bytes of the data set."""
    if file.read(len(_PREAMBLE))[-4:] != _PREAMBLE[-4:]:
        raise _Refuse(Why.UNREADABLE, "not a DICOM file (PS3.10): the prefix DICM is missing")
    syntax, read_bytes = "", 0
    while (head := file.read(8))[:2] == b"\2\0" and len(head) == 8:
        is_long = head[4:6] in _LONG_VRS
        length = int.from_bytes(file.read(4) if is_long else head[6:8], "little")
        read_bytes += length
        if read_bytes > _MOST_META_BYTES:
            raise _Refuse(Why.UNREADABLE, "its file meta information is damaged")
        value = file.read(length)
        if head[2:4] == b"\x10\0":
            syntax = value.rstrip(b"\0 ").decode("ascii", "replace")
    if not syntax:
        raise _Refuse(Why.SYNTAX, "its file meta information names no transfer syntax")
    return syntax, head
