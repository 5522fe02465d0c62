"""Models measured where they were not fitted: by hand, and against centres that are alike or not."""

import numpy as np
import pytest

from ctacal.statistics.survival.calibration import calibration_slope, observed_expected
from ctacal.statistics.survival.cox_model import CoxModel, cox, predicted_risk
from ctacal.statistics.survival.discrimination import auc_difference, harrell_c
from ctacal.statistics.survival.held_out import internal_external, measure_held_out
from ctacal.statistics.survival.survival_data import SurvivalData


def cohort(n: int = 900) -> tuple[SurvivalData, np.ndarray, np.ndarray, np.ndarray]:
    """Three centres; at the third everybody's hazard is three times as high."""
    rng = np.random.default_rng(11)
    centre, age, calcium = rng.integers(0, 3, n), rng.normal(size=n), rng.normal(size=n)
    hazard = 0.1 * np.exp(0.4 * age + 0.8 * calcium + np.log(3) * (centre == 2))
    event, end = rng.exponential(1 / hazard), rng.uniform(2, 6, n)
    return SurvivalData(np.minimum(event, end), event <= end), age, np.column_stack([age, calcium]), centre


DATA, OLD, NEW, CENTRE = cohort()
MODELS = {"old": OLD, "new": NEW}


def test_the_others_fit_and_these_are_measured() -> None:
    test = CENTRE == 1
    found = measure_held_out(DATA, MODELS, test, horizon=2.0)
    risks = []
    for x in (NEW, OLD[:, None]):
        model = cox(DATA.take(~test), x[~test])
        assert isinstance(model, CoxModel)
        risks.append(predicted_risk(model, x[test], 2.0))
    own = DATA.take(test)
    assert (found.n, found.events, found.fitted_to) == (own.n, own.events, DATA.n - own.n)
    assert found.measures["new"]["harrell_c"] == harrell_c(own, risks[0])
    assert found.measures["old"]["slope"] == calibration_slope(own, risks[1], 2.0)
    assert found.gains == {"new": found.gains["new"]}
    assert found.gains["new"]["auc"] == auc_difference(own, risks[0], risks[1], 2.0)
    np.testing.assert_array_equal(found.risk["new"], risks[0])


def test_each_centre_in_turn_and_the_one_that_differs_shows() -> None:
    calls: list[tuple[int, int]] = []
    names = np.array(["A", "B", "C"])[CENTRE]
    found = internal_external(
        DATA, MODELS, names, horizon=2.0, progress=lambda done, total: calls.append((done, total))
    )
    assert list(found) == ["A", "B", "C"]
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert sum(one.n for one in found.values()) == DATA.n
    ratio = {name: one.measures["new"]["observed_expected"] for name, one in found.items()}
    assert (ratio["A"].high or 9) < 1 < 1.5 < (ratio["C"].low or 0)
    own = DATA.take(CENTRE == 2)
    assert ratio["C"] == observed_expected(own, found["C"].risk["new"], 2.0)
    for one in found.values():  # the order of the patients is right everywhere
        assert (one.measures["new"]["harrell_c"].estimate or 0) > 0.65
        assert (one.gains["new"]["harrell_c"].low or 0) > 0


def test_reasons_and_wrong_input() -> None:
    lone = internal_external(DATA, {"rare": 1.0 * (CENTRE == 2)}, CENTRE, horizon=2.0)
    assert lone[2].reason.startswith("rare cannot be fitted to the other patients: x1: does not differ")
    assert lone[2].measures == {}
    assert measure_held_out(DATA, MODELS, np.zeros(DATA.n, bool), horizon=2.0).reason == "no patients"
    early = measure_held_out(DATA, MODELS, CENTRE == 1, horizon=50.0)
    assert early.measures["new"]["auc"].reason.startswith("follow-up ends at")
    with pytest.raises(ValueError, match="2 centres or more"):
        internal_external(DATA, MODELS, np.zeros(DATA.n), horizon=2.0)
    with pytest.raises(ValueError, match="a flag for each of 900"):
        measure_held_out(DATA, MODELS, CENTRE[1:] == 1, horizon=2.0)
