"""``ctacal agree``: readers and models of one table, everything about their agreement as a publication."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from ctacal.cli.progress import progress_bar
from ctacal.errors import UsageError
from ctacal.evaluate.readings.form import NO_OPTIONS, FormOptions, form_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line, as typed."""

    readers: Sequence[str] = ()
    models: Sequence[str] = ()
    categories: Sequence[str] = ()
    words: str = ""
    names: Sequence[str] = ()
    """``COLUMN=NAME``."""
    results: Sequence[Path] = ()
    identifier: Sequence[str] = ()
    patient: str | None = None
    labels: Path | None = None
    incomplete: bool = False
    drop: str = ""
    form: FormOptions = NO_OPTIONS
    seed: int = 0
    example: bool = False


def run(table: Path, out: Path | None, options: Options) -> int:
    """Compare and write; returns the exit status 0. Raises ``UsageError`` if the table has a fault."""
    from ctacal.evaluate.agree import AgreeConfig
    from ctacal.jobs.agree import write_agreement, write_example

    if options.example:
        write_example(table, options.seed)
        typer.echo(f"simulated example, not patients: {table}; next: ctacal agree {table} -o OUT", err=True)
        return 0
    if out is None:
        raise UsageError("name the folder for the report: -o OUT")
    config = AgreeConfig(
        table=table, readers=options.readers, models=options.models, results=options.results,
        categories=options.categories, names=dict(map(_name, options.names)), words=_parts(options.words),
        identifier=options.identifier, patient=options.patient, labels=options.labels, incomplete=options.incomplete,
        form=form_of(options.form), drop=_parts(options.drop),
    )  # fmt: skip
    publication = write_agreement(config, out, seed=options.seed, bar=progress_bar)
    typer.echo(f"{publication.lead[0]}\n{out / 'report.html'}", err=True)
    return 0


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _name(text: str) -> tuple[str, str]:
    column, _, name = text.partition("=")
    if not column or not name:
        raise UsageError(f"--name {text}: expected COLUMN=NAME, such as reader_1='Reader 1'")
    return column, name
