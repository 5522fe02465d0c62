"""``ctacal outcomes``: prognosis from a table, driven by a TOML."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from ctacal.cli.progress import progress
from ctacal.errors import UsageError

NEEDED = {"pandas": "pandas", "numba": "numba"}


def run(table: Path, config: Path | None, out: Path | None, *, drop: str = "", example: bool = False) -> int:
    """Analyse and write; returns the exit status."""
    if example:
        return _write_example(table)
    if out is None:
        raise UsageError("name the folder for the report: -o OUT")
    from ctacal.evaluate.publication import require

    require(**NEEDED)
    from ctacal.evaluate.outcomes.config import read_config
    from ctacal.evaluate.outcomes.patients import read_patients
    from ctacal.evaluate.outcomes.report import analyse
    from ctacal.evaluate.publication import write_publication
    from ctacal.evaluate.publication.write import check_replaceable

    chosen = read_config(config or _beside(table))
    check_replaceable(out)
    patients = read_patients(table, chosen, drop=[kind.strip() for kind in drop.split(",") if kind.strip()])
    write_publication(analyse(patients, bar), out)
    typer.echo(out / "report.html")
    return 0


def _beside(table: Path) -> Path:
    """The TOML of the table's name."""
    found = table.with_suffix(".toml")
    if not found.is_file():
        raise UsageError(
            f"what do the columns mean? {found} is not there; name the TOML: -c (docs/outcomes.md shows one)"
        )
    return found


def _write_example(table: Path) -> int:
    """The cohort simulated from the published figures, and the TOML that tells its columns."""
    from importlib import resources

    from ctacal.atomic import write_text
    from ctacal.evaluate.outcomes.published_cohort import as_csv, published_cohort

    told = table.with_suffix(".toml")
    if table.suffix.lower() != ".csv" or table.exists() or told.exists():
        raise UsageError(f"{table}: name a CSV file that is not there yet, nor {told.name} beside it")
    write_text(table, as_csv(published_cohort(0)))
    write_text(told, (resources.files("ctacal.evaluate.outcomes") / "example.toml").read_text(encoding="utf-8"))
    typer.echo(
        f"an example, simulated and of no patient: {table}, {told}; next: ctacal outcomes {table} -o OUT", err=True
    )
    return 0


@contextmanager
def bar(what: str, total: int) -> Iterator[Any]:
    """A progress bar that is told how much is done."""
    with progress(what, total) as advance:
        seen = 0

        def report(done: int, total: int) -> None:
            nonlocal seen
            while seen < done:
                advance()
                seen += 1

        yield report
