"""Effects that change with time against R's tt() and survSplit (``methods.R``)."""

from typing import Any

import numpy as np
import pytest

from ctacal.statistics.survival import ChangingEffect, NoModel, SurvivalData, Ties, changing_effect
from tests.statistics.survival import oracle


def veteran() -> tuple[SurvivalData, Any, Any]:
    table = oracle.columns("veteran")
    group = (table["squamous"] + 2 * table["smallcell"]).astype(int)
    return oracle.survival("veteran"), group, np.column_stack([table["age"], table["karno"]])


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("kind", ["log", "split"])
def test_both_functions_of_time(kind: str, ties: Ties) -> None:
    data, group, covariates = veteran()
    model = changing_effect(data, group, covariates, split=90.0 if kind == "split" else None, ties=ties)
    assert isinstance(model, ChangingEffect)
    expected = oracle.numbers("methods")["changing"][ties]
    own = expected[kind]
    np.testing.assert_allclose([*model.coefficient, *model.change], own["coef"], rtol=1e-8)
    np.testing.assert_allclose(model.covariance, own["var"], rtol=1e-7, atol=1e-10)
    assert model.log_likelihood == pytest.approx(own["loglik"], rel=1e-12)
    assert model.test.statistic == pytest.approx(2 * (own["loglik"] - expected["constant"]), rel=1e-8)
    late = model.hazard_ratio(2, 200.0).estimate
    g = np.log(200.0) if kind == "log" else 1.0
    assert late == pytest.approx(np.exp(own["coef"][1] + g * own["coef"][5]), rel=1e-8)
    wald = own["coef"][5] ** 2 / own["var"][5][5]
    assert model.change_test(2).statistic == pytest.approx(wald, rel=1e-7)


def test_time_at_the_split_is_before_it() -> None:
    data, group, covariates = veteran()
    model = changing_effect(data, group, covariates, split=90.0)
    assert isinstance(model, ChangingEffect)
    assert model.hazard_ratio(1, 90.0) == model.hazard_ratio(1, 3.0) != model.hazard_ratio(1, 90.1)


@pytest.mark.parametrize(
    ("time", "event", "split", "reason"),
    [
        ([0.0, 1, 2, 3], [1, 1, 0, 1], None, "time 0 has no logarithm"),
        ([1.0, 2, 3, 4], [1, 1, 1, 0], 9.0, "no event after 9 years"),
        ([1.0, 2, 3, 4], [1, 1, 1, 0], 0.5, "no event until 0.5 years"),
        ([1.0, 2, 3, 4], [0, 0, 0, 0], None, "no events"),
        ([1.0, 2, 3, 4], [1, 1, 0, 0], 1.5, "separated"),
    ],
)
def test_what_has_no_model(time: list[float], event: list[int], split: float | None, reason: str) -> None:
    model = changing_effect(SurvivalData(time, event), [0, 0, 1, 1], split=split)
    assert isinstance(model, NoModel) and reason in model.reason


def test_a_group_with_events_at_one_side_only() -> None:
    data = SurvivalData([1.0, 2, 3, 4, 5, 6, 7, 8], [1, 1, 1, 1, 1, 1, 1, 0])
    model = changing_effect(data, [0, 0, 1, 0, 0, 1, 0, 1], split=2.5)
    assert isinstance(model, NoModel) and "one side only" in model.reason
    with pytest.raises(ValueError, match="a whole number from 0"):
        changing_effect(data, [0, 0.5, 1, 0, 0, 1, 0, 1])
