"""Net reclassification (NRI) and integrated discrimination improvement (IDI) of a new risk over an old risk.

These functions take the risks as given. Their intervals need models that are fitted again in every resample:
``nri.bootstrap_reclassification``. NRI rewards useless markers, so report it beside the likelihood-ratio test, the
change of the C-index, Brier score, calibration and net benefit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Floats, Ints
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival.movement import MOVES, all_moves
from ctacal.statistics.survival.risks import checked_risk, why_undefined
from ctacal.statistics.survival.survival_curve import last_known_risk
from ctacal.statistics.survival.survival_data import SurvivalData

Kind = Literal["category-free", "categorical", "IDI"]
Estimator = Literal["kaplan-meier", "ipw"]

NO_INTERVAL = "no interval with given risks: bootstrap_reclassification fits the models anew"

SOURCE = {
    "category-free": "category-free NRI (Pencina 2011)",
    "categorical": "categorical NRI (Pencina 2011)",
    "IDI": "IDI (Pencina 2008; Uno 2013)",
}


Interval = Callable[[float, Floats, str, int], Estimate]
"""Makes an estimate with its interval from its value, the weights (moves,) of ``movement.MOVES`` that give the value,
the method and n."""


@dataclass(frozen=True, slots=True)
class IfUseless:
    """A measure in cohorts that were simulated without any effect of what is added to the reference model."""

    mean: float
    high: float
    """19 in 20 of these cohorts lie below."""
    p: float
    """Share of these cohorts, and the cohort at hand, in which the measure is at least as large as it is here."""
    cohorts: int


@dataclass(frozen=True, slots=True)
class Reclassification:
    """One measure with its parts; ``total`` is their sum."""

    comparison: str
    kind: Kind
    estimator: Estimator
    horizon: float
    unit: str
    cutoffs: tuple[float, ...]
    """Limits of the risk classes of a categorical NRI; else empty."""
    total: Estimate
    event: Estimate
    """Among patients with the event by the horizon: share moved up minus share moved down; IDI: mean rise of risk."""
    nonevent: Estimate
    """Among patients without it: share moved down minus share moved up; IDI: mean fall of risk."""
    up_event: float | None
    """Share of patients with the event who moved up; the shares are None for an IDI."""
    down_event: float | None
    up_nonevent: float | None
    down_nonevent: float | None
    if_useless: IfUseless | None = None
    """How large the total is where the new risk adds nothing; None: not simulated."""


@dataclass(frozen=True, slots=True, eq=False)
class ReclassificationTable:
    """Patients by old (rows) and new (columns) class of risk."""

    classes: tuple[str, ...]
    counts: Ints
    """(k, k)"""
    events: Floats
    """(k, k) events expected by the horizon: patients of the cell times 1 - Kaplan-Meier within it."""
    nonevents: Floats
    method: str


def net_reclassification(
    data: SurvivalData,
    old_risk: ArrayLike,
    new_risk: ArrayLike,
    horizon: float,
    *,
    cutoffs: Sequence[float] | None = None,
    estimator: Estimator = "kaplan-meier",
) -> Reclassification:
    """Return NRI = [P(up | event) - P(down | event)] + [P(down | no event) - P(up | no event)] at the horizon.

    Up means into a higher class of risk, classes beginning at the ``cutoffs``, or, without cut-offs, to any larger
    risk. Kaplan-Meier: P(up | event) = p_up (1 - S_up) / (1 - S), P(up | no event) = p_up S_up / S, with S the survival
    of all, and of those who moved up, at the horizon (Pencina MJ et al., Stat Med 2011;30:11-21). IPW: patients with
    the event weighted with 1 / G(t-), G Kaplan-Meier of the censoring; those followed to the horizon have weight 1 (Uno
    H et al., Stat Med 2013;32:2430-2442).

    Args:
        data: Follow-up.
        old_risk: (n,) risk of the old model.
        new_risk: (n,) risk of the new model.
        horizon: A time in the unit of the data.
        cutoffs: Limits of the classes of risk, rising between 0 and 1.
        estimator: ``kaplan-meier`` or ``ipw``.

    Returns:
        The measure with its parts.

    Raises:
        ValueError: A risk is no probability, or the cut-offs do not rise between 0 and 1.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> old = [0.4, 0.5, 0.5, 0.3, 0.2, 0.3, 0.2, 0.4, 0.3, 0.3]
        >>> new = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> nri = net_reclassification(data, old, new, horizon=3, cutoffs=[0.35])
        >>> isinstance(nri, Reclassification), nri.kind, round(nri.total.estimate, 3)
        (True, 'categorical', 0.833)
    """
    old, new = checked_risk(data, old_risk), checked_risk(data, new_risk)
    limits = checked_cutoffs(cutoffs)
    kind: Kind = "categorical" if limits else "category-free"
    values = np.array(moved(data, old, new, horizon, limits))
    return describe(data, horizon, "new - old", kind, estimator, limits, values)


def discrimination_improvement(
    data: SurvivalData, old_risk: ArrayLike, new_risk: ArrayLike, horizon: float
) -> Reclassification:
    """Return IDI = mean rise of risk among patients with the event by the horizon + mean fall among those without, IPW.

    Pencina MJ et al., Stat Med 2008;27:157-172; with censoring: Uno H et al., Stat Med 2013;32:2430-2442. Raises as
    ``net_reclassification``.

    Args:
        data: Follow-up.
        old_risk: (n,) risk of the old model.
        new_risk: (n,) risk of the new model.
        horizon: A time in the unit of the data.

    Returns:
        The measure with its parts.

    Raises:
        ValueError: As ``net_reclassification``.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> old = [0.4, 0.5, 0.5, 0.3, 0.2, 0.3, 0.2, 0.4, 0.3, 0.3]
        >>> new = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> round(discrimination_improvement(data, old, new, horizon=3).total.estimate, 3)
        0.235
    """
    old, new = checked_risk(data, old_risk), checked_risk(data, new_risk)
    values = np.array(moved(data, old, new, horizon, ()))
    return describe(data, horizon, "new - old", "IDI", "ipw", (), values)


def checked_cutoffs(cutoffs: Sequence[float] | None) -> tuple[float, ...]:
    """Return the cut-offs; raise ``ValueError`` if they do not rise within 0 to 1."""
    limits = tuple(float(cutoff) for cutoff in cutoffs or ())
    if any(not 0 < limit < 1 for limit in limits) or any(b <= a for a, b in pairwise(limits)):
        raise ValueError(f"cut-offs of risk must rise between 0 and 1, got {limits}")
    return limits


def moved(data: SurvivalData, old: Floats, new: Floats, horizon: float, cutoffs: tuple[float, ...]) -> Floats:
    """Return the shares of ``movement.moves`` with every patient counted once."""
    order = np.argsort(-data.time)
    time, event, once = data.time[order], data.event[order], np.ones(data.n)
    (found,) = all_moves(time, event, once, old[order], [new[order]], horizon, np.array(cutoffs))
    return np.asarray(found)


def describe(
    data: SurvivalData,
    horizon: float,
    comparison: str,
    kind: Kind,
    estimator: Estimator,
    cutoffs: tuple[float, ...],
    values: Floats,
    interval: Interval | None = None,
    if_useless: Callable[[float, Floats], IfUseless] | None = None,
) -> Reclassification:
    """Return the measure from the output of ``moves`` for all patients (``values``), with intervals if they are made.

    ``if_useless`` gets the total and its weights.
    """
    reason = why_undefined(data, horizon)
    weighting = "Kaplan-Meier" if estimator == "kaplan-meier" else "inverse probability of censoring weights"
    method = f"{SOURCE[kind]}, {weighting}"
    columns = [MOVES.index(f"{kind}, {estimator}, {share}") for share in ("up", "down", "up without", "down without")]

    def weights(signs: Sequence[int]) -> Floats:
        all_moves = np.zeros(len(MOVES))
        all_moves[columns] = signs
        return all_moves

    def estimate(signs: Sequence[int]) -> Estimate:
        if reason:
            return Estimate(None, None, None, method, data.n, reason)
        value = float(values @ weights(signs))
        if interval is None:
            return Estimate(value, None, None, method, data.n, NO_INTERVAL)
        return interval(value, weights(signs), method, data.n)

    total, event, nonevent = estimate(_TOTAL), estimate((1, -1, 0, 0)), estimate((0, 0, -1, 1))
    shown = not reason and kind != "IDI"
    shares = [float(share) if shown else None for share in values[columns]]
    behaviour = None if if_useless is None or total.estimate is None else if_useless(total.estimate, weights(_TOTAL))
    up, down, up_non, down_non = shares
    return Reclassification(
        comparison, kind, estimator, horizon, data.unit, cutoffs, total, event, nonevent, up, down, up_non, down_non,
        behaviour,
    )  # fmt: skip


_TOTAL = (1, -1, -1, 1)
"""Signs of the four shares in the total."""


def reclassification_table(
    data: SurvivalData, old_risk: ArrayLike, new_risk: ArrayLike, horizon: float, cutoffs: Sequence[float]
) -> ReclassificationTable:
    """Count patients by old and new class of risk, with the events expected in each cell by the horizon.

    Raises as ``net_reclassification``.

    Args:
        data: Follow-up.
        old_risk: (n,) risk of the old model.
        new_risk: (n,) risk of the new model.
        horizon: A time in the unit of the data.
        cutoffs: Limits of the classes of risk, rising between 0 and 1.

    Returns:
        The table.

    Raises:
        ValueError: As ``net_reclassification``.

    Example:
        >>> data = SurvivalData([1.2, 2.5, 0.8, 3.0, 4.1, 2.2, 5.0, 3.6, 1.9, 4.4], [1, 0, 1, 0, 1, 1, 0, 0, 1, 0])
        >>> old = [0.4, 0.5, 0.5, 0.3, 0.2, 0.3, 0.2, 0.4, 0.3, 0.3]
        >>> new = [0.6, 0.3, 0.7, 0.2, 0.3, 0.5, 0.1, 0.2, 0.4, 0.3]
        >>> table = reclassification_table(data, old, new, horizon=3, cutoffs=[0.35])
        >>> isinstance(table, ReclassificationTable), table.classes, table.counts.tolist()
        (True, ('0 to 0.35', '0.35 to 1'), [[4, 2], [2, 2]])
    """
    limits = np.array(checked_cutoffs(cutoffs))
    old = np.searchsorted(limits, checked_risk(data, old_risk), side="right")
    new = np.searchsorted(limits, checked_risk(data, new_risk), side="right")
    size = len(limits) + 1
    counts, events = np.zeros((size, size), np.int64), np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            rows = (old == i) & (new == j)
            counts[i, j] = rows.sum()
            events[i, j] = counts[i, j] * last_known_risk(data.take(rows), horizon)
    edges = ["0", *(f"{limit:g}" for limit in limits), "1"]
    classes = tuple(f"{low} to {high}" for low, high in pairwise(edges))
    return ReclassificationTable(classes, counts, events, counts - events, "events by Kaplan-Meier within each cell")
