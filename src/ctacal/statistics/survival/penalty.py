"""Compiled sums for Firth's penalty of the Cox model: how the logarithm of the information's determinant changes."""

import numpy as np
from numba import njit

from ctacal.arrays import Floats, Ints, Mask


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add(row: Floats, hazard: float, first: Floats, second: Floats, third: Floats) -> None:
    """Add a row z to the sums of its moments: of 1 and z, of z z', and of |z|² and |z|² z, each times the hazard.

    The sum of 1, and that of |z|², stand last in ``first`` and ``third`` (p + 1,).
    """
    p = len(row)
    size = 0.0
    for j in range(p):
        size += row[j] * row[j]
        first[j] += hazard * row[j]
        for k in range(j + 1):
            second[j, k] += hazard * row[j] * row[k]
    first[p] += hazard
    third[p] += hazard * size
    for j in range(p):
        third[j] += hazard * size * row[j]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_skewness(first: Floats, second: Floats, third: Floats, total: Floats) -> None:
    """Add E[|z - m|² (z - m)] of the patients at risk to ``total`` (p,), m their mean."""
    p = len(total)
    mean = first[:p] / first[p]
    size = 0.0
    for j in range(p):
        size += mean[j] * mean[j]
    for j in range(p):
        product = 0.0
        for k in range(p):
            product += (second[j, k] if k <= j else second[k, j]) * mean[k]
        total[j] += (third[j] - mean[j] * third[p] - 2 * product) / first[p] + 2 * mean[j] * size


@njit(cache=True, nogil=True, error_model="numpy")
def skewness_at_risk(z: Floats, start: Ints, event: Mask, hazard: Floats, efron: bool) -> Floats:
    """Return (p,): the sum over the deaths of E[|z - m|² (z - m)] over those at risk, weighted with their hazard.

    If z are the covariates in a base in which the information is the identity, this is the gradient of the logarithm of
    its determinant in that base. Rows are sorted by falling time, ``start`` as in ``risk_sets``.
    """
    p = z.shape[1]
    total = np.zeros(p)
    first, second, third = np.zeros(p + 1), np.zeros((p, p)), np.zeros(p + 1)
    dying_first, dying_second, dying_third = np.zeros(p + 1), np.zeros((p, p)), np.zeros(p + 1)
    for tick in range(len(start) - 1):
        deaths = 0
        for i in range(start[tick], start[tick + 1]):
            _add(z[i], hazard[i], first, second, third)
            if event[i]:
                deaths += 1
                if efron:
                    _add(z[i], hazard[i], dying_first, dying_second, dying_third)
        for death in range(deaths):
            share = death / deaths if efron else 0.0
            _add_skewness(
                first - share * dying_first, second - share * dying_second, third - share * dying_third, total
            )
        if efron and deaths:
            dying_first[:] = 0.0
            dying_second[:] = 0.0
            dying_third[:] = 0.0
    return total
