"""Compiled measures of risks in patients who have weights, as in a resample: C-index, AUC, Brier score, slope."""

import numpy as np
from numba import njit

from ctacal.arrays import Floats, Ints, Mask
from ctacal.statistics.survival.concordance import concordance, ranks_of
from ctacal.statistics.survival.movement import censoring_weights
from ctacal.statistics.survival.risk_sets import newton

_CLOSE = 1e-6
"""Gain of log-likelihood before the last step of the fit of a slope, over the root of the number of events: as in
``refitting``, the slope is then exact to some 1e-6 standard errors."""


@njit(cache=True, nogil=True, error_model="numpy")
def _auc(case: Floats, control: Floats, rank: Ints, ranks: int) -> float:
    """Return the weighted share of pairs in which the case has the higher rank; ties count a half."""
    cases, controls = np.zeros(ranks), np.zeros(ranks)
    for i in range(len(case)):
        cases[rank[i]] += case[i]
        controls[rank[i]] += control[i]
    lower, won = 0.0, 0.0
    for k in range(ranks):
        won += cases[k] * (lower + controls[k] / 2)
        lower += controls[k]
    return float(won / (cases.sum() * lower))


@njit(cache=True, nogil=True, error_model="numpy")
def _brier(case: Floats, control: Floats, weight: Floats, risk: Floats) -> float:
    """Return the Brier score. G at the horizon follows from the weights, since 1 / G weights sum to all patients."""
    n, cases, controls, lost, kept = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(case)):
        n += weight[i]
        cases += case[i]
        controls += control[i]
        lost += case[i] * (1 - risk[i]) ** 2
        kept += control[i] * risk[i] ** 2
    return (lost + kept * (n - cases) / controls) / n


@njit(cache=True, nogil=True, error_model="numpy")
def slope(start: Ints, event: Mask, weight: Floats, log_hazard: Floats, efron: bool) -> float:
    """Return the Cox coefficient of a log hazard ratio over the whole follow-up; 0 without information."""
    beta, step, gradient, information = np.ones(1), np.zeros(1), np.zeros(1), np.zeros((1, 1))
    x, even = np.ascontiguousarray(log_hazard).reshape(-1, 1), np.ones(len(start) - 1)
    rows, close = np.arange(len(event)), _CLOSE * np.sqrt((weight * event).sum())
    newton(x, rows, start, event, weight, even, efron, close, beta, step, gradient, information, beta.copy(), -np.inf)
    return float(beta[0])


def ranked(risk: Floats) -> tuple[Ints, int]:
    """Return (n,) the rank of each risk from 0, equal for equal risks, and the number of ranks."""
    rank = np.empty(len(risk), np.int64)
    return rank, ranks_of(risk, np.argsort(risk), rank)


@njit(cache=True, nogil=True, error_model="numpy")
def measure(
    time: Floats, event: Mask, weight: Floats, risk: Floats, rank: Ints, ranks: int, horizon: float, out: Floats
) -> None:
    """Fill the first three of ``out``: Harrell's C, AUC and Brier score; NaN if all or no patients have the event.

    Rows are sorted by falling time; ``rank`` (n,) of the risk and their number ``ranks`` are those of ``ranked``.
    """
    n = len(time)
    case, control = np.empty(n), np.empty(n)
    censoring_weights(time, event, weight, horizon, case, control)
    out[0] = concordance(time, event, weight, rank, ranks)
    out[1] = _auc(case, control, rank, ranks)
    out[2] = _brier(case, control, weight, risk)
