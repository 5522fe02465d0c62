"""``find_sources``: every file under some paths, once; archives are opened, and what cannot be opened is named."""

import errno
import io
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ctacal.atomic import PREFIX
from ctacal.dicom.files import archive
from ctacal.dicom.files.archive import ARCHIVE_ERRORS, archive_format
from ctacal.dicom.files.kinds import (
    SUSPECT,
    UNKNOWN,
    Form,
    closed_archive,
    dicom_form,
    is_in_cloud,
    is_promising,
    kind_of,
    may_hold_zip,
)
from ctacal.dicom.files.source import SkippedFile, Source
from ctacal.errors import Code, Reason, Refusal, UsageError, system_message
from ctacal.names import printable

MAX_ARCHIVE_DEPTH = 3
"""Largest depth of archives inside archives that are opened; a .tar.gz counts as two."""

_SPECIAL = {stat.S_ISFIFO: "pipe", stat.S_ISSOCK: "socket", stat.S_ISCHR: "device", stat.S_ISBLK: "device"}
"""What is never opened: reading a pipe may wait for ever."""


@dataclass(frozen=True, slots=True)
class OtherFile:
    """A file that is no DICOM."""

    source: Source
    kind: str
    """What it is, in words."""

    @property
    def is_suspect(self) -> bool:
        """Whether a damaged DICOM file may look like this."""
        return self.kind in SUSPECT


Found = Source | SkippedFile | OtherFile


class Seen:
    """The folders and files that were met, by their real paths: links may lead to one twice, or in a circle."""

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self.repeats = 0

    def first_time(self, path: str) -> bool:
        """Whether a real path is met for the first time."""
        if path in self._paths:
            self.repeats += 1
            return False
        self._paths.add(path)
        return True


def require_existing(paths: Iterable[Path]) -> None:
    """Raise ``UsageError`` if one of the paths does not exist."""
    for path in paths:
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError) as problem:
            raise UsageError(f"{printable(path)}: no such file or folder") from problem
        except OSError as problem:  # others are found later, and listed
            if problem.errno in (errno.ENAMETOOLONG, errno.ELOOP):
                raise UsageError(f"{printable(path)}: {system_message(problem)}") from problem


def find_sources(path: Path, seen: Seen) -> Iterator[Found]:
    """Yield every file under ``path`` (a file, a folder, an archive, a DICOMDIR; nested), in a stable order.

    Links are followed, but not to a folder above the given one: a link to / would lead to all of the machine.
    """
    if path.name.upper() == "DICOMDIR" and _is_file(path):
        path = path.parent  # the directory only points to the files beside it
    root = os.path.realpath(path)
    for found in _files_at(path, root, root, seen):
        yield from _expand(found, depth=0) if isinstance(found, Source) else [found]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _files_at(path: Path, real: str, root: str, seen: Seen) -> Iterator[Found]:
    """Yield the file, or the files in a folder and below; pipes, sockets and devices are not opened."""
    try:
        mode = path.stat().st_mode
    except OSError as problem:
        kind = "a link that leads nowhere: " if path.is_symlink() else ""
        yield _unreadable(Source(path), f"{kind}{system_message(problem)}")
        return
    if real != root and Path(real) in Path(root).parents:
        yield _unreadable(Source(path), "a link to a folder above the given one, which is not followed")
        return
    if not seen.first_time(real):
        return
    if stat.S_ISDIR(mode):
        yield from _files_in(path, real, root, seen)
    elif stat.S_ISREG(mode):
        yield Source(path)
    else:
        yield OtherFile(Source(path), next((kind for is_kind, kind in _SPECIAL.items() if is_kind(mode)), UNKNOWN))


def _files_in(folder: Path, real: str, root: str, seen: Seen) -> Iterator[Found]:
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
    except OSError as problem:
        yield _unreadable(Source(folder), f"the folder cannot be opened: {system_message(problem)}")
        return
    for entry in entries:
        if entry.name.startswith(PREFIX):  # of a run that is still writing, or was killed
            continue
        path = folder / entry.name
        real_path = os.path.realpath(path) if entry.is_symlink() else f"{real}{os.sep}{entry.name}"
        if not entry.is_file(follow_symlinks=False):
            yield from _files_at(path, real_path, root, seen)
        elif seen.first_time(real_path) and not _is_known(entry, seen):
            yield Source(path)


def _is_known(entry: os.DirEntry[str], seen: Seen) -> bool:
    """Whether a file of several names (hard links) was met by another name."""
    try:
        found = entry.stat()
    except OSError:  # opening it will say why
        return False
    return found.st_nlink > 1 and not seen.first_time(f"{found.st_dev}:{found.st_ino}")


def _expand(source: Source, depth: int) -> Iterator[Found]:
    """Yield the source itself, or the files inside if it is an archive."""
    try:
        head = source.head()
        form = dicom_form(head)
        if form not in (None, Form.DISPLACED):
            yield source
        elif _is_archive(source, head):
            yield from _members(source, depth)
        elif form:
            yield _unreadable(source, "DICOM behind other bytes, as of a download; save the DICOM file alone")
        else:
            yield _other(source, head)
    except Refusal as refusal:
        yield SkippedFile(str(source), refusal.reason, source.folder)
    except OSError as problem:
        yield _unreadable(source, system_message(problem))
    except ARCHIVE_ERRORS as problem:
        yield _unreadable(source, f"damaged or cut off ({_said(problem)}); copy it again from its source")


def _is_archive(source: Source, head: bytes) -> bool:
    if archive_format(head):
        return True
    if source.members or not may_hold_zip(head, source.name):
        return False
    with io.FileIO(source.path) as file:
        return zipfile.is_zipfile(file)


def _other(source: Source, head: bytes) -> Found:
    if closed := closed_archive(head, source.name):
        return _unreadable(source, f"{closed}, which is not opened; unpack it first")
    if is_in_cloud(source.name):
        return _unreadable(source, "still in iCloud; download it first")
    kind = kind_of(head)
    if kind in SUSPECT and is_promising(source.name):
        return _unreadable(source, f"named like DICOM or an archive, but it is {_article(kind)}; copy it again")
    return OtherFile(source, kind)


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _members(source: Source, depth: int) -> Iterator[Found]:
    """Yield the files in an archive; those of a zip that can never be read are named together."""
    if depth == MAX_ARCHIVE_DEPTH:
        raise Refusal(Code.TOO_LARGE, f"archives are nested more than {MAX_ARCHIVE_DEPTH} deep; unpack it first")
    faults: dict[str, list[Source]] = {}
    for name in archive.member_names(source.path, source.members):
        member = Source(source.path, (*source.members, name))
        if fault := archive.member_fault(member.path, member.members):
            faults.setdefault(fault, []).append(member)
        else:
            yield from _expand(member, depth + 1)
    for fault, lost in faults.items():
        files = "1 file in it is" if len(lost) == 1 else f"{len(lost)} files in it are"
        yield _unreadable(source, f"{files} {fault}")


def _said(problem: BaseException) -> str:
    return " ".join(str(problem).split()) or type(problem).__name__


def _unreadable(source: Source, message: str) -> SkippedFile:
    return SkippedFile(str(source), Reason(Code.FILE_UNREADABLE, printable(message)), source.folder)
