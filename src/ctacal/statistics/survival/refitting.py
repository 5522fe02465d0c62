"""Compiled fits of a Cox model to resamples: from coefficients near the maximum, to the risk of each patient."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from ctacal.arrays import Floats, Ints, Mask
from ctacal.statistics.survival.cox_model import CoxModel, score_residuals
from ctacal.statistics.survival.risk_sets import hazard_ratios, newton

_CLOSE = 1e-5
"""Gain of log-likelihood before the last step of a resample's fit, over the root of the number of events: each step
squares the distance to the maximum, so coefficients are then within some 1e-5 standard errors."""

_FEW = 0.25
"""Share of distinct rows of covariates up to which they are stored once (own choice)."""

_LOOKED_AT = 5_000
"""Number of rows that tell whether it is worth while to look for distinct rows among all."""


@dataclass(frozen=True, slots=True, eq=False)
class Covariates:
    """Covariates of patients in which each distinct row is stored once, if there are few."""

    x: Floats
    """(k, p) the distinct rows, or (n, p) all rows."""
    row: Ints
    """(n,) the row of ``x`` that belongs to each patient."""

    def ordered(self, order: Ints) -> "Covariates":
        """Return those of the patients in another order."""
        if len(self.x) < len(self.row):
            return Covariates(self.x, self.row[order])
        return Covariates(np.ascontiguousarray(self.x[order]), self.row)


def distinct_covariates(x: Floats) -> Covariates:
    """Return the covariates (n, p) of n patients, each distinct row once if most patients share theirs with others."""
    every = Covariates(x, np.arange(len(x)))
    some = _hashed(x[:: max(1, len(x) // _LOOKED_AT)])
    if len(np.unique(some)) > _FEW * len(some):
        return every
    _, first, row = np.unique(_hashed(x), return_index=True, return_inverse=True)
    found = Covariates(np.ascontiguousarray(x[first]), row)
    return found if (found.x[found.row] == x).all() else every


def _hashed(x: Floats) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Return (n,) a number for each row, the same for equal rows (FNV-1a by 64 bits, with its high bits mixed in)."""
    bits = np.ascontiguousarray(x).view(np.uint64)
    found = np.full(len(x), 0xCBF29CE484222325, np.uint64)
    for column in bits.T:
        found = (found ^ column) * np.uint64(0x100000001B3)
        found ^= found >> np.uint64(29)
    return found


def influence_on_fit(model: CoxModel) -> Floats:
    """Return (n, p), sorted: how far each patient, counted once more, moves the coefficients (to first order)."""
    moved_by: Floats = (score_residuals(model) @ model.covariance * model.design.scale)[model.design.order]
    return moved_by


@njit(cache=True, nogil=True)
def approach(beta: Floats, influence: Floats, weight: Floats) -> None:
    """Move the coefficients of all patients towards those for these weights, which saves passes."""
    for i in range(len(weight)):
        if weight[i] != 1.0:
            for j in range(len(beta)):
                beta[j] += (weight[i] - 1) * influence[i, j]


@njit(cache=True, nogil=True, error_model="numpy")
def refit(
    x: Floats,
    row: Ints,
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

    Fills ``risk`` (k,) of each row of ``x`` at the horizon, also of rows without weight; ``row`` (n,) is that of each
    patient. A covariate that is constant in the resample has no effect. A covariate that separates keeps the large
    coefficient at which the likelihood no longer grows. Without events all risks are 0. Patients are sorted by falling
    time.
    """
    p, events = len(near), 0.0
    for i in range(len(time)):
        events += weight[i] if event[i] else 0.0
    close = _CLOSE * np.sqrt(events)
    step, gradient, information, even = np.zeros(p), np.zeros(p), np.zeros((p, p)), np.ones(len(start) - 1)
    far = near.copy()
    newton(x, row, start, event, weight, even, efron, close, near, step, gradient, information, far, -np.inf)
    predictor, ratio = np.empty(len(x)), np.empty(len(x))
    hazard_ratios(x, near, predictor, ratio)
    cumulative = _hazard_until(row, start, time, event, weight, ratio, efron, horizon)
    for k in range(len(x)):
        risk[k] = 1 - np.exp(-cumulative * ratio[k])


@njit(cache=True, nogil=True, error_model="numpy")
def _hazard_until(
    row: Ints, start: Ints, time: Floats, event: Mask, weight: Floats, ratio: Floats, efron: bool, horizon: float
) -> float:
    """Return the cumulative hazard at the horizon of a patient whose hazard ratio is 1."""
    at_risk, cumulative = 0.0, 0.0
    for tick in range(len(start) - 1):
        deaths, died, dying = 0, 0.0, 0.0
        for i in range(start[tick], start[tick + 1]):
            if weight[i] == 0.0:
                continue
            hazard = weight[i] * ratio[row[i]]
            at_risk += hazard
            if event[i]:
                deaths += 1
                died += weight[i]
                dying += hazard
        if deaths == 0 or time[start[tick]] > horizon:
            continue
        steps = deaths if efron else 1
        for step in range(steps):
            left = dying * step / steps if efron else 0.0
            cumulative += died / steps / (at_risk - left)
    return cumulative
