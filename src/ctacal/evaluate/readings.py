"""Tables of users (CSV, TSV, Parquet, XLSX), read with checked columns or refused with the row at fault.

``read_readings`` checks every number: a cell that is missing, not a number or out of range, or an identifier that
occurs twice, is refused by its row. Rows with faults that the caller allows are dropped and counted instead::

    readings = read_readings(
        Path("cohort.csv"),
        [Column("reader"), Column("model"), Column("age", may_be_missing=True), Column("event", one_of=(0, 1))],
        identifier="study_uid", text=("sex",), drop={"missing"},
    )
    readings.table          # pandas: study_uid and sex as text, the others float64, NaN only where it may be missing
    readings.summary        # "2,271 of 2,300 rows were used; 29 dropped on request: 25 missing, 4 duplicated."

Needs the extra ``evaluate`` (pandas; openpyxl for XLSX, pyarrow for Parquet), imported when a table is read.
"""

import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ctacal.arrays import Floats, Mask
from ctacal.atomic import whole_file
from ctacal.errors import UsageError
from ctacal.spreadsheets import as_text, as_written

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["missing", "not-a-number", "out-of-range", "duplicated"]
"""What can be wrong with a row; ``out-of-range`` is usually a negative score."""

KINDS: tuple[Kind, ...] = get_args(Kind)
"""All kinds of fault."""

SHOWN = 5
"""Largest number of faulty rows that a refusal names."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers and their range."""

    name: str
    least: float | None = 0.0
    """Lowest value; None for any number."""
    most: float | None = None
    above_least: bool = False
    """Whether ``least`` itself is out of range (a time of 0)."""
    one_of: tuple[float, ...] = ()
    """The only possible values (an event: 0 or 1); ``least`` and ``most`` are then ignored."""
    may_be_missing: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a row."""

    kind: Kind
    row: int
    """Row number in a spreadsheet: the header is row 1."""
    identifier: str
    column: str
    value: str
    expected: str = ""

    def __str__(self) -> str:
        """Return the fault in a line of text.

        >>> str(Fault("out-of-range", 17, "S-016", "reader", "-3.0", "0 or more"))
        'row 17 (S-016): reader is -3.0, expected 0 or more'
        """
        where = f"row {self.row}" + (f" ({self.identifier})" if self.identifier else "")
        phrases = {
            "missing": f"{self.column} is missing",
            "not-a-number": f"{self.column} is {self.value!r}, not a number",
            "out-of-range": f"{self.column} is {self.value}, expected {self.expected}",
            "duplicated": f"{self.column} {self.value} occurs more than once ({self.expected})",
        }
        return f"{where}: {phrases[self.kind]}"


@dataclass(frozen=True, eq=False, slots=True)
class Readings:
    """The rows without faults, and the faults of those that were dropped."""

    table: "pd.DataFrame"
    """Identifier and text columns as text (None if empty), the others float64."""
    source: Path
    rows_read: int
    dropped: tuple[Fault, ...]
    """The first fault of each dropped row."""

    @property
    def dropped_by_kind(self) -> dict[str, int]:
        """Return the number of dropped rows by kind of fault."""
        return dict(Counter(fault.kind for fault in self.dropped))

    @property
    def summary(self) -> str:
        """Return a sentence on the rows used and dropped."""
        if not self.dropped:
            return f"All {self.rows_read:,} rows were used."
        kinds = ", ".join(f"{number:,} {kind.replace('-', ' ')}" for kind, number in self.dropped_by_kind.items())
        kept = self.rows_read - len(self.dropped)
        return f"{kept:,} of {self.rows_read:,} rows were used; {len(self.dropped):,} dropped on request: {kinds}."


def read_readings(
    path: Path,
    columns: Sequence[Column],
    *,
    identifier: str | None = None,
    text: Sequence[str] = (),
    drop: Collection[str] = (),
) -> Readings:
    """Read and check ``identifier``, ``text`` and ``columns`` of a table.

    Rows are numbered as in a spreadsheet. ``drop`` names the ``KINDS`` of fault whose rows are left out and counted. Of
    ``duplicated`` rows that are equal the first is kept; if they differ all are dropped, since none is known to be
    right. Raises ``UsageError`` if the file cannot be read, a column is missing, or a row has a fault that ``drop``
    does not name.
    """
    if unknown := set(drop) - set(KINDS):
        raise UsageError(f"cannot drop {', '.join(sorted(unknown))}; expected some of {', '.join(KINDS)}")
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
    """Check a table that has been read already, as ``read_readings`` does; a fault names row index + 2."""
    table = raw.copy()
    faults: list[Fault] = []
    for column in columns:
        values, wrong = _numbers(table[column.name], column)
        faults += [
            Fault(kind, int(table.index[place]) + 2, _identifier_at(table, identifier, place), column.name, *details)
            for kind, place, *details in wrong
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
        raise UsageError(f"{source}: none of {len(table)} rows is left")
    return Readings(kept, source, len(table), tuple(first[row] for row in sorted(first)))


def _identifier_at(table: "pd.DataFrame", identifier: str | None, place: int) -> str:
    """Return the identifier of a row, or an empty text."""
    name = None if identifier is None else table[identifier].iloc[place]
    return "" if name is None else str(name)


def _numbers(cells: "pd.Series[Any]", column: Column) -> tuple[Floats, Iterator[tuple[Any, ...]]]:
    """Return (n,) float64 with NaN for missing values, and the faults: kind, place, value, expected."""
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


def _outside(values: Floats, column: Column) -> Mask:
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
        return " or ".join(f"{value:g}" for value in column.one_of)
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
            comparison = "the rows differ" if differs else "the rows are equal"
            faults.append(Fault("duplicated", int(row) + 2, str(names[row]), identifier, str(names[row]), comparison))
    return faults


def _refusal(faults: Sequence[Fault], source: Path) -> str:
    lines = "; ".join(str(fault) for fault in faults[:SHOWN])
    more = f"; and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
    kinds = ",".join(kind for kind in KINDS if any(fault.kind == kind for fault in faults))
    return f"{source}: {lines}{more}. Correct the table, or leave out and count such rows with --drop {kinds}"


def need(table: "pd.DataFrame", names: Sequence[str], source: Path) -> None:
    """Raise ``UsageError`` if a column is missing, naming the columns that exist."""
    if absent := [name for name in names if name not in table.columns]:
        raise UsageError(f"{source} has no column {', '.join(absent)}; it has: {', '.join(map(str, table.columns))}")


def read_table(path: Path, *, text: Collection[str] = ()) -> "pd.DataFrame":
    """Read a table without its empty rows; ``text`` columns become stripped text, None if empty.

    The ending of the file decides: .csv (comma, semicolon with decimal commas, or tab), .tsv, .txt, .parquet, .xlsx
    (the first sheet). The index + 2 is the row in the file. Raises ``UsageError`` if the file cannot be read or has no
    rows, or if the name of a column is missing or occurs twice.
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
        raise UsageError(f"{path}: expected a file of one of these kinds: {', '.join(readers)}") from None
    if not path.is_file():
        raise UsageError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
    try:
        table = reader(path, text)
    except UsageError:
        raise
    except Warning:
        raise UsageError(
            f"{path}: a row has more cells than the header; quote cells that contain a separator"
        ) from None
    except Exception as problem:  # the readers raise many kinds of error on a damaged file
        raise UsageError(f"{path} cannot be read: {' '.join(str(problem).split()) or type(problem).__name__}") from None
    table = table.dropna(how="all")  # empty lines; the index still gives the row in the file
    if not len(table):
        raise UsageError(f"{path} has no rows below its header")
    for name in table.select_dtypes("object").columns:
        table[name] = table[name].map(lambda cell: as_written(cell) if isinstance(cell, str) else cell)
    for name in set(text) & set(table.columns):
        table[name] = _as_text(table[name])
    return table


def column_names(path: Path) -> list[str]:
    """Return the names of the columns of a table; errors as ``read_table``."""
    return [str(name) for name in read_table(path).columns]


def find_column(names: Sequence[str], named: str | None, usual: Sequence[str], what: str, source: Path) -> str:
    """Return the column that was named, or the first of the usual names.

    ``what`` describes the column in the message. Raises ``UsageError`` if there is none.
    """
    if named is not None:
        if named not in names:
            raise UsageError(f"{source} has no column {named}; it has: {', '.join(names)}")
        return named
    by_lower = {name.lower(): name for name in names}
    for name in usual:
        if name.lower() in by_lower:
            return by_lower[name.lower()]
    raise UsageError(f"{source}: no column found for {what}; it has: {', '.join(names)}")


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
        options |= {"header": 0, "names": columns, "index_col": False, "dtype": as_text, "low_memory": False}
        table: pd.DataFrame = pd.read_csv(path, **options)
    return _with_points(table, text) if separator == ";" else table


def _with_points(table: "pd.DataFrame", text: Collection[str]) -> "pd.DataFrame":
    """Replace decimal commas by points, for a table whose cells are separated by semicolons."""
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
    stripped = [as_written(str(name).strip()) for name in names]
    for number, name in enumerate(stripped, start=1):
        if not name or name == "nan":
            raise UsageError(f"{path}: column {number} has no name")
    if twice := [name for name, times in Counter(stripped).items() if times > 1]:
        raise UsageError(f"{path}: column {twice[0]} occurs {stripped.count(twice[0])} times")
    return stripped


def _as_text(cells: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return stripped text, None if empty; 7.0 from a spreadsheet becomes 7."""
    import pandas as pd

    places, distinct = pd.factorize(cells.astype(object))
    texts = np.array([*map(_text, distinct), None], dtype=object)  # place -1, the last, stands for missing
    return pd.Series(texts[places], index=cells.index, dtype=object)


def _text(cell: object) -> str | None:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip() or None


ENDINGS_WRITTEN = (".csv", ".tsv", ".parquet", ".xlsx")
"""Endings of the kinds of table that ``save_table`` can write."""


def save_table(table: "pd.DataFrame", path: Path) -> None:
    """Write a table, whole or not at all; the ending of the path, one of ``ENDINGS_WRITTEN``, decides the kind."""
    ending = path.suffix.lower()
    with whole_file(path) as temporary:
        if ending == ".parquet":
            _with_numbers(table).to_parquet(temporary, index=False)
        elif ending == ".xlsx":
            _without_formulas(_with_numbers(table)).to_excel(temporary, index=False)
        else:
            _without_formulas(table).to_csv(
                temporary, sep="\t" if ending == ".tsv" else ",", index=False, lineterminator="\n"
            )


def _without_formulas(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return the table with text that no spreadsheet takes for a formula; ``read_table`` undoes it."""
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
