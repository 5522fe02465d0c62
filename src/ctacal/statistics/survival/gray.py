"""Gray's test: whether the cumulative incidence of an event differs between groups, if other events compete."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctacal.arrays import Floats, Ints, Mask
from ctacal.statistics.hypothesis import HypothesisTest, chi_square, undefined
from ctacal.statistics.survival.competing import checked_causes

METHOD = "Gray's test"

_NOTHING = 1e-10
"""Share of the variance below which a direction has none (rounding)."""


def gray_test(time: ArrayLike, cause: ArrayLike, group: ArrayLike) -> HypothesisTest:
    """Test whether the incidence of cause 1 is the same in k groups (n,), from times (n,) and causes (n,).

    A log-rank test of the subdistribution hazards: patients with a competing event stay at risk, thinned as censoring
    thins the others (Gray RJ, Ann Stat 1988;16:1141-1154, rho 0). As R's cmprsk.

    Args:
        time: (n,) times from the scan.
        cause: (n,) 0 if follow-up ended, 1 for the event of interest, other numbers for others.
        group: (n,) the group of each patient.

    Returns:
        The test, or why there is none.

    Raises:
        ValueError: Lengths, times or causes are wrong.

    Example:
        >>> time, cause = [1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6], [1, 0, 1, 2, 1, 2, 0, 1]
        >>> print(gray_test(time, cause, [1, 0, 1, 0, 1, 0, 0, 1]))
        chi-square 4.73 (1 df), p = 0.03
    """
    t, c = checked_causes(time, cause)
    labels, index = np.unique(np.asarray(group), return_inverse=True)
    if len(index) != len(t):
        raise ValueError(f"expected a group for each of {len(t)} patients, got {len(index)}")
    if len(labels) < 2:
        return undefined(METHOD, len(t), "only one group")
    if not (c == 1).any():
        return undefined(METHOD, len(t), "no event of interest")
    score, variance = _score(_Counts.of(t, c, index.ravel(), len(labels)))
    values, vectors = np.linalg.eigh(variance)
    kept = values > _NOTHING * max(np.trace(variance), 1e-300)
    if not kept.any():
        return undefined(METHOD, len(t), "no event happened while two groups were at risk")
    statistic = float(((vectors[:, kept].T @ score) ** 2 / values[kept]).sum())
    df = int(kept.sum())
    reason = "a group had nobody at risk when events happened; it is left out" if df < len(labels) - 1 else ""
    return chi_square(statistic, df, METHOD, len(t), reason)


@dataclass(frozen=True, slots=True)
class _Counts:
    """Events and patients at risk of each group at each time with an event of any cause: (times, groups)."""

    wanted: Floats
    competing: Floats
    at_risk: Floats

    @classmethod
    def of(cls, time: Floats, cause: Ints, index: Ints, groups: int) -> "_Counts":
        moments, row = np.unique(time, return_inverse=True)

        def counted(which: Mask) -> Floats:
            places = row.ravel()[which] * groups + index[which]
            return np.bincount(places, minlength=len(moments) * groups).reshape(-1, groups).astype(np.float64)

        wanted, competing = counted(cause == 1), counted(cause > 1)
        at_risk = np.cumsum(counted(cause >= 0)[::-1], axis=0)[::-1]
        kept = (wanted + competing).any(axis=1)
        return cls(wanted[kept], competing[kept], at_risk[kept])


def _score(counts: _Counts) -> tuple[Floats, Floats]:
    """Return score (k,) and its variance (k, k).

    In Gray's notation: a group's patients at risk of the subdistribution are R = Y (1 - F) / S just before the time,
    h = Y / S, and the variance is the sum over groups r of (d + b1)² dF1 / h + b2² dF2 / h.
    """
    d1, d2, y = counts.wanted, counts.competing, counts.at_risk
    there = y > 0
    groups = y.shape[1]
    survival = np.cumprod(1 - _over(d1 + d2, y), axis=0)
    before = np.vstack([np.ones(groups), survival[:-1]])
    incidence = np.cumsum(before * _over(d1, y), axis=0)
    earlier = np.vstack([np.zeros(groups), incidence[:-1]])
    size = _over(y, before)
    at_risk = size * (1 - earlier)
    events, total = d1.sum(axis=1), size.sum(axis=1)
    score = (d1 - _over(at_risk, at_risk.sum(axis=1)[:, None]) * events[:, None]).sum(axis=0)

    pooled = np.cumsum(events / total)  # incidence of all groups together, as if they were one
    hazard = events / (total * (1 - np.concatenate([[0.0], pooled[:-1]])))
    apart = (np.eye(groups) - (size / total[:, None])[:, :, None]) * there[:, None, :]
    d = size[:, None, :] * apart  # (times, k, r)
    steps = d * hazard[:, None, None]
    to_come = steps.sum(axis=0) - np.cumsum(steps, axis=0)
    free = _over((1 - pooled)[:, None], survival)[:, None, :]
    tied: Floats = np.where(events[:, None] > 1, 1 - _over(events[:, None] - 1, total[:, None] * before - 1), 1.0)
    of_interest = _over((events / total)[:, None], size) * tied * there
    of_others = before * _over(d2, y) * _over(1 - _over(d2 - 1, y - 1) * (d2 > 1), size)
    first, second = d + (1 - free) * to_come, free * to_come
    return score, sum(
        (np.einsum("mkr,mlr,mr->kl", a, a, weight) for a, weight in ((first, of_interest), (second, of_others))),
        start=np.zeros((groups, groups)),
    )


def _over(above: NDArray[Any], below: NDArray[Any]) -> Floats:
    """Return the quotient, 0 where ``below`` is 0."""
    shape = np.broadcast_shapes(above.shape, below.shape)
    quotient: Floats = np.divide(above, below, out=np.zeros(shape), where=np.broadcast_to(below != 0, shape))
    return quotient
