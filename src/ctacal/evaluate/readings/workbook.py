"""Sheets of XLSX workbooks: which one is meant, and what its cells hold."""

import datetime
import re
import warnings
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctacal.errors import UsageError
from ctacal.evaluate.readings.cells import RawTable, cleaned, named_columns

_SPECIAL = re.compile(rb'<f[ />]|<mergeCell |hidden="(1|true)"')
"""Formulas, merged cells and hidden rows or columns in the XML of a sheet."""
_CHUNK_BYTES = 1 << 20

PERCENT = "%"
"""Behind a number that the sheet shows as a percentage: 0.05 is shown as 5 %."""


@dataclass(frozen=True, slots=True)
class _Sheet:
    name: str
    first: int
    """Row of the header, counted from 1."""
    head: tuple[str | None, ...]
    rows: tuple[tuple[int, tuple[Any, ...]], ...]
    """Row number and cells of each row below that is not empty."""


def read_workbook(path: Path, sheet: str, wanted: Collection[str]) -> RawTable:
    """Read one sheet: the one named, or else the only one that holds a table with the ``wanted`` columns.

    Raises ``UsageError`` if several could be meant, or the sheet has merged cells or formulas without a result.
    """
    sheets = {name: found for name, found in _sheets(path, sheet) if found}
    chosen = _chosen(sheets, sheet, wanted, path)
    told = _special(path, chosen) if _has_special(path) else ()
    if len(sheets) > 1 or sheet:
        told = (f"Sheet {chosen.name} was read.", *told)
    filled = [any(cells[place] is not None for _, cells in chosen.rows) for place in range(len(chosen.head))]
    names, places, unnamed = named_columns(chosen.head, filled, path)
    import pandas as pd

    index = [row - 2 for row, _ in chosen.rows]
    columns = {
        name: pd.Series([cells[place] for _, cells in chosen.rows], index=index, dtype=object)
        for name, place in zip(names, places, strict=True)
    }
    return RawTable(pd.DataFrame(columns), path, sheet=chosen.name, told=(*told, *([unnamed] if unnamed else [])))


def _chosen(sheets: dict[str, _Sheet], named: str, wanted: Collection[str], path: Path) -> _Sheet:
    if not sheets:
        which = f"sheet {named}" if named else "every sheet"
        raise UsageError(f"{path}: {which} is empty{_not_looked_at(path, named)}")
    tables = {name: sheet for name, sheet in sheets.items() if sheet.rows}
    if not tables:
        why = " (formulas without a result? open and save it in a spreadsheet program)" if _has_special(path) else ""
        raise UsageError(f"{path} has no rows below its header{why}{_not_looked_at(path, named)}")
    fitting = [sheet for sheet in tables.values() if set(wanted) <= set(sheet.head)]
    if len(fitting) == 1 or len(tables) == 1:
        return fitting[0] if fitting else next(iter(tables.values()))
    if not fitting:
        columns = "; ".join(f"{name}: {', '.join(filter(None, sheet.head))}" for name, sheet in tables.items())
        raise UsageError(f"{path}: no sheet has all columns {', '.join(sorted(wanted))}. {columns}")
    names = ", ".join(sheet.name for sheet in fitting)
    raise UsageError(f"{path} has several sheets that could be meant: {names}; name one with --sheet")


def _not_looked_at(path: Path, named: str) -> str:
    """Return a sentence that names the hidden sheets, which are read only if they are named."""
    with _opened(path, read_only=True) as book:
        hidden = [sheet.title for sheet in book.worksheets if sheet.sheet_state != "visible"]
    if named or not hidden:
        return ""
    return f"; hidden sheets are not read unless --sheet names one: {', '.join(hidden)}"


@contextmanager
def _opened(path: Path, **options: bool) -> Iterator[Any]:
    import openpyxl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and validations that it cannot keep
        book = openpyxl.load_workbook(path, **options)
        try:
            yield book
        finally:
            book.close()


def _sheets(path: Path, named: str) -> Iterator[tuple[str, _Sheet | None]]:
    with _opened(path, read_only=True, data_only=True) as book:
        known = [sheet.title for sheet in book.worksheets]
        if named and named not in known:
            raise UsageError(f"{path} has no sheet {named}; it has: {', '.join(known)}")
        for sheet in book.worksheets:
            if named in ("", sheet.title) and (named or sheet.sheet_state == "visible"):
                sheet.reset_dimensions()  # some programs write wrong ones
                yield sheet.title, _sheet(sheet)


def _sheet(sheet: Any) -> _Sheet | None:
    rows = _filled_rows(sheet)
    first, cells = next(rows, (0, ()))
    if not first:
        return None
    head = [None if cell is None else cleaned(_text(cell)) for cell in cells]
    below = list(rows)
    width = max(len(head), *(len(cells) for _, cells in below)) if below else len(head)
    head += [None] * (width - len(head))
    padded = tuple((row, (*cells, *[None] * (width - len(cells)))) for row, cells in below)
    return _Sheet(sheet.title, first, tuple(head), padded)


def _filled_rows(sheet: Any) -> Iterator[tuple[int, tuple[Any, ...]]]:
    for row, cells in enumerate(sheet.iter_rows(), start=1):
        values = [_value(cell) for cell in cells]
        while values and values[-1] is None:
            values.pop()
        if values:
            yield row, tuple(values)


def _value(cell: Any) -> Any:
    """Return text, number or date of a cell; a percentage with its sign, as text."""
    value = cell.value
    if value is None or isinstance(value, str):
        return None if value is None else cleaned(value)
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)) and "%" in cell.number_format:
        return f"{value * 100:.12g} {PERCENT}"
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date()
    return value


def _text(cell: object) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _has_special(path: Path) -> bool:
    """Whether a sheet of the workbook has formulas, merged cells or hidden rows; a look at its XML."""
    with zipfile.ZipFile(path) as parts:
        for name in parts.namelist():
            if name.startswith("xl/worksheets/") and name.endswith(".xml"):
                with parts.open(name) as part:
                    before = b""
                    while chunk := part.read(_CHUNK_BYTES):
                        if _SPECIAL.search(before + chunk):
                            return True
                        before = chunk[-64:]
    return False


def _special(path: Path, chosen: _Sheet) -> tuple[str, ...]:
    """Return what to tell of hidden rows; refuse merged cells and formulas without a result."""
    with _opened(path) as book:
        sheet = book[chosen.name]
        used = range(1, max(row for row, _ in chosen.rows) + 1)
        for merged in sheet.merged_cells.ranges:
            if merged.min_row in used and merged.min_col <= len(chosen.head):
                what = "unmerge them and fill in each cell"
                if merged.min_row <= chosen.first:
                    what = "the first row must hold the names of the columns, one in each cell"
                raise UsageError(
                    f"{path}, sheet {chosen.name}: cells {merged.coord} are merged, so only the first of them holds a "
                    f"value; {what}"
                )
        _check_formulas(sheet, chosen, path)
        hidden = sum(bool(sheet.row_dimensions[row].hidden) for row, _ in chosen.rows if row in sheet.row_dimensions)
        return (f"{hidden:,} rows that the sheet hides (a filter?) were read like the others.",) if hidden else ()


def _check_formulas(sheet: Any, chosen: _Sheet, path: Path) -> None:
    known = dict(chosen.rows)
    for cells in sheet.iter_rows(min_row=chosen.first + 1, max_col=len(chosen.head)):
        for place, cell in enumerate(cells):
            row = known.get(cell.row)
            if cell.data_type == "f" and (row is None or row[place] is None):
                raise UsageError(
                    f"{path}, sheet {chosen.name}: row {cell.row}, {chosen.head[place]} is a formula without a result; "
                    "open and save the workbook in a spreadsheet program, or paste the values"
                )
