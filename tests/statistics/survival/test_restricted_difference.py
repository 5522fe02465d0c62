"""Differences of restricted means against R's survfit (``methods.R``)."""

import pytest

from ctacal.statistics.estimate import Z
from ctacal.statistics.survival import SurvivalData, restricted_mean_difference
from tests.statistics.survival import oracle


def test_differences_of_three_groups() -> None:
    table, data = oracle.columns("colon"), oracle.survival("colon")
    group = table["lev"] + 2 * table["lev5fu"]
    expected = oracle.numbers("methods")["rmst"]
    for place in (1, 2):
        found, test = restricted_mean_difference(data.take(group == place), data.take(group == 0), 2000)
        assert found.estimate == pytest.approx(expected["difference"][place - 1], rel=1e-10)
        assert found.high == pytest.approx(found.estimate + Z * expected["error"][place - 1], rel=1e-10)
        z = expected["difference"][place - 1] / expected["error"][place - 1]
        assert test.statistic == pytest.approx(z**2, rel=1e-9)


def test_where_it_is_not_defined() -> None:
    short, long = SurvivalData([1, 2], [1, 0]), SurvivalData([1, 5], [0, 0])
    assert "the group: follow-up ends at 2" in restricted_mean_difference(short, long, 3)[0].reason
    assert "the reference group" in restricted_mean_difference(long, short, 3)[1].reason
    assert restricted_mean_difference(long, long, 3)[1].reason == "no events by the horizon in either group"
