"""Log-rank tests of survival: all groups, a trend over groups, and each pair of groups."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctacal.arrays import Floats, Ints
from ctacal.statistics.hypothesis import HypothesisTest, chi_square, holm, undefined
from ctacal.statistics.survival.survival_data import SurvivalData

_NOTHING = 1e-12
"""Share of the variance below which a component is rounding."""


@dataclass(frozen=True, slots=True)
class LogRank:
    """The test, with observed and expected events of each group."""

    test: HypothesisTest
    groups: tuple[str, ...]
    observed: tuple[float, ...]
    expected: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PairTest:
    """The test of a pair of groups."""

    first: str
    second: str
    test: HypothesisTest
    p_holm: float | None
    """p value with Holm's correction for all pairs."""


def logrank(data: SurvivalData, group: ArrayLike, *, strata: ArrayLike | None = None, rho: float = 0.0) -> LogRank:
    """Test observed minus expected events of k groups by chi-square, with their hypergeometric variance and ties.

    Mantel N, Cancer Chemother Rep 1966;50:163-170. Each event time is weighted with S(t-)^rho of all patients
    (Harrington DP, Fleming TR, Biometrika 1982;69:553-566; rho 1: Peto-Peto); summed over the strata; as R's survdiff.

    Args:
        data: Follow-up.
        group: (n,) the group of each patient.
        strata: (n,) strata that are not compared with one another.
        rho: Power of the survival that weights early events.

    Returns:
        The test, with observed and expected events.

    Raises:
        ValueError: The lists differ in length.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> group = [1, 0, 1, 0, 1, 0, 0, 0, 1, 1]
        >>> found = logrank(data, group)
        >>> isinstance(found, LogRank), found.observed, str(found.test)
        (True, (1.0, 4.0), 'chi-square 2.58 (1 df), p = 0.11')
    """
    names, index = _labelled(data, group)
    method = "log-rank test" + (f", rho {rho:g}" if rho else "") + (", stratified" if strata is not None else "")
    observed, expected, variance = _sums(data, index, len(names), strata, rho)
    return LogRank(
        _test(data, observed - expected, variance, np.eye(len(names)), method),
        tuple(str(name) for name in names),
        tuple(observed.tolist()),
        tuple(expected.tolist()),
    )


def logrank_trend(
    data: SurvivalData,
    group: ArrayLike,
    scores: Mapping[object, float] | None = None,
    *,
    strata: ArrayLike | None = None,
) -> HypothesisTest:
    """Test for a trend over ordered groups: (c'(O - E))^2 / c'Vc (Tarone RE, Biometrika 1975;62:679-682).

    c are the ``scores`` of the groups, by default the numbers that name them.

    Args:
        data: Follow-up.
        group: (n,) the group of each patient.
        scores: A number for each group; None: the groups are numbers.
        strata: (n,) strata that are not compared with one another.

    Returns:
        The test.

    Raises:
        ValueError: A group has no score.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> print(logrank_trend(data, [2, 0, 2, 1, 1, 2, 0, 1, 2, 0]))
        chi-square 9.25 (1 df), p = 0.0024
    """
    names, index = _labelled(data, group)
    try:
        values = np.array([float(name if scores is None else scores[name.item()]) for name in names])
    except (ValueError, KeyError) as wrong:
        raise ValueError(f"a trend needs a number for each group, give scores for {names.tolist()}") from wrong
    observed, expected, variance = _sums(data, index, len(names), strata, 0.0)
    return _test(data, observed - expected, variance, values[None, :], "log-rank test for trend")


def logrank_pairs(data: SurvivalData, group: ArrayLike) -> tuple[PairTest, ...]:
    """Test each pair of groups alone, with Holm's correction for all pairs.

    Args:
        data: Follow-up.
        group: (n,) the group of each patient.

    Returns:
        A test for each pair.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> [first, *_] = logrank_pairs(data, [0, 0, 1, 1, 2, 2, 0, 1, 2, 1])
        >>> isinstance(first, PairTest), first.first, first.second, round(first.p_holm, 2)
        (True, '0', '1', 0.92)
    """
    names, index = _labelled(data, group)
    pairs = list(combinations(range(len(names)), 2))
    tests = []
    for pair in pairs:
        rows = np.isin(index, pair)
        tests.append(logrank(data.take(rows), index[rows]).test)
    adjusted = holm([test.p for test in tests])
    return tuple(
        PairTest(str(names[first]), str(names[second]), test, p)
        for (first, second), test, p in zip(pairs, tests, adjusted, strict=True)
    )


def _labelled(data: SurvivalData, group: ArrayLike) -> tuple[NDArray[np.generic], Ints]:
    labels = np.asarray(group)
    if labels.shape != (data.n,):
        raise ValueError(f"expected a group for each of {data.n} patients, got shape {labels.shape}")
    names, index = np.unique(labels, return_inverse=True)
    return names, index.astype(np.int64)


def _sums(
    data: SurvivalData, index: Ints, groups: int, strata: ArrayLike | None, rho: float
) -> tuple[Floats, Floats, Floats]:
    """Return observed (k,), expected (k,) and variance (k, k), summed over the strata."""
    stratum = np.zeros(data.n, np.int64) if strata is None else np.unique(np.asarray(strata), return_inverse=True)[1]
    if stratum.shape != (data.n,):
        raise ValueError(f"expected a stratum for each of {data.n} patients, got shape {stratum.shape}")
    observed, expected, variance = np.zeros(groups), np.zeros(groups), np.zeros((groups, groups))
    for number in range(int(stratum.max(initial=0)) + 1):
        rows = stratum == number
        o, e, v = _sums_of_stratum(data.time[rows], data.event[rows], index[rows], groups, rho)
        observed, expected, variance = observed + o, expected + e, variance + v
    return observed, expected, variance


def _sums_of_stratum(
    time: Floats, event: NDArray[np.bool_], index: Ints, groups: int, rho: float
) -> tuple[Floats, Floats, Floats]:
    times, row = np.unique(time[event], return_inverse=True)
    died = np.zeros((len(times), groups))
    np.add.at(died, (row, index[event]), 1.0)
    at_risk = np.zeros((len(times), groups))
    for group in range(groups):
        followed = np.sort(time[index == group])
        at_risk[:, group] = len(followed) - np.searchsorted(followed, times, side="left")
    d, n = died.sum(axis=1), at_risk.sum(axis=1)
    before = np.concatenate([[1.0], np.cumprod(1 - d / n)[:-1]]) if len(times) else np.zeros(0)
    weight = before**rho
    share = at_risk / n[:, None]
    factor = weight**2 * d * (n - d) / np.maximum(n - 1, 1)  # with one patient at risk nothing varies
    variance = np.diag(factor @ share) - (share * factor[:, None]).T @ share
    return weight @ died, (weight * d) @ share, variance


def _test(data: SurvivalData, difference: Floats, variance: Floats, contrast: Floats, method: str) -> HypothesisTest:
    """Test the contrast (m, k) of the differences, with the rank of its variance as degrees of freedom."""
    if len(difference) < 2:
        return undefined(method, data.n, "only one group" if data.n else "no patients")
    if not data.events:
        return undefined(method, data.n, "no events")
    u, v = contrast @ difference, contrast @ variance @ contrast.T
    values, vectors = np.linalg.eigh(v)
    kept = values > _NOTHING * max(np.trace(contrast @ contrast.T) * np.trace(variance), 1e-300)
    df = int(kept.sum())
    if df == 0:
        return undefined(method, data.n, "no event happened while two groups were at risk, or all scores are equal")
    statistic = ((vectors[:, kept].T @ u) ** 2 / values[kept]).sum()
    fewer = len(contrast) > 1 and df < len(contrast) - 1
    reason = "a group had nobody at risk when events happened; it is left out" if fewer else ""
    return chi_square(float(statistic), df, method, data.n, reason)
