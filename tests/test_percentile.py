"""The MESA reference: its table, its limits, and why there is no percentile beyond them."""

import json
from itertools import pairwise

import pytest

from ctacal.percentile import GROUPS, PERCENTILES, PercentileBand, age_group_thresholds, mesa_reference
from tests import places

TOOL = json.loads((places.DATA / "mesa_official_tool.json").read_text())


@pytest.mark.parametrize("sex", ["F", "M"])
@pytest.mark.parametrize("group", GROUPS)
def test_the_printed_table_fits_mesas_own_tool(sex: str, group: str) -> None:
    """Read at other ages, the tool must lie between neighbouring columns of the table."""
    at = {50: 45, 60: 55, 70: 65, 80: 84}
    table = {middle: age_group_thresholds(sex, age)[group] for middle, age in at.items()}
    for n in range(len(PERCENTILES)):
        tool = {int(age): values[n] for age, values in TOOL[sex][group].items()}
        assert tool[45] <= table[50][n]
        assert table[60][n] <= tool[65] <= table[70][n]
        assert table[80][n] <= tool[84]


@pytest.mark.parametrize("sex", ["F", "M"])
def test_percentiles_rise_with_age_and_rank(sex: str) -> None:
    for group in GROUPS:
        columns = [age_group_thresholds(sex, age)[group] for age in (45, 55, 65, 75)]
        assert all(list(column) == sorted(column) for column in columns)
        for younger, older in pairwise(columns):
            assert all(a <= b for a, b in zip(younger, older, strict=True))


@pytest.mark.parametrize(
    ("agatston", "low", "high"),
    [(27.9, 25, 50), (28.0, 50, 75), (154.0, 50, 75), (155.0, 75, 90), (451.9, 75, 90), (452.0, 90, 100)],
)
def test_white_men_of_sixty(agatston: float, low: int, high: int) -> None:
    """McClelland 2006, table 2: 0, 28, 155, 452."""
    assert mesa_reference(agatston, "M", 60).by_group["White"] == PercentileBand(low, high)


def test_the_overall_band_spans_all_groups() -> None:
    reference = mesa_reference(120.0, "M", 60)
    assert {group: str(band) for group, band in reference.by_group.items()} == {
        "White": "50th to 75th", "Black": "75th to 90th", "Hispanic": "75th to 90th", "Chinese": "75th to 90th",
    }  # fmt: skip
    assert reference.overall == PercentileBand(50, 90)
    assert reference.people == "men aged 55 to 64"


@pytest.mark.parametrize(
    ("sex", "age", "message"),
    [
        ("M", 44, "MESA covers ages 45 to 84; the patient is 44"),
        ("F", 85, "MESA covers ages 45 to 84; the patient is 85"),
        ("M", None, "the age is not recorded"),
        ("O", 60, "the sex is not recorded as F or M"),
        ("", 60, "the sex is not recorded as F or M"),
    ],
)
def test_refused_if_mesa_has_no_such_people(sex: str, age: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mesa_reference(10.0, sex, age)
