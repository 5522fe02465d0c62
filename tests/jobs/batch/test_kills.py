"""Random kills of scoring processes, runners and everything: nothing is lost, doubled or changed."""

from pathlib import Path

import pytest

from tests.jobs.batch.kills import trial


@pytest.mark.ci
@pytest.mark.parametrize("hosts", [1, 2])
def test_random_kills(tmp_path: Path, hosts: int) -> None:
    made = trial(tmp_path, kills=12, seed=hosts, hosts=hosts)
    assert not made.faults, made.summary()
