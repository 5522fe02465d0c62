"""Numbers and lists as a reader sees them. A number that is not finite is an error, never printed."""

import re
from collections.abc import Sequence
from math import floor, isfinite, log10

NO_BREAK = "\u00a0"


def _finite(value: float) -> float:
    if not isfinite(value):
        raise ValueError(f"expected a finite number, got {value}: give the reason in words instead")
    return float(value)


def shown(value: str | int | float | None) -> str:
    """Return a cell of a table as it is printed.

    >>> shown(2271), shown(0.123456), shown(1234.5), shown(-0.5), shown(None), shown("as it is")
    ('2,271', '0.123', '1,234', '−0.500', '–', 'as it is')
    """
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return _minus(f"{value:,}")
    size = abs(_finite(value))
    places = 3 if size == 0 else max(0, 2 - floor(log10(size))) if size < 1000 else 0
    return _minus(f"{value:,.{min(places, 6)}f}")


def interval(estimate: float, low: float | None, high: float | None, places: int = 3) -> str:
    """Return an estimate with its confidence interval, or alone if an end of the interval is None.

    A positive estimate or end that would be printed as 0 has two digits, so that 0.0012 is no 0.00; where the interval
    reaches 0 or below, nothing has.

    >>> interval(0.8, 0.75, 0.849), interval(-2.7, -9.75, 4.29, 1), interval(1, None, None, 2)
    ('0.800 (0.750 to 0.849)', '−2.7 (−9.8 to 4.3)', '1.00')
    >>> interval(0.06, 0.0012, 0.44, 2), interval(0.001, -0.004, 0.006, 2)
    ('0.06 (0.0012 to 0.44)', '0.00 (0.00 to 0.01)')
    """
    printed = number if low is None or low <= 0 else _not_zero
    head = printed(estimate, places)
    return head if low is None or high is None else f"{head} ({printed(low, places)} to {printed(high, places)})"


_LEAST = 1e-6
"""Numbers below are printed as 0 (own choice)."""


def _not_zero(value: float, places: int) -> str:
    """Return a positive number with this many decimal places; with two digits if it would be 0."""
    if _finite(value) < _LEAST or value >= 0.5 * 10**-places:
        return number(value, places)
    return number(value, 1 - floor(log10(value)))


def number(value: float, places: int) -> str:
    """Return a number with this many decimal places, a true minus sign and no "−0.0".

    >>> number(-0.04, 1), number(-12345.678, 1)
    ('0.0', '−12,345.7')
    """
    text = f"{_finite(value):,.{places}f}"
    return _minus(text if any(digit in text for digit in "123456789") else text.lstrip("-"))


def p_value(p: float) -> str:
    """Return a p value as journals print it: three decimal places below 0.0995, else two.

    >>> [p_value(p) for p in (0.84, 0.049, 0.0042, 0.0001)]
    ['0.84', '0.049', '0.004', '<0.001']
    """
    if not 0 <= _finite(p) <= 1:
        raise ValueError(f"expected a p value between 0 and 1, got {p}")
    if p < 0.001:
        return "<0.001"
    return f"{p:.3f}" if p < 0.0995 else f"{p:.2f}"


def percent(share: float, places: int = 1) -> str:
    """Return a proportion in percent.

    >>> percent(0.4)
    '40.0 %'
    """
    return f"{number(100 * share, places)} %"


def count_percent(count: int, of: int) -> str:
    """Return a count with its percentage of ``of``, or alone if ``of`` is 0.

    >>> count_percent(908, 2271), count_percent(0, 0)
    ('908 (40.0 %)', '0')
    """
    return f"{count:,} ({percent(count / of)})" if of else f"{count:,}"


def listed(names: Sequence[str]) -> str:
    """Return names in words.

    >>> listed(["a", "b", "c"]), listed(["a"]), listed([])
    ('a, b and c', 'a', 'nothing')
    """
    if len(names) < 2:
        return names[0] if names else "nothing"
    return f"{', '.join(names[:-1])} and {names[-1]}"


_BRACKET = re.compile(r"\([^()]{1,40}\)|^[−\d.,]+ to [−\d.,]+$")


def unbroken(text: str) -> str:
    """Return text whose lines break before a bracket: no break inside short brackets or before a percent sign.

    Nor is there one in a range that is the whole text.

    >>> unbroken("0.80 (0.75 to 0.85), p = 1 %").split(" ")
    ['0.80', '(0.75\\xa0to\\xa00.85),', 'p', '=', '1\\xa0%']
    >>> unbroken("−49.2 to 51.0")
    '−49.2\\xa0to\\xa051.0'
    """
    return _BRACKET.sub(lambda found: found.group().replace(" ", NO_BREAK), text).replace(" %", f"{NO_BREAK}%")


def _minus(text: str) -> str:
    return text.replace("-", "−")
