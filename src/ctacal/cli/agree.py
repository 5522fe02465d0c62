"""``ctacal agree``: readers and models of one table, everything about their agreement as a publication."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from ctacal.cli.progress import progress
from ctacal.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for, as typed."""

    readers: Sequence[str] = ()
    models: Sequence[str] = ()
    results: Sequence[Path] = ()
    identifier: str | None = None
    patient: str | None = None
    drop: str = ""
    seed: int = 0
    example: bool = False


def run(table: Path, out: Path | None, options: Options) -> int:
    """Compare and write; returns the exit status 0. Raises ``UsageError`` where the table is not right."""
    if options.example:
        return _write_example(table, options.seed)
    if out is None:
        raise UsageError("name the folder for the report: -o OUT")
    from ctacal.evaluate.publication import require, write_publication
    from ctacal.evaluate.publication.write import check_replaceable
    from ctacal.evaluate.readings import KINDS

    require(pandas="pandas")
    check_replaceable(out)
    drop = [kind.strip() for kind in options.drop.split(",") if kind.strip()]
    if unknown := set(drop) - set(KINDS):
        raise UsageError(f"--drop {', '.join(sorted(unknown))}: known are {', '.join(KINDS)}")

    from ctacal.evaluate.agree.gather import Question, gather
    from ctacal.evaluate.agree.publish import publish, steps

    question = Question(
        table=table, readers=options.readers, models=options.models, results=options.results,
        identifier=options.identifier, patient=options.patient, drop=drop,
    )  # fmt: skip
    gathered = gather(question)
    with progress("comparing", steps(gathered)) as advance:
        publication = publish(gathered, question, seed=options.seed, advance=advance)
    write_publication(publication, out)
    typer.echo(f"{publication.lead[0]}\n{out / 'report.html'}", err=True)
    return 0


def _write_example(table: Path, seed: int) -> int:
    from ctacal.atomic import write_text
    from ctacal.evaluate.agree.example import example_csv

    if table.exists() or table.suffix.lower() != ".csv":
        raise UsageError(f"{table}: name a CSV file that is not there yet")
    write_text(table, example_csv(seed))
    typer.echo(f"an example, drawn by chance and of no patient: {table}; next: ctacal agree {table} -o OUT", err=True)
    return 0
