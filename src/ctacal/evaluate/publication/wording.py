"""Numbers as a reader sees them; a number that is not finite is refused, never printed."""

import re
from math import floor, isfinite, log10

NO_BREAK = "\u00a0"


def _finite(value: float) -> float:
    if not isfinite(value):
        raise ValueError(f"expected a finite number, got {value}: say in words why there is none")
    return float(value)


def shown(value: str | int | float | None) -> str:
    """A cell of a table as it is printed.

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
    """An estimate with its confidence interval; without one where an end is None.

    >>> interval(0.8, 0.75, 0.849), interval(-2.7, -9.75, 4.29, 1), interval(1, None, None, 2)
    ('0.800 (0.750 to 0.849)', '−2.7 (−9.8 to 4.3)', '1.00')
    """
    head = number(estimate, places)
    return head if low is None or high is None else f"{head} ({number(low, places)} to {number(high, places)})"


def number(value: float, places: int) -> str:
    """With that many digits after the point, a true minus and no "−0.0".

    >>> number(-0.04, 1), number(-12345.678, 1)
    ('0.0', '−12,345.7')
    """
    text = f"{_finite(value):,.{places}f}"
    return _minus(text if any(digit in text for digit in "123456789") else text.lstrip("-"))


def p_value(p: float) -> str:
    """Two significant digits from 0.01 on, three places below it (usual in journals).

    >>> [p_value(p) for p in (0.84, 0.049, 0.0042, 0.0001)]
    ['0.84', '0.049', '0.004', '<0.001']
    """
    if not 0 <= _finite(p) <= 1:
        raise ValueError(f"a p value lies in 0 to 1, got {p}")
    if p < 0.001:
        return "<0.001"
    return f"{p:.3f}" if p < 0.0995 else f"{p:.2f}"


def percent(share: float, places: int = 1) -> str:
    """A share in percent.

    >>> percent(0.4)
    '40.0 %'
    """
    return f"{number(100 * share, places)} %"


def count_percent(count: int, of: int) -> str:
    """A count with its share; nothing to share of is told.

    >>> count_percent(908, 2271), count_percent(0, 0)
    ('908 (40.0 %)', '0')
    """
    return f"{count:,} ({percent(count / of)})" if of else f"{count:,}"


_BRACKET = re.compile(r"\([^()]{1,40}\)")


def unbroken(text: str) -> str:
    """With spaces that do not break inside short brackets and before a per cent sign: lines break before a bracket.

    >>> unbroken("0.80 (0.75 to 0.85), p = 1 %").split(" ")
    ['0.80', '(0.75\\xa0to\\xa00.85),', 'p', '=', '1\\xa0%']
    """
    return _BRACKET.sub(lambda found: found.group().replace(" ", NO_BREAK), text).replace(" %", f"{NO_BREAK}%")


def _minus(text: str) -> str:
    return text.replace("-", "−")
