"""The effect of calcium on several endpoints, adjusted for several sets of covariates."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ctacal.evaluate.outcomes.figures import ForestRow, draw_forest
from ctacal.evaluate.outcomes.models import fit, one_column, ratio, together
from ctacal.evaluate.outcomes.part import LABELS, Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients, Reading
from ctacal.evaluate.publication import Cell, Chart, Section, Table, listed
from ctacal.statistics.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEP = "per category"
"""Name of the measure in the figure: the hazard ratio for one step up the four categories."""


def endpoints_part(patients: Patients) -> Part:
    """Return hazard ratios by endpoint and set of covariates, of patients with all covariates."""
    complete = patients.take(patients.complete)
    title = "Endpoints and adjustment"
    if not complete.data.n:
        reason = "No patient has all covariates."
        return Part(Section(title, (reason,)), {"reason": reason})
    sets, cohorts = adjustments(patients), by_endpoint(complete)
    numbers: dict[str, Any] = {name: {"n": own.data.n, "events": own.data.events} for name, own in cohorts}
    tables = [_table(cohorts, sets, k, numbers) for k in range(len(complete.readings))]
    return Part(Section(title, (_words(patients), *tables, _chart(cohorts, sets, numbers))), numbers)


def adjustments(patients: Patients) -> list[tuple[str, tuple[str, ...]]]:
    """Return names and columns of the sets: none, those named, and all covariates."""
    config = patients.config
    named = [(one.name, one.covariates) for one in config.adjustment]
    return [("Unadjusted", ()), *named, *([("All covariates", config.adjusted)] if config.adjusted else [])]


def by_endpoint(complete: Patients) -> list[tuple[str, Patients]]:
    """Return the patients with the follow-up of the outcome, and with that of each further endpoint."""
    others = [(one.name, replace(complete, data=one.data).take(one.included)) for one in complete.endpoints]
    return [(complete.config.outcome.name, complete), *others]


def _words(patients: Patients) -> str:
    outcome = patients.config.outcome
    parts = [f"{one.name}: first of {listed(list(one.components))}" for one in patients.config.endpoint]
    untimed = [part.name for part in outcome.component if not outcome.event_time(part)]
    ends = (
        f" {listed(untimed)} have no time of their own in the table: follow-up ends at the time of the outcome, so "
        "that a later event of another kind is not known."
        if len(untimed) > 1 and parts
        else ""
    )
    sets = [
        f"{one.name}: {listed([patients.config.label(column) for column in one.covariates])}"
        for one in patients.config.adjustment
    ]
    told = ". ".join([*parts, *sets])
    rates = " An endpoint without death is censored at death: it is the rate among those alive." if parts else ""
    return f"{told}.{rates}{ends}"


def _table(
    cohorts: Sequence[tuple[str, Patients]],
    sets: Sequence[tuple[str, tuple[str, ...]]],
    place: int,
    numbers: dict[str, Any],
) -> Table:
    notes = Footnotes("Cox models with Efron's method for ties, of patients with all covariates.")
    first = cohorts[0][1].readings[place]
    rows: list[tuple[Cell, ...]] = []
    for name, own in cohorts:
        rows.append((f"{name} ({own.data.events:,} of {own.data.n:,})",))
        for label, columns in sets:
            found = category_ratios(own, own.readings[place], columns)
            numbers[name].setdefault(first.name, {})[label] = found
            cells = [notes.figure(found[str(k)]) if str(k) in found else "" for k in first.present[1:]]
            rows.append((f"  {label}", *cells, notes.figure(found[STEP])))
    heads = [f"{LABELS[k]}: HR (95 % CI)" for k in first.present[1:]]
    title = f"Hazard ratios by endpoint and adjustment, {first.name} (reference {LABELS[first.present[0]]})"
    name = f"endpoints_{place + 1}"
    return Table(title, ("", *heads, "Per category: HR (95 % CI)"), tuple(rows), notes.all, name=name)


def category_ratios(own: Patients, reading: Reading, columns: tuple[str, ...]) -> dict[str, Estimate]:
    """Return the hazard ratio of each category by its index, and that of a step."""
    adjusted = own.adjusted(columns)
    names = reading.by_category()[0]
    model = fit(own, together(reading.by_category(), adjusted))
    found = {str(k): ratio(model, name) for k, name in zip(reading.present[1:], names, strict=True)}
    step = fit(own, together(one_column(STEP, reading.category.astype(np.float64)), adjusted))
    return found | {STEP: ratio(step, STEP)}


def _chart(
    cohorts: Sequence[tuple[str, Patients]], sets: Sequence[tuple[str, tuple[str, ...]]], numbers: dict[str, Any]
) -> Chart:
    series = tuple(reading.name for reading in cohorts[0][1].readings)
    rows: list[ForestRow] = []
    for name, own in cohorts:
        rows.append(ForestRow(f"{name} ({own.data.events:,} of {own.data.n:,})"))
        rows += [ForestRow(f"  {label}", tuple(numbers[name][one][label][STEP] for one in series)) for label, _ in sets]

    def draw(figure: "Figure") -> None:
        draw_forest(figure, rows, series, "Hazard ratio per category step")

    caption = (
        "Hazard ratio per step of the calcium category for each endpoint (events of patients) and set of covariates, "
        "with 95 % intervals."
    )
    return Chart("Forest plot of endpoints and adjustment", caption, draw, "double", 22 + 6.2 * len(rows))
