"""``ctacal score``: every study under the paths, one after the other, each in its own folder."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import typer

from ctacal import __version__
from ctacal.cli.progress import progress
from ctacal.dicom.choose import Candidate, candidates
from ctacal.dicom.seg import referenced_series_uid
from ctacal.dicom.series import Intake, Study, read_studies
from ctacal.dicom.source import SkippedFile
from ctacal.errors import UsageError
from ctacal.prediction import ModelInfo, Predictor
from ctacal.report.index_page import PAGE, write_index
from ctacal.report.outputs import DEFAULT_WRITERS, known_writers, write_outputs
from ctacal.report.pseudonyms import Pseudonymiser
from ctacal.result import NOTICE
from ctacal.result_json import SCHEMA_VERSION, result_json
from ctacal.results_table import Row, result_row, write_results_csv, write_skipped_csv
from ctacal.scores import ScoringRule, named_rule
from ctacal.study import folder_name, model_without_file, predict_from_file, predict_threshold, score_study

MAX_SKIPPED_SHOWN = 10
PREDICTORS = ("networks", "threshold")
Runtime = Literal["onnxruntime", "openvino"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for, as typed."""

    predictor: str | None = None
    model: Path | None = None
    runtime: Runtime = "onnxruntime"
    labels: Path | None = None
    rule: str = "scct2016"
    mass_calibration: float | None = None
    series: str = "best"
    fill_gaps: bool = False
    untilt: bool = False
    write: str = ",".join(DEFAULT_WRITERS)
    phi: bool = False
    pseudonymise: Path | None = None
    resume: bool = False
    as_json: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Chosen:
    """What finds the calcium, and who that is."""

    predict: Predictor
    model: ModelInfo | None
    """None for a reader's file, which says who it is when it is read."""
    warning: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """A series to score."""

    study: Study
    series_uid: str | None
    """None lets the study's own choice decide, or refuse."""
    ranked: tuple[Candidate, ...] | None = None
    """The study's candidates, if they are known already."""


def run(paths: Sequence[Path], out: Path, options: Options) -> int:
    """Score and write; returns the exit status: 0 all scored, 1 some refused or nothing found."""
    chosen, rule, writers = _chosen(options), named_rule(options.rule), known_writers(options.write)
    pseudonymiser = _pseudonymiser(options)
    intake = _read(paths)
    tasks = [task for study in intake.studies for task in _tasks(study, options)]
    if options.labels and len(tasks) > 1:
        raise UsageError(f"--labels scores one series, but {len(tasks)} were found; give one study (or --series UID)")
    rows: list[Row] = []
    out.mkdir(parents=True, exist_ok=True)
    if chosen.warning:
        typer.echo(chosen.warning, err=True)
    try:
        with progress("scoring", len(tasks)) as advance:
            for task in tasks:
                rows.append(_score_one(task, out, chosen, rule, writers, options, pseudonymiser))
                advance()
    finally:
        write_results_csv(out / "results.csv", rows)
        (out / PAGE).unlink(missing_ok=True)  # of an earlier run
        if "html" in writers:
            write_index(out, rows)
    _summarise(intake, pseudonymiser.skipped(intake.skipped) if pseudonymiser else intake.skipped, rows, out)
    return 0 if rows and all(row["status"] != "refused" for row in rows) else 1


def _score_one(
    task: Task,
    out: Path,
    chosen: Chosen,
    rule: ScoringRule,
    writers: Sequence[str],
    options: Options,
    pseudonymiser: Pseudonymiser | None,
) -> Row:
    study, series_uid = task.study, task.series_uid
    told_uid = pseudonymiser.uid if pseudonymiser else str
    folder = out / folder_name(told_uid(study.uid))
    if options.series == "each" and series_uid:
        folder /= folder_name(told_uid(series_uid))
    known = _earlier_result(folder, rule, chosen.model) if options.resume and chosen.model else None
    if known is None:
        result = score_study(
            study,
            chosen.predict,
            rule=rule,
            series_uid=series_uid,
            mass_calibration=options.mass_calibration,
            fill_gaps=options.fill_gaps,
            untilt=options.untilt,
            ranked=task.ranked,
        )
        if pseudonymiser:
            result = pseudonymiser.result(result, study)
        written = write_outputs(result, folder, writers, phi=options.phi, pseudonymiser=pseudonymiser)
        known = result_json(written)
    _print(known, as_json=options.as_json)
    return result_row(known, str(folder.relative_to(out)))


def _earlier_result(folder: Path, rule: ScoringRule, model: ModelInfo) -> dict[str, Any] | None:
    """The result that is there already, if the same version made it under the same rule and by the same model."""
    try:
        earlier: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        same_rule = earlier["rule"]["name"] == rule.name
        same_model = earlier["model"] is None or earlier["model"] == asdict(model)
        same_program = (earlier["schema_version"], earlier["software"]["ctacal"]) == (SCHEMA_VERSION, __version__)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return earlier if same_rule and same_model and same_program else None


def _pseudonymiser(options: Options) -> Pseudonymiser | None:
    if options.pseudonymise is None:
        return None
    if options.phi:
        raise UsageError("--phi names the patient and --pseudonymise does not; ask for one of them")
    return Pseudonymiser.from_file(options.pseudonymise)


def _chosen(options: Options) -> Chosen:
    if options.labels is not None:
        if not options.labels.is_file():
            raise UsageError(f"{options.labels}: no such label file")
        return Chosen(predict_from_file(options.labels), None)
    if options.predictor not in (None, *PREDICTORS):
        raise UsageError(f"no predictor is called {options.predictor!r}; known: {', '.join(PREDICTORS)}")
    if options.predictor == "threshold":
        if options.model:
            raise UsageError("--model is for --predictor networks; threshold has no weights")
        return _BASELINE
    return _networks(options)


_BASELINE = Chosen(predict_threshold, model_without_file("threshold"))


def _networks(options: Options) -> Chosen:
    """The model asked for, or the one that ships; the baseline where nobody asked and none ships."""
    if find_spec(options.runtime) is None:
        raise UsageError(f"--runtime {options.runtime} is not installed: pip install {options.runtime}")
    if options.predictor is None and options.model is None and not ships_weights():
        told = "no weights ship with this ctacal: scored by the threshold baseline, which is no network"
        return replace(_BASELINE, warning=told)
    from ctacal.nn.predict import WEIGHTS, load_model

    model = load_model(options.model or WEIGHTS, runtime=options.runtime)
    return Chosen(model, model.info)


def ships_weights() -> bool:
    """Whether this installation holds a model."""
    from ctacal.nn.predict import WEIGHTS

    return (WEIGHTS / "model.json").is_file()


def _tasks(study: Study, options: Options) -> list[Task]:
    """The series of a study to score."""
    if options.series == "best":
        return [Task(study, referenced_series_uid(options.labels) if options.labels else None)]
    if options.series != "each":
        return [Task(study, options.series)]
    ranked = candidates(study, fill_gaps=options.fill_gaps, untilt=options.untilt)
    fit = dict.fromkeys(candidate.series.uid for candidate in ranked if candidate.unfit is None)
    return [Task(study, uid, ranked) for uid in fit or (None,)]


def _read(paths: Sequence[Path]) -> Intake:
    with progress("reading", None) as advance:
        return read_studies(paths, on_file=advance)


def _print(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result))
        return
    reasons = "; ".join(f"{reason['code']}: {reason['message']}" for reason in result["reasons"])
    if result["status"] == "refused":
        typer.echo(f"study {result['study']['study_uid']}  REFUSED  {reasons}")
        return
    vessels = "  ".join(f"{name} {score:.1f}" for name, score in result["agatston"]["per_vessel"].items() if score)
    told = f"study {result['study']['study_uid']}  Agatston {result['agatston']['total']:.1f}  ({result['category']})"
    typer.echo("  ".join(part for part in (told, vessels, f"[{reasons}]" if reasons else "") if part))


def _summarise(intake: Intake, skipped: Sequence[SkippedFile], rows: Sequence[Row], out: Path) -> None:
    """To stderr, so that --json stays clean: what was lost and what was made."""
    for file in skipped[:MAX_SKIPPED_SHOWN]:
        typer.echo(f"skipped {file.name}: {file.reason}", err=True)
    (out / "skipped.csv").unlink(missing_ok=True)  # of an earlier run
    if skipped:
        write_skipped_csv(out / "skipped.csv", skipped)
        typer.echo(f"{len(skipped)} files skipped, all listed in {out / 'skipped.csv'}", err=True)
    refused = sum(row["status"] == "refused" for row in rows)
    if not rows:
        typer.echo(f"no DICOM image series among {intake.files} files", err=True)
    typer.echo(f"{len(rows) - refused} scored, {refused} refused; results in {out / 'results.csv'}", err=True)
    typer.echo(NOTICE, err=True)
