"""Differences between groups at baseline: tests and standardised mean differences, as in the tableone library.

They are computed from arrays and counts, because tableone loops over the cells: minutes for a million patients.
``tests/evaluate/outcomes/test_differences.py`` compares both.
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
"""Expected count of a cell below which Fisher's test replaces chi-squared in a 2 x 2 table (Cochran 1954)."""


def numbers_test(groups: Sequence[Floats], *, skewed: bool = False) -> HypothesisTest:
    """Test whether numbers (n,) differ between groups: Welch's t test (two groups), ANOVA, or Kruskal-Wallis.

    NaN is ignored. Not defined if a group is empty or all numbers are the same.
    """
    known = [values[~np.isnan(values)] for values in groups]
    n = sum(map(len, known))
    two = len(known) == 2 and min(map(len, known)) >= 2
    method = "Kruskal-Wallis" if skewed else "Welch's t test" if two else "one-way ANOVA"
    if len(known) < 2 or not all(map(len, known)):
        return undefined(method, n, "a group has no patient with a value")
    if np.ptp(np.concatenate(known)) == 0:
        return undefined(method, n, "the same in all patients")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # from groups that do not vary; the reason says so
        found: Any
        if skewed:
            found = stats.kruskal(*known)
        else:
            found = stats.ttest_ind(*known, equal_var=False) if two else stats.f_oneway(*known)
    if not np.isfinite([found.statistic, found.pvalue]).all():
        return undefined(method, n, "no value differs within the groups")
    return HypothesisTest(float(found.statistic), len(known) - 1, float(found.pvalue), method, n)


def counts_test(table: Ints) -> HypothesisTest:
    """Test whether proportions differ between groups, from counts (groups, levels): chi-squared or Fisher's exact test.

    Chi-squared has Yates' correction for 2 x 2 tables. The reason says if expected counts are small in a larger table.
    """
    n, method = int(table.sum()), "chi-squared"
    used = table[:, table.sum(axis=0) > 0]
    if len(used) < 2 or not (used.sum(axis=1) > 0).all():
        return undefined(method, n, "a group has no patient with a value")
    if used.shape[1] < 2:
        return undefined(method, n, "the same in all patients")
    found = stats.chi2_contingency(used)
    few = bool(found.expected_freq.min() < FEW or used.sum(axis=1).min() < FEW)
    if few and used.shape == (2, 2):
        exact = stats.fisher_exact(used)
        return HypothesisTest(None, 1, float(exact.pvalue), "Fisher's exact test", n)
    reason = f"fewer than {FEW} patients expected in a cell" if few else ""
    return HypothesisTest(float(found.statistic), int(found.dof), float(found.pvalue), method, n, reason)


def difference_of_numbers(first: Floats, second: Floats) -> float | None:
    """Return the standardised difference: difference of means / square root of the mean variance. NaN is ignored.

    Austin PC, Stat Med 2009;28:3083-3107. None if a group has fewer than two patients or nothing varies.
    """
    a, b = first[~np.isnan(first)], second[~np.isnan(second)]
    if min(len(a), len(b)) < 2:
        return None
    variance = (a.var(ddof=1) + b.var(ddof=1)) / 2
    return float((b.mean() - a.mean()) / np.sqrt(variance)) if variance > 0 else None


def difference_of_counts(first: Ints, second: Ints) -> float | None:
    """Return the standardised difference of counts (levels,): the Mahalanobis distance of all but the first proportion.

    Yang D, Dalton JE, SAS Global Forum 2012, 335. None if a group is empty or the proportions have no variance.
    """
    if not (first.sum() and second.sum()):
        return None
    p, q = ((counts / counts.sum())[1:] for counts in (first, second))
    covariance = (np.diag(p) - np.outer(p, p) + np.diag(q) - np.outer(q, q)) / 2
    if not len(p) or np.linalg.cond(covariance) > 1e12:
        return None
    return float(np.sqrt((q - p) @ np.linalg.solve(covariance, q - p)))


def between_pairs(groups: Mapping[str, Floats | Ints], *, counts: bool) -> dict[str, float]:
    """Return the standardised difference of each pair of groups for which it is defined, by "first, second"."""
    measure = difference_of_counts if counts else difference_of_numbers
    found = {
        f"{first}, {second}": measure(groups[first], groups[second])  # type: ignore[arg-type]
        for first, second in combinations(groups, 2)
    }
    return {pair: value for pair, value in found.items() if value is not None}
