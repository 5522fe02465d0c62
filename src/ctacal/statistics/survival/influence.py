"""Estimates with the influence of each patient on them: their variance, their interval, and paired differences."""

from dataclasses import dataclass

import numpy as np

from ctacal.arrays import Floats
from ctacal.statistics.estimate import Estimate, Z


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
