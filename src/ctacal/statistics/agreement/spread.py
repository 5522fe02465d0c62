"""How far two readings of one study lie apart: of one reader (repeatability), or of two readers (reproducibility).

Both come from the spread within studies. The coefficient is the difference that 95 % of pairs of readings stay below:
1.96 sqrt(2) standard deviations (Bland JM, Altman DG, BMJ 1996;313:744; Stat Methods Med Res 1999;8:135-160, section
4). For scores, whose spread grows with the score, take the factor: the coefficient of log(score + 1).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ctacal.arrays import Floats
from ctacal.statistics.agreement.correlation import mean_squares
from ctacal.statistics.agreement.limits import WITHIN
from ctacal.statistics.estimate import LEVEL, Estimate


@dataclass(frozen=True, slots=True)
class Spread:
    """The spread of readings of one study."""

    sd: Estimate
    """Standard deviation within a study, in the unit of the scores (``factor``: of their logarithms)."""
    coefficient: Estimate
    """Difference that 95 % of pairs of readings stay below."""
    factor: Estimate
    """The same of log(score + 1): the factor that the larger (score + 1) is of the smaller."""


def repeatability(ratings: ArrayLike) -> Spread:
    """Return the spread of one reader's repeat readings (n, repeats), whose order means nothing.

    The variance is the mean square within studies of a one-way analysis; interval by chi-square with n (repeats - 1)
    degrees of freedom (Barnhart HX, Barboriak DP, Transl Oncol 2009;2:231-235).

    Args:
        ratings: (n, readings) scores in Agatston units.

    Returns:
        Standard deviation, coefficient and factor.

    Raises:
        ValueError: The scores are not a finite table of 0 or more, of two readings or more.

    Example:
        >>> scores = [[0, 0], [12, 10], [80, 95], [150, 140], [420, 390], [900, 980]]
        >>> spread = repeatability(scores)
        >>> isinstance(spread, Spread), str(spread.coefficient)
        (True, '69.890 (45.037 to 153.902)')
    """
    return _spread(ratings, "repeatability", random_readers=False)


def reproducibility(ratings: ArrayLike) -> Spread:
    """Return the spread of readings of different readers (n, readers), who stand for all readers.

    The variance is that of readers plus that of error, in a two-way analysis: MSC / n + (n - 1) MSE / n. Its degrees
    of freedom are those of Satterthwaite FE, Biometrics 1946;2:110-114, so that few readers with different levels give
    a wide interval. Errors as for ``repeatability``.

    Args:
        ratings: (n, readings) scores in Agatston units.

    Returns:
        Standard deviation, coefficient and factor.

    Example:
        >>> scores = [[0, 0], [12, 10], [80, 95], [150, 140], [420, 390], [900, 980]]
        >>> print(reproducibility(scores).factor)
        1.243 (1.146 to 1.699)
    """
    return _spread(ratings, "reproducibility, readers random", random_readers=True)


def _spread(ratings: ArrayLike, name: str, *, random_readers: bool) -> Spread:
    table = np.asarray(ratings, np.float64)
    if table.ndim != 2 or table.shape[1] < 2 or not np.isfinite(table).all() or (table < 0).any():
        raise ValueError(f"expected finite scores (n, readings) of two readings or more, got shape {table.shape}")
    to_pair = float(WITHIN * np.sqrt(2))
    sd, logarithmic = (_within_sd(scores, name, random_readers=random_readers) for scores in (table, np.log1p(table)))
    return Spread(
        sd,
        _mapped(sd, lambda x: to_pair * x, f"{name}, coefficient, interval by chi-square"),
        _mapped(logarithmic, lambda x: _exp(to_pair * x), f"{name}, factor of (score + 1), interval by chi-square"),
    )


def _within_sd(table: Floats, name: str, *, random_readers: bool) -> Estimate:
    n, k = table.shape
    method = f"{name}, standard deviation within a study, interval by chi-square"
    if n < 2:
        return Estimate(None, None, None, method, n, f"{n} studies: at least 2 are needed")
    ms = mean_squares(table)
    parts = (float(ms.raters) / n, float(ms.error) * (n - 1) / n)
    variance = sum(parts)
    if variance == 0:
        return Estimate(0.0, 0.0, 0.0, method, n, "all readings of a study are equal: the interval has no width")
    freedom = variance**2 / (parts[0] ** 2 / (k - 1) + parts[1] ** 2 / ((n - 1) * (k - 1)))
    df = freedom if random_readers else n * (k - 1)
    low, high = np.sqrt(variance * df / stats.chi2.ppf([(1 + LEVEL) / 2, (1 - LEVEL) / 2], df))
    return Estimate(float(np.sqrt(variance)), float(low), float(high), method, n)


def _mapped(found: Estimate, change: Callable[[float], float], method: str) -> Estimate:
    """Return the estimate with each number changed, as by a growing function."""
    value, low, high = (None if x is None else change(x) for x in (found.estimate, found.low, found.high))
    if high is not None and not np.isfinite(high):
        return Estimate(value, None, None, method, found.n, "too few readers for an interval")
    return Estimate(value, low, high, method, found.n, found.reason)


def _exp(value: float) -> float:
    with np.errstate(over="ignore"):  # two readers can give an endless interval
        return float(np.exp(value))
