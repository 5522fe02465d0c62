"""Compare the scans of patients: score them anew by one model and rule, compare, and write the files.

Two scans that the user names are one pair; of a folder with studies of many patients, each patient's scans are compared
in the order of time, and the first with the last.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ctacal.atomic import sweep
from ctacal.compare.chest import chest_fit, doubts_by_chest
from ctacal.compare.comparison import Terms, compare_scans
from ctacal.compare.comparison_json import TABLE_COLUMNS, comparison_json, comparison_row
from ctacal.compare.courses import Pair, pairs_of
from ctacal.compare.limits import simulated_limits
from ctacal.compare.matching import LesionMatch, match_lesions, place_lesions
from ctacal.compare.reasons import ComparisonReason, Doubt
from ctacal.compare.registration import RigidTransform, best_fit, require_fit
from ctacal.compare.scan import ComparedScan, day_of, scan_of_result
from ctacal.dicom.files.archive import discard_unpacked
from ctacal.dicom.scans.patient import Identity, known_differences
from ctacal.dicom.series import Series, Study, read_studies
from ctacal.errors import Code, Reason, Refusal, UsageError
from ctacal.jobs.finders import Finder
from ctacal.jobs.score import Limits as Accepted
from ctacal.jobs.score import Privacy
from ctacal.progress import Progress, no_progress
from ctacal.report.comparison_outputs import DEFAULT_KINDS, write_comparison
from ctacal.report.outputs import WRITERS, Shared, prepare, shared_by
from ctacal.result import RefusedStudy, ScoredStudy, StudyResult
from ctacal.result_json import result_json
from ctacal.results_table import write_table
from ctacal.scores import SCCT_2016, ScoringRule
from ctacal.study import folder_name, score_study

_log = logging.getLogger("ctacal")

COMPARISONS, CONSECUTIVE = "comparisons.csv", "consecutive.csv"
"""One row for each patient, from the first scan to the last; and each scan with the next."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class CompareJob:
    """How scans are scored and compared, and what is written."""

    finder: Finder
    terms: Terms = field(default_factory=lambda: Terms(simulated=simulated_limits()))
    rule: ScoringRule = SCCT_2016
    outputs: tuple[str, ...] = DEFAULT_KINDS
    """Kinds of ``report.comparison_outputs.KINDS``."""
    privacy: Privacy = field(default_factory=Privacy)
    accepted: Accepted = field(default_factory=Accepted)
    """Faults of scans that are corrected or accepted."""
    series: tuple[str | None, str | None] = (None, None)
    """SeriesInstanceUIDs of the two scans, if they are not the likeliest CTACs."""
    mass_calibration: float | None = None


@dataclass(frozen=True, eq=False, slots=True)
class _Scored:
    """A scan that was scored, what a comparison knows of it, and what its outputs share."""

    result: StudyResult
    """With all identifiers."""
    compared: ComparedScan
    shared: Shared
    """Pseudonymised if the job asks for it."""


@dataclass(frozen=True, eq=False, slots=True)
class Compared:
    """A comparison that was written."""

    content: dict[str, Any]
    """What comparison.json holds."""
    row: dict[str, Any]
    """Its row of the tables."""
    is_whole_course: bool = True
    problems: tuple[Reason, ...] = ()
    """Why files are missing."""


@dataclass(frozen=True, eq=False, slots=True)
class CompareRun:
    """All comparisons of a run."""

    compared: tuple[Compared, ...]
    left_out: tuple[str, ...] = ()
    """Sentences on what was not compared."""

    @property
    def refused(self) -> int:
        """Number of comparisons with a scan that was not scored."""
        return sum(any(scan["status"] == "refused" for scan in one.content["scans"]) for one in self.compared)


def compare_two(first: Path, second: Path, out: Path, job: CompareJob) -> CompareRun:
    """Compare two scans of one patient, each a place with one study; the files lie in ``out`` itself.

    Raises ``UsageError`` if a place holds no or several studies, ``Refusal`` (``MIXED_PATIENTS``) if the headers show
    two patients and the job does not accept that.
    """
    studies = [_only_study(path) for path in (first, second)]
    if Doubt.OTHER_PATIENT not in job.terms.accept:
        _require_one_patient(*studies)
    sweep(out)
    imports = prepare(_libraries(job))
    try:
        scored = [_scored(study, uid, job) for study, uid in zip(studies, job.series, strict=True)]
        pair = pairs_of("", scored, lambda scan: scan.compared)[0]
        named_first = scored[0]
        compared = _compared(pair, out, job, out, swapped=pair.first is not named_first)
    finally:
        discard_unpacked()
        imports.join()
    return _finished([compared], out)


def _libraries(job: CompareJob) -> tuple[str, ...]:
    """Return the kinds of output of a single study that need the same libraries, which are imported beside."""
    return tuple(kind for kind in job.outputs if kind in WRITERS)


def compare_courses(
    paths: Sequence[Path],
    out: Path,
    job: CompareJob,
    *,
    on_compared: Callable[[Compared], object] = lambda _: None,
    progress: Progress = no_progress,
) -> CompareRun:
    """Compare the scans of each patient under ``paths``; a folder for each pair lies in ``out``.

    Studies belong to one patient if they have the same patient ID. Studies without one are left out, and so are
    patients with a single scan; ``left_out`` names them.
    """
    courses, left_out = _courses(read_studies(paths).studies)
    sweep(out)
    compared: list[Compared] = []
    try:
        for done, (patient, studies) in enumerate(courses, 1):
            scored = [_scored(study, None, job) for study in studies]
            for pair in pairs_of(patient, scored, lambda scan: scan.compared):
                compared.append(_compared(pair, out / _folder(pair, job), job, out))
                on_compared(compared[-1])
            progress(done, len(courses))
    finally:
        discard_unpacked()
    return _finished(compared, out, left_out)


def _courses(studies: Iterable[Study]) -> tuple[list[tuple[str, list[Study]]], list[str]]:
    """Return the studies of each patient who has several, and sentences on the others."""
    by_patient: dict[str, list[Study]] = {}
    for study in studies:
        by_patient.setdefault(_first_ct(study).header.patient_id.strip().casefold(), []).append(study)
    nameless = by_patient.pop("", [])
    alone = [studies for studies in by_patient.values() if len(studies) == 1]
    told = [f"{len(nameless)} studies without a patient ID: compare them by naming two"] if nameless else []
    told += [f"{len(alone)} patients with one study only"] if alone else []
    return [(patient, studies) for patient, studies in sorted(by_patient.items()) if len(studies) > 1], told


def _only_study(path: Path) -> Study:
    intake = read_studies([path])
    if not intake.studies:
        raise UsageError(intake.why_empty)
    if len(intake.studies) > 1:
        instead = "name one of them, or this folder alone to compare each patient's scans"
        raise UsageError(f"{path}: holds {len(intake.studies)} studies; {instead}")
    return intake.studies[0]


def _first_ct(study: Study) -> Series:
    return next((series for series in study.series if series.header.modality == "CT"), study.series[0])


def _require_one_patient(first: Study, second: Study) -> None:
    differing = known_differences(*(Identity.of(_first_ct(study).header) for study in (first, second)))
    if set(differing) - {"name"}:
        raise Refusal(
            Code.MIXED_PATIENTS,
            f"the two scans differ in {' and '.join(differing)}: they seem to show two patients; nothing was compared. "
            "If it is one patient, say so: --accept OTHER_PATIENT",
        )


def _scored(study: Study, series_uid: str | None, job: CompareJob) -> _Scored:
    result = score_study(
        study,
        job.finder.predict,
        locate=job.finder.locate,
        rule=job.rule,
        series_uid=series_uid,
        mass_calibration=job.mass_calibration,
        **asdict(job.accepted),
    )
    key = job.privacy.pseudonymiser
    shared = shared_by(key.result(result, study) if key else result, phi=job.privacy.phi, pseudonymiser=key)
    return _Scored(result, _known_of(result, shared, _chosen(result, study)), shared)


def _chosen(result: StudyResult, study: Study) -> Series:
    return result.chosen.series if result.chosen else _first_ct(study)


def _known_of(result: StudyResult, shared: Shared, series: Series) -> ComparedScan:
    """Return what is compared; the messages, which reasons quote, are those that outputs may show."""
    shown, header = scan_of_result(result_json(shared.result)), series.header
    middle = series.slices[len(series.slices) // 2]
    times = {(image.header.frame_of_reference_uid, image.acquired_at[:14]) for image in series.slices}
    return replace(
        scan_of_result(result_json(result)),
        warnings=shown.warnings,
        refused=shown.refused,
        day=day_of(middle.acquired_at[:8]) or day_of(header.series_date) or day_of(header.study_date),
        time=middle.acquired_at[8:14] or header.series_time[:6],
        acquired=frozenset((frame, time) for frame, time in times if frame and len(time) == 14),
        pixels=_digest(result) if isinstance(result, ScoredStudy) else "",
        patient=Identity.of(header),
    )


def _digest(result: ScoredStudy) -> str:
    return hashlib.sha256(result.scan.volume.hu.tobytes()).hexdigest()


def _compared(pair: Pair[_Scored], folder: Path, job: CompareJob, out: Path, *, swapped: bool = False) -> Compared:
    a, b = pair.first, pair.second
    laid = _laid_together(a.result, b.result)
    first, second = (b, a) if swapped else (a, b)  # so that the comparison tells it
    comparison = compare_scans(
        first.compared, second.compared, job.terms, matches=laid.matches, transform=laid.transform, notes=laid.notes
    )
    comparison = replace(comparison, a=_shown(a, job), b=_shown(b, job))
    folder.mkdir(parents=True, exist_ok=True)
    problems = write_comparison(comparison, (a.shared, b.shared), folder, job.outputs)
    content = comparison_json(comparison)
    place = str(folder.relative_to(out))
    of_course = {
        "patient_id": comparison.b.patient_id or None,
        "scans": pair.scans,
        "scan_before": pair.number[0],
        "scan_after": pair.number[1],
        "folder": place if place != "." else None,
    }
    return Compared(content, comparison_row(content, **of_course), pair.is_whole_course, problems)


def _shown(scan: _Scored, job: CompareJob) -> ComparedScan:
    """Return the scan as outputs may show it: named only under ``phi``, by pseudonyms and without dates under a key."""
    subject = scan.shared.subject
    shown = replace(
        scan.compared, patient=None, pixels="", acquired=frozenset(), patient_id=subject.patient_id if subject else ""
    )
    if job.privacy.pseudonymiser is None:
        return shown
    content = scan_of_result(result_json(scan.shared.result))
    return replace(content, patient_id=subject.patient_id)


@dataclass(frozen=True, eq=False, slots=True)
class _Laid:
    """Two scans laid upon each other."""

    matches: tuple[LesionMatch, ...] | None = None
    """None if the lesions were not matched."""
    transform: RigidTransform | None = None
    notes: tuple[ComparisonReason, ...] = ()
    """What the images say against the comparison."""


def _laid_together(a: StudyResult, b: StudyResult) -> _Laid:
    """Lay the scans upon each other, match their lesions, and see whether they show one patient."""
    if isinstance(a, RefusedStudy) or isinstance(b, RefusedStudy):
        return _Laid()
    one, other = a.scan, b.scan
    if one.heart is None or other.heart is None:
        return _Laid(notes=(*doubts_by_chest(None), _not_matched("no heart was found in one of the scans")))
    try:
        hearts = best_fit(one.volume, one.heart, other.volume, other.heart)
        doubts = tuple(doubts_by_chest(chest_fit(one.volume, one.heart, other.volume, other.heart, hearts)))
    except Exception as problem:  # one odd pair must not stop the others
        _log.exception("studies %s and %s are not laid upon each other", a.study_uid, b.study_uid)
        return _Laid(notes=(_not_matched(f"{type(problem).__name__}: {problem}; please report this"),))
    try:
        require_fit(hearts)
    except Refusal as refusal:
        return _Laid(notes=(*doubts, _not_matched(refusal.reason.message)))
    placed = [place_lesions(scan.scan.lesions, scan.rule, first_slice=scan.scan.stack.first) for scan in (a, b)]
    return _Laid(match_lesions(placed[0], placed[1], hearts), hearts, doubts)


def _not_matched(message: str) -> ComparisonReason:
    return ComparisonReason(Doubt.LESIONS_NOT_MATCHED, message, blocks=False)


def _folder(pair: Pair[_Scored], job: CompareJob) -> str:
    uids = [folder_name(job.privacy.uid(scan.result.study_uid)) for scan in (pair.second, pair.first)]
    return f"{uids[0]}/{uids[1]}"


def _finished(compared: Sequence[Compared], out: Path, left_out: Sequence[str] = ()) -> CompareRun:
    write_tables(compared, out)
    return CompareRun(tuple(compared), tuple(left_out))


def write_tables(compared: Sequence[Compared], out: Path) -> None:
    """Write comparisons.csv, a row for each patient, and consecutive.csv, each scan with the next."""
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / COMPARISONS, TABLE_COLUMNS, (one.row for one in compared if one.is_whole_course))
    steps = (one.row for one in compared if one.row["scan_after"] == one.row["scan_before"] + 1)
    write_table(out / CONSECUTIVE, TABLE_COLUMNS, steps)
