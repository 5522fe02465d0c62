"""A DICOMDIR (PS3.10 section 8.6, PS3.3 F.3) against the images that were read: what it lists and what is not there."""

import io
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydicom import Dataset, dcmread

from ctacal.dicom.files.source import Source
from ctacal.dicom.header import READING_ERRORS, Slice, quiet_pydicom
from ctacal.errors import Code, Reason, Refusal
from ctacal.names import printable

MAX_DIRECTORY_BYTES = 64 * 2**20
"""Largest DICOMDIR that is read (own choice: 100,000 images)."""

_RECORDS = 0x00041220
"""Directory Record Sequence."""
_ABOVE = {"IMAGE": "SERIES", "SERIES": "STUDY"}


@dataclass(frozen=True, slots=True)
class ListedImage:
    """A CT image that a DICOMDIR lists."""

    sop_instance_uid: str
    file: str
    """Its file, as the DICOMDIR names it."""


Listed = Mapping[str, Sequence[ListedImage]]
"""CT images by StudyInstanceUID."""


def listed_images(directories: Iterable[Source], there: Container[str]) -> Listed:
    """Return the CT images that the DICOMDIRs list; nothing for one that lists only images that are ``there``.

    ``there`` are SOPInstanceUIDs. A DICOMDIR that is broken or too large lists nothing.
    """
    listed: dict[str, list[ListedImage]] = defaultdict(list)
    for directory in directories:
        content = _content(directory)
        if all(uid in there for uid in _instance_uids(content)):  # parsing takes a quarter of a millisecond per image
            continue
        for study_uid, image in _images_of(content):
            if not content.endswith(image.sop_instance_uid.encode()):  # of a DICOMDIR that is cut off in it
                listed[study_uid].append(image)
    return listed


def missing_note(slices: Sequence[Slice], listed: Listed) -> list[Reason]:
    """Return a note if a DICOMDIR lists CT images of the study that were not read."""
    if not listed:
        return []
    studies = sorted({slice_.header.study_uid for slice_ in slices})
    images = {image.sop_instance_uid: image.file for uid in studies for image in listed.get(uid, ())}
    there = {slice_.sop_instance_uid for slice_ in slices if slice_.header.modality == "CT"}
    lost = [file for uid, file in images.items() if uid not in there]
    if not lost or len(lost) == len(images) <= len(there):  # the images were given other UIDs since
        return []
    message = (
        f"a DICOMDIR lists {len(images)} CT images of this study, but {len(lost)} of them are not there; "
        f"copy the whole disc, the first: {printable(lost[0])}"
    )
    return [Reason(Code.FILES_MISSING, message)]


def _content(directory: Source) -> bytes:
    try:
        with directory.open() as file:
            size = file.seek(0, 2)
            file.seek(0)
            return file.read(size) if size <= MAX_DIRECTORY_BYTES else b""
    except (Refusal, *READING_ERRORS):
        return b""


def _instance_uids(content: bytes) -> Iterator[str]:
    """Yield the Referenced SOP Instance UIDs in File; a DICOMDIR is always explicit little endian (PS3.10 8.6)."""
    for found in re.finditer(rb"\x04\x00\x11\x15UI..([0-9.]+)", content, re.DOTALL):
        yield found[1].decode("ascii")


def _images_of(content: bytes) -> list[tuple[str, ListedImage]]:
    try:
        with quiet_pydicom():
            directory = dcmread(io.BytesIO(content), force=True, specific_tags=[_RECORDS])
            return list(_images(directory.get("DirectoryRecordSequence") or ()))
    except READING_ERRORS:
        return []


def _images(records: Sequence[Dataset]) -> Iterator[tuple[str, ListedImage]]:
    """Yield the CT images with their StudyInstanceUID."""
    above = _parents(records)
    for record in records:
        uid, file = record.get("ReferencedSOPInstanceUIDInFile"), record.get("ReferencedFileID")
        if record.get("DirectoryRecordType") != "IMAGE" or not uid or not file or record.get("RecordInUseFlag") == 0:
            continue
        series = above.get(id(record), Dataset())
        study = above.get(id(series), Dataset())
        if series.get("Modality") == "CT":
            name = file if isinstance(file, str) else "/".join(map(str, file))
            yield str(study.get("StudyInstanceUID", "")), ListedImage(str(uid), name)


def _parents(records: Sequence[Dataset]) -> dict[int, Dataset]:
    """Return the record above each record: by the offsets that link them (PS3.3 F.3.2.2), else by their order."""
    by_offset = {record.seq_item_tell: record for record in records}
    above: dict[int, Dataset] = {}
    for record in records:
        below = by_offset.get(record.get("OffsetOfReferencedLowerLevelDirectoryEntity"))
        while below is not None and id(below) not in above:
            above[id(below)] = record
            below = by_offset.get(below.get("OffsetOfTheNextDirectoryRecord"))
    last: dict[str, Dataset] = {}
    for record in records:
        kind = str(record.get("DirectoryRecordType"))
        last[kind] = record
        if _ABOVE.get(kind) in last:
            above.setdefault(id(record), last[_ABOVE[kind]])
    return above
