"""The published figures beside ours, on the cohort that is simulated from them."""

from dataclasses import dataclass, replace
from math import exp
from pathlib import Path
from typing import Any

from ctacal.evaluate.outcomes.config import OutcomesConfig
from ctacal.evaluate.outcomes.part import LABELS
from ctacal.evaluate.outcomes.patients import Patients, Reading
from ctacal.evaluate.outcomes.published_cohort import SIMULATED
from ctacal.evaluate.outcomes.report import outcomes_report
from ctacal.evaluate.publication import Cell, Publication, Section, Table, count_percent, interval
from ctacal.fields import read_toml
from ctacal.progress import Bar, no_bar
from ctacal.statistics.agreement import cross_table, exact_agreement, weighted_kappa
from ctacal.statistics.estimate import Estimate, Z

ASSUMED = (
    "Published and put in: the number of patients, the deep-learning categories, the kappa with the expert and the "
    "multivariable hazard ratios. Assumed, since not published: all covariates and their effects, the events "
    "(some 435), follow-up, the expert's categories, what the first event is. Events are drawn from the deep-learning "
    "category, so the expert fares worse by construction, and the net reclassification index hangs on what is assumed "
    "of perfusion. A correct program misses at least one "
    "published interval in 11 to 21 of 100 such cohorts; the tests check mean and coverage over 300 of them."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFigures:
    """What the paper says."""

    source: str
    categories: tuple[int, ...]
    """Patients in each of the four."""
    kappa: float
    """Linear weighted."""
    hazard_ratios: tuple[tuple[float, float, float], ...]
    """Multivariable, of the three upper categories: estimate, low, high."""
    nri_model: float
    """Against perfusion; kind and horizon are not stated."""
    nri_reader: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRecipe:
    """``recipes/paper.toml``."""

    published: PublishedFigures
    outcomes: OutcomesConfig
    seed: int = 0
    """Of the cohort."""
    patients: int = 2271


def read_recipe(path: Path) -> PaperRecipe:
    """Read it. Raises ``UsageError`` naming the file and the field that is unknown or impossible."""
    return read_toml(PaperRecipe, path)


def paper_report(patients: Patients, recipe: PaperRecipe, bar: Bar = no_bar) -> Publication:
    """The publication of ``ctacal outcomes`` with the published figures beside ours before all else."""
    whole = outcomes_report(patients, bar, title=recipe.outcomes.title, first=(SIMULATED, ASSUMED))
    table, numbers = _beside(patients, recipe.published, whole.numbers)
    content = (table, *([_cross_table(patients, patients.reader)] if patients.reader else []))
    return replace(
        whole,
        sections=(Section("Published and simulated", content), *whole.sections),
        numbers={"published": {"figures": recipe.published, "ours": numbers}, **whole.numbers},
        command="ctacal paper",
        options={"cohort_seed": recipe.seed, "patients": recipe.patients, **whole.options},
    )


def _beside(patients: Patients, published: PublishedFigures, numbers: Any) -> tuple[Table, dict[str, Any]]:
    rows: list[tuple[Cell, ...]] = [("Patients", f"{sum(published.categories):,}", f"{patients.data.n:,}")]
    rows.append((f"{patients.model.name} categories",))
    total, counts = sum(published.categories), [int((patients.model.category == place).sum()) for place in range(4)]
    for label, count, ours in zip(LABELS, published.categories, counts, strict=True):
        rows.append((f"  {label}", count_percent(count, total), count_percent(ours, patients.data.n)))
    found: dict[str, Any] = {"categories": counts}
    if patients.reader is not None:
        table = cross_table(patients.reader.category, patients.model.category)
        found |= {"kappa": weighted_kappa(table), "exact": exact_agreement(table)}
        rows.append(("Linear weighted kappa (95 % CI)", f"{published.kappa:.2f}", _told(found["kappa"], 2)))
        rows.append(("Exact agreement (95 % CI)", "not in the abstract", _told(found["exact"], 3)))
    rows.append(("Multivariable hazard ratio (95 % CI)",))
    found["hazard_ratios"] = ours_hazards = _hazards(numbers, patients)
    for label, (middle, low, high), own in zip(LABELS[1:], published.hazard_ratios, ours_hazards, strict=True):
        rows.append((f"  {label}", interval(middle, low, high, 2), _told(own, 2)))
    rows += _nri_rows(published, numbers, found)
    events = f"{patients.data.events:,}"
    rows.append((f"Patients with {patients.config.outcome.name}", "not in the abstract", events))
    notes = (f"Published: {published.source}. {SIMULATED}",)
    title = "Published figures beside those of the simulated cohort"
    return Table(title, ("", "Published", "Simulated cohort"), tuple(rows), notes, name="published"), found


def _cross_table(patients: Patients, reader: Reading) -> Table:
    """The reader's category (rows) by the model's: counts with row percent."""
    counts = cross_table(reader.category, patients.model.category)
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (label, *(count_percent(int(count), int(row.sum())) for count in row), int(row.sum()))
        for label, row in zip(LABELS, counts, strict=True)
    )
    title = f"{patients.model.name} beside {reader.name} in the simulated cohort: n (% of the row)"
    groups = ((reader.name, 1), (patients.model.name, len(LABELS)), ("", 1))
    return Table(title, ("", *LABELS, "All"), rows, (), groups, name="simulated_agreement")


def _told(estimate: Estimate, places: int) -> str:
    if estimate.estimate is None:
        return f"not defined: {estimate.reason}"
    return interval(estimate.estimate, estimate.low, estimate.high, places)


def _hazards(numbers: Any, patients: Patients) -> list[Estimate]:
    """Of the three upper categories, from the figures of the Cox part."""
    told = numbers["cox"][patients.model.name]["multivariable"]
    if "reason" in told:
        return [Estimate(None, None, None, told["method"], told["n"], told["reason"])] * 3
    return [
        Estimate(exp(b), exp(b - Z * e), exp(b + Z * e), told["method"], told["n"])
        for b, e in list(zip(told["coefficient"], told["error"], strict=True))[:3]
    ]


def _nri_rows(published: PublishedFigures, numbers: Any, found: dict[str, Any]) -> list[tuple[Cell, ...]]:
    """All kinds of ours: which one the paper gives is not stated."""
    study = numbers["reclassification"].get("study", ())
    rows: list[tuple[Cell, ...]] = [("Net reclassification against perfusion (95 % CI)",)]
    found["nri"] = [one for one in study if one.kind != "IDI" and one.estimator == "kaplan-meier"]
    for comparison, name, theirs in (
        ("model", "deep learning", published.nri_model), ("reader", "expert", published.nri_reader)
    ):  # fmt: skip
        for one in found["nri"]:
            if one.comparison == comparison:
                told = f"{theirs:.3f} (kind not stated)"
                rows.append((f"  {name}, {one.kind}", told, _told(one.total, 3)))
    return rows
