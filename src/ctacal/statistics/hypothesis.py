"""The result of a significance test, and Holm's correction for multiple tests."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special


@dataclass(frozen=True, slots=True)
class HypothesisTest:
    """A chi-square statistic with its degrees of freedom and p value, or the reason why there is none."""

    statistic: float | None
    df: int
    p: float | None
    method: str
    n: int
    """Number of patients or studies."""
    reason: str = ""
    """Why there is no statistic, or a remark on it; else empty."""

    def __str__(self) -> str:
        """Return the statistic and its p value, or why there is none.

        >>> str(chi_square(3.841458820694124, 1, "m", 10)), str(undefined("m", 0, "no events"))
        ('chi-square 3.84 (1 df), p = 0.05', 'not defined: no events')
        """
        if self.statistic is None or self.p is None:
            return f"not defined: {self.reason}"
        return f"chi-square {self.statistic:.2f} ({self.df} df), p = {self.p:.2g}"


def chi_square(statistic: float, df: int, method: str, n: int, reason: str = "") -> HypothesisTest:
    """Return the test whose p value is that of the chi-square distribution; a statistic just below 0 counts as 0.

    Args:
        statistic: The chi-square.
        df: Degrees of freedom.
        method: Name of the method.
        n: Number of patients or studies.
        reason: A remark, or why there is no statistic.

    Returns:
        The test.

    Example:
        >>> from ctacal.statistics import LEVEL, Z
        >>> print(chi_square(Z**2, 1, "mine", 60))
        chi-square 3.84 (1 df), p = 0.05
        >>> round(1 - LEVEL, 2)
        0.05
    """
    value = max(float(statistic), 0.0)
    return HypothesisTest(value, df, float(special.chdtrc(df, value)), method, n, reason)


def undefined(method: str, n: int, reason: str) -> HypothesisTest:
    """Return a test that the data do not define.

    Args:
        method: Name of the method.
        n: Number of patients or studies.
        reason: A remark, or why there is no statistic.

    Returns:
        A test with None for statistic and p value.

    Example:
        >>> test = undefined("log-rank test", 0, "no patients")
        >>> isinstance(test, HypothesisTest), test.p, str(test)
        (True, None, 'not defined: no patients')
    """
    return HypothesisTest(None, 0, None, method, n, reason)


def holm(p: Sequence[float | None]) -> tuple[float | None, ...]:
    """Return the adjusted p values of m tests: the largest (m - rank) p so far (Holm S, Scand J Stat 1979;6:65-70).

    A test without a p value stays without one and is not counted.

    Args:
        p: p values; None where a test has none.

    Returns:
        The adjusted p values, in the order given.

    Example:
        >>> holm([0.01, 0.04, 0.03, None])
        (0.03, 0.06, 0.06, None)
    """
    known = np.array([index for index, value in enumerate(p) if value is not None], np.int64)
    values = np.array([value for value in p if value is not None], np.float64)
    order = np.argsort(values, kind="stable")
    steps = (len(values) - np.arange(len(values))) * values[order]
    adjusted: list[float | None] = [None] * len(p)
    for index, value in zip(known[order], np.minimum(np.maximum.accumulate(steps), 1.0), strict=True):
        adjusted[index] = float(value)
    return tuple(adjusted)
