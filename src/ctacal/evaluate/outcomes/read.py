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
"""Most values that a subgroup's column may have without a cut."""


def read_patients(path: Path, config: OutcomesConfig, *, drop: Collection[str] = ()) -> Patients:
    """Read the table. Raises ``UsageError`` naming a missing column or a row with a fault."""
    numbers, text = _columns(config)
    readings = read_readings(path, numbers, identifier=config.identifier or None, text=text, drop=drop)
    return patients_of(readings, config)


def _columns(config: OutcomesConfig) -> tuple[list[Column], list[str]]:
    """Return the columns to read as numbers, and those to read as text."""
    outcome = config.outcome
    times = {outcome.time, *(part.time for part in outcome.component)} - {""}
    events = {outcome.event, *(part.event for part in outcome.component)} - {""}
    readings = [reading for reading in (config.model, config.reader) if reading]
    text = {*config.categorical, *(reading.category for reading in readings)} - {""}
    split = {subgroup.column for subgroup in config.subgroups()} - text
    measured = {column for column in config.adjusted if column not in text}
    words = {subgroup.column for subgroup in config.subgroups() if subgroup.cut is None} - measured - text
    numbers = [Column(outcome.time)]
    numbers += [Column(name, may_be_missing=True) for name in sorted(times - {outcome.time})]
    numbers += [Column(name, one_of=(0, 1)) for name in sorted(events)]
    numbers += [Column(reading.score) for reading in readings if reading.score]
    numbers += [Column(name, least=None, may_be_missing=True) for name in sorted(measured | (split - words))]
    seen = {column.name: column for column in reversed(numbers)}
    return list(seen.values()), sorted((text | words) - {config.identifier})


def patients_of(readings: Readings, config: OutcomesConfig) -> Patients:
    """Return the patients of a table that has been read."""
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
        tuple(_subgroup(table, split, readings.source) for split in config.subgroups()),
        (readings.summary, *followed.notes),
    )
    return whole if followed.kept.all() else whole.take(followed.kept)


def _reading(table: "pd.DataFrame", reading: ReadingConfig, source: Path, place: str) -> Reading:
    score = table[reading.score].to_numpy(np.float64) if reading.score else None
    if reading.category:
        names = {name: index for index, name in enumerate(CATEGORIES)}
        known = names | {str(index): index for index in range(1, len(CATEGORIES))}
        cells = table[reading.category].map(lambda cell: known.get("".join(str(cell).split())))
        if cells.isna().any():
            strange = table[reading.category][cells.isna()].iloc[0]
            expected = f"expected {', '.join(CATEGORIES)}, or 0 to 3"
            raise UsageError(f"{source}, {place}.category: column {reading.category} holds {strange!r}, {expected}")
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
    """Return the values as text, in order (numbers by size), and (n,) the index of each, -1 if missing."""
    codes, distinct = cells.factorize()
    words = [f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in distinct]
    order = sorted(range(len(words)), key=lambda index: (_number(words[index]), words[index]))
    place = np.empty(len(words) + 1, np.int64)
    place[order], place[-1] = np.arange(len(words)), -1
    return tuple(words[index] for index in order), place[codes]


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
        labels = tuple(split.labels.get(key, word) for key, word in zip(("below", "from"), words, strict=True))
        return Subgroup(split.name, group, labels)
    levels, group = _levels(cells)
    if len(levels) > MOST_GROUPS:
        problem = f"column {split.column} has {len(levels)} values, expected at most {MOST_GROUPS}; give a cut"
        raise UsageError(f"{source}, subgroup {split.name}: {problem}")
    return Subgroup(split.name, group, tuple(split.labels.get(level, level) for level in levels))
