"""Compiled sums of reclassification: shares moved up and down, with and without the event by the horizon."""

from collections.abc import Sequence

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
    at_risk, died, survival = np.zeros(3), np.zeros(3), np.ones(3)  # moved down, not at all, up
    alive = 1.0
    for i in range(len(time)):
        at_risk[move[i] + 1] += weight[i]
        if event[i] and time[i] <= horizon:
            died[move[i] + 1] += weight[i]
        if i == len(time) - 1 or time[i + 1] != time[i]:
            if died.sum() > 0.0:
                alive *= 1 - died.sum() / at_risk.sum()
            for k in range(3):
                if died[k] > 0.0:
                    survival[k] *= 1 - died[k] / at_risk[k]
                    died[k] = 0.0
    for k, group in enumerate((2, 0)):
        share = at_risk[group] / at_risk.sum()
        out[k] = share * (1 - survival[group]) / (1 - alive)
        out[2 + k] = share * survival[group] / alive


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
    cases, controls = np.zeros(3), np.zeros(3)
    for i in range(len(case)):
        cases[move[i] + 1] += case[i]
        controls[move[i] + 1] += control[i]
    for k, group in enumerate((2, 0)):
        out[k] = cases[group] / cases.sum()
        out[2 + k] = controls[group] / controls.sum()


@njit(cache=True, nogil=True, error_model="numpy")
def _mean_moves(old: Floats, new: Floats, case: Floats, control: Floats, out: Floats) -> None:
    """Fill ``out`` (4,) with weighted means of the rise and fall of risks."""
    cases, controls = 0.0, 0.0
    for k in range(4):
        out[k] = 0.0
    for i in range(len(case)):
        cases += case[i]
        controls += control[i]
        up, down = max(new[i] - old[i], 0.0), max(old[i] - new[i], 0.0)
        out[0] += case[i] * up
        out[1] += case[i] * down
        out[2] += control[i] * up
        out[3] += control[i] * down
    for k in range(4):
        out[k] /= cases if k < 2 else controls


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
    case: Floats,
    control: Floats,
    old: Floats,
    new: Floats,
    horizon: float,
    cutoffs: Floats,
    out: Floats,
) -> None:
    """Fill ``out`` in the order of ``MOVES``; NaN if all or no patients have the event.

    Rows are sorted by falling time; rows without weight count nothing. ``case`` and ``control`` are those of
    ``censoring_weights``. Without cut-offs the categorical shares are 0.
    """
    n = len(time)
    move, crossed = np.empty(n, np.int64), np.empty(n, np.int64)
    for i in range(n):
        move[i] = int(new[i] > old[i]) - int(new[i] < old[i])
        a, b = _risk_class(old[i], cutoffs), _risk_class(new[i], cutoffs)
        crossed[i] = int(b > a) - int(b < a)
    _by_kaplan_meier(time, event, weight, move, horizon, out[0:4])
    _by_weights(case, control, move, out[4:8])
    _by_kaplan_meier(time, event, weight, crossed, horizon, out[8:12])
    _by_weights(case, control, crossed, out[12:16])
    _mean_moves(old, new, case, control, out[16:20])


def all_moves(
    time: Floats, event: Mask, weight: Floats, old: Floats, new: Sequence[Floats], horizon: float, cutoffs: Floats
) -> Floats:
    """Return (len(new), moves) for each new risk (n,) against the old one. Rows are sorted by falling time."""
    case, control, out = np.empty(len(time)), np.empty(len(time)), np.zeros((len(new), len(MOVES)))
    censoring_weights(time, event, weight, horizon, case, control)
    for own, values in zip(new, out, strict=True):
        moves(time, event, weight, case, control, old, own, horizon, cutoffs, values)
    return out
