"""Net reclassification of Cox models that are fitted to the patients at hand: intervals, and what is found by chance.

Where a marker adds nothing, its NRI and IDI are not 0 but positive, and no bootstrap gives them a valid interval. So
the likelihood-ratio test comes first: there is an interval only if its p value is below 0.05, and beside the measure
stands what it is in cohorts simulated without any effect. ``docs/outcomes.md`` has the coverage of what is printed.
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Floats
from ctacal.progress import Progress, no_progress
from ctacal.statistics.hypothesis import HypothesisTest, undefined
from ctacal.statistics.survival.cox_model import CoxModel, NoModel, Ties, compare, cox, predicted_risk
from ctacal.statistics.survival.movement import all_moves
from ctacal.statistics.survival.reclassification import Estimator, Kind, Reclassification, checked_cutoffs, moved
from ctacal.statistics.survival.reclassification_intervals import DrawnMeasures
from ctacal.statistics.survival.refitting import (
    Covariates,
    approach,
    distinct_covariates,
    influence_on_fit,
    refit,
)
from ctacal.statistics.survival.risks import why_undefined
from ctacal.statistics.survival.simulated_outcomes import (
    OutcomeSource,
    Redrawn,
    outcome_source,
    redraw,
    redrawn,
    shrunken_log_hazard,
)
from ctacal.statistics.survival.survival_data import SurvivalData

DRAWS = 100_000_000
"""Most patients in all simulated cohorts together: in large cohorts the measures vary so little that few suffice."""

FEWEST = 40
"""Fewest simulated cohorts."""


@dataclass(frozen=True, slots=True)
class ReclassificationStudy:
    """All measures of a model and a reader against the same reference model, and of their difference."""

    results: tuple[Reclassification, ...]
    """One for each comparison and measure; the comparison is "model", "reader", or "model - reader" (paired)."""
    tests: tuple[tuple[str, HypothesisTest], ...]
    """Likelihood-ratio tests of model and reader against the reference model, if it is nested in them."""
    resamples: int
    reason: str
    """Why there are no measures; else empty."""

    def find(self, comparison: str, kind: Kind, estimator: Estimator) -> Reclassification:
        """Return one measure; raise ``ValueError`` if it was not computed."""
        for result in self.results:
            if (result.comparison, result.kind, result.estimator) == (comparison, kind, estimator):
                return result
        raise ValueError(f"no {kind} measure by {estimator} of {comparison!r} here")


def bootstrap_reclassification(
    data: SurvivalData,
    reference: ArrayLike | CoxModel,
    model: ArrayLike | CoxModel,
    reader: ArrayLike | CoxModel | None = None,
    *,
    horizon: float,
    cutoffs: tuple[float, ...] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    ties: Ties = "efron",
    progress: Progress = no_progress,
) -> ReclassificationStudy:
    """Return NRI (category-free; categorical with ``cutoffs``) and IDI of two Cox models against a reference model.

    ``reference``, ``model``, ``reader`` (n, p each) are the full covariates of the three models, or their fits to these
    patients; risks are theirs at the ``horizon``. Three kinds of cohorts are drawn, ``resamples`` of each (in large
    cohorts fewer simulated ones):

    - For the intervals of IDI, patients with replacement; all models are fitted to each resample, which enters the fit
      as weights, so that copies of a patient are no ties. They are normal, less the bias.
    - For ``if_useless``, new outcomes of the same patients by the reference model, in which nothing that is added to it
      has an effect.
    - For the intervals of NRI and of model - reader, new outcomes by all readings together with shrunken effects:
      resamples of patients spread too widely, since they add noise to effects that hold noise already. Normal intervals
      with the spread of these cohorts.

    Model and reader have an interval only if their likelihood-ratio test against the reference model has a p value
    below 0.05, their difference if one has. Where p is not below 0.001, the interval of an NRI is drawn out to 0: NRI
    that just pass the test are too high.

    The same seed gives the same result on any number of cores. If the reference model is not nested in the others, all
    intervals are percentiles of the resamples. Formulas: ``reclassification``.

    Args:
        data: Follow-up.
        reference: (n, p) covariates of the reference model, or its fit.
        model: (n, p) covariates of the model, or its fit.
        reader: The reader's model; None: no reader.
        horizon: A time in the unit of the data.
        cutoffs: Limits of the classes of risk, rising between 0 and 1.
        resamples: Number of resamples.
        seed: Seed of the random numbers.
        ties: ``efron`` or ``breslow``.
        progress: Called with the numbers done and in all.

    Returns:
        The measures, or why there are none.

    Raises:
        ValueError: Shapes or cut-offs are wrong, or there is fewer than 1 resample.

    Example:
        >>> from ctacal.statistics.survival import Estimator, IfUseless, Kind
        >>> rng = np.random.default_rng(1)
        >>> calcium, noise = rng.normal(size=(2, 120))
        >>> time = rng.exponential(5 / np.exp(calcium))
        >>> data = SurvivalData(np.minimum(time, 5), time < 5)
        >>> study = bootstrap_reclassification(data, noise, np.column_stack([noise, calcium]), horizon=2, resamples=20)
        >>> isinstance(study, ReclassificationStudy), study.resamples
        (True, 20)
        >>> kind: Kind = "IDI"
        >>> estimator: Estimator = "ipw"
        >>> idi = study.find("model", kind, estimator)
        >>> round(idi.total.estimate, 2), isinstance(idi.if_useless, IfUseless)
        (0.11, True)
    """
    if resamples < 1:
        raise ValueError(f"expected 1 resample or more, got {resamples}")
    limits = checked_cutoffs(cutoffs)
    given = {"reference": reference, "model": model} | ({} if reader is None else {"reader": reader})
    found = draw_measures(data, given, horizon, limits, resamples, seed, ties, progress)
    if isinstance(found, Undrawn):
        return ReclassificationStudy((), found.tests, 0, found.reason)
    return ReclassificationStudy(found.measures.all(found.values), tuple(found.measures.tests.items()), resamples, "")


@dataclass(frozen=True, slots=True)
class Undrawn:
    """Why there are no measures, and the tests that there are."""

    reason: str
    tests: tuple[tuple[str, HypothesisTest], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """The measures of the patients, and of all cohorts that were drawn."""

    values: Floats
    """(comparisons, moves) as in ``movement``."""
    measures: DrawnMeasures


def draw_measures(
    data: SurvivalData,
    given: Mapping[str, ArrayLike | CoxModel],
    horizon: float,
    limits: tuple[float, ...],
    resamples: int,
    seed: int,
    ties: Ties = "efron",
    progress: Progress = no_progress,
) -> Drawn | Undrawn:
    """Fit the models with the covariates ``given`` (reference, model, reader), and draw all cohorts."""
    fits = {name: own if isinstance(own, CoxModel) else cox(data, own, ties=ties) for name, own in given.items()}
    reason = why_undefined(data, horizon) or "; ".join(
        f"{name} cannot be fitted: {fit.reason}" for name, fit in fits.items() if isinstance(fit, NoModel)
    )
    fitted = {name: fit for name, fit in fits.items() if isinstance(fit, CoxModel)}
    tests = {name: _nested(fits["reference"], fits[name]) for name in list(fits)[1:]}
    if reason:
        return Undrawn(reason, tuple(tests.items()))
    risks = {name: predicted_risk(fit, fit.covariates, horizon) for name, fit in fitted.items()}
    values = np.stack([moved(data, risks["reference"], risks[name], horizon, limits) for name in list(risks)[1:]])
    nested = all(test.p is not None for test in tests.values())
    cohorts = min(resamples, max(FEWEST, DRAWS // data.n)) if nested else 0
    steps = _Steps(progress, (resamples, cohorts, cohorts))
    drawn = _finite(_draw(fitted, horizon, limits, resamples, seed, steps.part(0)))
    simulate = _Simulation(data, list(fitted.values()), horizon, limits, seed)
    null = _finite(simulate.without_effect(cohorts, steps.part(1))) if cohorts else None
    effect = _finite(simulate.with_effect(cohorts, ties, steps.part(2))) if cohorts else None
    return Drawn(values, DrawnMeasures(data, horizon, limits, tests, drawn, null, effect))


@dataclass(frozen=True, slots=True)
class _Steps:
    """The progress of several parts as progress of the whole."""

    progress: Progress
    sizes: tuple[int, ...]

    def part(self, place: int) -> Progress:
        before, total = sum(self.sizes[:place]), sum(self.sizes)
        return lambda done, _: self.progress(before + done, total)


def _finite(cohorts: Iterator[Floats]) -> Floats:
    """Return (cohorts, comparisons, moves); NaN where all or no patients of a cohort have the event."""
    found = np.stack(list(cohorts))
    found[~np.isfinite(found)] = np.nan
    return found


def _nested(reference: CoxModel | NoModel, larger: CoxModel | NoModel) -> HypothesisTest:
    if isinstance(reference, NoModel) or isinstance(larger, NoModel):
        return undefined("likelihood-ratio test", larger.n, "a model cannot be fitted")
    within = all((larger.covariates == column[:, None]).all(axis=0).any() for column in reference.covariates.T)
    if not within or len(larger.names) <= len(reference.names):
        return undefined("likelihood-ratio test", larger.n, "the reference model is not nested in it")
    return compare(reference, larger)


@dataclass(frozen=True, slots=True, eq=False)
class _Simulation:
    """New outcomes of the same patients, in which all models are fitted and compared again."""

    data: SurvivalData
    models: list[CoxModel]
    """The reference model, the model, and the reader if there is one."""
    horizon: float
    cutoffs: tuple[float, ...]
    seed: int

    def without_effect(self, cohorts: int, progress: Progress) -> Iterator[Floats]:
        """Yield (comparisons, moves) of cohorts in which only the reference model has an effect."""
        reference = self.models[0]
        source = outcome_source(self.data, reference.linear_predictor(reference.covariates))
        return self._of(source, cohorts, (self.seed, 1), progress)

    def with_effect(self, cohorts: int, ties: Ties, progress: Progress) -> Iterator[Floats]:
        """Yield (comparisons, moves) of cohorts in which model and reader have shrunken effects."""
        source = outcome_source(self.data, shrunken_log_hazard(self.data, self.models[0], self.models[1:], ties))
        return self._of(source, cohorts, (self.seed, 2), progress)

    def _of(self, source: OutcomeSource, cohorts: int, seed: tuple[int, int], progress: Progress) -> Iterator[Floats]:
        """Yield (comparisons, moves) of cohorts; fits start from those to the first cohort, whose effects are alike."""
        known = [distinct_covariates(model.design.standardised(model.covariates)) for model in self.models]
        first, limits = redraw(source, (*seed, 0)), np.array(self.cutoffs)
        near = [self._fitted(first, *each)[0] for each in zip([m.beta for m in self.models], known, strict=True)]

        def measured(cohort: Redrawn) -> Floats:
            risks = [self._fitted(cohort, *each)[1] for each in zip(near, known, strict=True)]
            once = np.ones(self.data.n)
            return all_moves(cohort.time, cohort.event, once, risks[0], risks[1:], self.horizon, limits)

        return redrawn(source, measured, cohorts, seed, progress)

    def _fitted(self, cohort: Redrawn, near: Floats, covariates: Covariates) -> tuple[Floats, Floats]:
        """Return the coefficients of a fit to a cohort that starts ``near`` (p,), and the risks (n,)."""
        beta, own, efron = near.copy(), covariates.ordered(cohort.order), self.models[0].ties == "efron"
        risk, once = np.empty(len(own.x)), np.ones(self.data.n)
        refit(own.x, own.row, cohort.start, cohort.time, cohort.event, once, efron, beta, self.horizon, risk)
        return beta, risk[own.row]


def _draw(
    models: dict[str, CoxModel],
    horizon: float,
    cutoffs: tuple[float, ...],
    resamples: int,
    seed: int,
    progress: Progress,
) -> Iterator[Floats]:
    """Yield (comparisons, moves) of each resample, in order."""
    fits = [(model, distinct_covariates(model.design.x), influence_on_fit(model)) for model in models.values()]
    limits, n = np.array(cutoffs), fits[0][0].n

    def draw(resample: int) -> Floats:
        rng = np.random.default_rng([seed, resample])
        weight = np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
        return _resampled(fits, weight, horizon, limits)

    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        for done, values in enumerate(pool.map(draw, range(resamples)), start=1):
            progress(done, resamples)
            yield values


def _resampled(
    models: list[tuple[CoxModel, Covariates, Floats]], weight: Floats, horizon: float, cutoffs: Floats
) -> Floats:
    """Return (comparisons, moves) for these weights of the patients; NaN if all or no patients have the event."""
    risks = []
    for model, own, influence in models:
        d, near, risk = model.design, model.beta.copy(), np.empty(len(own.x))
        approach(near, influence, weight)
        refit(own.x, own.row, d.start, d.time, d.event, weight, model.ties == "efron", near, horizon, risk)
        risks.append(risk[own.row])
    d = models[0][0].design
    return all_moves(d.time, d.event, weight, risks[0], risks[1:], horizon, cutoffs)
