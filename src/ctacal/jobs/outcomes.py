"""The job of ``ctacal outcomes``: a table of patients and its TOML in, a folder with the report out."""

from collections.abc import Collection
from pathlib import Path

from ctacal.atomic import write_text
from ctacal.errors import UsageError
from ctacal.evaluate.publication import Publication, check_replaceable, require, write_publication
from ctacal.evaluate.readings.form import NO_OPTIONS, FormOptions, form_of
from ctacal.progress import Bar, no_bar

PACKAGES = {"pandas": "pandas", "numba": "numba"}
"""Packages of the extra ``evaluate`` that an analysis of outcomes needs: name of the module, name of the package."""


def write_outcomes(
    table: Path,
    config: Path | None,
    out: Path,
    *,
    drop: Collection[str] = (),
    form: FormOptions = NO_OPTIONS,
    bar: Bar = no_bar,
) -> Publication:
    """Analyse the prognosis of the patients of a table and write the report: the work of ``ctacal outcomes``.

    Args:
        table: A row for each patient.
        config: The TOML that says what the columns mean, and their units of time; None: the one beside the table that
            has the table's name.
        out: Folder for the report; made if it is missing.
        drop: Kinds of faulty rows to leave out and count.
        form: How the table is written, where the TOML does not say it.
        bar: Shows progress.

    Returns:
        What was written: every number, table and figure.

    Raises:
        UsageError: The table or the TOML has a fault, ``out`` holds other files, or a package of the extra
            ``evaluate`` is missing.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> toml = write_example(Path(folder.name, "cohort.csv"))  # simulated patients
        >>> toml.name
        'cohort.toml'
        >>> written = write_outcomes(Path(folder.name, "cohort.csv"), toml, Path(folder.name, "report"))
        >>> Path(folder.name, "report", "report.html").is_file()
        True
        >>> folder.cleanup()
    """
    require(**PACKAGES)
    from ctacal.evaluate.outcomes import outcomes_report, read_config, read_patients

    chosen = read_config(config or _beside(table))
    check_replaceable(out)
    patients = read_patients(table, chosen, drop=drop, form=form_of(form, chosen.table))
    publication = outcomes_report(patients, bar)
    write_publication(publication, out)
    return publication


def write_example(table: Path) -> Path:
    """Write a simulated table of patients and beside it the TOML that says what its columns mean; returns the TOML.

    Raises ``UsageError`` if one of the two exists, or ``table`` is not named as a CSV file.
    """
    from ctacal.evaluate.outcomes import example_csv, example_toml

    config = table.with_suffix(".toml")
    if table.suffix.lower() != ".csv" or table.exists() or config.exists():
        raise UsageError(f"{table}: name a CSV file that does not exist yet, and has no {config.name} beside it")
    write_text(table, example_csv())
    write_text(config, example_toml())
    return config


def _beside(table: Path) -> Path:
    """Return the TOML beside the table that has the table's name."""
    found = table.with_suffix(".toml")
    if not found.is_file():
        raise UsageError(
            f"what do the columns mean? {found} does not exist; name the TOML with -c (docs/outcomes.md shows one)"
        )
    return found
