"""Score studies and write their files: the job behind the command line, and later behind a node, a page and a batch."""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from ctacal import __version__
from ctacal.atomic import sweep
from ctacal.dicom.choose import Candidate, candidates, choose_among
from ctacal.dicom.files.archive import discard_unpacked
from ctacal.dicom.files.source import SkippedFile
from ctacal.dicom.series import Intake, Series, Study
from ctacal.errors import Reason, UsageError
from ctacal.jobs.finders import Finder
from ctacal.jobs.index_page import PAGE, write_index
from ctacal.jobs.resume import earlier_result, input_digest, settings_digest
from ctacal.jobs.second_scan import second_ctac, with_second
from ctacal.prediction import Prediction
from ctacal.progress import Progress, no_progress
from ctacal.report.outputs import DEFAULT_WRITERS, are_written, prepare, write_outputs
from ctacal.report.predecessor import Predecessor
from ctacal.report.pseudonyms import Pseudonymiser
from ctacal.result import RefusedStudy, ScoredStudy, StudyResult
from ctacal.result_json import SCHEMA_VERSION, result_json
from ctacal.results_table import (
    IDENTITY,
    Row,
    append_results_csv,
    result_row,
    write_results_csv,
    write_skipped_csv,
)
from ctacal.scores import SCCT_2016, ScoringRule
from ctacal.study import folder_name, score_study
from ctacal.volume import Volume

BEST, EACH = "best", "each"

_log = logging.getLogger("ctacal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Faults of a scan that are corrected or accepted, with a warning; by default such a scan is refused.

    Example:
        >>> Limits(fill_gaps=True).allow_contrast
        False
    """

    fill_gaps: bool = False
    """Single missing slices are interpolated."""
    untilt: bool = False
    """A gantry tilt is resampled away."""
    allow_contrast: bool = False
    """A CT with contrast medium is scored, although enhanced blood counts as calcium."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """Whether outputs name the patient. Raises ``UsageError`` if both options are given.

    Example:
        >>> Privacy().identity  # by default, results.csv has no column that names the patient
        ()
    """

    phi: bool = False
    """Pages, result.json and results.csv name the patient."""
    pseudonymiser: Pseudonymiser | None = None
    """Replaces every identifier."""

    def __post_init__(self) -> None:
        if self.phi and self.pseudonymiser:
            raise UsageError("--phi names the patient and --pseudonymise does not; use one of them")

    @property
    def identity(self) -> tuple[str, ...]:
        """Return the columns of results.csv that name the patient, or the pseudonym."""
        if self.phi:
            return IDENTITY
        return ("patient_id",) if self.pseudonymiser else ()

    @property
    def uid(self) -> Callable[[str], str]:
        """Return the UID that stands for an original UID in the outputs."""
        return self.pseudonymiser.uid if self.pseudonymiser else str


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ScoreJob:
    """How studies are scored, and which files are written for each."""

    finder: Finder
    rule: ScoringRule = SCCT_2016
    outputs: tuple[str, ...] = DEFAULT_WRITERS
    """Kinds of ``report.outputs.WRITERS``."""
    privacy: Privacy = field(default_factory=Privacy)
    limits: Limits = field(default_factory=Limits)
    series: str = BEST
    """``best`` (the likeliest CTAC), ``each`` that fits, or a SeriesInstanceUID."""
    mass_calibration: float | None = None
    """mg of hydroxyapatite per cm3 and HU."""
    resume: bool = False
    """Keep results that are there already, if input, model, rule and options are the same."""
    timed: bool = True
    """Results tell the seconds of each stage. Without them, a study that is scored twice gives the same bytes."""


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """One series to score."""

    study: Study
    series_uid: str | None = None
    """None: the study's likeliest CTAC."""
    ranked: tuple[Candidate, ...] | None = None
    """The study's candidates, if they are known already."""
    predecessor: Predecessor | None = None
    """SR of the study that was sent last, which the new SR names as the one that it replaces."""
    known_as: Mapping[str, str] = field(default_factory=dict)
    """What messages say instead of paths and names of files: the addresses from which these files were fetched."""


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """The outcome of a task."""

    content: dict[str, Any]
    """Content of result.json."""
    folder: str
    """Folder of its files, relative to that of the run."""

    @property
    def row(self) -> Row:
        """Its row in results.csv."""
        return result_row(self.content, self.folder)


@dataclass(frozen=True, eq=False, slots=True)
class ScoreRun:
    """The outcome of all studies of an intake."""

    rows: tuple[Row, ...]
    skipped: tuple[SkippedFile, ...]
    """Files that could not be read, without their names if results are pseudonymised."""
    files: int
    """Number of files that were looked at."""

    @property
    def refused(self) -> int:
        """Number of rows without a score."""
        return sum(row["status"] == "refused" for row in self.rows)


def tasks_of(study: Study, job: ScoreJob, *, predecessor: Predecessor | None = None) -> list[Task]:
    """Return the series of a study that the job scores; candidates are ranked once.

    ``predecessor`` is the SR of the study that was sent last, which the new SR names as the one that it replaces.
    """
    if job.series == BEST:
        return [Task(study, job.finder.series_uid, predecessor=predecessor)]
    if job.series != EACH:
        return [Task(study, job.series, predecessor=predecessor)]
    try:
        ranked = candidates(study, **asdict(job.limits))
    except Exception:  # one bad study must never stop the rest: score_study meets the same fault, and refuses
        return [Task(study)]
    fit = dict.fromkeys(candidate.series.uid for candidate in ranked if candidate.unfit is None)
    return [Task(study, uid, ranked) for uid in fit or (None,)]


def score_and_write(task: Task, out: Path, job: ScoreJob) -> Outcome:
    """Score one series and write its files to a folder under ``out``, or keep those that are there.

    Never raises for what is wrong with the study. Raises ``OSError`` if the disk fails.
    """
    folder = out / _folder_of(task, job)
    return Outcome(score_into(folder, task, job), str(folder.relative_to(out)))


def score_into(folder: Path, task: Task, job: ScoreJob) -> dict[str, Any]:
    """Score one series and write its files to ``folder``, or keep those that are there; returns what result.json holds.

    Raises as ``score_and_write`` does.
    """
    settings = settings_digest(_settings(task, job))
    task, to_score = series_to_score(task, job)
    with ThreadPoolExecutor(1) as beside:  # hashing takes a core for some hundredths of a second, and no Python lock
        digest = beside.submit(_input_digest, task.study, to_score, job)
        if job.resume:
            earlier = earlier_result(folder, {"input_digest": digest.result(), "settings_digest": settings})
            if earlier and _is_complete(earlier, folder, job):
                return earlier
        result = _score(task, to_score, job)
        result = replace(result, input_digest=digest.result(), settings_digest=settings)
    if not job.timed:
        result = replace(result, timing_s={})
    if task.known_as:
        named = (replace(one, message=in_other_words(one.message, task.known_as)) for one in result.reasons)
        result = replace(result, reasons=tuple(named))
    return _written(_hidden(result, task, job), folder, task, job)


def in_other_words(message: str, known_as: Mapping[str, str]) -> str:
    """Return a message with what other words stand for; no word is replaced twice.

    >>> in_other_words("/tmp/0/7.dcm: cut off; 7.dcm", {"/tmp/0/7.dcm": "s3://b/IM8.dcm", "7.dcm": "IM8.dcm"})
    's3://b/IM8.dcm: cut off; IM8.dcm'
    """
    longest_first = "|".join(map(re.escape, sorted(known_as, key=len, reverse=True)))
    return re.sub(longest_first, lambda found: known_as[found[0]], message)


def refuse(task: Task, out: Path, job: ScoreJob, reason: Reason) -> Outcome:
    """Write the result of a task that could not be scored for a reason outside of ``score_study``, as a killed process.

    It has no digest of its input, so that a resumed run scores it again. Raises ``OSError`` if the disk fails.
    """
    result = RefusedStudy(study_uid=task.study.uid, reasons=(*task.study.notes, reason), rule=job.rule)
    folder = out / _folder_of(task, job)
    return Outcome(_written(_hidden(result, task, job), folder, task, job), str(folder.relative_to(out)))


def _hidden(result: StudyResult, task: Task, job: ScoreJob) -> StudyResult:
    return job.privacy.pseudonymiser.result(result, task.study) if job.privacy.pseudonymiser else result


def _written(result: StudyResult, folder: Path, task: Task, job: ScoreJob) -> dict[str, Any]:
    written = write_outputs(
        result,
        folder,
        job.outputs,
        phi=job.privacy.phi,
        pseudonymiser=job.privacy.pseudonymiser,
        predecessor=task.predecessor,
    )
    return result_json(written)


def series_to_score(task: Task, job: ScoreJob) -> tuple[Task, tuple[Series, ...]]:
    """Return the task with its candidates ranked, and all series whose pixels are scored: the CTAC, then a second one.

    There is none if the study is refused.
    """
    try:
        ranked = task.ranked or candidates(task.study, **asdict(job.limits))
        task = replace(task, ranked=ranked)
        choice = choose_among(ranked, task.study, task.series_uid)
    except Exception:  # ``score_study`` meets the same fault, and refuses
        return task, ()
    second = second_ctac(choice, task.study) if task.series_uid is None else None
    return task, (choice.series, second) if second else (choice.series,)


def _is_complete(earlier: dict[str, Any], folder: Path, job: ScoreJob) -> bool:
    messages = [reason["message"] for reason in earlier["reasons"]]
    return are_written(folder, job.outputs, messages, scored=earlier["status"] != "refused")


def _score(task: Task, to_score: tuple[Series, ...], job: ScoreJob) -> StudyResult:
    """Score one series, and a second CTAC; meanwhile the libraries that the outputs need are imported beside it."""
    imports: list[Thread] = []

    def predict(volume: Volume, rule: ScoringRule) -> Prediction:
        imports.append(prepare(job.outputs))
        return job.finder.predict(volume, rule)

    score = partial(
        score_study, task.study, predict, locate=job.finder.locate, rule=job.rule,
        mass_calibration=job.mass_calibration, **asdict(job.limits),
    )  # fmt: skip
    try:
        result = score(series_uid=task.series_uid, ranked=task.ranked)
        if len(to_score) == 1 or not isinstance(result, ScoredStudy):
            return result
        return with_second(result, score(series_uid=to_score[1].uid, ranked=task.ranked))
    finally:
        for thread in imports:  # a program that ends in the middle of an import prints a traceback
            thread.join()


def score_intake(
    intake: Intake,
    out: Path,
    job: ScoreJob,
    *,
    score_all: "ScoreAll | None" = None,
    on_outcome: Callable[[Outcome], object] = lambda _: None,
    progress: Progress = no_progress,
) -> ScoreRun:
    """Score every study of ``intake``; ``out`` gets a folder per study, results.csv, index.html and skipped.csv.

    ``score_all`` scores the tasks, by default one after another in this process (``side_by_side`` has another way).
    The table grows study by study, so that an interrupted run loses no row; at the end it is written again, in order.
    ``on_outcome`` is called in order.

    Args:
        intake: The studies, as ``read_studies`` finds them.
        out: The folder of the results; made if it is missing.
        job: How studies are scored, and which files are written.
        score_all: Scores the tasks; None: one after another in this process.
        on_outcome: Called with the outcome of each study, in order.
        progress: Called with the numbers of studies done and in all.

    Returns:
        The rows of results.csv, the files that were skipped, and the number of files.

    Raises:
        UsageError: A reader's labels are given for more than one series.

    Example:
        >>> import tempfile
        >>> import ctacal
        >>> from ctacal.jobs import Limits, baseline
        >>> intake = ctacal.read_studies([Path(ctacal.__file__).parent / "sample" / "thorax_phantom.zip"])
        >>> with tempfile.TemporaryDirectory() as out:
        ...     run = score_intake(intake, Path(out), ScoreJob(finder=baseline(), outputs=("json",), limits=Limits()))
        ...     [file.name for file in Path(out).iterdir() if file.is_file()]
        ['results.csv']
        >>> [(row["status"], row["agatston"]) for row in run.rows]
        [('scored', 327.68)]
    """
    tasks = [task for study in intake.studies for task in tasks_of(study, job)]
    if job.finder.model.name == "labels" and len(tasks) > 1:
        raise UsageError(f"--labels scores one series, but {len(tasks)} were found; give one study (or --series UID)")
    out.mkdir(parents=True, exist_ok=True)
    sweep(out)
    rows: dict[int, Row] = {}
    early: dict[int, Outcome] = {}
    told = 0
    try:
        for number, outcome in (score_all or one_after_another)(tasks, out, job):
            rows[number] = outcome.row
            append_results_csv(out / RESULTS, outcome.row, job.privacy.identity, first=len(rows) == 1)
            progress(len(rows), len(tasks))
            early[number] = outcome
            while told in early:
                on_outcome(early.pop(told))
                told += 1
    finally:
        discard_unpacked()
        in_order = tuple(row for _, row in sorted(rows.items()))
        _finish(out, in_order, job)
    skipped = _write_skipped(out, intake, job)
    return ScoreRun(in_order, skipped, intake.files)


RESULTS, SKIPPED = "results.csv", "skipped.csv"

ScoreAll = Callable[[Sequence[Task], Path, ScoreJob], Iterator[tuple[int, Outcome]]]
"""Scores tasks and yields the number of each with its outcome, in any order."""


def rebuilt_rows(out: Path) -> list[Row]:
    """Return the rows of results.csv from the result.json files under ``out``, in the order of their folders.

    A file that holds no result is logged and left out.
    """
    rows = (_stored_row(file, out) for file in sorted(out.rglob("result.json")))
    return [row for row in rows if row is not None]


def _stored_row(file: Path, out: Path) -> Row | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return result_row(content, str(file.parent.relative_to(out)))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as problem:
        _log.warning("%s holds no result (%s: %s); score its study again", file, type(problem).__name__, problem)
        return None


def one_after_another(tasks: Sequence[Task], out: Path, job: ScoreJob) -> Iterator[tuple[int, Outcome]]:
    """Score tasks in this process."""
    for number, task in enumerate(tasks):
        yield number, score_and_write(task, out, job)


def _finish(out: Path, rows: Sequence[Row], job: ScoreJob) -> None:
    write_results_csv(out / RESULTS, rows, job.privacy.identity)
    (out / PAGE).unlink(missing_ok=True)  # of an earlier run
    if "html" in job.outputs:
        write_index(out, rows)


def _write_skipped(out: Path, intake: Intake, job: ScoreJob) -> tuple[SkippedFile, ...]:
    pseudonymiser = job.privacy.pseudonymiser
    skipped = tuple(pseudonymiser.skipped(intake.skipped)) if pseudonymiser else intake.skipped
    (out / SKIPPED).unlink(missing_ok=True)  # of an earlier run
    if skipped:
        write_skipped_csv(out / SKIPPED, skipped)
    return skipped


def _folder_of(task: Task, job: ScoreJob) -> Path:
    folder = Path(folder_name(job.privacy.uid(task.study.uid)))
    if job.series == EACH and task.series_uid:
        folder /= folder_name(job.privacy.uid(task.series_uid))
    return folder


def _input_digest(study: Study, to_score: tuple[Series, ...], job: ScoreJob) -> str | None:
    """Return the digest, keyed if results are pseudonymised, so that nobody finds the study by its files' digest."""
    digest = input_digest(study, to_score)
    return job.privacy.pseudonymiser.digest(digest) if digest and job.privacy.pseudonymiser else digest


def _settings(task: Task, job: ScoreJob) -> dict[str, Any]:
    pseudonymiser = job.privacy.pseudonymiser
    return {
        "software": [__version__, SCHEMA_VERSION],
        "model": asdict(job.finder.model),
        "rule": job.rule.to_json(),
        "mass_calibration": job.mass_calibration,
        "limits": asdict(job.limits),
        "series": task.series_uid,
        "phi": job.privacy.phi,
        "pseudonyms": pseudonymiser.digest("settings") if pseudonymiser else None,
    }
