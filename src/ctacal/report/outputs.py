"""``write_outputs``: write the files of one study, of the kinds chosen.

A new kind of output is a function that writes it, and its entry in ``WRITERS``.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from threading import Thread
from types import MappingProxyType

from PIL import Image
from pydicom import Dataset

from ctacal.atomic import whole_file, write_text
from ctacal.dicom.header import quiet_pydicom
from ctacal.dicom.objects.origin import cleaned, read_patient_and_study
from ctacal.dicom.objects.seg_writer import save
from ctacal.errors import Code, Reason, Refusal, UsageError
from ctacal.report.filing import Filing, StudyFiling, named_series
from ctacal.report.montage import montage
from ctacal.report.pictures import Pictures
from ctacal.report.predecessor import Predecessor
from ctacal.report.pseudonyms import Pseudonymiser
from ctacal.report.refusal_picture import refusal_picture
from ctacal.result import ScoredStudy, StudyResult
from ctacal.result_json import write_result
from ctacal.subject import Subject, subject_from

_log = logging.getLogger("ctacal")


class Shared:
    """What several outputs of one study share; each part is made once, at its first use."""

    pictures: Pictures | None = None
    """None for a refused study."""

    def __init__(self, result: StudyResult, *, phi: bool, pseudonymiser: Pseudonymiser | None = None) -> None:
        self.result, self.phi, self.pseudonymiser = result, phi, pseudonymiser

    @cached_property
    def about(self) -> Dataset:
        """Patient and study from the first image's header: valid, and pseudonymised if there is a pseudonymiser.

        Raises ``Refusal`` if no series was ranked, as in a study of several patients, or its file is gone.
        """
        raw = read_patient_and_study(named_series(self.result).slices[0])
        return cleaned(self.pseudonymiser.dataset(raw) if self.pseudonymiser else raw)

    @cached_property
    def subject(self) -> Subject:
        """The patient, named only under ``phi``, or by a pseudonym; empty if no header can be read."""
        try:
            with quiet_pydicom():
                subject = subject_from(self.about, phi=self.phi)
                return replace(subject, patient_id=str(self.about.PatientID)) if self.pseudonymiser else subject
        except Refusal:
            return Subject()
        except Exception:  # an odd header must not cost the score, nor the studies that follow
            _log.exception("study %s: header of the patient", self.result.study_uid)
            return Subject()

    @cached_property
    def filing(self) -> StudyFiling:
        """What the DICOM objects share. Raises ``Refusal`` as ``about``."""
        return StudyFiling.of(self.result, self.about)

    @cached_property
    def sheet(self) -> Image.Image:
        """The result as one picture: why the study was refused."""
        return refusal_picture(self.result)


class ScoredShared(Shared):
    """What the outputs of a scored study share: pictures and DICOM objects too."""

    result: ScoredStudy

    def __init__(
        self,
        result: ScoredStudy,
        *,
        phi: bool,
        pseudonymiser: Pseudonymiser | None = None,
        predecessor: Predecessor | None = None,
    ) -> None:
        super().__init__(result, phi=phi, pseudonymiser=pseudonymiser)
        self.pictures: Pictures = Pictures(result)
        self.predecessor = predecessor

    @cached_property
    def filing(self) -> Filing:
        """What the DICOM objects share."""
        return Filing.of(self.result, self.about)

    @cached_property
    def segmentation(self) -> Dataset:
        """The SEG, which the SR refers to."""
        from ctacal.report.seg import result_segmentation

        return result_segmentation(self.filing)

    @cached_property
    def sheet(self) -> Image.Image:
        """The result as one picture: the montage, with its header."""
        return montage(self.result, self.pictures.tiles)


def shared_by(
    result: StudyResult,
    *,
    phi: bool = False,
    pseudonymiser: Pseudonymiser | None = None,
    predecessor: Predecessor | None = None,
) -> Shared:
    """Return what the outputs of a result share: a ``ScoredShared`` if it is scored."""
    if isinstance(result, ScoredStudy):
        return ScoredShared(result, phi=phi, pseudonymiser=pseudonymiser, predecessor=predecessor)
    return Shared(result, phi=phi, pseudonymiser=pseudonymiser)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    files: tuple[str, ...]
    """Names of the files in the study's folder."""
    libraries: tuple[str, ...] = ()
    """Modules that ``write`` needs and that take long to import."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredWriter(_Kind):
    """A kind of output that only a scored study has."""

    write: Callable[[ScoredShared, Path], None]
    """Writes the files to a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyWriter(_Kind):
    """A kind of output that every study has, a refused one too."""

    write: Callable[[Shared, StudyResult, Path], None]
    """Writes the files to a folder, from the result with all reasons so far."""


Writer = ScoredWriter | AnyWriter


def _write_seg(shared: ScoredShared, folder: Path) -> None:
    save(shared.segmentation, folder / "seg.dcm")


def _write_labelmap(shared: ScoredShared, folder: Path) -> None:
    from ctacal.report.seg import result_segmentation

    save(result_segmentation(shared.filing, "LABELMAP"), folder / "labelmap.dcm")


def _write_sr(shared: ScoredShared, folder: Path) -> None:
    from ctacal.report.sr import measurement_report

    report = measurement_report(shared.filing, shared.segmentation, predecessor=shared.predecessor)
    save(report, folder / "sr.dcm")


def _write_png(shared: ScoredShared, folder: Path) -> None:
    with whole_file(folder / "montage.png") as temporary:
        shared.sheet.save(temporary, format="PNG", compress_level=1)


def _write_sc(shared: Shared, _: StudyResult, folder: Path) -> None:
    from ctacal.report.captures import secondary_capture

    save(secondary_capture(shared.filing, shared.sheet), folder / "montage.dcm")


def _write_nifti(shared: ScoredShared, folder: Path) -> None:
    scan = shared.result.scan
    for name, write in (("ct.nii.gz", scan.volume.save_nifti), ("labels.nii.gz", scan.labels.save_nifti)):
        with whole_file(folder / name) as temporary:
            write(temporary)


def _write_dicompdf(shared: Shared, _: StudyResult, folder: Path) -> None:
    from ctacal.report.captures import encapsulated_pdf

    document = encapsulated_pdf(shared.filing, _pdf(shared, shared.result), names_patient=shared.phi)
    save(document, folder / "report_pdf.dcm")


def _write_html(shared: Shared, result: StudyResult, folder: Path) -> None:
    from ctacal.report.html import report_html

    write_text(folder / "report.html", report_html(result, shared.subject, shared.pictures))


def _write_pdf(shared: Shared, result: StudyResult, folder: Path) -> None:
    with whole_file(folder / "report.pdf") as temporary:
        temporary.write_bytes(_pdf(shared, result))


def _pdf(shared: Shared, result: StudyResult) -> bytes:
    from ctacal.report.pdf import report_pdf

    return report_pdf(result, shared.subject, shared.pictures)


def _write_json(_: Shared, result: StudyResult, folder: Path) -> None:
    write_result(result, folder / "result.json")


WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        "seg": ScoredWriter(files=("seg.dcm",), write=_write_seg, libraries=("highdicom.seg",)),
        "labelmap": ScoredWriter(files=("labelmap.dcm",), write=_write_labelmap, libraries=("highdicom.seg",)),
        "sr": ScoredWriter(files=("sr.dcm",), write=_write_sr, libraries=("highdicom.sr",)),
        "png": ScoredWriter(files=("montage.png",), write=_write_png),
        "sc": AnyWriter(files=("montage.dcm",), write=_write_sc, libraries=("highdicom.sc",)),
        "nifti": ScoredWriter(files=("ct.nii.gz", "labels.nii.gz"), write=_write_nifti),
        "dicompdf": AnyWriter(files=("report_pdf.dcm",), write=_write_dicompdf, libraries=("ctacal.report.pdf",)),
        "html": AnyWriter(files=("report.html",), write=_write_html, libraries=("jinja2",)),
        "pdf": AnyWriter(files=("report.pdf",), write=_write_pdf, libraries=("ctacal.report.pdf",)),
        "json": AnyWriter(files=("result.json",), write=_write_json),
    }
)
"""The kinds of output, in the order in which they are written: the pages after those that may fail, so that they can
report it; result.json last, so that its presence means that all other files are whole."""

DEFAULT_WRITERS = ("json", "html", "pdf", "png", "seg", "sr")


def known_writers(text: str) -> tuple[str, ...]:
    """Return the names in a list such as ``json,pdf``; raises ``UsageError`` if one is not in ``WRITERS``."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in WRITERS:
            raise UsageError(f"--write {name}: known are {', '.join(sorted(WRITERS))}")
    return names


def are_written(folder: Path, writers: Iterable[str], reasons: Sequence[str], *, scored: bool) -> bool:
    """Whether every file of these kinds is there already, but for the kinds that ``reasons`` say cannot be made.

    ``reasons`` are the messages of the result's reasons: a study whose SEG is refused is not scored again for it.
    """
    kinds = [name for name in writers if scored or isinstance(WRITERS[name], AnyWriter)]
    refused = [name for name in kinds if any(message.startswith(_no(name)) for message in reasons)]
    return all((folder / file).is_file() for name in kinds if name not in refused for file in WRITERS[name].files)


def _no(name: str) -> str:
    """Return the start of the message about an output that is refused."""
    return f"no {name}: "


def is_about_output(message: str) -> bool:
    """Whether the message of a reason says that an output is missing, and nothing about the study itself.

    >>> is_about_output("no seg: the header holds no date"), is_about_output("no slice between 1 and 2 mm")
    (True, False)
    """
    return any(message.startswith((_no(name), f"no {name} could be written")) for name in WRITERS)


def prepare(writers: Iterable[str] = DEFAULT_WRITERS) -> Thread:
    """Start to import the libraries that these kinds of output need, in the background, and return the thread.

    Call it when the networks start: what they leave of the cores is enough. A second call costs nothing.
    """
    libraries = dict.fromkeys(library for name in writers for library in WRITERS[name].libraries)
    thread = Thread(target=_import, args=(tuple(libraries),), name="imports for outputs")
    thread.start()
    return thread


def _import(libraries: Iterable[str]) -> None:
    for library in libraries:
        with suppress(Exception):  # the writer that needs it reports this
            import_module(library)


def write_outputs(
    result: StudyResult,
    folder: Path,
    writers: Iterable[str] = DEFAULT_WRITERS,
    *,
    phi: bool = False,
    pseudonymiser: Pseudonymiser | None = None,
    predecessor: Predecessor | None = None,
) -> StudyResult:
    """Write the files of one study; return the result with its subject, and a reason for each output that failed.

    Files of an earlier run are removed first: a picture of another score must not lie beside a refusal. If an output
    fails, only that output is missing; the score stays, and later studies are not affected. ``phi`` lets pages and
    result.json name the patient. ``pseudonymiser`` is the one that made the result; it is needed for headers that are
    read again. ``predecessor`` is an earlier SR of the study that the new one replaces. Each file appears whole or not
    at all.

    Args:
        result: What ``score_study`` returns.
        folder: The study's folder; made if it is missing.
        writers: Kinds of files, some of ``WRITERS``.
        phi: Whether pages and result.json name the patient.
        pseudonymiser: The one that made the result.
        predecessor: An earlier SR of the study that the new one replaces.

    Returns:
        The result with its subject, and a reason for each output that failed.

    Raises:
        OSError: The disk fails.

    Example:
        >>> import tempfile
        >>> from ctacal.errors import Code
        >>> from ctacal.result import RefusedStudy
        >>> from ctacal.scores import SCCT_2016
        >>> refused = RefusedStudy(study_uid="1.2", reasons=(Reason(Code.NO_CT_SERIES, "no CT"),), rule=SCCT_2016)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = write_outputs(refused, Path(folder), ["json"])
        ...     [file.name for file in Path(folder).iterdir()], set(DEFAULT_WRITERS) <= set(WRITERS)
        (['result.json'], True)
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("result.json", *(name for writer in WRITERS.values() for name in writer.files)):
        (folder / name).unlink(missing_ok=True)
    shared = shared_by(result, phi=phi, pseudonymiser=pseudonymiser, predecessor=predecessor)
    result = replace(result, subject=shared.subject)
    for name in _in_order(writers):
        if reason := _problem_with(name, shared, result, folder):
            result = replace(result, reasons=_with(reason, result))
    return result


def _with(reason: Reason, result: StudyResult) -> tuple[Reason, ...]:
    """Return all reasons; the last one of a refused study stays why it was refused."""
    return (*result.reasons, reason) if isinstance(result, ScoredStudy) else (reason, *result.reasons)


def _problem_with(name: str, shared: Shared, result: StudyResult, folder: Path) -> Reason | None:
    """Write one kind of output; return why it could not be written. Raises ``OSError`` if the disk fails."""
    try:
        with quiet_pydicom():  # libraries print a warning about an odd name, and the name in it
            _write(WRITERS[name], shared, result, folder)
    except OSError:  # the disk fails, so later studies would fail too
        raise
    except Refusal as refusal:
        return replace(refusal.reason, message=_no(name) + refusal.reason.message)
    except Exception as problem:
        _log.exception("study %s: %s", result.study_uid, name)
        message = f"no {name} could be written, {type(problem).__name__}: {problem}; please report this"
        return Reason(Code.INTERNAL_ERROR, message)
    return None


def _write(writer: Writer, shared: Shared, result: StudyResult, folder: Path) -> None:
    if isinstance(writer, AnyWriter):
        writer.write(shared, result, folder)
    elif isinstance(shared, ScoredShared):
        writer.write(shared, folder)


def _in_order(writers: Iterable[str]) -> Sequence[str]:
    chosen = set(writers)
    return [name for name in WRITERS if name in chosen]
