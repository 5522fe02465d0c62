"""The job of ``ctacal paper``: a cohort simulated from the published figures, and both analyses of it."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ctacal.atomic import write_text
from ctacal.evaluate.publication import Publication, check_replaceable, require, write_publication
from ctacal.jobs.outcomes import PACKAGES
from ctacal.progress import Bar, no_bar

if TYPE_CHECKING:
    from ctacal.evaluate.outcomes import PaperRecipe

AGREEMENT, OUTCOMES = "agreement", "outcomes"
"""The folders of the two reports."""


def write_paper(recipe: Path, out: Path, bar: Bar = no_bar) -> tuple[Path, Path]:
    """Write ``cohort.csv`` and the two reports to ``out``; returns both report pages, agreement first.

    Raises ``UsageError`` if the recipe has a fault, a report's folder holds other files, or a package is missing.
    """
    require(**PACKAGES)
    from ctacal.evaluate.outcomes import cohort_csv, paper_report, read_patients, read_recipe, simulate_cohort

    chosen = read_recipe(recipe)
    for part in (AGREEMENT, OUTCOMES):
        check_replaceable(out / part)
    table = out / "cohort.csv"
    write_text(table, cohort_csv(simulate_cohort(chosen.seed, chosen.patients)))
    write_publication(_agreement(table, chosen, bar), out / AGREEMENT)
    write_publication(paper_report(read_patients(table, chosen.outcomes), chosen, bar), out / OUTCOMES)
    return out / AGREEMENT / "report.html", out / OUTCOMES / "report.html"


def _agreement(table: Path, recipe: "PaperRecipe", bar: Bar) -> Publication:
    """Return what ``ctacal agree`` makes of the two scores, with the notice that the cohort is simulated."""
    from ctacal.evaluate.agree import AgreeConfig, agreement_report, read_raters
    from ctacal.evaluate.outcomes import SIMULATED

    reader = recipe.outcomes.reader.score if recipe.outcomes.reader else ""
    config = AgreeConfig(
        table=table, readers=(reader,), models=(recipe.outcomes.model.score,),
        identifier=[recipe.outcomes.identifier] if recipe.outcomes.identifier else (),
    )  # fmt: skip
    found = agreement_report(read_raters(config), config, seed=recipe.seed, bar=bar)
    return replace(found, lead=(SIMULATED, *found.lead))
