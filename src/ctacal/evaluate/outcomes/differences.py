"""Differences between groups at baseline: tests and standardised mean differences, as the tableone library has them.

Computed from arrays and counts, since tableone goes through the cells one by one: minutes for a million patients.
``tests/evaluate/outcomes/test_differences.py`` holds both side by side.
"""

import warnings
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from ctacal.arrays import Floats, Ints
from ctacal.statistics.hypothesis import HypothesisTest, undefined

FEW = 5
"""Expected patients in a cell below which Fisher's test stands in for chi-squared in a 2 x 2 table (Cochran 1954)."""


def numbers_test(groups: Sequence[Floats], *, skewed: bool = False) -> HypothesisTest:
    """Whether numbers (n,) differ between groups: Welch's t test of two, analysis of variance, or Kruskal-Wallis.

    NaN is left out. Not defined where a group has nobody, or all numbers are the same.
    """
    known = [one[~np.isnan(one)] for one in groups]
    n = sum(map(len, known))
    two = len(known) == 2 and min(map(len, known)) >= 2
    method = "Kruskal-Wallis" if skewed else "Welch's t test" if two else "one-way ANOVA"
    if len(known) < 2 or not all(map(len, known)):
        return undefined(method, n, "a group has no patients with it")
    if np.ptp(np.concatenate(known)) == 0:
        return undefined(method, n, "the same in all patients")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of groups that do not vary; told by the reason
        found: Any
        if skewed:
            found = stats.kruskal(*known)
        else:
            found = stats.ttest_ind(*known, equal_var=False) if two else stats.f_oneway(*known)
    if not np.isfinite([found.statistic, found.pvalue]).all():
        return undefined(method, n, "no patient differs from the others of his group")
    return HypothesisTest(float(found.statistic), len(known) - 1, float(found.pvalue), method, n)


def counts_test(table: Ints) -> HypothesisTest:
    """Whether shares differ between groups, of counts (groups, levels): chi-squared, or Fisher's exact test.

    Chi-squared with Yates' correction for 2 x 2; a reason tells where expected counts are small in a larger table.
    """
    n, method = int(table.sum()), "chi-squared"
    used = table[:, table.sum(axis=0) > 0]
    if len(used) < 2 or not (used.sum(axis=1) > 0).all():
        return undefined(method, n, "a group has no patients with it")
    if used.shape[1] < 2:
        return undefined(method, n, "the same in all patients")
    found = stats.chi2_contingency(used)
    few = bool(found.expected_freq.min() < FEW or used.sum(axis=1).min() < FEW)
    if few and used.shape == (2, 2):
        exact = stats.fisher_exact(used)
        return HypothesisTest(None, 1, float(exact.pvalue), "Fisher's exact test", n)
    reason = f"fewer than {FEW} patients expected in a cell" if few else ""
    return HypothesisTest(float(found.statistic), int(found.dof), float(found.pvalue), method, n, reason)


def difference_of_numbers(one: Floats, other: Floats) -> float | None:
    """Standardised: difference of means / square root of the mean variance; NaN is left out.

    Austin PC, Stat Med 2009;28:3083-3107. None where a group has fewer than two patients or nothing varies.
    """
    a, b = one[~np.isnan(one)], other[~np.isnan(other)]
    if min(len(a), len(b)) < 2:
        return None
    variance = (a.var(ddof=1) + b.var(ddof=1)) / 2
    return float((b.mean() - a.mean()) / np.sqrt(variance)) if variance > 0 else None


def difference_of_counts(one: Ints, other: Ints) -> float | None:
    """Standardised, of counts (levels,): the Mahalanobis distance of the shares but the first.

    Yang D, Dalton JE, SAS Global Forum 2012, 335. None where a group is empty or the shares leave no variance.
    """
    if not (one.sum() and other.sum()):
        return None
    p, q = ((counts / counts.sum())[1:] for counts in (one, other))
    covariance = (np.diag(p) - np.outer(p, p) + np.diag(q) - np.outer(q, q)) / 2
    if not len(p) or np.linalg.cond(covariance) > 1e12:
        return None
    return float(np.sqrt((q - p) @ np.linalg.solve(covariance, q - p)))


def between_pairs(groups: Mapping[str, Floats | Ints], *, counts: bool) -> dict[str, float]:
    """The standardised difference of each pair of groups that has one, by "one, other"."""
    measure = difference_of_counts if counts else difference_of_numbers
    found = {
        f"{first}, {second}": measure(groups[first], groups[second])  # type: ignore[arg-type]
        for first, second in combinations(groups, 2)
    }
    return {pair: value for pair, value in found.items() if value is not None}
