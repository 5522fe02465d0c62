"""The job of ``ctacal agree``: a table of readings in, a folder with the report out."""

from pathlib import Path

from ctacal.atomic import write_text
from ctacal.errors import UsageError
from ctacal.evaluate.agree import AgreeConfig, agreement_report, example_csv, read_raters
from ctacal.evaluate.publication import Publication, check_replaceable, require, write_publication
from ctacal.progress import Bar, no_bar


def write_agreement(config: AgreeConfig, out: Path, *, seed: int = 0, bar: Bar = no_bar) -> Publication:
    """Compare the readers and models of a table and write the report: the work of ``ctacal agree``.

    Args:
        config: The table and its columns.
        out: Folder for the report; made if it is missing.
        seed: Seed of the bootstrap. The same table and seed give the same bytes.
        bar: Shows progress.

    Returns:
        What was written: every number, table and figure.

    Raises:
        UsageError: The table has a fault, ``out`` holds other files, or a package of the extra ``evaluate`` is missing.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> table = Path(folder.name, "readings.csv")
        >>> write_example(table)  # simulated readers and models
        >>> config = AgreeConfig(table=table, readers=["reader_1"], models=["model_a"])
        >>> written = write_agreement(config, Path(folder.name, "report"))
        >>> Path(folder.name, "report", "report.html").is_file()
        True
        >>> folder.cleanup()
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
