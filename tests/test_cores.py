"""How many cores and processes there are."""

from pathlib import Path

import pytest

from ctacal import cores
from ctacal.cores import limit_cores, processes


@pytest.fixture(autouse=True)
def eight_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of eight cores and 16 GB, without a container."""
    monkeypatch.setattr(cores, "_affinity", lambda: 8)
    for name in ("_QUOTA", "_MEMORY", "_MEMORY_OF_CONTAINER"):
        monkeypatch.setattr(cores, name, tmp_path / name)
    (tmp_path / "_MEMORY").write_text("MemTotal:       32000000 kB\nMemAvailable:   16777216 kB\n")
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    return tmp_path


def test_all_cores_of_a_machine() -> None:
    assert cores.cores() == 8
    assert processes(1024) == 8


@pytest.mark.parametrize(("quota", "number"), [("200000 100000", 2), ("50000 100000", 1), ("max 100000", 8), ("", 8)])
def test_a_container_has_fewer(eight_cores: Path, quota: str, number: int) -> None:
    (eight_cores / "_QUOTA").write_text(quota)
    assert cores.cores() == number


def test_as_many_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_cores(3)
    assert cores.cores() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "99")
    assert cores.cores() == 8


def test_memory_bounds_the_processes(eight_cores: Path) -> None:
    assert processes(4096) == 4
    (eight_cores / "_MEMORY_OF_CONTAINER").write_text(str(9 * 2**30))
    assert processes(4096) == 2
    assert processes(99999) == 1
    (eight_cores / "_MEMORY_OF_CONTAINER").write_text("max")
    (eight_cores / "_MEMORY").unlink()
    assert processes(4096) == 8
