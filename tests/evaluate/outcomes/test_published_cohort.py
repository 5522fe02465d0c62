"""The cohort made from the published figures meets them, and a correct estimator finds them again."""

import numpy as np
import pytest

from ctacal.evaluate.outcomes.published_cohort import (
    EFFECTS,
    HAZARD_RATIOS,
    MARGINS,
    READER_MARGINS,
    SimulatedCohort,
    simulate_cohort,
)
from ctacal.statistics.agreement import cross_table, risk_categories, weighted_kappa
from ctacal.statistics.survival.cox_model import CoxModel, cox
from ctacal.statistics.survival.survival_data import SurvivalData


@pytest.fixture(scope="module")
def cohort() -> SimulatedCohort:
    return simulate_cohort(0)


def test_published_margins_and_kappa_are_met(cohort: SimulatedCohort) -> None:
    assert tuple(np.bincount(cohort.model_category)) == MARGINS == (908, 596, 354, 413)
    assert tuple(np.bincount(cohort.reader_category)) == READER_MARGINS
    kappa = weighted_kappa(cross_table(cohort.reader_category, cohort.model_category)).estimate
    assert kappa == pytest.approx(0.80, abs=0.001)


def test_a_swapped_sign_would_show(cohort: SimulatedCohort) -> None:
    """The expert's margins are higher, so that the difference of the scores is far from 0."""
    difference = cohort.model_agatston - cohort.reader_agatston
    assert difference.mean() < -2 * difference.std() / np.sqrt(len(difference))
    higher = (cohort.reader_category > cohort.model_category).sum()
    assert higher > 1.3 * (cohort.reader_category < cohort.model_category).sum()


def test_scores_lie_in_their_categories(cohort: SimulatedCohort) -> None:
    assert (risk_categories(cohort.model_agatston) == cohort.model_category).all()
    assert (risk_categories(cohort.reader_agatston) == cohort.reader_category).all()


def test_events_and_follow_up_are_as_said(cohort: SimulatedCohort) -> None:
    assert 380 <= cohort.event.sum() <= 490
    assert np.mean([simulate_cohort(seed).event.sum() for seed in range(12)]) == pytest.approx(435, abs=25)
    assert (cohort.follow_up_days == np.round(cohort.follow_up_days)).all()
    assert cohort.follow_up_days.min() >= 1
    assert cohort.follow_up_days.max() <= 5 * 366


def test_a_seed_is_a_cohort() -> None:
    cohort, same, other = simulate_cohort(3), simulate_cohort(3), simulate_cohort(4)
    assert (cohort.follow_up_days == same.follow_up_days).all()
    assert (cohort.follow_up_days != other.follow_up_days).any()


def test_another_size_keeps_the_proportions() -> None:
    cohort = simulate_cohort(0, 1000)
    np.testing.assert_allclose(np.bincount(cohort.model_category) / 1000, np.array(MARGINS) / 2271, atol=0.001)
    with pytest.raises(ValueError, match="n: expected 40 or more, got 5"):
        simulate_cohort(0, 5)


def estimates(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Log hazard ratios of the categories and their errors, multivariable."""
    cohort = simulate_cohort(seed)
    flags = [(cohort.model_category == place).astype(float) for place in (1, 2, 3)]
    model = cox(
        SurvivalData(cohort.follow_up_days, cohort.event, "days"),
        np.column_stack([*flags, *cohort.covariates.values()]),
    )
    assert isinstance(model, CoxModel)
    return model.coefficient[:3], model.error[:3]


def test_another_estimator_would_not_do() -> None:
    """Without the covariates the hazard ratios are too large: the cohort is confounded, as it should be."""
    cohort = simulate_cohort(0)
    flags = np.column_stack([(cohort.model_category == place).astype(float) for place in (1, 2, 3)])
    model = cox(SurvivalData(cohort.follow_up_days, cohort.event, "days"), flags)
    assert isinstance(model, CoxModel)
    assert (model.coefficient[1:] - np.log(HAZARD_RATIOS[2:]) > 0.2).all()
    assert set(EFFECTS) == set(cohort.covariates)


@pytest.mark.slow
def test_300_cohorts_find_the_published_hazard_ratios_again() -> None:
    """Mean: bias below 0.03 (Monte-Carlo error 0.01). Coverage of 95 % intervals: 0.913 to 0.987 is +- 3 errors."""
    found = [estimates(seed) for seed in range(300)]
    beta, error = np.array([b for b, _ in found]), np.array([e for _, e in found])
    truth = np.log(HAZARD_RATIOS[1:])
    np.testing.assert_allclose(beta.mean(axis=0), truth, atol=0.03)
    covered = (np.abs(beta - truth) < 1.959964 * error).mean(axis=0)
    assert (np.abs(covered - 0.95) < 0.037).all()
    np.testing.assert_allclose(error.mean(axis=0), beta.std(axis=0), rtol=0.12)
