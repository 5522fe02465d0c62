"""Numbers in text: decimal points and commas, marks of thousands, and what only looks like a number.

``1.695`` is 1695 to one spreadsheet and 1.695 to another. A number is therefore read together with its column, and,
where the column does not decide, with the other columns of its table.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf, isfinite, nan

from ctacal.evaluate.readings.dates import looks_like_a_date

_DIGITS = {chr(zero + digit): str(digit) for zero in (0xFF10, 0x0660, 0x06F0) for digit in range(10)}
"""Full-width digits of East Asia, and the two series of Arabic digits; a raised 2 is none of them."""
_PLAIN_SIGNS = str.maketrans(
    dict.fromkeys("\u00a0\u2007\u2009\u202f", " ")
    | {"’": "'", "−": "-", "．": ".", "，": ",", "－": "-", "＋": "+", "٫": ".", "٬": "'"}
    | _DIGITS
)
_WHOLE = re.compile(r"[-+]?\d+([eE][-+]?\d{1,3})?", re.ASCII)
_ONE_MARK = re.compile(r"[-+]?(\d*)([.,])(\d*)([eE][-+]?\d{1,3})?", re.ASCII)
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}([.,' ])\d{3}(?:\1\d{3})*(?:([.,])(\d+))?", re.ASCII)
_INDIAN = re.compile(r"[-+]?[1-9]\d?(?:,\d{2})+,\d{3}(?:\.\d+)?", re.ASCII)

BOTH, UNCLEAR = "both", "unclear"
"""What ``decimal_mark`` returns beside a mark: both marks are decimal, or none can be proven to be."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written."""

    if_point: float
    """Its value if the decimal mark is a point; NaN if it cannot be."""
    if_comma: float
    decimal: str = ""
    """The decimal mark that it proves, or "" if it proves none."""
    doubtful: str = ""
    """Its only mark, if that may be the decimal one or that of thousands."""
    places: int = 0
    """Digits behind its decimal mark, if it proves one."""
    grouped: bool = False
    """Whether it certainly has marks of thousands."""

    def value(self, decimal: str) -> float:
        """Return the value under this decimal mark."""
        return self.if_comma if decimal == "," else self.if_point

    def sure_value(self, decimal: str = "") -> float | None:
        """Return the value if it needs no other cell to be known, or only the table's decimal mark."""
        mark = self.decimal or decimal
        return None if self.doubtful and not mark else self.value(mark)


def number(text: str) -> Number | None:
    """Return the number that a text holds, or None.

    >>> [(own.if_point, own.if_comma, own.decimal, own.doubtful) for own in (number("1.695"), number("65,4"))]
    [(1.695, 1695.0, '', '.'), (nan, 65.4, ',', '')]
    """
    text = text.translate(_PLAIN_SIGNS)
    if _WHOLE.fullmatch(text):
        return _same(float(text))
    if found := _ONE_MARK.fullmatch(text):
        return _one_mark(text, *found.groups())
    if found := _THOUSANDS.fullmatch(text):
        return _thousands(text, found[1], found[2] or "", len(found[3] or ""))
    if _INDIAN.fullmatch(text):
        return Number(_value(text, ".", ","), nan, ".", places=len(text.partition(".")[2]), grouped=True)
    return None


def _same(value: float) -> Number | None:
    return Number(value, value) if isfinite(value) else None


def _one_mark(text: str, before: str, mark: str, after: str, exponent: str | None) -> Number | None:
    if not before + after:
        return None
    value, grouped = _value(text, mark, ""), _value(text, "", mark)
    if len(after) == 3 and 0 < len(before) <= 3 and before[0] != "0" and not exponent:
        values = (value, grouped) if mark == "." else (grouped, value)
        return Number(*values, doubtful=mark)
    if not isfinite(value):
        return None
    values = (value, nan) if mark == "." else (nan, value)
    return Number(*values, decimal=mark, places=len(after))


def _thousands(text: str, thousands: str, decimal: str, places: int) -> Number | None:
    if thousands == decimal:
        return None
    if not decimal and thousands in ".,":
        decimal, value = "," if thousands == "." else ".", _value(text, "", thousands)
    else:
        value = _value(text, decimal, thousands)
    if not decimal:
        return Number(value, value, grouped=True)
    values = (value, nan) if decimal == "." else (nan, value)
    return Number(*values, decimal=decimal, places=places, grouped=True)


def _value(text: str, decimal: str, thousands: str) -> float:
    plain = text.replace(thousands, "") if thousands else text
    return float(plain.replace(decimal, ".") if decimal else plain)


def decimal_mark(numbers: Iterable[Number]) -> str:
    """Return the decimal mark of a column: ".", ",", "" if nothing depends on it, ``BOTH`` or ``UNCLEAR``.

    A number such as 1.695 beside 12.5 is taken for a decimal only where numbers with three places are usual.
    """
    proven, doubtful, places, fractions = set[str](), dict[str, int](), 0, 0
    for own in numbers:
        if own.decimal:
            proven.add(own.decimal)
            fractions += own.places > 0
            places = max(places, own.places)
        elif own.doubtful:
            doubtful[own.doubtful] = doubtful.get(own.doubtful, 0) + 1
    if len(proven) == 2:
        return BOTH
    if not doubtful:
        return proven.pop() if proven else ""
    if not proven:
        return UNCLEAR
    mark = proven.pop()
    rare = places < 3 and doubtful.get(mark, 0) <= fractions
    return UNCLEAR if mark in doubtful and rare else mark


def by_other_columns(numbers: Sequence[Number], mark: str) -> str:
    """Return the decimal mark of an unclear column whose table has this one elsewhere, or ``UNCLEAR``.

    The other mark is then that of thousands. The same mark is only taken for decimal if every number but 0 has it.
    """
    marks = {own.doubtful for own in numbers if own.doubtful}
    if any(own.decimal for own in numbers) or mark not in (".", ","):
        return UNCLEAR
    everywhere = all(own.doubtful or own.if_point == 0 for own in numbers)
    return mark if mark not in marks or (everywhere and len(marks) == 1) else UNCLEAR


# --- what is no number ------------------------------------------------------------------------------------------------

_COUNT = r"[-+−]?\d[\d.,'’ \u00a0\u202f]*"
_BOUND = re.compile(rf"(>=?|<=?|≥|≤|~|≈|ca\.?|over|above|below|under|up to|bis|über|unter)\s*({_COUNT})", re.IGNORECASE)
_PLUS = re.compile(rf"({_COUNT})\s*\+|[-+]?inf(inity)?", re.IGNORECASE)
_PERCENT = re.compile(rf"{_COUNT}\s*[%‰]")
_CURRENCY = r"[$€£¥₹₽]|usd|eur|gbp|chf|jpy|kr|zł"
_MONEY = re.compile(rf"({_CURRENCY})\s*{_COUNT}|{_COUNT}\s*({_CURRENCY})", re.IGNORECASE)
_UNIT = re.compile(rf"{_COUNT}\s*[^\W\d_].*")
_ERROR = re.compile(r"#(N/A|DIV/0!|REF!|VALUE!|NAME\?|NUM!|NULL!|SPILL!|CALC!|N/V|BEZUG!|WERT!|ZAHL!)", re.IGNORECASE)
_RANGE = re.compile(rf"{_COUNT}\s*([-–—]|to|bis)\s*{_COUNT}", re.IGNORECASE)

UNREADABLE = "no number that can be read"

_KINDS: tuple[tuple[Callable[[str], object], str], ...] = (
    (_ERROR.fullmatch, "an error of the spreadsheet"),
    (looks_like_a_date, "a date"),
    (_BOUND.fullmatch, "a bound"),
    (_PLUS.fullmatch, "a bound"),
    (_PERCENT.fullmatch, "a percentage"),
    (_MONEY.fullmatch, "an amount of money"),
    (_RANGE.fullmatch, "a range"),
    (_UNIT.fullmatch, "a number with a unit"),
    (partial(re.search, r"\d"), UNREADABLE),
)


def what_it_is(text: str) -> str:
    """Return what a text that is no number holds, in words; "" for words without any figure.

    >>> [what_it_is(text) for text in (">1000", "5 %", "€ 5", "65 y", "1-100", "2020-01-31", "none")]
    ['a bound', 'a percentage', 'an amount of money', 'a number with a unit', 'a range', 'a date', '']
    """
    return next((kind for matches, kind in _KINDS if matches(text)), "")


def bounds(text: str, decimal: str = "") -> tuple[float, float] | None:
    """Return lowest and highest value of a bound such as ``>1000``, both not included where the sign says so.

    >>> bounds(">1000"), bounds("< 1"), bounds("400+"), bounds("12")
    ((1000.0000000000001, inf), (-inf, 0.9999999999999999), (400.0, inf), None)
    """
    from math import nextafter

    sign, count = "", ""
    if found := _BOUND.fullmatch(text):
        sign, count = found[1].lower(), found[2]
    elif (found := _PLUS.fullmatch(text)) and found[1]:
        sign, count = "≥", found[1]
    known = number(count.strip()) if count else None
    value = None if known is None else known.sure_value(decimal)
    if value is None or sign in ("~", "≈", "ca", "ca."):
        return None
    if sign in (">", "over", "above", "über"):
        return nextafter(value, inf), inf
    if sign in (">=", "≥"):
        return value, inf
    return -inf, nextafter(value, -inf) if sign in ("<", "below", "under", "unter") else value
