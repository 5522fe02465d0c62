"""Early revascularisation, which the scan itself may have led to: the rules for it, one beside the other."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ctacal.evaluate.outcomes.models import fit, one_column, ratio, together
from ctacal.evaluate.outcomes.part import LABELS, Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients, Window
from ctacal.evaluate.publication import Cell, Section, Table
from ctacal.statistics.estimate import Estimate

STEP = "per category"
"""Name of the hazard ratio for one step up the four categories."""

RULES = {
    "count": "Counts as an event",
    "ignore": "Does not count",
    "exclude": "Patients excluded",
    "landmark": "Landmark: start at day {days:g}",
}
"""The rules in words."""


def early_window_part(patients: Patients) -> Part:
    """Return the hazard ratios under every rule, of patients with all covariates."""
    outcome = patients.config.outcome
    words = (
        f"A {outcome.revascularisation} within {outcome.early_days:g} days may follow from the scan rather than from "
        "the disease that the calcium stands for. The table gives the hazard ratios under each rule; the other "
        f'sections follow the rule early = "{outcome.early}". If it does not count, follow-up continues as far as the '
        "table has it."
    )
    numbers: dict[str, Any] = {}
    tables = [_table(patients, patients.windows, place, numbers) for place in range(len(patients.readings))]
    return Part(Section("Early revascularisation", (words, *tables)), numbers)


def _table(patients: Patients, windows: Sequence[Window], place: int, numbers: dict[str, Any]) -> Table:
    outcome, reading = patients.config.outcome, patients.readings[place]
    notes = Footnotes(
        "Cox models with Efron's method for ties, adjusted for the covariates, of patients who have them."
    )
    rows: list[tuple[Cell, ...]] = []
    for window in windows:
        own = window.patients()
        complete = own.take(own.complete)
        found = _ratios(complete, place)
        counts = {"n": complete.data.n, "events": complete.data.events}
        numbers.setdefault(window.rule, {})[reading.name] = {**counts, "hazard_ratios": found}
        label = RULES[window.rule].format(days=outcome.early_days)
        mark = " (this report)" if window.rule == outcome.early else ""
        cells = [notes.figure(found.get(LABELS[k])) for k in reading.present[1:]]
        rows.append((f"{label}{mark}", complete.data.n, complete.data.events, *cells, notes.figure(found[STEP])))
    heads = [f"{LABELS[k]}: HR (95 % CI)" for k in reading.present[1:]]
    title = f"Hazard ratios by the rule for early {outcome.revascularisation}, {reading.name}"
    columns = ("", "n", "Events", *heads, "Per category: HR (95 % CI)")
    return Table(title, columns, tuple(rows), notes.all, name=f"early_window_{place + 1}")


def _ratios(complete: Patients, place: int) -> dict[str, Estimate]:
    reading = complete.readings[place]
    flags = reading.by_category()
    adjusted = complete.adjusted(complete.config.adjusted)
    model = fit(complete, together(flags, adjusted))
    step = fit(complete, together(one_column(STEP, reading.category.astype(np.float64)), adjusted))
    found = {LABELS[k]: ratio(model, name) for k, name in zip(reading.present[1:], flags[0], strict=True)}
    return found | {STEP: ratio(step, STEP)}
