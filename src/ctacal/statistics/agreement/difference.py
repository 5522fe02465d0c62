"""Two models against one reader: each statistic of both, and its difference by a paired bootstrap."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctacal.arrays import Floats
from ctacal.categories import CATEGORIES
from ctacal.statistics.agreement.categories import (
    by_percentiles,
    distance,
    kappas,
    resampling,
    risk_categories,
    times_drawn,
)
from ctacal.statistics.agreement.correlation import absolute_agreement, consistency
from ctacal.statistics.estimate import Estimate, score_pair

CUTS = (("CAC > 0", 0.0, False), ("CAC >= 100", 100.0, True), ("CAC > 400", 400.0, False))
"""Name, score, and whether that score itself counts as present."""


FEWEST = 10
"""Studies or patients: percentiles of resamples of fewer say nothing (own choice)."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One statistic of two models against the same reader."""

    name: str
    model: float | None
    other: float | None
    difference: Estimate
    """Model less other."""


def above(score: ArrayLike, cut: float, *, inclusive: bool) -> NDArray[np.bool_]:
    """(n,): which scores are above the cut, or at it where ``inclusive``."""
    scores = np.asarray(score, np.float64)
    return scores >= cut if inclusive else scores > cut


def compare_models(
    reference: ArrayLike,
    model: ArrayLike,
    other: ArrayLike,
    *,
    patients: ArrayLike | None = None,
    seed: int = 0,
    advance: Callable[[int], None] = lambda done: None,
) -> tuple[Compared, ...]:
    """Kappas, agreement, detection, correlations and errors of two models (n,) against ``reference`` (n,).

    Each resample draws the same studies (or whole ``patients``) for both, so the interval is that of the paired
    difference (percentiles of 2,000 resamples; Efron B, Tibshirani RJ, An Introduction to the Bootstrap, 1993, chapter
    13). ``advance`` is told how many resamples are done since. Raises ``ValueError`` where a score is negative or not
    finite, or the lists differ in length.
    """
    pairs = [score_pair(reference, one) for one in (model, other)]
    n = len(pairs[0][0])
    group = np.unique(np.arange(n) if patients is None else np.asarray(patients), return_inverse=True)[1]
    if len(group) != n:
        raise ValueError(f"expected a patient for each of {n} studies, got {len(group)}")
    groups = int(group.max(initial=-1)) + 1
    columns = [_Columns.of(*pair) for pair in pairs]
    whole = [_figures(one, np.ones((1, n))) for one in columns]
    drawn = _drawn(columns, group, groups, seed, advance)
    method = f"paired {resampling(groups, patients)}"
    return tuple(
        _compared(name, float(whole[0][name][0]), float(whole[1][name][0]), drawn[name], method, n) for name in drawn
    )


def _compared(name: str, model: float, other: float, drawn: Floats, method: str, n: int) -> Compared:
    values = [None if np.isnan(one) else one for one in (model, other)]
    apart = None if values[0] is None or values[1] is None else values[0] - values[1]
    why = "one of both is not defined" if n else "no studies"
    if apart is not None and not len(drawn):
        why = f"fewer than {FEWEST} studies or patients to draw from"
        return Compared(name, values[0], values[1], Estimate(apart, None, None, f"difference of {name}", n, why))
    told = by_percentiles(apart, drawn, f"difference of {name}, {method}", n, what="value", undefined=why)
    return Compared(name, values[0], values[1], told)


def _drawn(
    columns: list["_Columns"], group: NDArray[np.int64], groups: int, seed: int, advance: Callable[[int], None]
) -> dict[str, Floats]:
    """Of each statistic the differences of the resamples."""
    blocks: dict[str, list[Floats]] = {name: [] for name in _figures(columns[0], np.ones((1, len(group))))}
    for times in times_drawn(groups, seed) if groups >= FEWEST else ():
        weights = times[:, group].astype(np.float64)
        first, second = (_figures(one, weights) for one in columns)
        for name, found in blocks.items():
            found.append(first[name] - second[name])
        advance(len(times))
    return {name: np.concatenate(found) if found else np.zeros(0) for name, found in blocks.items()}


@dataclass(frozen=True, eq=False, slots=True)
class _Columns:
    """What the statistics are weighted sums of, study by study."""

    reference: Floats
    model: Floats
    cells: Floats
    """(n, 16): 1 at the study's cell of the 4x4 table."""
    cuts: Floats
    """(n, 4 cuts): present and found, present, found, none."""
    moments: Floats
    """(n, 7)."""

    @classmethod
    def of(cls, reference: Floats, model: Floats) -> "_Columns":
        cell = risk_categories(reference) * len(CATEGORIES) + risk_categories(model)
        cuts = [
            _four(above(reference, at, inclusive=at_it), above(model, at, inclusive=at_it)) for _, at, at_it in CUTS
        ]
        middle = np.mean([reference, model]) if len(reference) else 0.0
        a, b = reference - middle, model - middle  # so that squares lose no digits
        moments = np.column_stack([np.ones(len(a)), a, b, a * a, b * b, a * b, np.abs(a - b)])
        return cls(reference, model, np.eye(len(CATEGORIES) ** 2)[cell], np.hstack(cuts), moments)


def _four(present: NDArray[np.bool_], found: NDArray[np.bool_]) -> Floats:
    return np.column_stack([present & found, present & ~found, ~present & found, ~present & ~found]).astype(np.float64)


def _figures(columns: _Columns, weights: Floats) -> dict[str, Floats]:
    """Each statistic for each row of weights (m, n); NaN where it is not defined."""
    tables = (weights @ columns.cells).reshape(-1, len(CATEGORIES), len(CATEGORIES))
    total, near = tables.sum(axis=(1, 2)), distance(len(CATEGORIES), "linear")
    found = {
        "kappa, linear weights": kappas(tables, "linear"),
        "kappa, quadratic weights": kappas(tables, "quadratic"),
        "kappa, unweighted": kappas(tables, "unweighted"),
        "exact agreement": _ratio(tables[:, near == 0].sum(axis=1), total),
        "within one category": _ratio(tables[:, near <= 1].sum(axis=1), total),
    }
    for number, (name, _, _) in enumerate(CUTS):
        hit, missed, false, passed = (weights @ columns.cuts[:, 4 * number : 4 * number + 4]).T
        found[f"{name}: sensitivity"] = _ratio(hit, hit + missed)
        found[f"{name}: specificity"] = _ratio(passed, false + passed)
    found["Spearman's rho"] = _weighted_correlation(*_midranks(columns, weights), weights)
    return found | dict(_of_moments(weights @ columns.moments))


def _of_moments(sums: Floats) -> Iterator[tuple[str, Floats]]:
    n, a, b, aa, bb, ab, off = sums.T
    mean_a, mean_b = _ratio(a, n), _ratio(b, n)
    variance_a, variance_b, together = (
        _ratio(aa, n) - mean_a**2,
        _ratio(bb, n) - mean_b**2,
        _ratio(ab, n) - mean_a * mean_b,
    )
    bias = mean_b - mean_a
    with np.errstate(invalid="ignore", divide="ignore"):
        studies = (variance_a + variance_b + 2 * together) / 2 * n / (n - 1)
        error = (variance_a + variance_b - 2 * together) / 2 * n / (n - 1)
        agreement = absolute_agreement(studies, n * bias**2 / 2, error, n, 2)
        reliable = (studies > 1e-12) | (error > 1e-12)
        yield "Pearson's r", _ratio(together, np.sqrt(np.maximum(variance_a * variance_b, 0)))
        yield "Lin's concordance", _ratio(2 * together, variance_a + variance_b + bias**2)
        yield "ICC(2,1)", np.where(reliable & np.isfinite(agreement), agreement, np.nan)
        yield "ICC(3,1)", np.where(reliable, consistency(studies, error, 2), np.nan)
    yield "mean difference", bias
    yield "mean absolute difference", _ratio(off, n)


def _midranks(columns: _Columns, weights: Floats) -> tuple[Floats, Floats]:
    """(m, n) each: the mean rank of every study among those drawn."""
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
    a, b = (one - _ratio((weights * one).sum(axis=1, keepdims=True), total) for one in (a, b))
    spread = np.sqrt((weights * a * a).sum(axis=1) * (weights * b * b).sum(axis=1))
    return _ratio((weights * a * b).sum(axis=1), spread)


def _ratio(above_line: Floats, below_line: Floats) -> Floats:
    found: Floats = np.divide(above_line, below_line, out=np.full(below_line.shape, np.nan), where=below_line > 1e-12)
    return found
