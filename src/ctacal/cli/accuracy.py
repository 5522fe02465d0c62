"""``ctacal accuracy``: predictors on test studies whose truth is known, and the model card of the results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from ctacal.cli.progress import progress_bar
from ctacal.errors import UsageError
from ctacal.evaluate.accuracy.contenders import HARD, INSERTED, SIMULATED
from ctacal.evaluate.accuracy.real_scans import RealScan
from ctacal.evaluate.accuracy.results import Row
from ctacal.jobs.accuracy import AccuracyJob, score_cohort
from ctacal.jobs.finders import ships_weights
from ctacal.jobs.model_card import contenders_of, score_real_scans, write_model_card
from ctacal.nn.predict import WEIGHTS, Model, load_model


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line, as typed."""

    cohorts: Sequence[Path]
    out: Path
    hard: Sequence[Path] = ()
    inserted: Sequence[Path] = ()
    model: Path | None = None
    compare: Sequence[Path] = ()
    card: Path | None = None
    real: Path | None = None
    scans: Sequence[Path] = ()
    rescans: Path | None = None


def run(options: Options) -> int:
    """Score the cohorts and write the card, as far as given; returns the exit status: 0 all scored, 1 some not."""
    _check(options)
    models = _models(options)
    contenders_of(models)  # two of the same name should fail before an hour of scoring
    jobs = _jobs(options, models)
    table = options.out / "results.csv"
    rows = [row for job in jobs for row in _score(job)]
    missed = _print_missed(rows, table) if jobs else 0
    if options.card:
        real_scans = _real_scans(options, models)
        write_model_card(
            options.card, table, models, cohorts=[job.name for job in jobs], real_scans=real_scans,
            rescans=options.rescans,
        )  # fmt: skip
        typer.echo(f"model card: {options.card}", err=True)
    return int(missed > 0)


def _check(options: Options) -> None:
    if not (options.cohorts or options.hard or options.inserted or options.card):
        raise UsageError("give a COHORT to score, or --card for the model card of what OUT holds")
    if options.real and not options.card:
        raise UsageError("--real is for --card: it lists the real scans that the card shows")
    if options.rescans and not options.card:
        raise UsageError("--rescans is for --card: it holds the scans of patients who were scanned again")
    if options.scans and not options.real:
        raise UsageError("--scans needs --real: the TOML that says what is known of the scans")
    if absent := [str(path) for path in options.scans if not path.exists()]:
        raise UsageError(f"--scans: there is no {absent[0]}")


def _models(options: Options) -> list[Model]:
    """Return the model that is judged, then those it is compared with."""
    if options.model is None and not ships_weights():
        raise UsageError("this ctacal ships no weights; --model names a model folder (ctacal export)")
    return [load_model(folder) for folder in (options.model or WEIGHTS, *options.compare)]


def _jobs(options: Options, models: Sequence[Model]) -> list[AccuracyJob]:
    folders = {SIMULATED: options.cohorts, HARD: options.hard, INSERTED: options.inserted}
    table = options.out / "results.csv"
    jobs = [
        AccuracyJob(cohort=cohort, table=table, models=models, kind=kind)
        for kind, of_kind in folders.items()
        for cohort in of_kind
    ]
    if len({job.name for job in jobs}) < len(jobs):
        raise UsageError(f"the cohorts need folders of different names, got: {', '.join(job.name for job in jobs)}")
    return jobs


def _score(job: AccuracyJob) -> list[Row]:
    with progress_bar(f"scoring {job.name}") as progress:
        return score_cohort(job, progress=progress)


def _real_scans(options: Options, models: Sequence[Model]) -> list[RealScan]:
    if options.real is None:
        return []
    with progress_bar("scoring real scans") as progress:
        return score_real_scans(options.real, options.scans, options.out / "real", models, progress=progress)


def _print_missed(rows: Sequence[Row], table: Path) -> int:
    """Print what was not scored, to standard error; returns how many rows that is."""
    missed = [row for row in rows if row["status"] != "scored"]
    for row in missed:
        typer.echo(f"{row['study']}  {row['predictor']}  {row['status'].upper()}  {row['reason']}", err=True)
    typer.echo(f"{len(rows) - len(missed)} scored, {len(missed)} not; all in {table}", err=True)
    return len(missed)
