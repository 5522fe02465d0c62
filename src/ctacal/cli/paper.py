"""``ctacal paper``: the cohort simulated from the published figures, both commands on it, published beside ours."""

from pathlib import Path

import typer

from ctacal.cli import agree
from ctacal.cli.outcomes import NEEDED, bar


def run(recipe: Path, out: Path) -> int:
    """Make OUT/cohort.csv, OUT/agreement and OUT/outcomes; returns the exit status."""
    from ctacal.publication import require

    require(**NEEDED)
    from ctacal.atomic import write_text
    from ctacal.outcomes.paper import SIMULATED, paper, read_recipe
    from ctacal.outcomes.patients import read_patients
    from ctacal.outcomes.published_cohort import as_csv, published_cohort
    from ctacal.publication import write_publication
    from ctacal.publication.write import check_replaceable

    chosen = read_recipe(recipe)
    for part in ("agreement", "outcomes"):
        check_replaceable(out / part)
    table = out / "cohort.csv"
    write_text(table, as_csv(published_cohort(chosen.seed, chosen.patients)))
    typer.echo(SIMULATED, err=True)
    model, reader = chosen.outcomes.model.score, chosen.outcomes.reader.score if chosen.outcomes.reader else ""
    agree.run(
        table,
        out / "agreement",
        agree.Options(
            readers=[reader], models=[model], identifier=chosen.outcomes.identifier or None, seed=chosen.seed
        ),
    )
    patients = read_patients(table, chosen.outcomes)
    write_publication(paper(patients, chosen, bar), out / "outcomes")
    typer.echo(out / "outcomes" / "report.html")
    return 0
