"""Files inside archives (zip, tar, gzip, bzip2, xz; nested), read with bounded memory.

An archive inside another one, such as the tar in a ``.tar.gz``, is unpacked once to a temporary file without a name,
which vanishes with the program. Every other member is read straight from where it is stored.
"""

import bz2
import gzip
import lzma
import struct
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from ctacal.errors import Code, Refusal, system_message

MAX_INFLATED_BYTES = 256 * 2**20
"""Largest size of an unpacked file or dataset; more is a bomb: CT files have 0.1-1 MB, multi-frame ones 100."""

MAX_UNPACKED_ARCHIVE_BYTES = 16 * 2**30
"""Largest size of an archive inside another one, such as the tar in a .tar.gz (own choice: 200 studies of CT)."""

MAX_PACKING_RATIO = 250
"""Largest ratio of unpacked to packed size of an archive beyond ``MAX_INFLATED_BYTES``; CT packs to a third."""

HEAD_BYTES = 512
"""Number of bytes that show what a file is: a tar has its mark at byte 257, NIfTI at 344, DICOM at 128."""

ARCHIVE_ERRORS = (
    OSError, EOFError, ValueError, RuntimeError, LookupError, ArithmeticError, MemoryError, struct.error,
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""The exceptions that the archive modules and their decompressors were seen to raise on corrupted archives
(among them subclasses such as UnicodeError and KeyError)."""

_CHUNK_BYTES = 2**20
_IN_MEMORY_BYTES = 32 * 2**20
"""Largest unpacked archive that is held in memory, not on disk (own choice)."""

_ZIP_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_METHOD_NAMES = {1: "Shrink", 6: "Implode", 9: "Deflate64", 93: "Zstandard", 95: "XZ", 96: "JPEG", 98: "PPMd"}
"""Zip's compression methods that Python cannot read (PKWARE APPNOTE 4.4.5)."""
_ENCRYPTED = 0x41
"""Bits 0 and 6 of a zip member's flags: encrypted, strongly encrypted (PKWARE APPNOTE 4.4.4)."""

Opened = AbstractContextManager[IO[bytes]]


class Format(StrEnum):
    """The archives that are opened."""

    ZIP = "zip"
    TAR = "tar"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"


_MAGIC = (
    (b"PK\x03\x04", Format.ZIP),
    (b"\x1f\x8b\x08", Format.GZIP),
    (b"BZh", Format.BZIP2),
    (b"\xfd7zXZ\0", Format.XZ),
)
_BLOCK_MAGIC = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")
"""What follows bzip2's first four bytes."""
_SINGLE: Mapping[Format, Callable[[Any], Any]] = {
    Format.GZIP: lambda file: gzip.GzipFile(fileobj=file, mode="rb"),
    Format.BZIP2: bz2.BZ2File,
    Format.XZ: lzma.LZMAFile,
}
"""Formats that hold one file."""
_SUFFIXES = {"gz": "", "bz2": "", "xz": "", "tgz": ".tar", "tbz": ".tar", "tbz2": ".tar", "txz": ".tar"}


def archive_format(head: bytes) -> Format | None:
    """Return the format of an archive by its first ``HEAD_BYTES``; None if it is none."""
    for magic, kind in _MAGIC:
        if head.startswith(magic) and (kind is not Format.BZIP2 or head[4:10] in _BLOCK_MAGIC):
            return kind
    return Format.TAR if _is_tar(head) else None


def _is_tar(head: bytes) -> bool:
    """Whether a block is the header of a tar member: its checksum is right (POSIX.1-1988; older tars have no mark)."""
    if len(head) < tarfile.BLOCKSIZE or not head[0] or head[148:156].strip(b" 01234567\0"):
        return False
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def unpacked_name(name: str) -> str:
    """Return the name of the file that a compressed file holds.

    >>> unpacked_name("IM1.dcm.gz"), unpacked_name("study.tgz"), unpacked_name("IM1")
    ('IM1.dcm', 'study.tar', 'IM1')
    """
    stem, _, suffix = name.rpartition(".")
    return stem + _SUFFIXES[suffix.lower()] if suffix.lower() in _SUFFIXES else name


class Archive:
    """An open archive: its members, each by a name of its own, and how to open one for reading."""

    def __init__(self, file: IO[bytes], members: Mapping[str, Any], open_member: Callable[[Any], Opened]) -> None:
        self._file = file
        self._open = open_member
        self._lock = threading.Lock()  # members share one file
        self.members = members

    def __del__(self) -> None:
        self._file.close()

    @contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """Open a member; its bytes can be read once, in order."""
        with self._lock, self._open(self.members[name]) as stream:
            yield stream


def member_names(path: Path, members: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the members of an archive, sorted; equal names are numbered.

    Raises ``Refusal`` or one of ``ARCHIVE_ERRORS`` if the archive is broken or incomplete.
    """
    return tuple(_archive(path, members).members)


def member_fault(path: Path, members: tuple[str, ...]) -> str | None:
    """Return why a member of a zip cannot be read at all: encrypted, or packed in an unknown way."""
    stored = _archive(path, members[:-1]).members[members[-1]]
    if not isinstance(stored, zipfile.ZipInfo):
        return None
    if stored.flag_bits & _ENCRYPTED:
        return "encrypted; unpack it with its password"
    if stored.compress_type not in _ZIP_METHODS:
        method = _METHOD_NAMES.get(stored.compress_type, f"method {stored.compress_type}")
        return f"packed by {method}, which cannot be read here; unpack it with another program"
    return None


def member_head(path: Path, members: tuple[str, ...]) -> bytes:
    """Return the first ``HEAD_BYTES`` of a member."""
    with _archive(path, members[:-1]).opened(members[-1]) as stream:
        return stream.read(HEAD_BYTES)


def member_bytes(path: Path, members: tuple[str, ...]) -> bytes:
    """Return the content of a member. Raises ``Refusal`` (``TOO_LARGE``) for a bomb, else one of ``ARCHIVE_ERRORS``."""
    archive = _archive(path, members[:-1])
    declared = _declared_bytes(archive.members[members[-1]])
    if declared is not None and declared > MAX_INFLATED_BYTES:
        raise Refusal(
            Code.TOO_LARGE, f"unpacks to {declared} bytes; at most {MAX_INFLATED_BYTES} are allowed, unpack it first"
        )
    with archive.opened(members[-1]) as stream:
        content = stream.read(MAX_INFLATED_BYTES + 1)
    if len(content) > MAX_INFLATED_BYTES:
        raise Refusal(Code.TOO_LARGE, f"unpacks to more than the allowed {MAX_INFLATED_BYTES} bytes")
    if declared is not None and len(content) < declared:
        raise EOFError(f"ends after {len(content)} of {declared} bytes")
    return content


def close_archives() -> None:
    """Close the archives on disk that are kept open between reads."""
    with _opening:
        _on_disk.cache_clear()


def discard_unpacked() -> None:
    """Remove the archives that were unpacked from others."""
    with _opening:
        _unpacked.cache_clear()


_opening = threading.RLock()
"""One thread at a time opens an archive, so that none is unpacked twice."""


def _archive(path: Path, members: tuple[str, ...]) -> Archive:
    with _opening:
        return _unpacked(path, members) if members else _on_disk(path)


@lru_cache(maxsize=4)
def _on_disk(path: Path) -> Archive:
    """Open an archive file. Few are kept open, since members are read in order."""
    return _opened_archive(path.open("rb"), path.name)


@lru_cache(maxsize=2)
def _unpacked(path: Path, members: tuple[str, ...]) -> Archive:
    """Open an archive inside another one. Two are kept, each up to 16 GiB on disk: unpacking takes seconds per GiB."""
    outer = _archive(path, members[:-1])
    packed = _packed_bytes(outer.members[members[-1]]) or path.stat().st_size
    with outer.opened(members[-1]) as stream:
        return _opened_archive(_copied(stream, packed), members[-1].rpartition("/")[2])


def _opened_archive(file: IO[bytes], name: str) -> Archive:
    try:
        kind = archive_format(file.read(HEAD_BYTES))
        file.seek(0)
        if kind is Format.TAR:
            return _tar(file)
        if kind is not None and kind in _SINGLE:
            return _single(file, name, _SINGLE[kind])
        return _zip(file, begins_as_zip=kind is Format.ZIP)
    except BaseException:
        file.close()
        raise


def _single(file: IO[bytes], name: str, unpack: Callable[[Any], Any]) -> Archive:
    def opened(_: None) -> Opened:
        file.seek(0)
        stream: Opened = unpack(file)
        return stream

    return Archive(file, {unpacked_name(name): None}, opened)


def _zip(file: IO[bytes], *, begins_as_zip: bool) -> Archive:
    """Open a zip. Zips that were joined have one directory, the last one's: the files of the others would be lost."""
    archive = zipfile.ZipFile(file)
    stored = [entry for entry in archive.infolist() if not entry.is_dir()]
    if any(entry.volume for entry in stored):
        raise Refusal(Code.FILE_UNREADABLE, "a part of a split zip; join its parts first")
    if begins_as_zip and min((entry.header_offset for entry in archive.infolist()), default=0) > 0:
        raise Refusal(Code.FILE_UNREADABLE, "joined to another zip, or damaged; unpack it with another program")
    return Archive(file, _named(sorted(stored, key=lambda entry: entry.filename), "filename"), archive.open)


def _tar(file: IO[bytes]) -> Archive:
    """Open a tar; links in it lead to members that are listed anyway."""
    archive = tarfile.open(fileobj=file, mode="r:", errors="surrogateescape")  # noqa: SIM115 - lives with the file
    stored = [entry for entry in archive.getmembers() if entry.isreg()]
    _require_end(file, archive.offset)

    def opened(entry: tarfile.TarInfo) -> Opened:
        stream = archive.extractfile(entry)
        assert stream is not None
        return stream

    return Archive(file, _named(sorted(stored, key=lambda entry: entry.name), "name"), opened)


def _require_end(file: IO[bytes], end: int) -> None:
    """Raise ``tarfile.ReadError`` unless the tar ends in zeros: tarfile takes a broken header for the end."""
    file.seek(end)
    rest = file.read(_CHUNK_BYTES)
    if len(rest) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("it ends early")
    if rest.strip(b"\0"):
        raise tarfile.ReadError(f"it is broken, or joined to another, at byte {end}")


def _named(stored: Iterable[Any], attribute: str) -> dict[str, Any]:
    """Return the members by name; zips and tars may hold many of one name."""
    named: dict[str, Any] = {}
    number: dict[str, int] = {}
    for entry in stored:
        name = unique = getattr(entry, attribute)
        while unique in named:
            number[name] = number.get(name, 1) + 1
            unique = f"{name} ({number[name]})"
        named[unique] = entry
    return named


def _declared_bytes(entry: Any) -> int | None:
    if isinstance(entry, zipfile.ZipInfo):
        return entry.file_size
    return entry.size if isinstance(entry, tarfile.TarInfo) else None


def _packed_bytes(entry: Any) -> int | None:
    return entry.compress_size if isinstance(entry, zipfile.ZipInfo) else _declared_bytes(entry)


def _copied(stream: IO[bytes], packed_bytes: int) -> IO[bytes]:
    """Return a temporary file with the rest of the stream. Raises ``Refusal`` (``TOO_LARGE``)."""
    most = min(MAX_UNPACKED_ARCHIVE_BYTES, max(MAX_INFLATED_BYTES, MAX_PACKING_RATIO * packed_bytes))
    copy: Any = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - the archive closes it
    try:
        while content := stream.read(_CHUNK_BYTES):
            if copy.tell() + len(content) > most:
                raise Refusal(Code.TOO_LARGE, f"unpacks to more than the allowed {most} bytes; unpack it first")
            _write(copy, content)
    except BaseException:
        copy.close()
        raise
    copy.seek(0)
    unpacked: IO[bytes] = copy
    return unpacked


def _write(copy: Any, content: bytes) -> None:
    try:
        copy.write(content)
    except OSError as problem:
        place = tempfile.gettempdir()
        raise Refusal(Code.TOO_LARGE, f"cannot be unpacked in {place}: {system_message(problem)}") from problem
