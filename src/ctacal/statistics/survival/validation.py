"""Validation within the patients to whom models were fitted: performance corrected for its optimism.

A model looks better in the patients to whom it was fitted than in new ones. ``validate`` estimates how much better by
the bootstrap (as R's ``rms::validate``), ``cross_validate`` by predicting each patient from models fitted to others.
Neither replaces a validation in patients of another centre.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Floats, Ints
from ctacal.progress import Progress, no_progress
from ctacal.statistics.bootstrap import PERCENTILES
from ctacal.statistics.estimate import Estimate, Z
from ctacal.statistics.survival.calibration import BRIER, brier_influence
from ctacal.statistics.survival.cox_model import CoxModel, NoModel, Ties, cox, score_residuals, steps
from ctacal.statistics.survival.discrimination import AUC, HARRELL, auc_influence, concordance_influence
from ctacal.statistics.survival.influence import (
    Influenced,
    difference,
    with_interval,
    with_logit_interval,
    without_estimate,
)
from ctacal.statistics.survival.pooling import pool_estimates
from ctacal.statistics.survival.refitting import approach, influence_on_fit, refit
from ctacal.statistics.survival.risks import why_undefined
from ctacal.statistics.survival.survival_data import SurvivalData
from ctacal.statistics.survival.weighted_measures import measure, ranked, slope

Measure = Literal["harrell_c", "auc", "brier", "slope"]

MEASURES: tuple[Measure, ...] = ("harrell_c", "auc", "brier", "slope")
"""Harrell's C, time-dependent AUC, Brier score, and the slope."""

SLOPE = "slope: Cox coefficient of the model's own log hazard, whole follow-up; below 1 its effects are exaggerated"

METHODS: Mapping[Measure, str] = {"harrell_c": HARRELL, "auc": AUC, "brier": BRIER, "slope": SLOPE}

DRAWS = 20_000_000
"""Most patients drawn in all resamples together: optimism falls with n, so large cohorts need few resamples."""

FEWEST = 10
"""Fewest resamples, whatever the number of patients."""

FEWEST_OF_SPREAD = 50
"""Fewest resamples whose spread tells the error. With fewer, in cohorts of 400,000 and more, the patients' influence
does, for which the models may be taken as fixed."""


@dataclass(frozen=True, slots=True)
class Validated:
    """One measure of a model, or of a model minus another."""

    measure: Measure
    apparent: Estimate
    """In the patients to whom the models were fitted."""
    optimism: float | None
    """Apparent minus corrected."""
    corrected: Estimate
    """Expected in new patients of the same kind."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Validated measures of several models, and of their differences."""

    models: Mapping[str, tuple[Validated, ...]]
    """By name of the model, its measures in the order of ``MEASURES``."""
    differences: Mapping[tuple[str, str], tuple[Validated, ...]]
    """By names of a model and of the model it is compared with: the same, without the slope."""
    method: str
    reason: str = ""
    """Why there are none, or a remark on the resamples; else empty."""


def validate(
    data: SurvivalData,
    models: Mapping[str, ArrayLike | CoxModel],
    *,
    horizon: float,
    resamples: int = 200,
    seed: int = 0,
    ties: Ties = "efron",
    progress: Progress = no_progress,
) -> Validation:
    """Return the performance of Cox models, corrected for optimism by the bootstrap.

    ``models`` are by name their covariates (n, p), or their fits to these patients.
    Patients are drawn with replacement; all models are fitted to each resample and measured in it and in the original
    patients. The mean difference is the optimism: it is subtracted from the apparent measure (Harrell FE et al., Stat
    Med 1996;15:361-387). The variance is that of the apparent measure with the model as given (as in Noma H et al.,
    Stat Med 2021;40:5691-5701), times events / (events - coefficients), and, since the model is fitted, that of the
    measure of the resamples' models in the original patients (own choice, by simulation: docs/outcomes.md). Intervals
    of C, AUC and Brier score are symmetric on the logit scale, with t of events - 1 degrees of freedom; those of
    differences are normal. The slope's is normal, and not narrower than the middle 95 % of its optimism.
    Differences are paired: each model minus the first, and the second minus the third. At most
    ``DRAWS`` / n resamples are drawn, but at least ``FEWEST``. The same seed gives the same result on any number of
    cores.

    Args:
        data: Follow-up.
        models: By name, their covariates (n, p).
        horizon: A time in the unit of the data.
        resamples: Number of resamples.
        seed: Seed of the random numbers.
        ties: ``efron`` or ``breslow``.
        progress: Called with the numbers done and in all.

    Returns:
        Each measure, apparent and corrected.

    Raises:
        ValueError: Shapes are wrong, or there is fewer than 1 resample or no model.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> calcium, noise = rng.normal(size=(2, 120))
        >>> time = rng.exponential(5 / np.exp(calcium))
        >>> data = SurvivalData(np.minimum(time, 5), time < 5)
        >>> found = validate(data, {"calcium": calcium}, horizon=2, resamples=20)
        >>> measure = found.models["calcium"][0]
        >>> isinstance(found, Validation), isinstance(measure, Validated), round(measure.apparent.estimate, 2)
        (True, True, 0.65)
    """
    if resamples < 1 or not models:
        raise ValueError(f"expected a model and 1 resample or more, got {len(models)} and {resamples}")
    number = min(resamples, max(FEWEST, DRAWS // max(data.n, 1)))
    method = f"bootstrap, {number} resamples in which the models are fitted again"
    fits, reason = _fitted(data, models, horizon, ties)
    if reason:
        return Validation({}, {}, method, reason)
    drawn = _draw(fits, horizon, range(number), seed, progress)
    return _corrected(data, list(models), [fits], drawn, horizon, ties, method)


def validate_imputed(
    data: SurvivalData,
    sets: Sequence[Mapping[str, ArrayLike | CoxModel]],
    *,
    horizon: float,
    resamples: int = 200,
    seed: int = 0,
    ties: Ties = "efron",
    progress: Progress = no_progress,
) -> Validation:
    """Return the performance of Cox models of several imputed sets, corrected for optimism and averaged.

    The resamples are shared out among the sets. Figures of the sets are averaged, and intervals made by Rubin's rules:
    the error within a set is that of ``validate``, with the spread of the optimism over the resamples of all sets.

    Args:
        data: Follow-up of the patients.
        sets: For each imputation the models as in ``validate``, in the same order.
        horizon: Time of AUC and Brier score, in the unit of the follow-up.
        resamples: Resamples of all sets together.
        seed: Seed of the resamples.
        ties: Method for ties, if models are to be fitted.
        progress: Told of each resample.

    Returns:
        The measures of the models and of their differences; ``reason`` says why there are none.

    Raises:
        ValueError: There are fewer than 2 sets, no models, or wrong shapes.

    Example:
        >>> time, event = np.arange(1.0, 41.0), np.arange(40) % 3 == 0
        >>> sets = [{"age": np.sin(np.arange(40.0) + k)[:, None]} for k in (0.0, 0.1)]
        >>> found = validate_imputed(SurvivalData(time, event), sets, horizon=30.0, resamples=20)
        >>> [one.measure for one in found.models["age"]]
        ['harrell_c', 'auc', 'brier', 'slope']
    """
    if len(sets) < 2 or not sets[0]:
        raise ValueError(f"expected 2 imputed sets or more with a model each, got {len(sets)}")
    number = min(resamples, max(FEWEST, DRAWS // max(data.n, 1)))
    each = -(-number // len(sets))
    method = f"bootstrap, {each * len(sets)} resamples shared by {len(sets)} imputations, models fitted again"
    fitted: list[list[CoxModel]] = []
    drawn: list[Floats] = []
    for place, models in enumerate(sets):
        fits, reason = _fitted(data, models, horizon, ties)
        if reason:
            return Validation({}, {}, method, reason)
        fitted.append(fits)
        drawn += _draw(fits, horizon, range(place * each, (place + 1) * each), seed, progress)
    return _corrected(data, list(sets[0]), fitted, drawn, horizon, ties, method)


def _corrected(
    data: SurvivalData,
    names: Sequence[str],
    fitted: Sequence[Sequence[CoxModel]],
    drawn: Iterable[Floats],
    horizon: float,
    ties: Ties,
    method: str,
) -> Validation:
    """Return the measures less their optimism; ``fitted`` holds the models of each set, ``drawn`` all resamples."""
    resampled_values, remark = _whole(drawn)
    if not len(resampled_values):
        return Validation({}, {}, method, remark)
    optimism = (resampled_values[:, :, 0] - resampled_values[:, :, 1]).mean(axis=0)
    apparent = [
        [_influences(data, log_hazard(model, model.covariates, horizon), horizon, ties) for model in fits]
        for fits in fitted
    ]
    corrected = [
        [_less(*one) for one in zip(own, optimism, fits, strict=True)]
        for own, fits in zip(apparent, fitted, strict=True)
    ]
    return _described(data, names, apparent, corrected, resampled_values, method, remark)


def _whole(drawn: Iterable[Floats]) -> tuple[Floats, str]:
    """Return (resamples, models, 2, measures) without resamples that have no value, and a remark on them."""
    values = np.stack(list(drawn))
    whole = np.isfinite(values).all(axis=(1, 2, 3))
    if not whole.any():
        return values[:0], "no resample has patients both with and without the event by the horizon"
    left_out = int((~whole).sum())
    remark = f"{left_out} of {len(values)} resamples give no value and are left out" if left_out else ""
    return values[whole], remark


def cross_validate(
    data: SurvivalData,
    models: Mapping[str, ArrayLike | CoxModel],
    *,
    horizon: float,
    folds: int = 10,
    repeats: int = 10,
    seed: int = 0,
    ties: Ties = "efron",
    progress: Progress = no_progress,
) -> Validation:
    """Return the performance of Cox models, by name their covariates (n, p), by repeated cross-validation.

    Patients are split at random into ``folds`` with equal shares of the events. The risk of a patient is that of models
    fitted to the other folds; all risks together are then measured. Measures, and the influences from which their
    intervals come, are averaged over the ``repeats`` (in large cohorts ``DRAWS`` / 10 n of them, at least 1).
    Differences as in ``validate``.

    Args:
        data: Follow-up.
        models: By name, their covariates (n, p).
        horizon: A time in the unit of the data.
        folds: Number of parts.
        repeats: Number of repetitions.
        seed: Seed of the random numbers.
        ties: ``efron`` or ``breslow``.
        progress: Called with the numbers done and in all.

    Returns:
        Each measure, apparent and corrected.

    Raises:
        ValueError: Shapes are wrong, or there are fewer than 2 folds or 1 repeat, or no model.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> calcium, noise = rng.normal(size=(2, 120))
        >>> time = rng.exponential(5 / np.exp(calcium))
        >>> data = SurvivalData(np.minimum(time, 5), time < 5)
        >>> found = cross_validate(data, {"calcium": calcium}, horizon=2, folds=5, repeats=1)
        >>> round(found.models["calcium"][0].corrected.estimate, 2)
        0.63
    """
    if folds < 2 or repeats < 1 or not models:
        raise ValueError(f"expected a model, 2 folds and 1 repeat or more, got {len(models)}, {folds} and {repeats}")
    number = min(repeats, max(1, DRAWS // (10 * max(data.n, 1))))
    method = (
        f"{folds}-fold cross-validation, repeated {number} times" if number > 1 else f"{folds}-fold cross-validation"
    )
    fits, reason = _fitted(data, models, horizon, ties)
    if reason:
        return Validation({}, {}, method, reason)
    apparent = [_influences(data, log_hazard(model, model.covariates, horizon), horizon, ties) for model in fits]
    found: list[list[tuple[Influenced, ...]]] = []
    for repeat in range(number):
        fold = _folds(data, folds, np.random.default_rng([seed, repeat]))
        try:
            held_out = [_held_out(data, model.covariates, fold, horizon, ties) for model in fits]
        except _NoFold as lack:
            return Validation({}, {}, method, str(lack))
        found.append([_influences(data, own, horizon, ties) for own in held_out])
        progress(repeat + 1, number)
    corrected = [tuple(map(_mean, zip(*own, strict=True))) for own in zip(*found, strict=True)]
    none = np.zeros((0, len(fits), 2, len(MEASURES)))
    return _described(data, list(models), [apparent], [corrected], none, method, "")


def _fitted(
    data: SurvivalData, models: Mapping[str, ArrayLike | CoxModel], horizon: float, ties: Ties
) -> tuple[list[CoxModel], str]:
    """Return the models, and the reason why they cannot be validated or an empty text."""
    fits = {name: own if isinstance(own, CoxModel) else cox(data, own, ties=ties) for name, own in models.items()}
    reason = why_undefined(data, horizon) or "; ".join(
        f"{name} cannot be fitted: {fit.reason}" for name, fit in fits.items() if isinstance(fit, NoModel)
    )
    return [fit for fit in fits.values() if isinstance(fit, CoxModel)], reason


def log_hazard(model: CoxModel, covariates: Floats, horizon: float) -> Floats:
    """Return (m,): the log of the cumulative hazard at the horizon, log(-log(1 - risk)), exact for risks near 1 too.

    Minus infinity without events by then.
    """
    own = steps(model)
    until = own.hazard[own.times <= horizon].sum()
    found: Floats = model.linear_predictor(covariates) + (np.log(until) if until > 0 else -np.inf)
    return found


def _influences(data: SurvivalData, log_hazards: Floats, horizon: float, ties: Ties) -> tuple[Influenced, ...]:
    """Return the measures of a model, with the influence of each patient, in the order of ``MEASURES``."""
    risk = -np.expm1(-np.exp(log_hazards))
    return (
        concordance_influence(data, risk),
        auc_influence(data, risk, horizon),
        brier_influence(data, risk, horizon),
        _slope(data, log_hazards, ties),
    )


def _slope(data: SurvivalData, log_hazards: Floats, ties: Ties) -> Influenced:
    model = cox(data, log_hazards, ties=ties)
    if isinstance(model, NoModel):
        return without_estimate(model.reason)
    return Influenced(float(model.coefficient[0]), (score_residuals(model) @ model.covariance)[:, 0])


def _mean(found: Sequence[Influenced]) -> Influenced:
    if reason := next((one.reason for one in found if one.reason), ""):
        return without_estimate(reason)
    return Influenced(
        float(np.mean([one.estimate for one in found])), np.mean([one.influence for one in found], axis=0)
    )


class _NoFold(Exception):
    """A model cannot be fitted without one of the folds."""


def _folds(data: SurvivalData, folds: int, rng: np.random.Generator) -> Ints:
    """Return (n,) the fold of each patient: random, with equal shares of the patients with the event."""
    fold = np.empty(data.n, np.int64)
    order = np.concatenate([rng.permutation(np.flatnonzero(data.event == happened)) for happened in (True, False)])
    fold[order] = np.arange(data.n) % folds
    return fold


def _held_out(data: SurvivalData, covariates: Floats, fold: Ints, horizon: float, ties: Ties) -> Floats:
    """Return (n,) the log hazard of each patient by the model of the other folds; raise ``_NoFold`` without a model."""
    found = np.empty(data.n)
    for one in np.unique(fold):
        own = fold == one
        model = cox(data.take(~own), covariates[~own], ties=ties)
        if isinstance(model, NoModel):
            raise _NoFold(f"without one fold no model can be fitted: {model.reason}")
        found[own] = log_hazard(model, covariates[own], horizon)
    if not np.isfinite(found).all():
        raise _NoFold("without one fold nobody has the event by the horizon")
    return found


def _draw(
    models: Sequence[CoxModel], horizon: float, resamples: range, seed: int, progress: Progress
) -> Iterator[Floats]:
    """Yield (models, 2, measures) of the resamples of these numbers: in the resample, and in the original patients."""
    fits = [(model, influence_on_fit(model)) for model in models]
    n = models[0].n

    def draw(resample: int) -> Floats:
        rng = np.random.default_rng([seed, resample])
        weight = np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
        return np.stack([resampled(model, influence, weight, horizon) for model, influence in fits])

    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        for done, values in enumerate(pool.map(draw, resamples), start=1):
            progress(done, len(resamples))
            yield values


def resampled(model: CoxModel, influence: Floats, weight: Floats, horizon: float) -> Floats:
    """Return (2, measures) of the model fitted with these weights: with the weights, and with every patient once."""
    d, beta, risk, efron = model.design, model.beta.copy(), np.empty(model.n), model.ties == "efron"
    approach(beta, influence, weight)
    refit(d.x, d.rows, d.start, d.time, d.event, weight, efron, beta, horizon, risk)
    once, (rank, ranks) = np.ones(model.n), ranked(risk)
    out = np.ones((2, len(MEASURES)))  # the slope of a model in its own patients is 1
    measure(d.time, d.event, weight, risk, rank, ranks, horizon, out[0])
    measure(d.time, d.event, once, risk, rank, ranks, horizon, out[1])
    out[1, 3] = slope(d.start, d.event, once, d.x @ beta, efron)
    return out


def _less(found: Sequence[Influenced], optimism: Floats, model: CoxModel) -> tuple[Influenced, ...]:
    """Return the measures less their optimism, with influences raised for the coefficients that took up events."""
    spare = max(1, model.events - len(model.beta))
    return tuple(
        own
        if own.reason
        else Influenced(own.estimate - float(excess), own.influence * np.sqrt(max(1.0, model.events / spare)))
        for own, excess in zip(found, optimism, strict=True)
    )


def _widened(found: Influenced, resampled_values: Floats, measure: Measure) -> Influenced:
    """Return the estimate with influences raised for the fit, from (resamples, 2), in the resample and outside."""
    error = float(np.sqrt((found.influence**2).sum()))
    if len(resampled_values) < FEWEST_OF_SPREAD or error == 0:
        return found
    if measure == "slope":
        low, high = np.percentile(resampled_values[:, 0] - resampled_values[:, 1], PERCENTILES)  # a few are far off
        wanted = max(error, float(high - low) / (2 * Z))
    else:
        wanted = float(np.hypot(error, resampled_values[:, 1].std(ddof=1)))
    return replace(found, influence=found.influence * wanted / error)


def _described(
    data: SurvivalData,
    names: Sequence[str],
    apparent: Sequence[Sequence[tuple[Influenced, ...]]],
    corrected: Sequence[Sequence[tuple[Influenced, ...]]],
    resampled_values: Floats,
    method: str,
    remark: str,
) -> Validation:
    """Return the measures of all models, and of their differences without the slope, averaged over the sets.

    ``apparent`` and ``corrected`` are by set, model and measure; ``resampled_values`` (resamples, models, 2, measures).
    """

    def alone(place: int, k: int) -> Validated:
        own, how, share = MEASURES[k], METHODS[MEASURES[k]], MEASURES[k] != "slope"
        before = _figure(data, [one[place][k] for one in apparent], how)
        wide = [_widened(one[place][k], resampled_values[:, place, :, k], own) for one in corrected]
        after = _figure(data, wide, f"{how}, {method}", share=share)
        return Validated(own, before, _apart(before, after), after)

    def paired(first: int, second: int, k: int) -> Validated:
        how, apart = f"difference, {METHODS[MEASURES[k]]}", resampled_values[:, first] - resampled_values[:, second]
        before = _figure(data, [difference(one[first][k], one[second][k]) for one in apparent], how)
        pairs = [difference(one[first][k], one[second][k]) for one in corrected]
        after = _figure(data, [_widened(one, apart[:, :, k], MEASURES[k]) for one in pairs], f"{how}, {method}")
        return Validated(MEASURES[k], before, _apart(before, after), after)

    pairs = [(place, 0) for place in range(1, len(names))] + ([(1, 2)] if len(names) > 2 else [])
    models = {name: tuple(alone(place, k) for k in range(len(MEASURES))) for place, name in enumerate(names)}
    differences = {(names[a], names[b]): tuple(paired(a, b, k) for k in range(len(MEASURES) - 1)) for a, b in pairs}
    return Validation(models, differences, method, remark)


def _figure(data: SurvivalData, each: Sequence[Influenced], how: str, *, share: bool = False) -> Estimate:
    """Return the estimate of one set, or the average of several; of a ``share`` of 0 to 1 on the logit scale."""
    degrees = max(data.events - 1, 1)
    if len(each) == 1 and share:
        return with_logit_interval(each[0], how, data.n, degrees)
    if len(each) == 1:
        return with_interval(each[0], how, data.n, low=-np.inf, high=np.inf)
    if share and all(0 < one.estimate < 1 for one in each):
        own = [with_logit_interval(one, how, data.n) for one in each]
        return pool_estimates(own, scale="logit", complete_degrees_of_freedom=degrees)
    return pool_estimates([with_interval(one, how, data.n, low=-np.inf, high=np.inf) for one in each])


def _apart(apparent: Estimate, corrected: Estimate) -> float | None:
    if apparent.estimate is None or corrected.estimate is None:
        return None
    return apparent.estimate - corrected.estimate
