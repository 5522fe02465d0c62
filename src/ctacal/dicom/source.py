"""``Source``: a stored file, on disk or in a (nested) zip, found whatever its name and read with bounded memory."""

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from ctacal.errors import Code, Reason, Refusal, UsageError

MAX_INFLATED_BYTES = 256 * 2**20
"""Largest size of an unpacked zip member or dataset; more is a bomb: CT files have 0.1-1 MB, multi-frame ones 100."""

MAX_ZIP_DEPTH = 3
"""Largest depth of zips inside zips that are opened."""

ARCHIVE_ERRORS = (
    OSError, EOFError, ValueError, RuntimeError, LookupError, ArithmeticError, MemoryError, struct.error,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""The exceptions that zipfile and its decompressors were seen to raise on corrupted archives (NotImplementedError,
UnicodeError and KeyError are subclasses of them)."""

_CHUNK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file is stored: a path, and the chain of member names if it lies inside zips."""

    path: Path
    members: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "!".join([str(self.path), *self.members])

    def open(self) -> BinaryIO:
        """Open the file for reading; no single read allocates more than the size of the file.

        Raises ``Refusal`` (``TOO_LARGE``) for a bomb, ``OSError`` or ``zipfile.BadZipFile`` if it cannot be read.
        """
        if self.members:
            content = _member_bytes(self.path, self.members)
            return _BoundedReader(io.BytesIO(content), len(content))
        return _BoundedReader(io.FileIO(self.path), self.path.stat().st_size)


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that gave no image, and why; listed for the user, so that nothing is lost unnoticed."""

    name: str
    reason: Reason


class _BoundedReader(io.BufferedReader):
    """A file that no read, and no inflating of it, brings beyond the allowed memory.

    Element lengths in hostile headers can be wrong by gigabytes. pydicom reads to the end only to inflate a deflated
    dataset at once, even if it needs only the header (417 KiB were seen to take 1.5 GB): the size is checked first.
    """

    name = ""
    """pydicom reads the name of every buffered reader; a zip member has none."""

    def __init__(self, raw: io.FileIO | io.BytesIO, size: int) -> None:
        super().__init__(raw, buffer_size=2**14)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            check_inflated_size(self)
        return super().read(size if size is None or size < self._size else self._size)


def find_sources(paths: Iterable[Path]) -> Iterator[Source | SkippedFile]:
    """Yield every file under ``paths`` (files, folders, zips, DICOMDIRs; nested) once, in a stable order.

    Raises ``UsageError`` if a path does not exist.
    """
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
        for file in _files_under(path):
            resolved = file.resolve()
            if resolved not in seen:
                seen.add(resolved)
                yield from _expand(Source(file), depth=0)


def _files_under(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (file for file in sorted(path.rglob("*")) if file.is_file())
    elif path.name.upper() == "DICOMDIR":
        yield from _files_under(path.parent)  # the directory only points to the files beside it
    else:
        yield path


def _expand(source: Source, depth: int) -> Iterator[Source | SkippedFile]:
    """Yield the source itself, or the files inside if it is a zip."""
    try:
        with source.open() as file:
            if file.read(4) != b"PK\x03\x04":
                yield source
                return
        if depth == MAX_ZIP_DEPTH:
            raise Refusal(Code.TOO_LARGE, f"zips are nested more than {MAX_ZIP_DEPTH} deep; unpack it first")
        names = [entry.filename for entry in _archive(source.path, source.members).infolist() if not entry.is_dir()]
    except Refusal as refusal:
        yield SkippedFile(str(source), refusal.reason)
    except ARCHIVE_ERRORS as problem:
        yield SkippedFile(str(source), Reason(Code.FILE_UNREADABLE, f"{problem}; copy it again from its source"))
    else:
        for name in sorted(names):
            yield from _expand(Source(source.path, (*source.members, name)), depth + 1)


@lru_cache(maxsize=4)
def _archive(path: Path, members: tuple[str, ...]) -> zipfile.ZipFile:
    """Open a zip, a nested zip in memory. Few are kept open, since members are read in order."""
    return zipfile.ZipFile(io.BytesIO(_member_bytes(path, members)) if members else path)


def close_archives() -> None:
    """Close the zips that are kept open between reads."""
    _archive.cache_clear()


def _member_bytes(path: Path, members: tuple[str, ...]) -> bytes:
    archive = _archive(path, members[:-1])
    declared = archive.getinfo(members[-1]).file_size
    if declared > MAX_INFLATED_BYTES:
        raise Refusal(Code.TOO_LARGE, f"unpacks to {declared} bytes; at most {MAX_INFLATED_BYTES} are allowed")
    try:
        with archive.open(members[-1]) as member:
            content = member.read(MAX_INFLATED_BYTES + 1)
    except (NotImplementedError, RuntimeError) as problem:  # an unknown method, or encrypted
        raise zipfile.BadZipFile(str(problem)) from problem
    if len(content) > MAX_INFLATED_BYTES:
        raise Refusal(Code.TOO_LARGE, f"unpacks to more than the allowed {MAX_INFLATED_BYTES} bytes")
    return content


def looks_like_dicom(file: BinaryIO) -> bool:
    """Whether the file starts like DICOM (PS3.10 preamble, or a bare dataset of group 0002 or 0008); rewinds it."""
    head = file.read(132)
    file.seek(0)
    if head[128:132] == b"DICM":
        return True
    group, length_or_vr = head[:2], head[4:6]
    if len(head) < 32 or group not in (b"\x02\x00", b"\x08\x00") or head[3:4] != b"\x00":
        return False
    implicit_length = int.from_bytes(head[4:8], "little")
    return (length_or_vr.isalpha() and length_or_vr.isupper()) or implicit_length <= 64


def check_inflated_size(file: BinaryIO) -> None:
    """Raise ``Refusal`` (``TOO_LARGE``) if the rest of the file inflates to more than is allowed; rewinds to here.

    A stream that is not deflated passes: the reader will report it.
    """
    start, inflater, total = file.tell(), zlib.decompressobj(-zlib.MAX_WBITS), 0
    with suppress(zlib.error):
        while packed := (inflater.unconsumed_tail or file.read(_CHUNK_BYTES)):
            total += len(inflater.decompress(packed, _CHUNK_BYTES))
            if total > MAX_INFLATED_BYTES:
                raise Refusal(Code.TOO_LARGE, f"inflates to more than the allowed {MAX_INFLATED_BYTES} bytes")
            if inflater.eof:
                break
    file.seek(start)
