"""Pooling over imputations against R's mice (``imputed.R``), and NRI over imputations against that of one set."""

import numpy as np
import pytest

from ctacal.statistics.estimate import Estimate, Z
from ctacal.statistics.survival import (
    SurvivalData,
    bootstrap_reclassification,
    imputed_reclassification,
    needed_imputations,
    pool,
    pool_estimates,
    pooled_test,
)
from tests.statistics.survival import oracle


@pytest.mark.parametrize("name", ["three", "one", "small"])
def test_pooled_test_of_several_coefficients(name: str) -> None:
    expected = oracle.numbers("imputed")[name]
    coefficients = np.array(expected["coef"], float)
    coefficients = coefficients.reshape(len(expected["var"]), -1)
    count = coefficients.shape[1]
    covariances = np.array(expected["var"], float).reshape(-1, count, count)
    test = pooled_test(coefficients, covariances)
    assert test.df == count == expected["df1"]
    assert (test.statistic or 0) / count == pytest.approx(expected["f"], rel=1e-10)


def test_one_coefficient_is_rubins_rule() -> None:
    estimates, errors = [0.3, 0.5, 0.2, 0.45], [0.2, 0.21, 0.19, 0.22]
    test = pooled_test(np.array(estimates)[:, None], np.array(errors)[:, None, None] ** 2)
    assert test.p == pytest.approx(pool(np.array(estimates)[:, None], np.array(errors)[:, None]).p[0], rel=1e-10)


def test_estimates_are_pooled_on_their_scale() -> None:
    logs = np.array([0.1, 0.3, -0.2])
    ratios = [Estimate(float(np.exp(b)), float(np.exp(b - 0.5)), float(np.exp(b + 0.5)), "m", 9) for b in logs]
    found, expected = pool_estimates(ratios, scale="log"), pool(logs[:, None], np.full((3, 1), 0.5 / Z))
    assert found.estimate == pytest.approx(np.exp(expected.estimate[0]))
    assert found.high == pytest.approx(np.exp(expected.high[0]))
    share = [Estimate(0.2, 0.15, 0.26, "m", 9)] * 2
    again = pool_estimates(share, scale="cloglog")
    assert (again.estimate, again.low) == (pytest.approx(0.2), pytest.approx(0.15, abs=0.003))
    assert pool_estimates([*share, Estimate(None, None, None, "m", 9, "no events")]).reason == "no events"
    assert "0 or 1 in an imputation" in pool_estimates([Estimate(0.0, 0.0, 0.1, "m", 9)] * 2, scale="log").reason


def test_number_of_imputations() -> None:
    assert [needed_imputations(share) for share in (0.0, 0.1, 0.11, 0.07 + 0.01 + 0.2, 1.0)] == [10, 10, 11, 28, 100]


def test_equal_sets_give_the_figures_of_one() -> None:
    rng = np.random.default_rng(3)
    x, marker = rng.normal(size=400), rng.integers(0, 2, 400).astype(float)
    event, end = rng.exponential(8 * np.exp(-0.5 * x - 1.2 * marker)), rng.uniform(1, 6, 400)
    data = SurvivalData(np.minimum(event, end), event <= end)
    given = {"reference": x[:, None], "model": np.column_stack([marker, x])}
    one = bootstrap_reclassification(data, *given.values(), horizon=3, cutoffs=(0.1, 0.3), resamples=200, seed=1)
    test = pooled_test([[1.2], [1.2]], [[[0.04]], [[0.04]]])
    study = imputed_reclassification(
        data, [given] * 2, {"model": test}, horizon=3, cutoffs=(0.1, 0.3), resamples=400, seed=1
    )
    for kind in ("category-free", "categorical"):
        whole, single = (found.find("model", kind, "kaplan-meier") for found in (study, one))
        assert whole.total.estimate == pytest.approx(single.total.estimate)
        width, other = ((found.total.high or 0) - (found.total.low or 0) for found in (whole, single))
        assert width == pytest.approx(other, rel=0.25)
        assert whole.if_useless is not None and whole.if_useless.p < 0.05
    alone = study.find("model", "IDI", "ipw").total
    assert alone.low is None and "held the truth in only" in alone.reason
    nothing = pooled_test([[0.1], [0.1]], [[[0.04]], [[0.04]]])
    withheld = imputed_reclassification(data, [given] * 2, {"model": nothing}, horizon=3, resamples=50)
    assert withheld.find("model", "category-free", "ipw").total.low is None
