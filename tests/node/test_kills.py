"""Whatever is killed, and when: nothing acknowledged is lost, no result is doubled, nothing is stuck."""

from pathlib import Path

import pytest

from tests.node.kills import trial


@pytest.mark.parametrize(
    ("kills", "delete"),
    [
        pytest.param(8, False, marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
        pytest.param(100, False, marks=[pytest.mark.ci, pytest.mark.timeout(2400)]),
        pytest.param(40, True, marks=[pytest.mark.ci, pytest.mark.timeout(1200)], id="originals are deleted"),
    ],
)
def test_random_kills(tmp_path: Path, kills: int, *, delete: bool) -> None:
    done = trial(tmp_path / "node", kills=kills, seed=kills, delete=delete)
    assert not done.faults, done.summary()
    assert done.kills.total() == kills
    assert done.acknowledged.count
