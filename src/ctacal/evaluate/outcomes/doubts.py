"""What the reader of a report must check of values that were read: units, codings, scales, duplicates."""

from collections.abc import Iterator

import numpy as np

from ctacal.arrays import Floats
from ctacal.evaluate.outcomes.levels import abbreviated_levels, unknown_levels
from ctacal.evaluate.outcomes.patients import Covariate, Patients
from ctacal.evaluate.publication import percent
from ctacal.evaluate.readings import RawTable, Readings, as_text
from ctacal.evaluate.readings.identifiers import alike, names_an_identifier
from ctacal.evaluate.readings.mixed_units import centre_doubt, mixed_doubt, mixed_ratio_doubt
from ctacal.evaluate.readings.plausible import (
    ADULT_YEARS,
    codes_doubt,
    flag_doubt,
    scale_doubt,
    score_doubts,
    shown,
)
from ctacal.evaluate.readings.spoiled import ceiling_doubt, pair_doubts, rows_doubt
from ctacal.statistics.survival.survival_curve import kaplan_meier
from ctacal.statistics.survival.survival_data import SurvivalData

FEW_EVENTS, TOO_HIGH = 10, 3.0
"""Events from which on a mean risk this many times the observed one is doubted (own choice)."""

FRACTION_AS_PERCENT = 0.01
"""Highest risk that a fraction of 1 becomes if it is read as a percentage."""

FEW_LOW_EVENTS, MANY_TIMES = 5, 10.0
"""Events of patients with such risks, and how many times the expected ones, from which on to ask (own choice)."""


def doubts_of(patients: Patients) -> Iterator[str]:
    """Yield a sentence on each value or column that may be other than it seems."""
    yield from _doubtful_scores(patients)
    yield from _doubtful_columns(patients)
    yield from _doubtful_risks(patients)


def without_identifier(raw: RawTable) -> Iterator[str]:
    """Yield what speaks for patients who occur twice, if the TOML names no identifier."""
    cells = raw.cells
    for name in cells.columns:
        if names_an_identifier(name):
            own = as_text(cells[name]).dropna().map(alike)
            again = int(own.duplicated().sum())
            repeats = f": {again:,} of its cells repeat another" if again else ""
            yield f'No identifier is named. Column {name} may be one{repeats}; name it with identifier = "{name}".'
            return
    equal = int(cells.duplicated().sum())
    repeats = f"; {equal:,} rows equal another in every column" if equal else ""
    yield f"No identifier is named, so patients who occur twice are not noticed{repeats}."


def _doubtful_scores(patients: Patients) -> Iterator[str]:
    for reading in patients.readings:
        if reading.score is not None:
            own = mixed_doubt(reading.score), ceiling_doubt(reading.score), _by_centre(patients, reading.score)
            found = *score_doubts(reading.score), *own
            yield from (f"{reading.name} {doubt}" for doubt in found if doubt)
    model, reader = patients.model, patients.reader
    if reader and model.score is not None and reader.score is not None:
        found = scale_doubt(model.score, reader.score), mixed_ratio_doubt(model.score, reader.score)
        yield from (f"{model.name} {doubt}" for doubt in found if doubt)
        yield from pair_doubts(model.name, model.score, reader.name, reader.score)


def _by_centre(patients: Patients, values: Floats) -> str:
    centre = patients.centre
    return "" if centre is None else centre_doubt(values, centre.group, centre.labels)


def _gaps_for_no(covariate: Covariate) -> str:
    """Return a question about a column of one value and gaps, "" for another; follows the name of the column."""
    known = covariate.values[~np.isnan(covariate.values)]
    if not covariate.missing or len(np.unique(known)) != 1:
        return ""
    only = repr(covariate.levels[int(known[0])]) if covariate.levels else shown(float(known[0]))
    return (
        f"holds nothing but {only}, and is empty for {covariate.missing:,} of {len(covariate.values):,} patients: do "
        "empty cells mean no? Then write that"
    )


def _doubtful_columns(patients: Patients) -> Iterator[str]:
    """Yield what to check of covariates: flags with other values, levels that mean unknown, one side of perfusion."""
    for own in patients.covariates:
        if doubt := _gaps_for_no(own):
            yield f"Column {own.column} {doubt}"
        if own.levels:
            yield from abbreviated_levels(own.column, own.levels)
            yield from unknown_levels(own.column, own.levels, own.codes)
        else:
            found = (
                flag_doubt(own.values), mixed_doubt(own.values), _by_centre(patients, own.values),
                codes_doubt(own.column, own.values),
            )  # fmt: skip
            yield from (f"Column {own.column} {doubt}" for doubt in found if doubt)
    if perfusion := patients.config.perfusion:
        known = patients.covariate(perfusion.column).values
        abnormal = known[~np.isnan(known)] >= perfusion.abnormal_from
        if len(abnormal) and abnormal.all() | ~abnormal.any():
            side = "abnormal" if abnormal.all() else "normal"
            yield (
                f"Perfusion is {side} in all patients, from {perfusion.abnormal_from:g} of {perfusion.column} on: "
                "is the column coded otherwise?"
            )


def _doubtful_risks(patients: Patients) -> Iterator[str]:
    for risk in patients.risks:
        there = ~np.isnan(risk.values)
        data, values = patients.data.take(there), risk.values[there]
        named = f"The given risk {risk.name}"
        written = risk.values * (100 if _is_percent(patients, risk.name) else 1)
        yield from (f"{named} {doubt}" for doubt in (mixed_doubt(written), _by_centre(patients, written)) if doubt)
        survival = kaplan_meier(data).at(risk.horizon_years).estimate
        if patients.data.events < FEW_EVENTS or survival is None:
            continue
        mean, observed = float(values.mean()), 1 - survival
        if mean > TOO_HIGH * observed:
            yield (
                f"The mean of the given risk {risk.name} is {mean:.1%}, and {observed:.1%} had the event by "
                f"{risk.horizon_years:g} years: is it a survival, in another unit, or of another horizon?"
            )
        elif doubt := _events_of_low_risks(data, values, risk.horizon_years):
            yield f"{named} {doubt}"


def _is_percent(patients: Patients, name: str) -> bool:
    return any(own.percent for own in patients.config.risk if own.name == name)


def _events_of_low_risks(data: SurvivalData, risk: Floats, horizon: float) -> str:
    """Return what events at risks of at most 1 % say of fractions of 1 among percentages; "" if nothing."""
    happened = data.event & (data.time <= horizon)
    low = risk <= FRACTION_AS_PERCENT
    expected = {part: max(float(risk[rows].sum()), 1e-9) for part, rows in (("low", low), ("high", ~low))}
    events = {part: int(happened[rows].sum()) for part, rows in (("low", low), ("high", ~low))}
    usual = max(1.0, events["high"] / expected["high"])
    if events["low"] < FEW_LOW_EVENTS or events["low"] < MANY_TIMES * usual * expected["low"]:
        return ""
    times = events["low"] / expected["low"]
    return (
        f"is at most {percent(FRACTION_AS_PERCENT, 0)} in {int(low.sum()):,} patients, of whom {events['low']:,} had "
        f"the event, {times:,.0f} times as many as their risks say: are these fractions of 1 among percentages?"
    )


def notes_on_fractions(patients: Patients) -> Iterator[str]:
    """Yield how many values were read as less than 1 %, which nothing in the table may show to be fractions of 1."""
    config = patients.config
    percentages = [(f"Risk {own.name}", 100 * patients.risk(own.name).values) for own in config.risk if own.percent]
    if config.perfusion and config.perfusion.abnormal_from > 1:
        percentages.append((f"Column {config.perfusion.column}", patients.covariate(config.perfusion.column).values))
    for name, values in percentages:
        if below := int(((values > 0) & (values < 1)).sum()):
            yield f"{name}: {below:,} of {len(values):,} values lie between 0 and 1 and were read as less than 1 %."


def rows_read(readings: Readings) -> Iterator[str]:
    """Yield a question about a table that a sheet may have cut."""
    if doubt := rows_doubt(readings.rows_read):
        yield doubt


def children(readings: Readings) -> Iterator[str]:
    """Yield a sentence on ages that no adult has."""
    for column in readings.columns:
        if column.meaning == "age" and (young := int((readings.table[column.name] < ADULT_YEARS).sum())):
            yield f"{young:,} patients are younger than {ADULT_YEARS:g} years by column {column.name}: is that right?"
