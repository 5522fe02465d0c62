"""Against R's survfit (``km_logrank.json``, ``event_rate.json``), and degenerate data."""

import numpy as np
import pytest

from ctacal.statistics.survival.survival_curve import (
    NONE_YET,
    Interval,
    at_risk,
    event_rate,
    events_until,
    kaplan_meier,
    median_follow_up,
    restricted_mean,
)
from ctacal.statistics.survival.survival_data import SurvivalData
from tests.statistics.survival.oracle import columns, numbers, survival

LUNG = survival("lung_all")
R = numbers("km_logrank")


@pytest.mark.parametrize("interval", ["log-log", "log", "plain"])
def test_as_r(interval: Interval) -> None:
    curve, expected = kaplan_meier(LUNG, interval), R["km"][interval]
    row = np.searchsorted(curve.times, expected["times"], side="right") - 1
    for ours, theirs in (("survival", "surv"), ("error", "se"), ("low", "lower"), ("high", "upper")):
        np.testing.assert_allclose(getattr(curve, ours)[row], expected[theirs], rtol=1e-13)
    at_365 = curve.at(365)
    assert [at_365.estimate, at_365.low, at_365.high] == pytest.approx(
        [expected[key][2] for key in ("surv", "lower", "upper")], rel=1e-13
    )
    median = curve.median()
    assert [median.estimate, median.low, median.high] == [expected[f"median{end}"] for end in ("", "_lo", "_hi")]


def test_numbers_at_risk_count_before_the_events_of_the_tick() -> None:
    expected = R["km"]["log-log"]
    assert at_risk(LUNG, expected["times"]).tolist() == expected["nrisk"]
    assert events_until(LUNG, expected["times"]).tolist() == expected["cum_events"]
    assert at_risk(SurvivalData([1, 1, 2], [1, 0, 1]), [0, 1, 1.5, 2, 3]).tolist() == [3, 3, 1, 1, 0]


def test_summaries_as_r() -> None:
    mean = restricted_mean(LUNG, 365)
    assert mean.estimate == pytest.approx(R["rmst365"], rel=1e-13)
    assert mean.low is not None and mean.estimate is not None
    assert (mean.estimate - mean.low) / 1.959963984540054 == pytest.approx(R["rmst365_se"], rel=1e-12)
    assert median_follow_up(LUNG).estimate == R["reverse_km_median_followup"]
    rate, expected = event_rate(SurvivalData(LUNG.time / 365.25, LUNG.event)), numbers("event_rate")
    assert [rate.estimate, rate.low, rate.high] == pytest.approx([expected[k] for k in ("rate", "lo", "hi")], rel=1e-12)


def test_curve_without_ties_is_the_empirical_one() -> None:
    time = np.random.default_rng(1).permutation(50) + 1.0
    curve = kaplan_meier(SurvivalData(time, np.ones(50)))
    np.testing.assert_allclose(curve.survival, 1 - np.arange(1, 51) / 50, atol=1e-14)
    assert curve.median().estimate == 25.5  # the curve runs along a half from 25 to 26


def test_every_value_is_a_number_whatever_the_data() -> None:
    for time, event in (([], []), ([1], [1]), ([0, 0], [1, 0]), ([1, 2, 3], [0, 0, 0]), ([2, 2, 2], [1, 1, 1])):
        curve = kaplan_meier(SurvivalData(time, event))
        for values in (curve.survival, curve.error, curve.low, curve.high, curve.at_risk):
            assert np.isfinite(values).all()
        assert ((curve.low <= curve.survival) & (curve.survival <= curve.high)).all()


def test_reasons() -> None:
    nobody, alive, all_died = (
        SurvivalData([], []),
        SurvivalData([1, 2, 3], [0, 0, 0]),
        SurvivalData([1, 2, 3], [1, 1, 1]),
    )
    assert kaplan_meier(nobody).at(1).reason == "no patients"
    assert kaplan_meier(nobody).median().reason == "no patients"
    found = kaplan_meier(alive).at(2)
    assert (found.estimate, found.high, found.reason) == (1, 1, NONE_YET)
    assert found.low == pytest.approx(0.05 ** (1 / 2))  # two patients were followed until then
    assert kaplan_meier(SurvivalData(np.full(300, 5.0), np.zeros(300))).at(4).low == pytest.approx(
        1 - 3 / 300, abs=1e-4
    )
    assert kaplan_meier(alive).at(4).reason == "follow-up ends at 3 years"
    assert kaplan_meier(alive).median().reason == "survival stays above a half"
    assert kaplan_meier(all_died).at(4).estimate == 0
    assert restricted_mean(alive, 4).reason == "follow-up ends at 3 years"
    assert restricted_mean(all_died, 4).estimate == pytest.approx(2)
    assert median_follow_up(all_died).reason == "fewer than half were followed to the end"
    assert event_rate(SurvivalData([0.0], [0])).reason == "no follow-up"
    no_events = event_rate(alive)
    assert no_events.estimate == no_events.low == 0
    assert no_events.high == pytest.approx(-np.log(0.025) / 6)
    assert no_events.reason == "no events: with 95 % confidence below 50 per 100 person-years (one-sided)"


def test_wrong_data_are_refused_with_the_row() -> None:
    with pytest.raises(ValueError, match=r"number 1 \(from 0\) is -2"):
        SurvivalData([1, -2], [0, 1])
    with pytest.raises(ValueError, match=r"number 0 \(from 0\) is nan"):
        SurvivalData([np.nan, 2], [0, 1])
    with pytest.raises(ValueError, match=r"number 1 \(from 0\) is 2"):
        SurvivalData([1, 2], [0, 2])
    with pytest.raises(ValueError, match="one length"):
        SurvivalData([1, 2], [0])


def test_another_unit_scales_time_alone() -> None:
    table = columns("lung_all")
    years = kaplan_meier(SurvivalData(table["time"] / 365.25, table["event"]))
    np.testing.assert_array_equal(years.survival, kaplan_meier(LUNG).survival)


def test_time_to_a_risk_as_r() -> None:
    expected, curve = numbers("evidence")["time_to_risk"], kaplan_meier(survival("pbc"))
    for place, risk in enumerate(expected["risk"]):
        found = curve.time_to_risk(risk)
        assert (found.estimate, found.low, found.high) == tuple(expected[key][place] for key in ("time", "low", "high"))
    assert curve.time_to_risk(0.5).estimate == curve.median().estimate
    assert curve.time_to_risk(0.99).reason == "survival stays above 1 %"
    with pytest.raises(ValueError, match="a risk between 0 and 1"):
        curve.time_to_risk(1)


def test_at_day_0_and_before_the_first_time() -> None:
    curve = kaplan_meier(SurvivalData([0, 2, 3, 4], [1, 0, 1, 0]))
    assert curve.at(0).estimate == pytest.approx(0.75)
    later = kaplan_meier(SurvivalData([2, 3, 4], [1, 1, 0]))
    assert (later.at(0).estimate, later.at(0).low) == (1, 1)
    assert later.at(1).low == pytest.approx(0.05 ** (1 / 3))
