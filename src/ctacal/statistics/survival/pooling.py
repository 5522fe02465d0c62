"""Figures of several imputed data sets made one by Rubin's rules; how many sets are needed."""

from collections.abc import Sequence
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from ctacal.arrays import Floats
from ctacal.statistics.estimate import Estimate, Z
from ctacal.statistics.hypothesis import HypothesisTest, undefined
from ctacal.statistics.survival.imputation import pool

FEWEST, MOST = 10, 100
"""Bounds of the number of imputations that is chosen (own choice)."""

Scale = Literal["plain", "log", "cloglog", "logit"]
"""Scale on which estimates are averaged: that on which their intervals are symmetric. cloglog: log(-log(1 - share))."""


def needed_imputations(incomplete: float) -> int:
    """Return how many imputed sets the share of incomplete patients asks for: 100 times it, from 10 to 100.

    White IR, Royston P, Wood AM, Stat Med 2011;30:377-399, section 7: the error by chance of an estimate, its interval
    and p value is then small.

    Args:
        incomplete: Share of incomplete patients, 0 to 1.

    Returns:
        Number of sets.

    Example:
        >>> needed_imputations(0.03), needed_imputations(0.256), needed_imputations(1.0)
        (10, 26, 100)
    """
    return min(max(ceil(round(100 * incomplete, 6)), FEWEST), MOST)


def pool_estimates(
    estimates: Sequence[Estimate], *, scale: Scale = "plain", complete_degrees_of_freedom: float = np.inf
) -> Estimate:
    """Return the pooled estimate of m >= 2 sets, with an interval of the t distribution (``imputation.pool``).

    Errors are read from the intervals. Not defined if one of the estimates is not, or has no interval.

    Args:
        estimates: One for each imputation.
        scale: ``plain``, ``log``, ``cloglog`` or ``logit``.
        complete_degrees_of_freedom: Degrees of freedom without missing values.

    Returns:
        The pooled figure with its 95 % interval.

    Example:
        >>> sets = [Estimate(1.2, 1.0, 1.44, "hazard ratio", 90), Estimate(1.3, 1.1, 1.54, "hazard ratio", 90)]
        >>> print(pool_estimates(sets, scale="log"))
        1.249 (0.956 to 1.631)
    """
    first = estimates[0]
    method = f"{first.method}, pooled over {len(estimates)} imputations"
    for one in estimates:
        if one.estimate is None or one.low is None or one.high is None:
            return Estimate(None, None, None, method, first.n, one.reason or "an imputation gives no interval")
    table = np.array([(one.estimate, one.low, one.high) for one in estimates], np.float64)
    if scale != "plain" and ((table <= 0).any() or (scale in ("cloglog", "logit") and (table >= 1).any())):
        return Estimate(None, None, None, method, first.n, "an estimate is 0 or 1 in an imputation")
    middle, low, high = _to(table, scale).T
    pooled = pool(middle[:, None], (np.maximum(high - low, 1e-15) / (2 * Z))[:, None], complete_degrees_of_freedom)
    ends = _back(np.array([pooled.estimate[0], pooled.low[0], pooled.high[0]]), scale)
    return Estimate(float(ends[0]), float(ends[1]), float(ends[2]), method, first.n)


def _to(values: Floats, scale: Scale) -> Floats:
    if scale == "plain":
        return values
    if scale == "logit":
        return np.asarray(special.logit(values))
    return np.asarray(np.log(values) if scale == "log" else np.log(-np.log1p(-values)))


def _back(values: Floats, scale: Scale) -> Floats:
    if scale == "plain":
        return values
    if scale == "logit":
        return np.asarray(special.expit(values))
    return np.asarray(np.exp(values) if scale == "log" else -np.expm1(-np.exp(values)))


def pooled_test(coefficients: ArrayLike, covariances: ArrayLike) -> HypothesisTest:
    """Test that all k coefficients (m, k) of m sets are 0, from their covariances (m, k, k): Wald's test, pooled.

    D1 of Li KH, Raghunathan TE, Rubin DB, J Am Stat Assoc 1991;86:1065-1073, as mice::D1. The statistic is k times D1,
    and p is that of the F distribution.

    Args:
        coefficients: (m, k) coefficients of the sets.
        covariances: (m, k, k) their covariances.

    Returns:
        The test.

    Example:
        >>> print(pooled_test([[0.5], [0.6], [0.4]], [[[0.04]], [[0.04]], [[0.05]]]))
        chi-square 4.41 (1 df), p = 0.043
    """
    q, u = np.asarray(coefficients, np.float64), np.asarray(covariances, np.float64)
    m, k = q.shape
    method, mean = f"Wald test pooled over {m} imputations", q.mean(axis=0)
    within = u.mean(axis=0)
    if np.linalg.cond(within) > 1e12:
        return undefined(method, m, "the coefficients depend on each other")
    between = np.atleast_2d(np.cov(q, rowvar=False))
    more = (1 + 1 / m) * float(np.trace(between @ np.linalg.inv(within))) / k
    statistic = float(mean @ np.linalg.solve(within, mean)) / (k * (1 + more))
    t = k * (m - 1)
    if more <= 0:
        df = np.inf
    elif t > 4:
        df = 4 + (t - 4) * (1 + (1 - 2 / t) / more) ** 2
    else:
        df = t * (1 + 1 / k) * (1 + 1 / more) ** 2 / 2
    p = float(stats.f.sf(statistic, k, df)) if np.isfinite(df) else float(stats.chi2.sf(k * statistic, k))
    return HypothesisTest(k * statistic, k, p, method, m)
