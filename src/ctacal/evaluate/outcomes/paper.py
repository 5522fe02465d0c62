"""The published figures beside those of the cohort that is simulated from them."""

from dataclasses import dataclass, replace
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctacal.evaluate.outcomes.config import OutcomesConfig
from ctacal.evaluate.outcomes.figures import ForestRow, draw_forest
from ctacal.evaluate.outcomes.part import LABELS
from ctacal.evaluate.outcomes.patients import Patients, Reading
from ctacal.evaluate.outcomes.published_cohort import SIMULATED
from ctacal.evaluate.outcomes.report import outcomes_report
from ctacal.evaluate.publication import (
    Cell,
    Chart,
    Publication,
    Section,
    Table,
    count_percent,
    interval,
    marked,
    marked_chart,
)
from ctacal.fields import read_toml
from ctacal.progress import Bar, no_bar
from ctacal.statistics.agreement import cross_table, exact_agreement, weighted_kappa
from ctacal.statistics.estimate import Estimate, Z

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ASSUMED = (
    "Taken from the publication: the number of patients, the deep-learning categories, the kappa with the expert and "
    "the multivariable hazard ratios. Assumed, because not published: all covariates and their effects, the number of "
    "events (about 435), follow-up, the expert's margins (higher than the model's, so that a swapped sign would show), "
    "and the kind of the first event. Events depend on the "
    "deep-learning category, so the expert performs worse by construction, and the net reclassification index depends "
    "on what is assumed about perfusion. A correct program misses at least one published interval in 11 to 21 of 100 "
    "such cohorts; the tests check the mean and the coverage over 300 of them."
)
"""What is published and what is assumed: the second paragraph of the report."""

MARK = "Simulated cohort"
"""At the head of every page, in every title, figure and file name."""

NRI_UNKNOWN = (
    "The published net reclassification index of deep learning is not found again, and this cohort cannot tell why. "
    "Not known of it: whether it is category-free or of categories, and with which cut-offs; the time at which events "
    "count; how patients who were not followed so long count; whether the reference model has perfusion alone or "
    "clinical data as well; its interval. It also depends on the distribution and the effect of perfusion, which are "
    "invented here."
)
"""Footnote of the table of published figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFigures:
    """Figures from the paper."""

    source: str
    categories: tuple[int, ...]
    """Number of patients in each of the four categories."""
    kappa: float
    """Kappa with linear weights."""
    hazard_ratios: tuple[tuple[float, float, float], ...]
    """Multivariable hazard ratios of the three upper categories: estimate, low, high."""
    nri_model: float
    """Net reclassification against perfusion; kind and horizon are not stated."""
    nri_reader: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRecipe:
    """The contents of ``recipes/paper.toml``."""

    published: PublishedFigures
    outcomes: OutcomesConfig
    seed: int = 0
    """Seed of the cohort."""
    patients: int = 2271
    """Number of patients in the cohort."""


def read_recipe(path: Path) -> PaperRecipe:
    """Read a recipe. Raises ``UsageError`` naming the file and the field that is unknown or invalid."""
    return read_toml(PaperRecipe, path)


def paper_report(patients: Patients, recipe: PaperRecipe, bar: Bar = no_bar) -> Publication:
    """Return the publication of ``ctacal outcomes`` with the published figures beside ours as the first section."""
    whole = outcomes_report(patients, bar, title=recipe.outcomes.title, first=(SIMULATED, ASSUMED))
    table, numbers = _beside(patients, recipe.published, whole.numbers)
    content = (table, *([_cross_table(patients, patients.reader)] if patients.reader else []))
    beside = replace(
        whole,
        sections=(Section("Published and simulated", content), *whole.sections),
        numbers={"published": {"figures": recipe.published, "ours": numbers}, **whole.numbers},
        command="ctacal paper",
        options={"cohort_seed": recipe.seed, "patients": recipe.patients, **whole.options},
    )
    return marked(beside, MARK)


def paper_page(report: Publication, figures: PublishedFigures, links: tuple[tuple[str, str], ...]) -> Publication:
    """Return the page on top of both reports: the published figures beside ours, with links to the reports."""
    first = report.sections[0]
    curves = [chart for chart in report.charts if "kaplan_meier" in chart.stem]
    forest = marked_chart(_forest(figures, report.numbers["published"]["ours"]["hazard_ratios"]), MARK)
    return replace(
        report,
        title=f"{figures.source.partition(' et al')[0]} and colleagues' figures beside a {MARK.lower()}",
        lead=report.lead[:2],
        sections=(Section(first.title, (first.content[0], forest, *first.content[1:], *curves)),),
        checklists=(),
        links=links,
    )


def _forest(figures: PublishedFigures, ours: list[Estimate]) -> Chart:
    rows = [ForestRow(f"  {LABELS[0]}", reference=True)]
    for label, (middle, low, high), own in zip(LABELS[1:], figures.hazard_ratios, ours, strict=True):
        published = Estimate(middle, low, high, "published", sum(figures.categories))
        rows.append(ForestRow(f"  {label}", (published, own)))

    def draw(figure: "Figure") -> None:
        draw_forest(figure, rows, ("Published", MARK), "Multivariable hazard ratio for MACE (logarithmic axis)")

    caption = "Multivariable hazard ratios with 95 % intervals: those of the publication, and those found here."
    return Chart("Published and simulated hazard ratios", caption, draw, "double", 22 + 6.5 * len(rows))


def _beside(patients: Patients, published: PublishedFigures, numbers: Any) -> tuple[Table, dict[str, Any]]:
    n = sum(published.categories)
    rows: list[tuple[Cell, ...]] = [("Patients", f"{n:,}", f"{patients.data.n:,}", _same(n, patients.data.n))]
    rows.append((f"{patients.model.name} categories",))
    total, counts = sum(published.categories), [int((patients.model.category == place).sum()) for place in range(4)]
    for label, count, ours in zip(LABELS, published.categories, counts, strict=True):
        rows.append(
            (f"  {label}", count_percent(count, total), count_percent(ours, patients.data.n), _same(count, ours))
        )
    found: dict[str, Any] = {"categories": counts}
    if patients.reader is not None:
        table = cross_table(patients.reader.category, patients.model.category)
        found |= {"kappa": weighted_kappa(table), "exact": exact_agreement(table)}
        held = "inside ours" if _holds(found["kappa"], published.kappa) else "outside ours"
        rows.append(
            ("Linear weighted kappa (95 % CI)", f"{published.kappa:.2f}", _cell(found["kappa"], 2), f"none: {held}")
        )
        rows.append(("Exact agreement (95 % CI)", "not in the abstract", _cell(found["exact"], 3), ""))
    rows.append(("Multivariable hazard ratio (95 % CI)",))
    found["hazard_ratios"] = ours_hazards = _hazards(numbers, patients)
    for label, (middle, low, high), own in zip(LABELS[1:], published.hazard_ratios, ours_hazards, strict=True):
        inside = own.estimate is not None and low <= own.estimate <= high
        rows.append((f"  {label}", interval(middle, low, high, 2), _cell(own, 2), "yes" if inside else "no"))
    rows += _nri_rows(published, numbers, found)
    events = f"{patients.data.events:,}"
    rows.append((f"Patients with {patients.config.outcome.name}", "not in the abstract", events, ""))
    notes = (
        f"Published: {published.source}. {SIMULATED}",
        "Within the published interval: whether our estimate lies in it; where none is published, whether the "
        "published value lies in our interval.",
        NRI_UNKNOWN,
    )
    title = "Published figures beside those found here"
    columns = ("", "Published", MARK, "Within the published interval")
    return Table(title, columns, tuple(rows), notes, name="published"), found


def _same(published: int, ours: int) -> str:
    return "equal" if published == ours else "another number"


def _holds(estimate: Estimate, value: float) -> bool:
    return estimate.low is not None and estimate.high is not None and estimate.low <= value <= estimate.high


def _cross_table(patients: Patients, reader: Reading) -> Table:
    """Return the reader's category (rows) by the model's: counts and percentages of the row."""
    counts = cross_table(reader.category, patients.model.category)
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (label, *(count_percent(int(count), int(row.sum())) for count in row), int(row.sum()))
        for label, row in zip(LABELS, counts, strict=True)
    )
    title = f"{patients.model.name} beside {reader.name}: n (% of the row)"
    groups = ((reader.name, 1), (patients.model.name, len(LABELS)), ("", 1))
    return Table(title, ("", *LABELS, "All"), rows, (), groups, name="agreement")


def _cell(estimate: Estimate, places: int) -> str:
    if estimate.estimate is None:
        return f"not defined: {estimate.reason}"
    return interval(estimate.estimate, estimate.low, estimate.high, places)


def _hazards(numbers: Any, patients: Patients) -> list[Estimate]:
    """Return the hazard ratios of the three upper categories, from the numbers of the Cox part."""
    model = numbers["cox"][patients.model.name]["multivariable"]
    if "reason" in model:
        return [Estimate(None, None, None, model["method"], model["n"], model["reason"])] * 3
    return [
        Estimate(exp(b), exp(b - Z * e), exp(b + Z * e), model["method"], model["n"])
        for b, e in list(zip(model["coefficient"], model["error"], strict=True))[:3]
    ]


def _nri_rows(published: PublishedFigures, numbers: Any, found: dict[str, Any]) -> list[tuple[Cell, ...]]:
    """Return rows for all kinds of net reclassification, because the paper does not state which kind it gives."""
    study = numbers["reclassification"].get("study", ())
    rows: list[tuple[Cell, ...]] = [("Net reclassification against perfusion (95 % CI): see the last note",)]
    found["nri"] = [result for result in study if result.kind != "IDI" and result.estimator == "kaplan-meier"]
    for comparison, name, theirs in (
        ("model", "deep learning", published.nri_model), ("reader", "expert", published.nri_reader)
    ):  # fmt: skip
        for result in found["nri"]:
            if result.comparison == comparison:
                published_value = f"{theirs:.3f} (kind not stated)"
                held = "inside ours" if _holds(result.total, theirs) else "outside ours"
                rows.append((f"  {name}, {result.kind}", published_value, _cell(result.total, 3), f"none: {held}"))
    return rows
