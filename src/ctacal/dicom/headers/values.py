"""Text and numbers out of the values of DICOM elements; what cannot be read in one way only is left out."""

import re
from collections.abc import Sequence
from typing import Any

from pydicom import Dataset
from pydicom.valuerep import PersonName

Numbers = tuple[float, ...]

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([EeDd][+-]?[0-9]+)?")
_PLAIN = re.compile(r"[0-9.Ee+\-\\]* *")
_ODD_CHARACTERS = str.maketrans({"\0": " ", "\u00a0": " ", **dict.fromkeys("\u2212\u2013\u2010\u2011\x96", "-")})
"""Padding, the space that does not break, and the signs that writers take for a minus (\\x96: a dash in CP1252)."""

_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+")
_COMMA_THOUSANDS_AND_POINT = re.compile(_THOUSANDS.pattern + r"\.[0-9]*")
_POINT_THOUSANDS_AND_COMMA = re.compile(r"[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})+,[0-9]*")
_SEPARATORS = re.compile(r"[,;]?\s+|;")

LARGEST = 10_000.0
"""Numbers that describe a scan stay below this, in mm and in HU; so ``-250,000`` is no quarter of a million."""

_LARGEST_FINITE = 1e10


def items(sequence: Any) -> list[Dataset]:
    """Return the items of a sequence; a value that is none, of an element whose VR is wrong, has none."""
    return [item for item in sequence if isinstance(item, Dataset)] if isinstance(sequence, Sequence) else []


def text(value: Any) -> str:
    """Return the value as printable text; several values are joined by spaces."""
    return " ".join(texts(value))


def texts(value: Any) -> tuple[str, ...]:
    """Return each of the values as printable text."""
    return tuple([_printable(str(v)) for v in _values(value)])


def _printable(written: str) -> str:
    return written.strip() if written.isprintable() else "".join(c for c in written if c.isprintable()).strip()


def number(value: Any, *, largest: float = LARGEST) -> float | None:
    """Return a single finite number, or None."""
    found = numbers(value, 1, largest=largest)
    return found[0] if found else None


def integer(value: Any) -> int | None:
    """Return a single whole number, or None."""
    found = number(value)
    return int(found) if found is not None and found.is_integer() else None


def within(value: float | None, low: float, high: float) -> float | None:
    """Return the value if it lies in the range, else None."""
    return value if value is not None and low <= value <= high else None


def numbers(value: Any, count: int, *, largest: float = LARGEST) -> Numbers | None:
    r"""Return ``count`` finite numbers, or None.

    Decimal strings (PS3.5 section 6.2) are written wrongly in many ways: decimal commas, commas between the values,
    typographic minus signs. They are read where nothing else can be meant. A comma before three digits can part
    thousands, unless the number would then be above ``largest`` or a value beside it has a comma that is decimal.

    >>> numbers("0,976562\\0,976562", 2), numbers("-250,000\\-250,000\\1,024", 3)
    ((0.976562, 0.976562), (-250.0, -250.0, 1.024))
    >>> numbers("0.97,0.97", 2), numbers("1,0,0,0,1,0", 6), numbers("1.024,5", 1)
    ((0.97, 0.97), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (1024.5,))
    >>> numbers("-1,024", 1), numbers("0,97", 2), numbers("1.0.0", 1)
    (None, None, None)
    """
    if value is None:
        return None
    try:
        if isinstance(value, str) and _PLAIN.fullmatch(value):
            found = tuple([float(part) for part in value.split("\\")])
        elif isinstance(value, str):
            found = _decimals(_components(value.translate(_ODD_CHARACTERS), count), largest)
        else:
            found = tuple(float(v) for v in _values(value))
    except (TypeError, ValueError):
        return None
    finite = all(abs(n) < _LARGEST_FINITE for n in found)
    return found if len(found) == count and finite else None


def _values(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    one = isinstance(value, str | int | float | PersonName) or not hasattr(value, "__iter__")
    return [value] if one else list(value)


def _components(written: str, count: int) -> list[str]:
    r"""Part the values of a decimal string, also if something else than a backslash lies between them."""
    parts = written.split("\\")
    if len(parts) > 1 or count == 1:
        return [part.strip() for part in parts]
    plain = re.sub(r"[\[\]()'\"]", " ", written).strip()
    spaced = _SEPARATORS.split(plain)
    commas = plain.split(",")
    if len(spaced) != count and (count > 2 or all("." in part for part in commas)):
        return [part.strip() for part in commas]
    return spaced


def _decimals(parts: Sequence[str], largest: float) -> Numbers:
    """Return the numbers; raises ``ValueError`` for a part that is none, or may be two."""
    comma = any(part.count(",") == 1 and not _may_part_thousands(part, largest) for part in parts)
    return tuple(_decimal(part, comma=comma) for part in parts)


def _may_part_thousands(part: str, largest: float) -> bool:
    return bool(_THOUSANDS.fullmatch(part)) and abs(float(part.replace(",", ""))) <= largest


def _decimal(part: str, *, comma: bool) -> float:
    """Return the number; ``comma``: a single comma is decimal."""
    if _COMMA_THOUSANDS_AND_POINT.fullmatch(part):
        part = part.replace(",", "")
    elif _POINT_THOUSANDS_AND_COMMA.fullmatch(part):
        part = part.replace(".", "").replace(",", ".")
    elif comma and part.count(",") == 1:
        part = part.replace(",", ".")
    if not _NUMBER.fullmatch(part):
        raise ValueError(part)
    return float(part.replace("D", "e").replace("d", "e"))
