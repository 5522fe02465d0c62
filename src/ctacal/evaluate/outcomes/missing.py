"""Missing covariates: multiple imputation; the multivariable model beside that of complete cases, and performance."""

from dataclasses import replace
from typing import Any

import numpy as np

from ctacal.arrays import Floats
from ctacal.evaluate.outcomes.imputed import imputed_performance
from ctacal.evaluate.outcomes.imputed_models import imputed_models
from ctacal.evaluate.outcomes.models import Fit, fit, missing_maximum, ratio, together, wald
from ctacal.evaluate.outcomes.part import LABELS, Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients, Reading
from ctacal.evaluate.publication import Cell, Section, Table, p_value, percent
from ctacal.progress import Progress, no_progress
from ctacal.statistics.estimate import LEVEL, Estimate
from ctacal.statistics.survival import imputation
from ctacal.statistics.survival.cox_model import CoxModel, NoModel
from ctacal.statistics.survival.imputation import Pooled
from ctacal.statistics.survival.pooling import needed_imputations
from ctacal.statistics.survival.survival_curve import life_table
from ctacal.statistics.survival.survival_data import SurvivalData

MOST_KEPT = 5_000_000
"""Most patients in all imputed sets from which performance is computed: in large cohorts fewer sets do."""

FEWEST_KEPT = 5
"""Fewest such sets."""


def missing_part(patients: Patients, progress: Progress = no_progress) -> Part:
    """Return models pooled over the imputations by Rubin's rules, or the reason why there are none."""
    gaps = [covariate for covariate in patients.covariates if covariate.missing]
    if not gaps:
        return Part(Section("Missing covariates", ("No covariate is missing in any patient.",)), {})
    if patients.config.analysis.missing == "complete":
        reason = "The configuration chooses complete cases only, so missing covariates are not imputed."
        return Part(Section("Missing covariates", (reason,)), {"reason": reason})
    if empty := [covariate.label for covariate in gaps if covariate.missing == patients.data.n]:
        reason = f"Nothing to impute from: {', '.join(empty)} is missing in every patient."
        return Part(Section("Missing covariates", (reason,)), {"reason": reason})
    fits, sets = _imputed(patients, progress)
    notes = Footnotes(_method(patients))
    complete = patients.take(patients.complete)
    rows: list[tuple[Cell, ...]] = []
    numbers: dict[str, Any] = {}
    for place, reading in enumerate(patients.readings):
        pooled = _pooled([models[place] for models in fits])
        numbers[reading.name] = pooled
        rows += _rows(patients, reading, complete, pooled, notes)
    columns = ("", "Imputed: HR (95 % CI)", "p", "Variance due to missing data", "Complete cases: HR (95 % CI)", "p")
    table = Table("Multivariable hazard ratios by multiple imputation", columns, tuple(rows), notes.all, name="imputed")
    content = imputed_performance(patients, sets, imputations_of(patients))
    others, numbers["models"] = imputed_models(sets)
    numbers["imputations"], numbers["performance"] = imputations_of(patients), content.numbers
    return Part(Section("Missing covariates", (_told(patients), table, *content.content, *others)), numbers)


def imputations_of(patients: Patients) -> int:
    """Return the number of imputations: that of the configuration, or what the share of incomplete patients needs."""
    return patients.config.analysis.imputations or needed_imputations(_incomplete(patients))


def _incomplete(patients: Patients) -> float:
    return 1 - float(patients.complete.mean()) if patients.data.n else 0.0


def _told(patients: Patients) -> str:
    """Return how many imputations there are and why, and what is imputed."""
    count, share = imputations_of(patients), _incomplete(patients)
    needed = needed_imputations(share)
    rule = "one for each percent, from 10 to 100 (White, Royston and Wood 2011)"
    why = f"{percent(share)} of the patients lack a covariate: {count} imputations, {rule}."
    if count < needed:
        why = (
            f"{percent(share)} of the patients lack a covariate, for which {needed} imputations are advised, {rule}; "
            f"the configuration asks for {count}, so that figures vary more from seed to seed."
        )
    elif count > needed:
        why = f"{percent(share)} of the patients lack a covariate: {count} imputations, as the configuration asks for."
    return (
        f"{why} This section gives the hazard ratios (also of endpoints, subgroups, competing risks and centres), "
        "performance, gains, calibration, decision curve and reclassification of all patients, averaged over the "
        "imputations; the other sections are of complete cases."
    )


def _method(patients: Patients) -> str:
    count, n = imputations_of(patients), patients.data.n
    return (
        f"{count} imputations of all {n:,} patients by chained equations with predictive mean matching, from "
        "all covariates, calcium, the event and the Nelson-Aalen cumulative hazard (White and Royston 2009); pooled by "
        "Rubin's rules with the degrees of freedom of Barnard and Rubin (1999). Values are assumed to be missing at "
        "random."
    )


def _imputed(patients: Patients, progress: Progress) -> tuple[list[list[Fit]], list[Patients]]:
    """Return the multivariable model of each reading for each imputation, and the first completed sets of patients."""
    columns = [imputation.Covariate(own.label, own.values, bool(own.levels)) for own in patients.covariates]
    count, kept = imputations_of(patients), max(FEWEST_KEPT, MOST_KEPT // max(patients.data.n, 1))
    sets = imputation.impute(columns, _always_known(patients), imputations=count, seed=patients.config.analysis.seed)
    fits: list[list[Fit]] = []
    completed: list[Patients] = []
    for done, values in enumerate(sets, start=1):
        pairs = zip(patients.covariates, values, strict=True)
        whole = replace(patients, covariates=tuple(replace(covariate, values=own) for covariate, own in pairs))
        adjusted = whole.adjusted(patients.config.adjusted)
        fits.append([fit(whole, together(reading.by_category(), adjusted)) for reading in whole.readings])
        completed += [whole] * (len(completed) < kept)
        progress(done, count)
    return fits, completed


def _always_known(patients: Patients) -> Floats:
    """Return (n, q): the columns that are known for every patient."""
    known = [patients.data.event.astype(np.float64), _nelson_aalen(patients.data)]
    for reading in patients.readings:
        known += [reading.category.astype(np.float64)] if reading.log_score is None else [reading.log_score]
    return np.column_stack(known)


def _nelson_aalen(data: SurvivalData) -> Floats:
    """Return (n,): the cumulative hazard at each patient's time."""
    times, at_risk, events, _ = life_table(data)
    return np.asarray(np.cumsum(events / at_risk)[np.searchsorted(times, data.time)])


def _pooled(fits: list[Fit]) -> dict[str, Any]:
    """Return names and pooled coefficients, or the reason of the first model that could not be fitted."""
    for model in fits:
        if not isinstance(model, CoxModel):
            return {"reason": missing_maximum(model)}
    models = [model for model in fits if isinstance(model, CoxModel)]
    df = max(models[0].events - len(models[0].names), 1)
    pooled = imputation.pool([model.coefficient for model in models], [model.error for model in models], df)
    return {"names": models[0].names, "pooled": pooled}


def _rows(
    patients: Patients, reading: Reading, complete: Patients, pooled: dict[str, Any], notes: Footnotes
) -> list[tuple[Cell, ...]]:
    own = next(known for known in complete.readings if known.name == reading.name)
    other = fit(complete, together(own.by_category(), complete.adjusted(patients.config.adjusted)))
    names = reading.by_category()[0]
    labels = {name: LABELS[place] for name, place in zip(names, reading.present[1:], strict=True)}
    covariates = patients.adjusted(patients.config.adjusted)[0]
    rows: list[tuple[Cell, ...]] = [(f"{reading.name} categories (reference {LABELS[reading.present[0]]})",)]
    for name in (*names, *covariates):
        known = isinstance(other, NoModel) or name in other.names
        beside = (notes.figure(ratio(other, name)), notes.p(wald(other, name))) if known else ("", "")
        rows.append((f"  {labels.get(name, name)}", *_pooled_cells(pooled, name, notes), *beside))
    return rows


def _pooled_cells(pooled: dict[str, Any], name: str, notes: Footnotes) -> tuple[str, str, str]:
    if "reason" in pooled:
        return notes.dash(pooled["reason"]), "", ""
    found: Pooled = pooled["pooled"]
    k = pooled["names"].index(name)
    low, middle, high = (float(np.exp(log_ratio[k])) for log_ratio in (found.low, found.estimate, found.high))
    estimate = Estimate(middle, low, high, f"pooled over {found.imputations} imputations, {LEVEL:.0%}", 0)
    return notes.figure(estimate), p_value(float(found.p[k])), f"{100 * found.fraction_missing[k]:.1f} %"
