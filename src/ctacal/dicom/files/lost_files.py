"""Notes on files that may belong to a study and could not be read: never a part of a scan for the whole, in silence."""

import re
from collections.abc import Iterable, Sequence

from ctacal.dicom.files.search import OtherFile
from ctacal.dicom.files.source import ARCHIVE_ERRORS, SkippedFile, Source
from ctacal.dicom.header import Slice
from ctacal.errors import Code, Reason, Refusal

_HEADER_BYTES = 2**16
"""Number of bytes in which a file names its study."""


def damaged_images(slices: Iterable[Slice], suspects: Sequence[OtherFile]) -> list[SkippedFile]:
    """Return the files without DICOM that are named like the images beside them: copies that failed.

    Such as an empty ``IM0005``, or one that holds only zeros, between ``IM0004`` and ``IM0006``.
    """
    if not suspects:
        return []
    images = {_pattern(source) for source in {slice_.source for slice_ in slices}}
    return [
        SkippedFile(
            str(file.source),
            Reason(Code.FILE_UNREADABLE, f"named like the images beside it, but no DICOM ({file.kind}); copy it again"),
            file.source.folder,
        )
        for file in suspects
        if _pattern(file.source) in images
    ]


def _pattern(source: Source) -> tuple[str, str]:
    """Return the folder, and the name with its numbers, decimal or hexadecimal, replaced."""
    return source.folder, re.sub(r"(#\.)+#", "#", re.sub(r"[0-9A-Fa-f]+", "#", source.name))


def unreadable_note(slices: Sequence[Slice], skipped: Sequence[SkippedFile], *, alone: bool) -> list[Reason]:
    """Return a note on the files that may belong to these slices of a study: those that name it, else by their place.

    The place is a folder or archive of the study. If the study is ``alone`` under the given paths, it is any.
    """
    if not skipped:
        return []
    uids = {slice_.header.study_uid for slice_ in slices}
    places = {place for source in {slice_.source for slice_ in slices} for place in _places(source)}
    lost = [
        file
        for file in skipped
        if (file.study_uid in uids if file.study_uid else alone or file.folder in places or file.name in places)
    ]
    if not lost:
        return []
    where = "under the given paths" if alone else "of this study, or in its folder,"
    files = "1 file" if len(lost) == 1 else f"{len(lost)} files"
    message = f"{files} {where} could not be read, the first: {lost[0].name}"
    return [Reason(Code.SERIES_UNREADABLE, message)]


def named_study(source: Source) -> str:
    """Return the StudyInstanceUID in what can be read of a file; empty if there is none."""
    try:
        with source.open() as file:
            head = file.read(_HEADER_BYTES)
    except (Refusal, *ARCHIVE_ERRORS):
        return ""
    found = re.search(rb"\x20\x00\x0d\x00(?:UI..|..\0\0)([0-9.]+)", head, re.DOTALL)
    return found[1].decode("ascii") if found else ""


def _places(source: Source) -> list[str]:
    """Return the folder of a file, and the archives that it lies in."""
    archives = [str(Source(source.path, source.members[:depth])) for depth in range(len(source.members))]
    return [source.folder, *archives]
