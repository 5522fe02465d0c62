"""The scans of a patient in the order of time, and which of them are compared."""

from datetime import date

from ctacal.compare.courses import pairs_of
from ctacal.compare.scan import ComparedScan
from tests.compare.scans import scan


def same(one: ComparedScan) -> ComparedScan:
    return one


def days(scans: list[ComparedScan]) -> list[tuple[tuple[int, int], bool]]:
    return [(pair.number, pair.is_whole_course) for pair in pairs_of("p", scans, same)]


FIRST, SECOND, THIRD = (scan(10.0, date(year, 1, 1)) for year in (2018, 2020, 2023))


def test_two_scans_make_one_pair_and_one_makes_none() -> None:
    assert days([SECOND, FIRST]) == [((1, 2), True)]
    assert pairs_of("p", [SECOND, FIRST], same)[0].first == FIRST
    assert days([FIRST]) == []


def test_of_three_scans_each_is_compared_with_the_next_and_the_first_with_the_last() -> None:
    pairs = pairs_of("p", [THIRD, FIRST, SECOND], same)
    assert [(pair.first.day, pair.second.day) for pair in pairs] == [
        (FIRST.day, SECOND.day), (SECOND.day, THIRD.day), (FIRST.day, THIRD.day)
    ]  # fmt: skip
    assert days([THIRD, FIRST, SECOND]) == [((1, 2), False), ((2, 3), False), ((1, 3), True)]


def test_scans_without_a_date_keep_their_order() -> None:
    assert pairs_of("p", [THIRD, scan(1.0, None)], same)[0].first == THIRD
