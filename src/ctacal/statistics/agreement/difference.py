"""Two models against the same reader: each statistic of both, and its difference by a paired bootstrap."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Floats, Ints, Mask
from ctacal.categories import CATEGORIES, CUTS, Cut
from ctacal.statistics.agreement.categories import distance, kappas, risk_categories
from ctacal.statistics.agreement.correlation import absolute_agreement, consistency
from ctacal.statistics.bootstrap import percentile_interval, resampling, times_drawn
from ctacal.statistics.estimate import Estimate, score_pair

FEWEST = 10
"""Smallest number of studies or patients for which resamples are drawn (own choice)."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One statistic of two models against the same reader."""

    name: str
    model: float | None
    other: float | None
    difference: Estimate
    """Model minus other."""


def above(score: ArrayLike, cut: Cut) -> Mask:
    """Return (n,): whether each score is above the cut, or equal to it if the cut is inclusive.

    Args:
        score: (n,) scores, in Agatston units.
        cut: One of ``ctacal.categories.CUTS``.

    Returns:
        (n,) whether the finding is present.

    Example:
        >>> from ctacal.categories import CUTS
        >>> [(cut.name, above([0, 100, 500], cut).tolist()) for cut in CUTS]
        [('CAC > 0', [False, True, True]), ('CAC >= 100', [False, True, True]), ('CAC > 400', [False, False, True])]
    """
    scores = np.asarray(score, np.float64)
    present: Mask = scores >= cut.agatston if cut.inclusive else scores > cut.agatston
    return present


def compare_models(
    reference: ArrayLike,
    model: ArrayLike,
    other: ArrayLike,
    *,
    patients: ArrayLike | None = None,
    seed: int = 0,
    advance: Callable[[int], None] = lambda done: None,
) -> tuple[Compared, ...]:
    """Return kappas, agreement, detection, correlations and errors of two models (n,) against ``reference`` (n,).

    Each resample draws the same studies (or whole ``patients``) for both, so the interval is that of the paired
    difference (percentiles of 2,000 resamples; Efron B, Tibshirani RJ, An Introduction to the Bootstrap, 1993, chapter
    13). ``advance`` is called with the number of resamples done since the last call.

    Args:
        reference: (n,) scores of the reference, in Agatston units.
        model: (n,) scores of the model, in Agatston units.
        other: (n,) scores of the other model, in Agatston units.
        patients: (n,) the patient of each study; None if every study is a patient of its own.
        seed: Seed of the bootstrap.
        advance: Called with the number of resamples done since the last call.

    Returns:
        Each statistic of both models, and the difference with its interval.

    Raises:
        ValueError: A score is negative or not finite, or the lists differ in length.

    Example:
        >>> reader = np.array([0, 0, 12, 80, 150, 420, 900, 35, 0, 220, 5, 610])
        >>> [first, *_] = compare_models(reader, reader + 5, reader * 2)
        >>> isinstance(first, Compared), first.name, round(first.model, 2), round(first.other, 2)
        (True, 'kappa, linear weights', 0.78, 0.87)
    """
    pairs = [score_pair(reference, scores) for scores in (model, other)]
    n = len(pairs[0][0])
    group = np.unique(np.arange(n) if patients is None else np.asarray(patients), return_inverse=True)[1]
    if len(group) != n:
        raise ValueError(f"expected a patient for each of {n} studies, got {len(group)}")
    groups = int(group.max(initial=-1)) + 1
    columns = [_Columns.of(*pair) for pair in pairs]
    whole = [_figures(of_model, np.ones((1, n))) for of_model in columns]
    drawn = _drawn(columns, group, groups, seed, advance)
    method = f"paired {resampling(groups, patients)}"
    return tuple(
        _compared(name, float(whole[0][name][0]), float(whole[1][name][0]), drawn[name], method, n) for name in drawn
    )


def _compared(name: str, model: float, other: float, drawn: Floats, method: str, n: int) -> Compared:
    values = [None if np.isnan(value) else value for value in (model, other)]
    apart = None if values[0] is None or values[1] is None else values[0] - values[1]
    return Compared(name, values[0], values[1], _difference(name, apart, drawn, method, n))


def _difference(name: str, apart: float | None, drawn: Floats, method: str, n: int) -> Estimate:
    if apart is None:
        reason = "one of both is not defined" if n else "no studies"
        return Estimate(None, None, None, f"difference of {name}, {method}", n, reason)
    if not len(drawn):
        reason = f"fewer than {FEWEST} studies or patients to draw from"
        return Estimate(apart, None, None, f"difference of {name}", n, reason)
    return percentile_interval(apart, drawn, f"difference of {name}, {method}", n, lack="have no value")


def _drawn(
    columns: list["_Columns"], group: Ints, groups: int, seed: int, advance: Callable[[int], None]
) -> dict[str, Floats]:
    """Return the difference of each statistic in each resample."""
    blocks: dict[str, list[Floats]] = {name: [] for name in _figures(columns[0], np.ones((1, len(group))))}
    for times in times_drawn(groups, seed) if groups >= FEWEST else ():
        weights = times[:, group].astype(np.float64)
        first, second = (_figures(of_model, weights) for of_model in columns)
        for name, differences in blocks.items():
            differences.append(first[name] - second[name])
        advance(len(times))
    return {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in blocks.items()}


@dataclass(frozen=True, eq=False, slots=True)
class _Columns:
    """Study by study, the columns of which the statistics are weighted sums."""

    reference: Floats
    model: Floats
    cells: Floats
    """(n, 16): 1 at the study's cell of the 4x4 table."""
    cuts: Floats
    """(n, 4 x cuts): present and found, present only, found only, neither."""
    moments: Floats
    """(n, 7): 1, reference, model, their squares and product, absolute difference."""

    @classmethod
    def of(cls, reference: Floats, model: Floats) -> "_Columns":
        cell = risk_categories(reference) * len(CATEGORIES) + risk_categories(model)
        cuts = [_four(above(reference, cut), above(model, cut)) for cut in CUTS]
        middle = np.mean([reference, model]) if len(reference) else 0.0
        a, b = reference - middle, model - middle  # so that squares lose no digits
        moments = np.column_stack([np.ones(len(a)), a, b, a * a, b * b, a * b, np.abs(a - b)])
        return cls(reference, model, np.eye(len(CATEGORIES) ** 2)[cell], np.hstack(cuts), moments)


def _four(present: Mask, found: Mask) -> Floats:
    return np.column_stack([present & found, present & ~found, ~present & found, ~present & ~found]).astype(np.float64)


def _figures(columns: _Columns, weights: Floats) -> dict[str, Floats]:
    """Return each statistic for each row of weights (m, n); NaN if it is not defined."""
    tables = (weights @ columns.cells).reshape(-1, len(CATEGORIES), len(CATEGORIES))
    total, near = tables.sum(axis=(1, 2)), distance(len(CATEGORIES), "linear")
    figures = {
        "kappa, linear weights": kappas(tables, "linear"),
        "kappa, quadratic weights": kappas(tables, "quadratic"),
        "kappa, unweighted": kappas(tables, "unweighted"),
        "exact agreement": _ratio(tables[:, near == 0].sum(axis=1), total),
        "within one category": _ratio(tables[:, near <= 1].sum(axis=1), total),
    }
    for number, cut in enumerate(CUTS):
        hit, missed, false, passed = (weights @ columns.cuts[:, 4 * number : 4 * number + 4]).T
        figures[f"{cut.name}: sensitivity"] = _ratio(hit, hit + missed)
        figures[f"{cut.name}: specificity"] = _ratio(passed, false + passed)
    figures["Spearman's rho"] = _weighted_correlation(*_midranks(columns, weights), weights)
    return figures | dict(_of_moments(weights @ columns.moments))


def _of_moments(sums: Floats) -> Iterator[tuple[str, Floats]]:
    n, a, b, aa, bb, ab, absolute = sums.T
    mean_a, mean_b = _ratio(a, n), _ratio(b, n)
    variance_a, variance_b, covariance = (
        _ratio(aa, n) - mean_a**2,
        _ratio(bb, n) - mean_b**2,
        _ratio(ab, n) - mean_a * mean_b,
    )
    bias = mean_b - mean_a
    with np.errstate(invalid="ignore", divide="ignore"):
        studies = (variance_a + variance_b + 2 * covariance) / 2 * n / (n - 1)
        error = (variance_a + variance_b - 2 * covariance) / 2 * n / (n - 1)
        agreement = absolute_agreement(studies, n * bias**2 / 2, error, n, 2)
        reliable = (studies > 1e-12) | (error > 1e-12)
        yield "Pearson's r", _ratio(covariance, np.sqrt(np.maximum(variance_a * variance_b, 0)))
        yield "Lin's concordance", _ratio(2 * covariance, variance_a + variance_b + bias**2)
        yield "ICC(2,1)", np.where(reliable & np.isfinite(agreement), agreement, np.nan)
        yield "ICC(3,1)", np.where(reliable, consistency(studies, error, 2), np.nan)
    yield "mean difference", bias
    yield "mean absolute difference", _ratio(absolute, n)


def _midranks(columns: _Columns, weights: Floats) -> tuple[Floats, Floats]:
    """Return (m, n) each: the mean rank of every study among those drawn."""
    return _midrank(columns.reference, weights), _midrank(columns.model, weights)


def _midrank(scores: Floats, weights: Floats) -> Floats:
    if not len(scores):
        return np.zeros_like(weights)
    values, group = np.unique(scores, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(values)))
    tied = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks: Floats = (np.cumsum(tied, axis=1) - tied / 2 + 0.5)[:, group]
    return ranks


def _weighted_correlation(a: Floats, b: Floats, weights: Floats) -> Floats:
    total = weights.sum(axis=1, keepdims=True)
    a, b = (ranks - _ratio((weights * ranks).sum(axis=1, keepdims=True), total) for ranks in (a, b))
    spread = np.sqrt((weights * a * a).sum(axis=1) * (weights * b * b).sum(axis=1))
    return _ratio((weights * a * b).sum(axis=1), spread)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return the ratio; NaN if the denominator is 0."""
    ratio: Floats = np.divide(numerator, denominator, out=np.full(denominator.shape, np.nan), where=denominator > 1e-12)
    return ratio
