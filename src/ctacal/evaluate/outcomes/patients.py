"""The patients of one table: follow-up, calcium and covariates of each, ready for analysis."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats, Ints, Mask
from ctacal.categories import CATEGORIES
from ctacal.evaluate.outcomes.config import OutcomesConfig
from ctacal.statistics.survival.survival_data import SurvivalData

Rows = Mask | NDArray[np.intp]
"""A flag for each patient, or places."""


@dataclass(frozen=True, slots=True, eq=False)
class Covariate:
    """One column of the multivariable models."""

    column: str
    label: str
    values: Floats
    """(n,): numbers, or places in ``levels``; NaN where missing."""
    levels: tuple[str, ...] = ()
    """Of a category; the first is the reference."""
    per: float = 1.0
    """Hazard ratios of a number are told for a difference of so much."""

    @property
    def missing(self) -> int:
        """Patients without it."""
        return int(np.isnan(self.values).sum())

    def columns(self, values: Floats) -> tuple[tuple[str, ...], Floats]:
        """Names and columns (n, k) for a model, of these values in place of the covariate's own."""
        if not self.levels:
            return (self.label,), values[:, None] / self.per
        names = tuple(f"{self.label}: {level}" for level in self.levels[1:])
        return names, np.asarray(values[:, None] == np.arange(1, len(self.levels)), np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The calcium of each patient, as one reader or model sees it."""

    name: str
    category: Ints
    """(n,): place in ``agreement.CATEGORIES``."""
    score: Floats | None
    """(n,): Agatston, where the table has it."""

    @property
    def present(self) -> tuple[int, ...]:
        """Categories that some patient is in; the first is the reference of the models."""
        return tuple(int(one) for one in np.unique(self.category))

    def by_category(self) -> tuple[tuple[str, ...], Floats]:
        """Names and flags (n, k) of all categories present but the first."""
        names = tuple(f"{self.name} {CATEGORIES[one]}" for one in self.present[1:])
        return names, np.asarray(self.category[:, None] == np.array(self.present[1:], np.int64), np.float64)

    @property
    def log_score(self) -> Floats | None:
        """(n,): log(CAC + 1)."""
        return None if self.score is None else np.log1p(self.score)


@dataclass(frozen=True, slots=True, eq=False)
class Subgroup:
    """A split of the patients."""

    name: str
    group: Ints
    """(n,): place in ``labels``; -1 where the column is missing."""
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Patients:
    """One row a patient; every array (n,), times in years."""

    config: OutcomesConfig
    data: SurvivalData
    cause: Ints
    """0 no event, 1 an event of interest, 2 one that competes; all 1 where nothing is said to compete."""
    kinds: dict[str, int]
    """Of the first events that count, by component."""
    model: Reading
    reader: Reading | None
    covariates: tuple[Covariate, ...]
    subgroups: tuple[Subgroup, ...]
    told: tuple[str, ...]
    """What was dropped, left out or not counted, in words."""

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The model, and the reader if there is one."""
        return (self.model,) if self.reader is None else (self.model, self.reader)

    @property
    def complete(self) -> Mask:
        """(n,): no covariate is missing."""
        whole = np.ones(self.data.n, np.bool_)
        for covariate in self.covariates:
            whole &= ~np.isnan(covariate.values)
        return whole

    def covariate(self, column: str) -> Covariate:
        """The one made of a column."""
        return next(one for one in self.covariates if one.column == column)

    def adjusted(
        self, columns: Sequence[str], values: Sequence[Floats] | None = None
    ) -> tuple[tuple[str, ...], Floats]:
        """Names and matrix (n, p) of the covariates in these columns; ``values`` stand in for all covariates' own."""
        filled = values if values is not None else [one.values for one in self.covariates]
        parts = [
            one.columns(own) for one, own in zip(self.covariates, filled, strict=True) if one.column in columns
        ]  # fmt: skip
        names = tuple(name for part, _ in parts for name in part)
        return names, np.column_stack([np.empty((self.data.n, 0)), *(part for _, part in parts)])

    def by_time(self) -> "Patients":
        """In the order of follow-up: sums over those at risk then run through memory in order, many times as fast."""
        return self.take(np.argsort(self.data.time, kind="stable"))

    def take(self, rows: Rows) -> "Patients":
        """These patients alone, or in this order."""
        return replace(
            self,
            data=self.data.take(rows),
            cause=self.cause[rows],
            model=_rows_of(self.model, rows),
            reader=None if self.reader is None else _rows_of(self.reader, rows),
            covariates=tuple(replace(one, values=one.values[rows]) for one in self.covariates),
            subgroups=tuple(replace(one, group=one.group[rows]) for one in self.subgroups),
        )


def _rows_of(reading: Reading, rows: Rows) -> Reading:
    return replace(
        reading, category=reading.category[rows], score=None if reading.score is None else reading.score[rows]
    )
