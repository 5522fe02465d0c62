"""Gray's test against R's cmprsk (``methods.R``)."""

import numpy as np
import pytest

from ctacal.statistics.survival import gray_test, logrank
from tests.statistics.survival import oracle


@pytest.mark.parametrize("name", ["two", "four", "two_tied", "four_tied"])
def test_groups_with_and_without_ties(name: str) -> None:
    table = oracle.columns("pbc_cr")
    group = table["female"] if "two" in name else sum((table["bili"] > edge).astype(int) for edge in (1, 2, 5))
    time = np.ceil(table["time"] / 180) if "tied" in name else table["time"]
    cause = table["fstat"].astype(int)
    expected = oracle.numbers("methods")["gray"][name]
    for place, own in enumerate((cause, np.array([0, 2, 1])[cause])):
        test = gray_test(time, own, group)
        assert test.statistic == pytest.approx(expected["statistic"][place], rel=1e-12)
        assert test.p == pytest.approx(expected["p"][place], rel=1e-9, abs=1e-15)
        assert test.df == expected["df"][place]


def test_without_competing_events_it_is_nearly_the_log_rank_test() -> None:
    data, group = oracle.survival("lung"), oracle.columns("lung")["female"]
    expected = logrank(data, group).test.statistic
    assert gray_test(data.time, data.event.astype(int), group).statistic == pytest.approx(expected, rel=0.06)


def test_what_cannot_be_tested() -> None:
    assert gray_test([1, 2], [1, 1], [0, 0]).reason == "only one group"
    assert gray_test([1, 2], [0, 2], [0, 1]).reason == "no event of interest"
    assert "nobody at risk" in gray_test([1, 1, 2, 2, 3], [0, 0, 1, 1, 0], [0, 0, 1, 2, 2]).reason
    with pytest.raises(ValueError, match="expected a group for each of 2 patients, got 1"):
        gray_test([1, 2], [0, 1], [0])
