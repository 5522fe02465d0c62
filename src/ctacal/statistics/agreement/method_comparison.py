"""Regression of two methods that both have error: Passing-Bablok, Deming."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ctacal.arrays import Floats
from ctacal.statistics.estimate import LEVEL, Estimate, Z, score_pair

MOST_STUDIES = 10_000
"""Largest number of studies for Passing-Bablok and weighted Deming, whose work grows with its square: 400 MB, 30 s
(own choice)."""

_CONVERGED, _MOST_ITERATIONS = 1e-10, 500
"""Weighted Deming: relative change of the line at which iteration stops, and most iterations (own choice)."""

_UNCORRELATED = 1e-12
"""A correlation below this is rounding."""


@dataclass(frozen=True, slots=True)
class Line:
    """model = intercept + slope * reference."""

    slope: Estimate
    intercept: Estimate
    """In the unit of the scores."""


def passing_bablok(reference: ArrayLike, model: ArrayLike) -> Line:
    """Return Passing and Bablok's line through two sets of scores (n,), for positively correlated methods.

    The slope is the median of the slopes of all pairs, shifted by the number of slopes below -1; slopes of -1 and pairs
    of equal points are left out, vertical slopes count as infinite. The intercept is the median of model - slope *
    reference. Interval of the slope: its ranks -/+ z sqrt(n (n - 1) (2n + 5) / 18) / 2; of the intercept: from those
    ends (Passing H, Bablok W, J Clin Chem Clin Biochem 1983;21:709-720).

    Args:
        reference: (n,) scores of the reference, in Agatston units.
        model: (n,) scores of the model, in Agatston units.

    Returns:
        Slope and intercept, each with its 95 % interval.

    Raises:
        ValueError: The lists differ in length, or a score is not finite.

    Example:
        >>> reader, model = [0, 0, 12, 80, 150, 420, 900, 35], [0, 5, 10, 95, 140, 390, 980, 60]
        >>> line = passing_bablok(reader, model)
        >>> isinstance(line, Line), str(line.slope), str(line.intercept)
        (True, '1.003 (0.857 to 1.229)', '2.500 (-4.042 to 18.929)')
    """
    a, b = score_pair(reference, model)
    method, n = "Passing-Bablok", len(a)
    if reason := _why_no_line(a, b, MOST_STUDIES):
        return _no_line(method, n, reason)
    slopes, below = _slopes(a, b)
    count = len(slopes)
    if not count or not np.isfinite(slope := _middle(slopes, below)):
        return _no_line(method, n, "no pair of studies gives a slope")
    half = Z * np.sqrt(n * (n - 1) * (2 * n + 5) / 18) / 2
    first = int(np.floor(count / 2 - half + 0.5))  # rounded half up
    low, high = first - 1 + below, count - first + below
    if first < 1 or high >= count or not np.isfinite(slopes[[low, high]]).all():
        reason = f"{n} studies are too few for an interval"
        return _line(slope, (None, None), float(np.median(b - slope * a)), (None, None), method, n, reason)
    ends = float(slopes[low]), float(slopes[high])
    at_0, at_high, at_low = (float(np.median(b - each * a)) for each in (slope, *ends))
    return _line(slope, ends, at_0, (at_low, at_high), method, n)


def _slopes(a: Floats, b: Floats) -> tuple[Floats, int]:
    """Return the sorted slopes of all pairs of different points, without those of -1, and how many are below -1."""
    n, count = len(a), 0
    slopes = np.empty(n * (n - 1) // 2)
    for i in range(n - 1):  # one study at a time: all pairs at once would take several times the memory
        dx, dy = a[i + 1 :] - a[i], b[i + 1 :] - b[i]
        differ = (dx != 0) | (dy != 0)
        found = np.divide(dy, dx, out=np.full(len(dx), np.inf), where=dx != 0)[differ]
        found = found[found != -1]
        slopes[count : count + len(found)] = found
        count += len(found)
    slopes = slopes[:count]
    slopes.sort()
    return slopes, int(np.searchsorted(slopes, -1.0))


def _middle(slopes: Floats, below: int) -> float:
    """Return the shifted median; infinite if the shift leads beyond the slopes or to a vertical line."""
    count = len(slopes)
    upper = count // 2 + below
    lower = (count - 1) // 2 + below
    return float((slopes[lower] + slopes[upper]) / 2) if upper < count else np.inf


def deming(
    reference: ArrayLike,
    model: ArrayLike,
    *,
    error_ratio: float = 1.0,
    weighted: bool = False,
    interval: Literal["jackknife", "analytical"] = "jackknife",
) -> Line:
    """Return Deming's line through two sets of scores (n,).

    ``error_ratio`` is the variance of the reference's error divided by that of the model's. ``weighted`` assumes that
    the error is proportional to the score: weights 1 / (mean of both, on the line)^2, by iteration (Linnet K, Stat Med
    1990;9:1463-1473); all scores must then be above 0.

    Intervals are by Student's t with n - 2 degrees of freedom. Standard errors are by the jackknife (Linnet K, Clin
    Chem 1993;39:424-432) or, if the spread does not grow with the score, ``analytical``: slope sqrt((1 / r^2 - 1) /
    (n - 2)), not for weighted lines.

    Args:
        reference: (n,) scores of the reference, in Agatston units.
        model: (n,) scores of the model, in Agatston units.
        error_ratio: Variance of the reference's error over that of the model's.
        weighted: Whether the error grows with the score.
        interval: ``jackknife`` or ``analytical``.

    Returns:
        Slope and intercept, each with its 95 % interval.

    Raises:
        ValueError: As ``passing_bablok``; or a weighted line is requested for scores not above 0, or with an
            analytical interval.

    Example:
        >>> reader, model = [0, 0, 12, 80, 150, 420, 900, 35], [0, 5, 10, 95, 140, 390, 980, 60]
        >>> print(deming(reader, model).slope)
        1.066 (0.727 to 1.404)
    """
    a, b = score_pair(reference, model)
    if weighted and ((a <= 0).any() or (b <= 0).any()):
        raise ValueError("a weighted Deming line needs scores above 0")
    if weighted and interval == "analytical":
        raise ValueError("a weighted Deming line has a jackknife interval only")
    method, n = f"{'weighted ' * weighted}Deming, {interval} interval", len(a)
    if reason := _why_no_line(a, b, MOST_STUDIES if weighted else np.inf):
        return _no_line(method, n, reason)
    found = _deming(a, b, error_ratio, weighted=weighted)
    if found is None:
        return _no_line(method, n, "the scores are not correlated, or no line is found")
    intercept, slope = found
    errors = _analytical(a, b, slope) if interval == "analytical" else _jackknife(a, b, error_ratio, weighted, found)
    if errors is None:
        reason = f"{n} studies are too few, or too far apart, for an interval"
        return _line(slope, (None, None), intercept, (None, None), method, n, reason)
    t = float(stats.t.ppf((1 + LEVEL) / 2, n - 2))
    ends = [(middle - t * error, middle + t * error) for middle, error in zip((intercept, slope), errors, strict=True)]
    return _line(slope, ends[1], intercept, ends[0], method, n)


def _deming(
    a: Floats, b: Floats, ratio: float, *, weighted: bool, start: tuple[float, float] | None = None
) -> tuple[float, float] | None:
    """Return intercept and slope, or None if there is no line; ``start`` is a line close to the weighted one."""
    line = start or _deming_once(a, b, ratio, np.ones(len(a)))
    if not weighted or line is None:
        return line
    for _ in range(_MOST_ITERATIONS):
        intercept, slope = line
        residual = b - intercept - slope * a
        true_a = a + ratio * slope * residual / (1 + ratio * slope**2)
        true_b = b - residual / (1 + ratio * slope**2)
        middle = (true_a + ratio * true_b) / (1 + ratio)
        again = _deming_once(a, b, ratio, middle**-2) if middle.min() > 0 else None
        if again is None:
            return None
        if max(abs(again[0] - intercept), abs(again[1] - slope)) < _CONVERGED * max(1, abs(intercept), abs(slope)):
            return again
        line = again
    return None


def _deming_once(a: Floats, b: Floats, ratio: float, weights: Floats) -> tuple[float, float] | None:
    total = weights.sum()
    mean_a, mean_b = weights @ a / total, weights @ b / total
    u, q = weights @ (a - mean_a) ** 2, weights @ (b - mean_b) ** 2
    p = weights @ ((a - mean_a) * (b - mean_b))
    if abs(p) <= _UNCORRELATED * np.sqrt(u * q):
        return None
    slope = (ratio * q - u + np.sqrt((u - ratio * q) ** 2 + 4 * ratio * p**2)) / (2 * ratio * p)
    return float(mean_b - slope * mean_a), float(slope)


def _analytical(a: Floats, b: Floats, slope: float) -> tuple[float, float] | None:
    """Return the standard errors of intercept and slope."""
    r = np.corrcoef(a, b)[0, 1]
    error = abs(slope) * np.sqrt(max((1 - r**2) / r**2, 0.0) / (len(a) - 2))
    return float(error * np.sqrt(np.mean(a**2))), float(error)


def _jackknife(
    a: Floats, b: Floats, ratio: float, weighted: bool, whole: tuple[float, float]
) -> tuple[float, float] | None:
    """Return standard errors of intercept and slope, from the pseudo-values n whole - (n - 1) without a study."""
    n = len(a)
    lines = _weighted_without_each(a, b, ratio, whole) if weighted else _without_each(a, b, ratio)
    if lines is None:
        return None
    errors = (n * np.array(whole) - (n - 1) * lines).std(axis=0, ddof=1) / np.sqrt(n)
    return (float(errors[0]), float(errors[1])) if np.isfinite(errors).all() else None


def _without_each(a: Floats, b: Floats, ratio: float) -> Floats:
    """Return (n, 2): intercept and slope without each study, all at once; NaN if there is no line."""
    n, shrink = len(a), len(a) / (len(a) - 1)
    from_a, from_b = a - a.mean(), b - b.mean()
    u = from_a @ from_a - shrink * from_a**2
    q = from_b @ from_b - shrink * from_b**2
    p = from_a @ from_b - shrink * from_a * from_b
    root = ratio * q - u + np.sqrt((u - ratio * q) ** 2 + 4 * ratio * p**2)
    correlated = np.abs(p) > _UNCORRELATED * np.sqrt(np.maximum(u * q, 0))
    slope = np.divide(root, 2 * ratio * p, out=np.full(n, np.nan), where=correlated)
    mean_a, mean_b = a.mean() - from_a / (n - 1), b.mean() - from_b / (n - 1)
    return np.column_stack([mean_b - slope * mean_a, slope])


def _weighted_without_each(a: Floats, b: Floats, ratio: float, whole: tuple[float, float]) -> Floats | None:
    lines, kept = [], np.ones(len(a), bool)
    for left_out in range(len(a)):
        kept[left_out] = False
        line = _deming(a[kept], b[kept], ratio, weighted=True, start=whole)
        kept[left_out] = True
        if line is None:
            return None
        lines.append(line)
    return np.array(lines)


def _why_no_line(a: Floats, b: Floats, most: float = np.inf) -> str:
    if len(a) < 3:
        return f"{len(a)} studies: at least 3 are needed"
    if len(a) > most:
        return f"{len(a):,} studies: not computed for more than {most:,}, since the work grows with their square"
    return "" if np.ptp(a) and np.ptp(b) else "all scores of one side are equal"


def _no_line(method: str, n: int, reason: str) -> Line:
    return Line(*(Estimate(None, None, None, f"{method}, {what}", n, reason) for what in ("slope", "intercept")))


def _line(
    slope: float,
    slope_ends: tuple[float | None, float | None],
    intercept: float,
    intercept_ends: tuple[float | None, float | None],
    method: str,
    n: int,
    reason: str = "",
) -> Line:
    return Line(
        Estimate(slope, *slope_ends, f"{method}, slope", n, reason),
        Estimate(intercept, *intercept_ends, f"{method}, intercept", n, reason),
    )
