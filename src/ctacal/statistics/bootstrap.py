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
    """Yield how often each study or patient is drawn: blocks (some, groups), ``RESAMPLES`` rows in all.

    Args:
        groups: Number of studies, or of patients.
        seed: Seed of the bootstrap.

    Yields:
        Blocks of ``RESAMPLES`` rows in all.

    Example:
        >>> sum(len(block) for block in times_drawn(60, seed=1)), next(times_drawn(60, seed=1)).sum(axis=1)[:3]
        (2000, array([60, 60, 60]))
    """
    rng, shares, at_a_time = np.random.default_rng(seed), np.full(groups, 1 / groups), max(1, BLOCK // groups)
    for start in range(0, RESAMPLES, at_a_time):
        yield rng.multinomial(groups, shares, size=min(at_a_time, RESAMPLES - start))


def numbered(patients: ArrayLike | None, n: int) -> tuple[Ints, int]:
    """Return (n,): the patient of each study as a number from 0, and how many there are; without patients, studies.

    Raises ``ValueError`` if ``patients`` has another length.
    """
    names, index = np.unique(np.arange(n) if patients is None else np.asarray(patients), return_inverse=True)
    if len(index) != n:
        raise ValueError(f"expected a patient for each of {n} studies, got {len(index)}")
    return index.ravel(), len(names)


def drawn_sums(values: Floats, patients: ArrayLike | None, seed: int) -> Floats:
    """Return (resamples, ...): in each resample, the sum of ``values`` (n, ...) of the studies or patients drawn.

    The same seed draws the same. With fewer than 2 to draw from there are no resamples. Errors as ``numbered``.
    """
    group, groups = numbered(patients, len(values))
    if groups < 2:  # nothing varies
        return np.zeros((0, *values.shape[1:]))
    sums = np.zeros((groups, int(np.prod(values.shape[1:]))))
    np.add.at(sums, group, values.reshape(len(values), -1))
    drawn = np.vstack([times @ sums for times in times_drawn(groups, seed)])
    return drawn.reshape(-1, *values.shape[1:])


def resampling(groups: int, patients: ArrayLike | None) -> str:
    """Describe the bootstrap in words.

    Args:
        groups: Number of studies, or of patients.
        patients: (n,) the patient of each study; None if every study is a patient of its own.

    Returns:
        Words for ``Estimate.method``.

    Example:
        >>> resampling(60, None), RESAMPLES
        ('percentile bootstrap of 60 studies, 2000 resamples', 2000)
    """
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

    Args:
        estimate: The statistic of all the data.
        drawn: Its values in the resamples.
        method: Name of the method.
        n: Number of patients or studies.
        lack: What a resample without a value lacks.
        percentiles: The two percentiles, 0 to 100.
        fewest: The least number of values.
        too_few: The reason if there are fewer.

    Returns:
        The estimate with its interval.

    Example:
        >>> print(percentile_interval(0.5, np.linspace(0, 1, 101), "bootstrap", 60))
        0.500 (0.025 to 0.975)
    """
    defined = drawn[np.isfinite(drawn)]
    if len(defined) < fewest:
        return Estimate(estimate, None, None, method, n, too_few)
    left_out = len(drawn) - len(defined)
    reason = f"{left_out} of {len(drawn)} resamples {lack} and are left out" if left_out else ""
    low, high = np.percentile(defined, percentiles)
    return Estimate(estimate, float(low), float(high), method, n, reason)
