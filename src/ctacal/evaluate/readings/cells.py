"""The cells of a table as they were read, and where they come from; nothing is interpreted yet."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctacal.errors import UsageError
from ctacal.spreadsheets import as_written

if TYPE_CHECKING:
    import pandas as pd

BLANK = " \t\r\n\u00a0\u200b\u200e\u200f\u2007\u2009\u202f\u2060\ufeff"
"""Characters around a cell's text that are not part of it."""


_MARKED_TEXT = re.compile(r'="([^"]*)"|\'([-+]?[\d.,]+)')
"""What makes a spreadsheet take a number for text: ="007", or an apostrophe."""


@dataclass(frozen=True, eq=False, slots=True)
class RawTable:
    """A table: text as written but for blanks around it, None where a cell is empty, other cells as they are typed.

    The index + 2 is the row as a spreadsheet shows it.
    """

    cells: "pd.DataFrame"
    source: Path
    separator: str = ""
    """Between the cells of a text file."""
    sheet: str = ""
    told: tuple[str, ...] = ()
    """Sentences on how the file was read, for the report."""


def cleaned(text: str) -> str | None:
    """Return the text of a cell without blanks around it, and without a mark of text of a spreadsheet or ctacal.

    None if it is empty.

    >>> cleaned("\\u00a065.4 "), cleaned("'=1+1"), cleaned('="007"'), cleaned("'45.5"), cleaned(" ")
    ('65.4', '=1+1', '007', '45.5', None)
    """
    written = as_written(text.strip(BLANK))
    marked = _MARKED_TEXT.fullmatch(written)
    return (marked[1] or marked[2] or "" if marked else written) or None


def named_columns(head: Sequence[str | None], filled: Sequence[bool], path: Path) -> tuple[list[str], list[int], str]:
    """Return the names of the columns, their places, and a sentence on a column that is left out, or "".

    Empty columns without a name are passed over, as is the first column if it has no name (R writes row names so).
    Raises ``UsageError`` if another column with cells has no name, or a name occurs twice.
    """
    told = ""
    for place, (name, holds) in enumerate(zip(head, filled, strict=True)):
        if name is not None or not holds:
            continue
        if place or len([name for name in head if name]) < len(head) - 1:
            raise UsageError(
                f"{path}: column {place + 1} has no name, but has cells; the first row must name every column (if the "
                "names stand lower, delete what is above them)"
            )
        told = "The first column has no name (row names?) and was not read."
    places = [place for place, name in enumerate(head) if name is not None]
    names = [str(head[place]) for place in places]
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise UsageError(f"{path}: column {twice[0]} occurs {names.count(twice[0])} times")
    if not names:
        raise UsageError(f"{path}: the first row names no column")
    return names, places, told
