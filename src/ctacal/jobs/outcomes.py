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
    """Analyse a table and write the report to ``out``; returns what was written.

    Without ``config`` the TOML is the one beside the table that has the table's name. ``drop`` names the kinds of
    faulty rows to leave out; ``form`` says how the table is written where the TOML does not. Raises ``UsageError`` if
    the table or the TOML has a fault, ``out`` holds other files, or a package is missing.
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
