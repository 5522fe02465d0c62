"""What the user says of how a table is written; whatever is not said must be plain from the table itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ctacal.errors import UsageError
from ctacal.evaluate.readings.numbers import number


@dataclass(frozen=True, slots=True, kw_only=True)
class TableForm:
    """How a table is written. Raises ``ValueError`` naming the field that is impossible.

    Example:
        >>> TableForm(missing=("n/a",), missing_in={"age": ("999",)}).unknown("age") == {"n/a", "999"}
        True
    """

    sheet: str = ""
    """Sheet of a workbook; needed only if several could be meant."""
    decimal: Literal["", ".", ","] = ""
    """Decimal mark; needed only if numbers such as 1.695 do not show whether the mark is one of thousands."""
    missing: tuple[str, ...] = ()
    """Words that mean that a value is not known, in every column. An empty cell always does."""
    missing_in: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Words and numbers that mean so in one column, such as 999 in an age."""
    range: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Lowest and highest possible value of a column, instead of what is plausible for its meaning."""
    dates: Literal["", "DMY", "MDY"] = ""
    """Order of day and month in dates such as 03/04/2020."""
    encoding: str = ""
    """Encoding of a text file; by default UTF-8, UTF-16 if it begins so, or Windows-1252."""

    def __post_init__(self) -> None:
        for word in self.missing:
            if number(word):
                raise ValueError(f"missing {word}: it may be a value elsewhere; name its column, such as age={word}")
        for column, (least, most) in self.range.items():
            if least > most:
                raise ValueError(f"range.{column}: {least:g} is more than {most:g}")

    def unknown(self, column: str) -> frozenset[str]:
        """Return the words that mean no value in a column."""
        return frozenset((*self.missing, *self.missing_in.get(column, ())))


@dataclass(frozen=True, slots=True, kw_only=True)
class FormOptions:
    """How a table is written, as options of the command line say it."""

    sheet: str = ""
    decimal: str = ""
    missing: Sequence[str] = ()
    """Words, or ``COLUMN=WORD``."""
    ranges: Sequence[str] = ()
    """``COLUMN=LOW:HIGH``."""
    dates: str = ""
    encoding: str = ""


NO_OPTIONS = FormOptions()


def form_of(options: FormOptions, start: TableForm | None = None) -> TableForm:
    """Return the form that the options describe, on top of ``start``. Raises ``UsageError`` naming the option."""
    given = start or TableForm()
    in_columns = {column: list(words) for column, words in given.missing_in.items()}
    everywhere = list(given.missing)
    for text in options.missing:
        column, is_named, word = text.rpartition("=")
        (in_columns.setdefault(column, []) if is_named else everywhere).append(word)
    if options.decimal not in ("", ".", ","):
        raise UsageError(f"--decimal {options.decimal}: expected a point or a comma")
    if options.dates not in ("", "DMY", "MDY"):
        raise UsageError(f"--dates {options.dates}: expected DMY or MDY")
    try:
        return TableForm(
            sheet=options.sheet or given.sheet, decimal=options.decimal or given.decimal,  # type: ignore[arg-type]
            missing=tuple(everywhere), missing_in={column: tuple(words) for column, words in in_columns.items()},
            range=given.range | dict(map(_range, options.ranges)),
            dates=options.dates or given.dates,  # type: ignore[arg-type]
            encoding=options.encoding or given.encoding,
        )  # fmt: skip
    except ValueError as problem:
        raise UsageError(f"--{problem}") from None


def _range(text: str) -> tuple[str, tuple[float, float]]:
    column, _, ends = text.rpartition("=")
    try:
        low, high = map(float, ends.split(":"))
    except ValueError:
        raise UsageError(f"--range {text}: expected COLUMN=LOW:HIGH, such as age=18:100") from None
    return column, (low, high)
