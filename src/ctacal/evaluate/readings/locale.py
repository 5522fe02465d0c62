"""The decimal mark of a whole table, so that columns can be added that are written alike."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ctacal.errors import UsageError
from ctacal.evaluate.readings import numbers
from ctacal.evaluate.readings.cells import RawTable
from ctacal.evaluate.readings.form import TableForm
from ctacal.evaluate.readings.parsed import numbers_only
from ctacal.results_table import TEXT_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_DECIMAL = re.compile(r"-?\d+\.\d+")


def in_locale_of(
    raw: RawTable, table: "pd.DataFrame", ours: Sequence[str], form: TableForm
) -> "tuple[pd.DataFrame, str]":
    """Return the table with the numbers of ``ours`` written with the decimal mark of the raw table, and that mark.

    A reader of the table then finds one mark in all its columns. Raises ``UsageError`` if the raw table leaves open
    whether its marks are decimal ones.
    """
    decimal = form.decimal or decimal_mark_of(raw)
    if decimal != ",":
        return table, decimal
    found = table.copy()
    for name in ours:
        if name.removesuffix("_ctacal") not in TEXT_COLUMNS and _is_decimal(table[name]):
            found[name] = table[name].map(lambda cell: cell.replace(".", ",") if isinstance(cell, str) else cell)
    return found, decimal


def decimal_mark_of(raw: RawTable) -> str:
    """Return the mark that the columns of numbers prove, a comma if only semicolons between the cells speak for it.

    Raises ``UsageError`` if a column can be read in two ways and no other decides, or marks are mixed.
    """
    marks, open_columns = set[str](), list[tuple[str, numbers.Number]]()
    for name in raw.cells.columns:
        found = numbers_only(raw.cells[name]) if raw.cells[name].dtype == object else []
        mark = numbers.decimal_mark(found)
        if mark == numbers.UNCLEAR:
            open_columns.append((name, next(own for own in found if own.doubtful)))
        elif mark:
            marks.add(mark)
    if len(marks) == 1:
        return marks.pop()
    if open_columns and raw.separator:
        name, own = open_columns[0]
        raise UsageError(
            f"{raw.source}: column {name} holds a number that may be {own.if_point:,.15g} or {own.if_comma:,.15g}; say "
            "which is the decimal mark: --decimal . or --decimal ,"
        )
    return "," if raw.separator == ";" and not marks else ""


def _is_decimal(cells: "pd.Series[str]") -> bool:
    known = cells.dropna()
    texts = known.map(lambda cell: isinstance(cell, str) and numbers.number(cell) is not None)
    return bool(len(known)) and bool(texts.all()) and bool(known.map(lambda cell: bool(_DECIMAL.fullmatch(cell))).any())
