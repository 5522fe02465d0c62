"""NRI and IDI of several imputed data sets, pooled by Rubin's rules with errors from resamples of each set.

In each set all models are fitted again in every resample, as in ``nri``; the resamples are shared out among the sets,
so that the mean of their variances rests on all of them (Schomaker M, Heumann C, Stat Med 2018;37:2252-2266, MI Boot).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Floats
from ctacal.progress import Progress, no_progress
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.hypothesis import HypothesisTest
from ctacal.statistics.survival.imputation import pool
from ctacal.statistics.survival.nri import Drawn, ReclassificationStudy, Undrawn, draw_measures
from ctacal.statistics.survival.reclassification import IfUseless, Interval, Reclassification, checked_cutoffs, describe
from ctacal.statistics.survival.reclassification_intervals import (
    LEVEL_OF_TEST,
    TOO_FEW,
    if_useless,
    kinds,
    reaching_zero,
    withheld,
)
from ctacal.statistics.survival.survival_data import SurvivalData

NO_IDI = (
    "no interval: over imputations, Rubin's interval of the IDI held the truth in only 87 % of 90 simulated cohorts "
    "(docs/outcomes.md)"
)
"""Why the IDI stands alone."""

FEWEST_RESAMPLES = 25
"""Fewest resamples of each set."""


def imputed_reclassification(
    data: SurvivalData,
    sets: Sequence[Mapping[str, ArrayLike]],
    tests: Mapping[str, HypothesisTest],
    *,
    horizon: float,
    cutoffs: tuple[float, ...] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress = no_progress,
) -> ReclassificationStudy:
    """Return NRI and IDI against the reference model, averaged over m >= 2 imputed sets.

    ``sets`` hold the covariates (n, p) of "reference", "model" and, if there is one, "reader"; ``tests``, by "model"
    and "reader", whether these add anything, pooled over the sets (``pooling.pooled_test``): as in ``nri`` there is an
    interval only if they do. Intervals are Rubin's, with the t distribution; IDI has none (``NO_IDI``), only its
    difference of model and reader.

    Args:
        data: Follow-up.
        sets: One for each imputation.
        tests: Whether model and reader add anything, pooled.
        horizon: A time in the unit of the data.
        cutoffs: Limits of the classes of risk, rising between 0 and 1.
        resamples: Number of resamples.
        seed: Seed of the random numbers.
        progress: Called with the numbers done and in all.

    Returns:
        The measures, or why there are none.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> calcium, noise = rng.normal(size=(2, 120))
        >>> time = rng.exponential(5 / np.exp(calcium))
        >>> data = SurvivalData(np.minimum(time, 5), time < 5)
        >>> filled = [noise, noise + 0.1]  # two imputations of a covariate
        >>> sets = [{"reference": one, "model": np.column_stack([one, calcium])} for one in filled]
        >>> adds = HypothesisTest(30.0, 1, 4e-8, "pooled", 120)
        >>> study = imputed_reclassification(data, sets, {"model": adds}, horizon=2, resamples=20)
        >>> round(study.find("model", "IDI", "ipw").total.estimate, 2)
        0.11
    """
    limits = checked_cutoffs(cutoffs)
    each = max(FEWEST_RESAMPLES, -(-resamples // len(sets)))
    drawn: list[Drawn] = []
    for place, given in enumerate(sets):
        found = draw_measures(data, given, horizon, limits, each, seed + place)
        if isinstance(found, Undrawn):
            return ReclassificationStudy((), tuple(tests.items()), 0, found.reason)
        drawn.append(found)
        progress(place + 1, len(sets))
    pooled = _Pooled(data, horizon, limits, tests, drawn)
    return ReclassificationStudy(pooled.all(), tuple(tests.items()), each * len(sets), "")


@dataclass(frozen=True, slots=True, eq=False)
class _Pooled:
    """The measures of all sets."""

    data: SurvivalData
    horizon: float
    cutoffs: tuple[float, ...]
    tests: Mapping[str, HypothesisTest]
    drawn: list[Drawn]

    def all(self) -> tuple[Reclassification, ...]:
        found = [one for place, name in enumerate(self.tests) for one in self._of(name, place)]
        return (*found, *self._difference()) if len(self.tests) == 2 else tuple(found)

    def _of(self, name: str, place: int) -> list[Reclassification]:
        p = self.tests[name].p
        values = np.stack([one.values[place] for one in self.drawn])
        spread = [one.measures.drawn[:, place] for one in self.drawn]
        intervals = {"NRI": reaching_zero(self._pooled(values, spread), 1.0 if p is None else p)}
        intervals["IDI"] = withheld(NO_IDI)
        if p is None or p >= LEVEL_OF_TEST:
            why = "no interval: the pooled test does not show that it adds anything"
            intervals = dict.fromkeys(intervals, withheld(f"{why} (p = {p:.2g})" if p is not None else why))
        null = [one.measures.null for one in self.drawn]
        there = [one[:, place] for one in null if one is not None]

        def useless(total: float, weights: Floats) -> IfUseless:
            return if_useless(total, np.concatenate(there) @ weights)

        return [
            describe(
                self.data, self.horizon, name, kind, estimator, self.cutoffs if kind == "categorical" else (),
                values.mean(axis=0), intervals["IDI" if kind == "IDI" else "NRI"],
                useless if len(there) == len(self.drawn) else None,
            )
            for kind, estimator in kinds(self.cutoffs)
        ]  # fmt: skip

    def _difference(self) -> list[Reclassification]:
        values = np.stack([one.values[0] - one.values[1] for one in self.drawn])
        effects = [one.measures.effect for one in self.drawn]
        spread = [one[:, 0] - one[:, 1] for one in effects if one is not None]
        known = [test.p for test in self.tests.values() if test.p is not None]
        interval = self._pooled(values, spread)
        if len(spread) < len(self.drawn) or min(known, default=1.0) >= LEVEL_OF_TEST:
            interval = withheld("no interval: neither pooled test shows that anything is added")
        return [
            describe(
                self.data, self.horizon, "model - reader", kind, estimator,
                self.cutoffs if kind == "categorical" else (), values.mean(axis=0), interval,
            )
            for kind, estimator in kinds(self.cutoffs)
        ]  # fmt: skip

    def _pooled(self, values: Floats, spread: list[Floats]) -> Interval:
        """Return Rubin's interval, from the ``values`` (sets, moves) and the cohorts (cohorts, moves) of each set."""
        how = f"Rubin's rules over {len(values)} imputations, errors from {sum(map(len, spread))} resamples"

        def interval(value: float, weights: Floats, method: str, n: int) -> Estimate:
            sums = [own @ weights for own in spread]
            known = [own[np.isfinite(own)] for own in sums]
            if min(map(len, known)) < 2:
                return Estimate(value, None, None, f"{method}, {how}", n, TOO_FEW)
            variance = float(
                np.mean([own.var(ddof=1) for own in known])
            )  # of few resamples each: only their mean counts
            errors = np.full((len(values), 1), max(np.sqrt(variance), 1e-15))
            found = pool((values @ weights)[:, None], errors)
            return Estimate(value, float(found.low[0]), float(found.high[0]), f"{method}, {how}", n)

        return interval
