"""``ctacal cohort``: scored studies and the clinical table, one row a patient; who is in neither is listed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import typer

from ctacal.errors import UsageError
from ctacal.results_table import write_table

if TYPE_CHECKING:
    from ctacal.evaluate.linkage import LeftOut


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for, as typed."""

    key: Path | None = None
    study: str | None = None
    patient: str | None = None
    choose: str = "refuse"
    date: str | None = None
    within_days: float | None = None


def run(results: Sequence[Path], clinical: Path, out: Path, options: Options) -> int:
    """Join and write; returns the exit status: 0 all found each other, 1 some are left out."""
    from ctacal.evaluate.linkage import Choice, Rules, link, read_results
    from ctacal.evaluate.readings import ENDINGS_WRITTEN, write_table_of

    if options.choose not in get_args(Choice):
        raise UsageError(f"--choose {options.choose}: known are {', '.join(get_args(Choice))}")
    if out.suffix.lower() not in ENDINGS_WRITTEN:
        raise UsageError(f"{out}: name a table of {', '.join(ENDINGS_WRITTEN)}")
    rules = Rules(
        study=options.study, patient=options.patient, key=options.key, choose=options.choose,  # type: ignore[arg-type]
        date=options.date, within_days=options.within_days,
    )  # fmt: skip
    linked = link(read_results(results), clinical, rules)
    write_table_of(linked.table, out)
    beside = out.with_name(f"{out.stem}.left_out.csv")
    write_table(beside, ("side", "identifier", "row", "why"), map(_line, linked.left_out))
    _tell(len(linked.table), linked.left_out, out, beside)
    return 1 if linked.left_out else 0


def _line(one: "LeftOut") -> dict[str, Any]:
    return {"side": one.side, "identifier": one.identifier, "row": one.row, "why": one.why}


def _tell(rows: int, left_out: "Sequence[LeftOut]", out: Path, beside: Path) -> None:
    sides = Counter(one.side for one in left_out)
    typer.echo(f"patients with their score: {rows}, in {out}", err=True)
    if left_out:
        typer.echo(
            f"left out: {sides['results']} scored studies or series, {sides['table']} rows of the clinical table; "
            f"each with its reason in {beside}",
            err=True,
        )
