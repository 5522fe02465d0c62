"""Compiled sums of a Cox model in which the effect of a group changes with time.

The hazard of a patient of group c is that of the covariates times exp(change_c g(t)). The sums over those at risk are
kept for each group apart, so that a new time costs a few products, however many patients are at risk.
"""

import numpy as np
from numba import njit

from ctacal.arrays import Floats, Ints, Mask


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add(row: Floats, hazard: float, first: Floats, second: Floats) -> None:
    """Add a row x to the sums of its group: of x and, last, of 1 in ``first`` (p + 1,), of x x' in ``second``."""
    p = len(row)
    first[p] += hazard
    for j in range(p):
        scaled = hazard * row[j]
        first[j] += scaled
        for k in range(j + 1):
            second[j, k] += scaled * row[k]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _moments(first: Floats, second: Floats, change: Floats, g: float, mean: Floats, square: Floats) -> float:
    """Fill sums of (x, f g) and of its square over all groups, f the flags of all groups but group 0; return that of 1.

    ``first`` (groups, p + 1) and ``second`` (groups, p, p) are the sums of the groups. ``mean`` (p + groups - 1,).
    """
    groups, p = first.shape[0], first.shape[1] - 1
    mean[:] = 0.0
    square[:] = 0.0
    total = 0.0
    for c in range(groups):
        factor = np.exp(change[c - 1] * g) if c else 1.0
        total += factor * first[c, p]
        for j in range(p):
            mean[j] += factor * first[c, j]
            for k in range(j + 1):
                square[j, k] += factor * second[c, j, k]
        if c:
            own = p + c - 1
            mean[own] = g * factor * first[c, p]
            square[own, own] = g * mean[own]
            for j in range(p):
                square[own, j] = g * factor * first[c, j]
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _leave(total: float, mean: Floats, square: Floats, weight: float, gradient: Floats, information: Floats) -> None:
    """Subtract the mean at risk from the gradient and add the covariance at risk, both times ``weight``."""
    for j in range(len(gradient)):
        own = mean[j] / total
        gradient[j] -= weight * own
        for k in range(j + 1):
            information[j, k] += weight * (square[j, k] - own * mean[k]) / total


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _gain(row: Floats, group: int, g: float, predictor: float, change: Floats, gradient: Floats) -> float:
    """Add the covariates of a patient with the event to the gradient; return its part of the log-likelihood."""
    p = len(row)
    for j in range(p):
        gradient[j] += row[j]
    if group == 0:
        return predictor
    gradient[p + group - 1] += g
    return predictor + float(change[group - 1]) * g


@njit(cache=True, nogil=True, error_model="numpy")
def changing_derivatives(
    x: Floats,
    start: Ints,
    event: Mask,
    group: Ints,
    g: Floats,
    beta: Floats,
    change: Floats,
    efron: bool,
    gradient: Floats,
    information: Floats,
) -> float:
    """Return the log partial likelihood; fill its gradient (p + groups - 1,) and minus its second derivatives.

    ``g`` (ticks,) is the function of time, ``change`` (groups - 1,) the effects of the groups per unit of it. Rows are
    sorted by falling time, ``start`` as in ``risk_sets``.
    """
    p, groups = x.shape[1], len(change) + 1
    size = p + groups - 1
    first, second = np.zeros((groups, p + 1)), np.zeros((groups, p, p))
    dying_first, dying_second = np.zeros((groups, p + 1)), np.zeros((groups, p, p))
    mean, square = np.zeros(size), np.zeros((size, size))
    gradient[:] = 0.0
    information[:] = 0.0
    total = 0.0
    for tick in range(len(start) - 1):
        deaths = 0
        for i in range(start[tick], start[tick + 1]):
            predictor, c = np.dot(x[i], beta), group[i]
            hazard = np.exp(predictor)
            _add(x[i], hazard, first[c], second[c])
            if event[i]:
                deaths += 1
                total += _gain(x[i], c, g[tick], predictor, change, gradient)
                if efron:
                    _add(x[i], hazard, dying_first[c], dying_second[c])
        for death in range(deaths):
            share = death / deaths if efron else 0.0
            at_risk = _moments(
                first - share * dying_first, second - share * dying_second, change, g[tick], mean, square
            )
            total -= np.log(at_risk)
            _leave(at_risk, mean, square, 1.0, gradient, information)
        if deaths:
            dying_first[:] = 0.0
            dying_second[:] = 0.0
    for j in range(size):
        information[:j, j] = information[j, :j]
    return total
