"""``ctacal cohort``: scored studies and the clinical table, one row a patient; who is in neither is listed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import typer

from ctacal.cohort import write_table
from ctacal.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from ctacal.linkage import LeftOut


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
    from ctacal.linkage import Choice, Rules, link, read_results

    if options.choose not in get_args(Choice):
        raise UsageError(f"--choose {options.choose}: known are {', '.join(get_args(Choice))}")
    if out.suffix.lower() not in WRITERS:
        raise UsageError(f"{out}: name a table of {', '.join(WRITERS)}")
    rules = Rules(
        study=options.study, patient=options.patient, key=options.key, choose=options.choose,  # type: ignore[arg-type]
        date=options.date, within_days=options.within_days,
    )  # fmt: skip
    linked = link(read_results(results), clinical, rules)
    WRITERS[out.suffix.lower()](out, linked.table)
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


def _write_text(out: Path, table: "pd.DataFrame", separator: str) -> None:
    from ctacal.atomic import whole_file

    with whole_file(out) as temporary:
        table.to_csv(temporary, sep=separator, index=False, lineterminator="\n")


def _write_parquet(out: Path, table: "pd.DataFrame") -> None:
    from ctacal.atomic import whole_file

    with whole_file(out) as temporary:
        _with_numbers(table).to_parquet(temporary, index=False)


def _write_xlsx(out: Path, table: "pd.DataFrame") -> None:
    from ctacal.atomic import whole_file

    with whole_file(out) as temporary:
        _with_numbers(table).to_excel(temporary, index=False)


def _with_numbers(table: "pd.DataFrame") -> "pd.DataFrame":
    """Text that is a number and nothing else becomes one; 007 and 1.2.840 stay what they are."""
    import pandas as pd

    number = r"-?(0|[1-9]\d{0,14})(\.\d+)?"
    found = table.copy()
    for name in table.select_dtypes("object").columns:
        told = table[name].dropna()
        if len(told) and told.map(lambda one: isinstance(one, str)).all() and told.str.fullmatch(number).all():
            found[name] = pd.to_numeric(table[name])
    return found


WRITERS = {
    ".csv": lambda out, table: _write_text(out, table, ","),
    ".tsv": lambda out, table: _write_text(out, table, "\t"),
    ".parquet": _write_parquet,
    ".xlsx": _write_xlsx,
}
"""By the ending of TABLE."""
