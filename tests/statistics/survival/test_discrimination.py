"""Discrimination, compared with R (survival, timeROC, riskRegression, pROC, survC1) and the jackknife."""

from collections.abc import Callable

import numpy as np
import pytest

from ctacal.arrays import Ints
from ctacal.statistics.estimate import Estimate, Z
from ctacal.statistics.survival.cox_model import CoxModel, cox
from ctacal.statistics.survival.discrimination import (
    auc_at,
    auc_difference,
    delong,
    delong_difference,
    harrell_c,
    harrell_c_difference,
    p_value,
    roc_at,
    uno_c,
    uno_c_difference,
)
from ctacal.statistics.survival.survival_data import SurvivalData
from tests.statistics.survival.oracle import columns, numbers, survival

PBC, RISK, CINDEX = survival("pbc"), columns("pbc_pred_t2000"), numbers("cindex")
OLD, NEW = RISK["p_std"], RISK["p_new"]


def error(estimate: Estimate) -> float:
    """Return the standard error from the width of the interval."""
    assert estimate.low is not None and estimate.high is not None
    return (estimate.high - estimate.low) / (2 * Z)


@pytest.mark.parametrize("key", sorted(numbers("cox")["fits"]))
def test_concordance_as_r(key: str) -> None:
    expected, formula = numbers("cox")["fits"][key], numbers("cox")["formulae"][key.split(".")[0]]
    dataset, ties = key.split(".")
    data = survival(dataset, formula["time"], formula["event"])
    model = cox(data, np.column_stack([columns(dataset)[name] for name in formula["x"]]), ties=ties)  # type: ignore[arg-type]
    assert isinstance(model, CoxModel)
    score = model.linear_predictor(model.covariates)
    harrell = harrell_c(data, score)
    assert harrell.estimate == pytest.approx(expected["cindex"], rel=1e-13)
    assert error(harrell) == pytest.approx(expected["cindex_se"], rel=1e-12)
    assert uno_c(data, score).estimate == pytest.approx(expected["uno_c_nG2"], rel=1e-13)


def test_paired_concordance_as_r() -> None:
    apart = harrell_c_difference(PBC, NEW, OLD)
    assert apart.estimate == pytest.approx(CINDEX["harrell_delta"], rel=1e-12)
    assert error(apart) == pytest.approx(CINDEX["harrell_delta_se"], rel=1e-12)
    assert p_value(apart) == pytest.approx(CINDEX["harrell_delta_p"], rel=1e-11)


def test_uno_as_survc1() -> None:
    """survC1 leaves out pairs of one day, and its errors come from perturbations that also refit the Cox models."""
    for risk, name in ((OLD, "std"), (NEW, "new")):
        assert uno_c(PBC, risk, 2000).estimate == pytest.approx(CINDEX["uno_tau2000"][name], abs=1e-5)
    errors = {row["_row"]: row["SE"] for row in CINDEX["uno_inf_delta"]}
    assert error(uno_c(PBC, OLD, 2000)) == pytest.approx(errors["Model0"], rel=0.05)


@pytest.mark.parametrize("place", [1, 2])
def test_auc_as_timeroc(place: int) -> None:
    """At 1,000 days timeROC leaves out the patient who died on that very day."""
    expected, horizon = numbers("timeroc"), numbers("timeroc")["times"][place]
    for risk, name in ((OLD, "std"), (NEW, "new")):
        auc = auc_at(PBC, risk, horizon)
        assert auc.estimate == pytest.approx(expected[f"auc_{name}"][place], rel=1e-13)
        assert error(auc) == pytest.approx(expected[f"se_{name}"][place], rel=1e-5)
    assert p_value(auc_difference(PBC, NEW, OLD, horizon)) == pytest.approx(expected["compare_p"][place], rel=1e-4)


def test_auc_as_riskregression() -> None:
    expected = numbers("riskregression")
    for risk, row in ((OLD, expected["auc"][0]), (NEW, expected["auc"][1])):
        auc = auc_at(PBC, risk, 2000)
        assert auc.estimate == pytest.approx(row["AUC"], rel=1e-13)
        assert [auc.low, auc.high] == pytest.approx([row["lower"], row["upper"]], rel=1e-6)
    apart, row = auc_difference(PBC, NEW, OLD, 2000), expected["auc_contrast"][0]
    assert apart.estimate == pytest.approx(row["delta.AUC"], rel=1e-12)
    assert error(apart) == pytest.approx(row["se"], rel=1e-5)


def test_delong_as_proc() -> None:
    died, expected = PBC.event & (PBC.time <= 2000), numbers("delong")
    auc = delong(died, OLD)
    assert [auc.low, auc.estimate, auc.high] == pytest.approx(expected["ci1"], rel=1e-13)
    assert delong(died, NEW).estimate == pytest.approx(expected["auc2"], rel=1e-13)
    assert p_value(delong_difference(died, OLD, NEW)) == pytest.approx(expected["p"], rel=1e-12)


@pytest.mark.parametrize(
    "statistic",
    [
        lambda rows: uno_c(PBC.take(rows), OLD[rows], 2000),
        lambda rows: uno_c_difference(PBC.take(rows), NEW[rows], OLD[rows], 2000),
        lambda rows: auc_at(PBC.take(rows), OLD[rows], 2000),
    ],
)
def test_errors_as_the_jackknife(statistic: Callable[[Ints], Estimate]) -> None:
    rows = np.arange(PBC.n)
    left_out = np.array([statistic(np.delete(rows, row)).estimate for row in rows], float)
    jackknife = np.sqrt((PBC.n - 1) * left_out.var())
    assert error(statistic(rows)) == pytest.approx(jackknife, rel=0.02)


def test_count_of_pairs_is_that_of_a_double_loop() -> None:
    rng = np.random.default_rng(0)
    time, event, risk = rng.integers(1, 15, 80), rng.random(80) < 0.5, rng.integers(0, 6, 80)
    counted = concordant = 0.0
    for i in range(80):
        for j in range(80):
            if event[i] and (time[i] < time[j] or (time[i] == time[j] and not event[j])):
                counted += 1
                concordant += (risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j])
    assert harrell_c(SurvivalData(time, event), risk).estimate == pytest.approx(concordant / counted, rel=1e-14)


def test_area_under_the_curve_is_the_auc() -> None:
    curve = roc_at(PBC, OLD.round(1), 2000)
    area = np.trapezoid(curve.sensitivity, 1 - curve.specificity)
    assert area == pytest.approx(auc_at(PBC, OLD.round(1), 2000).estimate, rel=1e-12)
    assert [curve.sensitivity[0], curve.specificity[0]] == [0, 1]
    assert [curve.sensitivity[-1], curve.specificity[-1]] == pytest.approx([1, 0])


def test_without_censoring_auc_is_delong() -> None:
    rng = np.random.default_rng(2)
    time, risk = rng.exponential(size=200), rng.random(200).round(1)
    auc = auc_at(SurvivalData(time, np.ones(200)), risk, 1)
    assert auc.estimate == pytest.approx(delong(time <= 1, risk).estimate, rel=1e-13)
    assert error(auc) == pytest.approx(error(delong(time <= 1, risk)), rel=0.01)


def test_reasons() -> None:
    alive, all_died = SurvivalData([1, 2, 3], [0, 0, 0]), SurvivalData([1, 2, 3], [1, 1, 1])
    assert harrell_c(alive, [1, 2, 3]).reason == "no two patients whose order is known"
    assert harrell_c(SurvivalData([], []), []).reason == "no patients"
    assert uno_c(all_died, [1, 2, 3], 0.5).reason == "no two patients whose order is known"
    same = harrell_c(all_died, [1, 1, 1])
    assert (same.estimate, same.low, same.high) == (0.5, 0.5, 0.5)
    assert same.reason == "nothing varies: the interval has no width"
    assert harrell_c_difference(alive, [1, 2, 3], [3, 2, 1]).estimate is None
    assert auc_at(all_died, [1, 2, 3], 5).reason == "follow-up ends at 3 years, before 5"
    assert auc_at(all_died, [1, 2, 3], 3).reason == "nobody was followed to 3 years without the event"
    assert roc_at(alive, [1, 2, 3], 2).reason == "no event by 2 years"
    assert delong([1, 1], [1, 2]).reason == "all had the event"
    assert delong([0, 0], [1, 2]).reason == "nobody had the event"
    assert p_value(same) is None
    perfect = auc_at(all_died, [3, 2, 1], 2)
    assert (perfect.estimate, perfect.low, perfect.high) == (1, 1, 1)
    with pytest.raises(ValueError, match="for each of 3 patients"):
        harrell_c(alive, [1, 2])
    with pytest.raises(ValueError, match="0 or 1"):
        delong([0, 2], [1, 2])
