"""``Change``: a quantity at two times, in the measures that studies of progression use."""

from dataclasses import dataclass
from datetime import date
from math import log1p, sqrt

LEAST_DAYS = 180
"""Shortest interval for an annual change: over less, noise of the scans is multiplied (own choice)."""

DAYS_PER_YEAR = 365.25

LEAST_AGATSTON = 10.0
"""Lowest Agatston score before, for a relative change: below, a voxel more or less is a change of many per cent (the
edge of the lowest of Rumberger's categories of calcium; own choice)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A quantity before and after, 0 or more each, in its own unit."""

    before: float
    after: float
    years: float | None = None
    """Between both; None if not known or too short for an annual change."""
    has_percent: bool = True
    """Whether enough was there before for a relative change."""

    @property
    def absolute(self) -> float:
        """After minus before."""
        return self.after - self.before

    @property
    def per_year(self) -> float | None:
        """Absolute change a year (Budoff MJ et al., J Am Coll Cardiol 2013;61:1231-1239)."""
        return self.absolute / self.years if self.years else None

    @property
    def percent(self) -> float | None:
        """Change in per cent of the value before; None where that says nothing."""
        return 100 * self.absolute / self.before if self.has_percent and self.before > 0 else None

    @property
    def percent_per_year(self) -> float | None:
        """Change in per cent of the value before, a year."""
        return self.percent / self.years if self.percent is not None and self.years else None

    @property
    def square_root(self) -> float:
        """Difference of the square roots (Hokanson JE et al., AJR 2004;182:1327-1332)."""
        return sqrt(self.after) - sqrt(self.before)

    @property
    def square_root_per_year(self) -> float | None:
        """Difference of the square roots a year (Lee W et al., PLoS ONE 2021;16:e0248884)."""
        return self.square_root / self.years if self.years else None

    @property
    def logarithm(self) -> float:
        """ln(after + 1) - ln(before + 1) (Erbel R et al., Eur Heart J 2014;35:2960-2971)."""
        return log1p(self.after) - log1p(self.before)


def years_between(first: date | None, second: date | None) -> float | None:
    """Return the years between two days; None if one is not known, or they are less than ``LEAST_DAYS`` apart.

    >>> years_between(date(2020, 1, 1), date(2024, 1, 1)), years_between(date(2020, 1, 1), date(2020, 6, 1))
    (4.0, None)
    """
    if first is None or second is None or (second - first).days < LEAST_DAYS:
        return None
    return (second - first).days / DAYS_PER_YEAR
