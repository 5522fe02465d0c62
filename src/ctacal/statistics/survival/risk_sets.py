"""Compiled sums of the Cox model over risk sets: likelihood, its derivatives, and the steps of the hazard.

Rows are sorted by falling time, and ``start`` holds the row at which each distinct time (tick) begins. All rows up to
the end of a tick are at risk at that time, so the sums over a risk set grow from tick to tick. Second moments need no
such sum: each patient adds x x' times hazard ratio times the cumulative hazard up to the patient's time, in one product
of matrices. ``x`` may hold each distinct row of covariates once; ``row`` (n,) then says which is that of each patient.
"""

import numpy as np
from numba import njit

from ctacal.arrays import Floats, Ints, Mask

_DEPENDENT = 1e-10
"""Share of a covariate's information: if less remains beside the other covariates, it is a combination of them."""

EMPTY = 1e-12
"""Information per weighted event below which there is none (covariates have standard deviation 1)."""

_CHUNK = 512
"""Number of rows in one product of matrices, so that they stay in the cache."""


@njit(cache=True, nogil=True, error_model="numpy")
def standardise(covariates: Floats, order: Ints, weight: Floats, centre: Floats, scale: Floats, x: Floats) -> None:
    """Fill ``x`` (n, p) with the covariates in this order, minus their mean, divided by their standard deviation.

    Mean and standard deviation are those of the patients with a weight, and fill ``centre`` and ``scale`` (p,). A
    constant covariate becomes 0, with scale 1.
    """
    n, p = covariates.shape
    used, first = 0, 0
    for i in range(n):
        if weight[i] > 0.0:
            first = i if used == 0 else first
            used += 1
            for j in range(p):
                apart = covariates[i, j] - covariates[first, j]  # so that a large mean costs no digits
                centre[j] += apart
                scale[j] += apart * apart
    factor = np.zeros(p)
    for j in range(p):
        centre[j] /= max(used, 1)
        scale[j] = np.sqrt(max(scale[j] / max(used, 1) - centre[j] * centre[j], 0.0))
        centre[j] += covariates[first, j] if used else 0.0
        if scale[j] > 1e-13 * abs(centre[j]):  # otherwise constant, up to rounding
            factor[j] = 1 / scale[j]
        else:
            scale[j] = 1.0
    for i in range(n):
        for j in range(p):
            x[i, j] = (covariates[order[i], j] - centre[j]) * factor[j]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def hazard_ratios(x: Floats, beta: Floats, predictor: Floats, ratio: Floats) -> None:
    """Fill ``predictor`` (k,) with x beta and ``ratio`` (k,) with its exponential."""
    for k in range(len(x)):
        total = 0.0
        for j in range(len(beta)):
            total += x[k, j] * beta[j]
        predictor[k] = total
        ratio[k] = np.exp(total)


@njit(cache=True, nogil=True)
def _clear(moments: Floats) -> None:
    for j in range(len(moments)):
        moments[j] = 0.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add(row: Floats, hazard: float, moments: Floats) -> None:
    """Add a row to ``moments`` (p + 1,): the sums of covariates times hazard and, last, of the hazard."""
    p = len(row)
    moments[p] += hazard
    for j in range(p):
        moments[j] += hazard * row[j]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _leave(
    risk: Floats, dying: Floats, share: float, weight: float, mean: Floats, gradient: Floats, information: Floats
) -> float:
    """Subtract one death's part from the derivatives; return the hazard at risk without a ``share`` of the dying."""
    p = len(mean)
    hazard = risk[p] - share * dying[p]
    inverse = 1 / hazard
    for j in range(p):
        mean[j] = (risk[j] - share * dying[j]) * inverse
        gradient[j] -= weight * mean[j]
        scaled = weight * mean[j]
        for k in range(j + 1):
            information[j, k] -= scaled * mean[k]
    return float(hazard)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _first_moments(
    x: Floats,
    row: Ints,
    start: Ints,
    event: Mask,
    weight: Floats,
    emphasis: Floats,
    predictor: Floats,
    ratio: Floats,
    efron: bool,
    gradient: Floats,
    information: Floats,
    tick_hazard: Floats,
) -> float:
    """Return the log-likelihood; fill its gradient, the information without second moments, and ``tick_hazard``.

    ``tick_hazard`` (ticks, 2) is what a tick adds to the cumulative hazard of all at risk, and of those who die then.
    """
    p = x.shape[1]
    risk, dying, mean = np.zeros(p + 1), np.zeros(p + 1), np.zeros(p)
    total = 0.0
    for tick in range(len(start) - 1):
        deaths, died = 0, 0.0
        for i in range(start[tick], start[tick + 1]):
            if weight[i] == 0.0:
                continue
            k = row[i]
            _add(x[k], weight[i] * ratio[k], risk)
            if event[i]:
                deaths += 1
                died += weight[i]
                total += emphasis[tick] * weight[i] * predictor[k]
                for j in range(p):
                    gradient[j] += emphasis[tick] * weight[i] * x[k, j]
                if efron:
                    _add(x[k], weight[i] * ratio[k], dying)
        tick_hazard[tick, 0] = tick_hazard[tick, 1] = 0.0
        steps = min(deaths, 1) if not efron else deaths
        for step in range(steps):
            part, share = emphasis[tick] * died / steps, step / steps
            at_risk = _leave(risk, dying, share, part, mean, gradient, information)
            total -= part * np.log(at_risk)
            tick_hazard[tick, 0] += part / at_risk
            tick_hazard[tick, 1] += (1 - share) * part / at_risk
        if steps and efron:
            _clear(dying)
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_second_moments(
    x: Floats,
    row: Ints,
    start: Ints,
    event: Mask,
    weight: Floats,
    ratio: Floats,
    tick_hazard: Floats,
    information: Floats,
) -> None:
    """Add x x' times hazard ratio times the cumulative hazard up to the patient's time, of every patient."""
    exposed, cumulative = np.zeros(len(x)), 0.0
    for tick in range(len(start) - 2, -1, -1):
        dying = cumulative + tick_hazard[tick, 1]
        cumulative += tick_hazard[tick, 0]
        for i in range(start[tick], start[tick + 1]):
            exposed[row[i]] += weight[i] * (dying if event[i] else cumulative)
    scaled = np.empty((_CHUNK, x.shape[1]))
    for first in range(0, len(x), _CHUNK):
        rows = x[first : first + _CHUNK]
        part = scaled[: len(rows)]
        for k in range(len(rows)):
            own = exposed[first + k]
            hazard = own * ratio[first + k] if own != 0.0 else 0.0  # without a weight, the ratio may be infinite
            for j in range(x.shape[1]):
                part[k, j] = rows[k, j] * hazard
        information += np.dot(rows.T, part)


@njit(cache=True, nogil=True, error_model="numpy")
def derivatives(
    x: Floats,
    row: Ints,
    start: Ints,
    event: Mask,
    weight: Floats,
    emphasis: Floats,
    beta: Floats,
    efron: bool,
    gradient: Floats,
    information: Floats,
) -> float:
    """Return the log partial likelihood; fill its gradient (p,) and minus its second derivatives (p, p).

    ``emphasis`` (ticks,) multiplies what each tick adds: 1 for the likelihood, g(t) for tests of an effect that changes
    with time.
    """
    k, p = x.shape
    predictor, ratio, tick_hazard = np.empty(k), np.empty(k), np.empty((len(start) - 1, 2))
    for j in range(p):
        gradient[j] = 0.0
        for i in range(p):
            information[j, i] = 0.0
    hazard_ratios(x, beta, predictor, ratio)
    total = _first_moments(
        x, row, start, event, weight, emphasis, predictor, ratio, efron, gradient, information, tick_hazard
    )
    for j in range(p):
        for i in range(j):
            information[i, j] = information[j, i]
    _add_second_moments(x, row, start, event, weight, ratio, tick_hazard, information)
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def solve(information: Floats, gradient: Floats, events: float, step: Floats) -> int:
    """Fill ``step`` (p,) with information^-1 gradient and return the rank; without information a step is 0."""
    p = len(gradient)
    root = np.zeros((p, p))
    rank = 0
    for j in range(p):
        pivot = information[j, j]
        step[j] = gradient[j]
        for k in range(j):
            pivot -= root[j, k] * root[j, k]
            step[j] -= root[j, k] * step[k]
        if not pivot > max(_DEPENDENT * information[j, j], EMPTY * events):
            step[j] = 0.0
            continue
        rank += 1
        root[j, j] = np.sqrt(pivot)
        step[j] /= root[j, j]
        for i in range(j + 1, p):
            inner = information[i, j]
            for k in range(j):
                inner -= root[i, k] * root[j, k]
            root[i, j] = inner / root[j, j]
    for j in range(p - 1, -1, -1):
        if root[j, j] == 0.0:
            step[j] = 0.0
            continue
        for i in range(j + 1, p):
            step[j] -= root[i, j] * step[i]
        step[j] /= root[j, j]
    return rank


@njit(cache=True, nogil=True, error_model="numpy")
def newton(
    x: Floats,
    row: Ints,
    start: Ints,
    event: Mask,
    weight: Floats,
    emphasis: Floats,
    efron: bool,
    tolerance: float,
    beta: Floats,
    step: Floats,
    gradient: Floats,
    information: Floats,
    last: Floats,
    best: float,
) -> tuple[float, int, float]:
    """Move ``beta`` (p,) to the maximum; return log-likelihood, rank, and twice the gain of the last step.

    ``last`` (p,), with log-likelihood ``best``, is the point to return towards if beta is no better. Iteration ends
    when the gain, gradient' step, is below ``tolerance``. The last step is still taken and is left in ``step``: it is
    large if a coefficient has no finite maximum. All other output is that before this step. An infinite gain means
    that there is no maximum, because information was lost on the way. Covariates without information do not move.
    """
    p, full, events = len(beta), -1, 0.0
    proposal = np.zeros(p)
    for i in range(len(event)):
        events += weight[i] if event[i] else 0.0
    for _ in range(60):
        total = derivatives(x, row, start, event, weight, emphasis, beta, efron, gradient, information)
        if not total >= best - 1e-9 * abs(best):  # too far, or not a number: go half way back
            for j in range(p):
                beta[j] = (beta[j] + last[j]) / 2
            continue
        best = total
        rank = solve(information, gradient, events, proposal)
        if full < 0:
            full = rank
        if rank < full:
            break
        gain = 0.0
        for j in range(p):
            last[j] = beta[j]
            step[j] = proposal[j]
            beta[j] += step[j]
            gain += gradient[j] * step[j]
        if gain < tolerance:
            return best, full, gain
    return best, full, np.inf


@njit(cache=True, nogil=True, error_model="numpy")
def hazard_steps(
    x: Floats, start: Ints, event: Mask, weight: Floats, beta: Floats, efron: bool, steps: Floats, means: Floats
) -> None:
    """Fill what each tick adds to the hazard of a patient whose hazard ratio is 1.

    ``steps`` (ticks, 4): cumulative hazard; its variance; the hazard of those who die at the tick (Efron takes a share
    of them out of the risk set); deaths. ``means`` (ticks, 3, p): mean covariates at risk, times the hazard, times the
    hazard of the dying, and averaged over the deaths.
    """
    n, p = x.shape
    predictor, ratio = np.empty(n), np.empty(n)
    hazard_ratios(x, beta, predictor, ratio)
    risk, dying = np.zeros(p + 1), np.zeros(p + 1)
    for tick in range(len(start) - 1):
        died = 0.0
        for i in range(start[tick], start[tick + 1]):
            if weight[i] == 0.0:
                continue
            _add(x[i], weight[i] * ratio[i], risk)
            if event[i]:
                steps[tick, 3] += 1.0
                died += weight[i]
                if efron:
                    _add(x[i], weight[i] * ratio[i], dying)
        deaths = int(steps[tick, 3]) if efron else min(1, int(steps[tick, 3]))
        for death in range(deaths):
            share, part = death / deaths, died / deaths
            at_risk = risk[p] - share * dying[p]
            steps[tick, 0] += part / at_risk
            steps[tick, 1] += part / at_risk**2
            steps[tick, 2] += (1 - share) * part / at_risk
            for j in range(p):
                mean = (risk[j] - share * dying[j]) / at_risk
                means[tick, 0, j] += mean * part / at_risk
                means[tick, 1, j] += mean * (1 - share) * part / at_risk
                means[tick, 2, j] += mean / deaths
        if efron:
            _clear(dying)
