"""Bland-Altman: differences of a model's scores from a reader's, and how they change with the score."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ctacal.arrays import Floats
from ctacal.statistics.estimate import LEVEL, Estimate, score_pair

WITHIN = 1.96
"""Standard deviations from the mean that hold 95 % of differences, as printed by Bland and Altman 1999."""


@dataclass(frozen=True, slots=True)
class LimitsOfAgreement:
    """Bias and limits, in Agatston units, or as ratios if ``ratio`` is true."""

    bias: Estimate
    """Mean of model minus reference (ratio: geometric mean of (model + 1) / (reference + 1))."""
    lower: Estimate
    upper: Estimate
    sd: float | None
    """Standard deviation of the differences (ratio: of their logarithms)."""
    ratio: bool
    n: int
    reason: str = ""
    """Why there are no limits; else empty."""


@dataclass(frozen=True, slots=True)
class RegressionLimits:
    """Limits that grow with the score A, the mean of both: bias_at_0 + bias_slope A -/+ 1.96 (sd_at_0 + sd_slope A)."""

    bias_at_0: float | None
    """None if the limits are not defined; ``reason`` then says why."""
    bias_slope: float | None
    sd_at_0: float | None
    """Multiplied by sqrt(pi / 2) already: a standard deviation, not a mean absolute residual."""
    sd_slope: float | None
    method: str
    n: int
    reason: str = ""

    def at(self, mean_score: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """Return bias, lower and upper limit at mean scores (n,); a standard deviation below 0 counts as 0.

        Raises ``ValueError`` if the limits are not defined.
        """
        if self.bias_at_0 is None or self.bias_slope is None or self.sd_at_0 is None or self.sd_slope is None:
            raise ValueError(f"no limits: {self.reason}")
        score = np.asarray(mean_score, np.float64)
        bias = self.bias_at_0 + self.bias_slope * score
        half = WITHIN * np.maximum(self.sd_at_0 + self.sd_slope * score, 0)
        return bias, bias - half, bias + half


def bland_altman(reference: ArrayLike, model: ArrayLike) -> LimitsOfAgreement:
    """Return mean difference (model minus reference) and 95 % limits of agreement of scores (n,), in their unit.

    Limits: bias -/+ 1.96 sd. Intervals by Student's t: standard error of the bias sd / sqrt(n), of a limit
    sd sqrt(1/n + 1.96^2 / (2 (n - 1))) (Bland JM, Altman DG, Lancet 1986;327:307-310; Stat Methods Med Res
    1999;8:135-160, section 2.2).

    Args:
        reference: (n,) scores of the reference, in Agatston units.
        model: (n,) scores of the model, in Agatston units.

    Returns:
        Bias and limits, each with its 95 % interval.

    Raises:
        ValueError: The lists differ in length, or a score is not finite.

    Example:
        >>> reader, model = [0, 0, 12, 80, 150, 420, 900, 35], [0, 5, 10, 95, 140, 390, 980, 60]
        >>> limits = bland_altman(reader, model)
        >>> isinstance(limits, LimitsOfAgreement), str(limits.bias), str(limits.upper)
        (True, '10.375 (-16.840 to 37.590)', '74.179 (25.532 to 122.826)')
    """
    a, b = score_pair(reference, model)
    return _limits(b - a, ratio=False)


def bland_altman_ratio(reference: ArrayLike, model: ArrayLike) -> LimitsOfAgreement:
    """Return ``bland_altman`` of log(score + 1), transformed back: (model + 1) / (reference + 1), bias 1 at best.

    For differences that grow in proportion to the score (Bland 1999, section 3.1); the 1 keeps scores of 0.

    Args:
        reference: (n,) scores of the reference, in Agatston units.
        model: (n,) scores of the model, in Agatston units.

    Returns:
        Bias and limits as ratios, each with its 95 % interval.

    Raises:
        ValueError: As ``bland_altman``, and if a score is negative.

    Example:
        >>> reader, model = [0, 0, 12, 80, 150, 420, 900, 35], [0, 5, 10, 95, 140, 390, 980, 60]
        >>> print(bland_altman_ratio(reader, model).bias)
        1.327 (0.773 to 2.278)
    """
    a, b = score_pair(reference, model)
    if (a < 0).any() or (b < 0).any():
        raise ValueError("a ratio needs scores of 0 or more")
    return _limits(np.log1p(b) - np.log1p(a), ratio=True)


def _limits(difference: Floats, *, ratio: bool) -> LimitsOfAgreement:
    n = len(difference)
    what = "ratio of (score + 1), by logarithms" if ratio else "difference of scores"
    if n < 2:
        reason = f"{n} studies: at least 2 are needed"
        none = Estimate(None, None, None, f"Bland-Altman, {what}", n, reason)
        return LimitsOfAgreement(none, none, none, None, ratio, n, reason)
    bias, sd = float(difference.mean()), float(difference.std(ddof=1))
    t = stats.t.ppf((1 + LEVEL) / 2, n - 1)
    halves = t * sd * np.array([1 / np.sqrt(n), *[np.sqrt(1 / n + WITHIN**2 / (2 * (n - 1)))] * 2])
    names = ("bias", "lower limit of agreement", "upper limit of agreement")
    found = [
        _around(middle, float(half), f"Bland-Altman, {name}, {what}", n, ratio=ratio)
        for name, middle, half in zip(names, (bias, bias - WITHIN * sd, bias + WITHIN * sd), halves, strict=True)
    ]
    return LimitsOfAgreement(found[0], found[1], found[2], sd, ratio, n)


def _around(middle: float, half: float, method: str, n: int, *, ratio: bool) -> Estimate:
    ends = np.array([middle, middle - half, middle + half])
    if ratio:
        with np.errstate(over="ignore"):  # with 3 studies a limit can overflow
            ends = np.exp(ends)
    if not np.isfinite(ends).all():
        return Estimate(float(ends[0]), None, None, method, n, "too few studies for an interval")
    return Estimate(float(ends[0]), float(ends[1]), float(ends[2]), method, n)


def regression_limits(reference: ArrayLike, model: ArrayLike) -> RegressionLimits:
    """Return limits of agreement that change with the score, from two sets of scores (n,), in their unit.

    Differences are regressed on the mean score A, then the absolute residuals R on A; R sqrt(pi / 2) is the standard
    deviation there (Bland 1999, section 3.2).

    Args:
        reference: (n,) scores of the reference, in Agatston units.
        model: (n,) scores of the model, in Agatston units.

    Returns:
        Two lines: of the bias, and of the standard deviation.

    Raises:
        ValueError: As ``bland_altman``.

    Example:
        >>> reader, model = [0, 0, 12, 80, 150, 420, 900, 35], [0, 5, 10, 95, 140, 390, 980, 60]
        >>> limits = regression_limits(reader, model)
        >>> isinstance(limits, RegressionLimits), [round(float(end[0])) for end in limits.at([100])]
        (True, [4, -32, 40])
    """
    a, b = score_pair(reference, model)
    method, n, mean = "Bland-Altman, regression limits", len(a), (a + b) / 2
    if n < 3 or not np.ptp(mean):
        reason = f"{n} studies: at least 3 are needed" if n < 3 else "all mean scores are equal"
        return RegressionLimits(None, None, None, None, method, n, reason)
    at_0, slope = _line(mean, b - a)
    spread_at_0, spread_slope = _line(mean, np.abs(b - a - (at_0 + slope * mean)))
    to_sd = np.sqrt(np.pi / 2)
    return RegressionLimits(at_0, slope, float(to_sd * spread_at_0), float(to_sd * spread_slope), method, n)


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Return intercept and slope by least squares."""
    centred = x - x.mean()
    slope = float(centred @ (y - y.mean()) / (centred @ centred))
    return float(y.mean() - slope * x.mean()), slope
