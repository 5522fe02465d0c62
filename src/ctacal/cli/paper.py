"""``ctacal paper``: the cohort simulated from the published figures, both analyses of it, published beside ours."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ctacal.cli.outcomes import NEEDED, bar
from ctacal.cli.progress import progress

if TYPE_CHECKING:
    from ctacal.evaluate.outcomes.paper import PaperRecipe
    from ctacal.evaluate.publication import Publication


def run(recipe: Path, out: Path) -> int:
    """Make OUT/cohort.csv, OUT/agreement and OUT/outcomes; returns the exit status."""
    from ctacal.evaluate.publication import require

    require(**NEEDED)
    from ctacal.atomic import write_text
    from ctacal.evaluate.outcomes.paper import SIMULATED, paper, read_recipe
    from ctacal.evaluate.outcomes.patients import read_patients
    from ctacal.evaluate.outcomes.published_cohort import as_csv, published_cohort
    from ctacal.evaluate.publication import write_publication
    from ctacal.evaluate.publication.write import check_replaceable

    chosen = read_recipe(recipe)
    for part in ("agreement", "outcomes"):
        check_replaceable(out / part)
    typer.echo(SIMULATED, err=True)
    table = out / "cohort.csv"
    write_text(table, as_csv(published_cohort(chosen.seed, chosen.patients)))
    agreement = _agreement(table, chosen)
    write_publication(replace(agreement, lead=(SIMULATED, *agreement.lead)), out / "agreement")
    write_publication(paper(read_patients(table, chosen.outcomes), chosen, bar), out / "outcomes")
    typer.echo(out / "agreement" / "report.html")
    typer.echo(out / "outcomes" / "report.html")
    return 0


def _agreement(table: Path, recipe: "PaperRecipe") -> "Publication":
    """What ``ctacal agree`` makes of the two scores."""
    from ctacal.evaluate.agree.gather import Question, gather
    from ctacal.evaluate.agree.publish import publish, steps

    reader = recipe.outcomes.reader.score if recipe.outcomes.reader else ""
    question = Question(
        table=table, readers=(reader,), models=(recipe.outcomes.model.score,), results=(),
        identifier=recipe.outcomes.identifier or None, patient=None, drop=(),
    )  # fmt: skip
    gathered = gather(question)
    with progress("comparing", steps(gathered)) as advance:
        return publish(gathered, question, seed=recipe.seed, advance=advance)
