"""``ctacal paper``: the cohort simulated from the published figures, and both analyses of it."""

from pathlib import Path

import typer

from ctacal.cli.progress import progress_bar


def run(recipe: Path, out: Path) -> int:
    """Make OUT/simulated_cohort.csv, the reports OUT/agreement and OUT/outcomes, and a page above them; returns 0."""
    from ctacal.evaluate.outcomes import SIMULATED
    from ctacal.jobs.paper import write_paper

    typer.echo(SIMULATED, err=True)
    for page in write_paper(recipe, out, progress_bar):
        typer.echo(page)
    return 0
