"""Where hazards are not proportional: effects that change with time, strata, and event-free time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ctacal.arrays import Floats, Ints
from ctacal.evaluate.outcomes.models import fit, ratio, together
from ctacal.evaluate.outcomes.part import LABELS, Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients, Reading
from ctacal.evaluate.publication import CATEGORY_COLOURS, GREY, Cell, Chart, Section, Table, listed, p_value
from ctacal.evaluate.readings.plausible import DAYS_PER
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival.changing import ChangingEffect, changing_effect
from ctacal.statistics.survival.cox_model import CoxModel, NoModel
from ctacal.statistics.survival.proportional_hazards import schoenfeld_test
from ctacal.statistics.survival.restricted_difference import restricted_mean_difference
from ctacal.statistics.survival.stratified import stratified_cox
from ctacal.statistics.survival.survival_curve import restricted_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVEL_OF_TEST = 0.05
"""p value below which the report says that an effect changes with time."""

EARLIEST_YEARS = 0.5
"""First time for which hazard ratios are given."""

Content = list[str | Table | Chart]
Models = dict[str, ChangingEffect | NoModel]


def over_time_part(patients: Patients) -> Part:
    """Return what to read where hazards are not proportional.

    Hazard ratios by time and strata are of patients with all covariates, event-free time of all patients.
    """
    title, complete = "Effects over time", patients.take(patients.complete)
    content: Content = []
    numbers: dict[str, Any] = {}
    if complete.data.events:
        models = {reading.name: _changing(complete, reading) for reading in complete.readings}
        content += [_advice(complete, models), *_by_time(complete, models, numbers)]
        content += _split(complete, numbers) + _strata(complete, numbers)
    else:
        content.append("Hazard ratios over time: no events among patients with all covariates.")
    content.append(_event_free(patients, numbers))
    return Part(Section(title, tuple(content)), numbers)


def _changing(complete: Patients, reading: Reading, split: float | None = None) -> ChangingEffect | NoModel:
    return changing_effect(complete.data, _group(reading), complete.adjusted(complete.config.adjusted)[1], split=split)


def _group(reading: Reading) -> Ints:
    """Return (n,) the place of each patient's category among those present."""
    return np.searchsorted(reading.present, reading.category)


def _advice(complete: Patients, models: Models) -> str:
    """Return what the tests show, and what to read then."""
    told = [
        "A hazard ratio stands for the whole of follow-up if hazards are proportional. Otherwise it is an average over "
        "the follow-up that these patients happen to have."
    ]
    for name, model in models.items():
        if isinstance(model, NoModel):
            told.append(f"{name}: whether its hazard ratios change with time cannot be tested: {model.reason}.")
        elif (p := model.test.p or 0.0) < LEVEL_OF_TEST:
            told.append(
                f"{name}: the hazard ratios change with log(time) (p {_p(p)}): read them by time, and the differences "
                "of event-free time, which assume nothing about hazards."
            )
        else:
            told.append(f"{name}: no change of the hazard ratios with log(time) is shown (p {_p(p)}).")
    return " ".join([*told, *_covariates(complete)])


def _p(p: float) -> str:
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def _covariates(complete: Patients) -> list[str]:
    """Return a sentence on the covariates whose effect changes with time, and what can be declared."""
    names, x = complete.adjusted(complete.config.adjusted)
    model = fit(complete, together(complete.model.by_category(), (names, x)))
    if not isinstance(model, CoxModel) or not names:
        return []
    tests = dict(zip(model.names, schoenfeld_test(model).tests, strict=True))
    changing = [f"{name} (p {_p(p)})" for name in names if (p := tests[name].p) is not None and p < LEVEL_OF_TEST]
    if not changing:
        return ["No covariate is shown to have an effect that changes with time."]
    declared = (
        "" if complete.config.strata else ' strata = ["..."] in the TOML gives levels a baseline hazard of their own.'
    )
    return [
        f"Covariates whose effect changes with time by the test of proportional hazards: {listed(changing)}.{declared}"
    ]


def _by_time(complete: Patients, models: Models, numbers: dict[str, Any]) -> Content:
    """Return the hazard ratios at several times, as a table and for the model as a figure."""
    years = _years(complete)
    notes = Footnotes(
        "Cox models in which the log hazard ratio of each category changes linearly with log(time), adjusted for the "
        "covariates, whose effects are constant. Change: likelihood-ratio test of all categories, Wald test of one."
    )
    rows: list[tuple[Cell, ...]] = []
    for reading in complete.readings:
        model = models[reading.name]
        found: dict[str, Any] = numbers.setdefault("by_time", {}).setdefault(reading.name, {})
        if isinstance(model, NoModel):
            rows.append((reading.name, *[""] * len(years), notes.dash(model.reason)))
            continue
        rows.append((reading.name, *[""] * len(years), notes.p(model.test)))
        found["test"] = model.test
        for k, place in enumerate(reading.present[1:], start=1):
            ratios = [model.hazard_ratio(k, year) for year in years]
            found[LABELS[place]] = dict(zip((f"{year:g}" for year in years), ratios, strict=True))
            rows.append((f"  {LABELS[place]}", *(notes.figure(one) for one in ratios), notes.p(model.change_test(k))))
    heads = [f"{year:g} year{'s' if year != 1 else ''}: HR (95 % CI)" for year in years]
    title = f"Hazard ratios over time (reference {LABELS[complete.model.present[0]]})"
    table = Table(title, ("", *heads, "Change, p"), tuple(rows), notes.all, name="hazard_ratios_over_time")
    own = models[complete.model.name]
    return [table] if isinstance(own, NoModel) else [table, _chart(complete, own)]


def _years(complete: Patients) -> list[float]:
    """Return the times of the configuration that most follow-up reaches."""
    last = float(np.quantile(complete.data.time, 0.95))
    wanted = sorted({EARLIEST_YEARS, *complete.config.analysis.follow_up_years})
    return [year for year in wanted if year <= last] or [EARLIEST_YEARS]


def _chart(complete: Patients, model: ChangingEffect) -> Chart:
    first = float(np.quantile(complete.data.time[complete.data.event], 0.05))
    years = np.geomspace(max(first, 1e-3), max(_years(complete)[-1], 2 * first), 60)
    curves: dict[int, list[Estimate]] = {
        place: [model.hazard_ratio(k, float(year)) for year in years]
        for k, place in enumerate(complete.model.present[1:], start=1)
    }

    def draw(figure: "Figure") -> None:
        _draw(figure, years, curves)

    caption = (
        f"Adjusted hazard ratio of each category ({complete.model.name}) against {LABELS[complete.model.present[0]]} "
        "over time, from a Cox model in which it changes with log(time); with 95 % intervals. p of a change: "
        f"{p_value(model.test.p or 0.0)}."
    )
    return Chart("Hazard ratio over time", caption, draw)


def _draw(figure: "Figure", years: Floats, curves: dict[int, list[Estimate]]) -> None:
    axes = figure.subplots()
    top = 1.0
    for place, curve in curves.items():
        middle, low, high = (
            np.array([getattr(one, end) for one in curve], np.float64) for end in ("estimate", "low", "high")
        )
        colour = CATEGORY_COLOURS[place]
        axes.plot(years, middle, color=colour, label=LABELS[place])
        axes.fill_between(years, low, high, color=colour, alpha=0.15, linewidth=0)
        top = max(top, float(middle.max()))
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if tick <= 2 * top]
    axes.axhline(1, color=GREY, linewidth=0.7, linestyle=(0, (3, 2)))
    axes.set(yscale="log", xlabel="Years since the scan", ylabel="Hazard ratio")
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(0.25, 2.5 * top)
    axes.set_xlim(left=0)
    axes.legend(loc="lower right")


def _split(complete: Patients, numbers: dict[str, Any]) -> Content:
    """Return the hazard ratios until and after the declared day, if there is one."""
    days = complete.config.analysis.split_days
    if days is None:
        return []
    notes = Footnotes(
        f"Cox models with a hazard ratio of its own for events until day {days:g} and for those after it, adjusted for "
        "the covariates. Change: likelihood-ratio test of all categories, Wald test of one."
    )
    split = days / DAYS_PER["years"]
    rows: list[tuple[Cell, ...]] = []
    for reading in complete.readings:
        model = _changing(complete, reading, split)
        found: dict[str, Any] = numbers.setdefault("split", {"days": days}).setdefault(reading.name, {})
        if isinstance(model, NoModel):
            rows.append((reading.name, notes.dash(model.reason), "", ""))
            continue
        rows.append((reading.name, "", "", notes.p(model.test)))
        found["test"] = model.test
        for k, place in enumerate(reading.present[1:], start=1):
            both = model.hazard_ratio(k, split), model.hazard_ratio(k, np.inf)
            found[LABELS[place]] = dict(zip(("until", "after"), both, strict=True))
            rows.append((f"  {LABELS[place]}", *(notes.figure(one) for one in both), notes.p(model.change_test(k))))
    columns = ("", f"Until day {days:g}: HR (95 % CI)", f"After day {days:g}: HR (95 % CI)", "Change, p")
    title = f"Hazard ratios until and after day {days:g} (reference {LABELS[complete.model.present[0]]})"
    return [Table(title, columns, tuple(rows), notes.all, name="hazard_ratios_split")]


def _strata(complete: Patients, numbers: dict[str, Any]) -> Content:
    """Return the hazard ratios with a baseline hazard of its own in each declared stratum, if there are any."""
    config = complete.config
    if not config.strata:
        return []
    labels = listed([config.label(column) for column in config.strata])
    strata = np.unique(
        np.column_stack([complete.covariate(column).values for column in config.strata]), axis=0, return_inverse=True
    )[1].ravel()
    rest = [column for column in config.adjusted if column not in config.strata]
    notes = Footnotes(
        f"Cox models with Efron's method for ties. Stratified: a baseline hazard of its own for each level of {labels} "
        f"({int(strata.max()) + 1} strata), so that its effect may change with time in any way; adjusted for the other "
        "covariates."
    )
    rows: list[tuple[Cell, ...]] = []
    for reading in complete.readings:
        rows.append((reading.name,))
        flags = reading.by_category()
        plain = fit(complete, together(flags, complete.adjusted(config.adjusted)))
        names, x = together(flags, complete.adjusted(rest))
        within = stratified_cox(complete.data, x, strata, names)
        for place, name in zip(reading.present[1:], flags[0], strict=True):
            own = (
                Estimate(None, None, None, within.method, within.n, within.reason)
                if isinstance(within, NoModel)
                else within.hazard_ratio(name)
            )
            numbers.setdefault("stratified", {}).setdefault(reading.name, {})[LABELS[place]] = own
            rows.append((f"  {LABELS[place]}", notes.figure(ratio(plain, name)), notes.figure(own)))
    columns = ("", "Adjusted: HR (95 % CI)", "Stratified: HR (95 % CI)")
    return [Table(f"Hazard ratios stratified by {labels}", columns, tuple(rows), notes.all, name="stratified")]


def _event_free(patients: Patients, numbers: dict[str, Any]) -> Table:
    """Return the mean event-free days until the horizon in each category, and how many fewer than in the first."""
    horizon, per = patients.config.analysis.horizon_years, DAYS_PER["years"]
    notes = Footnotes(
        f"Mean time without {patients.config.outcome.name} within {horizon:g} years ({horizon * per:,.0f} days): the "
        "area under the Kaplan-Meier curve, of all patients, unadjusted; Greenwood's variance. It assumes nothing "
        "about hazards."
    )
    rows: list[tuple[Cell, ...]] = []
    for reading in patients.readings:
        rows.append((reading.name,))
        first = patients.data.take(reading.category == reading.present[0])
        for place in reading.present:
            data = patients.data.take(reading.category == place)
            mean = restricted_mean(data, horizon)
            own: dict[str, Any] = {"mean_years": mean}
            cells: Sequence[str] = ("reference", "")
            if place != reading.present[0]:
                difference, test = restricted_mean_difference(data, first, horizon)
                own |= {"difference_years": difference, "test": test}
                cells = (notes.figure(difference, 0, per), notes.p(test))
            numbers.setdefault("event_free", {}).setdefault(reading.name, {})[LABELS[place]] = own
            rows.append((f"  {LABELS[place]}", data.n, notes.figure(mean, 0, per), *cells))
    columns = ("", "n", "Event-free days (95 % CI)", "Difference (95 % CI)", "p")
    return Table(f"Event-free days until {horizon:g} years", columns, tuple(rows), notes.all, name="event_free_days")
