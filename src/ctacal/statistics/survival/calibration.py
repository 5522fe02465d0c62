"""Calibration and accuracy of risks: Brier score, index of prediction accuracy, observed / expected, calibration."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from ctacal.arrays import Floats
from ctacal.statistics.estimate import Estimate, Z
from ctacal.statistics.survival.censoring import censoring, influence_through_censoring
from ctacal.statistics.survival.cox_model import NoModel, cox
from ctacal.statistics.survival.influence import (
    Influenced,
    paired_difference,
    small_sample,
    with_interval,
    without_estimate,
)
from ctacal.statistics.survival.risks import checked_risk, free_at, why_undefined
from ctacal.statistics.survival.survival_curve import kaplan_meier, last_known_risk, life_table
from ctacal.statistics.survival.survival_data import SurvivalData

BRIER = "Brier score, inverse probability of censoring weights"
ACCURACY = "index of prediction accuracy, 1 - Brier score / that of Kaplan-Meier"
EXPECTED = "observed (Kaplan-Meier) / expected (mean risk), interval on the log scale"
INTERCEPT = "calibration intercept: shift of the log cumulative hazard that makes the mean risk Kaplan-Meier's"
SLOPE = "calibration slope: Cox coefficient of log(-log(1 - risk)), follow-up ended at the horizon"


@dataclass(frozen=True, slots=True)
class CalibrationGroup:
    """A group of patients with similar risks: the predicted and the observed risk."""

    lowest: float
    """Lowest risk in the group."""
    highest: float
    n: int
    predicted: float
    """Mean risk."""
    observed: Estimate
    """1 - Kaplan-Meier at the horizon."""


def brier_score(data: SurvivalData, risk: ArrayLike, horizon: float) -> Estimate:
    """Return the mean of (event by the horizon - risk)^2, weighted for the patients whose outcome is not known.

    (1 - risk)^2 / G(t-) if the event is at t, risk^2 / G(horizon-) if followed to the horizon without it, else 0; over
    n (Graf E et al., Stat Med 1999;18:2529-2545; Gerds TA, Schumacher M, Biom J 2006;48:1029-1040). The interval allows
    for the estimation of G; as R's riskRegression.

    Args:
        data: Follow-up.
        risk: (n,) risk of the event by the horizon.
        horizon: A time in the unit of the data.

    Returns:
        The score with its 95 % interval.

    Raises:
        ValueError: A risk is no probability.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> risk = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> print(brier_score(data, risk, horizon=3))
        0.118 (0.050 to 0.187)
    """
    return with_interval(brier_influence(data, checked_risk(data, risk), horizon), brier_method(data, horizon), data.n)


def brier_difference(data: SurvivalData, risk: ArrayLike, other: ArrayLike, horizon: float) -> Estimate:
    """Return the Brier score of ``risk`` minus that of ``other``, on the same patients (paired): below 0 is better.

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
        >>> print(brier_difference(data, risk, other, horizon=3))
        -0.091 (-0.151 to -0.031)
    """
    both = [brier_influence(data, checked_risk(data, each), horizon) for each in (risk, other)]
    return paired_difference(both[0], both[1], brier_method(data, horizon), data.n)


def brier_method(data: SurvivalData, horizon: float) -> str:
    """Return the name of the method of ``brier_score``."""
    return f"{BRIER} at {horizon:g} {data.unit}"


def prediction_accuracy(data: SurvivalData, risk: ArrayLike, horizon: float) -> Estimate:
    """Return 1 - Brier score / Brier score of the Kaplan-Meier risk, which is the same for all patients.

    1 is perfect, 0 no better than the average (Kattan MW, Gerds TA, Diagn Progn Res 2018;2:7). The interval is from the
    influence of each patient on the ratio.

    Args:
        data: Follow-up.
        risk: (n,) risk of the event by the horizon.
        horizon: A time in the unit of the data.

    Returns:
        The share with its 95 % interval.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> risk = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> print(prediction_accuracy(data, risk, horizon=3))
        0.507 (0.301 to 0.713)
    """
    return accuracy_of(data, brier_influence(data, checked_risk(data, risk), horizon), horizon)


def accuracy_of(data: SurvivalData, own: Influenced, horizon: float) -> Estimate:
    """Return ``prediction_accuracy`` from the Brier score of a risk."""
    method = f"{ACCURACY}, at {horizon:g} {data.unit}"
    if own.reason:
        return with_interval(own, method, data.n)
    null = null_brier(data, horizon)
    ratio = own.estimate / null.estimate
    influence = -(own.influence - ratio * null.influence) / null.estimate
    return with_interval(Influenced(1 - ratio, influence), method, data.n, low=-np.inf)


def null_brier(data: SurvivalData, horizon: float) -> Influenced:
    """Return the Brier score of the Kaplan-Meier risk.

    The estimation of that risk adds nothing to the variance, since the score has its minimum there.
    """
    reason = why_undefined(data, horizon)
    return (
        without_estimate(reason)
        if reason
        else brier_influence(data, np.full(data.n, last_known_risk(data, horizon)), horizon)
    )


def brier_influence(data: SurvivalData, risk: Floats, horizon: float) -> Influenced:
    """Return the Brier score with each patient's influence."""
    reason = why_undefined(data, horizon)
    if reason:
        return without_estimate(reason)
    own = censoring(data)
    case, control = data.event & (data.time <= horizon), free_at(data, horizon)
    ticks = np.minimum(data.ticks[1], own.ticks_before(np.array(horizon)))
    loss = np.where(case, (1 - risk) ** 2, np.where(control, risk**2, 0.0))
    weighted = np.divide(loss, own.survival[ticks], out=np.zeros(data.n), where=loss > 0)
    brier = float(weighted.mean())
    influence = weighted - brier - influence_through_censoring(data, own, ticks, weighted)
    return Influenced(brier, influence / data.n * small_sample(data.n))


def observed_risk(data: SurvivalData, horizon: float) -> Influenced:
    """Return 1 - Kaplan-Meier at the horizon with each patient's influence (squares sum to Greenwood's variance)."""
    times, at_risk, events, _ = life_table(data)
    counted = int(np.searchsorted(times, horizon, side="right"))
    staying = at_risk - events
    growth = np.divide(events, at_risk * staying, out=np.zeros_like(staying), where=staying > 0)[:counted]
    until = np.concatenate([[0.0], np.cumsum(growth)])
    own = data.ticks[1]
    happened = data.event & (own < counted)
    gain = until[np.minimum(np.where(data.event, own, own + 1), counted)]
    gain[happened] -= 1 / at_risk[own[happened]]
    observed = last_known_risk(data, horizon)
    return Influenced(observed, -(1 - observed) * gain)


def observed_expected(data: SurvivalData, risk: ArrayLike, horizon: float) -> Estimate:
    """Return (1 - Kaplan-Meier at the horizon) / mean risk: calibration in the large.

    1 is ideal; above 1 the risks are too low. McLernon DJ et al., Ann Intern Med 2023;176:105-114. Raises as
    ``brier_score``.

    Args:
        data: Follow-up.
        risk: (n,) risk of the event by the horizon.
        horizon: A time in the unit of the data.

    Returns:
        The ratio with its 95 % interval.

    Raises:
        ValueError: As ``brier_score``.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> risk = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> print(observed_expected(data, risk, horizon=3))
        1.111 (0.663 to 1.862)
    """
    values, method = checked_risk(data, risk), f"{EXPECTED}, at {horizon:g} {data.unit}"
    reason = why_undefined(data, horizon)
    if reason or not values.any():
        return Estimate(None, None, None, method, data.n, reason or "all risks are 0")
    observed = observed_risk(data, horizon)
    ratio = observed.estimate / values.mean()
    influence = observed.influence / observed.estimate - (values / values.mean() - 1) / data.n
    half = Z * np.sqrt((influence**2).sum())
    return Estimate(float(ratio), float(ratio * np.exp(-half)), float(ratio * np.exp(half)), method, data.n)


def calibration_intercept(data: SurvivalData, risk: ArrayLike, horizon: float) -> Estimate:
    """Return a such that the mean of 1 - exp(-exp(a + log(-log(1 - risk)))) is 1 - Kaplan-Meier at the horizon.

    0 is ideal; above 0 the risks are too low. This is the moment form of the regression on the complementary log-log
    scale with the risk as offset (McLernon DJ et al., Ann Intern Med 2023;176:105-114). Raises as ``brier_score``.

    Args:
        data: Follow-up.
        risk: (n,) risk of the event by the horizon.
        horizon: A time in the unit of the data.

    Returns:
        The intercept with its 95 % interval.

    Raises:
        ValueError: As ``brier_score``.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> risk = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> print(calibration_intercept(data, risk, horizon=3))
        0.150 (-0.618 to 0.919)
    """
    values, method = checked_risk(data, risk), f"{INTERCEPT}, at {horizon:g} {data.unit}"
    reason = why_undefined(data, horizon)
    reason = reason or _no_log_log(values)
    if reason:
        return Estimate(None, None, None, method, data.n, reason)
    observed, hazard = observed_risk(data, horizon), -np.log1p(-values)
    if observed.estimate == 1:
        return Estimate(None, None, None, method, data.n, "all at risk had the event by the horizon")

    def excess(shift: float) -> float:
        return float((1 - np.exp(-np.exp(shift) * hazard)).mean() - observed.estimate)

    shift = float(optimize.brentq(excess, -50, 50, xtol=1e-13))
    shifted = np.exp(shift) * hazard
    recalibrated, growth = 1 - np.exp(-shifted), (shifted * np.exp(-shifted)).mean()
    influence = (observed.influence - (recalibrated - recalibrated.mean()) / data.n) / growth
    return with_interval(Influenced(shift, influence), method, data.n, low=-np.inf, high=np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class Recalibration:
    """Risks fitted to the patients at hand: log(-log(1 - new)) = intercept + slope log(-log(1 - risk))."""

    intercept: float
    slope: Estimate
    risk: Floats
    """(n,) the recalibrated risks."""


def recalibrate(data: SurvivalData, risk: ArrayLike, horizon: float) -> Recalibration | str:
    """Return the risks with level and spread fitted to these patients, or why they cannot be.

    The slope is ``calibration_slope``; the intercept then makes the mean risk that of Kaplan-Meier, as
    ``calibration_intercept`` does (van Houwelingen HC, Stat Med 2000;19:3401-3415). The order of the patients, and with
    it C and AUC, does not change. Raises as ``brier_score``.

    Args:
        data: Follow-up.
        risk: (n,) risk of the event by the horizon.
        horizon: A time in the unit of the data.

    Returns:
        The new risks, or why there are none.

    Raises:
        ValueError: As ``brier_score``.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> risk = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> found = recalibrate(data, risk, horizon=3)
        >>> isinstance(found, Recalibration), found.risk[:3].round(2)
        (True, array([1.  , 0.13, 1.  ]))
    """
    values = checked_risk(data, risk)
    slope = calibration_slope(data, values, horizon)
    if slope.estimate is None:
        return slope.reason
    if slope.estimate <= 0:
        return "higher risks did not mean more events, so that recalibration does not help"
    log_hazard = slope.estimate * np.log(-np.log1p(-values))
    level = calibration_intercept(data, -np.expm1(-np.exp(log_hazard)), horizon)
    if level.estimate is None:
        return level.reason
    return Recalibration(level.estimate, slope, -np.expm1(-np.exp(level.estimate + log_hazard)))


def calibration_slope(data: SurvivalData, risk: ArrayLike, horizon: float) -> Estimate:
    """Return the coefficient of log(-log(1 - risk)) in a Cox model of follow-up to the horizon, with Wald's interval.

    1 is ideal; below 1 the risks are too extreme (van Houwelingen HC, Stat Med 2000;19:3401-3415). Raises as
    ``brier_score``.

    Args:
        data: Follow-up.
        risk: (n,) risk of the event by the horizon.
        horizon: A time in the unit of the data.

    Returns:
        The slope with its 95 % interval.

    Raises:
        ValueError: As ``brier_score``.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> risk = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> print(calibration_slope(data, risk, horizon=3))
        5.444 (0.075 to 10.813)
    """
    values, method = checked_risk(data, risk), f"{SLOPE}, at {horizon:g} {data.unit}"
    ended = SurvivalData(np.minimum(data.time, horizon), data.event & (data.time <= horizon), data.unit)
    reason = (
        _no_log_log(values) if ended.events else f"no event by {horizon:g} {data.unit}" if data.n else "no patients"
    )
    if reason:
        return Estimate(None, None, None, method, data.n, reason)
    model = cox(ended, np.log(-np.log1p(-values)), ["the risk"])
    if isinstance(model, NoModel):
        return Estimate(None, None, None, method, data.n, model.reason)
    slope, half = float(model.coefficient[0]), Z * float(model.error[0])
    return Estimate(slope, slope - half, slope + half, method, data.n)


def _no_log_log(risk: Floats) -> str:
    extreme = int(((risk <= 0) | (risk >= 1)).sum())
    return f"{extreme} patients have a risk of exactly 0 or 1, which has no log(-log)" if extreme else ""


def calibration_groups(
    data: SurvivalData, risk: ArrayLike, horizon: float, groups: int = 10
) -> tuple[CalibrationGroup, ...]:
    """Return predicted and observed risk in groups of about equal size by rising risk, equal risks together.

    Groups that ties leave empty are omitted. Raises as ``brier_score``, and for fewer than 1 group.

    Args:
        data: Follow-up.
        risk: (n,) risk of the event by the horizon.
        horizon: A time in the unit of the data.
        groups: Number of groups.

    Returns:
        The groups, by rising risk.

    Raises:
        ValueError: As ``brier_score``, or there is fewer than 1 group.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> risk = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> low, high = calibration_groups(data, risk, horizon=3, groups=2)
        >>> isinstance(high, CalibrationGroup), round(high.predicted, 2), round(high.observed.estimate, 2)
        (True, 0.55, 1.0)
    """
    if groups < 1:
        raise ValueError(f"expected 1 group or more, got {groups}")
    values = checked_risk(data, risk)
    if not data.n:
        return ()
    inner = np.quantile(values, np.arange(1, groups) / groups)
    place = np.searchsorted(inner, values, side="left")
    return tuple(_group(data.take(place == group), values[place == group], horizon) for group in np.unique(place))


def _group(data: SurvivalData, risk: Floats, horizon: float) -> CalibrationGroup:
    s = kaplan_meier(data).at(horizon)
    method = f"1 - {s.method} at {horizon:g} {data.unit}"
    ends = [None if end is None else 1 - end for end in (s.estimate, s.high, s.low)]
    observed = Estimate(ends[0], ends[1], ends[2], method, s.n, s.reason)
    return CalibrationGroup(float(risk.min()), float(risk.max()), data.n, float(risk.mean()), observed)
