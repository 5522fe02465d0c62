"""Net reclassification and integrated discrimination: of the model, of the reader, and of their difference."""

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
    "The net reclassification index is positive for most useless markers too (in 75 % of null cohorts of ours): read "
    "it with the likelihood-ratio test, the change of C and Brier score and the net benefit (Table “What calcium "
    "adds”), never alone."
)


def reclassification_part(patients: Patients, found: Family | str, progress: Progress = no_progress) -> Part:
    """Against the reference model, of patients with all covariates; intervals from a bootstrap that refits."""
    if isinstance(found, str):
        return Part(Section("Reclassification", (found,)), {"reason": found})
    analysis = patients.config.analysis
    matrices = [one.columns[1] for one in found.all]
    study = bootstrap_reclassification(
        patients.data, *matrices, horizon=analysis.horizon_years, cutoffs=analysis.nri_cutoffs or None,
        resamples=analysis.resamples, seed=analysis.seed, progress=progress,
    )  # fmt: skip
    names = {"model": patients.model.name, "reader": patients.reader.name if patients.reader else ""}
    names["model - reader"] = f"{names['model']} less {names['reader']}"
    if study.reason:
        return Part(Section("Reclassification", (f"Reclassification: {study.reason}.",)), {"reason": study.reason})
    table = _table(patients, found, study.results, names)
    cross = [_cross(patients, found, one) for one in found.calcium] if analysis.nri_cutoffs else []
    tables = [_counts(patients, found, one, told) for one, told in zip(found.calcium, cross, strict=False)]
    numbers = {
        "study": study.results,
        "likelihood_ratio": dict(study.tests),
        "reference": found.reference.name,
        "tables": {one.name: told for one, told in zip(found.calcium, cross, strict=False)},
    }
    return Part(Section("Reclassification", (_told(patients, found), table, CAUTION, *tables)), numbers)


def _told(patients: Patients, found: Family) -> str:
    analysis = patients.config.analysis
    cuts = " and ".join(f"{100 * cut:g} %" for cut in analysis.nri_cutoffs)
    cut_words = f"; categories cut at {cuts} of risk" if cuts else ""
    return (
        f"Reference model: Cox model with {found.reference.name}. Calcium is added as categories. Horizon "
        f"{analysis.horizon_years:g} years{cut_words}. Intervals: percentile bootstrap of {analysis.resamples:,} "
        f"resamples, all models refitted in each, seed {analysis.seed}."
    )


_KINDS = {"category-free": "category-free NRI", "categorical": "categorical NRI", "IDI": "IDI"}
_ESTIMATORS = {"kaplan-meier": "Kaplan-Meier", "ipw": "inverse probability weights"}


def _table(patients: Patients, found: Family, results: Any, names: dict[str, str]) -> Table:
    notes = Footnotes(
        "NRI: Pencina MJ et al., Stat Med 2011;30:11-21. Event part: share of patients with an event that move up less "
        "those that move down; non-event part: the reverse of those without. IDI: difference of the mean risks."
    )
    rows: list[tuple[Cell, ...]] = []
    for comparison in dict.fromkeys(one.comparison for one in results):
        rows.append((f"{names[comparison]}, against {found.reference.name}",))
        rows += [_row(one, notes) for one in results if one.comparison == comparison]
    columns = ("", "Estimator", "Total (95 % CI)", "Event part (95 % CI)", "Non-event part (95 % CI)")
    return Table("Reclassification", columns, tuple(rows), notes.all, name="reclassification")


def _row(one: Reclassification, notes: Footnotes) -> tuple[Cell, ...]:
    figures = (notes.figure(told, 3) for told in (one.total, one.event, one.nonevent))
    return (f"  {_KINDS[one.kind]}", _ESTIMATORS[one.estimator], *figures)


def _cross(patients: Patients, found: Family, model: RiskModel) -> ReclassificationTable:
    analysis = patients.config.analysis
    risks = (found.reference.risk, model.risk)
    return reclassification_table(patients.data, *risks, analysis.horizon_years, analysis.nri_cutoffs)


def _counts(patients: Patients, found: Family, model: RiskModel, told: ReclassificationTable) -> Table:
    """Old class by new class: patients, and the share with an event by the horizon."""
    analysis = patients.config.analysis
    classes = _classes(analysis.nri_cutoffs)
    rows: list[tuple[Cell, ...]] = []
    for label, counts, events in zip(classes, told.counts, told.events, strict=True):
        cells = [
            f"{int(count):,} ({percent(float(event) / int(count))})" if count else "0"
            for count, event in zip(counts, events, strict=True)
        ]
        rows.append((label, *cells, int(sum(counts))))
    notes = (f"Patients (share with an event by {analysis.horizon_years:g} years, Kaplan-Meier within the cell).",)
    title = f"Reclassification by {model.name.removeprefix('with ')}"
    groups = ((f"Risk with {found.reference.name}", 1), ("Risk with calcium added", len(classes)), ("", 1))
    return Table(title, ("", *classes, "All"), tuple(rows), notes, groups)


def _classes(cuts: tuple[float, ...]) -> list[str]:
    ends = [f"{100 * cut:g}" for cut in cuts]
    middle = [f"{low} to < {high} %" for low, high in pairwise(ends)]
    return [f"< {ends[0]} %", *middle, f"≥ {ends[-1]} %"]
