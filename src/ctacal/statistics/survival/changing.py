"""Cox's model in which the effect of a category changes with time: with its logarithm, or at a given time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Floats, Ints
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.hypothesis import HypothesisTest, chi_square
from ctacal.statistics.survival.changing_sums import changing_derivatives
from ctacal.statistics.survival.cox_model import CoxModel, Design, NoModel, Ties, cox, ratio_estimate
from ctacal.statistics.survival.survival_data import SurvivalData

_STEPS = 50
"""Most Newton steps of a fit; a fit that converges takes 4 to 8."""

_GAIN = 1e-14
"""Gain of log-likelihood at which a fit has converged."""

_DIVERGING = 1e-3
"""Size of a last step, in standardised covariates, above which the coefficient has no finite maximum."""


@dataclass(frozen=True, slots=True, eq=False)
class ChangingEffect:
    """The fit: the log hazard ratio of group k to group 0 is ``coefficient[k - 1] + change[k - 1] g(t)``."""

    coefficient: Floats
    """(groups - 1 + p,): of the groups from 1 on, at g(t) = 0, then of the covariates."""
    change: Floats
    """(groups - 1,): for one unit of g(t)."""
    covariance: Floats
    """Covariance of coefficients and changes together, in this order."""
    log_likelihood: float
    test: HypothesisTest
    """Likelihood-ratio test against the model in which no effect changes: a test of proportional hazards."""
    split: float | None
    """g(t) is 1 after this time and 0 until then; None: g(t) is log(t)."""
    method: str
    n: int
    events: int

    def hazard_ratio(self, group: int, time: float) -> Estimate:
        """Return the hazard ratio of a group, 1 or more, against group 0 at a time above 0, with Wald's interval."""
        g = float(time > self.split) if self.split is not None else float(np.log(time))
        weights = np.zeros(len(self.covariance))
        weights[[group - 1, len(self.coefficient) + group - 1]] = 1.0, g
        log_ratio = self.coefficient[group - 1] + g * self.change[group - 1]
        error = np.sqrt(weights @ self.covariance @ weights)
        return ratio_estimate(float(log_ratio), float(error), self.method, self.n)

    def change_test(self, group: int) -> HypothesisTest:
        """Return Wald's test that the effect of a group, 1 or more, does not change."""
        place = len(self.coefficient) + group - 1
        statistic = self.change[group - 1] ** 2 / self.covariance[place, place]
        return chi_square(float(statistic), 1, "Wald test of a change with time", self.n)


def changing_effect(
    data: SurvivalData,
    group: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    split: float | None = None,
    ties: Ties = "efron",
) -> ChangingEffect | NoModel:
    """Fit h(t) = h0(t) exp(a_group + change_group g(t) + b'x), g(t) = log(t), or whether t is after ``split``.

    As R's coxph with tt(), or with episodes by survSplit (Therneau TM, Grambsch PM, Modeling survival data, 2000, 6.5).
    ``group`` (n,) holds whole numbers from 0, the reference; ``covariates`` (n, p) keep their effect. Sums are kept by
    group, so that the exact fit takes time in proportion to n, not to n times the events. Returns ``NoModel`` with the
    reason as ``cox`` does, and if an event at time 0 has no logarithm, or no event lies to one side of the split.

    Args:
        data: Follow-up.
        group: (n,) the group of each patient.
        covariates: (n, p) or (n,) covariates.
        split: Time at which the effect changes; None: it changes with log(time).
        ties: ``efron`` or ``breslow``.

    Returns:
        The fit, or why there is none.

    Raises:
        ValueError: Shapes differ, or a group is no whole number from 0.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> calcium, noise = rng.normal(size=(2, 120))
        >>> time = rng.exponential(5 / np.exp(calcium))
        >>> data = SurvivalData(np.minimum(time, 5), time < 5)
        >>> fit = changing_effect(data, calcium > 0, split=2.0)
        >>> isinstance(fit, ChangingEffect), str(fit.hazard_ratio(1, time=1.0))
        (True, '1.988 (1.122 to 3.522)')
    """
    index = _checked_group(data, group)
    groups = int(index.max(initial=0)) + 1
    flags = np.asarray(index[:, None] == np.arange(1, groups), np.float64)
    other = np.empty((data.n, 0)) if covariates is None else np.asarray(covariates, np.float64).reshape(data.n, -1)
    method = f"effect that changes with {'log(time)' if split is None else 'a split'}, {ties.capitalize()} ties"
    if reason := _impossible(data, groups, split):
        return NoModel(reason, method, data.n, data.events)
    plain = cox(data, np.hstack([flags, other]), ties=ties)
    if isinstance(plain, NoModel):
        return NoModel(plain.reason, method, data.n, data.events, plain.separated)
    return _fitted(plain, index, split, method)


def _checked_group(data: SurvivalData, group: ArrayLike) -> Ints:
    given = np.asarray(group)
    index = given.astype(np.int64)
    if index.shape != (data.n,) or (index != given).any() or (index < 0).any():
        raise ValueError(f"expected a group, a whole number from 0, for each of {data.n} patients")
    return index


def _impossible(data: SurvivalData, groups: int, split: float | None) -> str:
    if groups < 2:
        return "only one group"
    times = data.time[data.event]
    if not len(times):
        return "no events" if data.n else "no patients"
    if split is None:
        return "an event at time 0 has no logarithm" if times.min() <= 0 else ""
    if times.min() > split or times.max() <= split:
        return f"no event {'until' if times.min() > split else 'after'} {split:g} {data.unit}"
    return ""


def _fitted(plain: CoxModel, index: Ints, split: float | None, method: str) -> ChangingEffect | NoModel:
    d = plain.design
    ticks = d.ticks
    if split is None:
        g = np.log(np.where(ticks > 0, ticks, 1.0))
        middle = float(np.log(d.time[d.event]).mean())  # so that the two effects are nearly uncorrelated
    else:
        g, middle = np.asarray(ticks > split, np.float64), 0.0
    p, groups = len(plain.names), int(index.max()) + 1
    found = _maximum(d, index[d.order], g - middle, plain, groups)
    if isinstance(found, str):
        return NoModel(found, method, plain.n, plain.events, separated=True)
    estimate, information, reached = found
    scale = np.concatenate([d.scale, np.ones(groups - 1)])
    estimate, covariance = estimate / scale, np.linalg.inv(information) / np.outer(scale, scale)
    back = np.eye(len(scale))  # from g(t) less its middle to g(t)
    back[np.arange(groups - 1), p + np.arange(groups - 1)] = -middle
    estimate, covariance = back @ estimate, back @ covariance @ back.T
    test = chi_square(2 * (reached - plain.log_likelihood), groups - 1, f"likelihood-ratio test, {method}", plain.n)
    return ChangingEffect(
        estimate[:p], estimate[p:], covariance, reached, test, split, f"Cox model, {method}", plain.n, plain.events
    )


def _maximum(d: Design, group: Ints, g: Floats, plain: CoxModel, groups: int) -> tuple[Floats, Floats, float] | str:
    """Return coefficients of the standardised covariates, information and log-likelihood; or why there is none."""
    p, size = len(plain.names), len(plain.names) + groups - 1
    at = np.concatenate([plain.beta, np.zeros(groups - 1)])

    def sums(at: Floats) -> tuple[float, Floats, Floats]:
        gradient, information = np.zeros(size), np.zeros((size, size))
        efron = plain.ties == "efron"
        value = changing_derivatives(d.x, d.start, d.event, group, g, at[:p], at[p:], efron, gradient, information)
        return float(value), gradient, information

    none = "the change with time has no finite estimate: a category has events at one side only, or few"
    value, gradient, information = sums(at)
    step, gain = np.zeros(size), np.inf
    for _ in range(_STEPS):
        if np.linalg.cond(information) > 1e12:
            return none
        step = np.asarray(np.linalg.solve(information, gradient), np.float64)
        gain, share = float(gradient @ step), 1.0
        ahead = sums(at + step)
        while not ahead[0] >= value - 1e-9 * abs(value) and share > 1e-6:
            share /= 2
            ahead = sums(at + share * step)
        at, (value, gradient, information) = at + share * step, ahead
        if gain < _GAIN:
            break
    return none if (np.abs(step) > _DIVERGING).any() else (at, information, value)
