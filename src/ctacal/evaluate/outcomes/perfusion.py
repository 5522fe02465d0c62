"""Perfusion and calcium together: rates and risks in each cell, curves, and calcium within normal perfusion."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ctacal.arrays import Mask
from ctacal.evaluate.outcomes.figures import RiskRow, Step, draw_steps, thinned, year_ticks
from ctacal.evaluate.outcomes.models import fit, one_column, ratio, together, wald
from ctacal.evaluate.outcomes.part import LABELS, Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients, Reading
from ctacal.evaluate.publication import CATEGORY_COLOURS, Cell, Chart, Section, Table
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival.survival_curve import at_risk, event_rate, kaplan_meier

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NORMAL, ABNORMAL = "Normal perfusion", "Abnormal perfusion"

STEP = "per category"
"""Name of the hazard ratio for one step up the four categories."""


def perfusion_part(patients: Patients) -> Part:
    """Return events by perfusion and calcium, of patients whose perfusion is known."""
    perfusion = patients.config.perfusion
    assert perfusion is not None
    values = patients.covariate(perfusion.column).values
    sides = {NORMAL: values < perfusion.abnormal_from, ABNORMAL: values >= perfusion.abnormal_from}
    unknown = int(np.isnan(values).sum())
    words = (
        f"Perfusion is abnormal from {perfusion.abnormal_from:g} of {patients.config.label(perfusion.column)} on."
        + (f" {unknown:,} patients without it are left out." if unknown else "")
    )
    numbers: dict[str, Any] = {}
    content: list[str | Table | Chart] = [words, _cells(patients, sides, numbers)]
    content += [_curves(patients, name, rows) for name, rows in sides.items() if rows.any()]
    content.append(_within(patients.take(sides[NORMAL]), numbers))
    return Part(Section("Perfusion and calcium", tuple(content)), numbers)


def _cells(patients: Patients, sides: Mapping[str, Mask], numbers: dict[str, Any]) -> Table:
    horizon = patients.config.analysis.horizon_years
    notes = Footnotes("Rates with exact Poisson intervals; risk: 1 - Kaplan-Meier, log-log intervals.")
    rows: list[tuple[Cell, ...]] = []
    for reading in patients.readings:
        for name, side in sides.items():
            rows.append((f"{reading.name}, {name.lower()}",))
            for place in reading.present:
                data = patients.data.take(side & (reading.category == place))
                survival = kaplan_meier(data).at(horizon)
                ends = [None if end is None else 1 - end for end in (survival.estimate, survival.high, survival.low)]
                risk = Estimate(ends[0], ends[1], ends[2], f"1 - {survival.method}", data.n, survival.reason)
                rate = event_rate(data)
                cells = (notes.figure(rate, 2, 100), notes.figure(risk, 1, 100))
                rows.append((f"  {LABELS[place]}", data.n, data.events, *cells))
                found = {"n": data.n, "events": data.events, "rate_per_year": rate, "risk": risk}
                numbers.setdefault(reading.name, {}).setdefault(name, {})[LABELS[place]] = found
    columns = ("", "n", "Events", "Rate per 100 person-years (95 % CI)", f"Risk at {horizon:g} years, % (95 % CI)")
    title = f"{patients.config.outcome.name} by perfusion and calcium"
    return Table(title, columns, tuple(rows), notes.all, name="perfusion_and_calcium")


def _curves(patients: Patients, name: str, side: Mask) -> Chart:
    """Return the curves of the model's categories within normal or abnormal perfusion."""
    own, ticks = patients.take(side), year_ticks(patients.data.time)
    steps, risks = [], []
    for place in own.model.present:
        data = own.data.take(own.model.category == place)
        curve = kaplan_meier(data)
        shown = thinned(curve.times)
        low, high = 100 * (1 - curve.high[shown]), 100 * (1 - curve.low[shown])
        label, colour = LABELS[place], CATEGORY_COLOURS[place]
        steps.append(Step(label, colour, curve.times[shown], 100 * (1 - curve.survival[shown]), low, high))
        risks.append(RiskRow(label, colour, tuple(at_risk(data, ticks).tolist())))
    outcome = patients.config.outcome.name

    def draw(figure: "Figure") -> None:
        draw_steps(figure, steps, risks, ticks, f"Patients with {outcome} (%)", name)

    caption = (
        f"1 - Kaplan-Meier estimate of {outcome} by calcium category ({own.model.name}) within {name.lower()}, with "
        "95 % intervals (log-log); below the axis: patients at risk just before each tick."
    )
    return Chart(f"Calcium within {name.lower()}", caption, draw, height_mm=95)


def _within(normal: Patients, numbers: dict[str, Any]) -> Table | str:
    """Return the hazard ratios of calcium among patients with normal perfusion."""
    complete = normal.take(normal.complete)
    if not complete.data.events:
        return "Calcium within normal perfusion: no events among patients with all covariates."
    notes = Footnotes(
        "Cox models with Efron's method for ties, adjusted for the covariates, of patients with normal perfusion and "
        "all covariates."
    )
    rows: list[tuple[Cell, ...]] = []
    for reading in complete.readings:
        found = _ratios(complete, reading)
        numbers.setdefault("within_normal", {})[reading.name] = {name: one for name, (one, _, _) in found.items()}
        rows.append((reading.name,))
        rows += [(f"  {name}", n, notes.figure(one), p) for name, (one, n, p) in found.items()]
    title = f"Calcium within normal perfusion ({complete.data.events:,} events in {complete.data.n:,} patients)"
    return Table(title, ("", "n", "HR (95 % CI)", "p"), tuple(rows), notes.all, name="calcium_within_normal_perfusion")


def _ratios(complete: Patients, reading: Reading) -> dict[str, tuple[Estimate, int, str]]:
    """Return the hazard ratio of each category and of a step, with patients and p value."""
    names, x = complete.adjusted(complete.config.adjusted)
    varies = np.ptp(x, axis=0) > 0
    adjusted = tuple(name for name, kept in zip(names, varies, strict=True) if kept), x[:, varies]
    flags, step = reading.by_category(), one_column(STEP, reading.category.astype(np.float64))
    model, trend = fit(complete, together(flags, adjusted)), fit(complete, together(step, adjusted))
    notes = Footnotes()
    found = {
        LABELS[place]: (ratio(model, name), int((reading.category == place).sum()), notes.p(wald(model, name)))
        for place, name in zip(reading.present[1:], flags[0], strict=True)
    }
    return found | {STEP: (ratio(trend, STEP), complete.data.n, notes.p(wald(trend, STEP)))}
