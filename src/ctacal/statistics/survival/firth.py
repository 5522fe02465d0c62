"""Cox's model with Firth's penalty: finite hazard ratios where a category has no events.

If no patient of a category has the event, its hazard ratio has no finite maximum-likelihood estimate (monotone
likelihood). Firth's penalised likelihood, log L + log|I| / 2, always has a maximum, and removes most of the bias of
small samples. Its intervals and tests are those of the profile: Wald's are wrong here, because it is skewed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from ctacal.arrays import Floats, Mask
from ctacal.statistics.estimate import Estimate, Z
from ctacal.statistics.hypothesis import HypothesisTest, chi_square
from ctacal.statistics.survival.cox_model import Design, NoModel, Ties, checked_covariates, sort_by_time
from ctacal.statistics.survival.penalty import skewness_at_risk
from ctacal.statistics.survival.risk_sets import derivatives, solve
from ctacal.statistics.survival.survival_data import SurvivalData

_STEPS = 500
"""Most steps of a fit; most take 5 to 20."""

_PRECISION = 1e-9
"""Size of the last step, in standard deviations of the covariates."""

_LONGEST = 0.5
"""Longest step, in standard deviations of the covariates (as in coxphf)."""

LARGE, FEW_EVENTS = 20_000, 50
"""Patients from which on a profile, which takes some 50 fits, is computed only for flags with few events: the
likelihood of other coefficients is then so nearly quadratic that Wald's interval is the same (own choice)."""

_REACH = 60.0
"""Wald's standard errors to each side within which the ends of an interval are sought."""


TEST = "penalised likelihood-ratio test"


@dataclass(frozen=True, slots=True, eq=False)
class FirthModel:
    """A fitted model; arrays are in the order of ``names``."""

    names: tuple[str, ...]
    coefficient: Floats
    """(p,) log hazard ratios for one unit of a covariate."""
    error: Floats
    """(p,) from the inverse of the information; the intervals are not made from it."""
    profiled: Mask
    """(p,) whether interval and test are those of the profile; in large cohorts others have Wald's."""
    penalised_log_likelihood: float
    """With the information of the standardised covariates."""
    method: str
    n: int
    events: int
    ties: Ties
    design: Design
    beta: Floats
    """(p,) coefficients of the standardised covariates."""
    remark: str = ""
    """Why this model and not the plain one."""
    sparse: frozenset[str] = frozenset()
    """Names of covariates for which the plain model has no finite coefficient."""
    found: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    """Profiles that were computed, by the place of the coefficient."""

    def place(self, name: str) -> int:
        """Return the index of a covariate; raise ``ValueError`` if none has that name."""
        if name not in self.names:
            raise ValueError(f"the model has no covariate {name!r}, only {', '.join(self.names)}")
        return self.names.index(name)

    def hazard_ratio(self, name: str) -> Estimate:
        """Return the hazard ratio for one unit of a covariate, with the interval of the profile, or Wald's."""
        low, high, _ = self._profile(self.place(name))
        middle, method = float(np.exp(self.coefficient[self.place(name)])), f"hazard ratio, {self.method}"
        if not np.isfinite([low, high]).all():
            return Estimate(middle, None, None, method, self.n, "the profile of the penalised likelihood has no end")
        return Estimate(middle, float(np.exp(low)), float(np.exp(high)), method, self.n)

    def interval(self, name: str) -> tuple[float, float]:
        """Return the ends of the interval of a coefficient; infinite if the profile does not fall far enough."""
        low, high, _ = self._profile(self.place(name))
        return low, high

    def single_test(self, name: str) -> HypothesisTest:
        """Return the penalised likelihood-ratio test of one coefficient."""
        _, _, statistic = self._profile(self.place(name))
        return chi_square(statistic, 1, TEST, self.n)

    def _profile(self, j: int) -> tuple[float, float, float]:
        """Return both ends of the interval of a coefficient, and the chi-square of its test."""
        if not self.profiled[j]:
            middle, half = float(self.coefficient[j]), Z * float(self.error[j])
            return middle - half, middle + half, (middle / float(self.error[j])) ** 2
        if j not in self.found:
            fit = _Fit(self.design, self.ties)
            low, high, statistic = fit.profile(j, self.beta, self.penalised_log_likelihood)
            scale = float(self.design.scale[j])
            self.found[j] = low / scale, high / scale, statistic
        return self.found[j]

    def test(self, names: Sequence[str]) -> HypothesisTest:
        """Test that these coefficients are 0 by the penalised likelihood ratio (Heinze and Schemper 2001)."""
        free = np.array([name not in names for name in self.names])
        fit = _Fit(self.design, self.ties)
        start = np.where(free, self.beta, 0.0)
        value = fit.maximise(start, free)[1] if np.isfinite(start).all() else -np.inf
        statistic = 2 * (self.penalised_log_likelihood - value)
        return chi_square(statistic, int((~free).sum()), TEST, self.n)


def firth_cox(
    data: SurvivalData, covariates: ArrayLike, names: Sequence[str] | None = None, *, ties: Ties = "efron"
) -> FirthModel | NoModel:
    """Fit Cox's model with Firth's penalty, with profile intervals and penalised likelihood-ratio tests.

    Firth D, Biometrika 1993;80:27-38; Heinze G, Schemper M, Biometrics 2001;57:114-119. ``covariates`` (n, p) or (n,).
    Without events, or if a covariate is constant or a combination of others, return ``NoModel`` with the reason. Raises
    ``ValueError`` if shapes differ or a value is not finite.

    Args:
        data: Follow-up.
        covariates: (n, p) or (n,) covariates.
        names: Names of the covariates.
        ties: ``efron`` or ``breslow``.

    Returns:
        The model, or why there is none.

    Raises:
        ValueError: Shapes differ, or a value is not finite.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> model = firth_cox(data, [1, 0, 1, 0, 1, 1, 0, 0, 1, 0], ["all events"])
        >>> isinstance(model, FirthModel), round(float(model.coefficient[0]), 2)
        (True, 2.92)
    """
    x, labels = checked_covariates(data, covariates, names)
    design = sort_by_time(data, x, np.ones(data.n))
    method = f"Firth's penalised Cox model, {ties.capitalize()} ties"
    fit, everything = _Fit(design, ties), np.ones(len(labels), np.bool_)
    if not data.events:
        return NoModel("no events" if data.n else "no patients", method, data.n, 0)
    if fit.rank(np.zeros(len(labels))) < len(labels):
        reason = f"{', '.join(labels)}: a covariate does not vary, or depends on the others"
        return NoModel(reason, method, data.n, data.events)
    beta, value = fit.maximise(np.zeros(len(labels)), everything)
    if not np.isfinite(value):
        return NoModel("the penalised likelihood has no maximum that was found", method, data.n, data.events)
    scale = design.scale
    error = np.sqrt(np.diag(np.linalg.inv(fit.at(beta)[2]))) / scale
    return FirthModel(
        labels, beta / scale, error, _profiled(data, x), value, method, data.n, data.events, ties, design, beta
    )  # fmt: skip


def _profiled(data: SurvivalData, x: Floats) -> Mask:
    """Return (p,): all coefficients, or in a large cohort those of flags with few events at one of their two values."""
    if data.n <= LARGE:
        return np.ones(x.shape[1], np.bool_)
    flags = np.array([len(np.unique(column)) == 2 for column in x.T])
    died = np.array(
        [min((data.event & (column == end)).sum() for end in (column.min(), column.max())) for column in x.T]
    )
    return np.asarray(flags & (died < FEW_EVENTS))


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """The penalised likelihood of standardised covariates."""

    design: Design
    ties: Ties

    def at(self, beta: Floats) -> tuple[float, Floats, Floats]:
        """Return the penalised log-likelihood (-inf beyond reach), its gradient, and the information (p, p)."""
        d, p = self.design, len(beta)
        gradient, information = np.zeros(p), np.zeros((p, p))
        even, efron = np.ones(len(d.start) - 1), self.ties == "efron"
        value = derivatives(d.x, d.rows, d.start, d.event, d.weight, even, beta, efron, gradient, information)
        try:
            root = np.linalg.cholesky(information)
        except np.linalg.LinAlgError:
            return -np.inf, gradient, information
        base = np.linalg.solve(root, d.x.T).T  # in which the information is the identity
        hazard = d.weight * np.exp(d.x @ beta)
        slope = root @ skewness_at_risk(np.ascontiguousarray(base), d.start, d.event, hazard, efron)
        return float(value + np.log(np.diag(root)).sum()), gradient + slope / 2, information

    def rank(self, beta: Floats) -> int:
        """Return how many covariates carry information of their own."""
        d, p = self.design, len(beta)
        gradient, information = np.zeros(p), np.zeros((p, p))
        derivatives(
            d.x,
            d.rows,
            d.start,
            d.event,
            d.weight,
            np.ones(len(d.start) - 1),
            beta,
            self.ties == "efron",
            gradient,
            information,
        )
        return int(solve(information, gradient, float(d.event.sum()), np.zeros(p)))

    def maximise(self, start: Floats, free: Mask) -> tuple[Floats, float]:
        """Return the coefficients that maximise the likelihood over those that are free, and the value there.

        Quasi-Newton steps (BFGS), which begin with the information: it lacks the curvature of the penalty.
        """
        beta = start.copy()
        value, gradient, information = self.at(beta)
        curvature = information[np.ix_(free, free)]
        for _ in range(_STEPS if free.any() and np.isfinite(value) else 0):
            step = np.zeros_like(beta)
            step[free] = np.linalg.solve(curvature, gradient[free])
            step *= min(1.0, _LONGEST / max(float(np.abs(step).max()), 1e-300))
            ahead = self.at(beta + step)
            while not ahead[0] >= value - 1e-10 * abs(value) and np.abs(step).max() > _PRECISION:
                step /= 2
                ahead = self.at(beta + step)
            curvature = _updated(curvature, step[free], (gradient - ahead[1])[free])
            beta, (value, gradient, _) = beta + step, ahead
            if np.abs(step).max() < _PRECISION:
                break
        return beta, value

    def profile(self, j: int, beta: Floats, value: float) -> tuple[float, float, float]:
        """Return the ends of the profile interval of a coefficient, and the chi-square of the test that it is 0."""
        covariance = np.asarray(np.linalg.inv(self.at(beta)[2]), np.float64)
        profile = _Profile(self, j, beta, value, covariance)
        return profile.end(-1), profile.end(1), profile.root(-float(beta[j])) ** 2


def _updated(curvature: Floats, step: Floats, change: Floats) -> Floats:
    """Return the curvature updated by the change of the gradient along a step (BFGS), if it stays positive."""
    along = curvature @ step
    if not (step @ change > 1e-10 * (step @ along) > 0):
        return curvature
    updated: Floats = curvature + np.outer(change, change) / (step @ change) - np.outer(along, along) / (step @ along)
    return updated


@dataclass(frozen=True, slots=True, eq=False)
class _Profile:
    """The likelihood of one coefficient, maximised over the others."""

    fit: _Fit
    place: int
    beta: Floats
    value: float
    covariance: Floats

    def root(self, away: float) -> float:
        """Return the root of twice the loss of likelihood at this distance from the maximum; almost linear in it."""
        free = np.ones(len(self.beta), np.bool_)
        free[self.place] = False
        along = self.covariance[:, self.place] / self.covariance[self.place, self.place]
        value = self.fit.maximise(self.beta + away * along, free)[1]
        return float(np.sqrt(max(2 * (self.value - value), 0.0)))

    def end(self, side: int) -> float:
        """Return the end of the interval to one side, where the loss reaches the quantile of chi-square."""
        error = float(np.sqrt(self.covariance[self.place, self.place]))
        inner, outer = 0.0, Z * error
        while self.root(side * outer) < Z:
            inner, outer = outer, 1.5 * outer
            if outer > _REACH * error:
                return side * np.inf
        found = optimize.brentq(lambda away: self.root(side * away) - Z, inner, outer, xtol=1e-9 * error, rtol=1e-10)
        return float(self.beta[self.place] + side * found)
