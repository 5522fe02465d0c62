"""``Study`` and ``Series``: images grouped so that each series is one reconstruction of one acquisition."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ctacal.dicom.files.reading import Files, read_files
from ctacal.dicom.files.source import SkippedFile
from ctacal.dicom.header import SeriesHeader, Slice
from ctacal.dicom.headers.words import plain_texts
from ctacal.dicom.scans.grouping import LOCALIZER_WORDS, grouped, parts_of, split_note
from ctacal.dicom.scans.joining import JoinedScan, continued, joined_scans, joined_studies, same_patient_and_day
from ctacal.dicom.uids import uid_notes
from ctacal.errors import Code, Reason

FEWEST_AXIAL_IMAGES = 5
"""A series with this many axial images at different heights is no localizer, whatever its texts say: a localizer is one
projection, rarely a few (own choice, the least that ``Stack`` accepts)."""
MOST_PROJECTIONS = 2
"""Largest number of images across the axial plane that are a localizer, though nothing calls them so (own choice)."""
AXIAL_COSINE = 0.866
"""Cosine of the largest tilt of an axial image, 30 degrees, as in ``Stack``."""


@dataclass(frozen=True, eq=False, slots=True)
class Series:
    """Images of one reconstruction of one scan: alike in orientation, matrix, pixel size and kernel.

    Example:
        >>> from pathlib import Path
        >>> import ctacal
        >>> [study] = read_studies([Path(ctacal.__file__).parent / "sample" / "thorax_phantom.zip"]).studies
        >>> [series] = study.series
        >>> series.name, len(series.slices), series.header.modality, series.is_localizer
        ("series 1 'CTAC'", 48, 'CT', False)
    """

    slices: tuple[Slice, ...]
    part: str = ""
    """Such as ``2 of 3`` if a UID held several reconstructions, else empty."""
    notes: tuple[Reason, ...] = ()
    fault: Reason | None = None
    """Why its images cannot be scored, if the images beside them tell: they are only a piece of a scan."""
    left_out: tuple[Slice, ...] = ()
    """Further images of the same places: lossy copies, and those at the border of two passes."""

    @property
    def header(self) -> SeriesHeader:
        """The values of its first image; Image Type, times and frame of reference may differ among the others."""
        return self.slices[0].header

    @property
    def uid(self) -> str:
        """SeriesInstanceUID of the first image: of the lowest, if series were joined."""
        return self.header.series_uid

    @property
    def uids(self) -> frozenset[str]:
        """SeriesInstanceUID of all images; several if series were joined."""
        return frozenset(slice_.header.series_uid for slice_ in self.slices)

    @property
    def name(self) -> str:
        """Its name in messages: number, description, part."""
        number = "" if self.header.series_number is None else f"{self.header.series_number} "
        part = f" (part {self.part})" if self.part else ""
        return f"series {number}'{self.header.series_description}'{part}"

    @property
    def is_localizer(self) -> bool:
        """Whether image type or description call it a localizer, and its geometry is not that of an axial scan.

        So are one or two images that are not axial, as scanners make them from front and side.
        """
        words = plain_texts(*self.header.image_type, self.header.series_description)
        few = len(self.slices) <= MOST_PROJECTIONS and self.header.modality == "CT"
        across = few and all(slice_.orientation and not _is_axial(slice_) for slice_ in self.slices)
        return across or (bool(LOCALIZER_WORDS.search(words)) and not self._is_axial_scan)

    @property
    def _is_axial_scan(self) -> bool:
        heights = {round(slice_.position_mm[2], 1) for slice_ in self.slices if slice_.position_mm}
        return len(heights) >= FEWEST_AXIAL_IMAGES and all(map(_is_axial, self.slices))


@dataclass(frozen=True, eq=False, slots=True)
class Study:
    """All series found with one StudyInstanceUID, or with several UIDs if they share one scan.

    Example:
        >>> from pathlib import Path
        >>> import ctacal
        >>> intake = read_studies([Path(ctacal.__file__).parent / "sample" / "thorax_phantom.zip"])
        >>> [(len(study.series), len(study.slices)) for study in intake.studies]
        [(1, 48)]
    """

    series: tuple[Series, ...]
    notes: tuple[Reason, ...] = ()

    @property
    def uid(self) -> str:
        """StudyInstanceUID of the first image of the first series."""
        return self.series[0].header.study_uid

    @property
    def slices(self) -> tuple[Slice, ...]:
        """The images of all its series, those that were left out among them."""
        return tuple(slice_ for series in self.series for slice_ in (*series.slices, *series.left_out))


@dataclass(frozen=True, eq=False, slots=True)
class Intake:
    """The studies under a set of paths, and the files that gave none.

    Example:
        >>> Intake((), (), 3, {"text": 2, "PDF": 1}, ("scans: 3 files, none of them DICOM",)).why_empty
        'scans: 3 files, none of them DICOM'
    """

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

    @property
    def why_empty(self) -> str:
        """A line on what lies where no study was found, and on the first file that could not be read."""
        unreadable = next((f"{file.name}: {file.reason.message}" for file in self.skipped), "")
        return "; ".join(filter(None, (*self.empty, unreadable))) or "no DICOM image series there"


def _is_axial(slice_: Slice) -> bool:
    """Whether the image's plane is axial, by the normal of its Image Orientation (Patient)."""
    if slice_.orientation is None:
        return False
    across, down = slice_.orientation[:3], slice_.orientation[3:]
    return abs(across[0] * down[1] - across[1] * down[0]) >= AXIAL_COSINE


def read_studies(paths: Iterable[Path], *, on_file: Callable[[], object] = lambda: None) -> Intake:
    """Find every study under ``paths``, whatever the names of the files and however they are mixed.

    Args:
        paths: DICOM files, folders and archives (zip, tar, gzip, bzip2, xz), in any mix.
        on_file: Called once per file, for a progress bar.

    Returns:
        The studies, ordered by their UIDs, and what else lay there. An unreadable file is listed in ``skipped``, and
        its study carries a warning.

    Raises:
        UsageError: A path does not exist.

    Example:
        >>> from pathlib import Path
        >>> import ctacal
        >>> sample = Path(ctacal.__file__).parent / "sample" / "thorax_phantom.zip"
        >>> [study] = read_studies([sample]).studies
        >>> study.series[0].name, len(study.slices)
        ("series 1 'CTAC'", 48)
    """
    files = read_files(paths, on_file)
    return Intake(_studies(files), files.skipped, files.count, files.others, files.empty)


def _studies(files: Files) -> tuple[Study, ...]:
    by_study = grouped(files.slices, lambda slice_: slice_.header.study_uid)
    studies = [members for _, members in sorted(by_study.items())]
    joined = [[slice_ for index in group for slice_ in studies[index]] for group in joined_studies(studies)]
    ordered = sorted(joined, key=lambda slices: slices[0].header.study_uid)
    found = [_study(slices, files.notes(slices, alone=len(joined) == 1)) for slices in ordered]
    return tuple(_told_where_scans_go_on(found))


def _study(slices: Sequence[Slice], notes: tuple[Reason, ...]) -> Study:
    by_series = grouped(slices, lambda slice_: slice_.header.series_uid)
    series = [one for _, members in sorted(by_series.items()) for one in _series_of(members)]
    return Study(tuple(_with_scans_joined(series)), (*notes, *uid_notes(slices)))


def _scans(series: Iterable[Series]) -> list[Series]:
    return [one for one in series if one.header.modality == "CT" and not one.fault and not one.is_localizer]


def _with_scans_joined(series: Sequence[Series]) -> list[Series]:
    """Replace series that are pieces of one scan by the scan, which comes first: it names the study."""
    pieces = _scans(series)
    scans = joined_scans([piece.slices for piece in pieces])
    used = {id(pieces[index]) for scan in scans for index in scan.pieces}
    return [*(_joined_series(scan, pieces) for scan in scans), *(one for one in series if id(one) not in used)]


def _joined_series(scan: JoinedScan, pieces: Sequence[Series]) -> Series:
    notes = (note for index in scan.pieces for note in pieces[index].notes)
    kept = {id(slice_) for slice_ in scan.slices}
    found = (slice_ for index in scan.pieces for slice_ in (*pieces[index].slices, *pieces[index].left_out))
    left_out = tuple(slice_ for slice_ in found if id(slice_) not in kept)
    return Series(scan.slices, "", tuple(dict.fromkeys((scan.note, *notes))), scan.fault, left_out)


def _told_where_scans_go_on(studies: Sequence[Study]) -> list[Study]:
    """Note on a series that another continues its scan, in its study or in one of the patient and day."""
    patients: dict[Hashable, list[tuple[Study, Series]]] = {}
    for study in studies:
        for one in _scans(study.series):
            patients.setdefault(same_patient_and_day(one.slices[0]), []).append((study, one))
    rest: dict[int, list[str]] = {}
    for scans in patients.values():
        for here, there in continued([one.slices for _, one in scans]):
            same_study = scans[here][0] is scans[there][0]
            name = scans[there][1].name if same_study else "a series of another study of that day"
            rest.setdefault(id(scans[here][1]), []).append(name)
    return [replace(study, series=tuple(_told(one, rest.get(id(one))) for one in study.series)) for study in studies]


def _told(one: Series, names: Sequence[str] | None) -> Series:
    if not names:
        return one
    message = f"where these images end, {' and '.join(names)} goes on: part of the heart may lie there"
    return replace(one, notes=(*one.notes, Reason(Code.SCAN_GOES_ON, message)))


def _series_of(slices: Sequence[Slice]) -> list[Series]:
    """Return a series per reconstruction under one UID; if there are several, each carries a note of the split."""
    parts = parts_of(slices)
    series = [Series(part.slices, "", part.notes, part.fault, part.left_out) for part in parts]
    localizers = sum(len(one.slices) for one in series if one.is_localizer)
    images = [one for one in series if not one.is_localizer]
    if localizers and images:
        note = Reason(Code.LOCALIZERS_DROPPED, f"localizer images inside the series were left out: {localizers}")
        series = [one if one.is_localizer else replace(one, notes=(*one.notes, note)) for one in series]
    return _numbered(series, split_note(parts)) if len(images) > 1 else series


def _numbered(series: Sequence[Series], note: Reason) -> list[Series]:
    return [
        replace(one, part=f"{number} of {len(series)}", notes=(*one.notes, note))
        for number, one in enumerate(series, 1)
    ]
