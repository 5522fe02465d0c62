"""Compiled sums of reclassification: shares moved up and down, with and without the event by the horizon."""

import numpy as np
from numba import njit

from ctacal.arrays import Floats, Ints, Mask

MOVES = tuple(
    f"{kind}, {estimator}, {share}"
    for kind, estimator in (
        ("category-free", "kaplan-meier"),
        ("category-free", "ipw"),
        ("categorical", "kaplan-meier"),
        ("categorical", "ipw"),
        ("IDI", "ipw"),
    )
    for share in ("up", "down", "up without", "down without")
)
"""Names of what ``moves`` fills in: the shares moved up and down of patients with the event by the horizon, and of
those without it; for an IDI the mean rise and fall of risk in each."""


@njit(cache=True, nogil=True, error_model="numpy")
def _by_kaplan_meier(time: Floats, event: Mask, weight: Floats, move: Ints, horizon: float, out: Floats) -> None:
    """Fill ``out`` (4,) by Bayes' rule on the survival of all, of those who moved up, and of those who moved down."""
    at_risk, died, survival = np.zeros(3), np.zeros(3), np.ones(3)
    for i in range(len(time)):
        group = 1 if move[i] > 0 else 2
        at_risk[0] += weight[i]
        at_risk[group] += weight[i] if move[i] != 0 else 0.0
        if event[i] and time[i] <= horizon:
            died[0] += weight[i]
            died[group] += weight[i] if move[i] != 0 else 0.0
        if i == len(time) - 1 or time[i + 1] != time[i]:
            for k in range(3):
                if died[k] > 0.0:
                    survival[k] *= 1 - died[k] / at_risk[k]
                    died[k] = 0.0
    for k in range(2):
        share = at_risk[k + 1] / at_risk[0]
        out[k] = share * (1 - survival[k + 1]) / (1 - survival[0])
        out[2 + k] = share * survival[k + 1] / survival[0]


@njit(cache=True, nogil=True, error_model="numpy")
def censoring_weights(time: Floats, event: Mask, weight: Floats, horizon: float, case: Floats, control: Floats) -> None:
    """Fill ``case`` (n,), weight / G(t-) with the event by the horizon, and ``control`` (n,), the weight without.

    G is Kaplan-Meier of the censoring; at equal times events come before censorings. Rows are sorted by falling time.
    """
    at_risk, n, free = 0.0, len(time), 1.0
    for i in range(n):
        at_risk += weight[i]
    last = n
    while last > 0:
        first, censored, gone = last - 1, 0.0, 0.0
        while first > 0 and time[first - 1] == time[last - 1]:
            first -= 1
        for i in range(first, last):
            early = time[i] < horizon or (event[i] and time[i] == horizon)
            case[i] = weight[i] / free if early and event[i] else 0.0
            control[i] = 0.0 if early else weight[i]
            gone += weight[i]
            if not event[i]:
                censored += weight[i]
        if censored > 0.0:
            died = gone - censored
            free *= 1 - censored / (at_risk - died)
        at_risk -= gone
        last = first


@njit(cache=True, nogil=True, error_model="numpy")
def _by_weights(case: Floats, control: Floats, move: Ints, out: Floats) -> None:
    """Fill ``out`` (4,) with weighted shares."""
    cases, controls, sums = 0.0, 0.0, np.zeros(4)
    for i in range(len(case)):
        cases += case[i]
        controls += control[i]
        if move[i] > 0:
            sums[0] += case[i]
            sums[2] += control[i]
        elif move[i] < 0:
            sums[1] += case[i]
            sums[3] += control[i]
    for k in range(4):
        out[k] = sums[k] / (cases if k < 2 else controls)


@njit(cache=True, nogil=True, error_model="numpy")
def _mean_moves(old: Floats, new: Floats, case: Floats, control: Floats, out: Floats) -> None:
    """Fill ``out`` (4,) with weighted means of the rise and fall of risks."""
    cases, controls, sums = 0.0, 0.0, np.zeros(4)
    for i in range(len(case)):
        cases += case[i]
        controls += control[i]
        if case[i] > 0.0 or control[i] > 0.0:
            rise = new[i] - old[i]
            sums[0 if rise > 0 else 1] += case[i] * abs(rise)
            sums[2 if rise > 0 else 3] += control[i] * abs(rise)
    for k in range(4):
        out[k] = sums[k] / (cases if k < 2 else controls)


@njit(cache=True, nogil=True, error_model="numpy")
def _risk_class(risk: float, cutoffs: Floats) -> int:
    above = 0
    for cutoff in cutoffs:
        above += risk >= cutoff
    return above


@njit(cache=True, nogil=True, error_model="numpy")
def moves(
    time: Floats,
    event: Mask,
    weight: Floats,
    old: Floats,
    new: Floats,
    horizon: float,
    cutoffs: Floats,
    out: Floats,
) -> None:
    """Fill ``out`` in the order of ``MOVES``; NaN if all or no patients have the event.

    Rows are sorted by falling time; rows without weight are ignored. Without cut-offs the categorical shares are 0.
    """
    n = len(time)
    case, control, move = np.empty(n), np.empty(n), np.zeros(n, np.int64)
    censoring_weights(time, event, weight, horizon, case, control)
    for i in range(n):
        if weight[i] > 0.0:
            move[i] = (new[i] > old[i]) - (new[i] < old[i])
    _by_kaplan_meier(time, event, weight, move, horizon, out[0:4])
    _by_weights(case, control, move, out[4:8])
    for i in range(n):
        move[i] = 0
        if weight[i] > 0.0:
            a, b = _risk_class(old[i], cutoffs), _risk_class(new[i], cutoffs)
            move[i] = (b > a) - (b < a)
    _by_kaplan_meier(time, event, weight, move, horizon, out[8:12])
    _by_weights(case, control, move, out[12:16])
    _mean_moves(old, new, case, control, out[16:20])
