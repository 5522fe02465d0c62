"""Every doubt about a comparison is explained, and marked as what it does."""

import re

import pytest

from ctacal.compare.comparable import ACCEPTABLE
from ctacal.compare.reasons import Doubt
from tests import places

PAGE = (places.ROOT / "docs" / "compare.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("doubt", Doubt)
def test_the_page_lists_it_and_says_whether_it_can_be_accepted(doubt: Doubt) -> None:
    (mark,) = re.findall(rf"^\|.*`{doubt}`(\*\* \+|)", PAGE, re.MULTILINE)
    assert bool(mark) == (doubt in ACCEPTABLE)
