"""Net reclassification and integrated discrimination of the model, of the reader, and their difference."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from ctacal.evaluate.outcomes.part import Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.outcomes.performance import Family, RiskModel
from ctacal.evaluate.publication import Cell, Section, Table, p_value, percent
from ctacal.evaluate.publication.wording import number
from ctacal.progress import Progress, no_progress
from ctacal.statistics.hypothesis import HypothesisTest
from ctacal.statistics.survival.nri import bootstrap_reclassification
from ctacal.statistics.survival.reclassification import Reclassification, ReclassificationTable, reclassification_table
from ctacal.statistics.survival.reclassification_intervals import LEVEL_OF_TEST

CAUTION = (
    "NRI and IDI are positive for most useless markers too, because the models are fitted to the patients in whom they "
    "are compared. So the likelihood-ratio test comes first: where it shows nothing (p of 0.05 or more), NRI and IDI "
    "have no interval, because none is valid there. “Without effect” is what they are in cohorts of these patients "
    "whose events were drawn anew as if calcium added nothing; p is the share of these cohorts in which the figure is "
    "at least as large as here, and keeps its level. Where the test is significant but the effect small, NRI and IDI "
    "tend to be too high; so, unless p is below 0.001, the interval of an NRI reaches 0. Never read them alone: read "
    "them together with the changes of C and of the Brier score, and the net benefit (table “What calcium adds”)."
)
"""What the table shows where calcium adds nothing."""


def reclassification_part(patients: Patients, found: Family | str, progress: Progress = no_progress) -> Part:
    """Return reclassification against the reference model, with intervals from a bootstrap that refits the models."""
    if isinstance(found, str):
        return Part(Section("Reclassification", (found,)), {"reason": found})
    analysis = patients.config.analysis
    fits = [model.fit for model in found.all]
    study = bootstrap_reclassification(
        patients.data, *fits, horizon=analysis.horizon_years, cutoffs=analysis.nri_cutoffs or None,
        resamples=analysis.resamples, seed=analysis.seed, progress=progress,
    )  # fmt: skip
    names = {"model": patients.model.name, "reader": patients.reader.name if patients.reader else ""}
    names["model - reader"] = f"{names['model']} minus {names['reader']}"
    if study.reason:
        return Part(Section("Reclassification", (f"Reclassification: {study.reason}.",)), {"reason": study.reason})
    table = measures_table(found.reference.name, study.results, names)
    cross = [_cross(patients, found, model) for model in found.calcium] if analysis.nri_cutoffs else []
    tables = [_counts(patients, found, model, table) for model, table in zip(found.calcium, cross, strict=False)]
    first = tests_table(dict(study.tests), names, found.reference.name)
    numbers = {
        "study": study.results,
        "likelihood_ratio": dict(study.tests),
        "reference": found.reference.name,
        "tables": {model.name: table for model, table in zip(found.calcium, cross, strict=False)},
    }
    return Part(Section("Reclassification", (first, _description(patients, found), table, CAUTION, *tables)), numbers)


def _description(patients: Patients, found: Family) -> str:
    analysis = patients.config.analysis
    cuts = " and ".join(f"{100 * cut:g} %" for cut in analysis.nri_cutoffs)
    categories = f"; categories of risk with cut-offs at {cuts}" if cuts else ""
    return (
        f"Reference model: Cox model with {found.reference.name}. Calcium is added as categories. Horizon: "
        f"{analysis.horizon_years:g} years{categories}. Intervals of the NRI and of differences: normal, with the "
        "spread in cohorts whose events are drawn from a model with all readings, their effects shrunken. Intervals "
        f"of the IDI: normal and less its bias, from {analysis.resamples:,} resamples of the patients. In each cohort "
        f"and resample all models are fitted again (seed {analysis.seed})."
    )


def tests_table(
    tests: Mapping[str, HypothesisTest], names: Mapping[str, str], reference: str, *, pooled: bool = False
) -> Table:
    """Return the tests that come first: whether calcium adds anything; ``pooled`` over imputations."""
    notes = Footnotes(
        "Wald test pooled over the imputations (D1 of Li, Raghunathan and Rubin 1991)."
        if pooled
        else "Likelihood-ratio test of nested Cox models."
    )
    rows: list[tuple[Cell, ...]] = []
    for comparison, test in tests.items():
        shown = "" if test.statistic is None else f"{test.statistic:.1f} ({test.df} df)"
        means = "not tested" if test.p is None else "yes" if test.p < LEVEL_OF_TEST else "not shown"
        rows.append((names[comparison], shown, notes.p(test), means))
    title = f"Does calcium add to {reference}?{', imputed' if pooled else ''}"
    name = "imputed_reclassification_test" if pooled else "reclassification_test"
    return Table(title, ("", "Chi-square", "p", "Adds"), tuple(rows), notes.all, name=name)


_KINDS = {"category-free": "category-free NRI", "categorical": "categorical NRI", "IDI": "IDI"}
_ESTIMATORS = {"kaplan-meier": "Kaplan-Meier", "ipw": "inverse probability weights"}


def measures_table(reference: str, results: Any, names: Mapping[str, str], *, pooled: bool = False) -> Table:
    """Return NRI and IDI with their parts, of model, reader and their difference; ``pooled`` over imputations."""
    notes = Footnotes(
        "NRI: Pencina MJ et al., Stat Med 2011;30:11-21. Event part: proportion of patients with an event who move up "
        "minus those who move down; non-event part: the reverse in patients without. IDI: difference of the mean risks."
    )
    rows: list[tuple[Cell, ...]] = []
    for comparison in dict.fromkeys(result.comparison for result in results):
        rows.append((f"{names[comparison]}, against {reference}",))
        rows += [_row(result, notes) for result in results if result.comparison == comparison]
    parts = ("Total (95 % CI)", "Event part (95 % CI)", "Non-event part (95 % CI)")
    columns = ("", "Estimator", *parts, "Mean", "95 % below", "p")
    groups = (("", 5), ("Without effect", 3))
    title, name = ("Reclassification, imputed", "imputed_reclassification") if pooled else ("Reclassification",) * 2
    return Table(title, columns, tuple(rows), notes.all, groups, name.lower())


def _row(result: Reclassification, notes: Footnotes) -> tuple[Cell, ...]:
    figures = (notes.figure(estimate, 3) for estimate in (result.total, result.event, result.nonevent))
    own = result.if_useless
    without = ("", "", "") if own is None else (number(own.mean, 3), number(own.high, 3), p_value(own.p))
    return (f"  {_KINDS[result.kind]}", _ESTIMATORS[result.estimator], *figures, *without)


def _cross(patients: Patients, found: Family, model: RiskModel) -> ReclassificationTable:
    analysis = patients.config.analysis
    risks = (found.reference.risk, model.risk)
    return reclassification_table(patients.data, *risks, analysis.horizon_years, analysis.nri_cutoffs)


def _counts(patients: Patients, found: Family, model: RiskModel, table: ReclassificationTable) -> Table:
    """Return old class by new class: patients, and the proportion with an event by the horizon."""
    analysis = patients.config.analysis
    classes = _classes(analysis.nri_cutoffs)
    rows: list[tuple[Cell, ...]] = []
    for label, counts, events in zip(classes, table.counts, table.events, strict=True):
        cells = [
            f"{int(count):,} ({percent(float(event) / int(count))})" if count else "0"
            for count, event in zip(counts, events, strict=True)
        ]
        rows.append((label, *cells, int(sum(counts))))
    notes = (f"Patients (proportion with an event by {analysis.horizon_years:g} years, Kaplan-Meier within the cell).",)
    title = f"Reclassification by {model.name.removeprefix('with ')}"
    groups = ((f"Risk with {found.reference.name}", 1), ("Risk with calcium added", len(classes)), ("", 1))
    return Table(title, ("", *classes, "All"), tuple(rows), notes, groups)


def _classes(cuts: tuple[float, ...]) -> list[str]:
    ends = [f"{100 * cut:g}" for cut in cuts]
    middle = [f"{low} to < {high} %" for low, high in pairwise(ends)]
    return [f"< {ends[0]} %", *middle, f"≥ {ends[-1]} %"]
