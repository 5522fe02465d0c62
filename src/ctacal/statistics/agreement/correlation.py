"""Agreement and correlation of scores: ICC, Spearman, Pearson, Lin's concordance."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ctacal.arrays import Floats
from ctacal.statistics.estimate import LEVEL, Estimate, Z, score_pair


def icc_agreement(ratings: ArrayLike) -> Estimate:
    """Return ICC(2,1): absolute agreement of single ratings (n, raters), raters a sample of many.

    (MSR - MSE) / (MSR + (k-1) MSE + k (MSC - MSE) / n), mean squares of studies, raters and error; Shrout PE, Fleiss
    JL, Psychol Bull 1979;86:420-428. Interval: McGraw KO, Wong SP, Psychol Methods 1996;1:30-46, table 7.

    Args:
        ratings: (n, readings) scores in Agatston units.

    Returns:
        The coefficient with its 95 % interval.

    Raises:
        ValueError: The ratings are not a finite table of two raters or more.

    Example:
        >>> scores = [[0, 0], [12, 10], [80, 95], [150, 140], [420, 390], [900, 980]]
        >>> print(icc_agreement(scores))
        0.995 (0.969 to 0.999)
    """
    method = "ICC(2,1), two-way random, absolute agreement, single rating"
    return _icc(ratings, method, _agreement_interval)


def icc_consistency(ratings: ArrayLike) -> Estimate:
    """Return ICC(3,1): consistency of single ratings (n, raters), for these raters only.

    (MSR - MSE) / (MSR + (k-1) MSE). Sources, interval and errors as for ``icc_agreement``.

    Args:
        ratings: (n, readings) scores in Agatston units.

    Returns:
        The coefficient with its 95 % interval.

    Example:
        >>> scores = [[0, 0], [12, 10], [80, 95], [150, 140], [420, 390], [900, 980]]
        >>> print(icc_consistency(scores))
        0.995 (0.962 to 0.999)
    """
    method = "ICC(3,1), two-way mixed, consistency, single rating"
    return _icc(ratings, method, _consistency_interval)


def icc_one_way(ratings: ArrayLike) -> Estimate:
    """Return ICC(1,1): agreement of single ratings (n, repeats) whose columns mean nothing, such as repeat readings.

    (MSB - MSW) / (MSB + (k-1) MSW), mean squares between and within studies; Shrout 1979, where F(n-1, n(k-1)) gives
    the interval. Errors as for ``icc_agreement``.

    Args:
        ratings: (n, readings) scores in Agatston units.

    Returns:
        The coefficient with its 95 % interval.

    Example:
        >>> scores = [[0, 0], [12, 10], [80, 95], [150, 140], [420, 390], [900, 980]]
        >>> print(icc_one_way(scores))
        0.995 (0.971 to 0.999)
    """
    method = "ICC(1,1), one-way random, single rating"
    return _icc(ratings, method, _one_way_interval)


@dataclass(frozen=True, slots=True)
class MeanSquares:
    """Mean squares of a two-way analysis of variance without replication."""

    studies: np.float64
    raters: np.float64
    error: np.float64
    n: int
    k: int

    @property
    def within(self) -> np.float64:
        """Mean square within studies, of raters and error together: that of a one-way analysis."""
        return (self.raters + (self.n - 1) * self.error) / self.n


def _icc(
    ratings: ArrayLike, method: str, interval: Callable[[MeanSquares], tuple[np.float64, np.float64, np.float64]]
) -> Estimate:
    table = np.asarray(ratings, np.float64)
    if table.ndim != 2 or table.shape[1] < 2 or not np.isfinite(table).all():
        raise ValueError(f"ratings must be finite, (n, raters) of two raters or more; got shape {table.shape}")
    n = len(table)
    if n < 2:
        return Estimate(None, None, None, method, n, f"{n} studies: at least 2 are needed")
    if not np.ptp(table, axis=0).any():
        return Estimate(None, None, None, method, n, "no study differs from another")
    with np.errstate(divide="ignore", invalid="ignore"):  # with 2 studies everything can cancel
        icc, low, high = (float(value) for value in interval(mean_squares(table)))
    if not np.isfinite(icc):
        return Estimate(None, None, None, method, n, "the studies' means do not differ")
    if not np.isfinite([low, high]).all():
        return Estimate(icc, None, None, method, n, "the mean squares allow no interval")
    return Estimate(icc, low, high, method, n)


def mean_squares(table: Floats) -> MeanSquares:
    """Return the mean squares of ratings (n, raters), two of each or more."""
    n, k = table.shape
    mean, studies, raters = table.mean(), table.mean(axis=1), table.mean(axis=0)
    error = table - studies[:, None] - raters + mean
    return MeanSquares(
        k * ((studies - mean) ** 2).sum() / (n - 1),
        n * ((raters - mean) ** 2).sum() / (k - 1),
        (error**2).sum() / ((n - 1) * (k - 1)),
        n,
        k,
    )


def _consistency_interval(ms: MeanSquares) -> tuple[np.float64, np.float64, np.float64]:
    return _interval_of_two(ms.studies, ms.error, ms, (ms.n - 1) * (ms.k - 1))


def _one_way_interval(ms: MeanSquares) -> tuple[np.float64, np.float64, np.float64]:
    return _interval_of_two(ms.studies, ms.within, ms, ms.n * (ms.k - 1))


def _interval_of_two(
    studies: np.float64, error: np.float64, ms: MeanSquares, df: int
) -> tuple[np.float64, np.float64, np.float64]:
    """Return estimate, low and high end; multiplied out, so that nothing is divided by an error of 0."""
    tail = (1 + LEVEL) / 2
    shrunk, grown = stats.f.ppf(tail, ms.n - 1, df), stats.f.ppf(tail, df, ms.n - 1)

    def icc(studies: np.float64, error: np.float64) -> np.float64:
        return np.float64(consistency(studies, error, ms.k))

    return icc(studies, error), icc(studies, error * shrunk), icc(studies * grown, error)


def consistency(studies: Any, error: Any, k: int) -> Any:
    """Return ICC(3,1) from mean squares: numbers, or arrays of many resamples."""
    return (studies - error) / (studies + (k - 1) * error)


def _agreement_interval(ms: MeanSquares) -> tuple[np.float64, np.float64, np.float64]:
    """Return estimate, low and high end; degrees of freedom by Satterthwaite's approximation; multiplied out too."""
    n, k, studies, raters, error = ms.n, ms.k, ms.studies, ms.raters, ms.error
    icc = np.float64(absolute_agreement(studies, raters, error, n, k))
    by_raters = k * icc * raters
    by_error = (n * (1 + (k - 1) * icc) - k * icc) * error
    spread = (n - 1) * by_raters**2 + by_error**2
    if spread == 0:  # neither error nor raters differ
        return icc, icc, icc
    df = (k - 1) * (n - 1) * (by_raters + by_error) ** 2 / spread
    tail = (1 + LEVEL) / 2
    shrunk, grown = stats.f.ppf(tail, n - 1, df), stats.f.ppf(tail, df, n - 1)
    rest = k * raters + (k * n - k - n) * error
    low = n * (studies - shrunk * error) / (shrunk * rest + n * studies)
    high = n * (grown * studies - error) / (rest + n * grown * studies)
    return icc, low, high


def absolute_agreement(studies: Any, raters: Any, error: Any, n: Any, k: int) -> Any:
    """Return ICC(2,1) from mean squares: numbers, or arrays of many resamples."""
    return (studies - error) / (studies + (k - 1) * error + k * (raters - error) / n)


def spearman(reference: ArrayLike, model: ArrayLike) -> Estimate:
    """Return Spearman's rank correlation of two sets of scores (n,), ties by mean ranks.

    Interval: Fisher's z with the standard error of Bonett DG, Wright TA, Psychometrika 2000;65:23-28.

    Args:
        reference: (n,) scores of the reference, in Agatston units.
        model: (n,) scores of the model, in Agatston units.

    Returns:
        The correlation with its 95 % interval.

    Raises:
        ValueError: The lists differ in length, or a score is not finite.

    Example:
        >>> reader, model = [0, 0, 12, 80, 150, 420, 900, 35], [0, 5, 10, 95, 140, 390, 980, 60]
        >>> print(spearman(reader, model))
        0.994 (0.950 to 0.999)
    """
    a, b = score_pair(reference, model)
    method, n = "Spearman's rho, interval by Fisher's z (Bonett 2000)", len(a)
    if n < 2 or not np.ptp(a) or not np.ptp(b):
        return Estimate(None, None, None, method, n, _why_no_spread(n))
    rho = float(np.clip(np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1], -1, 1))
    if n < 4:
        return Estimate(rho, None, None, method, n, f"{n} studies: at least 4 are needed for an interval")
    if abs(rho) > 1 - 1e-12:
        return Estimate(rho, rho, rho, method, n, "the ranks agree fully: the interval has no width")
    half = Z * np.sqrt((1 + rho**2 / 2) / (n - 3))
    low, high = np.tanh(np.arctanh(rho) + np.array([-half, half]))
    return Estimate(rho, float(low), float(high), method, n)


def pearson(reference: ArrayLike, model: ArrayLike) -> Estimate:
    """Return Pearson's correlation of two sets of scores (n,); interval by Fisher's z, standard error 1 / sqrt(n - 3).

    Args:
        reference: (n,) scores of the reference, in Agatston units.
        model: (n,) scores of the model, in Agatston units.

    Returns:
        The correlation with its 95 % interval.

    Raises:
        ValueError: The lists differ in length, or a score is not finite.

    Example:
        >>> reader, model = [0, 0, 12, 80, 150, 420, 900, 35], [0, 5, 10, 95, 140, 390, 980, 60]
        >>> print(pearson(reader, model))
        0.997 (0.983 to 0.999)
    """
    a, b = score_pair(reference, model)
    method, n = "Pearson's r, interval by Fisher's z", len(a)
    if n < 2 or not np.ptp(a) or not np.ptp(b):
        return Estimate(None, None, None, method, n, _why_no_spread(n))
    r = float(np.clip(np.corrcoef(a, b)[0, 1], -1, 1))
    if n < 4:
        return Estimate(r, None, None, method, n, f"{n} studies: at least 4 are needed for an interval")
    if abs(r) > 1 - 1e-12:
        return Estimate(r, r, r, method, n, "the scores lie on a line: the interval has no width")
    low, high = np.tanh(np.arctanh(r) + np.array([-Z, Z]) / np.sqrt(n - 3))
    return Estimate(r, float(low), float(high), method, n)


def lin_concordance(reference: ArrayLike, model: ArrayLike) -> Estimate:
    """Return Lin's concordance correlation of two sets of scores (n,): how close they lie to the line of identity.

    2 s_ab / (s_a^2 + s_b^2 + (mean_a - mean_b)^2), moments with denominator n; interval by the Z transformation (Lin
    LI, Biometrics 1989;45:255-268, with the correction of 2000;56:324-325).

    Args:
        reference: (n,) scores of the reference, in Agatston units.
        model: (n,) scores of the model, in Agatston units.

    Returns:
        The concordance with its 95 % interval.

    Raises:
        ValueError: As ``pearson``.

    Example:
        >>> reader, model = [0, 0, 12, 80, 150, 420, 900, 35], [0, 5, 10, 95, 140, 390, 980, 60]
        >>> print(lin_concordance(reader, model))
        0.994 (0.980 to 0.998)
    """
    a, b = score_pair(reference, model)
    method, n = "Lin's concordance correlation, interval by Z transformation", len(a)
    if n < 2 or not np.ptp(a) or not np.ptp(b):
        return Estimate(None, None, None, method, n, _why_no_spread(n))
    variance_a, variance_b, apart = a.var(), b.var(), b.mean() - a.mean()
    r = float(np.clip(np.corrcoef(a, b)[0, 1], -1, 1))
    ccc = float(2 * r * np.sqrt(variance_a * variance_b) / (variance_a + variance_b + apart**2))
    if n < 4:
        return Estimate(ccc, None, None, method, n, f"{n} studies: at least 4 are needed for an interval")
    if abs(ccc) > 1 - 1e-12 or abs(r) < 1e-12:
        return Estimate(ccc, None, None, method, n, "the interval is not defined at a concordance of 0 or 1")
    shift = apart**2 / np.sqrt(variance_a * variance_b)
    variance = (1 - r**2) * ccc**2 * (1 - ccc**2) / r**2 + 2 * ccc**3 * (1 - ccc) * shift / r
    variance = max(float(variance - 0.5 * ccc**4 * shift**2 / r**2), 0.0) / (n - 2)
    low, high = np.tanh(np.arctanh(ccc) + np.array([-Z, Z]) * np.sqrt(variance) / (1 - ccc**2))
    return Estimate(ccc, float(low), float(high), method, n)


def _why_no_spread(n: int) -> str:
    return "all scores of one side are equal" if n else "no studies"
