"""Models fitted to some patients and measured in others: at a test centre, or at each centre in turn.

Patients that had no part in a model judge it without optimism, and centres that differ show how far it carries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Floats
from ctacal.progress import Progress, no_progress
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival.calibration import brier_difference, brier_score, calibration_slope, observed_expected
from ctacal.statistics.survival.cox_model import NoModel, Ties, cox, predicted_risk
from ctacal.statistics.survival.discrimination import auc_at, auc_difference, harrell_c, harrell_c_difference
from ctacal.statistics.survival.survival_data import SurvivalData

Measure = Literal["harrell_c", "auc", "brier", "observed_expected", "slope"]


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Models fitted to the other patients, measured in the patients of one centre."""

    n: int
    events: int
    fitted_to: int
    """Number of patients to whom the models were fitted."""
    risk: Mapping[str, Floats]
    """By name of the model, (n,) the risk at the horizon."""
    measures: Mapping[str, Mapping[Measure, Estimate]]
    """By name of the model."""
    gains: Mapping[str, Mapping[Measure, Estimate]]
    """By name of each model but the first: C, AUC and Brier score minus those of the first, paired."""
    reason: str = ""
    """Why there are none; else empty."""


def measure_held_out(
    data: SurvivalData, models: Mapping[str, ArrayLike], test: ArrayLike, *, horizon: float, ties: Ties = "efron"
) -> HeldOut:
    """Fit Cox models, by name their covariates (n, p), where ``test`` (n,) is false, and measure them where it is true.

    The risks are given in the patients tested, so that all intervals are those of given risks.

    Args:
        data: Follow-up.
        models: By name, their covariates (n, p).
        test: (n,) whether a patient is tested.
        horizon: A time in the unit of the data.
        ties: ``efron`` or ``breslow``.

    Returns:
        What was measured, or why nothing was.

    Raises:
        ValueError: Shapes are wrong.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> calcium, noise = rng.normal(size=(2, 120))
        >>> time = rng.exponential(5 / np.exp(calcium))
        >>> data = SurvivalData(np.minimum(time, 5), time < 5)
        >>> held_out = measure_held_out(data, {"calcium": calcium}, np.arange(120) < 40, horizon=2)
        >>> isinstance(held_out, HeldOut), held_out.n, held_out.fitted_to
        (True, 40, 80)
    """
    own = np.asarray(test, np.bool_)
    if own.shape != (data.n,):
        raise ValueError(f"expected a flag for each of {data.n} patients, got shape {own.shape}")
    training, tested = data.take(~own), data.take(own)
    size = tested.n, tested.events, training.n
    risks: dict[str, Floats] = {}
    for name, covariates in models.items():
        x = np.asarray(covariates, np.float64).reshape(data.n, -1)
        model = cox(training, x[~own], ties=ties)
        if isinstance(model, NoModel):
            return HeldOut(*size, {}, {}, {}, f"{name} cannot be fitted to the other patients: {model.reason}")
        if not tested.n:
            return HeldOut(*size, {}, {}, {}, "no patients")
        risks[name] = predicted_risk(model, x[own], horizon)
    measures = {name: _measured(tested, risk, horizon) for name, risk in risks.items()}
    first = next(iter(risks.values()))
    gains = {name: _gained(tested, risk, first, horizon) for name, risk in list(risks.items())[1:]}
    return HeldOut(*size, risks, measures, gains)


def _measured(data: SurvivalData, risk: Floats, horizon: float) -> dict[Measure, Estimate]:
    return {
        "harrell_c": harrell_c(data, risk),
        "auc": auc_at(data, risk, horizon),
        "brier": brier_score(data, risk, horizon),
        "observed_expected": observed_expected(data, risk, horizon),
        "slope": calibration_slope(data, risk, horizon),
    }


def _gained(data: SurvivalData, risk: Floats, other: Floats, horizon: float) -> dict[Measure, Estimate]:
    return {
        "harrell_c": harrell_c_difference(data, risk, other),
        "auc": auc_difference(data, risk, other, horizon),
        "brier": brier_difference(data, risk, other, horizon),
    }


def internal_external(
    data: SurvivalData,
    models: Mapping[str, ArrayLike],
    centre: ArrayLike,
    *,
    horizon: float,
    ties: Ties = "efron",
    progress: Progress = no_progress,
) -> dict[object, HeldOut]:
    """Return, by centre, the models of all other centres measured there: internal-external validation.

    Royston P, Parmar MKB, Sylvester R, Stat Med 2004;23:907-926; Steyerberg EW, Harrell FE, J Clin Epidemiol
    2016;69:245-247. ``centre`` (n,) any labels. Raises as ``measure_held_out``, and if there are fewer than 2 centres.

    Args:
        data: Follow-up.
        models: By name, their covariates (n, p).
        centre: (n,) the centre of each patient.
        horizon: A time in the unit of the data.
        ties: ``efron`` or ``breslow``.
        progress: Called with the numbers done and in all.

    Returns:
        What was measured, by centre.

    Raises:
        ValueError: As ``measure_held_out``, or there are fewer than 2 centres.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> calcium, noise = rng.normal(size=(2, 120))
        >>> time = rng.exponential(5 / np.exp(calcium))
        >>> data = SurvivalData(np.minimum(time, 5), time < 5)
        >>> found = internal_external(data, {"calcium": calcium}, np.repeat(["A", "B", "C"], 40), horizon=2)
        >>> [(centre, held_out.events) for centre, held_out in found.items()]
        [('A', 28), ('B', 23), ('C', 26)]
    """
    labels = np.asarray(centre)
    centres = np.unique(labels)
    if len(centres) < 2:
        raise ValueError(f"expected 2 centres or more, got {len(centres)}")
    found: dict[object, HeldOut] = {}
    for done, one in enumerate(centres, start=1):
        found[one.item()] = measure_held_out(data, models, labels == one, horizon=horizon, ties=ties)
        progress(done, len(centres))
    return found
