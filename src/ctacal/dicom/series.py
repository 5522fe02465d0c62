"""``Study`` and ``Series``: images grouped so that each series is one reconstruction of one acquisition."""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from ctacal.dicom.files import Files, read_files
from ctacal.dicom.header import SeriesHeader, Slice
from ctacal.dicom.source import SkippedFile
from ctacal.dicom.words import plain_texts
from ctacal.errors import Code, Reason

_LOCALIZER_WORDS = re.compile(
    r"\blocali[sz]e|\blocali[sz]ador|\blokali[sz]|\btopogra|\bscout|\bsurview|\bscano(gra|view)|\bpilot\b|定位"
)
FEWEST_AXIAL_IMAGES = 5
"""A series with this many axial images at different heights is no localizer, whatever its texts say: a localizer is one
projection, rarely a few (own choice, the least that ``Stack`` accepts)."""
AXIAL_COSINE = 0.866
"""Cosine of the largest tilt of an axial image, 30 degrees, as in ``Stack``."""


@dataclass(frozen=True, eq=False, slots=True)
class Series:
    """Images of one SeriesInstanceUID that share orientation, matrix, pixel size, image type and kernel."""

    slices: tuple[Slice, ...]
    part: str = ""
    """Such as ``2 of 3`` if a UID held several reconstructions, else empty."""
    notes: tuple[Reason, ...] = ()

    @property
    def header(self) -> SeriesHeader:
        """The values that its images share."""
        return self.slices[0].header

    @property
    def uid(self) -> str:
        """SeriesInstanceUID."""
        return self.header.series_uid

    @property
    def name(self) -> str:
        """Its name in messages: number, description, part."""
        number = "" if self.header.series_number is None else f"{self.header.series_number} "
        part = f" (part {self.part})" if self.part else ""
        return f"series {number}'{self.header.series_description}'{part}"

    @property
    def is_localizer(self) -> bool:
        """Whether image type or description call it a localizer, and its geometry is not that of an axial scan."""
        words = plain_texts(*self.header.image_type, self.header.series_description)
        return bool(_LOCALIZER_WORDS.search(words)) and not self._is_axial_scan

    @property
    def _is_axial_scan(self) -> bool:
        heights = {round(slice_.position_mm[2], 1) for slice_ in self.slices if slice_.position_mm}
        return len(heights) >= FEWEST_AXIAL_IMAGES and all(map(_is_axial, self.slices))


@dataclass(frozen=True, eq=False, slots=True)
class Study:
    """All series found with one StudyInstanceUID."""

    series: tuple[Series, ...]
    notes: tuple[Reason, ...] = ()

    @property
    def uid(self) -> str:
        """StudyInstanceUID."""
        return self.series[0].header.study_uid


@dataclass(frozen=True, eq=False, slots=True)
class Intake:
    """The studies under a set of paths, and the files that gave none."""

    studies: tuple[Study, ...]
    skipped: tuple[SkippedFile, ...]
    """Files that could not be read, DICOM or archives; other files are only counted."""
    files: int
    others: Mapping[str, int]
    """Numbers of files that hold no image, by what they are."""
    empty: tuple[str, ...] = ()
    """The given paths under which there is no image, each with what lies there."""

    @property
    def not_dicom(self) -> int:
        """Number of files that hold no DICOM image."""
        return sum(self.others.values())


def _is_axial(slice_: Slice) -> bool:
    """Whether the image's plane is axial, by the normal of its Image Orientation (Patient)."""
    if slice_.orientation is None:
        return False
    across, down = slice_.orientation[:3], slice_.orientation[3:]
    return abs(across[0] * down[1] - across[1] * down[0]) >= AXIAL_COSINE


def read_studies(paths: Iterable[Path], *, on_file: Callable[[], object] = lambda: None) -> Intake:
    """Find every study under ``paths``, whatever the names of the files and however they are mixed.

    ``on_file`` is called once per file, for a progress bar. Raises ``UsageError`` if a path does not exist; an
    unreadable file is listed in ``skipped``, and its study carries a warning.
    """
    files = read_files(paths, on_file)
    return Intake(_studies(files), files.skipped, files.count, files.others, files.empty)


def _studies(files: Files) -> tuple[Study, ...]:
    by_study = _grouped(files.slices, lambda slice_: slice_.header.study_uid)
    alone = len(by_study) == 1
    return tuple(
        _study(members, files.notes(str(uid), members, alone=alone)) for uid, members in sorted(by_study.items())
    )


def _study(slices: Sequence[Slice], notes: tuple[Reason, ...]) -> Study:
    by_series = _grouped(slices, lambda slice_: slice_.header.series_uid)
    series = [part for _, members in sorted(by_series.items()) for part in _parts(members)]
    return Study(tuple(series), notes)


def _parts(slices: Sequence[Slice]) -> list[Series]:
    """Return a series per reconstruction; if a UID holds several, each carries a note of the split."""
    groups = [part for group in _grouped(slices, _reconstruction).values() for part in _acquisitions(group)]
    groups.sort(key=len, reverse=True)
    parts = [Series(tuple(group)) for group in groups]
    localizers = sum(len(part.slices) for part in parts if part.is_localizer)
    images = [part for part in parts if not part.is_localizer]
    if localizers and images:
        note = Reason(Code.LOCALIZERS_DROPPED, f"{localizers} localizer images inside the series were left out")
        parts = [part if part.is_localizer else replace(part, notes=(note,)) for part in parts]
    return _numbered(parts) if len(images) > 1 else parts


def _numbered(parts: Sequence[Series]) -> list[Series]:
    sizes = " + ".join(str(len(part.slices)) for part in parts)
    note = Reason(
        Code.SERIES_SPLIT, f"the series UID holds several reconstructions ({sizes} images), which were separated"
    )
    return [
        replace(part, part=f"{number} of {len(parts)}", notes=(*part.notes, note))
        for number, part in enumerate(parts, 1)
    ]


def _reconstruction(slice_: Slice) -> Hashable:
    """Return the header values that distinguish reconstructions under one UID."""
    header = slice_.header
    orientation = tuple(round(cosine, 4) for cosine in slice_.orientation or ())
    spacing = tuple(round(mm, 4) for mm in slice_.pixel_spacing_mm or ())
    texts = header.image_type, header.kernel, header.modality, header.frame_of_reference_uid
    return orientation, spacing, slice_.rows, slice_.columns, texts


def _acquisitions(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Split by acquisition number only if acquisitions overlap: step-and-shoot scanners number every table step."""
    by_acquisition = _grouped(slices, lambda slice_: slice_.acquisition_number)
    heights = [[slice_.position_mm[2] for slice_ in group if slice_.position_mm] for group in by_acquisition.values()]
    spans = sorted((min(mm), max(mm)) for mm in heights if mm)
    overlap = any(below[1] >= above[0] for below, above in pairwise(spans))
    return list(by_acquisition.values()) if overlap else [list(slices)]


def _grouped(slices: Iterable[Slice], key: Callable[[Slice], Hashable]) -> dict[Hashable, list[Slice]]:
    groups: dict[Hashable, list[Slice]] = defaultdict(list)
    for slice_ in slices:
        groups[key(slice_)].append(slice_)
    return groups
