"""Firth's penalised Cox model against R, by its definition (``methods.R``)."""

from typing import Any

import numpy as np
import pytest

from ctacal.statistics.survival import FirthModel, NoModel, SurvivalData, Ties, cox, firth, firth_cox
from tests.statistics.survival import oracle

NAMES = ("rare", "fin", "age", "prio")


def rossi() -> tuple[SurvivalData, Any]:
    table = oracle.columns("rossi")
    rare = (table["arrest"] == 0) & (np.arange(1, len(table["week"]) + 1) % 10 == 0)
    covariates = np.column_stack([rare, table["fin"], table["age"], table["prio"]]).astype(float)
    return oracle.survival("rossi", "week", "arrest"), covariates


def compared(model: FirthModel | NoModel, expected: dict[str, Any]) -> FirthModel:
    assert isinstance(model, FirthModel)
    low, high = zip(*(model.interval(name) for name in model.names), strict=True)
    for own, key in ((model.coefficient, "coef"), (model.error, "se"), (low, "low"), (high, "high")):
        np.testing.assert_allclose(own, expected[key], rtol=1e-8)
    p = [model.single_test(name).p or 0.0 for name in model.names]
    np.testing.assert_allclose(p, expected["p"], rtol=1e-7)
    assert model.test(model.names[:2]).statistic == pytest.approx(expected["first_two"], rel=1e-9)
    return model


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_a_group_without_events_has_a_ratio(ties: Ties) -> None:
    data, covariates = rossi()
    plain = cox(data, covariates, NAMES, ties=ties)
    assert isinstance(plain, NoModel) and plain.separated
    model = compared(firth_cox(data, covariates, NAMES, ties=ties), oracle.numbers("methods")["firth"][ties])
    ratio = model.hazard_ratio("rare")
    assert ratio.low is not None and ratio.high is not None and 0 < ratio.low < ratio.high < 1
    with pytest.raises(ValueError, match="no covariate 'sex'"):
        model.hazard_ratio("sex")


def test_without_separation() -> None:
    table = oracle.columns("veteran")
    covariates = np.column_stack([table[name] for name in ("karno", "age", "squamous", "smallcell")])
    compared(firth_cox(oracle.survival("veteran"), covariates), oracle.numbers("methods")["firth"]["not_separated"])


def test_a_large_cohort_profiles_only_what_is_sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    data, covariates = rossi()
    whole = firth_cox(data, covariates, NAMES)
    monkeypatch.setattr(firth, "LARGE", 400)
    fast = firth_cox(data, covariates, NAMES)
    assert isinstance(whole, FirthModel) and isinstance(fast, FirthModel)
    assert fast.profiled.tolist() == [True, True, False, False]  # 48 of 114 events with fin
    assert fast.interval("rare") == whole.interval("rare")
    np.testing.assert_allclose(fast.interval("age"), whole.interval("age"), rtol=0.12)
    assert fast.single_test("age").p == pytest.approx(whole.single_test("age").p, abs=0.003)


def test_what_has_no_penalised_model_either() -> None:
    data, covariates = rossi()
    for wrong, reason in (
        (firth_cox(SurvivalData(data.time, np.zeros(data.n)), covariates), "no events"),
        (firth_cox(data, np.column_stack([covariates, covariates[:, 1]])), "depends on the others"),
        (firth_cox(data, np.ones(data.n)), "does not vary"),
    ):
        assert isinstance(wrong, NoModel) and reason in wrong.reason
