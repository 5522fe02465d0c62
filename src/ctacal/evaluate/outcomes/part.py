"""A part of the report: its section, and its numbers at full precision."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ctacal.categories import CATEGORIES
from ctacal.evaluate.publication import Section, interval, p_value
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.hypothesis import HypothesisTest

LABELS = tuple(f"CAC {category}" for category in CATEGORIES)
"""Names of the risk categories in figures and tables."""


@dataclass(frozen=True, slots=True)
class Part:
    """The contribution of one analysis to the publication."""

    section: Section
    numbers: Mapping[str, Any]


class Footnotes:
    """Cells of a table. A value that is not defined becomes a dash with a letter, and its reason a footnote."""

    def __init__(self, *first: str) -> None:
        self._first = first
        self._letters: dict[str, str] = {}

    def figure(self, estimate: Estimate | None, places: int = 2, factor: float = 1.0) -> str:
        """Return an estimate with its interval, times a factor (100 for percent), or "" for None.

        A remark on the estimate becomes a footnote.
        """
        if estimate is None:
            return ""
        if estimate.estimate is None:
            return self.dash(estimate.reason)
        low, high = (None if end is None else end * factor for end in (estimate.low, estimate.high))
        text = interval(estimate.estimate * factor, low, high, places)
        remark = estimate.reason or ("" if estimate.low is not None else "no interval")
        return f"{text} {self.mark(remark)}" if remark else text

    def p(self, test: HypothesisTest | None) -> str:
        """Return the p value of a test, or "" for None."""
        if test is None:
            return ""
        return self.dash(test.reason) if test.p is None else p_value(test.p)

    def dash(self, reason: str) -> str:
        """Return the cell of a value that is not defined, and remember the reason."""
        return f"– {self.mark(reason or 'not defined')}"

    def mark(self, reason: str) -> str:
        """Return the letter of a footnote, a new letter for a new reason."""
        letter = self._letters.setdefault(reason, chr(ord("a") + len(self._letters) % 26))
        return f"[{letter}]"

    @property
    def all(self) -> tuple[str, ...]:
        """The footnotes of the table."""
        return (*self._first, *(f"[{letter}] {reason}." for reason, letter in self._letters.items()))
