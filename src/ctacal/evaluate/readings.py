"""Tables that people keep (CSV, TSV, Parquet, XLSX) -> checked columns, or a refusal that names the row.

``read_readings`` gives numbers that are numbers: a cell that is missing, no number or out of its range, and an
identifier that is there twice, are refused with their row, or dropped where the caller says so, and then counted::

    readings = read_readings(
        Path("cohort.csv"),
        [Column("reader"), Column("model"), Column("age", may_be_missing=True), Column("event", one_of=(0, 1))],
        identifier="study_uid", text=("sex",), drop={"missing"},
    )
    readings.table          # pandas: study_uid and sex as text, the others float64, NaN only where it may be missing
    readings.told           # "2,271 of 2,300 rows; 29 dropped: 25 missing, 4 duplicated"

Needs the extra ``evaluate`` (pandas; openpyxl for XLSX, pyarrow for Parquet), imported only when a table is read.
"""

import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ctacal.atomic import whole_file
from ctacal.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["missing", "not-a-number", "out-of-range", "duplicated"]
"""What can be wrong with a row; ``out-of-range`` is a negative score above all."""

KINDS: tuple[Kind, ...] = get_args(Kind)

SHOWN = 5
"""Faulty rows that a refusal names."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers and what they may be."""

    name: str
    least: float | None = 0.0
    """None: any number."""
    most: float | None = None
    above_least: bool = False
    """``least`` itself is out of range (a time of 0)."""
    one_of: tuple[float, ...] = ()
    """Only these (an event: 0 or 1); then ``least`` and ``most`` do not count."""
    may_be_missing: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a row."""

    kind: Kind
    row: int
    """As a spreadsheet counts: the head is row 1."""
    identifier: str
    column: str
    value: str
    expected: str = ""

    def __str__(self) -> str:
        """One line for a person.

        >>> str(Fault("out-of-range", 17, "S-016", "reader", "-3.0", "0 or more"))
        'row 17 (S-016): reader is -3.0, expected 0 or more'
        """
        where = f"row {self.row}" + (f" ({self.identifier})" if self.identifier else "")
        told = {
            "missing": f"{self.column} is missing",
            "not-a-number": f"{self.column} is {self.value!r}, not a number",
            "out-of-range": f"{self.column} is {self.value}, expected {self.expected}",
            "duplicated": f"{self.column} {self.value} is there more than once ({self.expected})",
        }
        return f"{where}: {told[self.kind]}"


@dataclass(frozen=True, eq=False, slots=True)
class Readings:
    """The rows that hold, and what became of the others."""

    table: "pd.DataFrame"
    """Identifier and text columns as text (None where empty), the others float64."""
    source: Path
    rows_read: int
    dropped: tuple[Fault, ...]
    """The first fault of each row that was dropped."""

    @property
    def dropped_by_kind(self) -> dict[str, int]:
        """How many rows were dropped, by what was wrong with them."""
        return dict(Counter(fault.kind for fault in self.dropped))

    @property
    def told(self) -> str:
        """Rows kept and dropped, in words."""
        if not self.dropped:
            return f"All {self.rows_read:,} rows were used."
        why = ", ".join(f"{number:,} {kind.replace('-', ' ')}" for kind, number in self.dropped_by_kind.items())
        kept = self.rows_read - len(self.dropped)
        return f"{kept:,} of {self.rows_read:,} rows were used; {len(self.dropped):,} dropped on request: {why}."


def read_readings(
    path: Path,
    columns: Sequence[Column],
    *,
    identifier: str | None = None,
    text: Sequence[str] = (),
    drop: Collection[str] = (),
) -> Readings:
    """Read ``identifier``, ``text`` and ``columns`` of a table, each row whole and right.

    Rows count as in a spreadsheet. ``drop`` names the ``KINDS`` of fault whose rows are left out and counted. Of
    ``duplicated`` rows that say the same the first is kept; where they differ all are dropped, since none is known to
    be right. Raises ``UsageError`` where the file cannot be read, a column is not there, or a row is at fault and not
    to be dropped.
    """
    if unknown := set(drop) - set(KINDS):
        raise UsageError(f"cannot drop {', '.join(sorted(unknown))}: known are {', '.join(KINDS)}")
    named = [*([identifier] if identifier else []), *text, *(column.name for column in columns)]
    raw = read_table(path, text=[*([identifier] if identifier else []), *text])
    need(raw, named, path)
    return check(raw[list(dict.fromkeys(named))], columns, path, identifier=identifier, drop=drop)


def check(
    raw: "pd.DataFrame",
    columns: Sequence[Column],
    source: Path,
    *,
    identifier: str | None = None,
    drop: Collection[str] = (),
) -> Readings:
    """``read_readings`` of a table that is read already; its index + 2 is the row that a fault names."""
    table = raw.copy()
    faults: list[Fault] = []
    for column in columns:
        values, wrong = _numbers(table[column.name], column)
        faults += [
            Fault(kind, int(table.index[place]) + 2, _told(table, identifier, place), column.name, *what)
            for kind, place, *what in wrong
        ]
        table[column.name] = values
    if identifier is not None:
        faults += _identifier_faults(table, identifier, [column.name for column in columns])
    faults.sort(key=lambda fault: fault.row)
    refused = [fault for fault in faults if fault.kind not in drop]
    if refused:
        raise UsageError(_refusal(refused, source))
    first = {fault.row: fault for fault in reversed(faults)}
    kept = table.drop(index=[row - 2 for row in first]).reset_index(drop=True)
    if not len(kept):
        raise UsageError(f"{source}: no row is left of {len(table)}")
    return Readings(kept, source, len(table), tuple(first[row] for row in sorted(first)))


def _told(table: "pd.DataFrame", identifier: str | None, place: int) -> str:
    """The identifier of a row, where there is one."""
    name = None if identifier is None else table[identifier].iloc[place]
    return "" if name is None else str(name)


def _numbers(cells: "pd.Series[Any]", column: Column) -> tuple[NDArray[np.float64], Iterator[tuple[Any, ...]]]:
    """(n,) float64 with NaN where there is none, and the faults: kind, place, value, what was expected."""
    import pandas as pd

    missing = cells.isna().to_numpy()
    values = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    no_number = ~missing & ~np.isfinite(values)
    outside = np.isfinite(values) & _outside(values, column)

    def faults() -> Iterator[tuple[Any, ...]]:
        for row in np.flatnonzero(missing) if not column.may_be_missing else ():
            yield "missing", int(row), "", ""
        for row in np.flatnonzero(no_number):
            yield "not-a-number", int(row), str(cells.iloc[row]), ""
        for row in np.flatnonzero(outside):
            yield "out-of-range", int(row), f"{values[row]:g}", _expected(column)

    return values, faults()


def _outside(values: NDArray[np.float64], column: Column) -> NDArray[np.bool_]:
    if column.one_of:
        return ~np.isin(values, column.one_of)
    outside = np.zeros(len(values), bool)
    if column.least is not None:
        outside |= values <= column.least if column.above_least else values < column.least
    if column.most is not None:
        outside |= values > column.most
    return outside


def _expected(column: Column) -> str:
    if column.one_of:
        return " or ".join(f"{one:g}" for one in column.one_of)
    low = (
        ""
        if column.least is None
        else f"more than {column.least:g}"
        if column.above_least
        else f"{column.least:g} or more"
    )
    high = "" if column.most is None else f"at most {column.most:g}"
    return " and ".join(part for part in (low, high) if part)


def _identifier_faults(table: "pd.DataFrame", identifier: str, checked: Sequence[str]) -> list[Fault]:
    names = table[identifier]
    faults = [Fault("missing", int(row) + 2, "", identifier, "") for row in names.index[names.isna()]]
    twice = (names.duplicated(keep=False) & names.notna()).to_numpy()
    if not twice.any():
        return faults
    known = table[twice]
    repeated = known.duplicated([identifier, *checked], keep="first")
    differing = known.groupby(identifier)[identifier].transform("size") > (
        known.groupby([identifier, *checked], dropna=False)[identifier].transform("size")
    )
    for row, repeats, differs in zip(known.index, repeated, differing, strict=True):
        if differs or repeats:
            told = "the rows differ" if differs else "the rows say the same"
            faults.append(Fault("duplicated", int(row) + 2, str(names[row]), identifier, str(names[row]), told))
    return faults


def _refusal(faults: Sequence[Fault], source: Path) -> str:
    lines = "; ".join(str(fault) for fault in faults[:SHOWN])
    more = f"; and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
    kinds = ",".join(kind for kind in KINDS if any(fault.kind == kind for fault in faults))
    return f"{source}: {lines}{more}. Correct the table, or leave such rows out and have them counted: --drop {kinds}"


def need(table: "pd.DataFrame", names: Sequence[str], source: Path) -> None:
    """Raise ``UsageError`` where a column is not there, naming those that are."""
    if absent := [name for name in names if name not in table.columns]:
        raise UsageError(f"{source} has no column {', '.join(absent)}; it has: {', '.join(map(str, table.columns))}")


def read_table(path: Path, *, text: Collection[str] = ()) -> "pd.DataFrame":
    """A table as it stands, without empty rows; ``text`` columns as stripped text with None where empty.

    By the file's ending: .csv (comma, semicolon with decimal commas, or tab), .tsv, .txt, .parquet, .xlsx (the first
    sheet). The index + 2 is the row in the file. Raises ``UsageError`` where it cannot be read, has no rows, or a
    column's name is missing or there twice.
    """
    readers = {
        ".csv": _read_text,
        ".tsv": _read_text,
        ".txt": _read_text,
        ".parquet": _read_parquet,
        ".xlsx": _read_xlsx,
    }
    _require(path)
    try:
        reader = readers[path.suffix.lower()]
    except KeyError:
        raise UsageError(f"{path}: expected a table of {', '.join(readers)}") from None
    if not path.is_file():
        raise UsageError(f"{path} is not there" if not path.exists() else f"{path} is no file")
    try:
        table = reader(path, text)
    except UsageError:
        raise
    except Warning:
        raise UsageError(f"{path}: a row has more cells than the head; quote cells that hold a separator") from None
    except Exception as problem:  # the readers raise what they like on a damaged file
        raise UsageError(f"{path} cannot be read: {' '.join(str(problem).split()) or type(problem).__name__}") from None
    table = table.dropna(how="all")  # empty lines; the index still tells each row's place
    if not len(table):
        raise UsageError(f"{path} has no rows below its head")
    for name in set(text) & set(table.columns):
        table[name] = _as_text(table[name])
    return table


def column_names(path: Path) -> list[str]:
    """The names of a table's columns; errors as ``read_table``."""
    return [str(name) for name in read_table(path).columns]


def find_column(names: Sequence[str], named: str | None, usual: Sequence[str], what: str, source: Path) -> str:
    """The column that was named, or the first of the usual names; ``UsageError`` where there is none."""
    if named is not None:
        if named not in names:
            raise UsageError(f"{source} has no column {named}; it has: {', '.join(names)}")
        return named
    by_lower = {name.lower(): name for name in names}
    for name in usual:
        if name.lower() in by_lower:
            return by_lower[name.lower()]
    raise UsageError(f"{source}: which column is {what}? It has: {', '.join(names)}")


def _require(path: Path) -> None:
    from importlib.util import find_spec

    needed = ["pandas", *{".parquet": ["pyarrow"], ".xlsx": ["openpyxl"]}.get(path.suffix.lower(), [])]
    if missing := [name for name in needed if find_spec(name) is None]:
        raise UsageError(f"reading {path.name} needs {', '.join(missing)}: pip install 'ctacal[evaluate]'")


def _read_text(path: Path, text: Collection[str]) -> "pd.DataFrame":
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig") as file:
            head = file.readline()
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not in UTF-8; save it as CSV UTF-8") from None
    separator = max("\t", ",", ";", key=head.count)
    options: Any = {"sep": separator, "encoding": "utf-8-sig", "skipinitialspace": True, "skip_blank_lines": False}
    names = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, **options).iloc[0]
    columns = _column_names(list(names), path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # a row longer than the head
        as_text = dict.fromkeys(set(text) & set(columns), str)
        table = pd.read_csv(path, header=0, names=columns, index_col=False, dtype=as_text, low_memory=False, **options)
    return _with_points(table, text) if separator == ";" else table


def _with_points(table: "pd.DataFrame", text: Collection[str]) -> "pd.DataFrame":
    """Where semicolons part the cells, a comma is a decimal point."""
    for name in table.select_dtypes("object").columns.difference(list(text)):
        table[name] = table[name].astype("string").str.replace(r"^(\s*-?\d+),(\d+\s*)$", r"\1.\2", regex=True)
    return table


def _read_parquet(path: Path, text: Collection[str]) -> "pd.DataFrame":
    import pandas as pd

    table = pd.read_parquet(path)
    table.columns = _column_names(list(table.columns), path)
    return table


def _read_xlsx(path: Path, text: Collection[str]) -> "pd.DataFrame":
    import pandas as pd

    names = pd.read_excel(path, header=None, nrows=1, dtype=str, keep_default_na=False)
    if not len(names):
        raise UsageError(f"{path}: the first sheet is empty")
    columns = _column_names(list(names.iloc[0]), path)
    return pd.read_excel(path, header=0, names=columns, dtype=dict.fromkeys(set(text) & set(columns), str))


def _column_names(names: Sequence[object], path: Path) -> list[str]:
    stripped = [str(name).strip() for name in names]
    for number, name in enumerate(stripped, start=1):
        if not name or name == "nan":
            raise UsageError(f"{path}: column {number} has no name")
    if twice := [name for name, times in Counter(stripped).items() if times > 1]:
        raise UsageError(f"{path}: column {twice[0]} is there {stripped.count(twice[0])} times")
    return stripped


def _as_text(cells: "pd.Series[Any]") -> "pd.Series[Any]":
    """Stripped text; None where empty; 7.0 out of a spreadsheet is 7."""
    import pandas as pd

    places, distinct = pd.factorize(cells.astype(object))
    told = np.array([*map(_text, distinct), None], dtype=object)  # place -1, the last, is what was missing
    return pd.Series(told[places], index=cells.index, dtype=object)


def _text(cell: object) -> str | None:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip() or None


ENDINGS_WRITTEN = (".csv", ".tsv", ".parquet", ".xlsx")
"""Kinds of table that ``save_table`` knows."""


def save_table(table: "pd.DataFrame", path: Path) -> None:
    """Write a table whole or not at all; its ending says the kind, one of ``ENDINGS_WRITTEN``."""
    ending = path.suffix.lower()
    with whole_file(path) as temporary:
        if ending == ".parquet":
            _with_numbers(table).to_parquet(temporary, index=False)
        elif ending == ".xlsx":
            _with_numbers(table).to_excel(temporary, index=False)
        else:
            table.to_csv(temporary, sep="\t" if ending == ".tsv" else ",", index=False, lineterminator="\n")


def _with_numbers(table: "pd.DataFrame") -> "pd.DataFrame":
    """Text that is a number and nothing else becomes one; 007 and 1.2.840 stay what they are."""
    import pandas as pd

    number = r"-?(0|[1-9]\d{0,14})(\.\d+)?"
    found = table.copy()
    for name in table.select_dtypes("object").columns:
        told = table[name].dropna()
        if len(told) and told.map(lambda one: isinstance(one, str)).all() and told.str.fullmatch(number).all():
            found[name] = pd.to_numeric(table[name])
    return found
