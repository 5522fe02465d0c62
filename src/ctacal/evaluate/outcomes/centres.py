"""Centres: how they differ, hazard ratios that allow for them, and the effect of calcium at each of them."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ctacal.arrays import Floats
from ctacal.evaluate.outcomes.figures import ForestRow, draw_forest
from ctacal.evaluate.outcomes.models import Columns, fit, one_column, ratio, together
from ctacal.evaluate.outcomes.part import LABELS, Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients, Reading, Subgroup
from ctacal.evaluate.publication import Cell, Chart, Section, Table, count_percent, percent
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.hypothesis import HypothesisTest, chi_square, undefined
from ctacal.statistics.meta_analysis import Combined, combine_estimates
from ctacal.statistics.survival.cox_model import CoxModel, NoModel, clustered_ratio
from ctacal.statistics.survival.stratified import stratified_cox
from ctacal.statistics.survival.survival_curve import event_rate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEP = "per category"
"""Name of the measure of calcium at single centres: the hazard ratio for one step up the four categories."""

MEANING = (
    "Centres differ in their patients, scanners and follow-up. A model with a baseline hazard of its own for each "
    "centre compares patients within their centre only. Its intervals, and those of the plain model, hold if calcium "
    "means the same at every centre; the clustered ones, and the average over the centres, also hold if it does not, "
    "but rest on the number of centres: where these are few, they are wide or, by chance, too narrow."
)
"""What the different hazard ratios assume."""


def centres_part(patients: Patients) -> Part:
    """Return the centres, hazard ratios that allow for them, and the hazard ratio at each centre with a forest plot.

    The patients' centres must be known.
    """
    centre = patients.centre
    assert centre is not None
    if len(centre.labels) < 2:
        reason = f"All patients are of one centre ({centre.labels[0]}): nothing can be compared."
        return Part(Section("Centres", (reason,)), {"reason": reason})
    complete = patients.take(patients.complete)
    numbers: dict[str, Any] = {}
    content: list[str | Table | Chart] = [_described(patients, centre, numbers)]
    if complete.data.n:
        content += [MEANING, _allowing(complete, numbers), *_by_centre(complete, numbers)]
    return Part(Section("Centres", tuple(content)), numbers)


def _described(patients: Patients, centre: Subgroup, numbers: dict[str, Any]) -> Table:
    notes = Footnotes("Rates per 100 person-years with exact Poisson intervals.")
    name = patients.model.name
    rows: list[tuple[Cell, ...]] = []
    for place, label in enumerate(centre.labels):
        own = patients.take(centre.group == place)
        counts = [int((own.model.category == category).sum()) for category in (0, 3)]
        rate = event_rate(own.data)
        shares = [count_percent(count, own.data.n) for count in counts]
        rows.append(
            (
                label,
                own.data.n,
                own.data.events,
                round(float(own.data.time.sum()), 1),
                notes.figure(rate, 2, 100),
                *shares,
            )
        )
        numbers.setdefault("centres", {})[label] = {
            "n": own.data.n, "events": own.data.events, "person_years": float(own.data.time.sum()),
            "rate_per_year": rate, "cac_0": counts[0], "cac_over_400": counts[1],
        }  # fmt: skip
    columns = (
        "Centre",
        "n",
        "Events",
        "Person-years",
        "Rate (95 % CI)",
        f"{LABELS[0]} ({name})",
        f"{LABELS[3]} ({name})",
    )
    return Table("Patients and events by centre", columns, tuple(rows), notes.all, name="centres")


def _allowing(complete: Patients, numbers: dict[str, Any]) -> Table:
    """Return multivariable hazard ratios by the plain model, with clustered errors, and stratified by centre."""
    notes = Footnotes(
        "Cox models with Efron's method for ties, adjusted for all covariates. Clustered: robust errors of the "
        "centres, t distribution. Stratified: a baseline hazard of its own for each centre."
    )
    rows: list[tuple[Cell, ...]] = []
    for reading in complete.readings:
        rows.append((reading.name,))
        found = ratios_allowing(complete, reading)
        numbers.setdefault("hazard_ratios", {})[reading.name] = found
        for place, name in zip(reading.present[1:], found, strict=True):
            rows.append((f"  {LABELS[place]}", *(notes.figure(one) for one in found[name].values())))
    columns = ("", "All together: HR (95 % CI)", "Clustered: HR (95 % CI)", "Stratified: HR (95 % CI)")
    return Table("Hazard ratios that allow for centres", columns, tuple(rows), notes.all, name="centre_hazard_ratios")


def ratios_allowing(complete: Patients, reading: Reading) -> dict[str, dict[str, Estimate]]:
    """Return by name of the category its hazard ratio in the three models."""
    assert complete.centre is not None
    names, x = together(reading.by_category(), complete.adjusted(complete.config.adjusted))
    plain = fit(complete, (names, x))
    within = stratified_cox(complete.data, x, complete.centre.group, names) if names else plain

    def stratified(name: str) -> Estimate:
        if isinstance(within, NoModel):
            return Estimate(None, None, None, within.method, within.n, within.reason)
        return within.hazard_ratio(name)

    return {
        name: {
            "together": ratio(plain, name),
            "clustered": ratio(plain, name)
            if not isinstance(plain, CoxModel)
            else clustered_ratio(plain, name, complete.centre.group),
            "stratified": stratified(name),
        }
        for name in reading.by_category()[0]
    }


def _by_centre(complete: Patients, numbers: dict[str, Any]) -> list[Table | Chart]:
    """Return the hazard ratio per category step at each centre, as a table and a forest plot."""
    centre = complete.centre
    assert centre is not None
    ratios = {reading.name: ratios_at_each(complete, reading) for reading in complete.readings}
    averages = {name: combine_estimates(list(own.values()), ratios=True) for name, own in ratios.items()}
    tests = {reading.name: _interaction(complete, reading) for reading in complete.readings}
    numbers["by_centre"] = {"hazard_ratio_per_step": ratios, "average": averages, "interaction": tests}
    notes = Footnotes(
        "Hazard ratio per step of the four calcium categories, adjusted for the covariates, within each centre. "
        "Average: random effects (REML), Hartung-Knapp interval. I²: share of the differences between centres that is "
        "not chance.",
        "Interaction: likelihood-ratio test of step by centre in the stratified model.",
    )
    rows: list[tuple[Cell, ...]] = []
    forest: list[ForestRow] = []
    for place, label in enumerate(centre.labels):
        own = complete.data.take(centre.group == place)
        rows.append((label, own.n, own.events, *(notes.figure(ratios[name][label]) for name in ratios)))
        forest.append(
            ForestRow(f"{label} ({own.events:,} of {own.n:,})", tuple(ratios[name][label] for name in ratios))
        )
    all_together = complete.data
    rows.append(
        ("Average", all_together.n, all_together.events, *(notes.figure(one.average) for one in averages.values()))
    )
    rows.append(("I² (p of Cochran's Q)", "", "", *(_heterogeneity(one, notes) for one in averages.values())))
    rows.append(("Interaction, p", "", "", *(notes.p(test) for test in tests.values())))
    forest.append(ForestRow("Average (random effects)", tuple(one.average for one in averages.values())))
    columns = ("Centre", "n", "Events", *(f"{name}: HR (95 % CI)" for name in ratios))
    table = Table("Effect of calcium by centre", columns, tuple(rows), notes.all, name="effect_by_centre")
    return [table, _chart(complete, forest, tests)]


def ratios_at_each(complete: Patients, reading: Reading) -> dict[str, Estimate]:
    """Return by name of the centre the hazard ratio per category there."""
    assert complete.centre is not None
    found = {}
    for place, label in enumerate(complete.centre.labels):
        rows = complete.centre.group == place
        own = complete.take(rows)
        step = one_column(STEP, reading.category[rows].astype(np.float64))
        found[label] = ratio(fit(own, together(step, _varying(own))), STEP)
    return found


def _varying(patients: Patients) -> Columns:
    """Return the covariates that vary among these patients."""
    names, x = patients.adjusted(patients.config.adjusted)
    varies = np.ptp(x, axis=0) > 0 if len(x) else np.zeros(x.shape[1], np.bool_)
    return tuple(name for name, kept in zip(names, varies, strict=True) if kept), x[:, varies]


def _interaction(complete: Patients, reading: Reading) -> HypothesisTest:
    """Test in the stratified model whether the effect of a step differs between the centres."""
    assert complete.centre is not None
    group, step = complete.centre.group, reading.category.astype(np.float64)
    used = np.unique(group)[1:]
    products = np.asarray(group[:, None] == used, np.float64) * step[:, None]
    small: Floats = np.column_stack([step, _varying(complete)[1]])
    without, whole = (stratified_cox(complete.data, x, group) for x in (small, np.column_stack([small, products])))
    method = "likelihood-ratio test of step by centre in the stratified model"
    for model in (without, whole):
        if isinstance(model, NoModel):
            return undefined(method, complete.data.n, model.reason)
    assert not isinstance(without, NoModel) and not isinstance(whole, NoModel)
    gained = 2 * (whole.log_likelihood - without.log_likelihood)
    return chi_square(gained, len(used), method, complete.data.n)


def _heterogeneity(found: Combined, notes: Footnotes) -> str:
    if found.share is None:
        return notes.dash(found.test.reason)
    return f"{percent(found.share, 0)} ({notes.p(found.test)})"


def _chart(complete: Patients, rows: list[ForestRow], tests: dict[str, HypothesisTest]) -> Chart:
    series, outcome = tuple(reading.name for reading in complete.readings), complete.config.outcome.name

    def draw(figure: "Figure") -> None:
        draw_forest(figure, rows, series, f"Hazard ratio for {outcome} per category step")

    notes = Footnotes()
    told = "; ".join(f"{name} {notes.p(test)}" for name, test in tests.items())
    caption = (
        f"Adjusted hazard ratio for {outcome} per step of the calcium category at each centre (events of patients), "
        f"with 95 % intervals, and their average by random effects. Interaction with centre, p: {told}."
    )
    return Chart("Forest plot of centres", caption, draw, "double", 22 + 6.5 * len(rows))
