"""Hazard ratios within subgroups, and tests of interaction."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ctacal.arrays import Floats
from ctacal.evaluate.outcomes.figures import ForestRow, draw_forest
from ctacal.evaluate.outcomes.models import Columns, Fit, fit, gain, one_column, ratio, together
from ctacal.evaluate.outcomes.part import Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients, Reading, Subgroup
from ctacal.evaluate.publication import Cell, Chart, Section, Table
from ctacal.statistics.hypothesis import HypothesisTest, undefined

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEP = "per category"
"""Name of the measure of calcium in subgroups: the hazard ratio for one step up the four categories."""


def subgroups_part(patients: Patients) -> Part:
    """Return adjusted hazard ratios per category step in each subgroup, and tests of interaction.

    They are of patients with all covariates.
    """
    complete = patients.take(patients.complete)
    if not patients.subgroups:
        return Part(Section("Subgroups", ("No subgroups are named.",)), {})
    if len(complete.model.present) < 2:
        reason = "Subgroups: too few patients with all covariates, or all of them in one calcium category."
        return Part(Section("Subgroups", (reason,)), {"reason": reason})
    notes = Footnotes(
        "Cox models with Efron's method for ties, adjusted for the covariates; hazard ratio per step of the four "
        "calcium categories. Interaction: likelihood-ratio test of the product of step and subgroup."
    )
    rows: list[tuple[Cell, ...]] = []
    forest: list[ForestRow] = []
    numbers: dict[str, Any] = {}
    everybody = {reading.name: ratio(step_model(complete, reading), STEP) for reading in complete.readings}
    rows.append(_row("All", complete, list(everybody.values()), notes))
    forest.append(ForestRow("All", tuple(everybody.values()), counts=_counts(complete)))
    for subgroup in complete.subgroups:
        numbers[subgroup.name] = _subgroup(complete, subgroup, rows, forest, notes)
    columns = (
        "",
        "n",
        "Events",
        *(cell for reading in complete.readings for cell in (f"{reading.name}: HR (95 % CI)", "p")),
    )
    table = Table("Subgroups", columns, tuple(rows), notes.all, name="subgroups")
    return Part(Section("Subgroups", (table, _chart(complete, forest))), {"all": everybody, **numbers})


def _row(name: str, patients: Patients, ratios: list[Any], notes: Footnotes) -> tuple[Cell, ...]:
    cells = [cell for ratio in ratios for cell in (notes.figure(ratio), "")]
    return (name, patients.data.n, patients.data.events, *cells)


def _counts(patients: Patients) -> tuple[int, int]:
    return patients.data.n, patients.data.events


def _step(reading: Reading) -> Floats:
    return reading.category.astype(np.float64)


def step_model(patients: Patients, reading: Reading) -> Fit:
    """Fit the model of a step, adjusted for the covariates that vary among these patients."""
    return fit(patients, together(one_column(STEP, _step(reading)), _varying(patients)))


def _varying(patients: Patients) -> Columns:
    """Return the covariates that vary among these patients; sex, for example, does not vary among women."""
    names, x = patients.adjusted(patients.config.adjusted)
    varies = np.ptp(x, axis=0) > 0 if len(x) else np.zeros(x.shape[1], np.bool_)
    return tuple(name for name, kept in zip(names, varies, strict=True) if kept), x[:, varies]


def _subgroup(
    complete: Patients, subgroup: Subgroup, rows: list[tuple[Cell, ...]], forest: list[ForestRow], notes: Footnotes
) -> dict[str, Any]:
    known = complete.take(subgroup.group >= 0)
    split = subgroup.group[subgroup.group >= 0]
    tests = {reading.name: _interaction(known, reading, split, len(subgroup.labels)) for reading in known.readings}
    cells = [cell for test in tests.values() for cell in ("interaction", notes.p(test))]
    rows.append((subgroup.name, "", "", *cells))
    p_values = ", ".join(notes.p(test) for test in tests.values())
    forest.append(ForestRow(f"{subgroup.name} (interaction p {p_values})"))
    numbers: dict[str, Any] = {"interaction": tests, "groups": {}}
    for place, label in enumerate(subgroup.labels):
        own = known.take(split == place)
        ratios = {reading.name: ratio(step_model(own, reading), STEP) for reading in own.readings}
        rows.append(_row(f"  {label}", own, list(ratios.values()), notes))
        forest.append(ForestRow(f"  {label}", tuple(ratios.values()), counts=_counts(own)))
        numbers["groups"][label] = {"n": own.data.n, "events": own.data.events, "hazard_ratio_per_step": ratios}
    return numbers


def _interaction(known: Patients, reading: Reading, split: "np.ndarray[Any, Any]", groups: int) -> HypothesisTest:
    """Test the products of step and subgroup, in a model with step, subgroup and covariates."""
    flags = np.asarray(split[:, None] == np.arange(1, groups), np.float64)
    flags = flags[:, np.ptp(flags, axis=0) > 0] if len(flags) else flags
    if not flags.shape[1]:
        return undefined("interaction", known.data.n, "all patients are in one group")
    names = tuple(f"subgroup {place + 1}" for place in range(flags.shape[1]))
    main = together(one_column(STEP, _step(reading)), (names, flags), _independent(_varying(known), flags))
    products = (tuple(f"{STEP} x {name}" for name in names), flags * _step(reading)[:, None])
    return gain(fit(known, main), fit(known, together(main, products)))


def _independent(columns: Columns, flags: Floats) -> Columns:
    """Return the covariates except those that are constant within each group."""
    names, x = columns
    kept = [place for place in range(x.shape[1]) if not _is_spanned(x[:, place], flags)]
    return tuple(names[place] for place in kept), x[:, kept]


def _is_spanned(column: Floats, flags: Floats) -> bool:
    """Whether the column is constant within each group."""
    group = np.concatenate([1 - flags.sum(axis=1, keepdims=True), flags], axis=1).argmax(axis=1)
    return all(np.ptp(column[group == place]) == 0 for place in np.unique(group))


def _chart(patients: Patients, rows: list[ForestRow]) -> Chart:
    series = tuple(reading.name for reading in patients.readings)
    outcome = patients.config.outcome.name

    def draw(figure: "Figure") -> None:
        draw_forest(figure, rows, series, f"Hazard ratio for {outcome} per category step")

    caption = (
        f"Adjusted hazard ratio for {outcome} per step of the calcium category in subgroups, with 95 % intervals; "
        "p values of interaction in brackets."
    )
    return Chart("Forest plot of subgroups", caption, draw, "double", 22 + 6.5 * len(rows))
