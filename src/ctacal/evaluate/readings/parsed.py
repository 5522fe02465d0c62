"""The cells of one column as numbers, events or categories; what no single row can be blamed for is its problem."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from ctacal.arrays import Floats, Ints, Mask
from ctacal.categories import CATEGORIES, FIVE_CATEGORIES
from ctacal.evaluate.readings import numbers
from ctacal.evaluate.readings.category_words import are_reversed, words_offer, words_option
from ctacal.evaluate.readings.cells import RawTable
from ctacal.evaluate.readings.dates import are_compact_dates, is_date_cell
from ctacal.evaluate.readings.form import TableForm
from ctacal.evaluate.readings.opened import text_of
from ctacal.evaluate.readings.words import (
    CODES,
    SCORES,
    Coding,
    as_code,
    categories_of,
    coding_offer,
    listed_values,
    means_unknown,
)

if TYPE_CHECKING:
    import pandas as pd

    from ctacal.evaluate.readings.columns import Column

MOST_WORDS = 0.5
"""Share of words among the cells from which on a column is one of words, not a faulty one of numbers."""

NO_ZERO = 20
"""Rows from which on codes of categories without any 0 are taken for another coding (two in five have no calcium)."""


@dataclass(frozen=True, eq=False, slots=True)
class Parsed:
    """A column of (n,) cells."""

    values: Floats
    """NaN where the cell is missing or strange."""
    missing: Mask
    strange: tuple[tuple[int, str, str], ...] = ()
    """Place, text and description of each cell that is no such value."""
    problem: str = ""
    """Why the column as a whole cannot be read; follows the name of the column."""
    told: tuple[str, ...] = ()
    five: Floats | None = field(default=None)
    """For a column of categories: the index among the five categories; NaN where the cell does not say which."""


def parse(raw: RawTable, column: "Column", form: TableForm, used: Collection[str] = ()) -> Parsed:
    """Return a column's cells as what the column says that they are.

    ``used`` are the columns that are read as numbers: only these prove the decimal mark of an open one, since a column
    such as a version of software may hold anything.
    """
    cells = _Cells.of(raw.cells[column.name], form.unknown(column.name))
    if column.coding is not None:
        return _events(cells, column.coding)
    if column.is_category:
        return _categories(cells, column.words, form.decimal or _mark_of_table(raw, used))
    return _numbers(cells, column, form, lambda: _mark_of_table(raw, used))


@dataclass(frozen=True, eq=False, slots=True)
class _Cells:
    """Distinct cells, and which of them each row has."""

    index: "pd.Index[Any]"
    codes: Ints
    """(n,) index into ``distinct``; -1 where the value is missing."""
    distinct: tuple[Any, ...]

    @classmethod
    def of(cls, cells: "pd.Series[Any]", unknown: frozenset[str]) -> "_Cells":
        import pandas as pd

        codes, distinct = pd.factorize(cells if cells.dtype != object else cells.astype(object))
        codes = codes.astype(np.int64)
        words = [place for place, cell in enumerate(distinct) if unknown and means_unknown(text_of(cell), unknown)]
        codes[np.isin(codes, words)] = -1
        return cls(cells.index, codes, tuple(distinct))

    @property
    def missing(self) -> Mask:
        return self.codes < 0

    def counts(self) -> Ints:
        """Return the number of rows of each distinct cell."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.distinct)).astype(np.int64)

    def spread(self, values: Sequence[float]) -> Floats:
        """Return (n,) values from those of the distinct cells."""
        return np.asarray([*values, np.nan], np.float64)[self.codes]

    def rows_of(self, place: int) -> Ints:
        return np.flatnonzero(self.codes == place)

    def row(self, place: int) -> int:
        """Return the first row of a distinct cell, as a spreadsheet numbers it."""
        return int(self.index[self.rows_of(place)[0]]) + 2


# --- numbers ----------------------------------------------------------------------------------------------------------


def _numbers(cells: _Cells, column: "Column", form: TableForm, mark_of_table: Callable[[], str]) -> Parsed:
    used = cells.counts() > 0
    found = [_number(cell) if used[place] else None for place, cell in enumerate(cells.distinct)]
    others = [place for place, own in enumerate(found) if own is None and used[place]]
    if flags := _flags(cells, found, others, column):
        return Parsed(cells.spread(flags), cells.missing, told=("TRUE was read as 1, FALSE as 0.",))
    if problem := _other_than_numbers(cells, others, column):
        return Parsed(cells.spread([np.nan] * len(found)), cells.missing, problem=problem)
    if problem := _two_in_a_cell(cells, found):
        return Parsed(cells.spread([np.nan] * len(found)), cells.missing, problem=problem)
    decimal = numbers.decimal_mark(own for own in found if own)
    if form.decimal:
        decimal = form.decimal if decimal in ("", form.decimal, numbers.UNCLEAR) else numbers.BOTH
    if decimal == numbers.UNCLEAR:
        decimal = numbers.by_other_columns([own for own in found if own], mark_of_table())
    values = cells.spread([np.nan if own is None else own.value(decimal) for own in found])
    if decimal in (numbers.BOTH, numbers.UNCLEAR):
        return Parsed(values, cells.missing, problem=_unclear(cells, found, decimal, form.decimal))
    if are_compact_dates(values):
        return Parsed(values, cells.missing, problem=f"holds dates ({_example(cells, 0)}), expected {_unit(column)}")
    strange = tuple(
        (int(row), text_of(cells.distinct[place]), _strange(cells.distinct[place]))
        for place in others
        for row in cells.rows_of(place)
    )
    return Parsed(values, cells.missing, strange, told=_told(found, decimal))


def _two_in_a_cell(cells: _Cells, found: Sequence[numbers.Number | None]) -> str:
    """Return the problem of a blank between digits where other thousands have none, "" if there is none."""
    large = {place: text_of(cells.distinct[place]) for place, own in enumerate(found) if own and own.if_point >= 1000}
    blank = [place for place, text in large.items() if len(text.split()) > 1]
    whole = [place for place, text in large.items() if text.isdigit()]
    if not blank or not whole:
        return ""
    return (
        f"holds {_example(cells, blank[0])} beside {_example(cells, whole[0])}: two numbers in one cell, or thousands? "
        "Write plain numbers"
    )


def _number(cell: object) -> numbers.Number | None:
    if isinstance(cell, str):
        return numbers.number(cell)
    if isinstance(cell, (int, float, Decimal, np.number)) and np.isfinite(float(cell)):
        return numbers.Number(float(cell), float(cell))
    return None


def _strange(cell: object) -> str:
    what = numbers.what_it_is(cell) if isinstance(cell, str) else ""
    return f"{what}, not a number" if what and what != numbers.UNREADABLE else "not a number"


def _other_than_numbers(cells: _Cells, others: Sequence[int], column: "Column") -> str:
    """Return the problem of a column that holds dates, bounds, percentages or words; "" if it has but a few words."""
    counts, kinds = cells.counts(), dict[str, list[int]]()
    for place in others:
        cell = cells.distinct[place]
        kind = "a date" if is_date_cell(cell) else numbers.what_it_is(text_of(cell))
        kinds.setdefault(kind, []).append(place)
    words = sum(int(counts[place]) for place in kinds.pop("", []))
    kinds.pop("an error of the spreadsheet", None)
    if "a date" in kinds:
        offer = f". {column.if_dates}" if column.if_dates else ""
        return f"holds dates ({_example(cells, kinds['a date'][0])}), expected {_unit(column)}{offer}"
    for kind, places in kinds.items():
        rows = sum(int(counts[place]) for place in places)
        said = kind if kind == numbers.UNREADABLE else f"{kind}, not a number"
        often = f" and in {rows - 1:,} other rows" if rows > 1 else ""
        return f"holds {_example(cells, places[0])}{often}: {said}{_instead(kind, column)}{_as_words(cells, column)}"
    if words > MOST_WORDS * counts.sum():
        listed = listed_values({text_of(cells.distinct[place]): int(counts[place]) for place in others})
        instead = f". {column.if_words}" if column.if_words else ""
        return f"holds words: {listed}; expected {_unit(column)}{instead}{_as_words(cells, column)}"
    return ""


def _as_words(cells: _Cells, column: "Column") -> str:
    """Return how to declare the cells of a column of scores as categories, "" for another column."""
    offer = words_offer(_texts(cells)) if column.meaning == "score" else ""
    return f". {offer}" if offer else ""


def _instead(kind: str, column: "Column") -> str:
    """Return what to do about cells that are nearly numbers."""
    if kind in ("a bound", "a range") and column.if_bounds:
        return f". {column.if_bounds}"
    if kind == "a percentage":
        return ". Write plain numbers: whether 5 % is 5 or 0.05 decides what cut-offs and hazard ratios mean"
    return ". Write plain numbers"


def _unit(column: "Column") -> str:
    return column.unit or "numbers"


def _example(cells: _Cells, place: int) -> str:
    cell = cells.distinct[place]
    return f"{text_of(cell)!r} in row {cells.row(place)}"


def _flags(
    cells: _Cells, found: Sequence[numbers.Number | None], others: Sequence[int], column: "Column"
) -> list[float] | None:
    """Return 1 and 0 of a covariate whose cells are all TRUE and FALSE, or 1 and 0."""
    is_flag = all(own is None or own.if_point in (0, 1) for own in found)
    if column.meaning or column.least is not None or not others or not is_flag:
        return None
    flags = [Coding().of(text_of(cell)) for cell in cells.distinct]
    return (
        None if any(flags[place] is None for place in others) else [np.nan if flag is None else flag for flag in flags]
    )


def _mark_of_table(raw: RawTable, used: Collection[str]) -> str:
    """Return the decimal mark that the ``used`` columns agree on, "" if they do not."""
    marks = set()
    for name in used:
        if raw.cells[name].dtype == object:
            found = numbers_only(raw.cells[name])
            marks |= {numbers.decimal_mark(found)} - {"", numbers.UNCLEAR}
    return marks.pop() if len(marks) == 1 else ""


def numbers_only(cells: "pd.Series[Any]") -> list[numbers.Number]:
    """Return the numbers of a column, none if other cells are among them."""
    found: list[numbers.Number] = []
    for cell in cells.dropna().unique():
        own = _number(cell)
        if own is None:
            return []
        found.append(own)
    return found


def _unclear(cells: _Cells, found: Sequence[numbers.Number | None], decimal: str, declared: str) -> str:
    if decimal == numbers.BOTH and declared:
        other = "," if declared == "." else "."
        place = next(place for place, own in enumerate(found) if own and own.decimal == other)
        return f"holds {_example(cells, place)}, where {declared!r} cannot be the decimal mark"
    if decimal == numbers.BOTH:
        first, second = (
            next(place for place, own in enumerate(found) if own and own.decimal == mark) for mark in (".", ",")
        )
        return f"mixes decimal points and commas: {_example(cells, first)}, {_example(cells, second)}"
    place = next(place for place, own in enumerate(found) if own and own.doubtful)
    own = found[place]
    assert own is not None
    return (
        f"holds {_example(cells, place)}, which may be {own.if_point:,.15g} or {own.if_comma:,.15g}: thousands and "
        "decimals cannot be told apart. Say which is the decimal mark: --decimal . or --decimal ,"
    )


def _told(found: Sequence[numbers.Number | None], decimal: str) -> tuple[str, ...]:
    thousands = any(own and (own.grouped or own.doubtful not in ("", decimal)) for own in found)
    told = ("marks of thousands were taken out.",) if thousands else ()
    return (*told, "a comma was read as the decimal mark.") if decimal == "," else told


# --- events and categories --------------------------------------------------------------------------------------------


def _texts(cells: _Cells) -> dict[str, int]:
    """Return each distinct text with its number of rows."""
    counts = cells.counts()
    return {text_of(cell): int(counts[place]) for place, cell in enumerate(cells.distinct) if counts[place]}


def _events(cells: _Cells, coding: Coding) -> Parsed:
    counted = _texts(cells)
    empty = coding.of("")
    found = [coding.of(text_of(cell)) for cell in cells.distinct]
    values = cells.spread([np.nan if value is None else value for value in found])
    missing = cells.missing
    if empty is not None:
        values, missing = np.where(missing, empty, values), np.zeros(len(missing), bool)
    if any(coding.of(text) is None for text in counted):
        yes, no = (
            f"{', '.join(map(repr, words))}" for words in (coding.yes or ("1", "TRUE"), coding.no or ("0", "FALSE"))
        )
        expected = f"expected {yes} where the event happened and {no} where it did not"
        if dates := [place for place, cell in enumerate(cells.distinct) if _is_dated(cell)]:
            made = "make a column of 1 and 0, and give the date as the component's date"
            return Parsed(values, missing, problem=f"holds dates ({_example(cells, dates[0])}); {expected}: {made}")
        return Parsed(values, missing, problem=(
            f"holds {listed_values(counted)}; {expected}. If the table says it otherwise, give the words in the TOML. "
            f"{coding_offer(counted)}; a word for not known is said with --missing"
        ))  # fmt: skip
    if missing.sum() > len(missing) / 4 and len(set(values[~missing])) == 1:
        return Parsed(values, missing, problem=(
            f"is empty in {int(missing.sum()):,} of {len(missing):,} rows and holds {listed_values(counted)}: if an "
            'empty cell means that the event did not happen, say so in the TOML: no = [""]'
        ))  # fmt: skip
    return Parsed(values, missing)


def _categories(cells: _Cells, words: Sequence[str], decimal: str) -> Parsed:
    counted = _texts(cells)
    nothing = cells.spread([np.nan] * len(cells.distinct))
    if dates := [place for place, cell in enumerate(cells.distinct) if _is_dated(cell)]:
        made = f"holds dates ({_example(cells, dates[0])}): a spreadsheet took 1-10 for a date? Write 1 to 10"
        return Parsed(nothing, cells.missing, problem=made)
    if are_reversed(words):
        asked = f"is declared with {', '.join(words)}: the words must begin with the lowest category"
        return Parsed(nothing, cells.missing, problem=asked)
    try:
        found = categories_of(list(counted), words, decimal)
    except ValueError as problem:
        return Parsed(nothing, cells.missing, problem=str(problem))
    known = list(words) or [*CATEGORIES]
    expected = f"expected {', '.join(known)}{'' if words else ', or 0 to 3, or scores, or words that are named'}"
    if unread := {
        text: count for text, count in counted.items() if found.of[text] is None and numbers.what_it_is(text)
    }:
        open_marks = [text for text in unread if _depends_on_mark(text)]
        instead = (
            ". Say which is the decimal mark: --decimal . or --decimal ," if open_marks else _offered(counted, words)
        )
        return Parsed(nothing, cells.missing, problem=f"holds {listed_values(unread)}, {expected}{instead}")
    strangers = sum(count for text, count in counted.items() if found.of[text] is None)
    if strangers > MOST_WORDS * sum(counted.values()) and (offer := _offered(counted, words)):
        return Parsed(nothing, cells.missing, problem=f"holds words: {listed_values(counted)}; {expected}{offer}")
    codes = {place for text, place in found.of.items() if counted[text]}
    other_codes = found.kind == SCORES and {as_code(text) for text in counted} <= set("012345")
    no_zero = found.kind == CODES and 0 not in codes and sum(counted.values()) >= NO_ZERO and len(codes) > 1
    if other_codes or no_zero:
        return Parsed(nothing, cells.missing, problem=(
            f"holds {listed_values(counted)}, which are no codes 0 to 3: codes 1 to 4? Then name the words of the four "
            f"categories, lowest first{_codes_option(counted)}"
        ))  # fmt: skip
    texts = [text_of(cell) for cell in cells.distinct]
    strange = tuple(
        (int(row), text, expected)
        for place, text in enumerate(texts)
        if text in counted and found.of[text] is None
        for row in cells.rows_of(place)
    )
    told = f"its cells were read as {found.kind}{' and bounds' if found.kind == SCORES else ''}."
    return Parsed(
        _indices(cells, texts, found.of), cells.missing, strange, told=(told,), five=_indices(cells, texts, found.five)
    )


def _depends_on_mark(text: str) -> bool:
    """Return whether a cell names a category only if the decimal mark is known, such as > 1.000."""
    return categories_of([text]).of[text] is None and categories_of([text], decimal=",").of[text] is not None


def _offered(counted: Mapping[str, int], words: Sequence[str]) -> str:
    """Return how to declare a column's own words, "" if words were declared."""
    offer = "" if words else words_offer(counted)
    return f". {offer}" if offer else ""


def _codes_option(counted: Mapping[str, int]) -> str:
    """Return the option that names codes as words; "" if they are not four or five."""
    own = sorted(counted, key=as_code)
    return f": {words_option(own)}" if len(own) in (len(CATEGORIES), len(FIVE_CATEGORIES)) else ""


def _is_dated(cell: object) -> bool:
    return is_date_cell(cell) or (isinstance(cell, str) and numbers.what_it_is(cell) == "a date")


def _indices(cells: _Cells, texts: Sequence[str], places: Mapping[str, int | None]) -> Floats:
    found = [places.get(text) for text in texts]
    return cells.spread([np.nan if place is None else float(place) for place in found])
