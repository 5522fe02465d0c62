"""A table and its ``OutcomesConfig`` -> ``Patients``."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ctacal.arrays import Floats, Ints
from ctacal.categories import category_indices
from ctacal.errors import UsageError
from ctacal.evaluate.outcomes.columns import column_rows
from ctacal.evaluate.outcomes.config import CentreConfig, EndpointConfig, OutcomesConfig, ReadingConfig, SubgroupConfig
from ctacal.evaluate.outcomes.doubts import children, doubts_of, notes_on_fractions, rows_read, without_identifier
from ctacal.evaluate.outcomes.follow_up import follow_up, time_doubts
from ctacal.evaluate.outcomes.formulas import given_risk
from ctacal.evaluate.outcomes.levels import levels_of, rare_levels, recoded
from ctacal.evaluate.outcomes.patients import Covariate, Endpoint, Flow, GivenRisk, Patients, Reading, Subgroup, Window
from ctacal.evaluate.readings import (
    Coding,
    Column,
    RawTable,
    Readings,
    TableForm,
    as_text,
    check,
    need,
    open_table,
    without_unknown,
)
from ctacal.evaluate.readings.dates import both_orders, days
from ctacal.evaluate.readings.plausible import (
    DAYS_PER,
    MOST_AGATSTON,
    MOST_AGE_YEARS,
    MOST_FOLLOW_UP_YEARS,
    meaning_of,
    usual_range,
)
from ctacal.statistics.survival.survival_data import SurvivalData

if TYPE_CHECKING:
    import pandas as pd

DROPPED: Mapping[str, str] = {
    "missing": "a value is missing",
    "not-a-number": "a word among numbers",
    "out-of-range": "a value out of range",
    "duplicated": "patient occurs twice",
}
"""Why rows were left out on request, by kind of fault."""

VESSELS = ("LM", "LAD", "LCX", "RCA")
"""The vessels whose number a column can hold."""

MOST_STRATA = 20
"""Most values of a column by which the models may be stratified (own choice)."""

MOST_GROUPS = 6
"""Most values that a subgroup's column may have without a cut."""


def read_patients(
    path: Path, config: OutcomesConfig, *, drop: Collection[str] = (), form: TableForm | None = None
) -> Patients:
    """Read the table; ``form`` takes the place of ``config.table``.

    Raises ``UsageError`` naming a missing column, a column that cannot be what it should be, or a row with a fault.
    """
    form = form or config.table
    raw = _with_computed(open_table(path, form, wanted=_wanted(config)), config, form)
    numbers, text = _columns(config)
    readings = check(raw, numbers, identifier=config.identifier or None, text=text, drop=drop, form=form)
    found = patients_of(readings, config)
    repeated = () if config.identifier else without_identifier(raw)
    return replace(
        found,
        doubts=(*rows_read(readings), *repeated, *found.doubts, *children(readings), *doubts_of(found)),
        notes=(*found.notes, *notes_on_fractions(found)),
    )


def _wanted(config: OutcomesConfig) -> list[str]:
    """Return the columns that the table must have; the others are computed from dates."""
    return [name for name in config.columns() if not (config.age_from and name == config.age)]


def _with_computed(raw: RawTable, config: OutcomesConfig, form: TableForm) -> RawTable:
    """Add the columns that are computed from dates: follow-up, times of events, age."""
    outcome, cells = config.outcome, raw.cells
    need(cells, _wanted(config), raw.source)
    if problem := both_orders({name: cells[name] for name in _dates(config)}):
        raise UsageError(f"{raw.source}: {problem}")

    def day(column: str) -> Floats:
        known = without_unknown(cells[column], form.unknown(column))
        return days(known, column, raw.source, form.dates)

    added: dict[str, Floats] = {}
    if outcome.start:
        added[outcome.follow_up] = day(outcome.end) - day(outcome.start)
        added |= {
            outcome.event_time(part): day(part.date) - day(outcome.start) for part in outcome.component if part.date
        }
    if config.age_from:
        if config.age in cells.columns:
            raise UsageError(f"{raw.source} has a column {config.age}; remove age_from, or give age another name")
        birth, at = day(config.age_from.birth), day(config.age_from.at)
        added[config.age] = np.floor((at - birth) / DAYS_PER["years"] * 10) / 10
    return replace(raw, cells=cells.assign(**added)) if added else raw


def _dates(config: OutcomesConfig) -> Iterator[str]:
    """Yield the columns of dates."""
    named = [config.outcome.start, config.outcome.end, *(part.date for part in config.outcome.component)]
    named += [config.age_from.birth, config.age_from.at] if config.age_from else []
    yield from filter(None, dict.fromkeys(named))


def _columns(config: OutcomesConfig) -> tuple[list[Column], list[str]]:
    """Return the columns to read as numbers, events and categories, and those to read as text."""
    readings = [reading for reading in (config.model, config.reader) if reading]
    text = {*config.categorical} - {""}
    split = {subgroup.column for subgroup in config.subgroups()} - text
    measured = {column for column in config.adjusted if column not in text}
    words = {subgroup.column for subgroup in config.subgroups() if subgroup.cut is None} - measured - text
    formula = {column for risk in config.risk for column in risk.numbers} - text
    numbers = [*_outcome_columns(config)]
    numbers += [_score(reading.score) for reading in readings if reading.score]
    numbers += [
        Column(name, most=MOST_AGATSTON if len(reading.vessels) > 1 else len(VESSELS))
        for reading in readings
        for name in reading.vessels
    ]
    numbers += [
        Column(reading.category, is_category=True, words=reading.words) for reading in readings if reading.category
    ]
    numbers += [_covariate_column(name, config) for name in sorted(measured | formula | (split - words))]
    seen = {column.name: column for column in reversed(numbers)}
    words |= {config.centre.column} if config.centre else set()
    words |= {column for risk in config.risk for column in risk.words} - measured - split - text - formula
    return list(seen.values()), sorted((text | words) - {config.identifier})


def _outcome_columns(config: OutcomesConfig) -> Iterator[Column]:
    outcome = config.outcome
    longest = round(MOST_FOLLOW_UP_YEARS * DAYS_PER["years"] / DAYS_PER[outcome.unit])
    dates = "Follow-up can be computed from two dates: outcome.start and outcome.end in place of outcome.time"
    yield Column(
        outcome.follow_up, most=longest, meaning="follow-up", unit=outcome.unit, is_outcome=True, if_dates=dates
    )
    for part in outcome.component:
        coding = Coding(part.yes or outcome.yes, part.no or outcome.no)
        yield Column(part.event, coding=coding, is_outcome=True)
        if own := outcome.event_time(part):
            yield Column(own, unit=outcome.unit, may_be_missing=True, is_outcome=True)
    if outcome.event:
        yield Column(outcome.event, coding=Coding(outcome.yes, outcome.no), is_outcome=True)


def _score(name: str) -> Column:
    instead = f'To analyse the categories alone, write category = "{name}" in place of score'
    return Column(
        name, most=MOST_AGATSTON, meaning="score", unit="Agatston", if_bounds=instead, if_words=instead,
        if_implausible=instead,
    )  # fmt: skip


def _covariate_column(name: str, config: OutcomesConfig) -> Column:
    hint = f'If these are categories, say categorical = ["{name}"] in the TOML'
    meaning = meaning_of(name)
    if name == config.age:
        meaning = "age"
    elif name == config.ejection_fraction:
        meaning = "ejection fraction"
    elif config.perfusion and name == config.perfusion.column and config.perfusion.abnormal_from > 1:
        meaning = "percent"
    if meaning == "age":
        dates = 'Age can be computed: age = "age" and age_from = { birth = "...", at = "..." } in the TOML'
        return Column(
            name, above_least=True, most=MOST_AGE_YEARS, may_be_missing=True, meaning=meaning, unit="years",
            if_words=hint, if_dates=dates,
        )  # fmt: skip
    if meaning == "ejection fraction":
        return Column(
            name, least=1.0, most=100.0, above_least=True, may_be_missing=True, meaning=meaning, unit="%", if_words=hint
        )
    if config.perfusion and name == config.perfusion.column:
        return Column(name, may_be_missing=True, meaning=meaning, if_words=hint)
    if known := usual_range(name):
        least, most, unit = known
        return Column(name, least=least, most=most, unit=unit, may_be_missing=True, if_words=hint)
    return Column(name, least=None, may_be_missing=True, meaning=meaning, is_measurement=True, if_words=hint)


def patients_of(readings: Readings, config: OutcomesConfig) -> Patients:
    """Return the patients of a table that has been read."""
    table = readings.table
    followed = follow_up(table, config, readings.source)
    if not followed.kept.any():
        raise UsageError(f"{readings.source}: outcome.early = {config.outcome.early!r} leaves no patient")
    covariates = tuple(_covariate(table, column, config, readings.source) for column in config.adjusted)
    _check_strata(covariates, config, readings.source)
    in_levels = _with_levels(table, config, readings.source)
    rare = [rare_levels(own.label, own.levels, own.codes) for own in covariates if own.levels]
    whole = Patients(
        config,
        SurvivalData(followed.years, followed.event),
        followed.cause,
        followed.kinds,
        _reading(table, config.model),
        _reading(table, config.reader) if config.reader else None,
        covariates,
        tuple(_subgroup(table, split, config, readings.source) for split in config.subgroups()),
        (readings.summary, *readings.told, *followed.notes, *filter(None, rare)),
        columns=column_rows(readings, config, covariates),
        centre=_centre(table, config.centre, config, readings.source) if config.centre else None,
        risks=tuple(
            GivenRisk(
                risk.name,
                given_risk(in_levels, risk, readings.source),
                risk.horizon_years or config.analysis.horizon_years,
            )
            for risk in config.risk
        ),
        endpoints=tuple(_endpoint(table, config, endpoint, readings.source) for endpoint in config.endpoint),
        doubts=tuple(time_doubts(table, config, readings.source)),
        flow=Flow(readings.rows_read, (*_dropped(readings), *followed.excluded)),
    )
    found = whole if followed.kept.all() else whole.take(followed.kept)
    if not config.outcome.revascularisation:
        return found
    return replace(found, windows=tuple(_windows(table, whole, readings.source)))


def _windows(table: "pd.DataFrame", whole: Patients, source: Path) -> Iterator[Window]:
    """Yield the follow-up under each rule for early revascularisation."""
    config = whole.config
    everybody = replace(whole, subgroups=(), risks=(), endpoints=(), centre=None)
    rules: tuple[Literal["count", "ignore", "exclude", "landmark"], ...] = ("count", "ignore", "exclude", "landmark")
    for rule in rules:
        own = replace(config, outcome=replace(config.outcome, early=rule))
        followed = follow_up(table, own, source)
        yield Window(rule, everybody, SurvivalData(followed.years, followed.event), followed.kept)


def _dropped(readings: Readings) -> Iterator[tuple[str, int]]:
    for kind, number in readings.dropped_by_kind.items():
        yield DROPPED[kind], number


def _check_strata(covariates: tuple[Covariate, ...], config: OutcomesConfig, source: Path) -> None:
    for covariate in covariates:
        values = len(np.unique(covariate.values[~np.isnan(covariate.values)]))
        if covariate.column in config.strata and values > MOST_STRATA:
            raise UsageError(
                f"{source}, strata: column {covariate.column} has {values:,} different values, expected at most "
                f"{MOST_STRATA}: patients are compared within a stratum only. Name a column of groups"
            )


def _reading(table: "pd.DataFrame", reading: ReadingConfig) -> Reading:
    score = table[reading.score].to_numpy(np.float64) if reading.score else None
    vessels = _vessels(table[list(reading.vessels)].to_numpy(np.float64)) if reading.vessels else None
    if reading.category:
        return Reading(reading.name, table[reading.category].to_numpy(np.int64), score, vessels)
    assert score is not None  # ReadingConfig requires a score or a category
    return Reading(reading.name, category_indices(score), score, vessels)


def _vessels(columns: Floats) -> Ints:
    """Return (n,) the number of diseased vessels from (n, 1) numbers, or from (n, vessels) scores."""
    count = columns[:, 0] if columns.shape[1] == 1 else (columns > 0).sum(axis=1)
    return count.astype(np.int64)


def _covariate(table: "pd.DataFrame", column: str, config: OutcomesConfig, source: Path) -> Covariate:
    if column not in config.categorical:
        values = table[column].to_numpy(np.float64)
        return Covariate(column, config.label(column), values, per=config.per.get(column, 1.0))
    levels, codes = _levels(table[column], config, source)
    return Covariate(column, config.label(column), np.where(codes < 0, np.nan, codes).astype(np.float64), levels)


def _levels(cells: "pd.Series", config: OutcomesConfig, source: Path) -> tuple[tuple[str, ...], Ints]:
    name = str(cells.name)
    text = as_text(cells) if cells.dtype != object else cells
    return levels_of(text, source, config.levels.get(name, ()), config.recode.get(name))


def _with_levels(table: "pd.DataFrame", config: OutcomesConfig, source: Path) -> "pd.DataFrame":
    """Return the table with the levels of the columns whose words a formula asks for, as they are recoded."""
    words = dict.fromkeys(name for risk in config.risk for name in risk.words)
    return table.assign(**{name: recoded(as_text(table[name]), source, config.recode.get(name)) for name in words})


def _endpoint(table: "pd.DataFrame", config: OutcomesConfig, endpoint: EndpointConfig, source: Path) -> Endpoint:
    """Return the follow-up to the first of some components; the early window applies if it is about one of them."""
    outcome = config.outcome
    parts = tuple(replace(part, in_outcome=True) for part in outcome.component if part.name in endpoint.components)
    windowed = outcome.early == "landmark" or outcome.revascularisation in endpoint.components
    own = replace(
        outcome, component=parts, competing="", early=outcome.early if windowed else "count",
        revascularisation=outcome.revascularisation if outcome.revascularisation in endpoint.components else "",
    )  # fmt: skip
    followed = follow_up(table, replace(config, outcome=own, endpoint=()), source)
    return Endpoint(endpoint.name, SurvivalData(followed.years, followed.event), followed.kept)


def _centre(table: "pd.DataFrame", centre: CentreConfig, config: OutcomesConfig, source: Path) -> Subgroup:
    """Return the centre of each patient; raise ``UsageError`` if one has none, or the tests leave none to fit to."""
    labels, group = _levels(table[centre.column], config, source)
    where = f"{source}, centre.column: column {centre.column}"
    if (unknown := int((group < 0).sum())) > 0:
        raise UsageError(f"{where} is empty in {unknown:,} rows, the first is row {int((group < 0).argmax()) + 2}")
    if strange := set(centre.test) - set(labels):
        raise UsageError(f"{where} has no centre {', '.join(sorted(strange))} (centre.test), only {', '.join(labels)}")
    if set(centre.test) == set(labels):
        raise UsageError(f"{where}: centre.test names all centres, so that no patients are left to fit the models to")
    return Subgroup("Centre", group, labels)


def _subgroup(table: "pd.DataFrame", split: SubgroupConfig, config: OutcomesConfig, source: Path) -> Subgroup:
    cells = table[split.column]
    if split.cut is not None:
        values = cells.to_numpy(np.float64)
        group = np.where(np.isnan(values), -1, values >= split.cut).astype(np.int64)
        words = (f"< {split.cut:g}", f"≥ {split.cut:g}")
        labels = tuple(split.labels.get(key, word) for key, word in zip(("below", "from"), words, strict=True))
        return Subgroup(split.name, group, labels)
    levels, group = _levels(cells, config, source)
    if len(levels) > MOST_GROUPS:
        problem = f"column {split.column} has {len(levels)} values, expected at most {MOST_GROUPS}; give a cut"
        raise UsageError(f"{source}, subgroup {split.name}: {problem}")
    return Subgroup(split.name, group, tuple(split.labels.get(level, level) for level in levels))
