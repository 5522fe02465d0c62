"""The supervisor: parts that end start again, all stop in good order, and nothing outlives a killed supervisor."""

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.node.running import Running, all_ended, is_running, running, wait_until

pytestmark = pytest.mark.slow

PROGRAM = """
import sys
from pathlib import Path
from ctacal.errors import UsageError
from ctacal.jobs.node.config import NodeConfig
from ctacal.node import supervisor

supervisor.STOP_S, supervisor.HEALTHY_S = 2.0, 600.0  # however slowly the machine starts them
try:
    supervisor.supervise(NodeConfig(store=Path(sys.argv[1])), dict.fromkeys(("one", "two"), "tests.node.parts"))
except UsageError as problem:
    sys.exit(f"refused: {problem}")
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


def started(store: Path) -> AbstractContextManager[Running]:
    return running(store, "-c", PROGRAM, store)


@pytest.fixture
def node(store: Path) -> Iterator[Running]:
    with started(store) as node:
        for part in ("one", "two"):
            began(node, node.process_of(part))
        yield node


def began(node: Running, number: int) -> None:
    wait_until((node.store / f"began-{number}").exists, f"begin of {number}")


def test_a_killed_part_starts_again_and_the_others_go_on(node: Running) -> None:
    other = node.process_of("two")
    for _ in range(3):
        killed = node.kill("one")
        began(node, node.process_of("one", not_=killed))
    assert node.process_of("two") == other
    assert is_running(other)


def test_parts_stop_in_good_order(node: Running) -> None:
    numbers = [node.process_of(part) for part in ("one", "two")]
    assert node.stop() == 0
    assert all((node.store / f"ended-{number}").exists() for number in numbers)
    assert "node stopped" in node.text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_terminal_stops_the_node_like_a_service(node: Running, number: signal.Signals) -> None:
    for process in node.processes().values():  # a terminal sends it to all
        os.kill(process, number)
    assert node.process.wait(60) == 0
    assert len(list(node.store.glob("ended-*"))) == 2


def test_no_part_outlives_a_killed_supervisor_and_the_next_start_finds_the_store_free(node: Running) -> None:
    numbers = [node.process_of(part) for part in ("one", "two")]
    node.kill("supervisor")
    wait_until(lambda: all_ended(numbers), "end of the parts")
    assert not list(node.store.glob("ended-*"))
    with started(node.store) as second:
        began(second, second.process_of("one", not_=numbers[0]))
        assert second.stop() == 0


def test_a_second_node_on_the_same_store_is_refused(node: Running) -> None:
    with started(node.store) as second:
        assert second.process.wait(60) == 1
        assert f"refused: {node.store}: another node uses this store; stop it first" in second.text()
    assert node.process.poll() is None


def test_a_store_that_cannot_be_written_does_not_end_the_supervisor(store: Path) -> None:
    (store / "processes.json").mkdir()  # no file can take its place, as on a full disk
    with started(store) as node:
        wait_until(lambda: len(list(store.glob("began-*"))) == 2, "begin of both parts")
        assert node.stop() == 0
        assert len(list(store.glob("ended-*"))) == 2
        assert "list of processes cannot be written" in node.text()


def test_a_part_that_does_not_stop_is_killed(store: Path) -> None:
    (store / "stubborn").touch()
    with started(store) as node:
        numbers = [node.process_of(part) for part in ("one", "two")]
        for number in numbers:
            began(node, number)
        assert node.stop() == 0
        assert all_ended(numbers)
        assert "part killed, because it did not stop killed=one" in node.text()


def test_what_cannot_work_is_told_in_one_line_and_tried_again(store: Path) -> None:
    (store / "refuse").touch()
    with started(store) as node:
        wait_until(lambda: len(list(store.glob("began-*"))) >= 6, "third start of both parts")
        assert 'one ERROR cannot work reason="the port is taken"' in node.text()
        assert 'part ended ended=one reason="exit code 2" starts_again_in_s=0.4' in node.text()
        assert "Traceback" not in node.text()
        assert node.stop() == 0
