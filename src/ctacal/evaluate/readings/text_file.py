"""Text files of tables: encoding, separator, rows of the right length."""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Ints
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
Objects = NDArray[Any]
"""(n,) text, or None."""

_ROWS_SEEN = 10
"""Rows below the header that decide about the separator."""

_CHUNK = 5_000
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


@dataclass(frozen=True, slots=True)
class _Header:
    path: Path
    row: int
    """Its row in the file, counted from 1."""
    cells: tuple[str, ...]
    separator: str

    @property
    def named(self) -> int:
        """Number of columns up to the last that has a name."""
        return max((place for place, name in enumerate(self.cells, start=1) if cleaned(name)), default=0)


def _read(file: IO[str], path: Path, encoding: str) -> RawTable:
    separator = _separator(file)
    rows = csv.reader(file, delimiter=separator, skipinitialspace=separator != "\t", strict=True)
    found = next(((row, line) for row, line in enumerate(rows, start=1) if any(map(cleaned, line))), None)
    if found is None:
        raise UsageError(f"{path} cannot be read: it is empty")
    header = _Header(path, found[0], tuple(found[1]), separator)
    _check_quoted_rows(header)
    columns, index = _columns(rows, header)
    if not len(index):
        raise UsageError(f"{path} has no rows below its header")
    filled = [any(cell is not None for cell in column) for column in columns]
    names, places, told = named_columns([cleaned(name) for name in header.cells], filled, path)
    import pandas as pd

    cells = {name: columns[place] for name, place in zip(names, places, strict=True)}
    notes: tuple[str, ...] = (told,) if told else ()
    if encoding == "cp1252":
        notes += ("The file is not in UTF-8 and was read as Windows-1252; check letters with accents.",)
    return RawTable(pd.DataFrame(cells, index=index, dtype=object), path, separator, told=notes)


def _check_quoted_rows(header: _Header) -> None:
    """Raise ``UsageError`` if the header is one quoted cell that holds all names."""
    named = [name for name in map(cleaned, header.cells) if name]
    mark = next((mark for mark in _SEPARATORS if named and named[0].count(mark) > 1), "")
    if len(named) == 1 and mark:
        raise UsageError(
            f"{header.path}: row {header.row} is one cell, {named[0][:40]!r}: whole rows are in quotes (written as CSV "
            "twice?). Take the outer quotes off, or export the table again"
        )


def _separator(file: IO[str]) -> str:
    """Return the separator that a line ``sep=;`` names, or the one that splits the first rows into most cells."""
    line = file.readline()
    if named := _SEP_LINE.fullmatch(line):
        return named[1]
    while line and not line.strip():
        line = file.readline()
    lines = [line, *islice(file, _ROWS_SEEN)]
    file.seek(0)
    return max(_SEPARATORS, key=lambda mark: _least_cells(lines, mark))


def _least_cells(lines: Sequence[str], separator: str) -> tuple[int, int]:
    """Return the smallest number of cells in a row, and that of the header."""
    rows: list[int] = []
    with suppress(csv.Error):
        rows.extend(len(row) for row in csv.reader(lines, delimiter=separator) if any(map(cleaned, row)))
    return (min(rows), rows[0]) if rows else (0, 0)


class _Cleaned(dict[str, "str | None"]):
    """The text of cells that were seen before, so that equal cells share one text."""

    def __missing__(self, raw: str) -> str | None:
        self[raw] = text = cleaned(raw)
        return text


def _columns(rows: Iterator[list[str]], header: _Header) -> tuple[list[Objects], Ints]:
    """Return the cells of each column, and the index of each row, of the rows that are not empty."""
    parts: list[list[Objects]] = [[] for _ in header.cells]
    index: list[Ints] = []
    seen, last = _Cleaned(), header.row
    while chunk := list(islice(rows, _CHUNK)):
        numbers = np.arange(last + 1, last + 1 + len(chunk))
        last += len(chunk)
        if not _are_whole(chunk, len(header.cells)):
            there = [place for place, line in enumerate(chunk) if "".join(line).strip(BLANK)]
            chunk, numbers = [_of_width(chunk[place], int(numbers[place]), header) for place in there], numbers[there]
        for part, cells in zip(parts, zip(*chunk, strict=True), strict=False):
            part.append(np.fromiter(map(seen.__getitem__, cells), object, len(cells)))
        index.append(numbers - 2)
    if not index or not sum(map(len, index)):
        return [np.empty(0, object) for _ in parts], np.empty(0, np.int64)
    return [np.concatenate(part) for part in parts], np.concatenate(index)


def _are_whole(chunk: Sequence[Sequence[str]], width: int) -> bool:
    """Whether all rows have as many cells as the header, and none of them is empty."""
    if set(map(len, chunk)) != {width}:
        return False
    firsts = [line[0] for line in chunk]
    return all(firsts) and not any(map(str.isspace, firsts))


def _of_width(line: list[str], row: int, header: _Header) -> list[str]:
    """Return as many cells as the header has; cells may lack or be too many only where they have no name."""
    width = len(header.cells)
    if len(line) == width:
        return line
    where = f"{header.path}: row {row}"
    if len(line) < header.named:
        comment = " Or a comment or a footnote? Delete it" if len(line) == 1 else ""
        raise UsageError(
            f"{where} has {len(line)} cells, and the header in row {header.row} has {header.named}: a line break "
            f"within a cell that is not quoted, or a file that was cut?{comment}"
        )
    if any(map(cleaned, line[width:])):
        commas = _decimal_commas(line, header)
        raise UsageError(
            f"{where} has more cells than the header in row {header.row} ({len(line)} and {width}); quote cells that "
            f"contain the separator, and delete what stands above the names of the columns{commas}"
        )
    return (line + [""] * width)[:width]


def _decimal_commas(line: list[str], header: _Header) -> str:
    """Return a question about a row that commas may cut within numbers, "" if they do not."""
    pieces = sum(cell.strip(BLANK).isdigit() for cell in line)
    if header.separator != "," or pieces < 2 * (len(line) - len(header.cells)):
        return ""
    return ". Or are these decimal commas? Then separate the cells by semicolons"
