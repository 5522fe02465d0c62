"""Intervals of net reclassification, from cohorts that were drawn; and what the measures are where nothing is added.

Which interval holds its coverage was found by simulation (``benchmarks/interval_coverage.py``; docs/outcomes.md has the
table).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ctacal.arrays import Floats
from ctacal.statistics.bootstrap import percentile_interval
from ctacal.statistics.estimate import Estimate, Z
from ctacal.statistics.hypothesis import HypothesisTest
from ctacal.statistics.survival.reclassification import (
    Estimator,
    IfUseless,
    Interval,
    Kind,
    Reclassification,
    describe,
)
from ctacal.statistics.survival.survival_data import SurvivalData

LEVEL_OF_TEST = 0.05
"""Level of the likelihood-ratio test; from there on there is no interval."""

LEVEL_OF_DOUBT = 0.001
"""From this p value of that test on, an interval of the NRI reaches 0: measures that just pass a test are too high. Own
choice, by simulation."""

DOUBT = "drawn out to 0: p of the test is not below 0.001, and an NRI that passes the test so narrowly is too high"
"""Remark on such an interval."""

TOO_FEW = "too few resamples give a value"

_MEASURES: tuple[tuple[Kind, Estimator], ...] = (
    ("category-free", "kaplan-meier"),
    ("category-free", "ipw"),
    ("categorical", "kaplan-meier"),
    ("categorical", "ipw"),
    ("IDI", "ipw"),
)


@dataclass(frozen=True, slots=True, eq=False)
class DrawnMeasures:
    """All cohorts that were drawn, and the measures made from them."""

    data: SurvivalData
    horizon: float
    cutoffs: tuple[float, ...]
    tests: Mapping[str, HypothesisTest]
    """By comparison, "model" and "reader": the likelihood-ratio test against the reference model."""
    drawn: Floats
    """(cohorts, comparisons, moves) of resamples of the patients; NaN where a cohort gives no value."""
    null: Floats | None
    """The same of cohorts simulated without effect; None if the reference model is not nested in the others."""
    effect: Floats | None
    """The same of cohorts simulated with shrunken effects; None if the reference model is not nested."""

    def all(self, values: Floats) -> tuple[Reclassification, ...]:
        """Return all measures from ``values`` (comparisons, moves)."""
        found = [self._of(name, place, values[place]) for place, name in enumerate(self.tests)]
        if len(values) == 2:
            found.append(self._difference(values[0] - values[1]))
        return tuple(result for results in found for result in results)

    def _of(self, name: str, place: int, values: Floats) -> list[Reclassification]:
        null, nri, idi = self.null, *self._intervals(name, place)

        def useless(total: float, weights: Floats) -> IfUseless:
            assert null is not None
            return if_useless(total, null[:, place] @ weights)

        return [
            describe(
                self.data, self.horizon, name, kind, estimator, self.cutoffs if kind == "categorical" else (), values,
                idi if kind == "IDI" else nri, None if null is None else useless,
            )
            for kind, estimator in kinds(self.cutoffs)
        ]  # fmt: skip

    def _intervals(self, name: str, place: int) -> tuple[Interval, Interval]:
        """Return what makes the intervals of the NRI and of the IDI of model or reader."""
        drawn, effect, p = self.drawn[:, place], self.effect, self.tests[name].p
        how = f"bootstrap of {self.data.n} patients that refits the models, {len(drawn)} resamples"
        if p is None or effect is None:
            percentile = _percentile(drawn, f"percentile {how}")
            return percentile, percentile
        if p >= LEVEL_OF_TEST:
            why = f"no interval: the likelihood-ratio test does not show that it adds anything (p = {p:.2g})"
            return withheld(why), withheld(why)
        return reaching_zero(_spread(effect[:, place], simulated(effect)), p), _less_bias(drawn, f"normal, {how}")

    def _difference(self, values: Floats) -> list[Reclassification]:
        p = [test.p for test in self.tests.values() if test.p is not None]
        if self.effect is None:
            apart = self.drawn[:, 0] - self.drawn[:, 1]
            interval = _percentile(apart, f"percentile bootstrap that refits the models, {len(apart)} resamples")
        elif min(p) >= LEVEL_OF_TEST:
            interval = withheld("no interval: neither likelihood-ratio test shows that anything is added")
        else:
            apart = self.effect[:, 0] - self.effect[:, 1]
            interval = _spread(apart, simulated(apart))
        return [
            describe(
                self.data, self.horizon, "model - reader", kind, estimator,
                self.cutoffs if kind == "categorical" else (), values, interval,
            )
            for kind, estimator in kinds(self.cutoffs)
        ]  # fmt: skip


def kinds(cutoffs: tuple[float, ...]) -> Sequence[tuple[Kind, Estimator]]:
    """Return the measures that there are: categorical ones need cut-offs."""
    return [one for one in _MEASURES if cutoffs or one[0] != "categorical"]


def withheld(reason: str) -> Interval:
    """Return what makes an estimate without interval, for this reason."""
    return lambda value, weights, method, n: Estimate(value, None, None, method, n, reason)


def simulated(cohorts: Floats) -> str:
    """Return the name of an interval from cohorts with shrunken effects."""
    return f"normal, spread of {len(cohorts)} simulated cohorts with shrunken effects"


def reaching_zero(interval: Interval, p: float) -> Interval:
    """Return what makes the same intervals, drawn out to 0 unless the p value is below ``LEVEL_OF_DOUBT``."""

    def drawn_out(value: float, weights: Floats, method: str, n: int) -> Estimate:
        found = interval(value, weights, method, n)
        if p < LEVEL_OF_DOUBT or found.low is None or found.high is None or found.low <= 0 <= found.high:
            return found
        remark = f"{found.reason}; {DOUBT}" if found.reason else DOUBT
        return replace(found, low=min(found.low, 0.0), high=max(found.high, 0.0), reason=remark)

    return drawn_out


def _percentile(drawn: Floats, how: str) -> Interval:
    def interval(value: float, weights: Floats, method: str, n: int) -> Estimate:
        return percentile_interval(
            value, drawn @ weights, f"{method}, {how}", n, percentiles=(2.5, 97.5), fewest=2, too_few=TOO_FEW
        )

    return interval


def _less_bias(drawn: Floats, how: str) -> Interval:
    """Return a normal interval around the value less the bias that the resamples show."""

    def interval(value: float, weights: Floats, method: str, n: int) -> Estimate:
        sums = drawn @ weights
        known = sums[np.isfinite(sums)]
        if len(known) < 2:
            return Estimate(value, None, None, f"{method}, {how}", n, TOO_FEW)
        middle, half = 2 * value - known.mean(), Z * known.std(ddof=1)
        return Estimate(value, float(middle - half), float(middle + half), f"{method}, {how}", n, _left_out(sums))

    return interval


def _spread(cohorts: Floats, how: str) -> Interval:
    """Return a normal interval around the value with the standard deviation of the cohorts."""

    def interval(value: float, weights: Floats, method: str, n: int) -> Estimate:
        sums = cohorts @ weights
        known = sums[np.isfinite(sums)]
        if len(known) < 2:
            return Estimate(value, None, None, f"{method}, {how}", n, TOO_FEW)
        half = Z * known.std(ddof=1)
        return Estimate(value, float(value - half), float(value + half), f"{method}, {how}", n, _left_out(sums))

    return interval


def _left_out(sums: Floats) -> str:
    lacking = int((~np.isfinite(sums)).sum())
    return f"{lacking} of {len(sums)} resamples give no value and are left out" if lacking else ""


def if_useless(total: float, sums: Floats) -> IfUseless:
    """Return how the measure behaves in cohorts without effect, from its values there (cohorts,)."""
    known = sums[np.isfinite(sums)]
    if not len(known):
        return IfUseless(0.0, 0.0, 1.0, 0)
    p = (1 + int((known >= total).sum())) / (1 + len(known))
    return IfUseless(float(known.mean()), float(np.quantile(known, 0.95)), p, len(known))
