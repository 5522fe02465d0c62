"""Whatever is killed, and when: nothing acknowledged is lost, no result is doubled, nothing is stuck."""

from pathlib import Path

import pytest

from tests.node.killing import scene


@pytest.mark.parametrize(
    "kills",
    [pytest.param(10, marks=pytest.mark.slow), pytest.param(100, marks=[pytest.mark.ci, pytest.mark.timeout(2400)])],
)
def test_random_kills(tmp_path: Path, kills: int) -> None:
    with scene(tmp_path, seed=kills) as played:
        played.kill_often(kills)
        played.check()
    assert played.camera.acknowledged
