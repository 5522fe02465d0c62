"""``Case``: one scan to be read, as the list of a reading room holds it; and ``OpenCase``, the same scan decoded.

A case remembers the files of its scan, so that ten thousand of them take no memory but their row in the list.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from ctacal.arrays import Box
from ctacal.dicom.choose import choose_series
from ctacal.dicom.objects.labels import read_label_map
from ctacal.dicom.objects.origin import cleaned, read_patient_and_study
from ctacal.dicom.series import Series, Study, read_studies
from ctacal.errors import Code, Reason, Refusal, UsageError
from ctacal.fields import from_fields
from ctacal.jobs.finders import heart_finder
from ctacal.labels import LabelMap
from ctacal.prediction import ModelInfo, Prediction, Predictor
from ctacal.readings.candidates import Candidates, find_candidates, reading_box
from ctacal.readings.marks import Marks, digest_of_scan
from ctacal.result import Acquisition, ScoredStudy
from ctacal.scores import ScoringRule
from ctacal.study import model_without_file, score_study
from ctacal.subject import Subject, subject_from
from ctacal.volume import Volume

LABEL_FILES = ("seg.dcm", "labelmap.dcm", "labels.nii.gz")
"""Files of a result that hold the model's label map, in the order in which they are looked for."""

RESULT = "result.json"

_OF_THE_STUDY = {Code.NOT_MARKED_CTAC, Code.SEVERAL_CANDIDATES, Code.GATED_CALCIUM_SCAN, Code.INCOMPLETE_SERIES}
"""Warnings that need the whole study: they are found when the list is made, not when a scan is opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """What a run of ``ctacal score`` said of a scan."""

    name: str
    version: str
    digest: str
    agatston: float
    category: str
    per_vessel: dict[str, float]
    labels: str
    """File of its label map; empty if the run wrote none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A scan to be read."""

    id: str
    """Digest of the series' UID."""
    study_uid: str
    series_uid: str
    title: str
    """Description of the series; that of the study too if names are asked for."""
    date: str
    """In the form 2024-01-31, or empty."""
    patient: str
    """Empty unless names are asked for."""
    files: tuple[str, ...]
    """Files, or archives, that hold the images of the series."""
    study_files: tuple[str, ...]
    """The same of all images of the study."""
    warnings: tuple[tuple[str, str], ...] = ()
    """Codes and texts that need the whole study."""
    refusal: str = ""
    """Why it cannot be read; empty if it can."""
    rule: ScoringRule
    fill_gaps: bool = False
    untilt: bool = False
    mass_calibration: float | None = None
    model: ModelAnswer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """How scans are prepared for reading: as the options of ``ctacal score`` say."""

    rule: ScoringRule
    fill_gaps: bool = False
    untilt: bool = False
    mass_calibration: float | None = None
    phi: bool = False
    """Whether lists and pages name the patient."""


@dataclass(frozen=True, eq=False)
class OpenCase:
    """A scan, decoded and ready to be read."""

    case: Case
    volume: Volume
    rule: ScoringRule
    """As it holds at the scan's tube voltage."""
    box: Box
    """The part that a reader needs first: the heart and what lies around it."""
    heart_found: bool
    blind: Candidates
    """The candidates, for a reader who is not to know the model's marks."""
    aided: Candidates
    """The same and what the model marked outside of the heart."""
    model_marks: Marks
    acquisition: Acquisition
    warnings: tuple[Reason, ...]
    noise_sd_hu: float | None
    subject: Subject

    @cached_property
    def digest(self) -> str:
        """Digest of the scan's voxels."""
        return digest_of_scan(np.ascontiguousarray(self.volume.hu).data, self.volume.geometry.shape)

    @property
    def bytes(self) -> int:
        """Memory that its voxels take."""
        return self.volume.hu.nbytes


def cases_under(
    paths: Sequence[Path], accepted: Accepted, *, complain: Callable[[str], object] = lambda _: None
) -> list[Case]:
    """Return a case for each study under some paths: its likeliest CTAC, or why it has none.

    The headers are read in a process of their own, whose memory goes with it. ``complain`` is called with each file
    that could not be read, and with each path that holds no image. Raises ``UsageError`` if a path does not exist.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        cases, problems = process.submit(_found_cases, [Path(path) for path in paths], accepted).result()
    for problem in problems:
        complain(problem)
    return cases


def cases_of_run(out: Path, paths: Sequence[Path], accepted: Accepted) -> list[Case]:
    """Return a case for each series with a result in a run; its images are looked for under ``paths``.

    Raises ``UsageError`` if the folder holds no result.
    """
    results = [content for file in sorted(out.rglob(RESULT)) if (content := _result(file))]
    if not results:
        of_batch = (
            "; of a batch, give the folder of the run, not that of its tables" if (out / "results.csv").exists() else ""
        )
        raise UsageError(f"{out}: holds no results; score studies first (ctacal score PATH -o {out}){of_batch}")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_cases_of_results, results, [Path(path) for path in paths], accepted).result()


def open_case(case: Case) -> OpenCase:
    """Read and decode the scan of a case, and find its candidates.

    Raises ``Refusal`` if the scan cannot be read: files are gone or damaged.
    """
    scored = scored_case(case, _answered_by(case))
    scan = scored.scan
    model_marks = Marks.of(scan.labels)
    found = (find_candidates(scan.volume, scored.rule, scan.heart, marks) for marks in (Marks.none(), model_marks))
    blind = next(found)
    return OpenCase(
        case=case,
        volume=scan.volume,
        rule=scored.rule,
        box=reading_box(scan.volume, scan.heart),
        heart_found=scan.heart is not None,
        blind=blind,
        aided=next(found) if len(model_marks.voxel) else blind,
        model_marks=model_marks,
        acquisition=scored.chosen.acquisition,
        warnings=_warnings(case, scored),
        noise_sd_hu=scored.noise_sd_hu,
        subject=_subject(scored.chosen.series),
    )


def scored_case(case: Case, predict: Predictor, *, whole_study: bool = False) -> ScoredStudy:
    """Score the scan of a case with a predictor's labels. Raises ``Refusal`` as ``score_study`` would refuse it."""
    files = [Path(file) for file in (case.study_files if whole_study else case.files)]
    if gone := next((file for file in files if not file.exists()), None):
        message = f"{gone}: the file is gone; start again with the place where the images lie now"
        raise Refusal(Code.FILE_UNREADABLE, message)
    study = _study_with(read_studies(files).studies, case.series_uid)
    result = score_study(
        study,
        predict,
        rule=case.rule,
        series_uid=case.series_uid,
        mass_calibration=case.mass_calibration,
        fill_gaps=case.fill_gaps,
        untilt=case.untilt,
        allow_contrast=True,
    )
    if not isinstance(result, ScoredStudy):
        raise Refusal(result.reasons[-1].code, result.reasons[-1].message)
    return result


def answer_with(marks: Marks, model: ModelInfo) -> Predictor:
    """Return a predictor that answers with a reader's marks."""

    def predict(volume: Volume, _: ScoringRule) -> Prediction:
        return Prediction(marks.label_map(volume.geometry), model)

    return predict


def rule_of(fields: Mapping[str, Any]) -> ScoringRule:
    """Return the rule of a result; one that was adapted to the scan's tube voltage is not adapted again."""
    rule = from_fields(ScoringRule, fields)
    return replace(rule, kvp_factors=())


def case_id(series_uid: str) -> str:
    """Return the name of the case of a series: it tells nothing about the patient, and is the same on each machine."""
    return hashlib.sha256(f"case {series_uid}".encode()).hexdigest()[:16]


def _found_cases(paths: Sequence[Path], accepted: Accepted) -> tuple[list[Case], list[str]]:
    """Return the cases, and in words what gave none."""
    intake = read_studies(paths)
    problems = [f"skipped {file.name}: {file.reason}" for file in intake.skipped]
    return [_case_of(study, accepted) for study in intake.studies], [*problems, *intake.empty]


def _case_of(study: Study, accepted: Accepted) -> Case:
    try:
        choice = choose_series(study, fill_gaps=accepted.fill_gaps, untilt=accepted.untilt, allow_contrast=True)
    except Refusal as refusal:
        series = study.series[0]
        return _case(study, series, accepted, refusal=str(refusal))
    return _case(study, choice.series, accepted, notes=(*study.notes, *choice.notes))


def _case(study: Study, series: Series, accepted: Accepted, *, notes: Iterable[Reason] = (), refusal: str = "") -> Case:
    header = series.header
    return Case(
        id=case_id(series.uid),
        study_uid=study.uid,
        series_uid=series.uid,
        title=" / ".join(text for text in (header.study_description * accepted.phi, header.series_description) if text),
        date=_dashed(header.study_date),
        patient=_subject(series, phi=True).name if accepted.phi else "",
        files=_files_of((*series.slices, *series.left_out)),
        study_files=_files_of(study.slices),
        warnings=tuple((str(note.code), note.message) for note in notes),
        refusal=refusal,
        rule=accepted.rule,
        fill_gaps=accepted.fill_gaps,
        untilt=accepted.untilt,
        mass_calibration=accepted.mass_calibration,
    )


def _dashed(day: str) -> str:
    return f"{day[:4]}-{day[4:6]}-{day[6:8]}" if len(day) == 8 else ""


def _files_of(slices: Iterable[Any]) -> tuple[str, ...]:
    return tuple(sorted({str(slice_.source.path.absolute()) for slice_ in slices}))


def _subject(series: Series, *, phi: bool = True) -> Subject:
    try:
        return subject_from(cleaned(read_patient_and_study(series.slices[0])), phi=phi)
    except (Refusal, ValueError):
        return Subject()


def _result(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return {**content, "folder": str(file.parent.absolute())} if isinstance(content, dict) else None


def _cases_of_results(results: Sequence[Mapping[str, Any]], paths: Sequence[Path], accepted: Accepted) -> list[Case]:
    studies = {study.uid: study for study in read_studies(paths).studies} if paths else {}
    cases: dict[str, list[Case]] = {}
    for result in results:
        case = _case_of_result(result, studies, accepted)
        cases.setdefault(case.id, []).append(case)
    return [_only(of_series) for of_series in cases.values()]


def _only(cases: Sequence[Case]) -> Case:
    """Return the case of a series; if there are several results of it, nobody can tell which is to be corrected."""
    if len(cases) == 1:
        return cases[0]
    refusal = (
        f"{Code.STUDY_IN_SEVERAL_ROWS}: the folder holds {len(cases)} results of this series, each of other images or "
        "options; in a batch, plan several_rows.list (of ctacal batch collect) and review that run"
    )
    return replace(cases[0], refusal=refusal)


def _case_of_result(result: Mapping[str, Any], studies: Mapping[str, Study], accepted: Accepted) -> Case:
    """Return the case of a result; one that was refused, or whose images are not there, is listed with the reason."""
    of_study = result["study"]
    codes = {reason["code"] for reason in result["reasons"]}
    prepared = replace(
        accepted,
        fill_gaps=Code.SLICES_INTERPOLATED in codes or accepted.fill_gaps,
        untilt=Code.TILT_RESAMPLED in codes or accepted.untilt,
    )
    uid = of_study["series_uid"] or of_study["study_uid"]
    study = studies.get(of_study["study_uid"])
    series = next((one for one in study.series if uid in one.uids), None) if study else None
    if result["status"] == "refused":
        refusal = "; ".join(f"{reason['code']}: {reason['message']}" for reason in result["reasons"][-1:])
    elif series is None:
        refusal = "FILE_UNREADABLE: its images were not found; name the place where they lie (--images PATH)"
    else:
        refusal = ""
    warnings = tuple((reason["code"], reason["message"]) for reason in result["reasons"]) if not refusal else ()
    model = _model_answer(result) if result["status"] != "refused" else None
    if study is None or series is None:
        case = Case(
            id=case_id(uid), study_uid=of_study["study_uid"], series_uid=uid,
            title=of_study["series_description"] or "", date="", patient="", files=(), study_files=(),
            refusal=refusal, rule=rule_of(result["rule"]),
        )  # fmt: skip
        return replace(case, model=model)
    return replace(
        _case(study, series, prepared, refusal=refusal), warnings=warnings, rule=rule_of(result["rule"]), model=model
    )


def _model_answer(result: Mapping[str, Any]) -> ModelAnswer:
    folder = Path(result["folder"])
    labels = next((str(folder / name) for name in LABEL_FILES if (folder / name).is_file()), "")
    model = result["model"]
    return ModelAnswer(
        name=model["name"],
        version=model["version"],
        digest=model["digest"],
        agatston=result["agatston"]["total"],
        category=result["category"],
        per_vessel=result["agatston"]["per_vessel"],
        labels=labels,
    )


def _answered_by(case: Case) -> Predictor:
    """Return a predictor that answers with the model's label map, or with none."""

    def predict(volume: Volume, _: ScoringRule) -> Prediction:
        if not case.model or not case.model.labels:
            empty = LabelMap(np.zeros(volume.geometry.shape, np.uint8), volume.geometry)
            return Prediction(empty, model_without_file("reader"), heart_finder()(volume))
        info = ModelInfo(case.model.name, case.model.version, case.model.digest)
        return Prediction(read_label_map(Path(case.model.labels), volume), info, heart_finder()(volume))

    return predict


def _study_with(studies: Sequence[Study], series_uid: str) -> Study:
    for study in studies:
        if any(series_uid in series.uids for series in study.series):
            return study
    message = "the files no longer hold this series; start again with the place where the images lie now"
    raise Refusal(Code.SERIES_NOT_FOUND, message)


def _warnings(case: Case, scored: ScoredStudy) -> tuple[Reason, ...]:
    """Return the warnings of the whole study, found before, and those of the scan."""
    before = tuple(Reason(Code(code), message) for code, message in case.warnings)
    known = {reason.code for reason in before} | _OF_THE_STUDY
    return (*before, *(reason for reason in scored.reasons if reason.code not in known))


def stored(case: Case) -> dict[str, Any]:
    """Return a case as plain values, for the list."""
    return {name: value for name, value in asdict(case).items() if value is not None}


def case_from(fields: Mapping[str, Any]) -> Case:
    """Return the case of its plain values."""
    return from_fields(Case, fields)
