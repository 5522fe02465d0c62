"""The bootstrap: how often each study or patient is drawn, and intervals from the percentiles of the resamples."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Floats, Ints
from ctacal.statistics.estimate import LEVEL, Estimate

RESAMPLES = 2000
"""Number of resamples: the ends of a 95 % interval vary by some 2 % of its width from seed to seed (own choice)."""

PERCENTILES = (50 * (1 - LEVEL), 50 * (1 + LEVEL))
"""Percentiles of the resamples at which the interval ends."""

TOO_FEW = "too few studies or patients to draw from"

BLOCK = 4_000_000
"""Largest number of counts that are drawn at a time: 32 MB (own choice)."""


def times_drawn(groups: int, seed: int) -> Iterator[Ints]:
    """Yield how often each study or patient is drawn: blocks (some, groups), ``RESAMPLES`` rows in all."""
    rng, shares, at_a_time = np.random.default_rng(seed), np.full(groups, 1 / groups), max(1, BLOCK // groups)
    for start in range(0, RESAMPLES, at_a_time):
        yield rng.multinomial(groups, shares, size=min(at_a_time, RESAMPLES - start))


def resampling(groups: int, patients: ArrayLike | None) -> str:
    """Describe the bootstrap in words."""
    return f"percentile bootstrap of {groups} {'studies' if patients is None else 'patients'}, {RESAMPLES} resamples"


def percentile_interval(
    estimate: float,
    drawn: Floats,
    method: str,
    n: int,
    *,
    lack: str = "give no value",
    percentiles: tuple[float, float] = PERCENTILES,
    fewest: int = 1,
    too_few: str = TOO_FEW,
) -> Estimate:
    """Return the estimate with the interval between two percentiles of the resampled values.

    Resamples whose value is not finite are left out and counted: ``reason`` says that they ``lack`` it. If fewer than
    ``fewest`` remain there is no interval, and ``reason`` is ``too_few``.
    """
    defined = drawn[np.isfinite(drawn)]
    if len(defined) < fewest:
        return Estimate(estimate, None, None, method, n, too_few)
    left_out = len(drawn) - len(defined)
    reason = f"{left_out} of {len(drawn)} resamples {lack} and are left out" if left_out else ""
    low, high = np.percentile(defined, percentiles)
    return Estimate(estimate, float(low), float(high), method, n, reason)
