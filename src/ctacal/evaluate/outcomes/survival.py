"""Event rates, Kaplan-Meier curves and log-rank tests by calcium category."""

from typing import TYPE_CHECKING, Any

from ctacal.categories import CATEGORIES
from ctacal.evaluate.outcomes.figures import RiskRow, Step, draw_steps, thinned, year_ticks
from ctacal.evaluate.outcomes.part import LABELS, Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients, Reading
from ctacal.evaluate.publication import CATEGORY_COLOURS, Cell, Chart, Section, Table
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival.log_rank import logrank, logrank_pairs, logrank_trend
from ctacal.statistics.survival.survival_curve import at_risk, event_rate, kaplan_meier
from ctacal.statistics.survival.survival_data import SurvivalData

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def rates_part(patients: Patients) -> Part:
    """Return events per 100 person-years by category, of the model and of the reader."""
    notes = Footnotes("Exact Poisson intervals (Ulm K, Am J Epidemiol 1990;131:373-375).")
    rows: list[tuple[Cell, ...]] = []
    numbers: dict[str, Any] = {}
    for reading in patients.readings:
        rates = {CATEGORIES[place]: _rate(_of(patients, reading, place)) for place in reading.present}
        rows.append((reading.name,))
        rows += [_rate_row(f"  {LABELS[place]}", _of(patients, reading, place), notes) for place in reading.present]
        numbers[reading.name] = rates
    rows.append(_rate_row("All", patients.data, notes))
    numbers["all"] = _rate(patients.data)
    columns = ("", "n", "Events", "Person-years", "Events per 100 person-years (95 % CI)")
    table = Table(f"Annualised rates of {patients.config.outcome.name}", columns, tuple(rows), notes.all, name="rates")
    return Part(Section("Event rates", (table,)), numbers)


def _rate(data: SurvivalData) -> dict[str, Any]:
    return {"events": data.events, "person_years": float(data.time.sum()), "rate_per_year": event_rate(data)}


def _of(patients: Patients, reading: Reading, place: int) -> SurvivalData:
    return patients.data.take(reading.category == place)


def _rate_row(name: str, data: SurvivalData, notes: Footnotes) -> tuple[Cell, ...]:
    return (name, data.n, data.events, round(float(data.time.sum()), 1), notes.figure(event_rate(data), 2, 100))


def curves_part(patients: Patients) -> Part:
    """Return Kaplan-Meier curves of model and reader, with log-rank tests."""
    content: list[str | Table | Chart] = []
    numbers: dict[str, Any] = {}
    for reading in patients.readings:
        content.append(_curves(patients, reading))
        table, survival = _survival_table(patients, reading)
        tests, tested = _tests(patients, reading)
        content += [table, *tests]
        numbers[reading.name] = {**survival, **tested, "curves": _as_data(patients, reading)}
    return Part(Section("Kaplan-Meier", tuple(content)), numbers)


def _curves(patients: Patients, reading: Reading) -> Chart:
    outcome = patients.config.outcome.name
    ticks = year_ticks(patients.data.time)
    groups = [(place, _of(patients, reading, place)) for place in reading.present]
    steps, risks = [], []
    for place, data in groups:
        curve = kaplan_meier(data)
        shown = thinned(curve.times)
        name, colour = LABELS[place], CATEGORY_COLOURS[place]
        low, high = 100 * (1 - curve.high[shown]), 100 * (1 - curve.low[shown])
        steps.append(Step(name, colour, curve.times[shown], 100 * (1 - curve.survival[shown]), low, high))
        risks.append(RiskRow(name, colour, tuple(at_risk(data, ticks).tolist())))
    test = logrank(patients.data, reading.category).test if len(groups) > 1 else None

    def draw(figure: "Figure") -> None:
        label = "" if test is None or test.p is None else f"Log-rank p {_p(test.p)}"
        draw_steps(figure, steps, risks, ticks, f"Patients with {outcome} (%)", label)

    caption = (
        f"1 - Kaplan-Meier estimate of {outcome} by calcium category ({reading.name}), with 95 % intervals (log-log); "
        "below the axis: patients at risk just before each tick."
    )
    title = f"Kaplan-Meier curves, {reading.name}"
    return Chart(title, caption, draw, height_mm=95)


def _as_data(patients: Patients, reading: Reading) -> dict[str, Any]:
    """Return the curves and patients at risk that the figure shows."""
    ticks = year_ticks(patients.data.time)
    found = {}
    for place in reading.present:
        data = _of(patients, reading, place)
        curve = kaplan_meier(data)
        shown = thinned(curve.times)
        found[CATEGORIES[place]] = {
            "years": curve.times[shown], "survival": curve.survival[shown], "low": curve.low[shown],
            "high": curve.high[shown], "ticks": ticks, "at_risk": at_risk(data, ticks),
        }  # fmt: skip
    return found


def _p(p: float) -> str:
    from ctacal.evaluate.publication import p_value

    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def _survival_table(patients: Patients, reading: Reading) -> tuple[Table, dict[str, Any]]:
    """Return event-free survival and patients at risk at the years of the configuration that follow-up reaches."""
    years = [year for year in patients.config.analysis.follow_up_years if year <= patients.data.time.max()]
    notes = Footnotes("Kaplan-Meier estimates with log-log intervals; patients at risk just before each time.")
    rows: list[tuple[Cell, ...]] = []
    numbers: dict[str, Any] = {"survival": {}, "at_risk": {}}
    for place in reading.present:
        data = _of(patients, reading, place)
        curve = kaplan_meier(data)
        survival: list[Estimate] = [curve.at(year) for year in years]
        counts = at_risk(data, years)
        cells = [
            cell for share, n in zip(survival, counts, strict=True) for cell in (int(n), notes.figure(share, 1, 100))
        ]
        rows.append((LABELS[place], data.n, *cells))
        key = CATEGORIES[place]
        numbers["survival"][key] = dict(zip((f"{year:g}" for year in years), survival, strict=True))
        numbers["at_risk"][key] = {f"{year:g}": int(n) for year, n in zip(years, counts, strict=True)}
    columns = ("", "n", *(name for _ in years for name in ("At risk", "Event-free, % (95 % CI)")))
    groups = (("", 2), *((f"{year:g} year{'s' if year != 1 else ''}", 2) for year in years))
    table = Table(f"Event-free survival by category, {reading.name}", columns, tuple(rows), notes.all, groups)
    return table, numbers


def _tests(patients: Patients, reading: Reading) -> tuple[list[str | Table], dict[str, Any]]:
    if len(reading.present) < 2:
        reason = f"{reading.name}: all patients are in the category {LABELS[reading.present[0]]}: nothing to compare."
        return [reason], {}
    overall = logrank(patients.data, reading.category)
    scores: dict[object, float] = {place: float(place) for place in reading.present}
    trend = logrank_trend(patients.data, reading.category, scores)
    pairs = logrank_pairs(patients.data, reading.category)
    notes = Footnotes("Trend: categories scored 0 to 3. Pairs: p values adjusted by Holm's method.")
    rows: list[tuple[Cell, ...]] = [("All categories", *_test_cells(overall.test, notes))]
    rows.append(("Trend", *_test_cells(trend, notes)))
    for pair in pairs:
        names = f"  {LABELS[int(pair.first)]} against {LABELS[int(pair.second)]}"
        cells = _test_cells(pair.test, notes)
        rows.append((names, *cells[:2], "–" if pair.p_holm is None else _p(pair.p_holm).removeprefix("= ")))
    table = Table(f"Log-rank tests, {reading.name}", ("", "Chi-square", "df", "p"), tuple(rows), notes.all)
    return [table], {"logrank": overall, "trend": trend, "pairs": pairs}


def _test_cells(test: Any, notes: Footnotes) -> tuple[Cell, Cell, Cell]:
    if test.statistic is None:
        return notes.dash(test.reason), "", ""
    return f"{test.statistic:.2f}", test.df, notes.p(test)
