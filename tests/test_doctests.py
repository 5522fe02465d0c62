"""The examples in the docstrings of the package are true."""

import doctest
import importlib
from pathlib import Path

import pytest

from tests import places


def _module(file: Path) -> str:
    return ".".join(file.relative_to(places.SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


SLOW = {
    "ctacal.dicom.series": pytest.mark.slow,
    "ctacal.study": pytest.mark.slow,
    "ctacal.compare.registration": pytest.mark.slow,
    "ctacal.compare.scan": pytest.mark.slow,
    "ctacal.dicom.choose": pytest.mark.slow,
    "ctacal.dicom.volume": pytest.mark.slow,
    "ctacal.evaluate.outcomes.report": pytest.mark.slow,
    "ctacal.jobs.score": pytest.mark.slow,
    "ctacal.simulate.insert.study": pytest.mark.slow,
    "ctacal.result": pytest.mark.slow,
    "ctacal.jobs.outcomes": pytest.mark.ci,
    "ctacal.jobs.agree": pytest.mark.slow,
    "ctacal.simulate.study": pytest.mark.ci,
}
"""Examples that score, analyse or simulate a study."""
WITH_EXAMPLES = [
    pytest.param(name, marks=SLOW.get(name, ()))
    for name in (_module(file) for file in sorted(places.SOURCE.rglob("*.py")) if ">>>" in file.read_text("utf-8"))
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_are_true(name: str) -> None:
    """Only modules with examples are imported, and only when the test runs, so that collection stays fast."""
    done = doctest.testmod(importlib.import_module(name))
    assert done.attempted > 0
    assert done.failed == 0
