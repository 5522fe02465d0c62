"""Tables of users, read with checked columns or refused with the row at fault.

``read_readings`` checks every cell: one that is missing, not a number or out of range, or an identifier that occurs
twice, is refused by its row. Rows with faults that the caller allows are dropped and counted instead. What no row can
be blamed for (dates in a column of numbers, a decimal mark that may be one of thousands, another unit, a coding of
events that was not declared) is refused as a whole::

    readings = read_readings(
        Path("cohort.csv"),
        [Column("reader", meaning="score"), Column("age", may_be_missing=True), Column("event", coding=Coding())],
        identifier="study_uid", text=("sex",), drop={"missing"},
    )
    readings.table          # pandas: study_uid and sex as text, the others float64, NaN only where it may be missing
    readings.summary        # "2,271 of 2,300 rows were used; 29 dropped on request: 25 missing, 4 duplicated."

Needs the extra ``evaluate`` (pandas; openpyxl for XLSX, pyarrow for Parquet), imported when a table is read.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ctacal.arrays import Floats, Mask
from ctacal.errors import UsageError
from ctacal.evaluate.readings.cells import RawTable
from ctacal.evaluate.readings.form import TableForm
from ctacal.evaluate.readings.identifiers import damage, repeated
from ctacal.evaluate.readings.opened import ANY_FORM, as_text, need, open_table, text_of, without_unknown
from ctacal.evaluate.readings.parsed import Parsed, parse
from ctacal.evaluate.readings.plausible import (
    ROWS_OF_SCORES,
    Meaning,
    codes_for_unknown,
    is_code,
    problem_of,
    range_found,
    shown,
    sum_of_those_above,
    zero_for_unknown,
)
from ctacal.evaluate.readings.words import NO, YES, Coding

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["missing", "not-a-number", "out-of-range", "duplicated"]
"""What can be wrong with a row; ``out-of-range`` is usually a negative score."""

KINDS: tuple[Kind, ...] = get_args(Kind)
"""All kinds of fault."""

FIRST_ROW = 2
"""The first row below the names of the columns, as a spreadsheet counts."""

SHOWN = 5
"""Largest number of faulty rows that a refusal names."""

FEW_GAPS = 5
"""Missing scores below which a column without any 0 is no surprise (own choice)."""

SEVERAL_ROWS = 0.5
"""Share of rows with an identifier that occurs again above which a table has several rows for each (own choice)."""

MANY = 0.25
"""Share of the rows above which no message advises to leave them out (own choice)."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers and their range, of events, or of categories.

    Example:
        >>> Column("age", least=18, most=110, unit="years").may_be_missing
        False
    """

    name: str
    least: float | None = 0.0
    """Lowest value; None for any number."""
    most: float | None = None
    above_least: bool = False
    """Whether ``least`` itself is out of range (a time of 0)."""
    may_be_missing: bool = False
    meaning: Meaning = ""
    """Decides whether the column as a whole is plausible."""
    unit: str = ""
    """Unit of the values, for messages and for follow-up."""
    coding: Coding | None = None
    """The words of a column of events, which becomes 1 and 0."""
    is_category: bool = False
    """Whether it holds categories of calcium, which become 0 to 3 (``words.categories_of``)."""
    words: tuple[str, ...] = ()
    """The column's own words for categories, lowest first."""
    is_measurement: bool = False
    """Whether it is a covariate, of which 0 may stand for "not known"."""
    if_dates: str = ""
    """What to do if the column holds dates instead of numbers."""
    if_words: str = ""
    """What to do if the column holds words instead of numbers."""
    if_implausible: str = ""
    """What to do if its values do not fit its meaning."""
    if_bounds: str = ""
    """What to do if it holds bounds such as >1000."""
    is_outcome: bool = False
    """Whether rows without it are never advised to be left out: who has the event may be told by the gap."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a row.

    Example:
        >>> print(Fault("missing", 4, "S-003", "agatston", ""))
        row 4 (S-003): agatston is missing
    """

    kind: Kind
    row: int
    """Row number in a spreadsheet: the header is row 1."""
    identifier: str
    column: str
    value: str
    expected: str = ""

    def __str__(self) -> str:
        """Return the fault in a line of text.

        >>> str(Fault("out-of-range", 17, "S-016", "reader", "-3", "0 or more"))
        'row 17 (S-016): reader is -3, expected 0 or more'
        """
        where = f"row {self.row}" + (f" ({self.identifier})" if self.identifier else "")
        phrases = {
            "missing": f"{self.column} is missing",
            "not-a-number": f"{self.column} is {self.value!r}, {self.expected or 'not a number'}",
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
    told: tuple[str, ...] = ()
    """Sentences on how the file and its columns were read."""
    columns: tuple[Column, ...] = ()
    """The columns that were checked."""

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
    form: TableForm = ANY_FORM,
) -> Readings:
    r"""Read and check ``identifier``, ``text`` and ``columns`` of a table.

    Rows are numbered as in a spreadsheet. ``drop`` names the ``KINDS`` of fault whose rows are left out and counted. Of
    ``duplicated`` rows that are equal the first is kept; if they differ all are dropped, since none is known to be
    right.

    Args:
        path: The table: .csv, .tsv, .txt, .xlsx or .parquet.
        columns: The columns of numbers, events or categories, with their ranges and units.
        identifier: The column that names the study; its cells must differ.
        text: Columns to read as text.
        drop: Kinds of fault, some of ``KINDS``.
        form: How the table is written.

    Returns:
        The rows without faults, and the faults of those dropped.

    Raises:
        UsageError: The file cannot be read, a column is missing or cannot be what it should be, or a row has a fault
            that ``drop`` does not name.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder, "readings.csv")
        ...     _ = table.write_text("study,reader\nS-1,120\nS-2,\nS-3,0\n")
        ...     readings = read_readings(table, [Column("reader")], identifier="study", drop=["missing"])
        >>> isinstance(readings, Readings), readings.table["reader"].tolist(), str(readings.dropped[0])
        (True, [120.0, 0.0], 'row 3 (S-2): reader is missing')
    """
    wanted = [*([identifier] if identifier else []), *text, *(column.name for column in columns)]
    table = open_table(path, form, wanted=wanted)
    return check(table, columns, identifier=identifier, text=text, drop=drop, form=form)


def check(
    raw: RawTable,
    columns: Sequence[Column],
    *,
    identifier: str | None = None,
    text: Sequence[str] = (),
    drop: Collection[str] = (),
    form: TableForm = ANY_FORM,
) -> Readings:
    """Check a table that has been opened already, as ``read_readings`` does.

    Args:
        raw: The table, as ``open_table`` gives it.
        columns: The columns of numbers, events or categories, with their ranges and units.
        identifier: The column that names the study; its cells must differ.
        text: Columns to read as text.
        drop: Kinds of fault, some of ``KINDS``.
        form: How the table is written.

    Returns:
        The rows without faults, and the faults of those dropped.

    Raises:
        UsageError: A column is missing or cannot be what it should be, a row has a fault that ``drop`` does not name,
            or no row is left.

    Example:
        >>> import pandas as pd
        >>> raw = RawTable(pd.DataFrame({"study": ["S-1", "S-2"], "reader": ["120", "-3"]}), Path("readings.csv"))
        >>> check(raw, [Column("reader")], identifier="study", drop=["out-of-range"]).summary
        '1 of 2 rows were used; 1 dropped on request: 1 out of range.'
    """
    if unknown := set(drop) - set(KINDS):
        raise UsageError(f"cannot drop {', '.join(sorted(unknown))}; expected some of {', '.join(KINDS)}")
    words = list(dict.fromkeys([*([identifier] if identifier else []), *text]))
    need(raw.cells, [*words, *(column.name for column in columns)], raw.source)
    need(raw.cells, [*form.missing_in, *form.range], raw.source)
    table = raw.cells[list(dict.fromkeys([*words, *(column.name for column in columns)]))].copy()
    for name in words:
        table[name] = without_unknown(as_text(table[name]), form.unknown(name))
    faults, told = _columns(raw, table, columns, identifier, form)
    if identifier is not None:
        faults += _identifier_faults(table, identifier, [column.name for column in columns], raw.source)
    faults.sort(key=lambda fault: fault.row)
    if refused := [fault for fault in faults if fault.kind not in drop]:
        raise UsageError(_refusal(refused, raw.source, columns, table))
    first = {fault.row: fault for fault in reversed(faults)}
    kept = table.drop(index=[row - 2 for row in first]).reset_index(drop=True)
    if not len(kept):
        raise UsageError(f"{raw.source}: none of {len(table)} rows is left")
    dropped = tuple(first[row] for row in sorted(first))
    return Readings(kept, raw.source, len(table), dropped, (*raw.told, *told), tuple(columns))


def _columns(
    raw: RawTable, table: "pd.DataFrame", columns: Sequence[Column], identifier: str | None, form: TableForm
) -> tuple[list[Fault], list[str]]:
    """Put numbers in place of cells; return the faults of rows, and what to tell of columns."""
    faults: list[Fault] = []
    problems: list[str] = []
    told: list[str] = []
    used = [column.name for column in columns if column.coding is None]
    for column in columns:
        own = _with_range(column, form)
        parsed = parse(raw, own, form, used)
        table[column.name] = parsed.values
        if parsed.five is not None:
            table[five_column(column.name)] = parsed.five
        problem = parsed.problem or _implausible(parsed.values, column, form)
        if problem:
            problems.append(f"column {column.name} {problem}")
        told += [f"{column.name}: {sentence}" for sentence in parsed.told]
        faults += [
            Fault(kind, int(table.index[place]) + 2, _identifier_at(table, identifier, place), column.name, *details)
            for kind, place, *details in _row_faults(parsed, own)
        ]
    if problems:
        raise UsageError(f"{raw.source}: {'; '.join(problems)}")
    scores = [column.name for column in columns if column.meaning == "score" and not column.is_category]
    if scores and (what := sum_of_those_above(table[scores].to_numpy(np.float64))):
        place, kind = what
        where = f"row {int(table.index[place]) + 2} is the {kind} of the rows above it in {', '.join(scores)}"
        raise UsageError(f"{raw.source}: {where}: a line of totals? Delete it")
    return faults, told


def five_column(name: str) -> str:
    """Return the column of a table that was read with the index into the five categories, of one of categories."""
    return f"{name} (five categories)"


def _with_range(column: Column, form: TableForm) -> Column:
    """Return the column with the range that the user gave for it."""
    from dataclasses import replace

    if column.name not in form.range:
        return column
    least, most = form.range[column.name]
    return replace(column, least=least, most=most, above_least=False)


def _implausible(values: Floats, column: Column, form: TableForm) -> str:
    """Return why the column cannot be what it should be; nothing if the user gave its range."""
    if column.coding or column.is_category or column.name in form.range:
        return ""
    if problem := problem_of(values, column.meaning, column.unit, column.name):
        if column.meaning == "follow-up" and float(np.nanmedian(values)) < 0:
            return problem  # no range makes such times right
        instead = f" {column.if_implausible}" if column.if_implausible else ""
        end, option = "" if problem.endswith("?") else ".", f"--range {column.name}=LOW:HIGH"
        return f"{problem}{end}{instead}{'.' if instead else ''} If it is right, say so with {option}"
    codes = [code for code in codes_for_unknown(values) if not _outside(np.array([code]), column)[0]]
    if column.is_measurement and zero_for_unknown(values):
        codes.append(0.0)
    if not codes:
        return ""
    others = np.where(np.isin(values, codes), np.nan, values)
    found = " and ".join(f"{shown(code)} ({int((values == code).sum()):,} rows)" for code in codes)
    options = " ".join(f"--missing {column.name}={text_of(code)}" for code in codes)
    return (
        f"holds {found}, and otherwise {range_found(others)}: does that mean that the value is not known? Then say "
        f"{options}; if not, --range {column.name}=LOW:HIGH"
    )


def _identifier_at(table: "pd.DataFrame", identifier: str | None, place: int) -> str:
    """Return the identifier of a row, or an empty text."""
    name = None if identifier is None else table[identifier].iloc[place]
    return "" if name is None else str(name)


def _row_faults(parsed: Parsed, column: Column) -> Iterator[tuple[Any, ...]]:
    """Yield the faults of rows: kind, place, value, expected."""
    if not column.may_be_missing:
        yield from (("missing", int(row), "", "") for row in np.flatnonzero(parsed.missing))
    for row, text, expected in parsed.strange:
        yield "not-a-number", row, text, expected
    if column.coding is None and not column.is_category:
        for place in np.flatnonzero(_outside(parsed.values, column)):
            yield "out-of-range", int(place), shown(float(parsed.values[place])), _expected(column)


def _outside(values: Floats, column: Column) -> Mask:
    outside = np.zeros(len(values), bool)
    if column.least is not None:
        outside |= values <= column.least if column.above_least else values < column.least
    if column.most is not None:
        outside |= values > column.most
    return outside


def _expected(column: Column) -> str:
    low, high = "", ""
    if column.least is not None:
        low = f"more than {shown(column.least)}" if column.above_least else f"{shown(column.least)} or more"
    if column.most is not None:
        high = f"at most {shown(column.most)}"
    unit = f" {column.unit}" if column.unit else ""
    return " and ".join(part for part in (low, high) if part) + unit


def _identifier_faults(table: "pd.DataFrame", identifier: str, checked: Sequence[str], source: Path) -> list[Fault]:
    names = table[identifier]
    if problem := damage(names):
        raise UsageError(f"{source}: column {identifier} {problem}")
    faults = [Fault("missing", int(row) + 2, "", identifier, "") for row in names.index[names.isna()]]
    faults += [
        Fault("duplicated", row + 2, name, identifier, name, comparison)
        for row, name, comparison in repeated(table, identifier, checked)
    ]
    return faults


def _refusal(faults: Sequence[Fault], source: Path, columns: Sequence[Column], table: "pd.DataFrame") -> str:
    lines = "; ".join(str(fault) for fault in faults[:SHOWN])
    more = f"; and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
    outside = dict.fromkeys(fault.column for fault in faults if fault.kind == "out-of-range")
    ranges = "".join(f". Column {name} holds {range_found(table[name].to_numpy(np.float64))}" for name in outside)
    advice = _empty_zeros(faults, columns, table) or _advice(faults, columns, len(table))
    again = len({fault.row for fault in faults if fault.kind == "duplicated"})
    if again > SEVERAL_ROWS * len(table):
        advice = (
            f"{again:,} of {len(table):,} rows share their identifier with another: one row for each is expected. Rows "
            "of visits or instruments, as REDCap exports them, or of raters, must be joined first"
        )
    return f"{source}: {lines}{more}{ranges}. {advice}"


def _empty_zeros(faults: Sequence[Fault], columns: Sequence[Column], table: "pd.DataFrame") -> str:
    """Return what to do where scores are missing and none is 0, since empty cells may be the zeros; else ""."""
    scores = {column.name for column in columns if column.meaning == "score" or column.is_category}
    gaps = Counter(fault.column for fault in faults if fault.kind == "missing" and fault.column in scores)
    names = [name for name, rows in gaps.items() if rows >= FEW_GAPS]
    if any((table[name] == 0).any() or table[name].notna().sum() < ROWS_OF_SCORES for name in names):
        return ""
    if not names:
        return ""
    return f"Correct the table: {', '.join(names)} has no 0; if its empty cells mean that there is no calcium, write 0"


def _advice(faults: Sequence[Fault], columns: Sequence[Column], rows: int) -> str:
    """Return what to do. It never advises dropping outcomes, one end of the scores, or many rows."""
    outcomes = {column.name for column in columns if column.is_outcome}
    kinds = {fault.kind for fault in faults}
    few = len({fault.row for fault in faults}) <= MANY * rows
    if kinds <= {"missing", "duplicated"} and few and not outcomes & {fault.column for fault in faults}:
        named = ",".join(kind for kind in KINDS if kind in kinds)
        return f"Correct the table, or leave out and count such rows with --drop {named}"
    lost = {column.name for column in columns if not column.may_be_missing}
    gaps = {fault.row for fault in faults if fault.kind != "missing" and fault.column in lost}
    few = len(gaps) <= MANY * rows
    if sentence := _words_advice(faults, columns, few=few):
        return sentence
    if outcomes & {fault.column for fault in faults}:
        return "Correct the table"
    if said := {(own.column, own.value) for own in faults if own.value.casefold() in YES | NO}:
        listed = " and ".join(f"{value!r} in {column}" for column, value in sorted(said)[:SHOWN])
        return f"Correct the table: write 1 and 0, not {listed}"
    words = {f"{fault.column}={fault.value}" for fault in faults if fault.kind == "not-a-number"}
    outside = {(fault.column, fault.value.replace(",", "")) for fault in faults if fault.kind == "out-of-range"}
    codes = {f"{column}={value}" for column, value in outside if is_code(float(value))}
    if words | codes and len(words | codes) <= SHOWN and few:
        options = " ".join(f"--missing '{word}'" for word in sorted(words | codes))
        return f"Correct the table; if the values are not known there, say so: {options}"
    return "Correct the table"


def _words_advice(faults: Sequence[Fault], columns: Sequence[Column], *, few: bool) -> str:
    """Return what to do about words that may be a unit, or a score of 0; "" if they are neither."""
    words = [fault for fault in faults if fault.kind == "not-a-number"]
    if words and {fault.row for fault in words} == {FIRST_ROW} and len({fault.column for fault in words}) > 1:
        return f"Row {FIRST_ROW} holds words where numbers belong: a second row of names, or of units? Delete it"
    scores = {column.name for column in columns if column.meaning == "score"}
    read = sorted({(fault.column, fault.value) for fault in words if fault.column in scores})
    if not read or len(read) > SHOWN:
        return ""
    listed = " and ".join(f"{value!r} in {column}" for column, value in read)
    known = " ".join(f"--missing '{column}={value}'" for column, value in read)
    unknown = f"; only if the score is not known, say so: {known}" if few else ""
    return f"Correct the table: if {listed} means that there is no calcium, write 0{unknown}"
