"""``read_files``: every file under some paths -> the images, what could not be read, and what else lies there."""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.uid import SecondaryCaptureImageStorage

from ctacal.dicom.files.dicomdir import Listed, listed_images, missing_note
from ctacal.dicom.files.kinds import DICOMDIR, counted, kind_of
from ctacal.dicom.files.lost_files import damaged_images, named_study, unreadable_note
from ctacal.dicom.files.search import OtherFile, Seen, find_sources, require_existing
from ctacal.dicom.files.source import ARCHIVE_ERRORS, SkippedFile, Source, close_archives
from ctacal.dicom.header import SeriesHeader, Slice, quiet_pydicom, read_slices
from ctacal.dicom.headers.elements import Known
from ctacal.errors import Code, Reason, Refusal
from ctacal.names import printable

_SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP classes of drawings on images, binary and label map: they are no images of the patient."""

_Content = Sequence[Slice] | SkippedFile | OtherFile
"""What a file holds."""


@dataclass(frozen=True, eq=False, slots=True)
class Files:
    """What the files under some paths hold."""

    count: int
    """Number of files."""
    slices: tuple[Slice, ...]
    skipped: tuple[SkippedFile, ...]
    """Files that could not be read, DICOM or archives."""
    others: Mapping[str, int]
    """Numbers of files that hold no image, by what they are."""
    empty: tuple[str, ...]
    """The given paths under which there is no image, each with what lies there."""
    listed: Listed
    """CT images that DICOMDIRs list."""

    def notes(self, slices: Sequence[Slice], *, alone: bool) -> tuple[Reason, ...]:
        """Return notes on files of a study that could not be read or are not there; ``alone``: it is the only study."""
        unreadable = unreadable_note(slices, self.skipped, alone=alone)
        return (*unreadable, *missing_note(slices, self.listed))


def read_files(paths: Iterable[Path], on_file: Callable[[], object]) -> Files:
    """Read the headers of every file under ``paths``. Raises ``UsageError`` if a path does not exist."""
    paths = tuple(paths)
    require_existing(paths)
    known: Known = {}
    seen = Seen()
    found: list[_Content] = []
    without: dict[Path, list[_Content]] = {}
    for path in paths:
        repeats = seen.repeats
        there = list(_contents(path, seen, known, on_file))
        found += there
        if seen.repeats == repeats and not any(isinstance(content, list) for content in there):
            without[path] = there
    close_archives()
    slices = tuple(slice_ for content in found if isinstance(content, list) for slice_ in content)
    others = [content for content in found if isinstance(content, OtherFile)]
    studies = {slice_.header.study_uid for slice_ in slices}
    skipped = [_of_known_study(content, studies) for content in found if isinstance(content, SkippedFile)]
    skipped += damaged_images(slices, [file for file in others if file.is_suspect])
    directories = [file.source for file in others if file.kind == DICOMDIR]
    listed = listed_images(directories, {slice_.sop_instance_uid for slice_ in slices}) if directories else {}
    return Files(len(found), slices, tuple(skipped), _kinds(others), _empty(without, listed, alone=not slices), listed)


def _contents(path: Path, seen: Seen, known: Known, on_file: Callable[[], object]) -> Iterator[_Content]:
    with quiet_pydicom():
        for file in find_sources(path, seen):
            on_file()
            yield _content(file, known) if isinstance(file, Source) else file


def _content(source: Source, known: Known) -> _Content:
    """Return the images of a DICOM file; segmentations, and our own pictures of an earlier run, are none."""
    try:
        slices = read_slices(source, known)
        if not slices or _is_drawn(slices[0].header):
            return OtherFile(source, kind_of(source.head()))
    except Refusal as refusal:
        if source.name.upper() == DICOMDIR:  # the images count, not the list of them
            return OtherFile(source, DICOMDIR)
        return SkippedFile(str(source), refusal.reason, source.folder, named_study(source))
    except ARCHIVE_ERRORS:
        reason = Reason(Code.FILE_UNREADABLE, "it changed while it was read; run again")
        return SkippedFile(str(source), reason, source.folder)
    return slices


def _of_known_study(file: SkippedFile, studies: Container[str]) -> SkippedFile:
    """Return the file without the name of a study that was not found: it may be corrupted."""
    return file if file.study_uid in studies else replace(file, study_uid="")


def _is_drawn(header: SeriesHeader) -> bool:
    ours = header.manufacturer == header.model == "ctacal"
    return header.sop_class_uid in _SEGMENTATIONS or (ours and header.sop_class_uid == SecondaryCaptureImageStorage)


def _empty(without: Mapping[Path, Sequence[_Content]], listed: Listed, *, alone: bool) -> tuple[str, ...]:
    """Return each path without an image and what lies there; a single file of another kind counts only if ``alone``."""
    images = sum(map(len, listed.values())) if alone else 0
    missing = f"; a DICOMDIR lists {images} CT images, and none of them is there" if images else ""
    return tuple(
        f"{printable(path)}: no DICOM image series there; found {_described(there)}{missing}"
        for path, there in without.items()
        if alone or not (len(there) == 1 and isinstance(there[0], OtherFile) and there[0].source == Source(path))
    )


def _kinds(others: Iterable[OtherFile]) -> Counter[str]:
    return Counter(file.kind for file in others)


def _described(there: Sequence[_Content]) -> str:
    """Return what files without images are, in words."""
    kinds = counted(_kinds(content for content in there if isinstance(content, OtherFile)))
    unreadable = sum(isinstance(content, SkippedFile) for content in there)
    lost = counted({"file": unreadable}) + " that could not be read" if unreadable else ""
    return ", ".join(filter(None, (kinds, lost))) or "nothing"
