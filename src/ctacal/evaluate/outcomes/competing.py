"""Competing risks: cumulative incidence by category, and the Fine-Gray model beside the cause-specific model."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ctacal.categories import CATEGORIES
from ctacal.evaluate.outcomes.figures import RiskRow, Step, draw_steps, thinned, year_ticks
from ctacal.evaluate.outcomes.models import Fit, coefficients, fit, ratio, together, wald
from ctacal.evaluate.outcomes.part import LABELS, Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients, Reading
from ctacal.evaluate.publication import CATEGORY_COLOURS, Cell, Chart, Section, Table, p_value
from ctacal.statistics.estimate import LEVEL, Estimate
from ctacal.statistics.hypothesis import HypothesisTest
from ctacal.statistics.survival.competing import CumulativeIncidence, FineGray, cumulative_incidence, fine_gray
from ctacal.statistics.survival.cox_model import NoModel
from ctacal.statistics.survival.gray import gray_test
from ctacal.statistics.survival.survival_curve import at_risk
from ctacal.statistics.survival.survival_data import SurvivalData

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def competing_part(patients: Patients) -> Part:
    """Return cumulative incidence and models of the events of interest, with one competing event."""
    outcome = patients.config.outcome
    if not outcome.competing:
        return Part(Section("Competing risks", ("No competing event is named (outcome.competing).",)), {})
    wanted, competing = int((patients.cause == 1).sum()), int((patients.cause == 2).sum())
    if not wanted:
        reason = f"Competing risks: no event of interest ({_interest(patients)}) came first."
        return Part(Section("Competing risks", (reason,)), {"reason": reason})
    events = (
        f"Event of interest: {_interest(patients)}, first event in {wanted:,} patients. Competing event: "
        f"{outcome.competing}, first event in {competing:,} patients."
    )
    table, numbers = _models(patients)
    incidence, curves = _incidences(patients)
    tests = {reading.name: _gray(patients, reading) for reading in patients.readings}
    content = (
        events,
        *(_chart(patients, reading, curves[reading.name]) for reading in patients.readings),
        incidence,
        _tests(tests),
        table,
    )
    numbers |= {"events": wanted, "competing": competing, "incidence": _as_data(curves, _times(patients))}
    numbers["gray"] = tests
    return Part(Section("Competing risks", content), numbers)


def _gray(patients: Patients, reading: Reading) -> dict[str, HypothesisTest]:
    """Return Gray's test of the events of interest, and that of the competing event, between the categories."""
    others = np.array([0, 2, 1])[patients.cause]
    time = patients.data.time
    return {
        "event of interest": gray_test(time, patients.cause, reading.category),
        "competing event": gray_test(time, others, reading.category),
    }


def _tests(tests: dict[str, dict[str, HypothesisTest]]) -> Table:
    notes = Footnotes("Gray's test (Gray 1988) of equal cumulative incidence in all categories of calcium.")
    rows: list[tuple[Cell, ...]] = []
    for name, own in tests.items():
        rows.append((name,))
        for what, test in own.items():
            shown = notes.dash(test.reason) if test.statistic is None else f"{test.statistic:.2f}"
            rows.append((f"  {what.capitalize()}", shown, test.df, notes.p(test)))
    title = "Tests of cumulative incidence"
    return Table(title, ("", "Chi-square", "df", "p"), tuple(rows), notes.all, name="gray_tests")


def _as_data(curves: dict[str, "Curves"], years: list[float]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, own in curves.items():
        found[name] = {}
        for place, curve in own.items():
            low, high = curve.interval(years)
            found[name][CATEGORIES[place]] = {
                "years": years, "incidence": curve.at(years), "low": low, "high": high,
            }  # fmt: skip
    return found


def _interest(patients: Patients) -> str:
    outcome = patients.config.outcome
    inside = any(part.name == outcome.competing and part.in_outcome for part in outcome.component)
    return f"{outcome.name} other than {outcome.competing}" if inside else outcome.name


def _times(patients: Patients) -> list[float]:
    longest = float(patients.data.time.max())
    return [year for year in patients.config.analysis.follow_up_years if year <= longest]


Curves = dict[int, CumulativeIncidence]


def _incidences(patients: Patients) -> tuple[Table, dict[str, Curves]]:
    notes = Footnotes("Aalen-Johansen estimates, with intervals on the scale of log(-log(1 - incidence)).")
    rows: list[tuple[Cell, ...]] = []
    found: dict[str, Curves] = {}
    years = _times(patients)
    for reading in patients.readings:
        rows.append((reading.name,))
        found[reading.name] = {}
        for place in reading.present:
            mine = reading.category == place
            curve = cumulative_incidence(patients.data.time[mine], patients.cause[mine])
            found[reading.name][place] = curve
            rows.append((f"  {LABELS[place]}", int(mine.sum()), curve.events, *_shares(curve, years, notes)))
    columns = ("", "n", "Events", *(f"{year:g} y, % (95 % CI)" for year in years))
    title = f"Cumulative incidence of {_interest(patients)}"
    return Table(title, columns, tuple(rows), notes.all, name="cumulative_incidence"), found


def _shares(curve: CumulativeIncidence, years: list[float], notes: Footnotes) -> list[str]:
    shares, (low, high) = curve.at(years), curve.interval(years)
    method = f"Aalen-Johansen, {LEVEL:.0%}"
    return [
        notes.figure(Estimate(float(share), float(a), float(b), method, curve.n), 1, 100)
        for share, a, b in zip(shares, low, high, strict=True)
    ]


def _chart(patients: Patients, reading: Reading, curves: Curves) -> Chart:
    ticks = year_ticks(patients.data.time)
    steps, risks = [], []
    for place, curve in curves.items():
        shown = thinned(curve.times)
        low, high = curve.interval(curve.times[shown])
        name, colour = LABELS[place], CATEGORY_COLOURS[place]
        steps.append(Step(name, colour, curve.times[shown], 100 * curve.incidence[shown], 100 * low, 100 * high))
        mine = reading.category == place
        own = SurvivalData(patients.data.time[mine], patients.data.event[mine])
        risks.append(RiskRow(name, colour, tuple(at_risk(own, ticks).tolist())))
    what = _interest(patients)

    def draw(figure: "Figure") -> None:
        draw_steps(figure, steps, risks, ticks, f"{what} (%)")

    competing = patients.config.outcome.competing
    caption = (
        f"Cumulative incidence of {what} by calcium category ({reading.name}), with {competing} as the competing "
        "event; Aalen-Johansen estimates with 95 % intervals. Below the axis: patients at risk."
    )
    return Chart(f"Cumulative incidence, {reading.name}", caption, draw, height_mm=95)


def _models(patients: Patients) -> tuple[Table | str, dict[str, Any]]:
    """Return both models, adjusted, of patients with all covariates."""
    complete = patients.take(patients.complete)
    notes = Footnotes(
        "Adjusted for the covariates. Fine-Gray: subdistribution hazard with robust intervals. Cause-specific: Cox "
        "model that censors at the competing event."
    )
    rows: list[tuple[Cell, ...]] = []
    numbers: dict[str, Any] = {"fine_gray": {}, "cause_specific": {}}
    for reading in complete.readings:
        sub, cox = both_models(complete, reading)
        names = reading.by_category()[0]
        rows.append(
            (f"{reading.name} (reference {LABELS[reading.present[0]]})",) if reading.present else (reading.name,)
        )
        for k, place in enumerate(reading.present[1:]):
            beside = (notes.figure(ratio(cox, names[k])), notes.p(wald(cox, names[k])))
            rows.append((f"  {LABELS[place]}", *_sub_cells(sub, k, notes), *beside))
        numbers["fine_gray"][reading.name], numbers["cause_specific"][reading.name] = sub, coefficients(cox)
    columns = ("", "Fine-Gray: HR (95 % CI)", "p", "Cause-specific: HR (95 % CI)", "p")
    return Table(f"Models of {_interest(patients)}", columns, tuple(rows), notes.all, name="fine_gray"), numbers


def both_models(complete: Patients, reading: Reading) -> tuple[FineGray | NoModel, Fit]:
    """Return the Fine-Gray model and the cause-specific one of a reading, adjusted for all covariates."""
    names, x = together(reading.by_category(), complete.adjusted(complete.config.adjusted))
    sub: FineGray | NoModel = NoModel("no patient has all covariates", "Fine-Gray", 0, 0)
    if complete.data.n:
        sub = fine_gray(complete.data.time, complete.cause, x, names)
    return sub, fit(patients_of_cause(complete), (names, x))


def sub_ratio(model: FineGray | NoModel, place: int) -> Estimate:
    """Return the subdistribution hazard ratio of a category, or why there is none."""
    if isinstance(model, NoModel):
        return Estimate(None, None, None, model.method, model.n, model.reason)
    return model.hazard_ratio(place)


def patients_of_cause(patients: Patients) -> Patients:
    """Return the same patients with only the events of interest."""
    return replace(patients, data=SurvivalData(patients.data.time, np.asarray(patients.cause == 1)))


def _sub_cells(model: FineGray | NoModel, place: int, notes: Footnotes) -> tuple[str, str]:
    found = notes.figure(sub_ratio(model, place))
    return found, "" if isinstance(model, NoModel) else p_value(float(model.p_values[place]))
