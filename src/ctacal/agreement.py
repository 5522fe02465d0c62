"""How far a model and a reader (or the truth) agree: each statistic from arrays to a frozen ``Estimate``.

Where a statistic is not defined (no studies, all in one category, all scores equal), the ``Estimate`` holds None and
says why; nothing here returns NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ctacal.scores import risk_category

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Weights = Literal["linear", "quadratic", "unweighted"]

CATEGORIES = ("0", "1-100", "101-400", ">400")
"""The risk categories (``scores.risk_category``), in order."""

LEVEL = 0.95
"""Of every confidence interval."""

RESAMPLES = 2000
"""Of a bootstrap: the ends of a 95 % interval vary by some 2 % of its width from seed to seed (own choice)."""

_Z = float(stats.norm.ppf((1 + LEVEL) / 2))


@dataclass(frozen=True, slots=True)
class Estimate:
    """One statistic with its 95 % confidence interval."""

    estimate: float | None
    """None where it is not defined; ``reason`` then says why."""
    low: float | None
    high: float | None
    method: str
    n: int
    """Studies that it rests on."""
    reason: str = ""
    """Why estimate or interval is missing, or what to know about it; else empty."""

    def __str__(self) -> str:
        """The figure and its interval, or why there is none.

        >>> str(Estimate(0.8, 0.75, 0.849, "m", 10)), str(Estimate(None, None, None, "m", 0, "no studies"))
        ('0.800 (0.750 to 0.849)', 'not defined: no studies')
        """
        if self.estimate is None:
            return f"not defined: {self.reason}"
        if self.low is None or self.high is None:
            return f"{self.estimate:.3f} (no interval: {self.reason})"
        return f"{self.estimate:.3f} ({self.low:.3f} to {self.high:.3f})"


def risk_categories(agatston: ArrayLike) -> Counts:
    """(n,): the place in ``CATEGORIES`` of each Agatston score.

    Raises ``ValueError`` where a score is negative or not a finite number.

    >>> risk_categories([0, 0.8, 100, 401]).tolist()
    [0, 1, 1, 3]
    """
    scores = np.asarray(agatston, np.float64).ravel()
    wrong = np.flatnonzero(~(np.isfinite(scores) & (scores >= 0)))
    if wrong.size:
        raise ValueError(f"Agatston scores must be 0 or more, number {wrong[0]} is {scores[wrong[0]]}")
    return np.array([CATEGORIES.index(risk_category(float(score))) for score in scores], np.int64)


def cross_table(reference: ArrayLike, model: ArrayLike, classes: int = len(CATEGORIES)) -> Counts:
    """(classes, classes): studies by the reference's class (rows) and the model's (columns); classes count from 0.

    Raises ``ValueError`` where the two differ in length or a class is out of range.

    >>> cross_table([0, 0, 1], [0, 1, 1], classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    a, b = _class_pair(reference, model, classes)
    table: Counts = _tables(a, b, np.zeros(len(a), np.int64), 1, classes)[0]
    return table


def weighted_kappa(table: ArrayLike, weights: Weights = "linear") -> Estimate:
    """Cohen's kappa of a square table of counts, with its asymptotic interval.

    kappa = 1 - sum(d p) / sum(d e): shares p seen and e expected by chance, distance d = |i - j| (linear), its square,
    or i != j (Cohen J, Psychol Bull 1968;70:213-220). Standard error as in R's vcd: Fleiss JL, Cohen J, Everitt BS,
    Psychol Bull 1969;72:323-327, equation 13. The interval is not cut at 1.
    Raises ``ValueError`` where the table is not square or holds a negative count.

    >>> weighted_kappa([[2, 1], [0, 3]]).estimate
    0.6666666666666667
    """
    counts = _square(table)
    method, n = f"Cohen's kappa, {weights} weights, asymptotic interval (Fleiss 1969)", int(counts.sum())
    kappa = float(_kappas(counts[None].astype(np.float64), weights)[0])
    if np.isnan(kappa):
        return Estimate(None, None, None, method, n, _why_no_kappa(n))
    half = _Z * _kappa_error(counts, kappa, weights)
    reason = "all studies agree: the asymptotic interval has no width" if kappa == 1 else ""
    return Estimate(kappa, kappa - half, kappa + half, method, n, reason)


def _kappas(tables: Floats, weights: Weights) -> Floats:
    """(m,): of each of (m, k, k) tables; NaN where chance agrees wholly."""
    distance = _distance(tables.shape[1], weights)
    seen = (tables * distance).sum(axis=(1, 2))
    rows, columns = tables.sum(axis=2), tables.sum(axis=1)
    by_chance = np.einsum("mi,ij,mj->m", rows, distance, columns)
    ratio = seen * tables.sum(axis=(1, 2))
    disagreement: Floats = np.divide(ratio, by_chance, out=np.full(len(tables), np.nan), where=by_chance > 0)
    return 1 - disagreement


def _distance(classes: int, weights: Weights) -> Floats:
    """(classes, classes): how bad it is to take one for the other, up to a factor."""
    rank = np.arange(classes)
    apart = np.abs(rank[:, None] - rank).astype(np.float64)
    distances: dict[Weights, Floats] = {"linear": apart, "quadratic": apart**2, "unweighted": np.sign(apart)}
    return distances[weights]


def _kappa_error(counts: Counts, kappa: float, weights: Weights) -> float:
    """The standard error (Fleiss 1969)."""
    n = counts.sum()
    shares, distance = counts / n, _distance(len(counts), weights)
    agreement = 1 - distance / distance.max()
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    mean = (agreement @ columns)[:, None] + rows @ agreement
    by_chance = float(rows @ agreement @ columns)
    spread = float((shares * (agreement - mean * (1 - kappa)) ** 2).sum())
    variance = max(spread - (kappa - by_chance * (1 - kappa)) ** 2, 0.0)  # rounding may bring 0 just below 0
    return float(np.sqrt(variance / n) / (1 - by_chance))


def _why_no_kappa(n: int) -> str:
    return "both put every study into one and the same category" if n else "no studies"


def bootstrap_kappa(
    reference: ArrayLike,
    model: ArrayLike,
    weights: Weights = "linear",
    *,
    classes: int = len(CATEGORIES),
    patients: ArrayLike | None = None,
    seed: int = 0,
) -> Estimate:
    """Cohen's kappa of two readings (n,) in classes from 0, with a percentile interval from 2,000 resamples.

    Whole patients are drawn where ``patients`` (n,) names them, so that studies of one patient are not taken for
    independent (Field CA, Welsh AH, J R Stat Soc B 2007;69:369-390); else studies. Resamples without a kappa are left
    out and counted in ``reason``. Raises ``ValueError`` as ``cross_table`` does.
    """
    tables = _tables_by_patient(reference, model, classes, patients)
    kappa = weighted_kappa(tables.sum(axis=0), weights).estimate
    method = f"Cohen's kappa, {weights} weights, {_resampling(len(tables), patients)}"
    return _by_percentiles(kappa, _kappas(_resampled(tables, seed), weights), method, int(tables.sum()))


def kappa_difference(
    reference: ArrayLike,
    model: ArrayLike,
    other: ArrayLike,
    weights: Weights = "linear",
    *,
    classes: int = len(CATEGORIES),
    patients: ArrayLike | None = None,
    seed: int = 0,
) -> Estimate:
    """Kappa of ``model`` minus kappa of ``other``, both against ``reference`` on the same studies; paired bootstrap.

    As ``bootstrap_kappa`` otherwise.
    """
    both = [_tables_by_patient(reference, one, classes, patients) for one in (model, other)]
    kappas = [weighted_kappa(tables.sum(axis=0), weights).estimate for tables in both]
    difference = None if kappas[0] is None or kappas[1] is None else kappas[0] - kappas[1]
    drawn = [_kappas(_resampled(tables, seed), weights) for tables in both]  # the same seed draws the same patients
    method = f"difference of kappas, {weights} weights, paired {_resampling(len(both[0]), patients)}"
    return _by_percentiles(difference, drawn[0] - drawn[1], method, int(both[0].sum()))


def _resampling(groups: int, patients: ArrayLike | None) -> str:
    return f"percentile bootstrap of {groups} {'studies' if patients is None else 'patients'}, {RESAMPLES} resamples"


def _tables_by_patient(reference: ArrayLike, model: ArrayLike, classes: int, patients: ArrayLike | None) -> Counts:
    """(patients, classes, classes)."""
    n = np.size(reference)
    names, index = np.unique(np.arange(n) if patients is None else np.asarray(patients), return_inverse=True)
    if len(index) != n:
        raise ValueError(f"expected a patient for each of {n} studies, got {len(index)}")
    return _tables(*_class_pair(reference, model, classes), index, len(names), classes)


def _tables(reference: Counts, model: Counts, group: Counts, groups: int, classes: int) -> Counts:
    tables = np.zeros((groups, classes, classes), np.int64)
    np.add.at(tables, (group, reference, model), 1)
    return tables


def _resampled(tables: Counts, seed: int) -> Floats:
    """(resamples, classes, classes): sums of as many tables as there are, drawn with replacement."""
    groups = len(tables)
    if groups < 2:  # nothing varies
        return np.zeros((0, *tables.shape[1:]))
    times = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=RESAMPLES)
    return np.asarray((times @ tables.reshape(groups, -1)).reshape(-1, *tables.shape[1:]), np.float64)


def _by_percentiles(estimate: float | None, drawn: Floats, method: str, n: int) -> Estimate:
    if estimate is None:
        return Estimate(None, None, None, method, n, _why_no_kappa(n))
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return Estimate(estimate, None, None, method, n, "too few studies or patients to draw from")
    left_out = len(drawn) - len(defined)
    reason = f"{left_out} of {len(drawn)} resamples have no kappa and are left out" if left_out else ""
    low, high = np.percentile(defined, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Estimate(estimate, float(low), float(high), method, n, reason)


def exact_agreement(table: ArrayLike) -> Estimate:
    """Share of studies in the same class, of a square table of counts; Wilson interval."""
    counts = _square(table)
    return proportion(int(np.trace(counts)), int(counts.sum()))


def within_one_agreement(table: ArrayLike) -> Estimate:
    """Share of studies no more than one class apart; Wilson interval."""
    counts = _square(table)
    return proportion(int(counts[_distance(len(counts), "linear") <= 1].sum()), int(counts.sum()))


def sensitivity(present: ArrayLike, found: ArrayLike) -> Estimate:
    """Share of the studies where it is ``present`` (n,) that were ``found`` (n,); Wilson interval."""
    truth, answer = np.asarray(present, bool), np.asarray(found, bool)
    return proportion(int((truth & answer).sum()), int(truth.sum()), "no study has it")


def specificity(present: ArrayLike, found: ArrayLike) -> Estimate:
    """Share of the studies where it is not ``present`` (n,) that were not ``found`` (n,); Wilson interval."""
    absent, passed = ~np.asarray(present, bool), ~np.asarray(found, bool)
    return proportion(int((absent & passed).sum()), int(absent.sum()), "every study has it")


def proportion(successes: int, n: int, reason_if_none: str = "no studies") -> Estimate:
    """A share with its interval by Wilson EB, J Am Stat Assoc 1927;22:209-212 (no continuity correction).

    >>> str(proportion(8, 10))
    '0.800 (0.490 to 0.943)'
    """
    if not 0 <= successes <= n:
        raise ValueError(f"expected 0 <= successes <= n, got {successes} of {n}")
    method = "proportion, Wilson interval"
    if n == 0:
        return Estimate(None, None, None, method, 0, reason_if_none)
    share = successes / n
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    low = float(middle - half) if successes else 0.0  # with none or all, one end is the share: exactly
    high = float(middle + half) if successes < n else 1.0
    return Estimate(share, low, high, method, n)


def icc_agreement(ratings: ArrayLike) -> Estimate:
    """ICC(2,1): absolute agreement of single ratings (n, raters), raters drawn from many.

    (MSR - MSE) / (MSR + (k-1) MSE + k (MSC - MSE) / n), mean squares of studies, raters and error; Shrout PE, Fleiss
    JL, Psychol Bull 1979;86:420-428. Interval: McGraw KO, Wong SP, Psychol Methods 1996;1:30-46, table 7.
    Raises ``ValueError`` where the ratings are not a finite table of two raters or more.
    """
    method = "ICC(2,1), two-way random, absolute agreement, single rating"
    return _icc(ratings, method, _agreement_interval)


def icc_consistency(ratings: ArrayLike) -> Estimate:
    """ICC(3,1): consistency of single ratings (n, raters), these raters alone.

    (MSR - MSE) / (MSR + (k-1) MSE). Sources, interval and errors as for ``icc_agreement``.
    """
    method = "ICC(3,1), two-way mixed, consistency, single rating"
    return _icc(ratings, method, _consistency_interval)


@dataclass(frozen=True, slots=True)
class _MeanSquares:
    """Of a two-way analysis of variance without replication."""

    studies: np.float64
    raters: np.float64
    error: np.float64
    n: int
    k: int


def _icc(
    ratings: ArrayLike, method: str, interval: Callable[[_MeanSquares], tuple[np.float64, np.float64, np.float64]]
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
        icc, low, high = (float(value) for value in interval(_mean_squares(table)))
    if not np.isfinite(icc):
        return Estimate(None, None, None, method, n, "the studies' means do not differ")
    if not np.isfinite([low, high]).all():
        return Estimate(icc, None, None, method, n, "the mean squares allow no interval")
    return Estimate(icc, low, high, method, n)


def _mean_squares(table: Floats) -> _MeanSquares:
    n, k = table.shape
    mean, studies, raters = table.mean(), table.mean(axis=1), table.mean(axis=0)
    error = table - studies[:, None] - raters + mean
    return _MeanSquares(
        k * ((studies - mean) ** 2).sum() / (n - 1),
        n * ((raters - mean) ** 2).sum() / (k - 1),
        (error**2).sum() / ((n - 1) * (k - 1)),
        n,
        k,
    )


def _consistency_interval(ms: _MeanSquares) -> tuple[np.float64, np.float64, np.float64]:
    """Estimate, low, high; multiplied out, so that an error of 0 divides nothing."""
    tail, df = (1 + LEVEL) / 2, (ms.n - 1) * (ms.k - 1)
    shrunk, grown = stats.f.ppf(tail, ms.n - 1, df), stats.f.ppf(tail, df, ms.n - 1)

    def icc(studies: np.float64, error: np.float64) -> np.float64:
        return np.float64((studies - error) / (studies + (ms.k - 1) * error))

    return icc(ms.studies, ms.error), icc(ms.studies, ms.error * shrunk), icc(ms.studies * grown, ms.error)


def _agreement_interval(ms: _MeanSquares) -> tuple[np.float64, np.float64, np.float64]:
    """Estimate, low, high; degrees of freedom by Satterthwaite's approximation, multiplied out as well."""
    n, k, studies, raters, error = ms.n, ms.k, ms.studies, ms.raters, ms.error
    icc = (studies - error) / (studies + (k - 1) * error + k * (raters - error) / n)
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


def spearman(reference: ArrayLike, model: ArrayLike) -> Estimate:
    """Spearman's rank correlation of two sets of scores (n,), ties by mean ranks.

    Interval: Fisher's z with the standard error of Bonett DG, Wright TA, Psychometrika 2000;65:23-28.
    Raises ``ValueError`` where they differ in length or a score is not finite.
    """
    a, b = np.asarray(reference, np.float64).ravel(), np.asarray(model, np.float64).ravel()
    if len(a) != len(b) or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"expected two finite lists of one length, got {len(a)} and {len(b)}")
    method, n = "Spearman's rho, interval by Fisher's z (Bonett 2000)", len(a)
    if n < 2 or not np.ptp(a) or not np.ptp(b):
        return Estimate(None, None, None, method, n, "all scores of one side are equal" if n else "no studies")
    rho = float(np.clip(np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1], -1, 1))
    if n < 4:
        return Estimate(rho, None, None, method, n, f"{n} studies: at least 4 are needed for an interval")
    if abs(rho) > 1 - 1e-12:
        return Estimate(rho, rho, rho, method, n, "the ranks agree wholly: the interval has no width")
    half = _Z * np.sqrt((1 + rho**2 / 2) / (n - 3))
    low, high = np.tanh(np.arctanh(rho) + np.array([-half, half]))
    return Estimate(rho, float(low), float(high), method, n)


def _square(table: ArrayLike) -> Counts:
    counts = np.asarray(table)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.shape[0] < 2 or (counts < 0).any():
        raise ValueError(f"expected a square table of counts, got shape {counts.shape}")
    return counts.astype(np.int64)


def _class_pair(reference: ArrayLike, model: ArrayLike, classes: int) -> tuple[Counts, Counts]:
    a, b = (np.asarray(one).ravel().astype(np.int64) for one in (reference, model))
    if len(a) != len(b):
        raise ValueError(f"reference and model differ in length: {len(a)} and {len(b)}")
    for one in (a, b):
        if one.size and not 0 <= one.min() <= one.max() < classes:
            raise ValueError(f"classes must be 0..{classes - 1}, got {one.min()}..{one.max()}")
    return a, b
