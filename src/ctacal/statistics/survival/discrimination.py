"""Discrimination: C-index, time-dependent AUC, and DeLong's test for outcomes without censoring."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ctacal.arrays import Floats, Mask
from ctacal.statistics.estimate import Estimate, Z
from ctacal.statistics.survival.censoring import Censoring, censoring, influence_through_censoring
from ctacal.statistics.survival.concordance import pair_sums
from ctacal.statistics.survival.influence import (
    Influenced,
    paired_difference,
    small_sample,
    with_interval,
    without_estimate,
)
from ctacal.statistics.survival.risks import free_at, why_undefined
from ctacal.statistics.survival.survival_data import SurvivalData

HARRELL = "Harrell's C, infinitesimal jackknife"
UNO = "Uno's C, infinitesimal jackknife"
AUC = "time-dependent AUC (cumulative cases, dynamic controls), inverse probability of censoring weights"
DELONG = "AUC, DeLong's variance"


def checked_score(n: int, score: ArrayLike) -> Floats:
    """Return (n,) finite numbers; raise ``ValueError`` if one is missing or not finite."""
    values = np.asarray(score, np.float64)
    if values.shape != (n,) or not np.isfinite(values).all():
        raise ValueError(f"expected a finite number for each of {n} patients, got shape {values.shape}")
    return values


def harrell_c(data: SurvivalData, risk: ArrayLike) -> Estimate:
    """Return the share of pairs in which the patient with the earlier event has the higher risk; ties count a half.

    A pair counts if the earlier time is an event (Harrell FE et al., Stat Med 1996;15:361-387). Variance: squares of
    each patient's influence on the share, as R's ``concordance``. ``risk`` is any score that grows with risk.

    Args:
        data: Follow-up.
        risk: (n,) any score that grows with risk.

    Returns:
        C with its 95 % interval.

    Raises:
        ValueError: A risk is missing or not finite.

    Example:
        >>> harrell_c(SurvivalData([1, 2, 3, 4], [1, 1, 0, 1]), [4, 2, 3, 1]).estimate
        0.8
    """
    return with_interval(concordance_influence(data, checked_score(data.n, risk)), HARRELL, data.n)


def harrell_c_difference(data: SurvivalData, risk: ArrayLike, other: ArrayLike) -> Estimate:
    """Return Harrell's C of ``risk`` minus that of ``other``, on the same patients (paired).

    Args:
        data: Follow-up.
        risk: (n,) risk of the event by the horizon.
        other: (n,) the other risk.

    Returns:
        The difference with its 95 % interval.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> risk = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> other = [0.4, 0.5, 0.5, 0.3, 0.2, 0.3, 0.2, 0.4, 0.3, 0.3]
        >>> print(harrell_c_difference(data, risk, other))
        0.266 (0.041 to 0.490)
    """
    both = [concordance_influence(data, checked_score(data.n, score)) for score in (risk, other)]
    return paired_difference(both[0], both[1], HARRELL, data.n)


def uno_c(data: SurvivalData, risk: ArrayLike, tau: float | None = None) -> Estimate:
    """Return Harrell's share with pairs weighted by 1 / G(t-)^2, t the earlier event: independent of the censoring.

    Uno H et al., Stat Med 2011;30:1105-1117. Only events before ``tau`` count, if given. The interval allows for the
    estimation of G. Raises as ``harrell_c``.

    Args:
        data: Follow-up.
        risk: (n,) risk of the event by the horizon.
        tau: Time in the unit of the data; None: no limit.

    Returns:
        C with its 95 % interval.

    Raises:
        ValueError: As ``harrell_c``.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> risk = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> print(uno_c(data, risk, tau=4))
        0.967 (0.893 to 1.000)
    """
    own = censoring(data)
    return with_interval(concordance_influence(data, checked_score(data.n, risk), own, tau), uno_method(tau), data.n)


def uno_c_difference(data: SurvivalData, risk: ArrayLike, other: ArrayLike, tau: float | None = None) -> Estimate:
    """Return Uno's C of ``risk`` minus that of ``other``, on the same patients (paired).

    Args:
        data: Follow-up.
        risk: (n,) risk of the event by the horizon.
        other: (n,) the other risk.
        tau: Time in the unit of the data; None: no limit.

    Returns:
        The difference with its 95 % interval.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> risk = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> other = [0.4, 0.5, 0.5, 0.3, 0.2, 0.3, 0.2, 0.4, 0.3, 0.3]
        >>> print(uno_c_difference(data, risk, other, tau=4))
        0.250 (0.003 to 0.497)
    """
    own = censoring(data)
    both = [concordance_influence(data, checked_score(data.n, score), own, tau) for score in (risk, other)]
    return paired_difference(both[0], both[1], uno_method(tau), data.n)


def uno_method(tau: float | None) -> str:
    """Return the name of the method of ``uno_c``."""
    return UNO if tau is None else f"{UNO}, events before {tau:g}"


def concordance_influence(
    data: SurvivalData, score: Floats, own: Censoring | None = None, tau: float | None = None
) -> Influenced:
    """Return Harrell's C with each patient's influence, or Uno's if the censoring is given."""
    weight = np.ones(data.n)
    if own is not None:
        weight = own.survival[data.ticks[1]] ** -2 * (data.time < (np.inf if tau is None else tau))
    order = np.lexsort((data.event, -data.time))
    rank = np.unique(score, return_inverse=True)[1]
    first, later = np.zeros((data.n, 2)), np.zeros((data.n, 2))
    pair_sums(
        data.time[order], data.event[order], rank[order], weight[order], int(rank.max(initial=0)) + 1, first, later
    )
    concordant, pairs = first.sum(axis=0)
    if not pairs:
        return without_estimate("no two patients whose order is known" if data.n else "no patients")
    c = float(concordant / pairs)
    excess = np.empty((data.n, 2))
    excess[order, 0] = first[:, 0] - c * first[:, 1]
    excess[order, 1] = later[:, 0] - c * later[:, 1]
    influence = excess.sum(axis=1)
    if own is not None:
        influence -= 2 * influence_through_censoring(data, own, data.ticks[1], excess[:, 0])
    return Influenced(c, influence / pairs)


def auc_at(data: SurvivalData, risk: ArrayLike, horizon: float) -> Estimate:
    """Return the probability that a patient with the event by the horizon has a higher risk than a patient without.

    Ties count a half. Cases (event by the horizon) are weighted with 1 / G(t-), controls are followed to it (Uno H et
    al., J Am Stat Assoc 2007;102:527-537; Blanche P et al., Stat Med 2013;32:5381-5397, whose variance, with the
    estimated G, is used). Raises as ``harrell_c``.

    Args:
        data: Follow-up.
        risk: (n,) risk of the event by the horizon.
        horizon: A time in the unit of the data.

    Returns:
        The AUC with its 95 % interval.

    Raises:
        ValueError: As ``harrell_c``.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> risk = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> print(auc_at(data, risk, horizon=3))
        1.000 (1.000 to 1.000)
    """
    return with_interval(auc_influence(data, checked_score(data.n, risk), horizon), auc_method(data, horizon), data.n)


def auc_difference(data: SurvivalData, risk: ArrayLike, other: ArrayLike, horizon: float) -> Estimate:
    """Return the time-dependent AUC of ``risk`` minus that of ``other``, on the same patients (paired).

    Args:
        data: Follow-up.
        risk: (n,) risk of the event by the horizon.
        other: (n,) the other risk.
        horizon: A time in the unit of the data.

    Returns:
        The difference with its 95 % interval.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> risk = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> other = [0.4, 0.5, 0.5, 0.3, 0.2, 0.3, 0.2, 0.4, 0.3, 0.3]
        >>> print(auc_difference(data, risk, other, horizon=3))
        0.225 (-0.056 to 0.506)
    """
    both = [auc_influence(data, checked_score(data.n, score), horizon) for score in (risk, other)]
    return paired_difference(both[0], both[1], auc_method(data, horizon), data.n)


def auc_influence(data: SurvivalData, score: Floats, horizon: float) -> Influenced:
    """Return the time-dependent AUC with each patient's influence."""
    reason = why_undefined(data, horizon)
    if reason:
        return without_estimate(reason)
    own = censoring(data)
    case, control = data.event & (data.time <= horizon), free_at(data, horizon)
    weight = np.where(case, 1 / own.survival[data.ticks[1]], 0.0)
    cases, controls = weight.sum(), control.sum()
    higher = _share_below(score[control], np.ones(controls), score)  # higher than this share of the controls
    lower = 1 - _share_below(score[case], weight[case], score)  # lower than this share of the cases
    auc = float((weight * higher).sum() / cases)
    excess = weight * (higher - auc)
    influence = excess / cases + np.where(control, lower - auc, 0.0) / controls
    influence -= influence_through_censoring(data, own, data.ticks[1], excess) / cases
    return Influenced(auc, influence * small_sample(data.n))


def auc_method(data: SurvivalData, horizon: float) -> str:
    """Return the name of the method of ``auc_at``."""
    return f"{AUC} at {horizon:g} {data.unit}"


def _share_below(score: Floats, weight: Floats, at: Floats) -> Floats:
    """Return for each of ``at`` the weighted share of ``score`` below it; those equal to it count a half."""
    order = np.argsort(score)
    sums = np.concatenate([[0.0], np.cumsum(weight[order])])
    ranked = score[order]
    below, until = sums[np.searchsorted(ranked, at, side="left")], sums[np.searchsorted(ranked, at, side="right")]
    share: Floats = (below + until) / (2 * sums[-1])
    return share


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """Sensitivity and specificity if a risk of ``threshold`` or more is positive; thresholds fall."""

    threshold: Floats
    """(k,) infinity, then the risks that occur."""
    sensitivity: Floats
    specificity: Floats
    method: str
    n: int
    reason: str
    """Why there is no curve (arrays are then empty); else empty."""


def roc_at(data: SurvivalData, risk: ArrayLike, horizon: float) -> RocCurve:
    """Return the curve whose area is ``auc_at``. Raises as ``harrell_c``.

    Args:
        data: Follow-up.
        risk: (n,) risk of the event by the horizon.
        horizon: A time in the unit of the data.

    Returns:
        The curve, or why there is none.

    Raises:
        ValueError: As ``harrell_c``.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> risk = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> curve = roc_at(data, risk, horizon=3)
        >>> isinstance(curve, RocCurve), curve.sensitivity[:4].round(2)
        (True, array([0.  , 0.25, 0.5 , 0.75]))
    """
    score, reason = checked_score(data.n, risk), why_undefined(data, horizon)
    method = auc_method(data, horizon)
    if reason:
        return RocCurve(np.zeros(0), np.zeros(0), np.zeros(0), method, data.n, reason)
    own = censoring(data)
    case, control = data.event & (data.time <= horizon), free_at(data, horizon)
    weight = np.where(case, 1 / own.survival[data.ticks[1]], 0.0)
    values, index = np.unique(score, return_inverse=True)
    found, passed = (np.cumsum(np.bincount(index, weights=each)[::-1]) / each.sum() for each in (weight, 1.0 * control))
    start = np.zeros(1)
    return RocCurve(
        np.concatenate([start + np.inf, values[::-1]]),
        np.concatenate([start, found]),
        1 - np.concatenate([start, passed]),
        method,
        data.n,
        "",
    )


def delong(outcome: ArrayLike, score: ArrayLike) -> Estimate:
    """Return the AUC of a score for an outcome that is known for all patients (no censoring). Ties count a half.

    DeLong ER, DeLong DM, Clarke-Pearson DL, Biometrics 1988;44:837-845; by midranks (Sun X, Xu W, IEEE Signal Process
    Lett 2014;21:1389-1393).

    Args:
        outcome: (n,) whether the event happened.
        score: (n,) scores.

    Returns:
        The AUC with its 95 % interval.

    Raises:
        ValueError: Lengths differ, or a value is not finite.

    Example:
        >>> delong([1, 1, 0, 0], [3, 2, 2, 1]).estimate
        0.875
    """
    happened = _checked_outcome(outcome)
    return with_interval(_delong(happened, checked_score(len(happened), score)), DELONG, len(happened))


def delong_difference(outcome: ArrayLike, score: ArrayLike, other: ArrayLike) -> Estimate:
    """Return the AUC of ``score`` minus that of ``other``, on the same patients (paired).

    Args:
        outcome: (n,) whether the event happened.
        score: (n,) scores.
        other: (n,) the other scores.

    Returns:
        The difference with its 95 % interval.

    Example:
        >>> print(delong_difference([1, 1, 0, 0, 1, 0], [9, 8, 3, 2, 5, 6], [5, 8, 6, 2, 4, 1]))
        0.111 (-0.505 to 0.727)
    """
    happened = _checked_outcome(outcome)
    both = [_delong(happened, checked_score(len(happened), each)) for each in (score, other)]
    return paired_difference(both[0], both[1], DELONG, len(happened))


def _checked_outcome(outcome: ArrayLike) -> Mask:
    values = np.asarray(outcome)
    if values.ndim != 1 or not np.isin(values, (0, 1)).all():
        raise ValueError("expected a list of outcomes 0 or 1")
    return values.astype(np.bool_)


def _delong(happened: Mask, score: Floats) -> Influenced:
    m, k = int(happened.sum()), int((~happened).sum())
    if not m or not k:
        return without_estimate("all had the event" if m else "nobody had the event" if k else "no patients")
    higher = _share_below(score[~happened], np.ones(k), score[happened])
    lower = 1 - _share_below(score[happened], np.ones(m), score[~happened])
    auc = float(higher.mean())
    influence = np.zeros(len(score))
    influence[happened] = (higher - auc) / np.sqrt(m * max(m - 1, 1))  # variances with m - 1 and k - 1
    influence[~happened] = (lower - auc) / np.sqrt(k * max(k - 1, 1))
    return Influenced(auc, influence)


def p_value(apart: Estimate) -> float | None:
    """Return the two-sided p value of a difference with a normal interval, or None if the interval has no width.

    Args:
        apart: A difference with its interval.

    Returns:
        The p value, or None.

    Example:
        >>> round(p_value(Estimate(0.05, 0.01, 0.09, "difference of C", 400)), 3)
        0.014
    """
    if apart.estimate is None or apart.low is None or apart.high is None or apart.high <= apart.low:
        return None
    return float(2 * stats.norm.sf(abs(apart.estimate) * 2 * Z / (apart.high - apart.low)))
