"""Tables written whole or not at all, in a form that a spreadsheet and ``opened`` read the same."""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from ctacal.atomic import whole_file
from ctacal.evaluate.readings.opened import as_text as as_cells
from ctacal.evaluate.readings.opened import text_of
from ctacal.spreadsheets import as_text

if TYPE_CHECKING:
    import pandas as pd

ENDINGS_WRITTEN = (".csv", ".tsv", ".parquet", ".xlsx")
"""Endings of the kinds of table that ``save_table`` can write."""


def save_table(table: "pd.DataFrame", path: Path, *, separator: str = ",", decimal: str = "") -> None:
    r"""Write a table, whole or not at all; the ending of the path, one of ``ENDINGS_WRITTEN``, decides the kind.

    ``separator`` is that of a CSV file. A CSV file begins with a byte order mark if it has other letters than ASCII,
    without which Excel does not know its encoding.

    Args:
        table: The table.
        path: The file to write.
        separator: Between the cells of a CSV file.
        decimal: The decimal mark of numbers in text; a point unless it is a comma.

    Example:
        >>> import tempfile
        >>> import pandas as pd
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "cohort.csv")
        ...     save_table(pd.DataFrame({"study": ["007"], "agatston": [120.5]}), path, separator=";")
        ...     path.read_text()
        'study;agatston\n007;120.5\n'
    """
    ending = path.suffix.lower()
    with whole_file(path) as temporary:
        if ending == ".parquet":
            _of_one_kind(_with_numbers(table)).to_parquet(temporary, index=False)
        elif ending == ".xlsx":
            _without_formulas(_with_numbers(table)).to_excel(temporary, index=False)
        else:
            text = _without_formulas(_with_commas(table) if decimal == "," else table).to_csv(
                sep="\t" if ending == ".tsv" else separator, index=False, lineterminator="\n"
            )
            temporary.write_text(text, encoding="ascii" if text.isascii() else "utf-8-sig", newline="")


def _with_commas(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return the table with decimal commas in cells that are numbers, such as those of a workbook."""

    def written(cell: object) -> object:
        is_fraction = isinstance(cell, (float, Decimal)) and cell == cell
        return text_of(cell).replace(".", ",") if is_fraction else cell

    return table.assign(**{str(name): table[name].astype(object).map(written) for name in table.columns})


def _of_one_kind(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return the table with text in columns that mix numbers, text and dates, which Parquet cannot."""
    found = table.copy()
    for name in table.select_dtypes("object").columns:
        if len({type(cell) for cell in table[name].dropna()}) > 1:
            found[name] = as_cells(table[name])
    return found


def _without_formulas(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return the table with text that no spreadsheet takes for a formula; ``opened`` undoes it."""
    safe = table.copy()
    safe.columns = [as_text(str(name)) for name in table.columns]
    for name in safe.select_dtypes("object").columns:
        safe[name] = safe[name].map(lambda cell: as_text(cell) if isinstance(cell, str) else cell)
    return safe


def _with_numbers(table: "pd.DataFrame") -> "pd.DataFrame":
    """Convert text columns that hold only numbers; identifiers such as 007 and 1.2.840 stay text."""
    import pandas as pd

    number = r"-?(0|[1-9]\d{0,14})(\.\d+)?"
    found = table.copy()
    for name in table.select_dtypes("object").columns:
        cells = table[name].dropna()
        if len(cells) and cells.map(lambda cell: isinstance(cell, str)).all() and cells.str.fullmatch(number).all():
            found[name] = pd.to_numeric(table[name])
    return found
