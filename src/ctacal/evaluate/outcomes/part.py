"""One part of the report: its section, and its figures at full precision."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ctacal.categories import CATEGORIES
from ctacal.evaluate.publication import Section, interval, p_value
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.hypothesis import HypothesisTest

LABELS = ("CAC 0", "CAC 1-100", "CAC 101-400", "CAC >400")
"""The risk categories (``agreement.CATEGORIES``) as figures and tables call them."""

assert len(LABELS) == len(CATEGORIES)


@dataclass(frozen=True, slots=True)
class Part:
    """What one analysis adds to the publication."""

    section: Section
    numbers: Mapping[str, Any]


class Footnotes:
    """Cells of a table; what is not defined becomes a dash with a letter, and its reason a footnote."""

    def __init__(self, *first: str) -> None:
        self._first = first
        self._letters: dict[str, str] = {}

    def figure(self, estimate: Estimate | None, places: int = 2, factor: float = 1.0) -> str:
        """An estimate with its interval, times a factor (100 for percent); empty where there is none to tell."""
        if estimate is None:
            return ""
        if estimate.estimate is None:
            return self.dash(estimate.reason)
        low, high = (None if end is None else end * factor for end in (estimate.low, estimate.high))
        told = interval(estimate.estimate * factor, low, high, places)
        return told if estimate.low is not None else f"{told} {self.mark(estimate.reason or 'no interval')}"

    def p(self, test: HypothesisTest | None) -> str:
        """The p value of a test."""
        if test is None:
            return ""
        return self.dash(test.reason) if test.p is None else p_value(test.p)

    def dash(self, reason: str) -> str:
        """In place of what is not defined."""
        return f"– {self.mark(reason or 'not defined')}"

    def mark(self, reason: str) -> str:
        """The letter of a footnote."""
        letter = self._letters.setdefault(reason, chr(ord("a") + len(self._letters) % 26))
        return f"[{letter}]"

    @property
    def all(self) -> tuple[str, ...]:
        """The footnotes of the table."""
        return (*self._first, *(f"[{letter}] {reason}." for reason, letter in self._letters.items()))
