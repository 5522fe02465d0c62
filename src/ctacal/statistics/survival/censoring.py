"""Inverse probability of censoring weights: 1 / G, G the Kaplan-Meier survival of the censoring.

The influence of a patient on a weighted statistic includes the influence through G, so that intervals allow for the
estimation of G.
"""

from dataclasses import dataclass

import numpy as np

from ctacal.arrays import Floats, Ints
from ctacal.statistics.survival.survival_curve import life_table
from ctacal.statistics.survival.survival_data import SurvivalData


@dataclass(frozen=True, slots=True, eq=False)
class Censoring:
    """Kaplan-Meier of the censoring: at equal times events come before ends of follow-up (as in R's prodlim)."""

    times: Floats
    """(k,) distinct times of follow-up, rising."""
    at_risk: Floats
    """(k,) patients still followed after the events of that time."""
    survival: Floats
    """(k + 1,): 1, then the survival after each time."""
    growth: Floats
    """(k + 1,): rise of log G for one more patient at risk, summed up to each time."""

    def ticks_before(self, time: Floats) -> Ints:
        """Return how many of ``times`` lie before each of these."""
        return np.searchsorted(self.times, time, side="left").astype(np.int64)


def censoring(data: SurvivalData) -> Censoring:
    """Estimate G from these patients."""
    times, at_risk, events, leaving = life_table(data)
    exposed, censored = at_risk - events, leaving - events
    staying = exposed - censored
    share = np.divide(staying, exposed, out=np.ones_like(staying), where=exposed > 0)
    growth = np.divide(censored, exposed * staying, out=np.zeros_like(staying), where=staying > 0)
    return Censoring(
        times, exposed, np.concatenate([[1.0], np.cumprod(share)]), np.concatenate([[0.0], np.cumsum(growth)])
    )


def influence_through_censoring(data: SurvivalData, own: Censoring, ticks: Ints, value: Floats) -> Floats:
    """Return (n,): d / dw_k of sum over i of value_i log G_i, with w_k the weight of a patient.

    G_i is G after ``ticks`` (n,) times. With Y at risk and c censored, log G falls by log(1 - c / Y) at each time: one
    more patient at risk raises it by c / (Y (Y - c)), one more censored there lowers it by 1 / Y.
    """
    k = len(own.times)
    sums = np.bincount(ticks, weights=value, minlength=k + 1)
    until = np.cumsum(sums)
    reached = np.cumsum(sums * own.growth)
    mine = data.ticks[1]
    later = until[-1] - until[mine]
    gain: Floats = reached[mine] + own.growth[mine] * later
    ended = ~data.event
    gain[ended] -= later[ended] / own.at_risk[mine[ended]]
    return gain
