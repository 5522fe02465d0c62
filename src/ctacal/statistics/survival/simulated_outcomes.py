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

from ctacal.arrays import Floats, Ints, Mask
from ctacal.progress import Progress, no_progress
from ctacal.statistics.survival.censoring import censoring
from ctacal.statistics.survival.cox_model import CoxModel, NoModel, Ties, compare, cox, first_of_each
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

    def draw(self, rng: np.random.Generator) -> tuple[Floats, Mask]:
        """Return (n,) times and events. Follow-up ends at the last time at the latest; events come before ends."""
        n, last = len(self.ratio), len(self.times) - 1
        event = np.searchsorted(self.hazard, rng.exponential(size=n) / self.ratio)
        end = np.minimum(np.searchsorted(self.ended, rng.random(n)), last)
        happened = event <= end
        return self.times[np.where(happened, event, end)], happened


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


def redrawn(
    source: OutcomeSource,
    measured: Callable[[Redrawn], Floats],
    cohorts: int,
    seed: Sequence[int],
    progress: Progress = no_progress,
) -> Iterator[Floats]:
    """Yield what is ``measured`` in each of several cohorts, in order; the same on any number of cores."""

    def one(cohort: int) -> Floats:
        time, event = source.draw(np.random.default_rng([*seed, cohort]))
        order = np.argsort(-time, kind="stable")
        sorted_time = time[order]
        return measured(Redrawn(order, sorted_time, event[order], first_of_each(sorted_time)))

    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        for done, values in enumerate(pool.map(one, range(cohorts)), start=1):
            progress(done, cohorts)
            yield values


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
