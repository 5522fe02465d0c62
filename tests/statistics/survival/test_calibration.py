"""Calibration and net benefit, compared with R's riskRegression, Python's dcurves and the jackknife."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from ctacal.arrays import Ints
from ctacal.statistics.estimate import Estimate, Z
from ctacal.statistics.survival.calibration import (
    Recalibration,
    brier_difference,
    brier_score,
    calibration_groups,
    calibration_intercept,
    calibration_slope,
    null_brier,
    observed_expected,
    observed_risk,
    prediction_accuracy,
    recalibrate,
)
from ctacal.statistics.survival.decision import decision_curve, net_benefit, net_benefit_difference
from ctacal.statistics.survival.discrimination import auc_at, delong
from ctacal.statistics.survival.reclassification import net_reclassification
from ctacal.statistics.survival.smooth_calibration import CalibrationCurve, calibration_curve
from ctacal.statistics.survival.survival_curve import kaplan_meier
from ctacal.statistics.survival.survival_data import SurvivalData
from tests.statistics.survival.oracle import columns, numbers, survival

PBC, RISK, R = survival("pbc"), columns("pbc_pred_t2000"), numbers("riskregression")
OLD, NEW = RISK["p_std"], RISK["p_new"]
THREE = SurvivalData([1, 2, 3], [1, 0, 0])


def error(estimate: Estimate) -> float:
    """Return the standard error from the width of the interval."""
    assert estimate.low is not None and estimate.high is not None
    return (estimate.high - estimate.low) / (2 * Z)


def test_brier_score_as_r() -> None:
    null, expected = null_brier(PBC, 2000), R["brier"]
    assert null.estimate == pytest.approx(expected[0]["Brier"], rel=1e-13)
    assert np.sqrt((null.influence**2).sum()) == pytest.approx(expected[0]["se"], rel=1e-4)
    for risk, row in ((OLD, expected[1]), (NEW, expected[2])):
        score = brier_score(PBC, risk, 2000)
        assert score.estimate == pytest.approx(row["Brier"], rel=1e-13)
        assert [score.low, score.high] == pytest.approx([row["lower"], row["upper"]], rel=1e-4)
        assert prediction_accuracy(PBC, risk, 2000).estimate == pytest.approx(row["IPA"], rel=1e-13)
    apart, row = brier_difference(PBC, NEW, OLD, 2000), R["brier_contrast"][2]
    assert apart.estimate == pytest.approx(row["delta.Brier"], rel=1e-11)
    assert error(apart) == pytest.approx(row["se"], rel=1e-5)


def test_calibration_as_r() -> None:
    expected = numbers("calibration")
    assert observed_expected(PBC, NEW, 2000).estimate == pytest.approx(expected["OE_km"], rel=1e-13)
    for risk in (OLD, NEW):  # Cox models of these very data: over the whole follow-up their slope is 1
        assert calibration_slope(PBC, risk, 5000).estimate == pytest.approx(expected["slope"], abs=1e-6)


def test_observed_risk_has_greenwoods_error() -> None:
    curve = kaplan_meier(PBC)
    row = int(np.searchsorted(curve.times, 2000, side="right")) - 1
    observed = observed_risk(PBC, 2000)
    assert observed.estimate == pytest.approx(1 - curve.survival[row], rel=1e-14)
    assert np.sqrt((observed.influence**2).sum()) == pytest.approx(curve.error[row], rel=1e-12)


def test_intercept_mends_the_mean_risk() -> None:
    for factor in (0.5, 0.8, 1.0):
        wrong = 1 - (1 - OLD) ** factor
        shift = calibration_intercept(PBC, wrong, 2000).estimate
        assert shift is not None
        mended = 1 - (1 - wrong) ** np.exp(shift)
        assert observed_expected(PBC, mended, 2000).estimate == pytest.approx(1, rel=1e-12)
    slope = calibration_slope(PBC, OLD, 2000).estimate
    too_even = 1 - np.exp(-np.sqrt(-np.log1p(-OLD)))
    assert slope is not None
    assert calibration_slope(PBC, too_even, 2000).estimate == pytest.approx(2 * slope, rel=1e-9)


@pytest.mark.parametrize(
    "statistic",
    [
        lambda rows: brier_score(PBC.take(rows), OLD[rows], 2000),
        lambda rows: prediction_accuracy(PBC.take(rows), OLD[rows], 2000),
        lambda rows: calibration_intercept(PBC.take(rows), OLD[rows], 2000),
        lambda rows: net_benefit(PBC.take(rows), OLD[rows], 2000, 0.3),
        lambda rows: net_benefit_difference(PBC.take(rows), OLD[rows], NEW[rows], 2000, 0.3),
    ],
)
def test_errors_as_the_jackknife(statistic: Callable[[Ints], Estimate]) -> None:
    rows = np.arange(PBC.n)
    left_out = np.array([statistic(np.delete(rows, row)).estimate for row in rows], float)
    jackknife = np.sqrt((PBC.n - 1) * left_out.var())
    assert error(statistic(rows)) == pytest.approx(jackknife, rel=0.02)


def test_error_of_observed_over_expected_as_the_jackknife() -> None:
    rows = np.arange(PBC.n)
    left_out = [
        observed_expected(PBC.take(kept), OLD[kept], 2000).estimate for kept in (np.delete(rows, row) for row in rows)
    ]
    whole = observed_expected(PBC, OLD, 2000)
    assert whole.low is not None and whole.high is not None
    jackknife = np.sqrt((PBC.n - 1) * np.log(np.array(left_out, float)).var())
    assert np.log(whole.high / whole.low) / (2 * Z) == pytest.approx(jackknife, rel=0.02)


def test_groups_hold_everybody_and_what_happened() -> None:
    groups = calibration_groups(PBC, OLD, 2000, 5)
    assert [group.n for group in groups] == [63, 62, 62, 62, 63]
    assert sum(group.n * group.predicted for group in groups) == pytest.approx(OLD.sum())
    assert all(a.highest < b.lowest for a, b in pairwise(groups))
    lowest = kaplan_meier(PBC.take(groups[0].highest >= OLD)).at(2000)
    assert lowest.estimate is not None and lowest.high is not None
    assert (groups[0].observed.estimate, groups[0].observed.low) == (1 - lowest.estimate, 1 - lowest.high)
    assert len(calibration_groups(PBC, np.full(312, 0.3), 2000)) == 1
    assert calibration_groups(SurvivalData([], []), [], 1) == ()


def test_decision_curve_as_dcurves() -> None:
    expected = numbers("dcurves")
    for name in ("p_std", "p_new"):
        curve = decision_curve(PBC, RISK[name], 2000, expected["thresholds"])
        benefit = [point.net_benefit.estimate for point in curve]
        assert benefit == pytest.approx(expected["net_benefit"][name], abs=1e-14)
        everybody = [point.treat_all.estimate for point in curve]
        assert everybody == pytest.approx(expected["net_benefit"]["all"], abs=1e-14)
        assert curve[2].share_treated == (RISK[name] >= 0.3).mean()


def test_without_censoring_everything_is_a_plain_mean() -> None:
    rng = np.random.default_rng(4)
    time, risk = rng.exponential(size=300), rng.random(300)
    data, died = SurvivalData(time, np.ones(300)), time <= 1
    assert brier_score(data, risk, 1).estimate == pytest.approx(((died - risk) ** 2).mean(), rel=1e-12)
    treated = risk >= 0.2
    expected = (treated & died).mean() - (treated & ~died).mean() * 0.25
    assert net_benefit(data, risk, 1, 0.2).estimate == pytest.approx(expected, rel=1e-12)
    assert observed_expected(data, risk, 1).estimate == pytest.approx(died.mean() / risk.mean(), rel=1e-12)


def test_reasons() -> None:
    alive, risk = SurvivalData([1, 2, 3], [0, 0, 0]), [0.1, 0.2, 0.3]
    for statistic in (brier_score, prediction_accuracy, observed_expected, calibration_intercept, calibration_slope):
        assert statistic(alive, risk, 2).reason == "no event by 2 years"
        assert statistic(SurvivalData([], []), [], 2).reason == "no patients"
    assert net_benefit(alive, risk, 2, 0.1).reason == "no event by 2 years"
    assert brier_difference(alive, risk, risk, 2).reason == "no event by 2 years"
    assert observed_expected(THREE, [0, 0, 0], 2).reason == "all risks are 0"
    assert calibration_intercept(THREE, [0, 0.5, 1], 2).reason.startswith("2 patients have a risk of exactly 0 or 1")
    assert calibration_slope(THREE, risk, 2).reason.startswith("the risk: no finite coefficient")
    assert calibration_slope(THREE, [0.2, 0.2, 0.2], 2).reason.startswith("the risk: does not differ")
    nobody = net_benefit(PBC, OLD * 0.1, 2000, 0.5)
    assert (nobody.estimate, nobody.low, nobody.high) == (0, 0, 0)
    assert nobody.reason == "nothing varies: the interval has no width"
    assert (
        net_benefit(PBC, OLD, 2000, 0.99).reason == "those with a risk of 0.99 or more are followed to 1765 days only"
    )
    with pytest.raises(ValueError, match="between 0 and 1, got 1"):
        net_benefit(PBC, OLD, 2000, 1)
    with pytest.raises(ValueError, match="1 group or more"):
        calibration_groups(PBC, OLD, 2000, 0)


@pytest.mark.slow
def test_follow_up_that_ends_on_the_horizon_is_known() -> None:
    """All of these prisoners were followed for 52 weeks, or to their arrest: every outcome is known."""
    data, week = survival("rossi", "week", "arrest"), 52
    risk = np.clip(columns("rossi")["prio"] / 20, 0.01, 0.99)
    assert brier_score(data, risk, week).estimate == pytest.approx(((data.event - risk) ** 2).mean(), rel=1e-12)
    assert auc_at(data, risk, week).estimate == pytest.approx(delong(data.event, risk).estimate, rel=1e-13)
    up, died = columns("rossi")["prio"] > 2, data.event
    nri = net_reclassification(data, np.full(432, 0.1), np.where(up, 0.2, 0.05), week, estimator="ipw").total.estimate
    assert nri == pytest.approx(2 * (up[died].mean() - up[~died].mean()), rel=1e-12)


def test_recalibration_as_r() -> None:
    rows = OLD < 0.999
    data, risk = PBC.take(rows), OLD[rows]
    found, expected = recalibrate(data, risk, 2000), numbers("evidence")["recalibrated"]
    assert isinstance(found, Recalibration)
    assert found.slope.estimate == pytest.approx(expected["slope"], rel=1e-9)
    assert found.intercept == pytest.approx(expected["intercept"], rel=1e-8)
    again = found.intercept + expected["slope"] * np.log(-np.log1p(-risk))
    np.testing.assert_allclose(found.risk, -np.expm1(-np.exp(again)), rtol=1e-9)


def test_recalibration_mends_level_and_spread() -> None:
    """Risks that are halved and pulled together: afterwards observed / expected and slope are 1."""
    rows = OLD < 0.999
    data, risk = PBC.take(rows), 0.5 * OLD[rows] ** 0.5
    assert abs((calibration_slope(data, risk, 2000).estimate or 0) - 1) > 0.2
    found = recalibrate(data, risk, 2000)
    assert isinstance(found, Recalibration)
    assert calibration_slope(data, found.risk, 2000).estimate == pytest.approx(1, abs=1e-9)
    assert observed_expected(data, found.risk, 2000).estimate == pytest.approx(1, abs=1e-9)
    assert (brier_score(data, found.risk, 2000).estimate or 1) < (brier_score(data, risk, 2000).estimate or 0)


def test_no_recalibration_without_events_or_of_risks_upside_down() -> None:
    assert recalibrate(PBC, NEW * 0.9, 1) == "no event by 1 days"
    assert "higher risks did not mean more events" in str(recalibrate(PBC, 0.01 + 0.5 * (1 - NEW), 2000))
    assert "exactly 0 or 1" in str(recalibrate(THREE, [0.2, 0.0, 0.1], 2))


def test_smooth_curve_as_r() -> None:
    rows = OLD < 0.999
    found, expected = calibration_curve(PBC.take(rows), OLD[rows], 2000), numbers("evidence")["curve"]
    assert isinstance(found, CalibrationCurve)
    for name in ("predicted", "observed", "low", "high"):
        np.testing.assert_allclose(getattr(found, name), expected[name], rtol=2e-8)
    assert found.average_error == pytest.approx(expected["average_error"], rel=1e-8)
    assert found.large_error == pytest.approx(expected["large_error"], rel=1e-8)


def test_smooth_curve_of_few_different_risks_is_a_line_and_reasons() -> None:
    two = np.where(OLD > 0.3, 0.5, 0.1)
    line = calibration_curve(PBC, two, 2000)
    assert isinstance(line, CalibrationCurve)
    assert (np.diff(line.observed) > 0).all()
    assert calibration_curve(PBC, two, 1) == "no event by 1 days"
    assert calibration_curve(PBC, np.full(312, 0.2), 2000) == (
        "spline 1: does not differ among patients at risk when events happen"
    )
    assert "exactly 0 or 1" in str(calibration_curve(PBC, np.where(OLD > 0.9, 1.0, OLD), 2000))
