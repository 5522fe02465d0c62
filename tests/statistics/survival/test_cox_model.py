"""Against R's coxph, survfit and cox.zph (``cox.json``, ``coxzph.json``, ``more.json``), and data without a model."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from ctacal.statistics.survival.cox_model import (
    CoxModel,
    NoModel,
    Ties,
    baseline_hazard,
    compare,
    cox,
    joint_wald,
    predicted_curve,
    predicted_risk,
    predicted_survival,
    relative_hazard,
    robust_errors,
    score_residuals,
)
from ctacal.statistics.survival.proportional_hazards import schoenfeld_test
from ctacal.statistics.survival.splines import spline_basis, spline_knots
from ctacal.statistics.survival.survival_data import SurvivalData
from tests.statistics.survival.oracle import columns, numbers, survival

R, MORE = numbers("cox"), numbers("more")
FITS = sorted(R["fits"])


def fit(dataset: str, ties: Ties = "efron", **options: ArrayLike) -> CoxModel:
    formula = R["formulae"][dataset]
    x = np.column_stack([columns(dataset)[name] for name in formula["x"]])
    data = survival(dataset, formula["time"], formula["event"])
    return fitted(cox(data, x, formula["x"], ties=ties, **options))


def fitted(model: CoxModel | NoModel) -> CoxModel:
    assert isinstance(model, CoxModel), model.reason
    return model


def floats(values: Iterable[float | None]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(list(values), np.float64)


def of(expected: dict[str, Any], key: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(list(expected[key].values()))


@pytest.mark.parametrize("key", FITS)
def test_fit_as_r(key: str) -> None:
    dataset, ties = key.split(".")
    expected, model = R["fits"][key], fit(dataset, ties)  # type: ignore[arg-type]
    assert (model.n, model.events) == (expected["n"], expected["nevent"])
    assert np.abs((model.coefficient - of(expected, "coef")) / of(expected, "se")).max() < 5e-14
    np.testing.assert_allclose(model.error, of(expected, "se"), rtol=1e-13)
    np.testing.assert_allclose(model.z, of(expected, "z"), rtol=1e-12)
    np.testing.assert_allclose(model.p, of(expected, "p"), rtol=1e-11)
    ratios = [model.hazard_ratio(name) for name in model.names]
    np.testing.assert_allclose(floats(ratio.low for ratio in ratios), of(expected, "hr_lo"), rtol=1e-13)
    np.testing.assert_allclose(floats(ratio.high for ratio in ratios), of(expected, "hr_hi"), rtol=1e-13)
    assert model.log_likelihood == pytest.approx(expected["loglik"], rel=1e-13)
    assert model.log_likelihood_null == pytest.approx(expected["loglik_null"], rel=1e-13)
    assert model.likelihood_ratio.statistic == pytest.approx(expected["lr"], rel=1e-12)
    assert model.score.statistic == pytest.approx(expected["score"], rel=1e-12)
    assert model.wald.statistic == pytest.approx(expected["wald"], abs=0.005)  # R prints two digits of it
    assert model.aic == pytest.approx(expected["aic"], rel=1e-13)
    np.testing.assert_allclose(robust_errors(model), of(expected, "robust_se"), rtol=1e-12)


@pytest.mark.parametrize("key", FITS)
def test_baseline_hazard_as_r(key: str) -> None:
    dataset, ties = key.split(".")
    expected, own = R["fits"][key], baseline_hazard(fit(dataset, ties))  # type: ignore[arg-type]
    row = np.searchsorted(own.times, expected["basehaz_t"], side="right") - 1
    np.testing.assert_allclose(own.hazard[row], expected["basehaz"], rtol=1e-13)


@pytest.mark.parametrize("key", sorted(numbers("coxzph")["tests"]))
def test_proportional_hazards_as_r(key: str) -> None:
    dataset, ties, transform = key.split(".")
    expected = numbers("coxzph")["tests"][key]
    result = schoenfeld_test(fit(dataset, ties), transform)  # type: ignore[arg-type]
    tests = (*result.tests, result.overall)
    np.testing.assert_allclose(floats(test.statistic for test in tests), of(expected, "chisq"), rtol=4e-13)
    np.testing.assert_allclose(floats(test.p for test in tests), of(expected, "p"), rtol=4e-13)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_weights_and_curves_as_r(ties: Ties) -> None:
    expected = MORE["weighted_rossi"][ties]
    weighted = fit("rossi", ties, weights=(np.arange(1, 433) * 7) % 4)
    assert np.abs((weighted.coefficient - expected["coef"]) / expected["se"]).max() < 5e-14
    np.testing.assert_allclose(weighted.error, expected["se"], rtol=1e-13)
    np.testing.assert_allclose([weighted.log_likelihood_null, weighted.log_likelihood], expected["loglik"], rtol=1e-13)
    expected, model = MORE["rossi_curves"][ties], fit("rossi", ties)
    curve = predicted_curve(model, [1, 30, 1, 0, 0, 1, 2])
    row = np.searchsorted(curve.times, expected["time"])
    for ours, theirs in (("survival", "surv"), ("error", "se"), ("low", "lower"), ("high", "upper")):
        np.testing.assert_allclose(getattr(curve, ours)[row], expected[theirs], rtol=1e-13)
    np.testing.assert_allclose(baseline_hazard(model).hazard, expected["base_hazard"], rtol=1e-13)
    survived = predicted_survival(model, [[1, 30, 1, 0, 0, 1, 2]], [0, *expected["time"]])
    np.testing.assert_allclose(survived, [[1, *expected["surv"]]], rtol=1e-13)


def test_breslow_weights_are_copies_of_a_patient() -> None:
    table, times = columns("veteran"), np.arange(137) % 3
    data, x = survival("veteran"), np.column_stack([table["karno"], table["trt"]])
    weighted = fitted(cox(data, x, ties="breslow", weights=times))
    copies = np.repeat(np.arange(137), times)
    copied = fitted(cox(data.take(copies), x[copies], ties="breslow"))
    np.testing.assert_allclose(weighted.coefficient, copied.coefficient, rtol=1e-12)
    assert weighted.log_likelihood == pytest.approx(copied.log_likelihood, rel=1e-13)


def test_nested_models_and_joint_test_as_r() -> None:
    larger = fit("rossi")
    smaller = fitted(cox(larger.data, larger.covariates[:, [0, 1, 6]], ["fin", "age", "prio"]))
    gain = compare(smaller, larger)
    assert (gain.statistic, gain.df) == (pytest.approx(MORE["rossi_nested"]["lr"], rel=1e-11), 4)
    wald = joint_wald(larger, ["race", "wexp", "mar", "paro"])
    assert wald.statistic == pytest.approx(MORE["rossi_nested"]["wald"], rel=1e-12)
    with pytest.raises(ValueError, match="larger model second"):
        compare(larger, smaller)


def test_scaled_residuals_as_r() -> None:
    result, expected = schoenfeld_test(fit("rossi")), MORE["rossi_zph_residuals"]
    np.testing.assert_array_equal(result.times, expected["time"])
    np.testing.assert_allclose(result.residuals[[0, -1]], [expected["first"], expected["last"]], rtol=1e-12)
    np.testing.assert_allclose(result.residuals.sum(axis=0), expected["sum"], rtol=1e-12)


def test_predictions_belong_together() -> None:
    model = fit("pbc")
    x = model.covariates
    assert predicted_risk(model, x, 0).max() == 0
    np.testing.assert_allclose(predicted_risk(model, x[:3], 2000), 1 - predicted_survival(model, x[:3], 2000)[:, 0])
    np.testing.assert_allclose(score_residuals(model).sum(axis=0) * model.error, 0, atol=1e-10)
    by_10_years = relative_hazard(model, x[:1] + [10, 0, 0, 0, 0, 0], x[0])[0]
    age = model.hazard_ratio("age")
    assert age.low is not None and age.high is not None
    assert [by_10_years.low, by_10_years.high] == pytest.approx([age.low**10, age.high**10])


@pytest.mark.parametrize(("names", "column"), [(3, "p_std_step"), (4, "p_new_step")])
def test_predicted_risk_as_r(names: int, column: str) -> None:
    x = np.column_stack([columns("pbc")[name] for name in ("age", "lbili", "albumin", "protime")[:names]])
    risk = predicted_risk(fitted(cox(survival("pbc"), x)), x, 2000)
    np.testing.assert_allclose(risk, columns("pbc_pred_t2000")[column], rtol=3e-9)  # R had stopped iterating early


def test_splines_as_hmisc() -> None:
    bilirubin = columns("pbc")["bili"]
    for number, expected in zip(range(3, 8), MORE["splines"], strict=True):
        np.testing.assert_allclose(spline_knots(bilirubin, number), expected["knots"], rtol=1e-14)
        np.testing.assert_allclose(spline_basis(bilirubin, expected["knots"])[:5], expected["rows"], rtol=1e-12)
    with pytest.raises(ValueError, match="knots must rise"):
        spline_knots([0] * 60 + [1] * 40)
    with pytest.raises(ValueError, match="3 to 7"):
        spline_knots([1, 2, 3], 2)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (lambda x, t, e: np.full(200, 7.1), "new: does not differ among patients at risk when events happen"),
        (lambda x, t, e: t < t[e].min(), "new: does not differ among patients at risk when events happen"),
        (lambda x, t, e: 2 * x[:, 0] - x[:, 1] + 3, "new: can be computed from the covariates before it"),
        (lambda x, t, e: e, "new: no finite coefficient, patients with events and the others are separated"),
        (lambda x, t, e: t < 0.3, "new: no finite coefficient, patients with events and the others are separated"),
        (lambda x, t, e: ~e & (t > 0.5), "new: no finite coefficient, patients with events and the others are"),
    ],
)
def test_covariates_without_a_coefficient(column: Any, reason: str) -> None:
    rng = np.random.default_rng(0)
    t, e, x = rng.exponential(size=200), rng.random(200) < 0.5, rng.normal(size=(200, 2))
    model = cox(SurvivalData(t, e), np.column_stack([x, column(x, t, e)]), ["a", "b", "new"])
    assert isinstance(model, NoModel)
    assert model.reason.startswith(reason)


def test_too_little_for_a_model() -> None:
    def reason(time: list[float], event: list[int], x: ArrayLike) -> str:
        model = cox(SurvivalData(time, event), x)
        assert isinstance(model, NoModel)
        return model.reason

    assert reason([1, 2, 3], [0, 0, 0], [1, 2, 3]) == "no events"
    assert reason([], [], np.zeros((0, 1))) == "no patients"
    assert reason([1], [1], [3.0]).startswith("x1: does not differ")
    assert reason([1, 2, 3], [1, 1, 1], [3, 2, 1]).startswith("x1: no finite coefficient")
    assert reason([1, 2, 3], [1, 1, 0], np.eye(3)[:, :2] + 0.1).startswith("x1, x2: no finite")
    assert fitted(cox(SurvivalData([1, 2, 3], [1, 1, 1]), [2, 1, 2])).coefficient[0] == pytest.approx(-np.log(2) / 2)


def test_no_test_of_proportional_hazards_without_a_trend_in_time() -> None:
    at_once = fitted(cox(SurvivalData([1, 1, 2, 3], [1, 1, 0, 0]), [1, 2, 3, 1]))
    assert schoenfeld_test(at_once).overall.reason == "all events happened at one time"
    from_0 = fitted(cox(SurvivalData([0, 1, 2, 3], [1, 1, 1, 0]), [1, 2, 1, 2]))
    assert schoenfeld_test(from_0, "log").tests[0].reason == "an event at time 0 has no logarithm"


def test_large_and_small_scales_give_the_same_fit() -> None:
    model = fit("lung")
    scaled = fitted(cox(model.data, model.covariates * [1e6, 1e-6, 1, 1] + [0, 5, 0, 0]))
    np.testing.assert_allclose(scaled.coefficient * [1e6, 1e-6, 1, 1], model.coefficient, rtol=1e-9)


def test_wrong_input_is_named() -> None:
    data = SurvivalData([1, 2], [1, 1])
    with pytest.raises(ValueError, match="of 2 patients, got 1"):
        cox(data, [[1.0]])
    with pytest.raises(ValueError, match=r"row 1 column 0 \(from 0\) is nan"):
        cox(data, [[1.0], [np.nan]])
    with pytest.raises(ValueError, match="a name for each"):
        cox(data, [[1.0], [2.0]], ["a", "b"])
    with pytest.raises(ValueError, match="finite weights"):
        cox(data, [[1.0], [2.0]], weights=[1, -1])
    with pytest.raises(ValueError, match="no covariate 'calcium'"):
        fit("lung").hazard_ratio("calcium")


def test_large_cohorts_reach_the_same_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit that starts from a tenth of the patients."""
    expected = fit("colon")
    monkeypatch.setattr("ctacal.statistics.survival.cox_model._MANY", 100)
    np.testing.assert_allclose(fit("colon").coefficient, expected.coefficient, rtol=1e-11)
    few_events = SurvivalData(np.arange(1, 401), np.arange(400) % 90 == 7)  # none or one in the tenth
    assert np.isfinite(fitted(cox(few_events, np.sin(np.arange(400)))).coefficient).all()


def test_a_far_first_step_is_taken_back() -> None:
    """One patient of extreme value: Newton's first steps overshoot."""
    rng = np.random.default_rng(8)
    time, x = rng.exponential(size=300), rng.normal(size=300)
    x[np.argmin(time)] = 1e4
    x[np.argsort(time)[5:8]] = [-1e4, 5e3, 2e4]
    model = fitted(cox(SurvivalData(time, np.ones(300)), x))
    assert abs(score_residuals(model).sum() * model.error[0]) < 1e-8
