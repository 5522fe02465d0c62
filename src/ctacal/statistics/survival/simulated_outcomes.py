"""Outcomes drawn anew for the patients at hand, from a Cox model: what would be seen if its effects were true.

The patients keep their covariates and readings. Their events come from the model's hazard, the ends of follow-up from
the Kaplan-Meier curve of the censoring. With the effect of calcium taken out, measures of what calcium adds show what
they look like where it adds nothing.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit

from ctacal.arrays import Floats, Ints, Mask
from ctacal.progress import Progress, no_progress
from ctacal.statistics.survival.censoring import censoring
from ctacal.statistics.survival.cox_model import CoxModel, NoModel, Ties, compare, cox
from ctacal.statistics.survival.survival_curve import life_table
from ctacal.statistics.survival.survival_data import SurvivalData


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeSource:
    """From what outcomes are drawn."""

    times: Floats
    """(k,) times of follow-up of the patients, rising: events and ends are drawn from among them."""
    hazard: Floats
    """(k,) cumulative hazard of a patient whose hazard ratio is 1."""
    ended: Floats
    """(k,) probability that follow-up ends until then, if no event happens."""
    ratio: Floats
    """(n,) hazard ratio of each patient."""

    def draw(self, rng: np.random.Generator) -> tuple[Ints, Mask]:
        """Return (n,) the places of the times, and events. Follow-up ends at the last time at the latest.

        At equal times events come before ends.
        """
        n = len(self.ratio)
        tick, happened = np.empty(n, np.int64), np.empty(n, np.bool_)
        _draw(rng.exponential(size=n), rng.random(n), self.ratio, self.hazard, self.ended, tick, happened)
        return tick, happened


@njit(cache=True, nogil=True)
def _guide(rising: Floats) -> Ints:
    """Return, for equal steps from 0 to the last of the numbers, the place of the first number that is not below."""
    places, place = np.zeros(4 * len(rising), np.int64), 0
    for step in range(len(places)):
        while place < len(rising) - 1 and rising[place] < rising[-1] * step / len(places):
            place += 1
        places[step] = place
    return places


@njit(cache=True, nogil=True)
def _first_not_below(rising: Floats, guide: Ints, value: float) -> int:
    """Return the place of the first number that is not below the value, or how many there are."""
    if value > rising[-1]:
        return len(rising)
    place = guide[min(int(value / rising[-1] * len(guide)), len(guide) - 1)] if rising[-1] > 0.0 else 0
    while place > 0 and rising[place - 1] >= value:
        place -= 1
    while rising[place] < value:
        place += 1
    return place


@njit(cache=True, nogil=True, error_model="numpy")
def _draw(
    exponential: Floats, uniform: Floats, ratio: Floats, hazard: Floats, ended: Floats, tick: Ints, happened: Mask
) -> None:
    """Fill ``tick`` and ``happened`` (n,) from exponential and uniform random numbers (n,)."""
    events, ends, last = _guide(hazard), _guide(ended), len(hazard) - 1
    for i in range(len(ratio)):
        event = _first_not_below(hazard, events, exponential[i] / ratio[i])
        end = min(_first_not_below(ended, ends, uniform[i]), last)
        happened[i] = event <= end
        tick[i] = min(event, end)


def outcome_source(data: SurvivalData, log_hazard: Floats) -> OutcomeSource:
    """Return the source of outcomes of patients with these log hazard ratios (n,); baseline hazard by Breslow."""
    ratio: Floats = np.exp(log_hazard - float(log_hazard.mean()))
    times, _, events, _ = life_table(data)
    at = np.bincount(np.searchsorted(times, data.time), weights=ratio, minlength=len(times))
    at_risk = np.cumsum(at[::-1])[::-1]
    return OutcomeSource(times, np.cumsum(events / at_risk), 1 - censoring(data).survival[1:], ratio)


@dataclass(frozen=True, slots=True, eq=False)
class Redrawn:
    """A cohort with outcomes drawn anew, sorted by falling time as the compiled sums need it."""

    order: Ints
    time: Floats
    event: Mask
    start: Ints


def redraw(source: OutcomeSource, seed: Sequence[int]) -> Redrawn:
    """Return the cohort of a seed."""
    tick, event = source.draw(np.random.default_rng(seed))
    order, counts = np.empty(len(tick), np.int64), np.bincount(tick, minlength=len(source.times))[::-1]
    ends = np.cumsum(counts)
    _sort(tick, ends - counts, order)
    return Redrawn(order, np.repeat(source.times[::-1], counts), event[order], np.concatenate([[0], ends[counts > 0]]))


def redrawn(
    source: OutcomeSource,
    measured: Callable[[Redrawn], Floats],
    cohorts: int,
    seed: Sequence[int],
    progress: Progress = no_progress,
) -> Iterator[Floats]:
    """Yield what is ``measured`` in each of several cohorts, in order; the same on any number of cores."""

    def one(cohort: int) -> Floats:
        return measured(redraw(source, (*seed, cohort)))

    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        for done, values in enumerate(pool.map(one, range(cohorts)), start=1):
            progress(done, cohorts)
            yield values


@njit(cache=True, nogil=True)
def _sort(tick: Ints, start: Ints, order: Ints) -> None:
    """Fill ``order`` (n,), which sorts by falling tick and keeps the order of equal ones; ``start`` is overwritten.

    ``start`` (k,) is the first place of each tick, the last tick first.
    """
    for i in range(len(tick)):
        group = len(start) - 1 - tick[i]
        order[start[group]] = i
        start[group] += 1


def shrunken_log_hazard(data: SurvivalData, reference: CoxModel, larger: Sequence[CoxModel], ties: Ties) -> Floats:
    """Return (n,) log hazard ratios by all covariates together, those beyond the reference model's shrunken.

    Estimated effects are larger than true ones by their own error: their mean square exceeds that of the true effects.
    They are multiplied by the root of max(0, 1 - df / chi-square), chi-square that of the likelihood-ratio test.
    """
    known = reference.covariates
    for model in larger:
        more = [column for column in model.covariates.T if not (known == column[:, None]).all(axis=0).any()]
        known = np.column_stack([known, *more])
    p = len(reference.names)
    joint = cox(data, known, ties=ties)
    if isinstance(joint, NoModel) or len(joint.names) == p:  # such as readings that depend on each other
        return np.asarray(np.mean([model.linear_predictor(model.covariates) for model in larger], axis=0))
    test = compare(reference, joint)
    share = np.sqrt(max(0.0, 1 - test.df / test.statistic)) if test.statistic else 0.0
    coefficient = joint.coefficient.copy()
    coefficient[p:] *= share
    return np.asarray(known @ coefficient)
