"""Validation within the cohort: performance of the models corrected for optimism, and what calcium adds then."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ctacal.evaluate.outcomes.part import Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.outcomes.performance import Family, standing_alone
from ctacal.evaluate.publication import Cell, Section, Table, interval
from ctacal.progress import Progress, no_progress
from ctacal.statistics.survival.validation import (
    Validated,
    Validation,
    cross_validate,
    validate,
    validate_imputed,
)

MEANING = (
    "A model looks better in the patients to whom it was fitted than in new patients. The corrected figures are what "
    "can be expected in new patients of the same kind; the apparent ones stand beside them. They say nothing about "
    "patients of another hospital, scanner or time: that takes patients who had no part in the models."
)
"""What the correction does, and what it does not."""

HOW = {
    "bootstrap": (
        "Corrected by the bootstrap: in each resample all models are fitted again and tested in the original patients; "
        "the mean loss (optimism) is subtracted (Harrell 1996). Intervals allow for the patients, and for the fit: the "
        "spread of what the models of the resamples attain. Those of C, AUC and Brier score are symmetric on the logit "
        "scale."
    ),
    "cross-validation": (
        "Corrected by cross-validation: the risk of each patient is predicted by models fitted to other patients."
    ),
}


NO_INTERVAL = (
    "no interval: cross-validation does not tell how far the figure lies from the truth (Bates 2024); the bootstrap "
    'does (validation = "bootstrap")'
)
"""Why cross-validated figures stand alone."""


def validation_part(patients: Patients, found: Sequence[Family | str], progress: Progress = no_progress) -> Part:
    """Return the performance corrected for optimism, of patients with all covariates."""
    known = [family for family in found if isinstance(family, Family)]
    if not known:
        reasons = [reason for reason in found if isinstance(reason, str)]
        return Part(Section("Internal validation", tuple(reasons)), {"reason": reasons})
    studies: dict[str, Validation] = {}
    for place, family in enumerate(known):
        whole = _share(progress, place, len(known))
        studies[family.reference.name] = _validate(patients, family, whole)
    notes = Footnotes(
        HOW[patients.config.analysis.validation],
        "C: Harrell's. AUC, Brier score: at the horizon. Slope: of the log hazard ratios; below 1 they exaggerate: "
        "0.90 means that the model's effects should be shrunk by 10 %. Gains and differences are paired.",
    )
    rows = [row for family in known for row in _rows(family, studies[family.reference.name], notes)]
    table = Table("Performance corrected for optimism (95 % CI)", COLUMNS, tuple(rows), notes.all, GROUPS, "validation")
    return Part(
        Section("Internal validation", (MEANING, table)), {name: _numbers(own) for name, own in studies.items()}
    )


COLUMNS = ("", *("Apparent", "Corrected") * 3, "Corrected")
GROUPS = (("", 1), ("Harrell's C", 2), ("AUC", 2), ("Brier score", 2), ("Slope", 1))


def imputed_validation(sets: Sequence[Patients], known: Sequence[Sequence[Family]]) -> tuple[Table, dict[str, Any]]:
    """Return the corrected performance averaged over imputed sets; ``known`` holds the families of each set."""
    analysis = sets[0].config.analysis
    notes = Footnotes(f"{HOW['bootstrap']} Averaged over {len(sets)} imputations by Rubin's rules.")
    rows: list[tuple[Cell, ...]] = []
    numbers: dict[str, Any] = {}
    for own in known:
        study = validate_imputed(
            sets[0].data,
            [{model.name: model.fit for model in family.all} for family in own],
            horizon=analysis.horizon_years,
            resamples=min(analysis.resamples, analysis.validation_resamples),
            seed=analysis.seed,
        )
        rows += _rows(own[0], study, notes)
        numbers[own[0].reference.name] = _numbers(study)
    title = "Performance corrected for optimism, imputed (95 % CI)"
    return Table(title, COLUMNS, tuple(rows), notes.all, GROUPS, "imputed_validation"), numbers


def _share(progress: Progress, place: int, count: int) -> Progress:
    """Return the progress of one of several studies as progress of all."""
    return lambda done, total: progress(place * total + done, count * total)


def _validate(patients: Patients, family: Family, progress: Progress) -> Validation:
    analysis = patients.config.analysis
    models = {model.name: model.fit for model in family.all}
    common: dict[str, Any] = {"horizon": analysis.horizon_years, "seed": analysis.seed, "progress": progress}
    if analysis.validation == "cross-validation":
        return _without_intervals(cross_validate(patients.data, models, **common))
    return validate(patients.data, models, resamples=min(analysis.resamples, analysis.validation_resamples), **common)


def _rows(family: Family, study: Validation, notes: Footnotes) -> list[tuple[Cell, ...]]:
    name = family.reference.name
    if not study.models:
        return [(name,), ("  all models", notes.dash(study.reason), *[""] * (len(COLUMNS) - 2))]
    mark = f" {notes.mark(study.reason)}" if study.reason else ""
    rows: list[tuple[Cell, ...]] = [(f"{name}{mark}",)]
    for model, measures in study.models.items():
        label = "alone" if model == name else model
        rows.append((f"  {label}", *_cells(measures, notes)))
    for (model, other), measures in study.differences.items():
        label = f"gain {model}" if other == name else _against(model, other)
        rows.append((f"  {label}", *_cells(measures, notes), ""))
    return rows


def _without_intervals(study: Validation) -> Validation:
    """Return the corrected figures without their intervals, which take the models as fixed and are too narrow."""
    models = {name: tuple(map(_without_interval, own)) for name, own in study.models.items()}
    differences = {names: tuple(map(_without_interval, own)) for names, own in study.differences.items()}
    return replace(study, models=models, differences=differences)


def _without_interval(one: Validated) -> Validated:
    if one.corrected.estimate is None:
        return one
    return replace(one, corrected=replace(one.corrected, low=None, high=None, reason=NO_INTERVAL))


def _against(model: str, other: str) -> str:
    return f"{model.removeprefix('with ')} less {other.removeprefix('with ')}"


def _cells(measures: Sequence[Validated], notes: Footnotes) -> list[str]:
    cells = []
    for one in measures:
        if one.measure != "slope":
            cells.append(
                notes.dash(one.apparent.reason)
                if one.apparent.estimate is None
                else interval(one.apparent.estimate, None, None, 3)
            )
        cells.append(notes.figure(one.corrected, 3))
    return cells


def _numbers(study: Validation) -> Mapping[str, Any]:
    models = {name: tuple(map(_apparent_alone, own)) for name, own in study.models.items()}
    differences = {_against(*names): tuple(map(_apparent_alone, own)) for names, own in study.differences.items()}
    return {"method": study.method, "reason": study.reason, "models": models, "differences": differences}


def _apparent_alone(one: Validated) -> Validated:
    return replace(one, apparent=standing_alone(one.apparent))
