"""The columns that a report is made of, each with its range, so that a reader sees a wrong unit or coding."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ctacal.arrays import Floats
from ctacal.categories import CATEGORIES
from ctacal.evaluate.publication import Table
from ctacal.evaluate.readings import Column, Readings
from ctacal.evaluate.readings.plausible import shown

MOST_LEVELS = 8
"""Number of levels that a row lists."""


@dataclass(frozen=True, slots=True)
class ColumnRead:
    """A column of the table and what it holds, in the rows that are used."""

    name: str
    role: str
    known: int
    missing: int
    values: str
    """Range and median of numbers, or values with their number of rows."""
    unit: str = ""


def numbers_read(readings: Readings, column: Column, role: str) -> ColumnRead:
    """Return a column of numbers, events or categories."""
    values = readings.table[column.name].to_numpy(np.float64)
    known = values[~np.isnan(values)]
    text = _numbers(known)
    if column.coding is not None:
        text = f"yes {int((known == 1).sum()):,}, no {int((known == 0).sum()):,}"
    elif column.is_category:
        text = _counted({name: int((known == place).sum()) for place, name in enumerate(CATEGORIES)})
    return ColumnRead(column.name, role, len(known), len(values) - len(known), text, column.unit)


def levels_read(name: str, role: str, levels: Sequence[str], codes: Floats) -> ColumnRead:
    """Return a categorical column; ``codes`` (n,) are indices of its levels, NaN where missing."""
    known = codes[~np.isnan(codes)]
    counts = {level: int((known == place).sum()) for place, level in enumerate(levels)}
    return ColumnRead(name, role, len(known), len(codes) - len(known), f"reference {_counted(counts)}")


def _numbers(known: Floats) -> str:
    if not len(known):
        return "none"
    low, middle, high = (shown(float(value)) for value in (known.min(), np.median(known), known.max()))
    return f"{low} to {high}, median {middle}"


def _counted(counts: dict[str, int]) -> str:
    parts = [f"{name} ({count:,})" for name, count in counts.items()]
    return ", ".join(parts[:MOST_LEVELS]) + (" ..." if len(parts) > MOST_LEVELS else "")


def columns_table(columns: Sequence[ColumnRead]) -> Table:
    """Return the table of all columns."""
    rows = tuple((own.name, own.role, own.known, own.missing, f"{own.values} {own.unit}".strip()) for own in columns)
    note = "In the rows that are used. Check that units and codings are those that you meant."
    return Table(
        "Columns as they were read", ("Column", "Used as", "Known", "Missing", "Values"), rows, (note,), name="columns"
    )
