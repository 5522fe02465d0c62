"""Net reclassification and integrated discrimination of the model, of the reader, and their difference."""

from itertools import pairwise
from typing import Any

from ctacal.evaluate.outcomes.part import Footnotes, Part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.outcomes.performance import Family, RiskModel
from ctacal.evaluate.publication import Cell, Section, Table, percent
from ctacal.progress import Progress, no_progress
from ctacal.statistics.survival.nri import bootstrap_reclassification
from ctacal.statistics.survival.reclassification import Reclassification, ReclassificationTable, reclassification_table

CAUTION = (
    "The net reclassification index is positive for most useless markers too (in 75 % of our null cohorts). Never read "
    "it alone: read it together with the likelihood-ratio test, the changes of C and of the Brier score, and the net "
    "benefit (table “What calcium adds”)."
)
"""The caveat below the table."""


def reclassification_part(patients: Patients, found: Family | str, progress: Progress = no_progress) -> Part:
    """Return reclassification against the reference model, with intervals from a bootstrap that refits the models."""
    if isinstance(found, str):
        return Part(Section("Reclassification", (found,)), {"reason": found})
    analysis = patients.config.analysis
    matrices = [model.columns[1] for model in found.all]
    study = bootstrap_reclassification(
        patients.data, *matrices, horizon=analysis.horizon_years, cutoffs=analysis.nri_cutoffs or None,
        resamples=analysis.resamples, seed=analysis.seed, progress=progress,
    )  # fmt: skip
    names = {"model": patients.model.name, "reader": patients.reader.name if patients.reader else ""}
    names["model - reader"] = f"{names['model']} minus {names['reader']}"
    if study.reason:
        return Part(Section("Reclassification", (f"Reclassification: {study.reason}.",)), {"reason": study.reason})
    table = _table(patients, found, study.results, names)
    cross = [_cross(patients, found, model) for model in found.calcium] if analysis.nri_cutoffs else []
    tables = [_counts(patients, found, model, table) for model, table in zip(found.calcium, cross, strict=False)]
    numbers = {
        "study": study.results,
        "likelihood_ratio": dict(study.tests),
        "reference": found.reference.name,
        "tables": {model.name: table for model, table in zip(found.calcium, cross, strict=False)},
    }
    return Part(Section("Reclassification", (_description(patients, found), table, CAUTION, *tables)), numbers)


def _description(patients: Patients, found: Family) -> str:
    analysis = patients.config.analysis
    cuts = " and ".join(f"{100 * cut:g} %" for cut in analysis.nri_cutoffs)
    categories = f"; categories of risk with cut-offs at {cuts}" if cuts else ""
    return (
        f"Reference model: Cox model with {found.reference.name}. Calcium is added as categories. Horizon: "
        f"{analysis.horizon_years:g} years{categories}. Intervals: percentile bootstrap of {analysis.resamples:,} "
        f"resamples, in each of which all models are refitted (seed {analysis.seed})."
    )


_KINDS = {"category-free": "category-free NRI", "categorical": "categorical NRI", "IDI": "IDI"}
_ESTIMATORS = {"kaplan-meier": "Kaplan-Meier", "ipw": "inverse probability weights"}


def _table(patients: Patients, found: Family, results: Any, names: dict[str, str]) -> Table:
    notes = Footnotes(
        "NRI: Pencina MJ et al., Stat Med 2011;30:11-21. Event part: proportion of patients with an event who move up "
        "minus those who move down; non-event part: the reverse in patients without. IDI: difference of the mean risks."
    )
    rows: list[tuple[Cell, ...]] = []
    for comparison in dict.fromkeys(result.comparison for result in results):
        rows.append((f"{names[comparison]}, against {found.reference.name}",))
        rows += [_row(result, notes) for result in results if result.comparison == comparison]
    columns = ("", "Estimator", "Total (95 % CI)", "Event part (95 % CI)", "Non-event part (95 % CI)")
    return Table("Reclassification", columns, tuple(rows), notes.all, name="reclassification")


def _row(result: Reclassification, notes: Footnotes) -> tuple[Cell, ...]:
    figures = (notes.figure(estimate, 3) for estimate in (result.total, result.event, result.nonevent))
    return (f"  {_KINDS[result.kind]}", _ESTIMATORS[result.estimator], *figures)


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
