"""``Estimate``: one statistic with its interval; proportions with their Wilson interval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ctacal.arrays import Floats

LEVEL = 0.95
"""Level of every confidence interval."""

Z = float(stats.norm.ppf((1 + LEVEL) / 2))
"""Standard errors to each side of an estimate in an interval of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One statistic with its 95 % confidence interval."""

    estimate: float | None
    """None if it is not defined; ``reason`` then says why."""
    low: float | None
    high: float | None
    method: str
    n: int
    """Number of studies or patients."""
    reason: str = ""
    """Why the estimate or the interval is missing, or a remark on them; else empty."""

    def __str__(self) -> str:
        """Return the figure and its interval, or why there is none.

        >>> str(Estimate(0.8, 0.75, 0.849, "m", 10)), str(Estimate(None, None, None, "m", 0, "no studies"))
        ('0.800 (0.750 to 0.849)', 'not defined: no studies')
        """
        if self.estimate is None:
            return f"not defined: {self.reason}"
        if self.low is None or self.high is None:
            return f"{self.estimate:.3f} (no interval: {self.reason})"
        return f"{self.estimate:.3f} ({self.low:.3f} to {self.high:.3f})"


def normal_estimate(estimate: float, error: float, method: str, n: int) -> Estimate:
    """Return the estimate with an interval of ``Z`` standard errors to each side."""
    reason = "" if error > 0 else "nothing varies: the interval has no width"
    return Estimate(float(estimate), float(estimate - Z * error), float(estimate + Z * error), method, n, reason)


def proportion(successes: int, n: int, reason_if_none: str = "no studies") -> Estimate:
    """Return a share with its interval by Wilson EB, J Am Stat Assoc 1927;22:209-212 (no continuity correction).

    Args:
        successes: Studies with the finding.
        n: Number of studies.
        reason_if_none: The reason if there are no studies.

    Returns:
        The share with its 95 % interval.

    Raises:
        ValueError: There are more successes than studies.

    Example:
        >>> str(proportion(8, 10))
        '0.800 (0.490 to 0.943)'
    """
    if not 0 <= successes <= n:
        raise ValueError(f"expected 0 <= successes <= n, got {successes} of {n}")
    method = "proportion, Wilson interval"
    if n == 0:
        return Estimate(None, None, None, method, 0, reason_if_none)
    share = successes / n
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    low = float(middle - half) if successes else 0.0  # with none or all, one end is exactly the share
    high = float(middle + half) if successes < n else 1.0
    return Estimate(share, low, high, method, n)


def score_pair(reference: ArrayLike, model: ArrayLike) -> tuple[Floats, Floats]:
    """Return two sets of scores as (n,) float64 each.

    Args:
        reference: (n,) scores of the reference.
        model: (n,) scores of the model.

    Returns:
        Both as float64.

    Raises:
        ValueError: They differ in length, or a score is not finite.

    Example:
        >>> reference, model = score_pair([0, 120], [3, 110])
        >>> model - reference
        array([  3., -10.])
    """
    a, b = np.asarray(reference, np.float64).ravel(), np.asarray(model, np.float64).ravel()
    if len(a) != len(b) or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"expected two finite lists of one length, got {len(a)} and {len(b)}")
    return a, b
