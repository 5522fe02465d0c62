"""The job of ``ctacal agree``: a table of readings in, a folder with the report out."""

from pathlib import Path

from ctacal.atomic import write_text
from ctacal.errors import UsageError
from ctacal.evaluate.agree import AgreeConfig, agreement_report, example_csv, read_raters
from ctacal.evaluate.publication import Publication, check_replaceable, require, write_publication
from ctacal.progress import Bar, no_bar


def write_agreement(config: AgreeConfig, out: Path, *, seed: int = 0, bar: Bar = no_bar) -> Publication:
    """Compare the readers and models of a table and write the report to ``out``; returns what was written.

    Raises ``UsageError`` if the table has a fault, ``out`` holds other files, or a package is missing.
    """
    require(pandas="pandas")
    check_replaceable(out)
    publication = agreement_report(read_raters(config), config, seed=seed, bar=bar)
    write_publication(publication, out)
    return publication


def write_example(table: Path, seed: int = 0) -> None:
    """Write a simulated table of readings. Raises ``UsageError`` if ``table`` exists or is not named as a CSV file."""
    if table.exists() or table.suffix.lower() != ".csv":
        raise UsageError(f"{table}: name a CSV file that does not exist yet")
    write_text(table, example_csv(seed))
