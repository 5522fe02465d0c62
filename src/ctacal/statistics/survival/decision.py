"""Decision curves: the net benefit of treating patients above a threshold of risk, with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Floats
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival.calibration import observed_risk
from ctacal.statistics.survival.influence import Influenced, paired_difference, with_interval, without_estimate
from ctacal.statistics.survival.risks import checked_risk, why_undefined
from ctacal.statistics.survival.survival_data import SurvivalData

NET_BENEFIT = "net benefit (Vickers 2008), Kaplan-Meier"


@dataclass(frozen=True, slots=True)
class DecisionPoint:
    """Net benefit at a threshold; treating nobody has net benefit 0."""

    threshold: float
    net_benefit: Estimate
    treat_all: Estimate
    share_treated: float
    """Share of patients with a risk of the threshold or more."""


def net_benefit(data: SurvivalData, risk: ArrayLike, horizon: float, threshold: float) -> Estimate:
    """Return true positives minus false positives weighted with the odds of the threshold, per patient.

    P(x) (1 - S_x) - P(x) S_x threshold / (1 - threshold), with x a risk of the threshold or more and S_x Kaplan-Meier
    at the horizon among them (Vickers AJ et al., BMC Med Inform Decis Mak 2008;8:53). Normal interval from the
    influence of each patient on P(x) and S_x, with the risks as given.

    Args:
        data: Follow-up.
        risk: (n,) risk of the event by the horizon.
        horizon: A time in the unit of the data.
        threshold: Risk from which a patient is treated, between 0 and 1.

    Returns:
        The net benefit with its 95 % interval.

    Raises:
        ValueError: A risk is no probability, or the threshold is not between 0 and 1.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> risk = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> print(net_benefit(data, risk, horizon=3, threshold=0.35))
        0.400 (0.096 to 0.704)
    """
    benefit = _benefit(data, checked_risk(data, risk), horizon, threshold)
    return _at_threshold(benefit, data, horizon, threshold)


def net_benefit_difference(
    data: SurvivalData, risk: ArrayLike, other: ArrayLike, horizon: float, threshold: float
) -> Estimate:
    """Return the net benefit of ``risk`` minus that of ``other``, on the same patients (paired).

    Args:
        data: Follow-up.
        risk: (n,) risk of the event by the horizon.
        other: (n,) the other risk.
        horizon: A time in the unit of the data.
        threshold: Risk from which a patient is treated, between 0 and 1.

    Returns:
        The difference with its 95 % interval.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> risk = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> other = [0.4, 0.5, 0.5, 0.3, 0.2, 0.3, 0.2, 0.4, 0.3, 0.3]
        >>> print(net_benefit_difference(data, risk, other, horizon=3, threshold=0.35))
        0.308 (0.057 to 0.558)
    """
    both = [_benefit(data, checked_risk(data, each), horizon, threshold) for each in (risk, other)]
    return paired_difference(both[0], both[1], _method(data, horizon, threshold), data.n)


def decision_curve(
    data: SurvivalData, risk: ArrayLike, horizon: float, thresholds: Sequence[float]
) -> tuple[DecisionPoint, ...]:
    """Return the net benefit at each threshold, beside that of treating everybody. Raises as ``net_benefit``.

    Args:
        data: Follow-up.
        risk: (n,) risk of the event by the horizon.
        horizon: A time in the unit of the data.
        thresholds: Risks from which a patient is treated, between 0 and 1.

    Returns:
        A point for each threshold.

    Raises:
        ValueError: As ``net_benefit``.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> risk = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> [point] = decision_curve(data, risk, horizon=3, thresholds=[0.35])
        >>> isinstance(point, DecisionPoint), str(point.treat_all), point.share_treated
        (True, '0.077 (-0.390 to 0.544)', 0.4)
    """
    values = checked_risk(data, risk)
    return tuple(
        DecisionPoint(
            threshold,
            _at_threshold(_benefit(data, values, horizon, threshold), data, horizon, threshold),
            treat_all,
            float((values >= threshold).mean()) if data.n else 0.0,
        )
        for threshold, treat_all in zip(thresholds, treat_everybody(data, horizon, thresholds), strict=True)
    )


def treat_everybody(data: SurvivalData, horizon: float, thresholds: Sequence[float]) -> tuple[Estimate, ...]:
    """Return the net benefit of treating everybody at each threshold."""
    if reason := why_undefined(data, horizon):
        return tuple(_at_threshold(without_estimate(reason), data, horizon, threshold) for threshold in thresholds)
    observed, found = observed_risk(data, horizon), []
    for threshold in thresholds:
        odds = _odds(threshold)
        each = observed.estimate - (1 - observed.estimate) * odds
        benefit = Influenced(each, (1 + odds) * observed.influence)
        found.append(_at_threshold(benefit, data, horizon, threshold))
    return tuple(found)


def _method(data: SurvivalData, horizon: float, threshold: float) -> str:
    return f"{NET_BENEFIT} at {horizon:g} {data.unit}, threshold {threshold:g}"


def _at_threshold(benefit: Influenced, data: SurvivalData, horizon: float, threshold: float) -> Estimate:
    return with_interval(benefit, _method(data, horizon, threshold), data.n, low=-np.inf, high=np.inf)


def _benefit(data: SurvivalData, risk: Floats, horizon: float, threshold: float) -> Influenced:
    odds = _odds(threshold)
    reason = why_undefined(data, horizon)
    if reason:
        return without_estimate(reason)
    treated = risk >= threshold
    if not treated.any():
        return Influenced(0.0, np.zeros(data.n))
    chosen = data.take(treated)
    if chosen.time.max() < horizon and not _all_had_it(chosen):
        return without_estimate(
            f"those with a risk of {threshold:g} or more are followed to {chosen.time.max():g} {data.unit} only"
        )
    share = float(treated.mean())
    observed = observed_risk(chosen, horizon)
    each = observed.estimate - (1 - observed.estimate) * odds
    influence = (treated - share) * each / data.n
    influence[treated] += share * (1 + odds) * observed.influence
    return Influenced(share * each, influence)


def _odds(threshold: float) -> float:
    if not 0 < threshold < 1:
        raise ValueError(f"a threshold must be between 0 and 1, got {threshold}")
    return threshold / (1 - threshold)


def _all_had_it(data: SurvivalData) -> bool:
    """Whether all patients followed to the last time had the event then, so that the survival ends at 0."""
    return bool(data.event[data.time == data.time.max()].all())
