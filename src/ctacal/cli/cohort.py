"""``ctacal cohort``: scored studies and the clinical table, one row for each patient; what is left out is listed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import typer

from ctacal.errors import UsageError
from ctacal.evaluate.readings.form import NO_OPTIONS, FormOptions, form_of

if TYPE_CHECKING:
    from ctacal.jobs.cohort import JoinedCohort


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line, as typed."""

    key: Path | None = None
    study: str | None = None
    patient: str | None = None
    choose: str = "refuse"
    date: str | None = None
    within_days: float | None = None
    form: FormOptions = NO_OPTIONS


def run(results: Sequence[Path], clinical: Path, out: Path, options: Options) -> int:
    """Join and write; returns the exit status: 0 if every study and every row has a partner, 1 if not."""
    from ctacal.evaluate.linkage import Choice, Rules
    from ctacal.jobs.cohort import join_cohort

    if options.choose not in get_args(Choice):
        raise UsageError(f"--choose {options.choose}: known are {', '.join(get_args(Choice))}")
    rules = Rules(
        study=options.study, patient=options.patient, key=options.key, choose=options.choose,  # type: ignore[arg-type]
        date=options.date, within_days=options.within_days, form=form_of(options.form),
    )  # fmt: skip
    joined = join_cohort(results, clinical, out, rules)
    _report(joined)
    return 1 if joined.left_out else 0


def _report(joined: "JoinedCohort") -> None:
    sides = Counter(left.side for left in joined.left_out)
    for sentence in joined.told:
        typer.echo(sentence, err=True)
    typer.echo(f"patients with their score: {joined.patients}, in {joined.table}", err=True)
    if joined.left_out:
        typer.echo(
            f"left out: {sides['results']} scored studies or series, {sides['table']} rows of the clinical table; "
            f"each with its reason in {joined.left_out_table}",
            err=True,
        )
