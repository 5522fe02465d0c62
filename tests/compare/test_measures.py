"""Measures of change, computed by hand."""

from datetime import date
from math import log

import pytest

from ctacal.compare.measures import Change, years_between


def test_every_measure_of_a_change() -> None:
    change = Change(before=100.0, after=196.0, years=2.0)
    assert change.absolute == 96.0
    assert change.per_year == 48.0
    assert change.percent == 96.0
    assert change.percent_per_year == 48.0
    assert change.square_root == 4.0
    assert change.square_root_per_year == 2.0
    assert change.logarithm == pytest.approx(log(197) - log(101))


def test_near_zero_there_is_no_relative_change_and_without_years_no_annual_one() -> None:
    change = Change(before=2.0, after=20.0, has_percent=False)
    assert change.percent is None
    assert change.per_year is None
    assert change.percent_per_year is None
    assert change.square_root_per_year is None
    assert Change(before=0.0, after=20.0, years=1.0).percent is None


@pytest.mark.parametrize(("later", "years"), [(date(2020, 6, 28), None), (date(2020, 6, 29), 180 / 365.25)])
def test_half_a_year_is_needed_for_an_annual_change(later: date, years: float | None) -> None:
    assert years_between(date(2020, 1, 1), later) == years
