"""Scoring processes are watched from outside: what a study does to one of them does not stop the node."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ctacal.jobs.node.config import NodeConfig, Score
from ctacal.jobs.node.ledger import Ledger, StudyRow, StudyState, open_ledger
from ctacal.jobs.node.store import Store
from ctacal.node import scorers
from tests.jobs.node.ledgers import settled
from tests.node import misbehaving
from tests.node.misbehaving import DIES, GOOD, HANGS, NO_DISK, PAIR, RAISES, SWELLS
from tests.node.running import wait_until

pytestmark = pytest.mark.slow

CONFIG = Score(processes=1, memory_mb=misbehaving.SWOLLEN_MB // 2, time_s=120)


class Scene:
    """A store with its ledger, and scorers that run in this process with misbehaving scoring processes."""

    def __init__(self, folder: Path, score: Score) -> None:
        self.config = NodeConfig(store=folder / "store", score=score)
        self.store = Store(self.config.store)
        self.ledger: Ledger = open_ledger(self.config.ledger, self.store.id)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=scorers.run, args=(self.config, self.stopping))

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join(60)
        assert not self.thread.is_alive()

    def study(self, study_uid: str) -> StudyRow:
        study = self.ledger.study(study_uid)
        assert study is not None
        return study

    def finished(self, study_uid: str) -> StudyRow:
        open_states = (StudyState.RECEIVING, StudyState.SETTLED)
        wait_until(lambda: self.study(study_uid).state not in open_states, f"result of {study_uid}")
        return self.study(study_uid)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(scorers, "begin_scoring", misbehaving.begin_scoring)
    monkeypatch.setattr(scorers, "PAUSE_S", 0.2)
    monkeypatch.setattr(scorers, "BEAT_S", 0.2)
    scene = Scene(tmp_path, CONFIG)
    yield scene
    if scene.thread.is_alive():
        scene.stop()
    scene.ledger.close()


def test_studies_are_scored_in_the_order_of_their_arrival_by_one_process(scene: Scene) -> None:
    for number in range(3):
        settled(scene.ledger, f"{GOOD}.{number}")
    scene.start()
    rows = [scene.finished(f"{GOOD}.{number}") for number in range(3)]
    assert [row.state for row in rows] == ["SCORED"] * 3
    assert [row.scored_at for row in rows] == sorted(row.scored_at for row in rows)
    deliveries = [scene.ledger.deliveries(row.study_uid) for row in rows]
    assert len({one.sop_instance_uid for of_study in deliveries for one in of_study}) == 1  # of one process


def test_two_processes_score_two_studies_at_the_same_time_each_once(scene: Scene) -> None:
    scene.config = replace(scene.config, score=replace(CONFIG, processes=2))
    scene.thread = threading.Thread(target=scorers.run, args=(scene.config, scene.stopping))
    for study_uid in PAIR:
        settled(scene.ledger, study_uid)
    scene.start()
    rows = [scene.finished(study_uid) for study_uid in PAIR]
    assert [(row.state, row.attempts) for row in rows] == [("SCORED", 1)] * 2
    ((first,), (second,)) = (scene.ledger.deliveries(study_uid) for study_uid in PAIR)
    assert first.sop_instance_uid != second.sop_instance_uid  # of two processes
    for study_uid in PAIR:
        events = [record.content["what"] for record in scene.ledger.audit.records(study_uid=study_uid)]
        assert events == ["scored", "settled"]


@pytest.mark.parametrize(
    ("study_uid", "reason"),
    [
        (DIES, "the scoring process ended with exit code -9 (killed from outside, usually because memory ran out)"),
        (SWELLS, "the scoring process was killed: it took "),
        (RAISES, "a defect (ValueError); please report it"),
    ],
)
def test_a_study_that_fails_three_times_is_put_in_quarantine_and_the_others_go_on(
    scene: Scene, study_uid: str, reason: str
) -> None:
    settled(scene.ledger, study_uid)
    settled(scene.ledger, GOOD)
    scene.start()
    row = scene.finished(study_uid)
    assert (row.state, row.attempts) == ("QUARANTINED", 3)
    assert row.reason.startswith(reason)
    assert scene.finished(GOOD).state == "SCORED"
    events = [record.content["what"] for record in scene.ledger.audit.records(study_uid=study_uid)]
    assert events == ["quarantined", "scoring failed", "scoring failed", "settled"]


def test_a_study_that_takes_too_long_is_killed(scene: Scene) -> None:
    scene.config = replace(scene.config, score=replace(CONFIG, time_s=0.5, most_attempts=1))
    scene.thread = threading.Thread(target=scorers.run, args=(scene.config, scene.stopping))
    settled(scene.ledger, HANGS)
    scene.start()
    row = scene.finished(HANGS)
    assert (row.state, row.reason) == ("QUARANTINED", "the scoring process was killed: it took longer than 0.5 s")


def test_a_full_disk_is_no_fault_of_the_study(scene: Scene) -> None:
    settled(scene.ledger, NO_DISK)
    scene.start()
    for _ in range(4):
        wait_until((scene.config.store / "tried").exists, "attempt")
        (scene.config.store / "tried").unlink()
    (scene.config.store / "mended").touch()
    row = scene.finished(NO_DISK)
    assert (row.state, row.attempts) == ("SCORED", 1)


def test_what_is_being_scored_when_the_node_stops_is_left_to_the_next_start(scene: Scene) -> None:
    settled(scene.ledger, HANGS)
    scene.start()
    wait_until((scene.config.store / "hangs").exists, "begin of scoring")
    scene.stop()
    row = scene.study(HANGS)
    assert (row.state, row.attempts, row.claimed_by) == ("SETTLED", 0, "")


def test_objects_that_come_while_a_study_is_scored_stop_that(scene: Scene) -> None:
    settled(scene.ledger, HANGS)
    scene.start()
    wait_until((scene.config.store / "hangs").exists, "begin of scoring")
    (scene.config.store / "mended").touch()
    scene.ledger.arrived(HANGS, objects=1, source="CAM@10.0.0.1")
    (arriving,) = scene.ledger.receiving()
    assert scene.ledger.settle(HANGS, arriving.activity)
    row = scene.finished(HANGS)
    assert (row.state, row.revision, row.attempts) == ("SCORED", 2, 1)


def test_without_a_model_nothing_is_claimed(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    (scene.config.store / "no-model").touch()
    settled(scene.ledger, GOOD)
    scene.start()
    wait_until(lambda: caplog.messages.count("scorer waits") >= 2, "second attempt to load the model")
    assert "model.json is missing" in str(caplog.records[-1].__dict__)
    assert scene.study(GOOD).attempts == 0
    (scene.config.store / "no-model").unlink()
    assert scene.finished(GOOD).state == "SCORED"
