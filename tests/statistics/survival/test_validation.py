"""Validation against R (``evidence.json``: rms::validate, and each resample by hand), against functions of given risks,
and data without a value."""

from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from ctacal.progress import no_progress
from ctacal.statistics.estimate import Estimate, Z
from ctacal.statistics.survival.calibration import brier_score
from ctacal.statistics.survival.cox_model import CoxModel, cox, predicted_risk
from ctacal.statistics.survival.discrimination import auc_at, auc_difference, harrell_c
from ctacal.statistics.survival.refitting import influence_on_fit
from ctacal.statistics.survival.survival_data import SurvivalData
from ctacal.statistics.survival.validation import (
    FEWEST_OF_SPREAD,
    MEASURES,
    Validation,
    _draw,
    _folds,
    _held_out,
    _influences,
    cross_validate,
    resampled,
    validate,
    validate_imputed,
)
from tests.statistics.survival.oracle import columns, numbers, survival

R, PBC, HORIZON = numbers("evidence"), survival("pbc"), 2000.0
OLD = np.column_stack([columns("pbc")[name] for name in ("age", "lbili", "albumin")])
NEW = np.column_stack([OLD, columns("pbc")["protime"]])
MODELS = {"old": OLD, "new": NEW}


def fit(covariates: np.ndarray) -> CoxModel:
    model = cox(PBC, covariates, ties="breslow")
    assert isinstance(model, CoxModel)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_each_resample_as_r(name: str) -> None:
    """With Breslow's ties, weights and copies of patients are the same."""
    model, expected = fit(MODELS[name]), R["bootstrap"][name]
    found = np.array(
        [
            resampled(model, influence_on_fit(model), np.array(times, float)[model.design.order], HORIZON)
            for times in R["draws"]
        ]
    )
    np.testing.assert_allclose(found[:, 0], expected["train"], atol=5e-5)
    np.testing.assert_allclose(found[:, 1], expected["test"], atol=5e-5)
    optimism = (found[:, 0] - found[:, 1]).mean(axis=0)
    assert 2 * optimism[0] == pytest.approx(R["rms"][name]["dxy"][3], abs=5e-5)
    assert optimism[3] == pytest.approx(R["rms"][name]["slope"][3], abs=5e-5)


@pytest.mark.parametrize("name", MODELS)
def test_apparent_measures_as_r(name: str) -> None:
    study = validate(PBC, MODELS, horizon=HORIZON, resamples=2, ties="breslow")
    apparent = [one.apparent.estimate or 0.0 for one in study.models[name]]
    np.testing.assert_allclose(apparent, R["bootstrap"][name]["apparent"], atol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_cross_validation_as_r(name: str) -> None:
    held_out = _held_out(PBC, MODELS[name], np.array(R["fold"]), HORIZON, "breslow")
    found = [one.estimate for one in _influences(PBC, held_out, HORIZON, "breslow")]
    np.testing.assert_allclose(found, R["crossed"][name], atol=1e-9)


@pytest.fixture(scope="module")
def study() -> Validation:
    return validate(PBC, {**MODELS, "third": NEW[:, ::-1]}, horizon=HORIZON, resamples=100)


def test_corrected_is_apparent_less_optimism(study: Validation) -> None:
    model = cox(PBC, NEW)
    assert isinstance(model, CoxModel)
    risk = predicted_risk(model, NEW, HORIZON)
    c, auc, brier, slope = study.models["new"]
    for one, given in (
        (c, harrell_c(PBC, risk)),
        (auc, auc_at(PBC, risk, HORIZON)),
        (brier, brier_score(PBC, risk, HORIZON)),
    ):
        assert one.apparent.estimate == pytest.approx(given.estimate, abs=1e-12)
        assert one.apparent.estimate is not None and one.corrected.estimate is not None and one.optimism is not None
        assert one.corrected.estimate == pytest.approx(one.apparent.estimate - one.optimism)
    assert c.optimism is not None and auc.optimism is not None and brier.optimism is not None
    assert c.optimism > 0 and auc.optimism > 0 and brier.optimism < 0
    assert slope.apparent.estimate == pytest.approx(1) and 0.85 < (slope.corrected.estimate or 0) < 1
    assert [one.measure for one in study.models["new"]] == list(MEASURES)


def test_differences_are_paired(study: Validation) -> None:
    assert list(study.differences) == [("new", "old"), ("third", "old"), ("new", "third")]
    risks = []
    for covariates in (NEW, OLD):
        model = cox(PBC, covariates)
        assert isinstance(model, CoxModel)
        risks.append(predicted_risk(model, covariates, HORIZON))
    gain = study.differences["new", "old"][1]
    assert str(gain.apparent) == str(auc_difference(PBC, risks[0], risks[1], HORIZON))
    both = [study.models[name][1].corrected.estimate or 0.0 for name in ("new", "old")]
    assert gain.corrected.estimate == pytest.approx(both[0] - both[1])
    same = study.differences["new", "third"][0].corrected
    assert [same.estimate, same.low, same.high] == pytest.approx([0, 0, 0], abs=1e-6)


def test_intervals_allow_for_the_fit_of_the_models() -> None:
    """Where a marker adds nothing, the gain's own influences leave out that the models are fitted."""
    useless = np.column_stack([OLD, np.random.default_rng(3).normal(size=(312, 3))])
    models = {"old": OLD, "useless": useless}
    fits = [fit(covariates) for covariates in models.values()]
    drawn = np.stack(list(_draw(fits, HORIZON, range(60), 5, no_progress)))
    outside = (drawn[:, 1, 1] - drawn[:, 0, 1]).std(axis=0, ddof=1)  # (measures,) in the original patients
    spare = PBC.events / (PBC.events - 6)

    def ends(resamples: int) -> list[tuple[Estimate, Estimate]]:
        found = validate(PBC, models, horizon=HORIZON, resamples=resamples, seed=5, ties="breslow")
        return [(one.apparent, one.corrected) for one in found.differences["useless", "old"]]

    for (apparent, corrected), spread in zip(ends(60), outside, strict=False):
        assert width(corrected) > np.hypot(width(apparent), 2 * Z * spread)
        assert width(corrected) < 1.02 * np.hypot(width(apparent) * np.sqrt(spare), 2 * Z * spread)
        assert width(corrected) > 1.1 * width(apparent)
    for apparent, corrected in ends(FEWEST_OF_SPREAD - 1):
        assert width(apparent) < width(corrected) < 1.05 * width(apparent)


@pytest.mark.parametrize("resamples", [60, FEWEST_OF_SPREAD - 1])
def test_intervals_of_shares_are_symmetric_on_the_logit_scale_with_t(resamples: int) -> None:
    fits, events = [fit(covariates) for covariates in MODELS.values()], PBC.events
    outside = np.stack(list(_draw(fits, HORIZON, range(resamples), 0, no_progress)))[:, 1, 1].std(axis=0, ddof=1)
    found = validate(PBC, MODELS, horizon=HORIZON, resamples=resamples, ties="breslow").models["new"]
    risk = predicted_risk(fits[1], NEW, HORIZON)
    given = (harrell_c(PBC, risk), auc_at(PBC, risk, HORIZON), brier_score(PBC, risk, HORIZON))
    for one, alone, spread in zip(found, given, outside, strict=False):
        error = width(alone) / (2 * Z) * np.sqrt(events / (events - 4))
        error = np.hypot(error, spread if resamples >= FEWEST_OF_SPREAD else 0.0)
        share = one.corrected.estimate or 0.0
        half = stats.t.ppf(0.975, events - 1) * error / (share * (1 - share))
        expected = special.expit(special.logit(share) + np.array([-half, half]))
        assert [one.corrected.low, one.corrected.high] == pytest.approx(expected, rel=1e-9)


def test_imputed_sets_that_are_alike_give_what_one_gives() -> None:
    one = validate(PBC, MODELS, horizon=HORIZON, resamples=60, seed=2)
    same = validate_imputed(PBC, [MODELS, MODELS, MODELS], horizon=HORIZON, resamples=60, seed=2)
    assert "60 resamples shared by 3 imputations" in same.method
    for found, expected in (
        *zip(same.models["new"], one.models["new"], strict=True),
        *zip(same.differences["new", "old"], one.differences["new", "old"], strict=True),
    ):
        for mine, other in ((found.apparent, expected.apparent), (found.corrected, expected.corrected)):
            ends = [other.estimate, other.low, other.high]
            assert [mine.estimate, mine.low, mine.high] == pytest.approx(ends, rel=2e-3)  # t of Barnard and Rubin


def test_imputed_sets_that_differ_are_averaged_with_wider_intervals() -> None:
    rng = np.random.default_rng(4)
    sets = [{name: x + rng.normal(0, 0.5, x.shape) for name, x in MODELS.items()} for _ in range(4)]
    found = validate_imputed(PBC, sets, horizon=HORIZON, resamples=80).models["new"]
    each = [validate(PBC, own, horizon=HORIZON, resamples=80).models["new"] for own in sets]
    for k, one in enumerate(found):
        estimates = [own[k].corrected.estimate or 0.0 for own in each]
        assert one.corrected.estimate == pytest.approx(np.mean(estimates), abs=0.01)
        assert one.measure == "slope" or width(one.corrected) > min(width(own[k].corrected) for own in each)
    with pytest.raises(ValueError, match="2 imputed sets"):
        validate_imputed(PBC, sets[:1], horizon=HORIZON)
    assert "no event by 1 days" in validate_imputed(PBC, sets, horizon=1).reason


def width(estimate: Estimate) -> float:
    assert estimate.low is not None and estimate.high is not None
    return estimate.high - estimate.low


def test_folds_share_the_events() -> None:
    fold = _folds(PBC, 10, np.random.default_rng(0))
    assert np.ptp(np.bincount(fold)) <= 1
    assert np.ptp(np.bincount(fold[PBC.event])) <= 1


def test_optimism_of_many_useless_covariates_is_found() -> None:
    """The C of pure noise is 0.5 in new patients; in the patients of the fit it is far above."""
    rng = np.random.default_rng(7)
    data = SurvivalData(rng.exponential(size=150), rng.random(150) < 0.6)
    noise = {"noise": rng.normal(size=(150, 15))}
    for found in (validate(data, noise, horizon=1.0), cross_validate(data, noise, horizon=1.0)):
        c, _, _, slope = found.models["noise"]
        assert (c.apparent.estimate or 0) > 0.6
        assert (c.corrected.estimate or 0) == pytest.approx(0.5, abs=0.08)
        assert (slope.corrected.estimate or 1) < 0.6


def test_same_seed_same_numbers_and_progress() -> None:
    def both(seed: int, **more: Any) -> tuple[Validation, Validation]:
        return (
            validate(PBC, MODELS, horizon=HORIZON, resamples=5, seed=seed, **more),
            cross_validate(PBC, MODELS, horizon=HORIZON, folds=3, repeats=2, seed=seed, **more),
        )

    calls: list[tuple[int, int]] = []
    first = both(1, progress=lambda done, total: calls.append((done, total)))
    assert first == both(1)
    assert first[0] != both(2)[0] and first[1] != both(2)[1]
    assert calls == [*((done, 5) for done in range(1, 6)), (1, 2), (2, 2)]


def test_reasons() -> None:
    assert validate(PBC, MODELS, horizon=1).reason == "no event by 1 days"
    assert cross_validate(PBC, MODELS, horizon=1e6).reason == "follow-up ends at 4556 days, before 1e+06"
    constant = validate(PBC, {"old": np.ones(312)}, horizon=HORIZON)
    assert constant.reason == "old cannot be fitted: x1: does not differ among patients at risk when events happen"
    rare = np.column_stack([OLD, np.arange(312) == 2])
    assert cross_validate(PBC, {"rare": rare}, horizon=HORIZON).reason.startswith("without one fold no model can be")
    time = np.arange(1.0, 41)
    few = SurvivalData(time, (time == 5) | (time == 9))
    found = validate(few, {"x": np.random.default_rng(1).normal(size=40)}, horizon=20)
    assert "of 200 resamples give no value and are left out" in found.reason
    assert found.models["x"][0].corrected.estimate is not None
    with pytest.raises(ValueError, match="got 2 and 0"):
        validate(PBC, MODELS, horizon=HORIZON, resamples=0)
    with pytest.raises(ValueError, match="got 0 and 200"):
        validate(PBC, {}, horizon=HORIZON)
    with pytest.raises(ValueError, match="2 folds"):
        cross_validate(PBC, MODELS, horizon=HORIZON, folds=1)
