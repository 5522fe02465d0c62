"""Published limits, to the digit of their papers and of the sums in the design of this part."""

import pytest

from ctacal.compare.measures import Change
from ctacal.compare.published import (
    BERRY,
    HOKANSON,
    KOICA,
    MESA,
    PER_CENT,
    SEVRUKOV,
    PublishedLimit,
    berry_progression,
    mesa_agatston,
    mesa_volume,
    published_limits,
    sevrukov_agatston,
    sevrukov_volume,
)


def test_sevrukov() -> None:
    assert sevrukov_agatston(100) == pytest.approx(49.30)
    assert sevrukov_agatston(400) == pytest.approx(98.60)
    assert sevrukov_agatston(0) == 11.6
    assert sevrukov_volume(100) == pytest.approx(34.45)
    assert sevrukov_volume(0) == 9.5


def test_mesa_at_a_body_mass_index_of_28() -> None:
    assert mesa_agatston(100, 28) == pytest.approx(17 + 48.9 + 12.32 - 10.84)
    assert mesa_agatston(400, 28) == pytest.approx(68 + 97.8 + 12.32 - 10.84)
    assert mesa_volume(100, 28) == pytest.approx(16 + 43 + 6.44 - 5)


@pytest.mark.parametrize(
    ("before", "after", "years", "progressed"),
    [
        (0.0, 1.0, None, True),
        (0.0, 0.0, 3.0, False),
        (50.0, 70.0, 2.0, True),
        (50.0, 69.0, 2.0, False),
        (200.0, 240.0, 2.0, True),
        (200.0, 239.0, 2.0, False),
        (200.0, 900.0, None, None),
    ],
)
def test_berry(before: float, after: float, years: float | None, progressed: bool | None) -> None:
    assert berry_progression(Change(before=before, after=after, years=years)) is progressed


def said(before: float, after: float, *, bmi: float | None = None) -> dict[tuple[str, str], PublishedLimit]:
    change = Change(before=before, after=after, years=1.0, has_percent=before >= 10)
    rules = published_limits({"agatston": change, "volume_mm3": change}, bmi)
    return {(rule.source, rule.quantity): rule for rule in rules}


def test_each_rule_says_whether_it_is_exceeded() -> None:
    rules = said(100.0, 157.0, bmi=28.0)
    exceeded = {source: rules[source, "agatston"].exceeded for source in (SEVRUKOV, MESA, KOICA, BERRY, PER_CENT)}
    assert exceeded == {SEVRUKOV: True, MESA: False, KOICA: True, BERRY: True, PER_CENT: True}  # the roots: 10 to 12.53
    assert rules[HOKANSON, "volume_mm3"].exceeded
    assert said(100.0, 40.0)[SEVRUKOV, "agatston"].exceeded


def test_what_a_rule_cannot_say_has_its_reason() -> None:
    assert said(100.0, 150.0)[MESA, "agatston"].note == "needs the body mass index (--bmi)"
    assert said(0.0, 150.0, bmi=28.0)[MESA, "agatston"].exceeded is None
    assert said(5.0, 150.0)[PER_CENT, "agatston"].exceeded is None
