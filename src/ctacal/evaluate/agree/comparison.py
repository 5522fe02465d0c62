"""All statistics of one rater's scores against another's, as one frozen value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats, Ints
from ctacal.categories import CATEGORIES, CUTS, FIVE_CATEGORIES
from ctacal.evaluate.agree.raters import Rater, shared_grade
from ctacal.statistics.agreement import (
    WEIGHTS,
    LimitsOfAgreement,
    Line,
    RegressionLimits,
    Weights,
    above,
    bland_altman,
    bland_altman_ratio,
    bootstrap_kappas,
    bowker,
    cross_table,
    deming,
    exact_agreement,
    five_class_categories,
    icc_agreement,
    icc_consistency,
    lin_concordance,
    negative_predictive_value,
    passing_bablok,
    pearson,
    positive_predictive_value,
    regression_limits,
    risk_categories,
    sensitivity,
    spearman,
    specificity,
    stuart_maxwell,
    weighted_kappa,
    within_one_agreement,
)
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.hypothesis import HypothesisTest

CATEGORY_CUTS = tuple(cut for cut in CUTS if not cut.inclusive)
"""The cuts that are edges of the categories: above 0 and above 400, but not 100 and above."""


@dataclass(frozen=True, slots=True)
class Kappa:
    """A kappa with two intervals: asymptotic and by bootstrap."""

    asymptotic: Estimate
    bootstrap: Estimate


@dataclass(frozen=True, eq=False, slots=True)
class CategoryAgreement:
    """Agreement of categories; the rows of ``table`` are the reference's."""

    categories: tuple[str, ...]
    table: Ints
    kappas: Mapping[Weights, Kappa]
    exact: Estimate
    within_one: Estimate
    stuart_maxwell: HypothesisTest
    bowker: HypothesisTest


@dataclass(frozen=True, slots=True)
class Detection:
    """Detection of scores above a cut."""

    cut: str
    present: int
    found: int
    both: int
    sensitivity: Estimate
    specificity: Estimate
    positive_predictive_value: Estimate
    negative_predictive_value: Estimate


@dataclass(frozen=True, slots=True)
class Correlations:
    """Correlation and concordance of scores on one scale."""

    spearman: Estimate
    pearson: Estimate
    lin_concordance: Estimate
    icc_agreement: Estimate
    icc_consistency: Estimate


@dataclass(frozen=True, slots=True)
class VesselAgreement:
    """Agreement of one vessel's scores, in the studies for which both raters have one."""

    detection: Detection
    correlations: Correlations
    limits: LimitsOfAgreement
    n: int


@dataclass(frozen=True, eq=False, slots=True)
class Comparison:
    """A reader or a model against the reference."""

    reference: str
    other: str
    kind: Literal["reader", "model"]
    """Kind of the other rater."""
    n: int
    four: CategoryAgreement
    five: CategoryAgreement
    detection: tuple[Detection, ...]
    raw: Correlations
    logarithmic: Correlations
    """Correlations of log(score + 1); Spearman's rho is the same."""
    limits: LimitsOfAgreement
    ratio_limits: LimitsOfAgreement
    regression_limits: RegressionLimits
    both_above_0: int
    passing_bablok: Line
    """This and both Deming lines are of the studies that both score above 0."""
    deming: Line
    weighted_deming: Line
    vessels: Mapping[str, VesselAgreement]


@dataclass(frozen=True, eq=False, slots=True)
class OnlyCategories:
    """A reader or a model against the reference, where of one of them only categories are known."""

    reference: str
    other: str
    kind: Literal["reader", "model"]
    """Kind of the other rater."""
    n: int
    four: CategoryAgreement
    five: CategoryAgreement | None
    """None if the categories do not say which of five it is."""
    detection: tuple[Detection, ...]
    """At the cuts that are edges of the categories."""


Pair = Comparison | OnlyCategories


def compare_pair(reference: Rater, other: Rater, *, patients: Sequence[str] | None = None, seed: int = 0) -> Pair:
    """Return all statistics of ``other`` against ``reference`` that their scores or categories allow."""
    grade = shared_grade((reference, other))
    if grade == "scores":
        return compare(reference, other, patients=patients, seed=seed)
    a, b = reference.scores, other.scores
    five = None
    if grade == "five":
        five = _categories(FIVE_CATEGORIES, five_class_categories(a), five_class_categories(b), patients, seed)
    return OnlyCategories(
        reference.name, other.name, other.kind, len(a),
        _categories(CATEGORIES, risk_categories(a), risk_categories(b), patients, seed), five,
        tuple(own for own, cut in zip(_detections(a, b), CUTS, strict=True) if cut in CATEGORY_CUTS),
    )  # fmt: skip


def compare(reference: Rater, other: Rater, *, patients: Sequence[str] | None = None, seed: int = 0) -> Comparison:
    """Return all statistics of ``other`` against ``reference``.

    The bootstrap of kappa draws whole ``patients`` if they are given (one for each study), otherwise studies.
    """
    a, b = reference.scores, other.scores
    positive = (a > 0) & (b > 0)
    both_positive = a[positive], b[positive]
    shared = [name for name in reference.vessels if name in other.vessels]
    return Comparison(
        reference.name, other.name, other.kind, len(a),
        _categories(CATEGORIES, risk_categories(a), risk_categories(b), patients, seed),
        _categories(FIVE_CATEGORIES, five_class_categories(a), five_class_categories(b), patients, seed),
        _detections(a, b),
        _correlations(a, b), _correlations(np.log1p(a), np.log1p(b)),
        bland_altman(a, b), bland_altman_ratio(a, b), regression_limits(a, b),
        int(positive.sum()), passing_bablok(*both_positive), deming(*both_positive),
        deming(*both_positive, weighted=True),
        {name: _vessel(reference.vessels[name], other.vessels[name]) for name in shared},
    )  # fmt: skip


def _categories(
    names: tuple[str, ...], a: Ints, b: Ints, patients: Sequence[str] | None, seed: int
) -> CategoryAgreement:
    table = cross_table(a, b, classes=len(names))

    drawn = bootstrap_kappas(a, b, classes=len(names), patients=patients, seed=seed)
    kappas = {weights: Kappa(weighted_kappa(table, weights), drawn[weights]) for weights in WEIGHTS}
    return CategoryAgreement(
        names, table, kappas, exact_agreement(table), within_one_agreement(table), stuart_maxwell(table), bowker(table)
    )


def _detections(a: Floats, b: Floats) -> tuple[Detection, ...]:
    return tuple(_detection(cut.name, above(a, cut), above(b, cut)) for cut in CUTS)


def _detection(name: str, present: NDArray[np.bool_], found: NDArray[np.bool_]) -> Detection:
    return Detection(
        name, int(present.sum()), int(found.sum()), int((present & found).sum()),
        sensitivity(present, found), specificity(present, found),
        positive_predictive_value(present, found), negative_predictive_value(present, found),
    )  # fmt: skip


def _correlations(a: Floats, b: Floats) -> Correlations:
    pair = np.column_stack([a, b])
    return Correlations(
        spearman(a, b), pearson(a, b), lin_concordance(a, b), icc_agreement(pair), icc_consistency(pair)
    )


def _vessel(reference: Floats, other: Floats) -> VesselAgreement:
    known = np.isfinite(reference) & np.isfinite(other)
    a, b = reference[known], other[known]
    return VesselAgreement(
        _detection(CUTS[0].name, above(a, CUTS[0]), above(b, CUTS[0])), _correlations(a, b), bland_altman(a, b), len(a)
    )
