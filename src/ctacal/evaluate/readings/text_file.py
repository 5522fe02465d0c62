"""Text files of tables: encoding, separator, rows of the right length."""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

from ctacal.errors import UsageError
from ctacal.evaluate.readings.cells import BLANK, RawTable, cleaned, named_columns
from ctacal.evaluate.readings.form import TableForm

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_OTHER_FILES = (
    (b"PK\x03\x04", "an Excel workbook: give it the ending .xlsx"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook: save it as .xlsx"),
    (b"PAR1", "Parquet: give it the ending .parquet"),
    (b"$FL2", "an SPSS file: export it as CSV"),
    (b"<stata", "a Stata file: export it as CSV"),
    (b"\x1f\x8b", "compressed: unpack it first"),
    (b"%PDF", "a PDF"),
    (b"{\\rtf", "a text document"),
)
_HTML = re.compile(rb"\s*<(!doctype|html|table|\?xml)", re.IGNORECASE)
_SEPARATORS = (",", ";", "\t", "|")
_SEP_LINE = re.compile(r'\ufeff?"?sep=(.)"?[\r\n]*', re.IGNORECASE)
_CHUNK = 20_000
"""Rows that are read at a time."""


def read_text_file(path: Path, form: TableForm) -> RawTable:
    """Read a CSV, TSV or TXT file. Raises ``UsageError`` naming the row that has too many or too few cells."""
    encoding = form.encoding or _encoding(path)
    try:
        with path.open(encoding=encoding, newline="") as file:
            return _read(file, path, encoding)
    except (UnicodeError, LookupError):
        raise UsageError(f"{path} is not in {encoding}; save it as CSV UTF-8, or name its --encoding") from None
    except csv.Error as problem:
        raise UsageError(f"{path} cannot be read: {problem} (a quote that is not closed?)") from None


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4096)
    for start, what in _OTHER_FILES:
        if head.startswith(start):
            raise UsageError(f"{path} is no text but {what}")
    if _HTML.match(head):
        raise UsageError(f"{path} is no table of text but a web page (HTML or XML): save it as CSV UTF-8")
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), "")
    if not marked and b"\0" in head:
        raise UsageError(f"{path} is no text, or in an encoding without a mark; name its --encoding (utf-16-le?)")
    return marked or ("utf-8" if _is_utf_8(path) else "cp1252")


def _is_utf_8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _read(file: IO[str], path: Path, encoding: str) -> RawTable:
    separator = _separator(file)
    rows = enumerate(csv.reader(file, delimiter=separator, skipinitialspace=separator != "\t", strict=True), start=1)
    first, head = next(((row, line) for row, line in rows if any(map(cleaned, line))), (0, []))
    if not first:
        raise UsageError(f"{path} cannot be read: it is empty")
    columns, index = _columns(rows, head, path, first)
    if not index:
        raise UsageError(f"{path} has no rows below its header")
    filled = [any(cell is not None for cell in column) for column in columns]
    names, places, told = named_columns([cleaned(name) for name in head], filled, path)
    import pandas as pd

    cells = {
        name: pd.Series(columns[place], index=index, dtype=object) for name, place in zip(names, places, strict=True)
    }
    notes: tuple[str, ...] = (told,) if told else ()
    if encoding == "cp1252":
        notes += ("The file is not in UTF-8 and was read as Windows-1252; check letters with accents.",)
    return RawTable(pd.DataFrame(cells), path, separator, told=notes)


def _separator(file: IO[str]) -> str:
    """Return the separator that a line ``sep=;`` names, or the one that splits the header into most cells."""
    line = file.readline()
    if named := _SEP_LINE.fullmatch(line):
        return named[1]
    while line and not line.strip():
        line = file.readline()
    file.seek(0)
    return max(_SEPARATORS, key=lambda mark: len(next(csv.reader([line], delimiter=mark), [])))


class _Cleaned(dict[str, "str | None"]):
    """The text of cells that were seen before, so that equal cells share one text."""

    def __missing__(self, raw: str) -> str | None:
        self[raw] = text = cleaned(raw)
        return text


def _columns(
    rows: Iterator[tuple[int, list[str]]], head: Sequence[str], path: Path, first: int
) -> tuple[list[list[str | None]], list[int]]:
    """Return the cells of each column and the index of each row that is not empty."""
    columns: list[list[str | None]] = [[] for _ in head]
    index: list[int] = []
    seen = _Cleaned()
    while chunk := list(islice(rows, _CHUNK)):
        kept = [(row, _of_width(line, row, head, path, first)) for row, line in chunk if "".join(line).strip(BLANK)]
        for column, cells in zip(columns, zip(*(line for _, line in kept), strict=True), strict=False):
            column.extend(map(seen.__getitem__, cells))
        index += [row - 2 for row, _ in kept]
    return columns, index


def _of_width(line: list[str], row: int, head: Sequence[str], path: Path, first: int) -> list[str]:
    """Return as many cells as the header has; cells may lack or be too many only where they have no name."""
    if len(line) == len(head):
        return line
    named = max(place for place, name in enumerate(head, start=1) if cleaned(name))
    if len(line) < named:
        raise UsageError(
            f"{path}: row {row} has {len(line)} cells, and the header in row {first} has {named}: a line break within "
            "a cell that is not quoted, or a file that was cut?"
        )
    if any(map(cleaned, line[len(head) :])):
        raise UsageError(
            f"{path}: row {row} has more cells than the header in row {first} ({len(line)} and {len(head)}); quote "
            "cells that contain the separator, and delete what stands above the names of the columns"
        )
    return (line + [""] * len(head))[: len(head)]
