"""What a scan does not show of the heart is named by the structures that it cuts through or lacks."""

import numpy as np
import pytest

from ctacal.anatomy import Anatomy
from ctacal.errors import Code
from ctacal.nn.coverage import cut_off, missing
from tests.nn.test_plausibility import chest, map_of


def with_root(drawn: np.ndarray) -> np.ndarray:
    """Return the drawn chest with the root of the aorta between the chambers."""
    drawn[19:27, 27:30, 44:48] = Anatomy.ASCENDING_AORTA
    return drawn


def test_a_whole_heart_lacks_nothing() -> None:
    assert missing(map_of(with_root(chest()))) is None
    assert cut_off(map_of(with_root(chest()))) is None


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (slice(14, None), "the lowest slice cuts through the left ventricle and right ventricle"),
        (slice(None, 24), "the highest slice cuts through the left atrium"),
        (
            slice(None, 17),
            "the highest slice cuts through the left ventricle, right ventricle and right atrium; "
            "the scan does not show the left atrium and ascending aorta",
        ),
    ],
    ids=["apex", "atrium", "upper half"],
)
def test_what_is_cut_off_is_named(part: slice, named: str) -> None:
    found = cut_off(map_of(with_root(chest())[part]))
    assert found is not None and found.code is Code.HEART_CUT_OFF
    assert found.message.startswith(named), found.message
