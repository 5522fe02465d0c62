"""Tasks in processes: results in order, even if a process dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from types import MappingProxyType

import pytest

from ctacal.workers import AHEAD, Failure, ordered


def square(number: int) -> int:
    if number == 0:
        time.sleep(0.3)  # the first is the slowest
    return number * number


def faulty(number: int) -> int:
    if number == 1:
        raise ValueError("number 1 is wrong")
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def named(number: int) -> MappingProxyType[str, int]:
    return MappingProxyType({"number": number})


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    assert list(ordered(square, range(7), workers=workers)) == [0, 1, 4, 9, 16, 25, 36]
    assert list(ordered(square, [], workers=workers)) == []


@pytest.mark.slow
def test_an_error_or_a_killed_process_loses_only_its_own_task() -> None:
    results = list(ordered(faulty, range(6), workers=2))
    assert [result for result in results if not isinstance(result, Failure)] == [0, 3, 4, 5]
    raised, killed = results[1:3]
    assert isinstance(raised, Failure)
    assert isinstance(killed, Failure)
    assert raised.reason == "ValueError: number 1 is wrong"
    assert "faulty" in raised.traceback
    assert "-9" in killed.reason


@pytest.mark.slow
def test_read_only_mappings_come_through() -> None:
    """Scores hold read-only mappings, which plain pickle refuses."""
    assert [dict(result) for result in ordered(named, [5], workers=2) if not isinstance(result, Failure)] == [
        {"number": 5}
    ]


@pytest.mark.slow
def test_workers_do_not_run_far_ahead_of_the_caller() -> None:
    taken = 0

    def tasks() -> Iterator[int]:
        nonlocal taken
        for number in count(1):
            taken += 1
            yield number

    results = ordered(square, tasks(), workers=2)
    assert list(islice(results, 3)) == [1, 4, 9]
    assert taken <= 3 + AHEAD * 2
    results.close()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    """Otherwise half-made studies would continue beside those of the next run."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, sys, time\n"
        "from ctacal.workers import ordered\n"
        "def report_pid(number):\n"
        "    os.write(1, b'%d\\n' % os.getpid())  # a single write: print would let the two lines mix\n"
        "    time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        "    list(ordered(report_pid, range(2), workers=2))\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        lines = [parent.stdout.readline() for _ in range(2)]
        parent.kill()
        parent.wait()
        workers = [int(line) for line in lines]
        deadline = time.monotonic() + 20
        while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert not [pid for pid in workers if alive(pid)]


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
