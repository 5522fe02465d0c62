"""Tables as CSV."""

import csv
import io
from collections.abc import Iterable, Sequence

from ctacal.evaluate.publication.content import Cell, Table
from ctacal.spreadsheets import as_text


def table_csv(table: Table) -> str:
    """Return the column names and the rows, with numbers in full and without footnotes."""
    groups = [text for text, span in table.groups for _ in range(span)] or [""] * len(table.columns)
    head = [
        f"{group}: {name}" if group and name else group or name
        for group, name in zip(groups, table.columns, strict=True)
    ]
    return as_csv(head, (row if len(row) > 1 else (*row, *[""] * (len(head) - 1)) for row in table.rows))


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
    return as_text(cell.strip())
