"""Small random cohorts with ties: each figure is a number or has a reason."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ctacal.statistics import survival
from ctacal.statistics.estimate import Estimate
from ctacal.statistics.hypothesis import HypothesisTest
from ctacal.statistics.survival.cox_model import CoxModel, NoModel, cox, predicted_curve, relative_hazard, robust_errors
from ctacal.statistics.survival.nri import bootstrap_reclassification
from ctacal.statistics.survival.proportional_hazards import schoenfeld_test
from ctacal.statistics.survival.survival_data import SurvivalData


def figures(value: Any) -> Iterator[Any]:
    """Every number, array, estimate and test within a result."""
    if isinstance(value, tuple | list):
        for part in value:
            yield from figures(part)
        return
    yield value
    if dataclasses.is_dataclass(value) and not isinstance(value, SurvivalData):
        for field in dataclasses.fields(value):
            yield from figures(getattr(value, field.name))


def check(result: Any) -> None:
    for value in figures(result):
        if isinstance(value, float | np.ndarray) and np.asarray(value).dtype.kind == "f":
            assert not np.isnan(value).any(), result
        if isinstance(value, Estimate):
            assert value.estimate is not None or value.reason, value
            assert value.low is None or value.high is None or value.low <= value.high, value
            assert (value.low is not None and value.high is not None) or value.reason, value
        if isinstance(value, HypothesisTest):
            assert value.statistic is not None or value.reason, value


def everything(data: SurvivalData, group: Any, old: Any, new: Any, horizon: float) -> Iterator[Any]:
    curve = survival.kaplan_meier(data)
    yield curve, curve.median(), curve.at(horizon), survival.median_follow_up(data), survival.event_rate(data)
    yield survival.restricted_mean(data, horizon)
    yield survival.logrank(data, group), survival.logrank_trend(data, group), survival.logrank_pairs(data, group)
    for c_index in (survival.harrell_c, survival.uno_c):
        yield c_index(data, new)
    yield survival.harrell_c_difference(data, new, old), survival.uno_c_difference(data, new, old)
    for by_horizon in (
        survival.auc_at,
        survival.brier_score,
        survival.prediction_accuracy,
        survival.observed_expected,
        survival.calibration_intercept,
        survival.calibration_slope,
        survival.calibration_groups,
    ):
        yield by_horizon(data, new, horizon)
    yield survival.auc_difference(data, new, old, horizon), survival.delong(data.event, new)
    yield survival.brier_difference(data, new, old, horizon)
    yield survival.decision_curve(data, new, horizon, [0.1, 0.5, 0.9])
    yield survival.net_reclassification(data, old, new, horizon, cutoffs=[0.2, 0.6], estimator="ipw")
    yield survival.net_reclassification(data, old, new, horizon)
    yield survival.discrimination_improvement(data, old, new, horizon)
    yield survival.reclassification_table(data, old, new, horizon, [0.5])


@pytest.mark.parametrize("seed", range(120))
def test_numbers_or_reasons(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 9))
    data = SurvivalData(rng.integers(0, 5, n), rng.random(n) < rng.choice([0.1, 0.5, 0.9]))
    group, old, new = rng.integers(0, 3, n), rng.integers(0, 5, n) / 4, rng.integers(0, 5, n) / 4
    for result in everything(data, group, old, new, float(rng.integers(0, 6))):
        check(result)


@pytest.mark.parametrize("seed", range(120))
def test_models_or_reasons(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 12))
    data = SurvivalData(rng.integers(0, 5, n), rng.random(n) < rng.choice([0.2, 0.5, 0.9]))
    x = rng.integers(0, 4, (n, int(rng.integers(1, 3)))).astype(float)
    model = cox(data, x, ties=rng.choice(["efron", "breslow"]))
    if isinstance(model, NoModel):
        assert model.reason
        return
    assert isinstance(model, CoxModel)
    assert np.isfinite(model.error).all() and (model.error > 0).all() and np.isfinite(robust_errors(model)).all()
    assert np.abs(model.coefficient).max() < 50
    check([model.hazard_ratio(0), model.likelihood_ratio, model.wald, model.score, relative_hazard(model, x, x[0])])
    check([schoenfeld_test(model, transform) for transform in ("km", "log")])
    check(predicted_curve(model, x[0]))
    check(bootstrap_reclassification(data, x[:, :1], x, x + 1, horizon=2.0, cutoffs=(0.3,), resamples=5))
