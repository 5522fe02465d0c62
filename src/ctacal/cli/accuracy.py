"""``ctacal accuracy``: predictors on test studies whose truth is known, and the model card of the results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from ctacal.cli.progress import progress_bar
from ctacal.errors import UsageError
from ctacal.evaluate.accuracy.results import Row
from ctacal.jobs.accuracy import AccuracyJob, score_cohort, write_model_card
from ctacal.nn.predict import load_model


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line, as typed."""

    cohort: Path | None
    out: Path
    models: Sequence[Path] = ()
    kind: str = "simulated"
    card: Path | None = None
    real: Path | None = None


def run(options: Options) -> int:
    """Score the cohort and write the card, as far as given; returns the exit status: 0 all scored, 1 some not."""
    if options.cohort is None and options.card is None:
        raise UsageError("give a COHORT to score, or --card for the model card of what OUT holds")
    models = [load_model(folder) for folder in options.models]
    if options.card and not models:
        raise UsageError("--card needs --model: the model that the card describes, then those it is compared with")
    table, status = options.out / "results.csv", 0
    if options.cohort:
        job = AccuracyJob(cohort=options.cohort, table=table, models=models, kind=options.kind)
        with progress_bar("scoring") as progress:
            rows = score_cohort(job, progress=progress)
        status = int(_print_missed(rows, table) > 0)
    if options.card:
        write_model_card(options.card, table, models, real_scans=options.real)
        typer.echo(f"model card: {options.card}", err=True)
    return status


def _print_missed(rows: Sequence[Row], table: Path) -> int:
    """Print what was not scored, to standard error; returns how many rows that is."""
    missed = [row for row in rows if row["status"] != "scored"]
    for row in missed:
        typer.echo(f"{row['study']}  {row['predictor']}  {row['status'].upper()}  {row['reason']}", err=True)
    typer.echo(f"{len(rows) - len(missed)} scored, {len(missed)} not; all in {table}", err=True)
    return len(missed)
