"""What a scan does not show of the heart is named by the structures that it cuts through or lacks."""

import numpy as np
import pytest

from ctacal.anatomy import HEART, Anatomy
from ctacal.arrays import Bytes
from ctacal.errors import Code
from ctacal.heart import HeartMask
from ctacal.nn.coverage import cut_off, missing
from tests.nn.drawn_chest import chest, map_of


def test_a_whole_heart_lacks_nothing() -> None:
    assert missing(map_of(chest())) is None
    assert cut_off(map_of(chest()), heart_of(chest())) is None


def test_a_field_of_view_within_the_heart_is_told() -> None:
    drawn = chest()[:, :, :50]
    found = cut_off(map_of(drawn), heart_of(drawn))
    assert found is not None and found.message.startswith("the field of view cuts the heart off at its left")


def test_a_stray_island_is_no_heart() -> None:
    drawn = chest()
    drawn[-2:, 20:26, 44:50] = Anatomy.PERICARDIAL_SPACE
    assert missing(map_of(drawn)) is None


def test_fat_of_the_mediastinum_taken_for_the_pericardial_space_is_not_cut_off() -> None:
    """It goes on from the heart to the last slice, 6 cm above the chambers; a scan that ends beside them cuts it."""
    drawn = chest()
    drawn[24:, 30:36, 40:48] = Anatomy.PERICARDIAL_SPACE
    assert missing(map_of(drawn)) is None
    assert missing(map_of(drawn[:29])) == "the highest slice cuts through the pericardial space"


def heart_of(drawn: Bytes) -> HeartMask:
    return HeartMask(np.isin(drawn, HEART), map_of(drawn).geometry)


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (slice(14, None), "the lowest slice cuts through the left ventricle and right ventricle"),
        (slice(None, 24), "the highest slice cuts through the left atrium"),
        (
            slice(None, 17),
            "the highest slice cuts through the left ventricle and right ventricle; "
            "the scan does not show the left atrium and ascending aorta",
        ),
    ],
    ids=["apex", "atrium", "upper half"],
)
def test_what_is_cut_off_is_named(part: slice, named: str) -> None:
    drawn = chest()[part]
    found = cut_off(map_of(drawn), heart_of(drawn))
    assert found is not None and found.code is Code.HEART_CUT_OFF
    assert found.message.startswith(named), found.message
