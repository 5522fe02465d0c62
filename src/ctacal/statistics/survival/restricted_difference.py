"""Differences of restricted mean event-free time: a comparison of groups that needs no proportional hazards."""

import numpy as np

from ctacal.statistics.estimate import Estimate, Z, normal_estimate
from ctacal.statistics.hypothesis import HypothesisTest, chi_square, undefined
from ctacal.statistics.survival.survival_curve import restricted_mean
from ctacal.statistics.survival.survival_data import SurvivalData


def restricted_mean_difference(
    data: SurvivalData, reference: SurvivalData, horizon: float
) -> tuple[Estimate, HypothesisTest]:
    """Return the mean event-free time up to a horizon less that of the reference group, and the test that it is 0.

    The two groups hold different patients, so that variances add up (Royston P, Parmar MK, Stat Med 2011;30:2409-2421).
    In the data's unit. Not defined where follow-up of a group ends before the horizon.

    Args:
        data: Follow-up.
        reference: Follow-up of the reference group.
        horizon: A time in the unit of the data.

    Returns:
        The difference with its 95 % interval, and the test.

    Example:
        >>> treated, others = SurvivalData([2, 3, 4, 5], [1, 0, 0, 1]), SurvivalData([1, 2, 3, 5], [1, 1, 1, 0])
        >>> difference, test = restricted_mean_difference(treated, others, horizon=3)
        >>> print(difference)
        0.500 (-0.417 to 1.417)
    """
    method = f"difference of restricted means up to {horizon:g} {data.unit}, Greenwood"
    n = data.n + reference.n
    own, other = restricted_mean(data, horizon), restricted_mean(reference, horizon)
    for one, name in ((own, "the group"), (other, "the reference group")):
        if one.estimate is None:
            reason = f"{name}: {one.reason}"
            return Estimate(None, None, None, method, n, reason), undefined(method, n, reason)
    error = float(np.hypot(_error(own), _error(other)))
    found = normal_estimate((own.estimate or 0.0) - (other.estimate or 0.0), error, method, n)
    if error == 0:
        return found, undefined(method, n, "no events by the horizon in either group")
    return found, chi_square(((found.estimate or 0.0) / error) ** 2, 1, f"Wald test, {method}", n)


def _error(mean: Estimate) -> float:
    return ((mean.high or 0.0) - (mean.estimate or 0.0)) / Z
