"""E-values of the main hazard ratios: what an unmeasured confounder would have to be."""

from typing import Any

from ctacal.evaluate.outcomes.hazards import categories_model
from ctacal.evaluate.outcomes.models import ratio
from ctacal.evaluate.outcomes.part import LABELS, Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.publication import Cell, Section, Table
from ctacal.statistics.survival.confounding import EValue, e_value

COMMON = 0.15
"""Share of patients with the event from which on it counts as common (VanderWeele and Ding 2017)."""


def unmeasured_part(patients: Patients) -> Part:
    """Return E-values of the categories' multivariable hazard ratios, for a rare and for a common outcome."""
    complete = patients.take(patients.complete)
    if not complete.data.n:
        reason = "No patient has all covariates: there are no E-values."
        return Part(Section("Unmeasured confounding", (reason,)), {"reason": reason})
    share = complete.data.events / complete.data.n
    applies = "common" if share >= COMMON else "rare"
    notes = Footnotes(
        "E-value: the risk ratio that an unmeasured confounder would need with the category and with the outcome, "
        "beyond the covariates, to move the estimate, or the end of its interval nearer 1, to 1 (VanderWeele and Ding "
        f"2017). {share:.0%} have the event, so that the columns for a {applies} outcome apply (common from 15 %). An "
        "E-value does not say how likely such a confounder is.",
    )
    rows: list[tuple[Cell, ...]] = []
    numbers: dict[str, Any] = {"applies": applies}
    for whole, known in zip(patients.readings, complete.readings, strict=True):
        rows.append((known.name,))
        model, own = categories_model(complete, whole, known), {}
        for place, name in zip(whole.present[1:], whole.by_category()[0], strict=True):
            found = ratio(model, name)
            values = {kind: e_value(found, common=kind == "common") for kind in ("rare", "common")}
            own[LABELS[place]] = {"hazard_ratio": found, **values}
            cells = [cell for value in values.values() for cell in _cells(value, notes)]
            rows.append((f"  {LABELS[place]}", notes.figure(found), *cells))
        numbers[known.name] = own
    columns = ("", "Multivariable HR (95 % CI)", "estimate", "end of interval", "estimate", "end of interval")
    groups = (("", 2), ("E-value, outcome rare", 2), ("E-value, outcome common", 2))
    table = Table("E-values of the hazard ratios", columns, tuple(rows), notes.all, groups, name="e_values")
    return Part(Section("Unmeasured confounding", (table,)), numbers)


def _cells(value: EValue, notes: Footnotes) -> tuple[str, str]:
    if value.estimate is None:
        return notes.dash(value.reason), ""
    return f"{value.estimate:.2f}", "" if value.limit is None else f"{value.limit:.2f}"
