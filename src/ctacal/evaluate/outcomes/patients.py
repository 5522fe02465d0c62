"""A table and its ``OutcomesConfig`` -> ``Patients``: follow-up, calcium and covariates of each, ready for analysis."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats, Ints, Mask
from ctacal.categories import CATEGORIES
from ctacal.errors import UsageError
from ctacal.evaluate.outcomes.config import OutcomesConfig, ReadingConfig, SubgroupConfig
from ctacal.evaluate.outcomes.follow_up import follow_up
from ctacal.evaluate.readings import Column, Readings, read_readings
from ctacal.statistics.agreement import risk_categories
from ctacal.statistics.survival.survival_data import SurvivalData

if TYPE_CHECKING:
    import pandas as pd

Rows = Mask | NDArray[np.intp]
"""A flag for each patient, or places."""

MOST_GROUPS = 6
"""Values of a subgroup's column without a cut."""


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


def read_patients(path: Path, config: OutcomesConfig, *, drop: Collection[str] = ()) -> Patients:
    """Read the table. Raises ``UsageError`` naming the column that is not there, or the row that is at fault."""
    numbers, text = _columns(config)
    readings = read_readings(path, numbers, identifier=config.identifier or None, text=text, drop=drop)
    return patients_of(readings, config)


def _columns(config: OutcomesConfig) -> tuple[list[Column], list[str]]:
    """What is read as numbers, and what as text."""
    outcome = config.outcome
    times = {outcome.time, *(one.time for one in outcome.component)} - {""}
    events = {outcome.event, *(one.event for one in outcome.component)} - {""}
    readings = [one for one in (config.model, config.reader) if one]
    text = {*config.categorical, *(one.category for one in readings)} - {""}
    split = {one.column for one in config.subgroups()} - text
    measured = {one for one in config.adjusted if one not in text}
    words = {one.column for one in config.subgroups() if one.cut is None} - measured - text
    numbers = [Column(outcome.time)]
    numbers += [Column(one, may_be_missing=True) for one in sorted(times - {outcome.time})]
    numbers += [Column(one, one_of=(0, 1)) for one in sorted(events)]
    numbers += [Column(one.score) for one in readings if one.score]
    numbers += [Column(one, least=None, may_be_missing=True) for one in sorted(measured | (split - words))]
    seen = {one.name: one for one in reversed(numbers)}
    return list(seen.values()), sorted((text | words) - {config.identifier})


def patients_of(readings: Readings, config: OutcomesConfig) -> Patients:
    """Of a table that is read."""
    table = readings.table
    followed = follow_up(table, config, readings.source)
    if not followed.kept.any():
        raise UsageError(f"{readings.source}: outcome.early = 'exclude' leaves no patient")
    whole = Patients(
        config,
        SurvivalData(followed.years, followed.event),
        followed.cause,
        followed.kinds,
        _reading(table, config.model, readings.source, "model"),
        _reading(table, config.reader, readings.source, "reader") if config.reader else None,
        tuple(_covariate(table, column, config) for column in config.adjusted),
        tuple(_subgroup(table, one, readings.source) for one in config.subgroups()),
        (readings.told, *followed.told),
    )
    return whole if followed.kept.all() else whole.take(followed.kept)


def _reading(table: "pd.DataFrame", reading: ReadingConfig, source: Path, place: str) -> Reading:
    score = table[reading.score].to_numpy(np.float64) if reading.score else None
    if reading.category:
        known = {**{name: one for one, name in enumerate(CATEGORIES)}, **{str(one): one for one in range(1, 4)}}
        cells = table[reading.category].map(lambda cell: known.get("".join(str(cell).split())))
        if cells.isna().any():
            strange = table[reading.category][cells.isna()].iloc[0]
            known_ones = f"expected {', '.join(CATEGORIES)}, or 0 to 3"
            raise UsageError(f"{source}, {place}.category: column {reading.category} holds {strange!r}, {known_ones}")
        return Reading(reading.name, cells.to_numpy(np.int64), score)
    return Reading(reading.name, _categories(score), score)


def _categories(score: Floats | None) -> Ints:
    """As ``agreement.risk_categories``, of many."""
    assert score is not None  # ReadingConfig asks for one of the two
    distinct, place = np.unique(score, return_inverse=True)
    return risk_categories(distinct)[place]


def _covariate(table: "pd.DataFrame", column: str, config: OutcomesConfig) -> Covariate:
    if column not in config.categorical:
        values = table[column].to_numpy(np.float64)
        return Covariate(column, config.label(column), values, per=config.per.get(column, 1.0))
    levels, codes = _levels(table[column])
    return Covariate(column, config.label(column), np.where(codes < 0, np.nan, codes).astype(np.float64), levels)


def _levels(cells: "pd.Series") -> tuple[tuple[str, ...], Ints]:
    """Values as text in order (numbers as numbers), and (n,) the place of each, -1 where missing."""
    codes, distinct = cells.factorize()
    words = [f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in distinct]
    order = sorted(range(len(words)), key=lambda one: (_number(words[one]), words[one]))
    place = np.empty(len(words) + 1, np.int64)
    place[order], place[-1] = np.arange(len(words)), -1
    return tuple(words[one] for one in order), place[codes]


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("inf")


def _subgroup(table: "pd.DataFrame", split: SubgroupConfig, source: Path) -> Subgroup:
    cells = table[split.column]
    if split.cut is not None:
        values = cells.to_numpy(np.float64)
        group = np.where(np.isnan(values), -1, values >= split.cut).astype(np.int64)
        words = (f"< {split.cut:g}", f"≥ {split.cut:g}")
        called = tuple(split.labels.get(key, word) for key, word in zip(("below", "from"), words, strict=True))
        return Subgroup(split.name, group, called)
    levels, group = _levels(cells)
    if len(levels) > MOST_GROUPS:
        told = f"column {split.column} has {len(levels)} values, expected at most {MOST_GROUPS}; give a cut"
        raise UsageError(f"{source}, subgroup {split.name}: {told}")
    return Subgroup(split.name, group, tuple(split.labels.get(level, level) for level in levels))
