"""The job of ``ctacal paper``: a cohort simulated from the published figures, and both analyses of it."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ctacal.atomic import write_text
from ctacal.evaluate.publication import Publication, check_replaceable, marked, require, write_page, write_publication
from ctacal.jobs.outcomes import PACKAGES
from ctacal.progress import Bar, no_bar

if TYPE_CHECKING:
    from ctacal.evaluate.outcomes import PaperRecipe

AGREEMENT, OUTCOMES = "agreement", "outcomes"
"""The folders of the two reports."""

COHORT, PAGE = "simulated_cohort.csv", "simulated_cohort.html"
"""The table, and the page on top of both reports."""


def write_paper(recipe: Path, out: Path, bar: Bar = no_bar) -> tuple[Path, Path, Path]:
    """Write the simulated table, two reports and a page above them to ``out``; returns the pages, the top one first.

    Raises ``UsageError`` if the recipe has a fault, a report's folder holds other files, or a package is missing.
    """
    require(**PACKAGES)
    from ctacal.evaluate.outcomes import (
        cohort_csv,
        paper_page,
        paper_report,
        read_patients,
        read_recipe,
        simulate_cohort,
    )

    chosen = read_recipe(recipe)
    for part in (AGREEMENT, OUTCOMES):
        check_replaceable(out / part)
    table, top = out / COHORT, out / PAGE
    write_text(table, cohort_csv(simulate_cohort(chosen.seed, chosen.patients)))
    write_publication(_agreement(table, chosen, bar), out / AGREEMENT)
    report = paper_report(read_patients(table, chosen.outcomes), chosen, bar)
    write_publication(report, out / OUTCOMES)
    pages = {name: f"{name}/report.html" for name in (AGREEMENT, OUTCOMES)}
    links = (("Agreement of the model with the expert", pages[AGREEMENT]), ("Outcomes", pages[OUTCOMES]))
    write_page(paper_page(report, chosen.published, (*links, ("The simulated table", COHORT))), top)
    return top, out / pages[AGREEMENT], out / pages[OUTCOMES]


def _agreement(table: Path, recipe: "PaperRecipe", bar: Bar) -> Publication:
    """Return what ``ctacal agree`` makes of the two scores, with the notice that the cohort is simulated."""
    from ctacal.evaluate.agree import AgreeConfig, agreement_report, read_raters
    from ctacal.evaluate.outcomes import MARK, SIMULATED

    read = [reading for reading in (recipe.outcomes.reader, recipe.outcomes.model) if reading]
    reader = recipe.outcomes.reader.score if recipe.outcomes.reader else ""
    config = AgreeConfig(
        table=table, readers=(reader,), models=(recipe.outcomes.model.score,),
        names={reading.score: reading.name for reading in read},
        identifier=[recipe.outcomes.identifier] if recipe.outcomes.identifier else (),
    )  # fmt: skip
    found = agreement_report(read_raters(config), config, seed=recipe.seed, bar=bar)
    return marked(replace(found, lead=(SIMULATED, *found.lead)), MARK)
