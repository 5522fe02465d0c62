"""Test of proportional hazards: the exact score test, and Schoenfeld residuals."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from ctacal.arrays import Floats
from ctacal.statistics.hypothesis import HypothesisTest, chi_square, undefined
from ctacal.statistics.survival.cox_model import CoxModel, steps
from ctacal.statistics.survival.risk_sets import derivatives
from ctacal.statistics.survival.survival_curve import kaplan_meier

_ROUNDING = 1e-12
"""Share of the information below which the remainder is rounding."""

Transform = Literal["km", "rank", "identity", "log"]


@dataclass(frozen=True, slots=True, eq=False)
class ProportionalHazards:
    """A test of each covariate, a test of all together, and the residuals to draw."""

    names: tuple[str, ...]
    tests: tuple[HypothesisTest, ...]
    overall: HypothesisTest
    transform: Transform
    times: Floats
    """(events,) rising."""
    transformed: Floats
    """(events,) g(time)."""
    residuals: Floats
    """(events, p) scaled Schoenfeld residuals plus the coefficient: their trend over g(time) is that of log HR."""


def schoenfeld_test(model: CoxModel, transform: Transform = "km") -> ProportionalHazards:
    """Test theta = 0 by the score test in log HR(t) = b + theta g(t), with the exact information.

    As R's cox.zph since survival 3.0 (Grambsch PM, Therneau TM, Biometrika 1994;81:515-526). g is 1 - Kaplan-Meier just
    before t ("km"), the mean rank among all times of follow-up, t, or log t. The older approximation, which other
    packages print, can reverse a conclusion.

    Args:
        model: A fitted model.
        transform: ``km``, ``rank``, ``identity`` or ``log``.

    Returns:
        A test of each covariate, and of all.

    Example:
        >>> from ctacal.statistics.survival import SurvivalData, cox
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> calcium = [5.1, 2.0, 6.2, 0.0, 4.0, 1.5, 0.0, 3.1, 5.5, 2.2]
        >>> model = cox(data, calcium, ["calcium"])
        >>> transform: Transform = "km"
        >>> found = schoenfeld_test(model, transform)
        >>> isinstance(found, ProportionalHazards), str(found.overall)
        (True, 'chi-square 0.90 (1 df), p = 0.34')
    """
    event_times = np.sort(model.data.time[_died(model)])
    g = _transformed(model, event_times, transform)
    residuals = _scaled_residuals(model)
    if g is None or not np.ptp(g) > 0:
        reason = "an event at time 0 has no logarithm" if g is None else "all events happened at one time"
        missing = undefined(_method(transform), model.n, reason)
        flat = np.zeros(len(event_times))
        return ProportionalHazards(
            model.names, (missing,) * len(model.names), missing, transform, event_times, flat, residuals
        )
    tests, overall = _score_tests(model, event_times, g - g.mean(), transform)
    return ProportionalHazards(model.names, tests, overall, transform, event_times, g, residuals)


def _method(transform: Transform) -> str:
    return f"score test of proportional hazards, g(t): {transform}"


def _died(model: CoxModel) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return (n,) whether each patient has an event and a weight, in the order of the data."""
    died = np.empty(model.n, np.bool_)
    died[model.design.order] = model.design.event & (model.design.weight > 0)
    return died


def _transformed(model: CoxModel, event_times: Floats, transform: Transform) -> Floats | None:
    if transform == "log":
        return np.log(event_times) if event_times[0] > 0 else None
    if transform == "rank":
        followed = np.sort(model.data.time)
        ranks = stats.rankdata(followed)
        return np.asarray(ranks[np.searchsorted(followed, event_times)], np.float64)
    if transform == "identity":
        return event_times
    curve = kaplan_meier(model.data)
    before = np.concatenate([[1.0], curve.survival])[np.searchsorted(curve.times, event_times, side="left")]
    return np.asarray(1 - before, np.float64)


def _score_tests(
    model: CoxModel, event_times: Floats, g: Floats, transform: Transform
) -> tuple[tuple[HypothesisTest, ...], HypothesisTest]:
    p = len(model.names)
    _, plain = _derivatives(model, event_times, np.ones_like(g))
    score, cross = _derivatives(model, event_times, g)
    _, own = _derivatives(model, event_times, g**2)
    left = own - cross @ np.linalg.solve(plain, cross)  # information on theta once the coefficients are known
    method = _method(transform)
    testable = np.diag(left) > _ROUNDING * np.diag(own)
    missing = undefined(method, model.n, "too few event times to detect a change of its effect")
    single = tuple(
        chi_square(score[j] ** 2 / left[j, j], 1, method, model.n) if testable[j] else missing for j in range(p)
    )
    if np.linalg.matrix_rank(left, tol=_ROUNDING * np.trace(own), hermitian=True) < p:
        return single, undefined(method, model.n, "too few event times to detect a change of all effects")
    return single, chi_square(float(score @ np.linalg.solve(left, score)), p, method, model.n)


def _derivatives(model: CoxModel, event_times: Floats, emphasis: Floats) -> tuple[Floats, Floats]:
    """Return gradient (p,) and information (p, p) at the fit, each event time multiplied by its emphasis (events,)."""
    d, p = model.design, len(model.names)
    at = np.minimum(np.searchsorted(event_times, d.ticks), len(event_times) - 1)  # ticks without events add nothing
    gradient, information = np.zeros(p), np.zeros((p, p))
    efron = model.ties == "efron"
    derivatives(d.x, d.rows, d.start, d.event, d.weight, emphasis[at], model.beta, efron, gradient, information)
    return gradient, information


def _scaled_residuals(model: CoxModel) -> Floats:
    """Return (events, p): deaths x (x - mean at risk) V, plus the coefficients; by rising time."""
    d, own = model.design, steps(model)
    dead = np.flatnonzero(d.event & (d.weight > 0))
    dead = dead[np.lexsort((d.order[dead], d.time[dead]))]
    residual = (d.x[dead] - own.death_mean[np.searchsorted(own.times, d.time[dead])]) * d.scale
    scaled: Floats = len(dead) * residual @ model.covariance + model.coefficient
    return scaled
