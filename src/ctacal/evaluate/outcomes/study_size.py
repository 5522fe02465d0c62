"""Events per coefficient of each model, the shrinkage to expect, and the number of patients that a model needs."""

from collections.abc import Sequence
from typing import Any

from ctacal.evaluate.outcomes.models import fit, together
from ctacal.evaluate.outcomes.part import Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.outcomes.performance import Family
from ctacal.evaluate.publication import Cell, Section, Table
from ctacal.statistics.survival.cox_model import CoxModel
from ctacal.statistics.survival.sample_size import (
    FittedStrength,
    SampleSize,
    fitted_strength,
    largest_r2,
    required_sample_size,
)

USUAL_R2 = 0.15
"""Share of the largest R² that is assumed where nothing is known of a model (Riley RD et al., BMJ 2020;368:m441)."""


def study_size_part(complete: Patients, found: Sequence[Family | str]) -> Part:
    """Return events per coefficient and the patients that Riley's criteria ask for; no covariate may be missing."""
    models = _models(complete, found)
    if not models or not complete.data.events:
        return _without_model(complete)
    notes = Footnotes(
        "Expected shrinkage: 1 - coefficients / likelihood-ratio chi-square (van Houwelingen and le Cessie). Needed: "
        "patients for a shrinkage of at least 0.9, an optimism of Nagelkerke's R² of at most 0.05, and the overall "
        "risk at the horizon known to 0.05 (Riley 2019, 2020), whichever is most; with the R² that the model reached "
        "here, corrected for optimism, and with 15 % of the largest, which is assumed where nothing is known.",
    )
    rows: list[tuple[Cell, ...]] = []
    numbers: dict[str, Any] = {}
    for name, model in models.items():
        row, numbers[name] = _model(complete, name, model, notes)
        rows.append(row)
    columns = (
        "", "Coefficients", "Events per coefficient", "R² (Cox-Snell), corrected", "Expected shrinkage",
        "Needed, with the R² reached", "Needed, with R² assumed",
    )  # fmt: skip
    title = (
        f"Events per coefficient and patients needed ({complete.data.n:,} patients, {complete.data.events:,} events)"
    )
    table = Table(title, columns, tuple(rows), notes.all, name="study_size")
    return Part(Section("Size of the study", (table, _judged(complete, numbers))), numbers)


def _without_model(complete: Patients) -> Part:
    """Return the events per coefficient of the largest model, where no model has a finite maximum."""
    coefficients = len(complete.adjusted(complete.config.adjusted)[0]) + max(len(complete.model.present) - 1, 0)
    events = complete.data.events
    if not coefficients or not events:
        reason = "No model could be fitted, so that there are no events per coefficient."
        return Part(Section("Size of the study", (reason,)), {"reason": reason})
    per = events / coefficients
    words = (
        f"{events:,} events for {coefficients} coefficients of the model with {complete.model.name} and all covariates:"
        f" {per:.1f} events per coefficient. The shrinkage to expect and the patients needed are not computed, because "
        "a model has no finite maximum (see Performance)."
    )
    return Part(Section("Size of the study", (words,)), {"events_per_coefficient": per, "reason": words})


def _models(complete: Patients, found: Sequence[Family | str]) -> dict[str, CoxModel]:
    """Return the fitted models by name; the categories alone if no covariates are named."""
    known = [family for family in found if isinstance(family, Family)]
    fitted = {
        family.reference.name if model is family.reference else f"{family.reference.name} {model.name}": model.fit
        for family in known
        for model in family.all
    }
    if fitted or not complete.data.n or len(complete.model.present) < 2:
        return fitted
    alone = fit(complete, together(complete.model.by_category()))
    return {f"{complete.model.name} categories": alone} if isinstance(alone, CoxModel) else {}


def _model(complete: Patients, name: str, model: CoxModel, notes: Footnotes) -> tuple[tuple[Cell, ...], dict[str, Any]]:
    data, coefficients = complete.data, len(model.names)
    strength = fitted_strength(coefficients, 2 * (model.log_likelihood - model.log_likelihood_null), data.n)
    per_coefficient = data.events / coefficients
    share = data.events / data.n
    own = _needed(complete, coefficients, strength.adjusted_r2)
    usual = _needed(complete, coefficients, USUAL_R2 * largest_r2(share))
    row = (
        name, coefficients, f"{per_coefficient:.1f}", f"{strength.adjusted_r2:.3f}", f"{strength.shrinkage:.3f}",
        _cell(own, notes), _cell(usual, notes),
    )  # fmt: skip
    numbers = {
        "coefficients": coefficients, "events_per_coefficient": per_coefficient, "strength": strength,
        "needed": own, "needed_if_usual": usual,
    }  # fmt: skip
    return row, numbers


def _needed(complete: Patients, coefficients: int, r2: float) -> SampleSize | str:
    data = complete.data
    followed = float(data.time.sum())
    try:
        return required_sample_size(
            coefficients, r2, data.events / followed, followed / data.n, complete.config.analysis.horizon_years
        )
    except ValueError:
        return "the model reaches no R² after correction" if r2 <= 0 else "R² is larger than it can be"


def _cell(needed: SampleSize | str, notes: Footnotes) -> str:
    if isinstance(needed, str):
        return notes.dash(needed)
    return f"{needed.patients:,} ({needed.events:,.0f} events)"


def _judged(complete: Patients, numbers: dict[str, Any]) -> str:
    """Return a sentence on the model that asks for most."""
    name, most = max(numbers.items(), key=lambda item: item[1]["coefficients"])
    strength, needed = most["strength"], most["needed"]
    assert isinstance(strength, FittedStrength)
    if isinstance(needed, SampleSize) and needed.patients <= complete.data.n:
        return f"The cohort is large enough for its largest model ({name}) by these criteria."
    return (
        f"The cohort is smaller than its largest model ({name}) needs: its hazard ratios are likely to be too far from "
        f"1 by a factor of about {strength.shrinkage:.2f} on the log scale, and its risks too extreme."
    )
