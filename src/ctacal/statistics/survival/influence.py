"""Estimates with the influence of each patient on them: their variance, their interval, and paired differences."""

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from ctacal.arrays import Floats
from ctacal.statistics.estimate import LEVEL, Estimate, Z


@dataclass(frozen=True, slots=True, eq=False)
class Influenced:
    """An estimate with the influence of each patient, whose squares sum to its variance."""

    estimate: float
    influence: Floats
    """(n,) in the order of the patients."""
    reason: str = ""
    """Why there is no estimate; else empty."""


def without_estimate(reason: str) -> Influenced:
    """Return the reason why there is no estimate."""
    return Influenced(0.0, np.zeros(0), reason)


def with_interval(found: Influenced, method: str, n: int, *, low: float = 0.0, high: float = 1.0) -> Estimate:
    """Return the estimate with its normal interval, cut at ``low`` and ``high``."""
    if found.reason:
        return Estimate(None, None, None, method, n, found.reason)
    error = float(np.sqrt((found.influence**2).sum()))
    reason = "" if error > 0 else "nothing varies: the interval has no width"
    ends = np.clip([found.estimate - Z * error, found.estimate + Z * error], low, high)
    return Estimate(found.estimate, float(ends[0]), float(ends[1]), method, n, reason)


def with_logit_interval(found: Influenced, method: str, n: int, degrees_of_freedom: float = np.inf) -> Estimate:
    """Return a share of 0 to 1 with an interval that is symmetric on the scale of log(share / (1 - share)).

    The ends are quantiles of t with these degrees of freedom. An estimate that is not between 0 and 1, as a corrected
    one may be, has the normal interval cut at 0 and 1.
    """
    if found.reason or not 0 < found.estimate < 1:
        return with_interval(found, method, n)
    error = float(np.sqrt((found.influence**2).sum())) / (found.estimate * (1 - found.estimate))
    half = float(stats.t.ppf((1 + LEVEL) / 2, degrees_of_freedom)) * error
    reason = "" if error > 0 else "nothing varies: the interval has no width"
    low, high = special.expit(special.logit(found.estimate) + np.array([-half, half]))
    return Estimate(found.estimate, float(low), float(high), method, n, reason)


def difference(first: Influenced, second: Influenced) -> Influenced:
    """Return the first estimate minus the second, on the same patients."""
    if reason := first.reason or second.reason:
        return without_estimate(reason)
    return Influenced(first.estimate - second.estimate, first.influence - second.influence)


def paired_difference(first: Influenced, second: Influenced, method: str, n: int) -> Estimate:
    """Return the first estimate minus the second, on the same patients, with its normal interval."""
    return with_interval(difference(first, second), f"difference, {method}", n, low=-np.inf, high=np.inf)


def small_sample(n: int) -> float:
    """Return the factor that gives a variance of n influences the denominator n - 1, as in timeROC, riskRegression."""
    return float(np.sqrt(n / max(n - 1, 1)))
