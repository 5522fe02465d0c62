"""Estimates of several centres put together: random effects and heterogeneity."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from ctacal.arrays import Floats
from ctacal.statistics.estimate import LEVEL, Estimate, Z
from ctacal.statistics.hypothesis import HypothesisTest, chi_square, undefined

METHOD = "random effects, REML, Hartung-Knapp interval"
HETEROGENEITY = "Cochran's Q"


@dataclass(frozen=True, slots=True)
class Combined:
    """What several centres say together."""

    average: Estimate
    """Mean of the centres' true values, on the scale of the estimates."""
    spread: float | None
    """Standard deviation of the centres' true values (tau); None with fewer than 2 centres."""
    share: float | None
    """Share of the variance of the estimates that is not chance (I squared)."""
    test: HypothesisTest
    """Whether the centres differ more than by chance."""
    centres: int


def combine(estimates: ArrayLike, errors: ArrayLike) -> Combined:
    """Combine independent estimates (k,) with standard errors (k,) by random effects, as R's metafor::rma.

    Variance between centres by REML, interval of the mean by Hartung J, Knapp G, Stat Med 2001;20:3875-3889 (t
    distribution, k - 1 degrees of freedom); I squared from REML's variance (Higgins JPT, Thompson SG, Stat Med
    2002;21:1539-1558). With one centre there is no interval. There is no prediction interval for a further centre: with
    3 to 10 centres those in use covered 83 to 92 % in our simulations, not 95 %.

    Args:
        estimates: (k,) estimates of the centres, on one scale.
        errors: (k,) their standard errors, above 0.

    Returns:
        The average, the spread and the heterogeneity of the centres.

    Raises:
        ValueError: Lengths differ, or an error is not positive.

    Example:
        >>> combined = combine([0.2, 0.4, 0.3], [0.1, 0.1, 0.2])
        >>> isinstance(combined, Combined), str(combined.average), combined.centres
        (True, '0.300 (0.018 to 0.582)', 3)
    """
    y, s = np.asarray(estimates, np.float64), np.asarray(errors, np.float64)
    if y.ndim != 1 or y.shape != s.shape or not (np.isfinite(y).all() and (s > 0).all() and np.isfinite(s).all()):
        raise ValueError("expected estimates and positive standard errors of one length")
    k = len(y)
    if k < 2:
        value = float(y[0]) if k else None
        lone = Estimate(value, None, None, METHOD, k, "fewer than 2 centres have an estimate")
        return Combined(lone, None, None, undefined(HETEROGENEITY, k, lone.reason), k)
    between = _between(y, s)
    weight = 1 / (s**2 + between)
    mean = float((weight * y).sum() / weight.sum())
    error = float(np.sqrt((weight * (y - mean) ** 2).sum() / ((k - 1) * weight.sum())))
    t = float(stats.t.ppf((1 + LEVEL) / 2, k - 1))
    w = 1 / s**2
    typical = (k - 1) * w.sum() / (w.sum() ** 2 - (w**2).sum())
    q = float((w * (y - (w * y).sum() / w.sum()) ** 2).sum())
    return Combined(
        Estimate(mean, mean - t * error, mean + t * error, METHOD, k),
        float(np.sqrt(between)),
        float(between / (between + typical)),
        chi_square(q, k - 1, HETEROGENEITY, k),
        k,
    )


def _between(y: Floats, s: Floats) -> float:
    """Return the variance between centres at which the restricted likelihood is largest, 0 or more."""

    def loss(variance: float) -> float:
        weight = 1 / (s**2 + variance)
        mean = (weight * y).sum() / weight.sum()
        return float((np.log(1 / weight) + weight * (y - mean) ** 2).sum() + np.log(weight.sum()))

    top = 10 * float(np.var(y, ddof=1) + (s**2).max())
    grid = np.concatenate([[0.0], np.geomspace(1e-8, 1, 60) * top])
    best = int(np.argmin([loss(float(one)) for one in grid]))
    ends = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = optimize.minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-12 * max(top, 1e-12)})
    return float(found.x) if found.fun < loss(0.0) else 0.0


def combine_estimates(estimates: Sequence[Estimate], *, ratios: bool = False) -> Combined:
    """Combine the estimates that have an interval, from whose wider side their errors come.

    ``ratios`` are combined as logarithms; their average is a ratio again, and ``spread`` that of the logarithms.

    Args:
        estimates: Figures of the centres.
        ratios: Whether the estimates are ratios.

    Returns:
        As ``combine``.

    Example:
        >>> centres = [Estimate(1.2, 1.0, 1.44, "ratio", 90), Estimate(1.5, 1.2, 1.88, "ratio", 70)]
        >>> print(combine_estimates(centres, ratios=True).average)
        1.328 (0.324 to 5.447)
    """
    known = [
        (one.estimate, one.low, one.high)
        for one in estimates
        if one.estimate is not None and one.low is not None and one.high is not None and one.low < one.high
    ]
    values = np.array(known, np.float64).reshape(-1, 3)
    y, low, high = (np.log(values) if ratios else values).T
    found = combine(y, np.maximum(y - low, high - y) / Z)
    if not ratios or found.average.estimate is None:
        return found
    ends = [None if end is None else float(np.exp(end)) for end in _ends(found.average)]
    return replace(found, average=replace(found.average, estimate=ends[0], low=ends[1], high=ends[2]))


def _ends(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    return estimate.estimate, estimate.low, estimate.high
