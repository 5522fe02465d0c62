"""``write_outputs``: the files that a scored study leaves behind, of the kinds that were asked for."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from PIL import Image
from pydicom import Dataset

from ctacal.atomic import whole_file, write_text
from ctacal.dicom.header import quiet_pydicom
from ctacal.dicom.origin import cleaned, read_patient_and_study
from ctacal.dicom.seg_writer import save
from ctacal.errors import Code, Reason, Refusal, UsageError
from ctacal.report.filing import Filing
from ctacal.report.montage import montage
from ctacal.report.pictures import Pictures
from ctacal.report.pseudonyms import Pseudonymiser
from ctacal.report.subject import Subject, subject_from
from ctacal.study import Status, StudyResult

_log = logging.getLogger("ctacal")


class Shared:
    """What several outputs of one result need, each made once and when it is first asked for."""

    def __init__(self, result: StudyResult, *, phi: bool, pseudonymiser: Pseudonymiser | None = None) -> None:
        self.result, self.phi, self.pseudonymiser = result, phi, pseudonymiser

    @cached_property
    def pictures(self) -> Pictures:
        """Montage, key slices, locators."""
        return Pictures(self.result)

    @cached_property
    def about(self) -> Dataset:
        """Patient and study as the first image tells them, valid; a pseudonym where that was asked for."""
        assert self.result.series is not None  # nobody asks of a study without one
        raw = read_patient_and_study(self.result.series.slices[0])
        return cleaned(self.pseudonymiser.dataset(raw) if self.pseudonymiser else raw)

    @cached_property
    def subject(self) -> Subject:
        """Who was scanned; named only with ``phi``. Nothing where no series was chosen, or its file is gone."""
        try:
            return subject_from(self.about, phi=self.phi) if self.result.series else Subject()
        except Refusal:
            return Subject()

    @cached_property
    def filing(self) -> Filing:
        """The images that DICOM objects refer to."""
        return Filing.of(self.result, self.about)

    @cached_property
    def segmentation(self) -> Dataset:
        """The SEG, which the SR refers to."""
        from ctacal.report.seg import result_segmentation

        return result_segmentation(self.filing)

    @cached_property
    def montage(self) -> Image.Image:
        """With its header."""
        return montage(self.result, self.pictures.tiles)


@dataclass(frozen=True, slots=True)
class Writer:
    """A kind of output."""

    files: tuple[str, ...]
    """Names of what it leaves in the study's folder."""
    write: Callable[[Shared, StudyResult, Path], None]
    of_refused: bool = False
    """Whether there is one of a refused study too."""


def _write_seg(shared: Shared, _: StudyResult, folder: Path) -> None:
    save(shared.segmentation, folder / "seg.dcm")


def _write_labelmap(shared: Shared, _: StudyResult, folder: Path) -> None:
    from ctacal.report.seg import result_segmentation

    save(result_segmentation(shared.filing, "LABELMAP"), folder / "labelmap.dcm")


def _write_sr(shared: Shared, _: StudyResult, folder: Path) -> None:
    from ctacal.report.sr import measurement_report

    save(measurement_report(shared.filing, shared.segmentation), folder / "sr.dcm")


def _write_png(shared: Shared, _: StudyResult, folder: Path) -> None:
    with whole_file(folder / "montage.png") as temporary:
        shared.montage.save(temporary, format="PNG", compress_level=1)


def _write_sc(shared: Shared, _: StudyResult, folder: Path) -> None:
    from ctacal.report.captures import secondary_capture

    save(secondary_capture(shared.filing, shared.montage), folder / "montage.dcm")


def _write_nifti(shared: Shared, _: StudyResult, folder: Path) -> None:
    scan = shared.result.scan
    assert scan is not None
    for name, write in (("ct.nii.gz", scan.volume.save_nifti), ("labels.nii.gz", scan.labels.save_nifti)):
        with whole_file(folder / name) as temporary:
            write(temporary)


def _write_html(shared: Shared, result: StudyResult, folder: Path) -> None:
    from ctacal.report.html import report_html

    write_text(folder / "report.html", report_html(result, shared.subject, shared.pictures))


def _write_pdf(shared: Shared, result: StudyResult, folder: Path) -> None:
    with whole_file(folder / "report.pdf") as temporary:
        temporary.write_bytes(_pdf(shared, result))


def _write_dicompdf(shared: Shared, result: StudyResult, folder: Path) -> None:
    from ctacal.report.captures import encapsulated_pdf

    document = encapsulated_pdf(shared.filing, _pdf(shared, result), names_patient=shared.phi)
    save(document, folder / "report_pdf.dcm")


def _pdf(shared: Shared, result: StudyResult) -> bytes:
    from ctacal.report.pdf import report_pdf

    return report_pdf(result, shared.subject, shared.pictures)


def _write_json(_: Shared, result: StudyResult, folder: Path) -> None:
    result.write(folder / "result.json")


WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        "seg": Writer(("seg.dcm",), _write_seg),
        "labelmap": Writer(("labelmap.dcm",), _write_labelmap),
        "sr": Writer(("sr.dcm",), _write_sr),
        "png": Writer(("montage.png",), _write_png),
        "sc": Writer(("montage.dcm",), _write_sc),
        "nifti": Writer(("ct.nii.gz", "labels.nii.gz"), _write_nifti),
        "dicompdf": Writer(("report_pdf.dcm",), _write_dicompdf),
        "html": Writer(("report.html",), _write_html, of_refused=True),
        "pdf": Writer(("report.pdf",), _write_pdf, of_refused=True),
        "json": Writer(("result.json",), _write_json, of_refused=True),
    }
)
"""The kinds, in the order in which they are written: result.json last, so that its presence says that the others are
whole, and the pages after what may fail, so that they tell of it."""

DEFAULT_WRITERS = ("json", "html", "pdf", "png", "seg", "sr")


def known_writers(asked: str) -> tuple[str, ...]:
    """The names of a list such as ``json,pdf``; raises ``UsageError`` where one is not of ``WRITERS``."""
    names = tuple(name.strip() for name in asked.split(",") if name.strip())
    for name in names:
        if name not in WRITERS:
            raise UsageError(f"--write {name}: known are {', '.join(sorted(WRITERS))}")
    return names


def write_outputs(
    result: StudyResult,
    folder: Path,
    writers: Iterable[str] = DEFAULT_WRITERS,
    *,
    phi: bool = False,
    pseudonymiser: Pseudonymiser | None = None,
) -> StudyResult:
    """Write the files of one study; returns the result with what could not be written added to its reasons.

    What an earlier run left there is removed first: a picture of another score must not lie beside a refusal. A defect
    in an output costs that output, with a warning, not the score and not the studies to come. ``phi`` lets the pages
    name the patient; ``pseudonymiser`` is that which made the result, for the headers that are read again. Each file
    appears whole or not at all. Raises ``OSError`` where the disk fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("result.json", *(name for writer in WRITERS.values() for name in writer.files)):
        (folder / name).unlink(missing_ok=True)
    shared = Shared(result, phi=phi, pseudonymiser=pseudonymiser)
    for name in _in_order(writers):
        writer = WRITERS[name]
        if result.scan is None and not writer.of_refused:
            continue
        try:
            with quiet_pydicom():  # libraries warn of an odd name by printing it
                writer.write(shared, result, folder)
        except OSError:  # the disk: no study after this one would fare better
            raise
        except Refusal as refusal:
            result = _with_reason(result, replace(refusal.reason, message=f"no {name}: {refusal.reason.message}"))
        except Exception as problem:
            _log.exception("study %s: %s", result.study_uid, name)
            message = f"no {name} could be written, {type(problem).__name__}: {problem}; please report this"
            result = _with_reason(result, Reason(Code.INTERNAL_ERROR, message))
    return result


def _in_order(writers: Iterable[str]) -> Sequence[str]:
    asked = set(writers)
    return [name for name in WRITERS if name in asked]


def _with_reason(result: StudyResult, reason: Reason) -> StudyResult:
    status: Status = "refused" if result.status == "refused" else "scored_with_warnings"
    return replace(result, status=status, reasons=(*result.reasons, reason))
