"""``ctacal outcomes``: prognosis from a table, driven by a TOML."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from ctacal.cli.progress import progress


def run(table: Path, config: Path, out: Path, drop: str | None) -> int:
    """Analyse and write; returns the exit status."""
    from ctacal.publication import require

    require(pandas="pandas", numba="numba", tableone="tableone")
    from ctacal.outcomes.config import read_config
    from ctacal.outcomes.patients import read_patients
    from ctacal.outcomes.report import analyse
    from ctacal.publication import write_publication
    from ctacal.publication.write import check_replaceable

    chosen = read_config(config)
    check_replaceable(out)
    patients = read_patients(table, chosen, drop=kinds(drop))
    write_publication(analyse(patients, bar), out)
    typer.echo(out / "report.html")
    return 0


def kinds(drop: str | None) -> list[str]:
    """The kinds of faulty rows that are left out, as typed: separated by commas."""
    return [kind.strip() for kind in drop.split(",") if kind.strip()] if drop else []


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
