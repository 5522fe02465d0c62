"""``ctacal outcomes``: prognosis from a table, described by a TOML."""

from pathlib import Path

import typer

from ctacal.cli.progress import progress_bar
from ctacal.errors import UsageError
from ctacal.evaluate.readings.form import NO_OPTIONS, FormOptions


def run(
    table: Path,
    config: Path | None,
    out: Path | None,
    *,
    drop: str = "",
    form: FormOptions = NO_OPTIONS,
    example: bool = False,
) -> int:
    """Analyse and write; returns the exit status 0. Raises ``UsageError`` if the table or the TOML has a fault."""
    from ctacal.jobs.outcomes import write_example, write_outcomes

    if example:
        toml = write_example(table)
        typer.echo(f"simulated example, not patients: {table}, {toml}; next: ctacal outcomes {table} -o OUT", err=True)
        return 0
    if out is None:
        raise UsageError("name the folder for the report: -o OUT")
    kinds = [kind.strip() for kind in drop.split(",") if kind.strip()]
    publication = write_outcomes(table, config, out, drop=kinds, form=form, bar=progress_bar)
    typer.echo("\n".join(publication.lead), err=True)
    typer.echo(out / "report.html")
    return 0
