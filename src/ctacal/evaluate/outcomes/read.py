"""A table and its ``OutcomesConfig`` -> ``Patients``."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctacal.arrays import Floats, Ints
from ctacal.categories import CATEGORIES, category_indices
from ctacal.errors import UsageError
from ctacal.evaluate.outcomes.config import OutcomesConfig, ReadingConfig, SubgroupConfig
from ctacal.evaluate.outcomes.follow_up import follow_up
from ctacal.evaluate.outcomes.patients import Covariate, Patients, Reading, Subgroup
from ctacal.evaluate.readings import Column, Readings, read_readings
from ctacal.statistics.survival.survival_data import SurvivalData

if TYPE_CHECKING:
    import pandas as pd

MOST_GROUPS = 6
"""Values of a subgroup's column without a cut."""


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
    """(n,): the risk category of each score."""
    assert score is not None  # ReadingConfig requires a score or a category
    return category_indices(score)


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
