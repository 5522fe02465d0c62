"""CAC 0: how safe it is (negative predictive value), and for how long (the time until a risk is reached)."""

from typing import Any

from ctacal.evaluate.outcomes.part import Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients, Reading
from ctacal.evaluate.publication import Cell, Section, Table
from ctacal.evaluate.publication.wording import number
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival.survival_curve import SurvivalCurve, at_risk, event_rate, kaplan_meier

RISKS = (0.01, 0.02, 0.05)
"""Risks that CAC 0 is to stay below: the time until they are reached is its warranty period (own choice)."""

MEANING = (
    "The negative predictive value of CAC 0 is the share of the patients with CAC 0 who are free of the event by then; "
    "patients whose follow-up ends earlier count as long as they were followed (Kaplan-Meier). The warranty period is "
    "the time until the risk of patients with CAC 0 reaches a limit."
)
"""What the two figures are."""


def zero_part(patients: Patients) -> Part:
    """Return negative predictive value and warranty period of CAC 0, by the model and by the reader."""
    known = [reading for reading in patients.readings if (reading.category == 0).any()]
    if not known:
        return Part(Section("CAC 0", ("No patient has CAC 0.",)), {"reason": "no patient has CAC 0"})
    years = [year for year in patients.config.analysis.follow_up_years if year <= patients.data.time.max()]
    curves = {reading.name: kaplan_meier(patients.data.take(reading.category == 0)) for reading in known}
    numbers: dict[str, Any] = {}
    predictive = _predictive(patients, known, curves, years, numbers)
    return Part(Section("CAC 0", (MEANING, predictive, _warranty(patients, known, curves, numbers))), numbers)


def _predictive(
    patients: Patients,
    known: list[Reading],
    curves: dict[str, SurvivalCurve],
    years: list[float],
    numbers: dict[str, Any],
) -> Table:
    notes = Footnotes(
        "Kaplan-Meier with log-log intervals; in brackets after the interval the patients still followed."
    )
    rows: list[tuple[Cell, ...]] = []
    for reading in known:
        data = patients.data.take(reading.category == 0)
        values = {f"{year:g}": curves[reading.name].at(year) for year in years}
        counts = at_risk(data, years)
        cells = [f"{notes.figure(own, 1, 100)} [{int(n):,}]" for own, n in zip(values.values(), counts, strict=True)]
        rows.append((reading.name, data.n, data.events, notes.figure(event_rate(data), 2, 100), *cells))
        numbers[reading.name] = {
            "n": data.n, "events": data.events, "rate_per_year": event_rate(data), "negative_predictive_value": values,
        }  # fmt: skip
    heads = [f"NPV at {year:g} year{'s' if year != 1 else ''}, %" for year in years]
    columns = ("", "n", "Events", "Rate per 100 person-years", *heads)
    title = f"Negative predictive value of CAC 0 for {patients.config.outcome.name} (95 % CI)"
    return Table(title, columns, tuple(rows), notes.all, name="cac_0")


def _warranty(
    patients: Patients, known: list[Reading], curves: dict[str, SurvivalCurve], numbers: dict[str, Any]
) -> Table:
    notes = Footnotes("Times at which the Kaplan-Meier risk, and the ends of its 95 % interval, reach the limit.")
    rows: list[tuple[Cell, ...]] = []
    for reading in known:
        times = {f"{risk:g}": curves[reading.name].time_to_risk(risk) for risk in RISKS}
        numbers[reading.name]["years_to_risk"] = times
        rows.append((reading.name, *(_time(own, float(patients.data.time.max()), notes) for own in times.values())))
    heads = [f"Years to a risk of {100 * risk:g} %" for risk in RISKS]
    title = "Warranty period of CAC 0 (95 % CI)"
    return Table(title, ("", *heads), tuple(rows), notes.all, name="cac_0_warranty")


def _time(found: Estimate, longest: float, notes: Footnotes) -> str:
    """Return the time in years; an end that follow-up does not reach is said to lie beyond it."""
    if found.estimate is None:
        return notes.dash(f"the risk stays lower during the {number(longest, 1)} years of follow-up")
    low = "0" if found.low is None else number(found.low, 2)
    high = f"beyond {number(longest, 1)}" if found.high is None else number(found.high, 2)
    return f"{number(found.estimate, 2)} ({low} to {high})"
