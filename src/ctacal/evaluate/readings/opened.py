"""Tables of users opened: text, workbooks and Parquet, every cell as it was written."""

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ctacal.errors import UsageError
from ctacal.evaluate.readings.cells import RawTable, cleaned, named_columns
from ctacal.evaluate.readings.form import TableForm
from ctacal.evaluate.readings.identifiers import lines_of_totals
from ctacal.evaluate.readings.text_file import read_text_file
from ctacal.evaluate.readings.words import means_unknown
from ctacal.evaluate.readings.workbook import read_workbook

if TYPE_CHECKING:
    import pandas as pd

MOST_NAMES = 40
"""Number of columns that a message lists."""

ANY_FORM = TableForm()
"""Nothing is said of how a table is written."""


def open_table(path: Path, form: TableForm = ANY_FORM, *, wanted: Collection[str] = ()) -> RawTable:
    r"""Open a table without its empty rows; no cell is interpreted.

    The ending of the file decides: .csv, .tsv, .txt (comma, semicolon, tab or bar between the cells), .parquet, .xlsx
    (the sheet that has the ``wanted`` columns).

    Args:
        path: The file.
        form: How the table is written: decimal mark, sheet, encoding.
        wanted: Columns by which a sheet of a workbook is chosen.

    Returns:
        The ``RawTable``: cells as written, and how the file was read.

    Raises:
        UsageError: The file cannot be read or has no rows, the name of a column is missing or occurs twice, or a row
            has more or fewer cells than the header.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder, "readings.csv")
        ...     _ = table.write_text("study;reader\nS-1;1,5\n")
        ...     raw = open_table(table, TableForm(decimal=","))
        >>> isinstance(raw, RawTable), raw.separator, raw.cells["reader"].tolist()
        (True, ';', ['1,5'])
    """
    readers: dict[str, Callable[[], RawTable]] = {
        **dict.fromkeys((".csv", ".tsv", ".txt"), lambda: read_text_file(path, form)),
        ".parquet": lambda: _read_parquet(path),
        **dict.fromkeys((".xlsx", ".xlsm"), lambda: read_workbook(path, form.sheet, wanted)),
    }
    _require(path)
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path}: expected a file of one of these kinds: {', '.join(readers)}")
    if not path.is_file():
        raise UsageError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
    if form.sheet and path.suffix.lower() not in (".xlsx", ".xlsm"):
        raise UsageError(f"{path}: only workbooks have sheets, so that --sheet {form.sheet} means nothing here")
    try:
        table = reader()
        _check_rows(table)
        return table
    except UsageError:
        raise
    except Exception as problem:  # the readers raise many kinds of error on a damaged file
        raise UsageError(f"{path} cannot be read: {' '.join(str(problem).split()) or type(problem).__name__}") from None


def _check_rows(table: RawTable) -> None:
    """Raise ``UsageError`` if a row repeats the names of the columns, or is a line of totals."""
    cells = table.cells
    first = cells.iloc[:, 0]
    for row in first.index[(first == cells.columns[0]).to_numpy(bool)]:
        own = cells.loc[row].dropna()
        if len(own) > 1 and (own == own.index).all():
            raise UsageError(f"{table.source}: row {row + 2} repeats the names of the columns (two tables?); delete it")
    if totals := list(lines_of_totals(cells)):
        rows = ", ".join(f"row {row} begins with {word!r}" for row, word in totals[:5])
        what = "a line of totals? Delete it" if len(totals) == 1 else "lines of totals? Delete them"
        raise UsageError(f"{table.source}: {rows}: {what}")


def read_table(path: Path, form: TableForm = ANY_FORM, *, text: Collection[str] = ()) -> "pd.DataFrame":
    r"""Return the cells of a table as written, None if empty; ``text`` columns of typed tables become text.

    The index + 2 is the row in the file.

    Args:
        path: The file.
        form: How the table is written.
        text: Columns whose typed cells become text.

    Returns:
        The cells; the index + 2 is the row in the file.

    Raises:
        UsageError: As ``open_table``.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder, "readings.csv")
        ...     _ = table.write_text("study,reader\nS-1,120\nS-2,\n")
        ...     read_table(table)["reader"].tolist()
        ['120', None]
    """
    table = open_table(path, form, wanted=text).cells
    for name in set(text) & set(table.columns):
        table[name] = as_text(table[name])
    return table


def column_names(path: Path, form: TableForm = ANY_FORM) -> list[str]:
    r"""Return the names of the columns of a table; errors as ``open_table``.

    Args:
        path: The file.
        form: How the table is written.

    Returns:
        The names, in their order.

    Raises:
        UsageError: As ``open_table``.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder, "readings.csv")
        ...     _ = table.write_text("study,reader\nS-1,120\n")
        ...     column_names(table)
        ['study', 'reader']
    """
    return list(open_table(path, form).cells.columns)


def need(table: "pd.DataFrame", names: Sequence[str], source: Path) -> None:
    """Raise ``UsageError`` if a column is missing, naming the columns that exist.

    Args:
        table: The cells.
        names: The columns that must be there.
        source: The file, for the message.

    Raises:
        UsageError: A column is missing; the message names those that exist.

    Example:
        >>> import pandas as pd
        >>> need(pd.DataFrame({"study": ["S-1"]}), ["study", "reader"], Path("readings.csv"))
        Traceback (most recent call last):
        ctacal.errors.UsageError: readings.csv has no column reader; it has: study
    """
    if absent := [name for name in names if name not in table.columns]:
        raise UsageError(f"{source} has no column {', '.join(absent)}; it has: {names_listed(table.columns)}")


def find_column(names: Sequence[str], named: str | None, usual: Sequence[str], what: str, source: Path) -> str:
    """Return the column that was named, or the first of the usual names.

    ``what`` describes the column in the message.

    Args:
        names: The columns of the table.
        named: The column that the user named; None: look for the usual ones.
        usual: Usual names, the likeliest first, in any case of letters.
        what: Describes the column in the message.
        source: The file, for the message.

    Returns:
        The name, as the table has it.

    Raises:
        UsageError: There is no such column.

    Example:
        >>> find_column(["Study", "age"], None, ["study_uid", "study"], "the study", Path("readings.csv"))
        'Study'
    """
    if named is not None:
        if named not in names:
            raise UsageError(f"{source} has no column {named}; it has: {names_listed(names)}")
        return named
    by_lower = {name.lower(): name for name in names}
    for name in usual:
        if name.lower() in by_lower:
            return by_lower[name.lower()]
    raise UsageError(f"{source}: no column found for {what}; it has: {names_listed(names)}")


def names_listed(names: Iterable[object]) -> str:
    """Return the names of columns for a message, of very many the first.

    >>> names_listed(["id", "age"]), names_listed(range(50))[-14:]
    ('id, age', '39 and 10 more')
    """
    listed = [*map(str, names)]
    more = len(listed) - MOST_NAMES
    return ", ".join(listed[:MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def as_text(cells: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return text, None if empty; 7.0 from a spreadsheet becomes 7."""
    import pandas as pd

    places, distinct = pd.factorize(cells.astype(object))
    texts = np.array([*map(text_of, distinct), None], dtype=object)  # place -1, the last, stands for missing
    return pd.Series(texts[places], index=cells.index, dtype=object)


def without_unknown(cells: "pd.Series[Any]", unknown: Collection[str]) -> "pd.Series[Any]":
    """Return the cells with None for those that hold a word of ``unknown``."""
    if not unknown:
        return cells
    known, texts = cells.astype(object), as_text(cells)
    words = [text for text in texts.dropna().unique() if means_unknown(text, unknown)]
    known[texts.isin(words)] = None
    return known


def text_of(cell: object) -> str:
    """Return a cell as text: a whole number without its ``.0``, a date as YYYY-MM-DD."""
    if isinstance(cell, float):
        return f"{cell:.0f}" if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    return str(cell)


def _require(path: Path) -> None:
    from importlib.util import find_spec

    kinds = {".parquet": ["pyarrow"], ".xlsx": ["openpyxl"], ".xlsm": ["openpyxl"]}
    needed = ["pandas", *kinds.get(path.suffix.lower(), [])]
    if missing := [name for name in needed if find_spec(name) is None]:
        raise UsageError(f"reading {path.name} needs {', '.join(missing)}: pip install 'ctacal[evaluate]'")


def _read_parquet(path: Path) -> RawTable:
    """Read Parquet; the index that pandas stored is a column like the others if it has a name."""
    import pandas as pd
    import pyarrow.parquet as parquet

    stored = parquet.read_table(path)
    stored = stored.drop_columns([name for name in stored.column_names if name.startswith("__index_level_")])
    table = stored.to_pandas(ignore_metadata=True, integer_object_nulls=True)
    if not len(table):
        raise UsageError(f"{path} has no rows below its header")
    head = [cleaned(str(name)) for name in stored.column_names]
    names, places, _ = named_columns(head, [True] * len(head), path)
    cells = {name: _typed(table.iloc[:, place]) for name, place in zip(names, places, strict=True)}
    return RawTable(pd.DataFrame(cells).dropna(how="all"), path)


def _typed(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return numbers and dates with their type, all else as the cells of a workbook."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(column.dtype):
        return column.map({True: "TRUE", False: "FALSE"}).astype(object)
    if column.dtype == object or isinstance(column.dtype, pd.CategoricalDtype):
        empty = column.isna()
        cells = [None if gap else _cell(cell) for cell, gap in zip(column.astype(object), empty, strict=True)]
        return pd.Series(cells, index=column.index, dtype=object)
    return column


def _cell(cell: object) -> object:
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    return cleaned(cell) if isinstance(cell, str) else cell
