"""``limits_of_pairs``: a site's own limits, from pairs of scans between which nothing can have changed.

Regression limits (Bland JM, Altman DG, Stat Methods Med Res 1999;8:135-160, section 3.2) of the square roots: the mean
difference and its standard deviation are straight lines along the mean of both roots. Few pairs give wide limits: the
1.96 of an infinite sample is replaced by Student's t and the leverage of one further pair (prediction limits).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ctacal.arrays import Floats
from ctacal.compare.limits import Band, Limits
from ctacal.compare.protocol import ScanProtocol
from ctacal.errors import UsageError

LEAST_PAIRS = 30
"""Fewest pairs of which limits are made; Bland and Altman ask for more, 100 (own choice)."""

LEAST_WITH_CALCIUM = 20
"""Fewest pairs with calcium in both scans: pairs of 0 and 0 say nothing of the noise of a score (own choice)."""

GOOD_PAIRS = 100
"""Number of pairs from which the limits themselves are sure: to a third of a standard deviation (Bland and Altman)."""

LEAST_CORRELATION = 0.5
"""Rank correlation below which two columns are no repeats of the same patients: ungated scans repeat with far more
(own choice)."""

MOST_BIAS = 0.5
"""Mean difference over its standard deviation above which one scan of the pair measures more (own choice)."""

COVERAGE = 0.95
_COEFFICIENTS = 4
"""Coefficients of both lines together: that of the mean difference, and that of its standard deviation."""


@dataclass(frozen=True, eq=False, slots=True)
class Pairs:
    """One quantity of pairs of scans, (n,) each; NaN where it is not known."""

    first: Floats
    second: Floats

    @property
    def known(self) -> "Pairs":
        """The pairs of which both are known."""
        both = np.isfinite(self.first) & np.isfinite(self.second)
        return Pairs(self.first[both], self.second[both])


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsInfo:
    """Where pairs come from."""

    name: str
    patients: int
    first_day: str | None = None
    last_day: str | None = None
    protocol: ScanProtocol
    rule: str
    model_digest: str = ""
    notes: tuple[str, ...] = ()


def limits_of_pairs(pairs: Mapping[str, Pairs], info: PairsInfo, decides: str = "agatston") -> Limits:
    """Return the limits of the quantities; one that too few pairs have is left out, with a note.

    Args:
        pairs: Of each quantity, named as in results.csv, both scans of each pair, (n,) in its unit.
        info: Where the pairs come from.
        decides: The quantity that gives the verdict.

    Returns:
        The limits of square roots: 95 of 100 pairs of an unchanged patient lie within.

    Raises:
        UsageError: The deciding quantity has too few pairs, or its pairs are no repeats.

    Example:
        >>> from ctacal.compare import Limits
        >>> rng = np.random.default_rng(1)
        >>> root = rng.uniform(2, 30, 60)  # square roots of the scores of 60 patients, scanned twice
        >>> first, second = ((root + rng.normal(0, 1, 60)) ** 2 for _ in range(2))
        >>> info = PairsInfo(name="ours", patients=60, protocol=ScanProtocol(kvp=120.0), rule="scct2016")
        >>> limits = limits_of_pairs({"agatston": Pairs(first, second)}, info)
        >>> isinstance(limits, Limits), limits.pairs, [round(root, 1) for root in limits.bands["agatston"].at(100, 100)]
        (True, 60, [-2.7, 2.6])
    """
    if decides not in pairs:
        raise UsageError(f"the pairs hold no {decides}; they hold {', '.join(pairs)}")
    bands, notes = {}, list(info.notes)
    for name, both in pairs.items():
        try:
            bands[name] = band_of(both.known, name)
        except UsageError as problem:
            if name == decides:
                raise
            notes.append(f"no limits of {name}: {problem}")
    used = pairs[decides].known
    return Limits(
        name=info.name,
        origin="site",
        bands=bands,
        decides=decides,
        pairs=len(used.first),
        patients=info.patients,
        first_day=info.first_day,
        last_day=info.last_day,
        protocol=info.protocol,
        rule=info.rule,
        model_digest=info.model_digest,
        notes=(*notes, *_remarks(used, decides)),
    )


def band_of(pairs: Pairs, name: str) -> Band:
    """Return the limits of one quantity. Raises ``UsageError`` if its pairs are too few, or no repeats."""
    from scipy import stats

    from ctacal.statistics.agreement.limits import WITHIN, regression_limits

    _check(pairs, name)
    a, b = np.sqrt(pairs.first), np.sqrt(pairs.second)
    lines, n = regression_limits(a, b), len(a)
    if None in (lines.bias_at_0, lines.bias_slope, lines.sd_at_0, lines.sd_slope):
        raise UsageError(f"{name}: no limits, {lines.reason}")
    of_pairs = (a + b) / 2
    mean = np.linspace(0.0, float(of_pairs.max()), 5)
    leverage = 1 / n + (mean - of_pairs.mean()) ** 2 / float(((of_pairs - of_pairs.mean()) ** 2).sum())
    fitted = np.sqrt(n / (n - 2))  # residuals of a fitted line are smaller than those of a further pair
    times = fitted * float(stats.t.ppf((1 + COVERAGE) / 2, n - _COEFFICIENTS)) * np.sqrt(1 + leverage)
    bias, lower, _ = lines.at(mean)
    half = np.maximum((bias - lower) / WITHIN, _least_sd(b - a)) * times
    return Band(
        mean_sqrt=_rounded(mean), low=_rounded(np.minimum(bias - half, 0)), high=_rounded(np.maximum(bias + half, 0))
    )


def _least_sd(difference: Floats) -> float:
    """Return a floor of the standard deviation, a quarter of that of all pairs: a line can fall to 0 or below."""
    return float(difference.std(ddof=1)) / 4


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)


def _check(pairs: Pairs, name: str) -> None:
    a, b = pairs.first, pairs.second
    if len(a) < LEAST_PAIRS:
        raise UsageError(f"{name}: {len(a)} pairs; limits need {LEAST_PAIRS} at least, better {GOOD_PAIRS}")
    if min(a.min(), b.min()) < 0:
        raise UsageError(f"{name}: a value is below 0")
    if (a == b).all():
        raise UsageError(f"{name}: all pairs are equal, as no two scans are: the columns hold one scan twice")
    with_calcium = int(((a > 0) & (b > 0)).sum())
    if with_calcium < LEAST_WITH_CALCIUM:
        raise UsageError(
            f"{name}: {with_calcium} pairs have calcium in both scans; limits need {LEAST_WITH_CALCIUM} at least"
        )
    _check_likeness(a, b, name)


def _check_likeness(a: Floats, b: Floats, name: str) -> None:
    from scipy import stats

    correlation = float(stats.spearmanr(a, b).statistic)
    if not correlation >= LEAST_CORRELATION:
        raise UsageError(
            f"{name}: the two scans of a pair agree hardly more than those of two patients (rank correlation "
            f"{correlation:.2f}); check that each row holds two scans of one patient"
        )
    calcium = (a > 0) & (b > 0)
    equal = int((a[calcium] == b[calcium]).sum())
    if equal > len(a[calcium]) / 2:
        raise UsageError(
            f"{name}: {equal} of {int(calcium.sum())} pairs with calcium have exactly equal values, as repeated scans "
            "do not: were both columns made from one scan?"
        )


def _remarks(pairs: Pairs, name: str) -> list[str]:
    remarks, n = [], len(pairs.first)
    if n < GOOD_PAIRS:
        remarks.append(f"{n} pairs give limits that are themselves unsure; {GOOD_PAIRS} or more are better")
    difference = np.sqrt(pairs.second) - np.sqrt(pairs.first)
    if abs(difference.mean()) > MOST_BIAS * difference.std(ddof=1):
        more = "second" if difference.mean() > 0 else "first"
        remarks.append(f"the {more} scan of the pairs has the higher {name} on the whole: find out why")
    return remarks
