"""Cox's model with a baseline hazard of its own in each stratum, such as a centre."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from ctacal.arrays import Floats, Ints, Mask
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.hypothesis import HypothesisTest, chi_square
from ctacal.statistics.survival.cox_model import NoModel, Ties, checked_covariates, first_of_each, ratio_estimate
from ctacal.statistics.survival.risk_sets import derivatives, solve, standardise
from ctacal.statistics.survival.survival_data import SurvivalData

_STEPS = 50
"""Most Newton steps of a fit; a fit that converges takes 4 to 8."""

_GAIN = 1e-12
"""Gain of log-likelihood at which a fit has converged: coefficients are then within 1e-6 standard errors before the
last step, and exact to rounding after it."""

_DIVERGING = 1e-3
"""Size of a last step, in standardised covariates, above which the coefficient has no finite maximum."""


@dataclass(frozen=True, slots=True, eq=False)
class StratifiedModel:
    """A fitted model; arrays are in the order of ``names``."""

    names: tuple[str, ...]
    coefficient: Floats
    """(p,) log hazard ratios for one unit of a covariate, the same in all strata."""
    error: Floats
    p: Floats
    """(p,) two-sided p values of Wald's test."""
    covariance: Floats
    log_likelihood: float
    log_likelihood_null: float
    likelihood_ratio: HypothesisTest
    method: str
    n: int
    events: int
    strata: int
    """Number of strata with an event."""

    def hazard_ratio(self, name: str) -> Estimate:
        """Return the hazard ratio for one unit of a covariate, with Wald's interval."""
        place = self.names.index(name)
        return ratio_estimate(float(self.coefficient[place]), float(self.error[place]), self.method, self.n)


@dataclass(frozen=True, slots=True, eq=False)
class _Stratum:
    """The patients of one stratum, sorted by falling time, as the sums of ``risk_sets`` need them."""

    x: Floats
    start: Ints
    event: Mask


def stratified_cox(
    data: SurvivalData,
    covariates: ArrayLike,
    strata: ArrayLike,
    names: Sequence[str] | None = None,
    *,
    ties: Ties = "efron",
) -> StratifiedModel | NoModel:
    """Fit h(t | x, stratum) = h_stratum(t) exp(b'x), as R's coxph with strata().

    Patients are compared within their stratum only, so that strata may differ in their risk in any way (Kalbfleisch JD,
    Prentice RL, The statistical analysis of failure time data, 2nd ed. 2002, 4.4). ``covariates`` (n, p) or (n,),
    ``strata`` (n,) any labels. Returns ``NoModel`` with the reason as ``cox`` does.

    Args:
        data: Follow-up.
        covariates: (n, p) or (n,) covariates.
        strata: (n,) any labels, such as centres.
        names: Names of the covariates.
        ties: ``efron`` or ``breslow``.

    Returns:
        The model, or why there is none.

    Raises:
        ValueError: Shapes differ, or a covariate is not finite.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> calcium = [5.1, 2.0, 6.2, 0.0, 4.0, 1.5, 0.0, 3.1, 5.5, 2.2]
        >>> model = stratified_cox(data, calcium, ["A", "B"] * 5, ["calcium"])
        >>> isinstance(model, StratifiedModel), str(model.hazard_ratio("calcium"))
        (True, '2.457 (0.664 to 9.097)')
    """
    x, labels = checked_covariates(data, covariates, names)
    group = np.unique(np.asarray(strata), return_inverse=True)[1].ravel()
    if len(group) != data.n:
        raise ValueError(f"expected a stratum for each of {data.n} patients, got {len(group)}")
    method = f"stratified Cox model, {ties.capitalize()} ties"
    centre, scale = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    standardised = np.empty(x.shape)
    standardise(x, np.arange(data.n), np.ones(data.n), centre, scale, standardised)
    parts = [_stratum(data.take(group == one), standardised[group == one]) for one in np.unique(group)]
    parts = [part for part in parts if part.event.any()]  # without an event a stratum says nothing
    if not parts:
        return NoModel("no events" if data.n else "no patients", method, data.n, 0)
    found = _maximum(parts, ties == "efron", labels)
    if isinstance(found, str):
        return NoModel(found, method, data.n, data.events)
    beta, information, reached, null = found
    covariance = np.linalg.inv(information) / np.outer(scale, scale)
    coefficient, error = beta / scale, np.sqrt(np.diag(covariance))
    p = 2 * special.ndtr(-np.abs(coefficient / error))
    test = chi_square(2 * (reached - null), len(labels), "likelihood-ratio test", data.n)
    return StratifiedModel(
        labels, coefficient, error, p, covariance, reached, null, test, method, data.n, data.events, len(parts)
    )


def _stratum(data: SurvivalData, x: Floats) -> _Stratum:
    order = np.argsort(-data.time, kind="stable")
    return _Stratum(np.ascontiguousarray(x[order]), first_of_each(data.time[order]), data.event[order])


def _sums(parts: Sequence[_Stratum], beta: Floats, efron: bool) -> tuple[float, Floats, Floats]:
    """Return log-likelihood, gradient and information, summed over the strata."""
    p = len(beta)
    total, gradient, information = 0.0, np.zeros(p), np.zeros((p, p))
    for part in parts:
        own, square = np.zeros(p), np.zeros((p, p))
        even, once, rows = np.ones(len(part.start) - 1), np.ones(len(part.x)), np.arange(len(part.x))
        total += derivatives(part.x, rows, part.start, part.event, once, even, beta, efron, own, square)
        gradient += own
        information += square
    return total, gradient, information


def _maximum(
    parts: Sequence[_Stratum], efron: bool, names: tuple[str, ...]
) -> tuple[Floats, Floats, float, float] | str:
    """Return coefficients, information, log-likelihood there and at 0; or why there is no maximum."""
    p, events = len(names), float(sum(part.event.sum() for part in parts))
    beta, step = np.zeros(p), np.zeros(p)
    total, gradient, information = _sums(parts, beta, efron)
    null, gain = total, np.inf
    if solve(information, gradient, events, step) < p:
        return f"{', '.join(names)}: a covariate does not differ within the strata, or depends on the others"
    for _ in range(_STEPS):
        if solve(information, gradient, events, step) < p:
            break  # information is lost on the way to an infinite coefficient
        gain, size = float(gradient @ step), 1.0
        ahead = _sums(parts, beta + step, efron)
        while not ahead[0] >= total - 1e-9 * abs(total) and size > 1e-6:
            size /= 2
            ahead = _sums(parts, beta + size * step, efron)
        beta, (total, gradient, information) = beta + size * step, ahead
        if gain < _GAIN:
            break
    far = [name for name, own in zip(names, step, strict=True) if abs(own) > _DIVERGING]
    if far or gain >= _GAIN:
        return f"{', '.join(far or names)}: no finite coefficient, patients with events and the others are separated"
    return beta, information, total, null
