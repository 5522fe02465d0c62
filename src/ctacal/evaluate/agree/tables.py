"""The tables of one comparison, of all comparisons, and of two models side by side."""

from collections.abc import Iterator, Sequence

import numpy as np

from ctacal.categories import CATEGORIES, CUTS
from ctacal.evaluate.agree.comparison import CategoryAgreement, Comparison, Correlations, Detection, Pair
from ctacal.evaluate.publication import Cell, Table, count_percent, interval, p_value, shown
from ctacal.evaluate.publication.wording import number
from ctacal.statistics.agreement import Compared, LimitsOfAgreement, Line
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.hypothesis import HypothesisTest

AT_SCORES = (10.0, 100.0, 400.0, 1000.0)
"""Mean scores at which the regression limits are shown."""

WILSON = "Intervals: 95 %, Wilson."


def cell(estimate: Estimate, places: int = 3) -> str:
    """Return an estimate with its interval, or the reason why it is not defined."""
    if estimate.estimate is None:
        return f"not defined: {estimate.reason}"
    text = interval(estimate.estimate, estimate.low, estimate.high, places)
    return text if estimate.low is not None else f"{text} (no interval: {estimate.reason})"


def with_signs(text: str) -> str:
    """Return a name with its comparison sign as printed.

    >>> with_signs("CAC >= 100")
    'CAC ≥ 100'
    """
    return text.replace(">=", "≥")


ONLY_CATEGORIES = "categories only"
"""In a cell whose figure needs scores."""


def pair_tables(found: Pair, stem: str) -> dict[str, Table]:
    """Return all tables of one comparison, by what they show."""
    pair = f"{found.other} against {found.reference}"
    tables = {"four": _cross(found, found.four, f"Four categories, {pair}", f"{stem}_four_categories")}
    if found.five:
        tables["five"] = _cross(found, found.five, f"Five categories, {pair}", f"{stem}_five_categories")
    tables |= {
        "kappa": _kappas(found, f"Agreement of categories, {pair}", f"{stem}_kappa"),
        "detection": _detections(found, f"Detection, {pair}", f"{stem}_detection"),
    }
    if not isinstance(found, Comparison):
        return tables
    tables |= {
        "scores": _scores(found, f"Correlation and concordance of scores, {pair}", f"{stem}_correlation"),
        "limits": _limits(found, f"Bland-Altman, {pair}", f"{stem}_bland_altman"),
        "lines": _lines(found, f"Method comparison, {pair}", f"{stem}_lines"),
    }
    return tables | ({"vessels": _vessels(found, f"By vessel, {pair}", f"{stem}_vessels")} if found.vessels else {})


def _cross(found: Pair, agreement: CategoryAgreement, title: str, name: str) -> Table:
    counts, names = agreement.table, agreement.categories
    rows: list[tuple[Cell, ...]] = [
        (category, *(count_percent(int(count), int(line.sum())) for count in line), int(line.sum()))
        for category, line in zip(names, counts, strict=True)
    ]
    total = int(counts.sum())
    rows.append(("All", *(count_percent(int(count), total) for count in counts.sum(axis=0)), total))
    return Table(
        title,
        (found.reference, *names, "All"),
        tuple(rows),
        footnotes=("Number of studies (percentage of the row).",),
        groups=(("", 1), (found.other, len(names)), ("", 1)),
        name=name,
    )


def _kappas(found: Pair, title: str, name: str) -> Table:
    both = (found.four, *([found.five] if found.five else []))
    rows: list[tuple[str, ...]] = []
    for weights in found.four.kappas:
        kappas = [agreement.kappas[weights] for agreement in both]
        rows.append((f"Kappa, {weights}{'' if weights == 'unweighted' else ' weights'}",))
        rows.append(("  asymptotic interval", *(cell(kappa.asymptotic) for kappa in kappas)))
        rows.append(("  bootstrap interval", *(cell(kappa.bootstrap) for kappa in kappas)))
    rows.append(("Exact agreement", *(cell(agreement.exact) for agreement in both)))
    rows.append(("Within one category", *(cell(agreement.within_one) for agreement in both)))
    rows.append(("Stuart-Maxwell, marginal distributions", *(_test(agreement.stuart_maxwell) for agreement in both)))
    rows.append(("Bowker, symmetry", *(_test(agreement.bowker) for agreement in both)))
    note = (
        "Value (95 % interval). Kappa: asymptotic by Fleiss 1969, and "
        f"{found.four.kappas['linear'].bootstrap.method.split(', ', 2)[-1]}; agreement: Wilson. Both tests: chi-square "
        "(degrees of freedom), p; a small p means that the two distribute studies over the categories differently."
    )
    columns = ("", "Four categories", "Five categories")[: 1 + len(both)]
    return Table(title, columns, tuple(rows), footnotes=(note,), name=name)


def _test(test: HypothesisTest) -> str:
    if test.statistic is None or test.p is None:
        return f"not defined: {test.reason}"
    return f"{shown(test.statistic)} ({test.df}), p {_with_sign(p_value(test.p))}"


def _with_sign(p: str) -> str:
    return p if p.startswith("<") else f"= {p}"


def _detections(found: Pair, title: str, name: str) -> Table:
    rows = tuple(_detection_row(detection, found.n) for detection in found.detection)
    columns = ("", "Present", "Found", "Sensitivity", "Specificity", "PPV", "NPV")
    note = (
        f"Present according to {found.reference}, found by {found.other}: number (percentage). PPV, NPV: predictive "
        f"values, which hold only for this prevalence of calcium. {WILSON}"
    )
    return Table(title, columns, rows, footnotes=(note,), name=name)


def _detection_row(detection: Detection, n: int) -> tuple[str, ...]:
    shares = (
        detection.sensitivity,
        detection.specificity,
        detection.positive_predictive_value,
        detection.negative_predictive_value,
    )
    return (
        with_signs(detection.cut),
        count_percent(detection.present, n),
        count_percent(detection.found, n),
        *(cell(share) for share in shares),
    )


def _scores(found: Comparison, title: str, name: str) -> Table:
    def row(text: str, figure: str) -> tuple[str, ...]:
        return (text, *(cell(getattr(scale, figure)) for scale in (found.raw, found.logarithmic)))

    rows = (
        row("Spearman's rho", "spearman"),
        row("Pearson's r", "pearson"),
        row("Lin's concordance", "lin_concordance"),
        row("ICC(2,1), absolute agreement", "icc_agreement"),
        row("ICC(3,1), consistency", "icc_consistency"),
    )
    note = (
        "Value (95 % interval). Intervals: rho by Bonett 2000, r by Fisher's z, Lin by the Z transformation, ICC by "
        "McGraw 1996; they treat studies as independent. A few high scores dominate the statistics of the "
        "Agatston score."
    )
    return Table(title, ("", "Agatston score", "log(score + 1)"), rows, footnotes=(note,), name=name)


def _limits(found: Comparison, title: str, name: str) -> Table:
    rows: list[tuple[str, ...]] = [
        ("Difference of scores (Agatston)", *limit_cells(found.limits, 1)),
        ("Ratio of (score + 1)", *limit_cells(found.ratio_limits, 2)),
    ]
    growing = found.regression_limits
    if growing.reason:
        rows.append(("Regression limits", f"not defined: {growing.reason}", "–", "–"))
    else:
        rows.append(("Regression limits: difference at a mean score of",))
        at = np.array(AT_SCORES)
        for score, *three in zip(at, *growing.at(at), strict=True):
            rows.append((f"  {shown(int(score))}", *(number(float(limit), 1) for limit in three)))
    notes = [
        f"{found.other} minus (or divided by) {found.reference}; value (95 % interval). 95 % of studies lie within the "
        "limits: bias ± 1.96 SD (Bland 1986, 1999). If the spread grows with the score, read the limits of the ratio "
        "or the regression limits, not the limits of the difference.",
    ]
    if not growing.reason:
        notes.append(_equation(found))
    return Table(title, ("", "Bias", "Lower limit", "Upper limit"), tuple(rows), footnotes=tuple(notes), name=name)


def _equation(found: Comparison) -> str:
    limits = found.regression_limits
    parts = [
        value for value in (limits.bias_at_0, limits.bias_slope, limits.sd_at_0, limits.sd_slope) if value is not None
    ]
    at_0, slope, sd_at_0, sd_slope = (number(value, 3) for value in parts)
    return f"Regression limits at a mean score A: {at_0} + {slope} A ± 1.96 ({sd_at_0} + {sd_slope} A)."


def limit_cells(limits: LimitsOfAgreement, places: int) -> tuple[str, str, str]:
    """Return bias, lower and upper limit, each with its interval."""
    if limits.reason:
        return f"not defined: {limits.reason}", "–", "–"
    return cell(limits.bias, places), cell(limits.lower, places), cell(limits.upper, places)


def _lines(found: Comparison, title: str, name: str) -> Table:
    def row(text: str, line: Line) -> tuple[str, ...]:
        return text, cell(line.slope), cell(line.intercept, 2) if line.slope.estimate is not None else "–"

    rows = (
        row("Passing-Bablok", found.passing_bablok),
        row("Deming", found.deming),
        row("Deming, weighted", found.weighted_deming),
    )
    note = (
        f"{found.other} = intercept + slope × {found.reference}, in the {found.both_above_0:,} studies that both score "
        "above 0; value (95 % interval). Deming: equal error in both, interval by the jackknife; weighted: error "
        "proportional to the score. A slope of 1 and an intercept of 0 mean that there is no systematic difference."
    )
    return Table(title, ("", "Slope", "Intercept (Agatston)"), rows, footnotes=(note,), name=name)


def _vessels(found: Comparison, title: str, name: str) -> Table:
    columns = ("", "n", "Present", "Sensitivity", "Specificity", "Spearman", "Lin", "ICC(2,1)", "Bias", "Limits")
    rows: list[tuple[Cell, ...]] = []
    for vessel, agreement in found.vessels.items():
        limits = agreement.limits
        rows.append((
            vessel, agreement.n, count_percent(agreement.detection.present, agreement.n),
            cell(agreement.detection.sensitivity), cell(agreement.detection.specificity),
            *_three(agreement.correlations), cell(limits.bias, 1),
            _both_limits(limits),
        ))  # fmt: skip
    note = (
        f"Agatston scores by vessel; calcium present (score > 0) according to {found.reference}. Value (95 % interval)."
    )
    return Table(title, columns, tuple(rows), footnotes=(note,), name=name)


def _both_limits(limits: LimitsOfAgreement) -> str:
    low, high = limits.lower.estimate, limits.upper.estimate
    return "–" if low is None or high is None else f"{number(low, 1)} to {number(high, 1)}"


def _three(scores: Correlations) -> Iterator[str]:
    yield from (cell(estimate) for estimate in (scores.spearman, scores.lin_concordance, scores.icc_agreement))


def summary_table(comparisons: Sequence[Pair]) -> Table:
    """Return the most important statistics, one row for each comparison."""
    columns = (
        "", "n", "Kappa, linear", "Exact", "Within one", f"{CUTS[0].name}: sensitivity",
        f"{CUTS[0].name}: specificity", "ICC(2,1)",
    )  # fmt: skip
    rows = tuple(
        (
            f"{found.other} against {found.reference}", found.n, cell(found.four.kappas["linear"].bootstrap),
            cell(found.four.exact), cell(found.four.within_one), cell(found.detection[0].sensitivity),
            cell(found.detection[0].specificity),
            cell(found.raw.icc_agreement) if isinstance(found, Comparison) else ONLY_CATEGORIES,
        )
        for found in comparisons
    )  # fmt: skip
    note = (
        f"Four categories ({', '.join(CATEGORIES)}). Value (95 % interval): kappa by bootstrap, proportions by Wilson."
    )
    return Table("Summary of agreement", columns, rows, footnotes=(note,), name="summary")


def models_table(reference: str, model: str, other: str, found: Sequence[Compared], stem: str) -> Table:
    """Return the statistics of two models against one reader, side by side."""
    rows = tuple(
        (
            with_signs(compared.name),
            *(_plain(value) for value in (compared.model, compared.other)),
            cell(compared.difference),
        )
        for compared in found
    )
    methods = [compared.difference.method for compared in found if "paired" in compared.difference.method]
    drawn = methods[0][methods[0].index("paired") :] if methods else "too few studies for a bootstrap"
    notes = (
        f"Against {reference}. Difference: {model} minus {other} (95 % interval); {drawn}. An interval that excludes 0 "
        "is a difference beyond chance, but there are many intervals and none is corrected for multiple testing. "
        f"Cut-offs: {', '.join(with_signs(cut.name) for cut in CUTS)}. Mean differences in Agatston units.",
    )
    return Table(f"{model} and {other} against {reference}", ("", model, other, "Difference"), rows, notes, name=stem)


def _plain(value: float | None) -> str:
    return "not defined" if value is None else number(value, 3)
