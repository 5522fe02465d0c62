"""Sample size and E-values against R by hand (``planning.R``), and against the examples that the papers print."""

import numpy as np
import pytest

from ctacal.statistics.estimate import Estimate
from ctacal.statistics.survival.confounding import e_value
from ctacal.statistics.survival.cox_model import CoxModel, cox
from ctacal.statistics.survival.sample_size import fitted_strength, required_sample_size
from tests.statistics.survival import oracle

PLANNING = oracle.numbers("planning")


@pytest.mark.parametrize("known", PLANNING["sizes"], ids=lambda known: str(known["parameters"]))
def test_the_three_criteria_are_those_of_r(known: dict[str, float]) -> None:
    found = required_sample_size(
        int(known["parameters"]), known["r2"], known["rate"], known["followed"], known["horizon"]
    )
    assert found.largest_r2 == pytest.approx(known["largest_r2"], rel=1e-12)
    assert (found.shrinkage, found.optimism, found.overall_risk) == (
        known["shrinkage"], known["optimism"], known["risk"],
    )  # fmt: skip
    assert found.patients == max(known["shrinkage"], known["optimism"], known["risk"])


def test_the_example_of_the_paper() -> None:
    """Riley 2019, recurrent venous thromboembolism: 5,143 patients, 23.07 events per parameter."""
    found = required_sample_size(30, 0.051, 0.065, 2.07, 2)
    assert found.patients == 5143
    assert found.events_per_parameter == pytest.approx(23.07, abs=0.005)


@pytest.mark.parametrize("r2", [0.0, 0.6, -0.1])
def test_an_impossible_r2_is_refused(r2: float) -> None:
    with pytest.raises(ValueError, match=r"r2: expected a value between 0 and 0\.555"):
        required_sample_size(30, r2, 0.065, 2.07, 2)


def test_shrinkage_and_r2_of_a_fitted_model() -> None:
    data, columns, known = oracle.survival("lung"), oracle.columns("lung"), PLANNING["strength"]
    model = cox(data, np.column_stack([columns["age"], columns["female"]]), ["age", "female"])
    assert isinstance(model, CoxModel)
    chi_square = 2 * (model.log_likelihood - model.log_likelihood_null)
    assert chi_square == pytest.approx(known["chi_square"], rel=1e-9)
    found = fitted_strength(2, chi_square, data.n)
    assert found.r2 == pytest.approx(known["r2"], rel=1e-9)
    assert found.shrinkage == pytest.approx(known["shrinkage"], rel=1e-9)
    assert fitted_strength(20, 3.0, 100).shrinkage == 0


@pytest.mark.parametrize("known", PLANNING["e_values"], ids=lambda known: str(known["ratio"][0]))
def test_e_values_are_those_of_r(known: dict[str, list[float]]) -> None:
    middle, low, high = known["ratio"]
    ratio = Estimate(middle, low, high, "Cox model", 100)
    for common, name in ((False, "rare"), (True, "common")):
        found = e_value(ratio, common=common)
        assert (found.estimate, found.limit) == pytest.approx(known[name], rel=1e-12)


def test_the_e_value_of_the_paper() -> None:
    """VanderWeele and Ding 2017: a risk ratio of 3.9 (1.8 to 8.7) has E-values of 7.26 and 3.0."""
    found = e_value(Estimate(3.9, 1.8, 8.7, "", 1), common=False)
    assert (round(found.estimate or 0, 2), round(found.limit or 0, 1)) == (7.26, 3.0)


def test_no_hazard_ratio_has_no_e_value() -> None:
    assert e_value(Estimate(None, None, None, "", 0, "no events"), common=True).reason == "no events"
