"""E-values: how strong an unmeasured confounder would have to be to explain a hazard ratio away."""

from dataclasses import dataclass
from math import sqrt

from ctacal.statistics.estimate import Estimate


@dataclass(frozen=True, slots=True)
class EValue:
    """The risk ratio that a confounder needs with exposure and outcome alike, beyond what was adjusted for."""

    estimate: float | None
    """To move the estimate to 1; None if there is none."""
    limit: float | None
    """To move the end of the interval nearer 1 to 1; it is 1 if the interval holds 1 already."""
    common: bool
    reason: str = ""
    """Why there is none; else empty."""


def e_value(ratio: Estimate, *, common: bool) -> EValue:
    """Return the E-value of a hazard ratio (VanderWeele TJ, Ding P, Ann Intern Med 2017;167:268-274).

    ``common``: more than some 15 % have the event by the end of follow-up. The hazard ratio is then turned into a risk
    ratio, (1 - 0.5^sqrt(HR)) / (1 - 0.5^sqrt(1 / HR)); otherwise it is taken for one.

    Args:
        ratio: A hazard ratio with its interval.
        common: Whether more than some 15 % have the event by the end of follow-up.

    Returns:
        The E-value, of the estimate and of its interval.

    Example:
        >>> found = e_value(Estimate(2.0, 1.5, 2.7, "Cox model", 100), common=True)
        >>> isinstance(found, EValue), round(found.limit, 2)
        (True, 1.98)
        >>> e_value(Estimate(2.0, 1.5, 2.7, "Cox model", 100), common=False).estimate
        3.414213562373095
    """
    if ratio.estimate is None:
        return EValue(None, None, common, ratio.reason)
    limit = None
    if ratio.low is not None and ratio.high is not None:
        nearer = max(ratio.low, 1.0) if ratio.estimate >= 1 else min(ratio.high, 1.0)
        limit = _needed(_risk_ratio(nearer, common))
    return EValue(_needed(_risk_ratio(ratio.estimate, common)), limit, common)


def _risk_ratio(hazard_ratio: float, common: bool) -> float:
    """Return the risk ratio, or its inverse if it is below 1."""
    value = max(hazard_ratio, 1 / hazard_ratio)
    return float((1 - 0.5 ** sqrt(value)) / (1 - 0.5 ** sqrt(1 / value))) if common else value


def _needed(risk_ratio: float) -> float:
    return risk_ratio + sqrt(risk_ratio * (risk_ratio - 1))
