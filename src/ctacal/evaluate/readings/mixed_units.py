"""Columns in which some rows are in another unit: what their values alone can show, and what they cannot.

A second unit multiplies some values by a factor. On the scale of logarithms these values form a second cluster, which
shows where it is far from the first, compared with the spread of each, and few values lie between. It cannot be seen
where the spread within one unit is as large as the factor (scores of calcium in tenths, without another score of the
same scan), where the factor is small (kPa for mmHg in few rows), or in single rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ctacal.arrays import Floats, Ints
from ctacal.evaluate.readings.plausible import shown

LEAST_ROWS, LEAST_DISTINCT, LEAST_CLUSTER = 40, 10, 5
"""Values above 0, and different ones, below which no clusters are looked for; values of the smaller (own choice)."""

APART, ALL_BUT_APART = 3.8, 3.3
"""Distance of the two means, in standard deviations within, from which on two clusters are apart (own choice).

Evenly spread values cut in halves have 3.5, a normal distribution 2.7. From the second on a valley must be certain.
"""

VALLEY, CERTAIN = 0.35, 4.0
"""Values in the middle third between the means, compared with the fewer of those of the outer thirds; and by how many
standard deviations they must be fewer to be certain (own choice). One hill has no fewer in the middle."""

LEAST_FACTOR = 1.9
"""Factor of the medians below which two clusters are no two units; pounds are 2.2 per kg (own choice)."""

SAME = 1e-9
"""Difference of two values, as a share of the largest, below which they are one."""

LEAST_OF_CENTRE, CENTRES_APART = 10, 2.0
"""Values that a centre must have, and standard deviations between the medians of two, to ask for units (own choice)."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Two clusters of a column."""

    cut: float
    """Values up to here are in the lower cluster."""
    lower: Floats
    upper: Floats

    @property
    def factor(self) -> float:
        """Median of the upper cluster over that of the lower one."""
        return float(np.median(self.upper) / np.median(self.lower))


def clusters(values: Floats) -> Clusters | None:
    """Return the two clusters of the values above 0 that may be two units, or None.

    >>> risks = np.random.default_rng(0).beta(2, 18, 120)
    >>> clusters(risks) is None, round(clusters(np.r_[risks[:60], 100 * risks[60:]]).factor)
    (True, 106)
    """
    known = np.sort(values[np.isfinite(values) & (values > 0)])
    if len(known) < LEAST_ROWS or (values < 0).any() or len(np.unique(known)) < LEAST_DISTINCT:
        return None
    logs = np.log(_unrounded(known))
    place = _best_cut(logs)
    low, high = logs[:place], logs[place:]
    within = np.sqrt((low.var() * len(low) + high.var() * len(high)) / len(logs))
    distance = float(high.mean() - low.mean())
    if min(len(low), len(high)) < LEAST_CLUSTER or distance < ALL_BUT_APART * within:
        return None
    found = Clusters(float(known[place - 1]), known[:place], known[place:])
    is_apart = distance >= APART * within
    valley = _has_valley(logs, float(low.mean()), distance, is_apart=is_apart)
    return found if found.factor >= LEAST_FACTOR and valley else None


def _unrounded(known: Floats) -> Floats:
    """Return (n,) sorted values with equal ones spread over what is rounded to them: 1 and 2 have no gap then."""
    values, place, counts = np.unique(known, return_inverse=True, return_counts=True)
    steps = np.diff(values)
    step = float(steps[steps > SAME * values[-1]].min(initial=values[-1]))
    within = np.arange(len(known)) - (np.cumsum(counts) - counts)[place]
    return np.asarray(known + np.minimum(step, known) * ((within + 0.5) / counts[place] - 0.5))


def _best_cut(logs: Floats) -> int:
    """Return the number of values in the lower of the two normal clusters of one spread that fit best."""
    n = len(logs)
    size = np.arange(LEAST_CLUSTER, n - LEAST_CLUSTER + 1)
    sums, squares = np.cumsum(logs), np.cumsum(logs**2)
    low = sums[size - 1]
    spread = squares[-1] - low**2 / size - (sums[-1] - low) ** 2 / (n - size)
    share = size / n
    fit = -0.5 * np.log(np.maximum(spread / n, 1e-12)) + share * np.log(share) + (1 - share) * np.log1p(-share)
    return int(size[fit.argmax()])


def _has_valley(logs: Floats, low: float, distance: float, *, is_apart: bool) -> bool:
    ends = low + distance * np.array([0, 1, 2, 3]) / 3
    first, middle, last = np.diff(np.searchsorted(logs, ends)).tolist()
    fewer = min(first, last)
    return bool((is_apart and middle <= VALLEY * fewer) or fewer - middle > CERTAIN * np.sqrt(fewer + middle))


def mixed_doubt(values: Floats) -> str:
    """Return what a reader must check of a column that may hold two units; follows the name of the column.

    >>> mixed_doubt(np.r_[np.linspace(60, 100, 30), np.linspace(150, 220, 15)])
    'holds 150 to 220 in 15 rows (33 %), and 60 to 100 in 30, about 2.3 times less: two units?'
    """
    found = clusters(values)
    if found is None:
        return ""
    share = 100 * len(found.upper) / (len(found.upper) + len(found.lower))
    upper, lower = (f"{shown(float(own.min()))} to {shown(float(own.max()))}" for own in (found.upper, found.lower))
    return (
        f"holds {upper} in {len(found.upper):,} rows ({share:.0f} %), and {lower} in {len(found.lower):,}, about "
        f"{found.factor:{'.0f' if found.factor >= 10 else '.2g'}} times less: two units?"
    )


def mixed_ratio_doubt(scores: Floats, others: Floats) -> str:
    """Return what to check of two scores of the same scans, of which one is in another unit in some rows.

    Follows the name of the first. Their ratio varies far less than the scores, so that a tenth shows.

    >>> scores = np.exp(np.random.default_rng(1).uniform(0, 8, 100))
    >>> mixed_ratio_doubt(scores * np.where(np.arange(100) % 4, 1, 10), scores * 1.01 ** (np.arange(100) % 20))
    'is 9.2 times the other score in 25 of 100 rows, and 0.91 times in the others: in another unit or scale there?'
    """
    both = np.isfinite(scores) & np.isfinite(others) & (scores > 0) & (others > 0)
    found = clusters(scores[both] / others[both])
    if found is None:
        return ""
    small, large = sorted((found.lower, found.upper), key=len)
    rows = f"{len(small):,} of {len(small) + len(large):,} rows"
    return (
        f"is {float(np.median(small)):.2g} times the other score in {rows}, "
        f"and {float(np.median(large)):.2g} times in the others: in another unit or scale there?"
    )


def centre_doubt(values: Floats, centre: Ints, names: Sequence[str]) -> str:
    """Return what to check of a column that one centre may have in another unit; follows the name of the column.

    ``centre`` (n,) are indices into ``names``.

    >>> weight = np.linspace(60, 100, 21)
    >>> centre_doubt(np.r_[weight, 2.2 * weight], np.repeat([0, 1], 21), ["Bern", "Boston"])
    'has a median of 176 in Boston and of 80 in Bern: two units?'
    """
    logs = {
        place: np.log(values[own])
        for place in range(len(names))
        if int((own := (centre == place) & np.isfinite(values) & (values > 0)).sum()) >= LEAST_OF_CENTRE
    }
    if len(logs) < 2 or (values < 0).any() or len(np.unique(values[np.isfinite(values)])) < LEAST_DISTINCT:
        return ""
    middle = {place: float(np.median(own)) for place, own in logs.items()}
    low, high = min(middle, key=middle.__getitem__), max(middle, key=middle.__getitem__)
    within = float(np.median([own.std() for own in logs.values()]))
    distance = middle[high] - middle[low]
    if distance < max(CENTRES_APART * within, np.log(LEAST_FACTOR)):
        return ""
    ends = [f"{shown(float(np.exp(middle[place])))} in {names[place]}" for place in (high, low)]
    return f"has a median of {ends[0]} and of {ends[1]}: two units?"
