"""Against R's survdiff (``km_logrank.json``), and degenerate data."""

import numpy as np
import pytest

from ctacal.statistics.hypothesis import holm
from ctacal.statistics.survival.log_rank import logrank, logrank_pairs, logrank_trend
from ctacal.statistics.survival.survival_data import SurvivalData
from tests.statistics.survival.oracle import columns, numbers, survival

R = numbers("km_logrank")
MORE = numbers("more")["logrank"]
LUNG, SEX = survival("lung_all"), columns("lung_all")["sex"]
COLON = survival("colon")
TREATMENT = columns("colon")["lev"] + 2 * columns("colon")["lev5fu"]


def test_two_groups_as_r() -> None:
    result, expected = logrank(LUNG, SEX), R["logrank_lung_sex"]
    assert result.test.statistic == pytest.approx(expected["chisq"], rel=1e-13)
    assert result.test.p == pytest.approx(expected["p"], rel=1e-12)
    assert result.observed == tuple(expected["obs"])
    assert result.expected == pytest.approx(expected["exp"], rel=1e-13)
    assert result.groups == ("1.0", "2.0")


def test_three_groups_and_weights_as_r() -> None:
    result, expected = logrank(COLON, TREATMENT), R["logrank_colon_rx"]
    assert (result.test.statistic, result.test.df) == (pytest.approx(expected["chisq"], rel=1e-13), expected["df"])
    assert result.test.p == pytest.approx(expected["p"], rel=1e-12)
    assert logrank(LUNG, SEX, rho=1).test.statistic == pytest.approx(R["peto_rho1"]["chisq"], rel=1e-13)


def test_strata_trend_and_pairs_as_r() -> None:
    lung = columns("lung")
    stratified = logrank(survival("lung"), lung["female"], strata=lung["inst"]).test
    assert stratified.statistic == pytest.approx(MORE["lung_female_strat_inst"], rel=1e-13)
    assert logrank_trend(COLON, TREATMENT).statistic == pytest.approx(MORE["trend"], rel=1e-13)
    pairs = logrank_pairs(COLON, TREATMENT)
    assert [pair.test.statistic for pair in pairs] == pytest.approx(MORE["pairs"], rel=1e-13)
    assert [pair.p_holm for pair in pairs] == pytest.approx(MORE["holm"], rel=1e-12)
    assert [(pair.first, pair.second) for pair in pairs] == [("0.0", "1.0"), ("0.0", "2.0"), ("1.0", "2.0")]


def test_trend_of_named_groups_needs_scores() -> None:
    names = np.array(["none", "some", "much"])[TREATMENT.astype(int)]
    with pytest.raises(ValueError, match="give scores for"):
        logrank_trend(COLON, names)
    scored = logrank_trend(COLON, names, {"none": 0, "some": 1, "much": 2})
    assert scored.statistic == pytest.approx(MORE["trend"], rel=1e-13)


def test_reasons() -> None:
    time, event = [1.0, 2, 3, 4], [1, 0, 1, 1]
    data = SurvivalData(time, event)
    assert logrank(data, [1, 1, 1, 1]).test.reason == "only one group"
    assert logrank(SurvivalData([], []), []).test.reason == "no patients"
    assert logrank(SurvivalData(time, [0, 0, 0, 0]), [1, 1, 2, 2]).test.reason == "no events"
    apart = logrank(SurvivalData(time, [0, 0, 1, 1]), [1, 1, 2, 2]).test
    assert apart.reason.startswith("no event happened while two groups were at risk")
    gone = logrank(SurvivalData([1.0, 2, 3, 4, 5], [0, 1, 1, 1, 1]), [0, 1, 2, 1, 2]).test
    assert (gone.df, gone.reason) == (1, "a group had nobody at risk when events happened; it is left out")
    assert logrank_trend(data, [1, 1, 2, 2], {1: 5, 2: 5}).reason.endswith("or all scores are equal")
    with pytest.raises(ValueError, match="a group for each of 4"):
        logrank(data, [1, 2])


def test_holm_keeps_the_order_and_never_exceeds_1() -> None:
    assert holm([0.5, None, 0.01, 0.6]) == (1.0, None, 0.03, 1.0)
