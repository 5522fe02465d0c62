"""Against R's coxph with strata() and cluster (``evidence.json``), and data without a model."""

import numpy as np
import pytest
from scipy import stats

from ctacal.statistics.survival.cox_model import CoxModel, NoModel, Ties, clustered_ratio, cox, robust_errors
from ctacal.statistics.survival.stratified import StratifiedModel, stratified_cox
from ctacal.statistics.survival.survival_data import SurvivalData
from tests.statistics.survival.oracle import columns, numbers

R, LUNG = numbers("evidence")["strata"], columns("lung")
X = np.column_stack([LUNG[name] for name in ("age", "female", "ph.ecog")])
DATA, INST = SurvivalData(LUNG["time"], LUNG["event"], "days"), LUNG["inst"]


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_stratified_model_as_r(ties: Ties) -> None:
    model, expected = stratified_cox(DATA, X, INST, ["age", "female", "ecog"], ties=ties), R[ties]
    assert isinstance(model, StratifiedModel)
    np.testing.assert_allclose(model.coefficient, expected["coef"], rtol=1e-11)
    np.testing.assert_allclose(model.error, expected["se"], rtol=1e-11)
    found = [model.log_likelihood_null, model.log_likelihood]
    np.testing.assert_allclose(found, expected["loglik"], rtol=1e-13)
    ratio = model.hazard_ratio("female")
    assert ratio.estimate == pytest.approx(np.exp(expected["coef"][1]))


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_cluster_robust_errors_as_r(ties: Ties) -> None:
    model = cox(DATA, X, ties=ties)
    assert isinstance(model, CoxModel)
    np.testing.assert_allclose(robust_errors(model, INST), R[ties]["robust"], rtol=1e-10)


def test_interval_of_few_clusters_is_wider_than_the_robust_errors() -> None:
    model = cox(DATA, X, ["age", "female", "ecog"])
    assert isinstance(model, CoxModel)
    found, k = clustered_ratio(model, "female", INST), len(np.unique(INST))
    half = stats.t.ppf(0.975, k - 1) * R["efron"]["robust"][1] * np.sqrt(k / (k - 1))
    assert found.low == pytest.approx(np.exp(model.coefficient[1] - half), rel=1e-9)
    assert found.high == pytest.approx(np.exp(model.coefficient[1] + half), rel=1e-9)
    assert clustered_ratio(model, "female", np.zeros(DATA.n)).reason == "fewer than 2 clusters"


def test_one_stratum_is_the_plain_model() -> None:
    plain, one = cox(DATA, X), stratified_cox(DATA, X, np.zeros(DATA.n))
    assert isinstance(plain, CoxModel) and isinstance(one, StratifiedModel)
    np.testing.assert_allclose(one.coefficient, plain.coefficient, rtol=1e-11)
    assert one.likelihood_ratio.statistic == pytest.approx(plain.likelihood_ratio.statistic)
    assert one.strata == 1


def test_reasons() -> None:
    def reason(x: np.ndarray, strata: np.ndarray, data: SurvivalData = DATA) -> str:
        model = stratified_cox(data, x, strata)
        assert isinstance(model, NoModel)
        return model.reason

    assert "does not differ within the strata" in reason(INST, INST)
    assert reason(X, INST, SurvivalData(DATA.time, np.zeros(DATA.n))) == "no events"
    assert reason(np.zeros((0, 1)), np.zeros(0), SurvivalData([], [])) == "no patients"
    early = SurvivalData([1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 0, 0])
    assert "separated" in reason(np.array([1.0, 1, 1, 0, 0, 0]), np.zeros(6), early)
    with pytest.raises(ValueError, match="a stratum for each of"):
        stratified_cox(DATA, X, INST[1:])
