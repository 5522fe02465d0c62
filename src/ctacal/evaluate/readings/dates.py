"""Dates in cells and in text. What may be another date in another country is refused, not guessed."""

import datetime
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ctacal.arrays import Floats
from ctacal.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

Order = Literal["", "DMY", "MDY"]
"""Order of day and month in dates such as 03/04/2020; "" if the dates themselves must show it."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = r"(?:[T :]\d{1,2}[:.]\d{2}.*)?"
_ISO = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_TIME}")
_COMPACT = re.compile(r"((?:18|19|20)\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_PARTS = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}){_TIME}")
_NAMED = re.compile(rf"(\d{{1,2}})[-. /]*([A-Za-z]{{3,9}})[-., /]*(\d{{4}}){_TIME}")
_SHORT_YEAR = re.compile(rf"\d{{1,2}}([-/.])\d{{1,2}}\1\d{{2}}{_TIME}")
_PART = re.compile(
    r"\d{1,2}[-. /]*(jan|feb|mär|mar|mrz|apr|mai|may|jun|jul|aug|sep|okt|oct|nov|dez|dec)[a-zä]*[-. /]*(\d{2}|\d{4})?"
    r"|(jan|feb|mär|mar|mrz|apr|mai|may|jun|jul|aug|sep|okt|oct|nov|dez|dec)[a-zä]*[-. /]+\d{1,4}(, ?\d{4})?",
    re.IGNORECASE,
)
_DATE_CELLS = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
EPOCH = datetime.date(1970, 1, 1)
FEWEST_DAYS, MOST_DAYS = 10_000, 80_000
"""Numbers of days between which a number may be a date: from 1927 in Excel, or 1987 in SAS, on."""
_NUMBER = re.compile(r"\d{1,6}(\.\d+)?")
LAST_MONTH = 12
"""A day of the month up to here may be a month."""
_NO_DATES = frozenset(
    datetime.date.fromisoformat(day)
    for day in ("1899-12-30", "1899-12-31", "1900-01-01", "1901-01-01", "1904-01-01", "2999-12-31", "9999-12-31")
)
"""Days that programs write where no date is known; 1899-12-30 and 1904-01-01 are day 0 of spreadsheets."""


def looks_like_a_date(text: str) -> bool:
    """Return whether a text is a date, or what a spreadsheet makes of numbers that it takes for dates.

    >>> [looks_like_a_date(text) for text in ("2020-01-31", "31.01.20", "01JAN2020", "Jan-10", "1. Mai", "1.5", "mar")]
    [True, True, True, True, True, False, False]
    """
    return any(pattern.fullmatch(text) for pattern in (_ISO, _PARTS, _NAMED, _SHORT_YEAR, _PART))


def is_date_cell(cell: object) -> bool:
    """Return whether a cell of a typed table holds a date, a time of day or a duration."""
    return isinstance(cell, _DATE_CELLS)


def are_compact_dates(values: Floats) -> bool:
    """Return whether all numbers read as YYYYMMDD."""
    known = values[np.isfinite(values)]
    if not len(known) or ((known < 18000101) | (known > 20991231)).any():
        return False
    return all(_compact(f"{value:.0f}") is not None for value in np.unique(known)[:1000])


def days(cells: "pd.Series[Any]", column: str, source: object, order: Order = "") -> Floats:
    """Return (n,) days since 1970 of a column of dates, NaN where it is empty.

    Raises ``UsageError`` naming the row of a cell that is no date, whose year has two digits, that stands for no date
    or has not come yet, or whose day and month cannot be told apart in the whole column.
    """
    import pandas as pd

    codes, distinct = pd.factorize(cells.astype(object))
    found: list[float] = []
    if problem := both_orders({column: cells}):
        raise UsageError(f"{source}: {problem}")
    if problem := _half_converted(distinct):
        raise UsageError(f"{source}: column {column} {problem}")
    order = order or order_shown(distinct)
    for place, cell in enumerate(distinct):
        day = _possible(_day(cell, order), column)
        if isinstance(day, str):
            row = int(cells.index[np.flatnonzero(codes == place)[0]]) + 2
            raise UsageError(f"{source}: row {row}: {column} is {_shown(cell)}, {day}")
        found.append(day)
    return np.array([*found, np.nan])[codes]


def _possible(day: float | str, column: str) -> float | str:
    """Return the day, or what speaks against it."""
    if isinstance(day, str):
        return day
    date = EPOCH + datetime.timedelta(days=int(day))
    if date in _NO_DATES:
        return f"which programs write where no date is known: then say --missing {column}={date.isoformat()}"
    if date > datetime.datetime.now(tz=datetime.UTC).date() + datetime.timedelta(days=1):
        return "which has not come yet"
    return day


def _shown(cell: object) -> str:
    return repr(cell) if isinstance(cell, str) else str(cell)


def _half_converted(distinct: Any) -> str:
    """Return what speaks for a spreadsheet that changed days up to 12 into dates of another month, "" if nothing does.

    A spreadsheet of another country takes 03/04/2016 for a date, with day and month exchanged, and leaves 13/04/2016.
    """
    typed = [cell for cell in distinct if _typed_day(cell)]
    texts = [cell for cell in distinct if isinstance(cell, str) and _PARTS.fullmatch(cell)]
    if not typed or not texts or max(map(_typed_day, typed)) > LAST_MONTH or any(map(_could_be_converted, texts)):
        return ""
    return (
        f"holds both {_shown(typed[0])} and {texts[0]!r}, and no date of the first kind has a day above {LAST_MONTH}: "
        "a spreadsheet exchanged day and month of those? Export the dates again, all as YYYY-MM-DD"
    )


def _could_be_converted(text: str) -> bool:
    """Return whether both parts of a date may be its month."""
    found = _PARTS.fullmatch(text)
    return found is not None and max(int(found[1]), int(found[3])) <= LAST_MONTH


def _typed_day(cell: object) -> int:
    """Return the day of the month of a cell that is a date, or text with the year first; 0 for any other."""
    if isinstance(cell, datetime.date):
        return cell.day
    found = _ISO.fullmatch(cell) if isinstance(cell, str) else None
    return int(found[4]) if found else 0


def order_shown(distinct: Any) -> Order:
    """Return the order of day and month that some date of the column proves."""
    firsts, seconds = [], []
    for cell in distinct:
        if isinstance(cell, str) and (parts := _PARTS.fullmatch(cell)) and parts[2] != ".":
            firsts.append(int(parts[1]))
            seconds.append(int(parts[3]))
    if max(firsts, default=0) > LAST_MONTH >= max(seconds, default=0):
        return "DMY"
    return "MDY" if max(seconds, default=0) > LAST_MONTH >= max(firsts, default=0) else ""


def both_orders(columns: Mapping[str, "pd.Series[Any]"]) -> str:
    """Return what is wrong if some dates of a table have the day first and others the month; "" if none does."""
    texts = {
        name: [cell for cell in cells.dropna().unique() if isinstance(cell, str)] for name, cells in columns.items()
    }
    parts = [(name, cell, _PARTS.fullmatch(cell)) for name, own in texts.items() for cell in own]
    slashed = [(name, cell, found) for name, cell, found in parts if found and found[2] != "."]
    first = {
        order: next(((name, cell) for name, cell, found in slashed if int(found[place]) > LAST_MONTH), None)
        for order, place in (("DMY", 1), ("MDY", 3))
    }
    if not first["DMY"] or not first["MDY"]:
        return ""
    (one, day_first), (other, month_first) = first["DMY"], first["MDY"]
    return (
        f"column {one} holds {day_first!r}, where the day comes first, and column {other} {month_first!r}, where the "
        f"month does; where both are at most {LAST_MONTH}, which is the day? Export the dates again, all as YYYY-MM-DD"
    )


def _day(cell: object, order: Order) -> float | str:
    """Return the day since 1970, or what is wrong."""
    if isinstance(cell, datetime.datetime):
        cell = cell.date()
    if isinstance(cell, datetime.date):
        return float((cell - EPOCH).days)
    if not isinstance(cell, str):
        compact = _compact(f"{cell:.0f}") if isinstance(cell, (int, float)) else None
        return float((compact - EPOCH).days) if compact else _serial(cell)
    date = _date(cell.removesuffix(".0"), order)
    return date if isinstance(date, str) else float((date - EPOCH).days)


def _date(text: str, order: Order) -> datetime.date | str:
    if compact := _compact(text):
        return compact
    if found := _ISO.fullmatch(text):
        return _made(found[1], found[3], found[4])
    if found := _NAMED.fullmatch(text):
        month = found[2][:3].lower()
        return _made(found[3], _MONTHS.index(month) + 1, found[1]) if month in _MONTHS else "not a date in English"
    if found := _PARTS.fullmatch(text):
        known = "DMY" if found[2] == "." else order
        if not known:
            return "and no date of the column shows which is the day: say --dates DMY or --dates MDY"
        day, month = (found[1], found[3]) if known == "DMY" else (found[3], found[1])
        return _made(found[4], month, day)
    if _SHORT_YEAR.fullmatch(text):
        return "a date whose year has two digits: write four"
    return _serial(float(text)) if _NUMBER.fullmatch(text) else "not a date; expected YYYY-MM-DD"


def _serial(number: object) -> str:
    """Return what a number in place of a date may be."""
    found = ", ".join(f"{day.isoformat()} in {program}" for program, day in serial_days(number).items())
    return f"not a date{f' (the number of a day: {found}?)' if found else ''}; expected YYYY-MM-DD"


def serial_days(number: object) -> dict[str, datetime.date]:
    """Return the day that a number means in spreadsheets, and in SAS and Stata, where it lies from 1900 until now.

    >>> serial_days(42551)
    {'Excel': datetime.date(2016, 6, 30)}
    """
    starts = {"Excel": datetime.date(1899, 12, 30), "SAS or Stata": datetime.date(1960, 1, 1)}
    today = datetime.datetime.now(tz=datetime.UTC).date()
    if not isinstance(number, (int, float)) or not FEWEST_DAYS <= number <= MOST_DAYS:
        return {}
    days = {program: start + datetime.timedelta(days=int(number)) for program, start in starts.items()}
    return {program: day for program, day in days.items() if day <= today}


def _compact(text: str) -> datetime.date | None:
    found = _COMPACT.fullmatch(text)
    made = _made(*found.groups()) if found else None
    return made if isinstance(made, datetime.date) else None


def _made(year: Any, month: Any, day: Any) -> datetime.date | str:
    try:
        return datetime.date(int(year), int(month), int(day))
    except ValueError:
        return "not a day of the calendar (another order of day and month?)"
