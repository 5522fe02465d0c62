"""Competing risks: cumulative incidence (Aalen-Johansen) and the Fine-Gray model of the subdistribution hazard.

Each patient has a cause: 0 for censored, 1 for the event of interest, any other number for a competing event.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ctacal.arrays import Floats, Ints
from ctacal.statistics.estimate import Estimate, Z
from ctacal.statistics.survival.cox_model import NoModel

METHOD = "Fine-Gray model, robust interval"

ITERATIONS = 50
"""Most iterations of a fit."""

SEPARATED = 10.0
"""Log hazard ratio per standard deviation beyond which a covariate is taken to separate the patients (own choice)."""


@dataclass(frozen=True, slots=True)
class CumulativeIncidence:
    """The share of patients with the event of interest by a time, if other events compete: a step function."""

    times: Floats
    """(k,): times of events of any cause, rising; the first is 0."""
    incidence: Floats
    """(k,): incidence from each of ``times`` to the next."""
    variance: Floats
    """(k,): by Aalen O, Ann Stat 1978;6:534-545, as in R's cmprsk."""
    n: int
    events: int
    """Number of events of interest."""

    def at(self, time: ArrayLike) -> Floats:
        """Return the incidence at times of any shape."""
        return self.incidence[self._step(time)]

    def interval(self, time: ArrayLike) -> tuple[Floats, Floats]:
        """Return the ends of the 95 % interval, from the scale of log(-log(1 - incidence)); 0 before the first event.

        Source: Choudhury JB, Stat Med 2002;21:1129-1144.
        """
        step = self._step(time)
        share, error = self.incidence[step], np.sqrt(self.variance[step])
        inner = (share > 0) & (share < 1)
        survival = np.where(inner, 1 - share, 0.5)
        width = np.where(inner, Z * error / (survival * -np.log(survival)), 0.0)
        low, high = 1 - survival ** np.exp(-width), 1 - survival ** np.exp(width)
        return np.where(inner, low, share), np.where(inner, high, share)

    def _step(self, time: ArrayLike) -> Ints:
        return np.asarray(np.searchsorted(self.times, np.asarray(time, np.float64), side="right") - 1, np.int64)


def cumulative_incidence(time: ArrayLike, cause: ArrayLike) -> CumulativeIncidence:
    """Return the incidence of cause 1 from times (n,) >= 0 in any unit and causes (n,).

    F(t) = sum over s <= t of S(s-) d1(s) / n(s), S the Kaplan-Meier survival free of any event (Aalen-Johansen).

    Args:
        time: (n,) times from the scan.
        cause: (n,) 0 if follow-up ended, 1 for the event of interest, other numbers for others.

    Returns:
        The step function.

    Raises:
        ValueError: The two differ in length, or a time is not a number of 0 or more.

    Example:
        >>> time, cause = [1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6], [1, 0, 1, 2, 1, 2, 0, 1]
        >>> curve = cumulative_incidence(time, cause)
        >>> isinstance(curve, CumulativeIncidence), curve.at([1, 2, 4]).round(3)
        (True, array([0.125, 0.25 , 0.406]))
    """
    t, c = checked_causes(time, cause)
    moments, first = np.unique(t, return_inverse=True)
    any_event: Floats = np.bincount(first, weights=c > 0, minlength=len(moments)).astype(np.float64)
    wanted: Floats = np.bincount(first, weights=c == 1, minlength=len(moments)).astype(np.float64)
    at_risk = np.cumsum(np.bincount(first, minlength=len(moments))[::-1])[::-1].astype(np.float64)
    kept = any_event > 0
    moments, any_event, wanted, at_risk = moments[kept], any_event[kept], wanted[kept], at_risk[kept]
    before = np.concatenate([[1.0], np.cumprod(1 - any_event / at_risk)])[:-1]
    incidence = np.cumsum(before * wanted / at_risk)
    variance = _aalen_variance(incidence, before, wanted, any_event, at_risk)
    zero = np.zeros(1)
    return CumulativeIncidence(
        np.concatenate([zero, moments]), np.concatenate([zero, incidence]), np.concatenate([zero, variance]),
        len(t), int((c == 1).sum()),
    )  # fmt: skip


def _aalen_variance(incidence: Floats, before: Floats, wanted: Floats, any_event: Floats, at_risk: Floats) -> Floats:
    """Return at each step the sum over s of (F(t) - F(s))^2 a + b - 2 (F(t) - F(s)) c, from running sums.

    a = d / ((n-1)(n-d)), b = S^2 d1 (n-d1) / (n^2 (n-1)), c = S d1 (n-d1) / (n (n-d)(n-1)). The last patient at
    risk adds nothing, since n-1 or n-d is 0.
    """
    some_left = (at_risk > 1) & (at_risk > any_event)
    n = np.where(some_left, at_risk, 3.0)
    d, d1 = np.where(some_left, any_event, 0.0), np.where(some_left, wanted, 0.0)
    a = d / ((n - 1) * (n - d))
    b = np.where(at_risk > 1, before**2 * wanted * (at_risk - wanted) / (at_risk**2 * np.maximum(at_risk - 1, 1)), 0.0)
    c = before * d1 * (n - d1) / (n * (n - d) * (n - 1))
    f = incidence
    whole = f**2 * np.cumsum(a) - 2 * f * np.cumsum(a * f + c) + np.cumsum(a * f**2 + b + 2 * c * f)
    return np.asarray(np.maximum(whole, 0.0), np.float64)


@dataclass(frozen=True, slots=True)
class FineGray:
    """A fitted model of the subdistribution hazard of cause 1."""

    names: tuple[str, ...]
    coefficients: Floats
    """(p,): log subdistribution hazard ratios."""
    covariance: Floats
    """(p, p): robust, allowing for the estimation of the censoring distribution (Fine and Gray 1999, section 5)."""
    log_likelihood: float
    """Log partial likelihood."""
    method: str
    n: int
    events: int
    competing: int

    @property
    def standard_errors(self) -> Floats:
        """Standard errors of the coefficients (p,)."""
        return np.asarray(np.sqrt(np.diag(self.covariance)), np.float64)

    def hazard_ratio(self, place: int) -> Estimate:
        """Return the subdistribution hazard ratio for one unit of a covariate, exp(coefficient)."""
        middle, half = self.coefficients[place], Z * self.standard_errors[place]
        low, estimate, high = (float(end) for end in np.exp([middle - half, middle, middle + half]))
        return Estimate(estimate, low, high, f"subdistribution hazard ratio, {self.method}", self.n)

    @property
    def p_values(self) -> Floats:
        """Two-sided p values of Wald's test (p,)."""
        return np.asarray(2 * stats.norm.sf(np.abs(self.coefficients / self.standard_errors)))


def fine_gray(
    time: ArrayLike, cause: ArrayLike, covariates: ArrayLike, names: Sequence[str] | None = None
) -> FineGray | NoModel:
    """Fit the model to times (n,), causes (n,) and covariates (n, p), ties by Breslow, as R's cmprsk.

    Patients with a competing event stay at risk with the weight G(t-) / G(T-), G the Kaplan-Meier survival of not
    being censored. Fine JP, Gray RJ, J Am Stat Assoc 1999;94:496-509. Without events of interest, or if a
    covariate does not vary, covariates are collinear, or they separate, return ``NoModel`` with the reason.

    Args:
        time: (n,) times from the scan.
        cause: (n,) 0 if follow-up ended, 1 for the event of interest, other numbers for others.
        covariates: (n, p) or (n,) covariates.
        names: Names of the covariates.

    Returns:
        The model, or why there is none.

    Raises:
        ValueError: Shapes differ, or a value is not finite.

    Example:
        >>> time, cause = [1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6], [1, 0, 1, 2, 1, 2, 0, 1]
        >>> model = fine_gray(time, cause, [[5.1], [2.0], [6.2], [0.0], [4.0], [1.5], [0.0], [3.1]], ["calcium"])
        >>> isinstance(model, FineGray), str(model.hazard_ratio(0))
        (True, '4.332 (2.110 to 8.892)')
    """
    t, c = checked_causes(time, cause)
    x = np.asarray(covariates, np.float64)
    if x.ndim != 2 or len(x) != len(t) or not np.isfinite(x).all():
        raise ValueError(f"covariates must be finite, ({len(t)}, p); got shape {x.shape}")
    labels = tuple(names) if names is not None else tuple(f"x{j + 1}" for j in range(x.shape[1]))
    scale, counts = x.std(axis=0), (len(t), int((c == 1).sum()), int(((c != 0) & (c != 1)).sum()))
    if reason := _no_model_reason(x, scale, labels, counts[1]):
        return NoModel(reason, METHOD, *counts[:2])
    risk = _SubdistributionRisk(t, c, (x - x.mean(axis=0)) / scale)
    beta, slope, reason = _newton(risk)
    if reason:
        return NoModel(reason, METHOD, *counts[:2])
    inverse = np.linalg.inv(slope.information)
    influence = risk.influence(beta)
    covariance = inverse @ (influence.T @ influence) @ inverse / np.outer(scale, scale)
    return FineGray(labels, beta / scale, covariance, slope.log_likelihood, METHOD, *counts)


def _no_model_reason(x: Floats, scale: Floats, names: Sequence[str], events: int) -> str:
    if not events:
        return "no event of interest"
    if not len(names):
        return "no covariates"
    constant = np.flatnonzero(scale <= 1e-12 * np.maximum(1, np.abs(x).max(axis=0)))
    return f"{names[constant[0]]} is the same in all patients" if constant.size else ""


@dataclass(frozen=True, slots=True)
class _Slope:
    log_likelihood: float
    score: Floats
    information: Floats


class _SubdistributionRisk:
    """The partial likelihood of patients sorted by time, from running sums in O(n p) memory and time."""

    def __init__(self, time: Floats, cause: Ints, x: Floats) -> None:
        order = np.argsort(time, kind="stable")
        self.x, self.order = x[order], order
        t, c = time[order], cause[order]
        self.is_event, self.is_competing, self.is_censored = c == 1, (c != 0) & (c != 1), c == 0
        self.moments, self.place, counts = np.unique(t, return_inverse=True, return_counts=True)
        self.first = np.concatenate([[0], np.cumsum(counts)[:-1]])  # index of the first patient of each moment
        self.at_risk = (len(t) - self.first).astype(np.float64)
        self.deaths = self._by_moment(self.is_event.astype(np.float64))
        self.censored = self._by_moment(self.is_censored.astype(np.float64))
        self.free = np.concatenate([[1.0], np.cumprod(1 - self.censored / self.at_risk)])[:-1]  # G(t-)
        self.heavier = np.where(self.is_competing, 1 / self.free[self.place], 0.0)

    def _by_moment(self, values: Floats) -> Floats:
        return np.add.reduceat(values, self.first, axis=0)

    def _at_risk_sum(self, values: Floats) -> Floats:
        """Return the weighted sum of (n,) or (n, p) values over those at risk at each moment."""
        moments = self._by_moment(values)
        later = np.cumsum(moments[::-1], axis=0)[::-1]
        gone = self._gone_before(values)
        return later + (self.free * gone.T).T

    def _gone_before(self, values: Floats) -> Floats:
        """Return the sum of values / G(T-) over those with a competing event before each moment."""
        moments = self._by_moment((self.heavier * values.T).T)
        return np.asarray(np.cumsum(moments, axis=0) - moments)

    def _exposure(self, steps: Floats) -> Floats:
        """Return for each patient the weighted sum of steps (moments,) or (moments, p) over the moments at risk."""
        until = np.cumsum(steps, axis=0)
        weighted = np.cumsum((self.free * steps.T).T[::-1], axis=0)[::-1]
        after = np.concatenate([weighted[1:], np.zeros_like(weighted[:1])])
        return np.asarray(until[self.place] + (self.heavier * after[self.place].T).T)

    def _parts(self, beta: Floats) -> tuple[Floats, Floats, Floats]:
        """Return relative risks (n,), hazard steps (moments,) and mean covariates at risk (moments, p)."""
        risk = np.exp(self.x @ beta)
        total = self._at_risk_sum(risk)
        mean = self._at_risk_sum(risk[:, None] * self.x) / total[:, None]
        return risk, self.deaths / total, mean

    def at(self, beta: Floats) -> _Slope:
        risk, hazard, mean = self._parts(beta)
        died = self.deaths > 0
        likelihood = float((self.x[self.is_event] @ beta).sum())
        likelihood += float((self.deaths[died] * np.log(hazard[died] / self.deaths[died])).sum())
        score = self.x[self.is_event].sum(axis=0) - self.deaths @ mean
        weighted = risk * self._exposure(hazard)
        information = (weighted * self.x.T) @ self.x - (self.deaths * mean.T) @ mean
        return _Slope(likelihood, score, information)

    def influence(self, beta: Floats) -> Floats:
        """Return (n, p): Fine and Gray's eta + psi, the influence through the score and through the censoring."""
        risk, hazard, mean = self._parts(beta)
        eta = np.where(self.is_event[:, None], self.x - mean[self.place], 0.0)
        eta -= risk[:, None] * (self.x * self._exposure(hazard)[:, None] - self._exposure(hazard[:, None] * mean))
        ratio = self._censoring_ratio(risk, hazard, mean) / self.at_risk[:, None]
        hazard_of_censoring = (self.censored / self.at_risk)[:, None]
        psi = np.where(self.is_censored[:, None], ratio[self.place], 0.0)
        psi -= np.cumsum(ratio * hazard_of_censoring, axis=0)[self.place]
        return eta + psi

    def _censoring_ratio(self, risk: Floats, hazard: Floats, mean: Floats) -> Floats:
        """Return (moments, p): q(u), the effect of a censoring at u on the weights of earlier competing events."""
        steps = (self.free * hazard)[:, None]
        later = [np.cumsum(values[::-1], axis=0)[::-1] for values in (steps, steps * mean)]
        gone = self._gone_before(risk)[:, None]
        return self._gone_before(risk[:, None] * self.x) * later[0] - gone * later[1]


def _newton(risk: _SubdistributionRisk) -> tuple[Floats, _Slope, str]:
    """Return coefficients of the standardised covariates, the likelihood there, and why there is no maximum."""
    beta = np.zeros(risk.x.shape[1])
    current = risk.at(beta)
    for _ in range(ITERATIONS):
        if np.linalg.cond(current.information) > 1e12:
            break
        step = np.linalg.solve(current.information, current.score)
        following = risk.at(beta + step)
        while not following.log_likelihood >= current.log_likelihood - 1e-9 and np.abs(step).max() > 1e-12:
            step = step / 2
            following = risk.at(beta + step)
        beta, current = beta + step, following
        if np.abs(beta).max() > SEPARATED:
            break
        if np.abs(step).max() < 1e-9:
            return beta, current, ""
    return beta, current, "covariates are collinear, or separate the patients with the event from those without"


def checked_causes(time: ArrayLike, cause: ArrayLike) -> tuple[Floats, Ints]:
    """Return times (n,) and causes (n,); raise ``ValueError`` as ``cumulative_incidence``."""
    t, c = np.asarray(time, np.float64).ravel(), np.asarray(cause).ravel()
    if len(t) != len(c):
        raise ValueError(f"expected a cause for each of {len(t)} times, got {len(c)}")
    if not len(t):
        raise ValueError("no patients")
    if not (np.isfinite(t) & (t >= 0)).all():
        raise ValueError("times must be finite numbers of 0 or more")
    whole = c.astype(np.int64)
    if not (whole == c).all() or (whole < 0).any():
        raise ValueError("causes must be whole numbers of 0 or more")
    return t, whole
