"""The columns of the table with the ranges that were read, for the report."""

from collections.abc import Sequence

from ctacal.evaluate.columns_read import ColumnRead, columns_table, levels_read, numbers_read
from ctacal.evaluate.outcomes.config import OutcomesConfig
from ctacal.evaluate.outcomes.part import Part
from ctacal.evaluate.outcomes.patients import Covariate, Patients
from ctacal.evaluate.publication import Section
from ctacal.evaluate.readings import Readings


def columns_part(patients: Patients) -> Part:
    """Return the section on what was read."""
    numbers = {own.name: {"known": own.known, "missing": own.missing, "values": own.values} for own in patients.columns}
    return Part(Section("What was read", (columns_table(patients.columns),)), numbers)


def column_rows(readings: Readings, config: OutcomesConfig, covariates: Sequence[Covariate]) -> tuple[ColumnRead, ...]:
    """Return every column that the analysis uses, with its range or its levels."""
    roles = {column: _in_words(field) for column, field in config.columns().items()}
    found = [
        numbers_read(readings, column, roles.get(column.name, "computed from dates")) for column in readings.columns
    ]
    found += [levels_read(own.column, roles[own.column], own.levels, own.values) for own in covariates if own.levels]
    return tuple(found)


def _in_words(field: str) -> str:
    """Return what a field of the TOML names, for the table.

    >>> _in_words("outcome.component death: event"), _in_words("covariates")
    ('death: event', 'covariate')
    """
    for start in ("outcome.component ", "outcome."):
        field = field.removeprefix(start)
    return "covariate" if field == "covariates" else field.replace("_", " ").replace(".", ": ")
