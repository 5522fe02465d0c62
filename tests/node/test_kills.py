"""Whatever is killed, and when: nothing acknowledged is lost, no result is doubled, nothing is stuck."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("kills", "options"),
    [
        pytest.param(8, (), marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
        pytest.param(100, (), marks=[pytest.mark.ci, pytest.mark.timeout(2400)]),
        pytest.param(40, ("--delete",), marks=[pytest.mark.ci, pytest.mark.timeout(1200)], id="originals are deleted"),
    ],
)
def test_random_kills(tmp_path: Path, kills: int, options: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "tests.node.kills", str(kills), "--seed", str(kills), "--folder", str(tmp_path)]
    done = subprocess.run([*command, *options], capture_output=True, text=True)  # pynetdicom leaves sockets behind
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kills} kills" in done.stdout
