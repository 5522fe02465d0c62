"""Compiled fits of a Cox model to resamples: from coefficients near the maximum, to the risk of each patient."""

import numpy as np
from numba import njit

from ctacal.arrays import Floats, Ints, Mask
from ctacal.statistics.survival.cox_model import CoxModel, score_residuals
from ctacal.statistics.survival.risk_sets import hazard_ratios, newton

_CLOSE = 1e-4
"""Gain of log-likelihood before the last step of a resample's fit: coefficients are within 1e-5 standard errors."""


def influence_on_fit(model: CoxModel) -> Floats:
    """Return (n, p), sorted: how far each patient, counted once more, moves the coefficients (to first order)."""
    moved_by: Floats = (score_residuals(model) @ model.covariance * model.design.scale)[model.design.order]
    return moved_by


@njit(cache=True, nogil=True)
def approach(beta: Floats, influence: Floats, weight: Floats) -> None:
    """Move the coefficients of all patients towards those for these weights, which saves two passes in five."""
    for i in range(len(weight)):
        if weight[i] != 1.0:
            for j in range(len(beta)):
                beta[j] += (weight[i] - 1) * influence[i, j]


@njit(cache=True, nogil=True, error_model="numpy")
def refit(
    x: Floats,
    start: Ints,
    time: Floats,
    event: Mask,
    weight: Floats,
    efron: bool,
    near: Floats,
    horizon: float,
    risk: Floats,
) -> None:
    """Fit with these weights, starting from the coefficients ``near``, which become those of the fit.

    Fills ``risk`` (n,) at the horizon, also of rows without weight. A covariate that is constant in the resample has no
    effect. A covariate that separates keeps the large coefficient at which the likelihood no longer grows. Without
    events all risks are 0. Rows are sorted by falling time.
    """
    n = len(time)
    p = len(near)
    step, gradient, information = np.zeros(p), np.zeros(p), np.zeros((p, p))
    newton(
        x,
        start,
        event,
        weight,
        np.ones(len(start) - 1),
        efron,
        _CLOSE,
        near,
        step,
        gradient,
        information,
        near.copy(),
        -np.inf,
    )
    predictor, hazard = np.zeros(n), np.empty(n)
    hazard_ratios(x, weight, near, predictor, hazard)
    cumulative = _hazard_until(start, time, event, weight, hazard, efron, horizon)
    for i in range(n):
        if weight[i] == 0.0:
            for j in range(p):
                predictor[i] += x[i, j] * near[j]
        risk[i] = 1 - np.exp(-cumulative * np.exp(predictor[i]))


@njit(cache=True, nogil=True, error_model="numpy")
def _hazard_until(
    start: Ints, time: Floats, event: Mask, weight: Floats, hazard: Floats, efron: bool, horizon: float
) -> float:
    """Return the cumulative hazard at the horizon of a patient whose hazard ratio is 1."""
    at_risk, cumulative = 0.0, 0.0
    for tick in range(len(start) - 1):
        deaths, died, dying = 0, 0.0, 0.0
        for i in range(start[tick], start[tick + 1]):
            at_risk += hazard[i]
            if event[i] and weight[i] > 0.0:
                deaths += 1
                died += weight[i]
                dying += hazard[i]
        if deaths == 0 or time[start[tick]] > horizon:
            continue
        steps = deaths if efron else 1
        for step in range(steps):
            left = dying * step / steps if efron else 0.0
            cumulative += died / steps / (at_risk - left)
    return cumulative
