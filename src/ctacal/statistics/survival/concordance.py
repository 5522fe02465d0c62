"""Compiled counts of concordant pairs, by a tree of sums over the ranks of risk, in n log n."""

import numpy as np
from numba import njit

from ctacal.arrays import Floats, Ints, Mask


@njit(cache=True, nogil=True, error_model="numpy")
def _insert(tree: Floats, own: Floats, rank: int, weight: float) -> None:
    own[rank] += weight
    place = rank + 1
    while place < len(tree):
        tree[place] += weight
        place += place & -place


@njit(cache=True, nogil=True, error_model="numpy")
def _below(tree: Floats, own: Floats, rank: int) -> float:
    """Return the weight at lower ranks and half of that at this rank, which ``own`` (ranks,) holds."""
    total, place = own[rank] / 2, rank
    while place > 0:
        total += tree[place]
        place -= place & -place
    return float(total)


@njit(cache=True, nogil=True, error_model="numpy")
def _count_as_first(time: Floats, event: Mask, rank: Ints, weight: Floats, ranks: int, as_first: Floats) -> None:
    """Count each patient with the event against all who were followed longer: the tree holds them, by falling time."""
    n = len(time)
    tree, own, inside = np.zeros(ranks + 1), np.zeros(ranks), 0.0
    i = 0
    while i < n:
        last = i
        while last < n and time[last] == time[i]:
            if not event[last]:
                _insert(tree, own, rank[last], 1.0)
                inside += 1.0
            last += 1
        for row in range(i, last):
            if event[row]:
                as_first[row, 0] = weight[row] * _below(tree, own, rank[row])
                as_first[row, 1] = weight[row] * inside
        for row in range(i, last):
            if event[row]:
                _insert(tree, own, rank[row], 1.0)
                inside += 1.0
        i = last


@njit(cache=True, nogil=True, error_model="numpy")
def _count_as_later(time: Floats, event: Mask, rank: Ints, weight: Floats, ranks: int, as_later: Floats) -> None:
    """Count each patient against all who had the event before: the tree holds their weights, by rising time."""
    tree, own, inside = np.zeros(ranks + 1), np.zeros(ranks), 0.0
    last = len(time)
    while last > 0:
        first = last
        while first > 0 and time[first - 1] == time[last - 1]:
            first -= 1
        for events_first in (True, False):
            for row in range(first, last):
                if event[row] == events_first:
                    as_later[row, 0] = inside - _below(tree, own, rank[row])
                    as_later[row, 1] = inside
            if events_first:
                for row in range(first, last):
                    if event[row]:
                        _insert(tree, own, rank[row], weight[row])
                        inside += weight[row]
        last = first


@njit(cache=True, nogil=True, error_model="numpy")
def pair_sums(
    time: Floats, event: Mask, rank: Ints, weight: Floats, ranks: int, as_first: Floats, as_later: Floats
) -> None:
    """Fill ``as_first`` and ``as_later`` (n, 2): concordant pairs (ties of risk count a half) and all pairs of each
    patient.

    A pair counts if the first had the event while the other was followed longer, or to the same time without the event.
    It is concordant if the first had the higher rank of risk, and has the ``weight`` of the first. Rows are sorted by
    falling time, at equal times those without the event first; ``rank`` counts from 0.
    """
    _count_as_first(time, event, rank, weight, ranks, as_first)
    _count_as_later(time, event, rank, weight, ranks, as_later)


@njit(cache=True, nogil=True, error_model="numpy")
def ranks_of(risk: Floats, order: Ints, rank: Ints) -> int:
    """Fill ``rank`` (n,), from 0, equal for equal risks; return how many there are. ``order`` sorts the risks."""
    ranks = 0
    for place in range(len(order)):
        if place and risk[order[place]] > risk[order[place - 1]]:
            ranks += 1
        rank[order[place]] = ranks
    return ranks + 1


@njit(cache=True, nogil=True, error_model="numpy")
def concordance(time: Floats, event: Mask, weight: Floats, rank: Ints, ranks: int) -> float:
    """Return Harrell's C; a pair has the product of both patients' weights. Pairs and order of rows: ``pair_sums``.

    Copies of a patient are no pair, since they have one time and one event.
    """
    n = len(time)
    tree, own, inside = np.zeros(ranks + 1), np.zeros(ranks), 0.0
    concordant, pairs = 0.0, 0.0
    i = 0
    while i < n:
        last = i
        while last < n and time[last] == time[i]:
            if not event[last] and weight[last] > 0.0:
                _insert(tree, own, rank[last], weight[last])
                inside += weight[last]
            last += 1
        for row in range(i, last):
            if event[row] and weight[row] > 0.0:
                concordant += weight[row] * _below(tree, own, rank[row])
                pairs += weight[row] * inside
        for row in range(i, last):
            if event[row] and weight[row] > 0.0:
                _insert(tree, own, rank[row], weight[row])
                inside += weight[row]
        i = last
    return concordant / pairs
