"""Tables as CSV that R, Excel and other spreadsheets read the same: plain signs, and no text that passes for a date."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from ctacal.evaluate.publication.content import Cell, Table
from ctacal.spreadsheets import as_text

_PLAIN = str.maketrans({
    "−": "-", "–": "-", "—": "-", "‑": "-", "≥": ">=", "≤": "<=", "±": "+/-", "×": "x", "·": "*", "≈": "~", "≠": "!=",
    "√": "sqrt ", "²": "2", "³": "3", "κ": "kappa", "ρ": "rho", "χ": "chi", "’": "'", "…": "...",
    "\u00a0": " ", "\u202f": " ", "\u2009": " ",
})  # fmt: skip
"""Signs of print, which R takes for text and Excel for letters of another alphabet, as a keyboard has them."""

_RANGE = re.compile(r"(\d+)-(\d+)")
"""A category such as 1-10, which a spreadsheet turns into a date."""

_NOT_DEFINED = re.compile(r"- (?=\[)")


UNNAMED = "row"
"""Heading of a column that has none in print: R and pandas would make one up."""


def table_csv(table: Table) -> str:
    """Return the column names and the rows, with numbers in full and without footnotes.

    The column of the rows' names, which has no heading in print, is ``UNNAMED``.
    """
    groups = [text for text, span in table.groups for _ in range(span)] or [""] * len(table.columns)
    head = [
        f"{group}: {name}" if group and name else group or name or UNNAMED
        for group, name in zip(groups, table.columns, strict=True)
    ]
    return as_csv(_distinct(head), (row if len(row) > 1 else (*row, *[""] * (len(head) - 1)) for row in table.rows))


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names, with that of the column before it in front of a name that occurs twice, such as p.

    >>> _distinct(["row", "HR", "p", "adjusted HR", "p"])
    ['row', 'HR', 'HR: p', 'adjusted HR', 'adjusted HR: p']
    """
    return [
        f"{names[place - 1]}: {name}" if place and names.count(name) > 1 else name for place, name in enumerate(names)
    ]


def as_csv(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return the text of a CSV file whose cells a spreadsheet reads as text and numbers, never as a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_safe(name) for name in head])
    writer.writerows([_safe(cell) for cell in row] for row in rows)
    return out.getvalue()


def _safe(cell: Cell) -> str:
    if cell is None:
        return ""
    if not isinstance(cell, str):
        return repr(cell)
    text = _NOT_DEFINED.sub("not defined ", cell.strip().translate(_PLAIN))
    if found := _RANGE.fullmatch(text):
        return f"{found[1]} to {found[2]}"
    return "" if text == "-" else as_text(text)


def csv_bytes(text: str) -> bytes:
    """Return the bytes of a CSV file: ASCII, or else UTF-8 with the mark without which Excel does not recognise it."""
    return text.encode("ascii" if text.isascii() else "utf-8-sig")
