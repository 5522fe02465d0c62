"""Against R's nricens (``nri.json``), against copies of patients, and data without a value."""

from typing import Any

import numpy as np
import pytest

from ctacal.statistics.estimate import Estimate, Z
from ctacal.statistics.survival.cox_model import CoxModel, cox, first_of_each, predicted_risk
from ctacal.statistics.survival.movement import MOVES, all_moves
from ctacal.statistics.survival.nri import Drawn, ReclassificationStudy, bootstrap_reclassification, draw_measures
from ctacal.statistics.survival.reclassification import (
    Estimator,
    discrimination_improvement,
    net_reclassification,
    reclassification_table,
)
from ctacal.statistics.survival.reclassification_intervals import DOUBT, reaching_zero
from ctacal.statistics.survival.refitting import approach, distinct_covariates, influence_on_fit, refit
from ctacal.statistics.survival.simulated_outcomes import outcome_source, redraw, shrunken_log_hazard
from ctacal.statistics.survival.survival_curve import kaplan_meier
from ctacal.statistics.survival.survival_data import SurvivalData
from tests.statistics.survival.oracle import columns, numbers, survival

R, RISK, PBC = numbers("nri"), columns("pbc_pred_t2000"), survival("pbc")
NRICENS = ("NRI", "NRI+", "NRI-", "Pr(Up|Case)", "Pr(Down|Case)", "Pr(Down|Ctrl)", "Pr(Up|Ctrl)")
STANDARD = np.column_stack([columns("pbc")[name] for name in ("age", "lbili", "albumin")])
NEW = np.column_stack([STANDARD, columns("pbc")["protime"]])


def shares(data: SurvivalData, cutoffs: tuple[float, ...], estimator: Estimator) -> list[float | None]:
    r = net_reclassification(data, RISK["p_std"], RISK["p_new"], 2000, cutoffs=cutoffs, estimator=estimator)
    parts = [r.total.estimate, r.event.estimate, r.nonevent.estimate]
    return [*parts, r.up_event, r.down_event, r.down_nonevent, r.up_nonevent]


@pytest.mark.parametrize(("key", "cutoffs"), [("category_0.2_0.4_km", (0.2, 0.4)), ("diff0_km", ())])
def test_kaplan_meier_nri_as_r(key: str, cutoffs: tuple[float, ...]) -> None:
    expected = [R["nricens"][key][name] for name in NRICENS]
    assert shares(PBC, cutoffs, "kaplan-meier") == pytest.approx(expected, abs=2e-15)


@pytest.mark.parametrize(("key", "cutoffs"), [("category_0.2_0.4_ipw", (0.2, 0.4)), ("diff0_ipw", ())])
def test_ipw_nri_as_r(key: str, cutoffs: tuple[float, ...]) -> None:
    """nricens lets the censorings of a day come before its events; here events come first, as in timeROC."""
    expected = [R["nricens"][key][name] for name in NRICENS]
    censored_first = SurvivalData(PBC.time + 1e-6 * PBC.event, PBC.event, "days")
    assert shares(censored_first, cutoffs, "ipw") == pytest.approx(expected, abs=2e-15)
    assert shares(PBC, cutoffs, "ipw") == pytest.approx(expected, abs=1e-4)


def test_idi_as_r() -> None:
    idi = discrimination_improvement(PBC, RISK["p_std_step"], RISK["p_new_step"], 2000).total.estimate
    assert idi == pytest.approx(R["survIDINRI"]["IDI"][0], abs=5e-4)  # R prints three digits


def test_without_censoring_nri_and_idi_are_those_of_a_binary_outcome() -> None:
    rng = np.random.default_rng(3)
    time, old, new = rng.exponential(size=300), rng.random(300), rng.random(300)
    data, died = SurvivalData(time, np.ones(300)), time <= 1
    up, down = new > old, new < old
    expected = up[died].mean() - down[died].mean() + down[~died].mean() - up[~died].mean()
    for estimator in ("kaplan-meier", "ipw"):
        total = net_reclassification(data, old, new, 1, estimator=estimator).total
        assert total.estimate == pytest.approx(expected, abs=1e-12)
    rise = new - old
    idi = discrimination_improvement(data, old, new, 1)
    assert idi.total.estimate == pytest.approx(rise[died].mean() - rise[~died].mean(), abs=1e-12)
    assert idi.event.estimate == pytest.approx(rise[died].mean(), abs=1e-12)


def test_table_adds_up() -> None:
    table = reclassification_table(PBC, RISK["p_std"], RISK["p_new"], 2000, (0.2, 0.4))
    assert table.classes == ("0 to 0.2", "0.2 to 0.4", "0.4 to 1")
    assert table.counts.sum() == 312
    np.testing.assert_allclose(table.events + table.nonevents, table.counts)


def test_weights_are_copies_of_a_patient() -> None:
    times = np.random.default_rng(5).integers(0, 4, 312)
    copies = np.repeat(np.arange(312), times)
    found = []
    for rows, weight in ((np.arange(312), times.astype(float)), (copies, np.ones(len(copies)))):
        rows = rows[np.argsort(-PBC.time[rows], kind="stable")]
        weight = weight[rows] if len(rows) == 312 else weight
        old, new = RISK["p_std"][rows], RISK["p_new"][rows]
        found.append(all_moves(PBC.time[rows], PBC.event[rows], weight, old, [new], 2000.0, np.array([0.2, 0.4]))[0])
    np.testing.assert_allclose(found[0], found[1], atol=1e-13)


def test_a_resample_is_fitted_as_the_weighted_model() -> None:
    weight = np.random.default_rng(6).integers(0, 4, 312).astype(float)
    full, weighted = cox(PBC, NEW), cox(PBC, NEW, weights=weight)
    assert isinstance(full, CoxModel) and isinstance(weighted, CoxModel)
    d, risk = full.design, np.empty(312)
    expected = predicted_risk(weighted, NEW, 2000)[d.order]
    moved = full.beta.copy()
    approach(moved, influence_on_fit(full), weight[d.order] / weight.mean())
    goal = weighted.coefficient * d.scale
    assert np.abs(moved - goal).max() < 0.6 * np.abs(full.beta - goal).max()
    for near in (full.beta, np.zeros(4), moved):
        fitted = near.copy()
        refit(d.x, d.rows, d.start, d.time, d.event, weight[d.order], True, fitted, 2000.0, risk)
        np.testing.assert_allclose(risk, expected, rtol=1e-4)
        np.testing.assert_allclose(fitted, goal, atol=1e-4)


def test_covariates_that_patients_share_are_stored_once() -> None:
    rng = np.random.default_rng(7)
    x = rng.integers(0, 3, (20_000, 3)) / 3
    shared = distinct_covariates(x)
    assert len(shared.x) == 27
    np.testing.assert_array_equal(shared.x[shared.row], x)
    order = rng.permutation(len(x))
    np.testing.assert_array_equal(shared.ordered(order).x[shared.ordered(order).row], x[order])
    own = distinct_covariates(rng.normal(size=(100, 2)))
    assert len(own.x) == 100


def test_a_resample_of_a_large_cohort_is_fitted_to_the_stated_precision() -> None:
    rng = np.random.default_rng(8)
    n = 20_000
    x = np.column_stack([rng.integers(0, 4, (n, 2)), rng.integers(0, 2, n)]).astype(float)
    time = np.ceil(1000 * rng.exponential(size=n) / np.exp(0.4 * x[:, 0]))
    data = SurvivalData(np.minimum(time, 500), time < 500)
    weight = np.bincount(rng.integers(0, n, n), minlength=n).astype(float)
    full, weighted = cox(data, x), cox(data, x, weights=weight)
    assert isinstance(full, CoxModel) and isinstance(weighted, CoxModel)
    d, shared, near = full.design, distinct_covariates(full.design.x), full.beta.copy()
    drawn, risk = weight[d.order], np.empty(len(shared.x))
    approach(near, influence_on_fit(full), drawn)
    refit(shared.x, shared.row, d.start, d.time, d.event, drawn, True, near, 300.0, risk)
    np.testing.assert_allclose(near / d.scale, weighted.coefficient, atol=3e-5 * weighted.error.min())
    np.testing.assert_allclose(risk[shared.row], predicted_risk(weighted, x, 300.0)[d.order], rtol=1e-5)


@pytest.fixture(scope="module")
def study() -> ReclassificationStudy:
    return bootstrap_reclassification(
        PBC, STANDARD, NEW, NEW[:, ::-1], horizon=2000, cutoffs=(0.2, 0.4), resamples=1000
    )


def test_bootstrap_as_r() -> None:
    """Percentiles of resamples are the intervals where no column says that the reference model is nested."""
    found = bootstrap_reclassification(PBC, 2 * STANDARD, NEW, horizon=2000, resamples=1000)
    nri = found.find("model", "category-free", "kaplan-meier").total
    assert nri.estimate == pytest.approx(R["nricens"]["diff0_km"]["NRI"], abs=1e-12)
    expected = R["nricens"]["diff0_km_boot200_refit_ci"]  # of 200 resamples: its ends vary by some 0.05
    assert [nri.low, nri.high] == pytest.approx([expected["lo"], expected["hi"]], abs=0.15)
    assert nri.method.endswith("percentile bootstrap of 312 patients that refits the models, 1000 resamples")


def test_nri_has_the_spread_of_simulated_cohorts(study: ReclassificationStudy) -> None:
    given = {"reference": STANDARD, "model": NEW, "reader": NEW[:, ::-1]}
    drawn = draw_measures(PBC, given, 2000, (0.2, 0.4), 1000, 0)
    assert isinstance(drawn, Drawn) and drawn.measures.effect is not None
    for kind in ("category-free", "categorical"):
        signs = [1, -1, -1, 1]
        places = [
            MOVES.index(f"{kind}, kaplan-meier, {share}") for share in ("up", "down", "up without", "down without")
        ]
        spread = (drawn.measures.effect[:, 0, places] @ signs).std(ddof=1)
        total = study.find("model", kind, "kaplan-meier").total
        assert total.estimate is not None and total.low is not None and total.high is not None
        assert [total.low, total.high] == pytest.approx([total.estimate - Z * spread, total.estimate + Z * spread])
        assert total.method.endswith("normal, spread of 1000 simulated cohorts with shrunken effects")


def test_where_the_test_is_narrowly_passed_intervals_reach_zero() -> None:
    def interval(value: float, weights: np.ndarray, method: str, n: int) -> Estimate:
        return Estimate(value, value - 0.1, value + 0.1, method, n)

    def ends(value: float, p: float) -> tuple[float | None, float | None, bool]:
        found = reaching_zero(interval, p)(value, np.ones(1), "m", 9)
        return found.low, found.high, DOUBT in found.reason

    assert ends(0.3, 0.01) == (0.0, 0.4, True)
    assert ends(-0.3, 0.01) == (-0.4, 0.0, True)
    assert ends(0.05, 0.01) == (0.05 - 0.1, 0.05 + 0.1, False)
    assert ends(0.3, 0.0009) == (0.3 - 0.1, 0.4, False)


def test_the_same_model_as_reader_differs_by_nothing(study: ReclassificationStudy) -> None:
    """Its covariates stand in another order: fits differ in the last digits, which moves no patient."""
    for kind in ("categorical", "IDI"):
        total = study.find("model - reader", kind, "ipw").total
        assert [total.estimate, total.low, total.high] == pytest.approx([0, 0, 0], abs=1e-6)
    assert [name for name, _ in study.tests] == ["model", "reader"]
    assert study.tests[0][1].statistic == pytest.approx(study.tests[1][1].statistic, rel=1e-9)
    assert len(study.results) == 15


def test_same_seed_same_numbers_and_progress() -> None:
    calls: list[tuple[int, int]] = []

    def run(seed: int, **more: Any) -> ReclassificationStudy:
        return bootstrap_reclassification(PBC, STANDARD, NEW, horizon=2000, resamples=20, seed=seed, **more)

    first = run(1, progress=lambda done, total: calls.append((done, total)))
    assert first == run(1)
    assert first != run(2)
    assert calls == [(done, 60) for done in range(1, 61)]  # resamples, and cohorts without and with effect
    assert {result.comparison for result in first.results} == {"model"}
    with pytest.raises(ValueError, match="no categorical measure"):
        first.find("model", "categorical", "ipw")


def test_reasons() -> None:
    def reason(horizon: float, data: SurvivalData = PBC, model: Any = NEW, reference: Any = STANDARD) -> str:
        study = bootstrap_reclassification(data, reference, model, horizon=horizon, resamples=2)
        assert study.results == ()
        return study.reason

    assert reason(1) == "no event by 1 days"
    assert reason(1e6) == "follow-up ends at 4556 days, before 1e+06"
    assert reason(2000, model=np.column_stack([STANDARD, np.ones(312)])).startswith(
        "model cannot be fitted: x4: does not"
    )
    three = SurvivalData([1, 2, 3], [1, 0, 0])
    assert reason(2, three, [[3.0], [1], [2]], [[1.0], [1], [1]]).startswith("reference cannot be fitted: x1")
    fixed = net_reclassification(SurvivalData([1, 2, 3], [0, 0, 0]), [0.1] * 3, [0.2] * 3, 2)
    assert (fixed.total.estimate, fixed.up_event, fixed.total.reason) == (None, None, "no event by 2 years")
    assert net_reclassification(PBC, RISK["p_std"], RISK["p_new"], 2000).total.reason.startswith(
        "no interval with given"
    )
    not_nested = bootstrap_reclassification(PBC, NEW, STANDARD, horizon=2000, resamples=2)
    assert not_nested.tests[0][1].reason == "the reference model is not nested in it"


def test_category_that_a_resample_lacks_or_separates_still_has_risks() -> None:
    """A score that only one patient has: absent from a third of the resamples."""
    rare = np.column_stack([NEW, np.arange(312) == 2])
    study = bootstrap_reclassification(PBC, STANDARD, rare, horizon=2000, resamples=50)
    total = study.find("model", "IDI", "ipw").total
    assert total.estimate is not None and total.low is not None
    assert total.reason == ""


def test_wrong_input_is_named() -> None:
    risk = RISK["p_std"]
    with pytest.raises(ValueError, match=r"number 0 \(from 0\) is 2"):
        net_reclassification(PBC, risk, [2.0, *risk[1:]], 2000)
    with pytest.raises(ValueError, match="for each of 312"):
        net_reclassification(PBC, risk, risk[1:], 2000)
    with pytest.raises(ValueError, match="must rise between 0 and 1"):
        net_reclassification(PBC, risk, risk, 2000, cutoffs=[0.4, 0.2])
    with pytest.raises(ValueError, match="1 resample or more"):
        bootstrap_reclassification(PBC, STANDARD, NEW, horizon=2000, resamples=0)


def test_resamples_without_events_are_left_out_and_counted() -> None:
    """Two events among 40: one resample in eight has none. Models that are not nested have no test and intervals."""
    rng = np.random.default_rng(1)
    time = np.arange(1.0, 41)
    data = SurvivalData(time, (time == 5) | (time == 9))
    study = bootstrap_reclassification(data, rng.normal(size=40), rng.normal(size=40), horizon=20, resamples=200)
    total = study.find("model", "category-free", "kaplan-meier")
    assert "of 200 resamples give no value and are left out" in total.total.reason
    assert total.total.low is not None and total.total.high is not None
    assert np.isfinite([total.total.low, total.total.high]).all()
    assert total.if_useless is None


def marked(effect: float, n: int = 500, seed: int = 0) -> tuple[SurvivalData, np.ndarray, np.ndarray, np.ndarray]:
    """Patients with a covariate, a marker of this log hazard ratio, and a second reading of the marker."""
    rng = np.random.default_rng(seed)
    x, marker = rng.normal(size=n), rng.normal(size=n)
    other = marker + rng.normal(0, 0.5, n)
    event, end = rng.exponential(10 * np.exp(-0.5 * x - effect * marker)), rng.uniform(1, 5, n)
    data = SurvivalData(np.minimum(event, end), event <= end)
    return data, x[:, None], np.column_stack([x, marker]), np.column_stack([x, other])


def test_a_marker_that_adds_nothing_has_no_interval_and_is_as_usual_without_effect() -> None:
    data, x, model, reader = marked(0.0, seed=2)
    study = bootstrap_reclassification(data, x, model, reader, horizon=3, cutoffs=(0.2, 0.4), resamples=200)
    assert all((test.p or 0) > 0.05 for _, test in study.tests)
    for result in study.results:
        assert result.total.estimate is not None
        assert result.total.low is None and result.event.low is None
        if result.comparison != "model - reader":
            assert "likelihood-ratio test does not show" in result.total.reason
            assert result.if_useless is not None and result.if_useless.p > 0.01
            assert result.if_useless.mean < result.if_useless.high
    assert "neither likelihood-ratio test" in study.find("model - reader", "IDI", "ipw").total.reason
    free = study.find("model", "category-free", "kaplan-meier").if_useless
    assert free is not None and free.mean > 0.02  # positive, though nothing is added


def test_a_marker_with_an_effect_is_unlike_those_without() -> None:
    data, x, model, reader = marked(0.8)
    study = bootstrap_reclassification(data, x, model, reader, horizon=3, resamples=200)
    for kind, estimator in (("category-free", "kaplan-meier"), ("IDI", "ipw")):
        result = study.find("model", kind, estimator)  # type: ignore[arg-type]
        assert (result.total.low or 0) > 0
        assert result.if_useless is not None
        assert (result.if_useless.p, result.if_useless.cohorts) == (pytest.approx(1 / 201), 200)
        assert result.if_useless.high < (result.total.estimate or 0)
    assert "normal, bootstrap of 500 patients" in study.find("model", "IDI", "ipw").total.method
    apart = study.find("model - reader", "IDI", "ipw").total
    assert apart.low is not None and apart.high is not None
    assert (apart.low + apart.high) / 2 == pytest.approx(apart.estimate)
    assert "200 simulated cohorts with shrunken effects" in apart.method


def test_drawn_outcomes_follow_the_model_and_the_censoring() -> None:
    data, x, _, _ = marked(0.0, n=4000)
    reference = cox(data, x)
    assert isinstance(reference, CoxModel)
    source = outcome_source(data, reference.linear_predictor(x))
    cohort = redraw(source, [5])
    np.testing.assert_array_equal(np.sort(cohort.order), np.arange(data.n))
    np.testing.assert_array_equal(cohort.start, first_of_each(cohort.time))
    assert (np.diff(cohort.time) <= 0).all()
    time, event = np.empty(data.n), np.empty(data.n, bool)
    time[cohort.order], event[cohort.order] = cohort.time, cohort.event
    again = SurvivalData(time, event)
    assert again.events == pytest.approx(data.events, rel=0.06)
    model = cox(again, x)
    assert isinstance(model, CoxModel)
    assert abs(model.coefficient[0] - reference.coefficient[0]) < 3.5 * reference.error[0]
    for year in (1.0, 2.0, 4.0):
        drawn, given = kaplan_meier(again).at(year).estimate, kaplan_meier(data).at(year).estimate
        assert drawn == pytest.approx(given, abs=0.03)
        free = [kaplan_meier(SurvivalData(one.time, ~one.event)).at(year).estimate for one in (again, data)]
        assert free[0] == pytest.approx(free[1], abs=0.04)


def test_outcomes_are_drawn_by_the_inverse_of_the_cumulative_hazard() -> None:
    data, x, _, _ = marked(0.0, n=3000)
    source = outcome_source(data, 0.3 * x[:, 0])
    tick, happened = source.draw(np.random.default_rng(9))
    rng = np.random.default_rng(9)
    event = np.searchsorted(source.hazard, rng.exponential(size=data.n) / source.ratio)
    end = np.minimum(np.searchsorted(source.ended, rng.random(data.n)), len(source.times) - 1)
    np.testing.assert_array_equal(happened, event <= end)
    np.testing.assert_array_equal(tick, np.minimum(event, end))


def test_shrunken_effects() -> None:
    """None is left of those that chance explains; strong ones stay, together over both readings."""
    data, x, model, reader = marked(0.0, seed=2)
    fits = [cox(data, one) for one in (x, model, reader)]
    none = shrunken_log_hazard(data, fits[0], fits[1:], "efron")  # type: ignore[arg-type]
    assert np.ptp(none - none.mean() - np.polyval(np.polyfit(x[:, 0], none - none.mean(), 1), x[:, 0])) < 1e-9
    data, x, model, reader = marked(0.8)
    fits = [cox(data, one) for one in (x, model, reader)]
    found = shrunken_log_hazard(data, fits[0], fits[1:], "efron")  # type: ignore[arg-type]
    whole = cox(data, np.column_stack([model, reader[:, 1]]))
    assert isinstance(whole, CoxModel)
    full = whole.linear_predictor(whole.covariates)
    assert np.corrcoef(found, full)[0, 1] > 0.99
    assert 0.95 < found.std() / full.std() < 1
    same = shrunken_log_hazard(data, fits[0], [fits[1], cox(data, model[:, ::-1])], "efron")  # type: ignore[list-item, arg-type]
    assert np.isfinite(same).all()
