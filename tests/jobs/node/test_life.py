"""Whether the parts of a node live: what a watch sees of counters that move, stop, vanish and begin again."""

import os
from pathlib import Path

import pytest

from ctacal.jobs.node.life import BEAT_S, RESTARTS_S, SILENT_S, PartLife, Pulse, Watch, alive_folder, forget


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def go(self, seconds: float) -> None:
        self.now += seconds


def lives(watch: Watch) -> dict[str, PartLife]:
    return {part.name: part for part in watch.look()}


def test_a_part_is_alive_once_its_counter_has_moved_before_our_eyes(tmp_path: Path) -> None:
    clock = Clock()
    pulse, watch = Pulse(tmp_path, "receiver", clock), Watch(tmp_path, ["receiver"], clock)
    assert not lives(watch)["receiver"].alive  # not started
    pulse.beat()
    assert not lives(watch)["receiver"].alive  # it may be the file of a process that is long dead
    clock.go(BEAT_S)
    pulse.beat()
    assert lives(watch)["receiver"].alive


def test_a_part_that_hangs_is_dead_after_the_silence_and_alive_again_when_it_goes_on(tmp_path: Path) -> None:
    clock = Clock()
    pulse, watch = Pulse(tmp_path, "sender", clock), Watch(tmp_path, ["sender"], clock)
    for _ in range(2):
        pulse.beat()
        watch.look()
        clock.go(BEAT_S)
    clock.go(SILENT_S - BEAT_S - 0.1)
    assert lives(watch)["sender"].alive
    clock.go(0.2)
    dead = lives(watch)["sender"]
    assert not dead.alive
    assert dead.silent_s > SILENT_S
    pulse.beat()
    assert lives(watch)["sender"].alive


def test_parts_that_were_never_seen_are_named_in_the_order_of_the_data(tmp_path: Path) -> None:
    clock = Clock()
    watch = Watch(tmp_path, clock=clock)
    Pulse(tmp_path, "scorer-2", clock).beat()
    Pulse(tmp_path, "scorer-1", clock).beat()
    assert [part.name for part in watch.look()] == [
        "receiver", "keeper", "scorer-1", "scorer-2", "sender", "http", "alarms",
    ]  # fmt: skip


def test_a_part_that_is_started_again_and_again_keeps_dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    watch = Watch(tmp_path, ["scorer"], clock)
    for pid in range(100, 104):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        Pulse(tmp_path, "scorer", clock).beat()
        found = lives(watch)["scorer"]
        clock.go(5)
    assert (found.restarts, found.keeps_dying, found.alive) == (3, True, True)
    clock.go(RESTARTS_S)
    assert not lives(watch)["scorer"].keeps_dying


def test_a_counter_that_is_being_written_is_no_change(tmp_path: Path) -> None:
    clock = Clock()
    pulse, watch = Pulse(tmp_path, "keeper", clock), Watch(tmp_path, ["keeper"], clock)
    pulse.beat()
    watch.look()
    clock.go(BEAT_S)
    pulse.beat()
    assert lives(watch)["keeper"].alive
    (tmp_path / "keeper").write_text("")
    assert lives(watch)["keeper"].alive
    clock.go(BEAT_S)
    pulse.beat()
    assert (lives(watch)["keeper"].alive, lives(watch)["keeper"].restarts) == (True, 0)


def test_a_part_that_the_configuration_no_longer_has_is_not_waited_for(tmp_path: Path) -> None:
    Pulse(tmp_path, "http").beat()
    assert lives(Watch(tmp_path, ["sender"])).keys() == {"sender"}


def test_parts_of_an_earlier_run_are_forgotten(tmp_path: Path) -> None:
    watch = Watch(tmp_path, ["scorer"])
    Pulse(tmp_path, "scorer-1").beat()
    Pulse(tmp_path, "scorer-7").beat()
    assert {"scorer-1", "scorer-7"} <= lives(watch).keys()
    forget(tmp_path)
    assert lives(watch).keys() == {"scorer"}


def test_a_beat_never_fails_and_is_cheap_when_called_often(tmp_path: Path) -> None:
    clock = Clock()
    pulse = Pulse(tmp_path / "file" / "folder", "http", clock)
    (tmp_path / "file").write_text("no folder")
    pulse.beat()
    (tmp_path / "file").unlink()
    pulse.beat()  # too early: nothing is written
    assert not (tmp_path / "file").exists()
    clock.go(BEAT_S)
    pulse.beat()
    assert (tmp_path / "file" / "folder" / "http").read_text() == f"{os.getpid()} 2\n"


def test_two_nodes_of_one_store_have_counters_of_their_own(tmp_path: Path) -> None:
    assert alive_folder(tmp_path, 11112) != alive_folder(tmp_path, 11113)
    assert alive_folder(tmp_path, 11112).parent == tmp_path / "alive"
