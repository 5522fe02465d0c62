"""``ctacal score``: turns options into a ``ScoreJob``, and prints its outcome."""

import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from ctacal.cli.finder import chosen_finder
from ctacal.cli.progress import progress, progress_bar
from ctacal.dicom.series import Intake, read_studies
from ctacal.errors import UsageError
from ctacal.jobs.finders import Finder, Runtime, reader_labels
from ctacal.jobs.inputs import note_inputs
from ctacal.jobs.score import (
    RESULTS,
    SKIPPED,
    Limits,
    Outcome,
    Privacy,
    ScoreJob,
    ScoreRun,
    one_after_another,
    score_intake,
)
from ctacal.jobs.side_by_side import side_by_side
from ctacal.names import printable
from ctacal.report.outputs import DEFAULT_WRITERS, known_writers
from ctacal.report.pseudonyms import Pseudonymiser
from ctacal.result import NOTICE
from ctacal.scores import named_rule

MAX_SKIPPED_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line, as typed."""

    predictor: str | None = None
    model: Path | None = None
    runtime: Runtime | None = None
    labels: Path | None = None
    rule: str = "scct2016"
    mass_calibration: float | None = None
    series: str = "best"
    fill_gaps: bool = False
    untilt: bool = False
    allow_contrast: bool = False
    write: str = ",".join(DEFAULT_WRITERS)
    phi: bool = False
    pseudonymise: Path | None = None
    resume: bool = False
    as_json: bool = False
    processes: int | None = None


def run(paths: Sequence[Path], out: Path, options: Options) -> int:
    """Score and write; returns the exit status: 0 all scored, 1 some refused, or nothing found under a path."""
    if options.processes is not None and options.processes < 1:
        raise UsageError(f"--processes {options.processes}: at least one process must score")
    job = _job(options)
    with _ends_in_order():
        return _scored(paths, out, options, job)


@contextmanager
def _ends_in_order() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does: processes are ended, the table is written in order."""
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _scored(paths: Sequence[Path], out: Path, options: Options, job: ScoreJob) -> int:
    with progress("reading", None) as file_read:
        intake = read_studies(paths, on_file=file_read)
    if options.pseudonymise is None:
        note_inputs(out, paths)  # ctacal review finds the images by it
    with progress_bar("scoring") as study_scored:
        done = score_intake(
            intake,
            out,
            job,
            score_all=one_after_another if options.processes == 1 else side_by_side(options.processes),
            on_outcome=lambda outcome: _print(outcome, as_json=options.as_json),
            progress=study_scored,
        )
    _summarise(done, intake, out)
    return 0 if done.rows and not done.refused and not intake.empty else 1


def _job(options: Options) -> ScoreJob:
    key = options.pseudonymise
    return ScoreJob(
        finder=_finder(options),
        rule=named_rule(options.rule),
        outputs=known_writers(options.write),
        privacy=Privacy(phi=options.phi, pseudonymiser=Pseudonymiser.from_file(key) if key else None),
        limits=Limits(fill_gaps=options.fill_gaps, untilt=options.untilt, allow_contrast=options.allow_contrast),
        series=options.series,
        mass_calibration=options.mass_calibration,
        resume=options.resume,
    )


def _finder(options: Options) -> Finder:
    if options.labels is not None:
        return reader_labels(options.labels)
    return chosen_finder(options.predictor, options.model, options.runtime)


def _print(outcome: Outcome, *, as_json: bool) -> None:
    content = outcome.content
    if as_json:
        typer.echo(json.dumps(content))
        return
    reasons = "; ".join(f"{reason['code']}: {reason['message']}" for reason in content["reasons"])
    study = f"study {content['study']['study_uid']}"
    if content["status"] == "refused":
        typer.echo(f"{study}  REFUSED  {reasons}")
        return
    agatston = content["agatston"]
    vessels = "  ".join(f"{name} {score:.1f}" for name, score in agatston["per_vessel"].items() if score)
    score = f"{study}  Agatston {agatston['total']:.1f}  ({content['category']})"
    typer.echo("  ".join(part for part in (score, vessels, f"[{reasons}]" if reasons else "") if part))


def _summarise(done: ScoreRun, intake: Intake, out: Path) -> None:
    """Print, to stderr so that --json stays clean, what was skipped and how many studies were scored."""
    for file in done.skipped[:MAX_SKIPPED_SHOWN]:
        typer.echo(f"skipped {file.name}: {file.reason}", err=True)
    if done.skipped:
        number = "1 file" if len(done.skipped) == 1 else f"{len(done.skipped)} files"
        typer.echo(f"{number} skipped, all listed in {printable(out / SKIPPED)}", err=True)
    for line in intake.empty:
        typer.echo(line, err=True)
    scored = len(done.rows) - done.refused
    typer.echo(f"{scored} scored, {done.refused} refused; results in {printable(out / RESULTS)}", err=True)
    typer.echo(NOTICE, err=True)
