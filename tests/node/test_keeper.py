"""The keeper settles what is quiet and frees what dead workers held, by counters and its own clock alone."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from ctacal.jobs.node.config import NodeConfig, Retention, Settle
from ctacal.jobs.node.ledger import Ledger, StudyState, open_ledger
from ctacal.jobs.node.store import Store
from ctacal.node.keeper import DEAD_S, SCORER_DIED, DeadClaims, Keeper, run
from ctacal.watched import Duty
from tests.dicom_series import ct_series
from tests.jobs.node.ledgers import claimed, outcome, settled
from tests.node.running import wait_until
from tests.node.studies import keep, write


class Scene:
    """A keeper whose clock the test moves."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        config = NodeConfig(
            store=folder / "store", settle=Settle(quiet_s=10, wait_s=100), retention=Retention(originals_days=1e-9)
        )
        self.store = Store(config.store)
        self.ledger: Ledger = open_ledger(config.ledger, self.store.id)
        self.keeper = Keeper(config, self.store, self.ledger, lambda: self.now)

    def after(self, seconds: float) -> None:
        self.now += seconds
        self.keeper.look()

    def wait_for(self, study_uid: str, state: str) -> None:
        """Look again and again, while the clock stands still: triage takes its time."""

        def is_there() -> bool:
            self.after(0)
            return self.state(study_uid) == state

        wait_until(is_there, state)

    def state(self, study_uid: str) -> str:
        study = self.ledger.study(study_uid)
        return study.state.value if study else ""


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.keeper.triage.end()
    scene.ledger.close()


def test_a_whole_study_settles_soon_and_one_with_a_gap_late(scene: Scene, tmp_path: Path) -> None:
    images = ct_series()
    whole = keep(scene.store, [write(image, tmp_path / f"{number}.dcm") for number, image in enumerate(images)])
    gap = ct_series(StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.1")
    del gap[6]
    keep(scene.store, [write(image, tmp_path / "gap" / f"{number}.dcm") for number, image in enumerate(gap)])
    for study_uid in (whole, "1.2.3"):
        scene.ledger.arrived(study_uid, objects=len(scene.store.received(study_uid)), source="CAM@10.0.0.1")
    scene.after(0)
    scene.after(9.9)
    assert (scene.state(whole), scene.state("1.2.3")) == ("RECEIVING", "RECEIVING")
    scene.after(0.2)
    scene.wait_for(whole, "SETTLED")
    assert scene.state("1.2.3") == "RECEIVING"
    scene.after(90)
    assert scene.state("1.2.3") == "SETTLED"


def test_a_ledger_that_was_lost_is_made_from_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    study_uid = keep(store, [write(image, tmp_path / f"{n}.dcm") for n, image in enumerate(ct_series())])
    stopping = Event()
    config = NodeConfig(store=store.folder, settle=Settle(quiet_s=0.01, wait_s=0.01))
    part = Thread(target=run, args=(config, stopping))
    part.start()
    try:
        with closing(open_ledger(config.ledger, store.id)) as ledger:
            wait_until(lambda: ledger.study_counts()[StudyState.SETTLED], "the study settles")
            assert ledger.objects(study_uid) == len(store.received(study_uid))
    finally:
        stopping.set()
        part.join()


def test_an_object_that_was_told_of_twice_is_counted_once(scene: Scene, tmp_path: Path) -> None:
    """The ledger was made from a store in which an object lay of which the receiver had not told yet."""
    images = ct_series()
    study_uid = keep(scene.store, [write(image, tmp_path / f"{number}.dcm") for number, image in enumerate(images)])
    scene.ledger.arrived(study_uid, objects=1, source="")
    scene.ledger.arrived(study_uid, objects=len(images), source="CAM@10.0.0.1")
    scene.after(0)
    scene.after(10.1)
    scene.wait_for(study_uid, "SETTLED")
    assert scene.ledger.objects(study_uid) == len(images)


def deadly() -> Duty[str, bool]:
    return Duty(lambda study_uid: study_uid == "1.3" or os._exit(1))


def test_a_study_whose_headers_end_the_process_that_reads_them_does_not_stop_the_others(scene: Scene) -> None:
    scene.keeper.triage.begin = deadly
    for study_uid in ("1.2", "1.3"):
        scene.ledger.arrived(study_uid, objects=1, source="CAM@10.0.0.1")
    scene.after(0)
    scene.after(10.1)
    scene.wait_for("1.3", "SETTLED")
    assert scene.state("1.2") == "RECEIVING"
    scene.after(90)
    assert scene.state("1.2") == "SETTLED"  # scoring says what is wrong with it


def test_who_asks_for_a_study_gets_it_at_once(scene: Scene) -> None:
    scene.ledger.arrived("1.2", objects=1, source="CAM@10.0.0.1")
    scene.after(0)
    assert scene.state("1.2") == "RECEIVING"
    assert scene.ledger.score_now("1.2")
    scene.after(0)
    assert scene.state("1.2") == "SETTLED"


def test_the_claim_of_a_worker_that_no_longer_beats_is_freed_and_the_attempt_counts(scene: Scene) -> None:
    settled(scene.ledger)
    claim = claimed(scene.ledger, "scorer-1 1 on another-machine")
    for _ in range(5):
        scene.after(DEAD_S - 1)
        assert scene.ledger.beat(claim)
    scene.after(2)
    scene.after(DEAD_S - 0.1)
    assert scene.ledger.claim_study("w") is None
    scene.after(2.1)
    assert not scene.ledger.beat(claim)
    assert claimed(scene.ledger).attempts == 2


def test_the_time_in_which_the_ledger_did_not_answer_counts_for_nobody(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(scene.ledger)
    claim = claimed(scene.ledger, "scorer-1 1 on another-machine")
    scene.ledger.arrived("1.3", objects=1, source="CAM@10.0.0.1")
    scene.after(0)

    def waiting(answer: Callable[[], Any]) -> Any:
        scene.now += 1000
        return answer()

    for name in ("receiving", "claims"):
        monkeypatch.setattr(scene.ledger, name, partial(waiting, getattr(scene.ledger, name)))
    scene.after(DEAD_S - 1)
    assert scene.ledger.beat(claim) and scene.state("1.3") == "RECEIVING"
    scene.after(100 - DEAD_S + 1)
    assert scene.state("1.3") == "SETTLED"  # the silence besides that was long enough


def test_the_claim_of_a_process_that_is_gone_is_freed_at_once(scene: Scene) -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    settled(scene.ledger)
    claimed(scene.ledger, f"scorer-1 {done.pid} on {platform.node()}")
    scene.after(0)
    assert claimed(scene.ledger).study_uid == "1.2"


def test_a_study_that_ends_the_node_again_and_again_is_put_in_quarantine(scene: Scene) -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    settled(scene.ledger)
    for attempt in range(1, scene.keeper.config.score.most_attempts + 1):
        assert claimed(scene.ledger, f"scorer-1 {done.pid} on {platform.node()}").attempts == attempt
        scene.after(DEAD_S)
    study = scene.ledger.study("1.2")
    assert study and (study.state, study.reason) == (StudyState.QUARANTINED, SCORER_DIED)
    assert scene.ledger.rescore("1.2")
    assert claimed(scene.ledger).attempts == 1


def test_a_worker_of_this_machine_that_lives_keeps_its_claim(scene: Scene) -> None:
    settled(scene.ledger)
    claimed(scene.ledger, f"scorer-1 {os.getpid()} on {platform.node()}")
    scene.after(0)
    scene.after(DEAD_S - 1)
    assert scene.ledger.claim_study("w") is None


def test_claims_are_told_apart_by_their_beat(scene: Scene) -> None:
    now = 0.0
    dead = DeadClaims(lambda: now)
    settled(scene.ledger)
    claim = claimed(scene.ledger, "w")
    assert dead.among(scene.ledger.claims()) == []
    now = DEAD_S
    assert len(dead.among(scene.ledger.claims())) == 1
    scene.ledger.beat(claim)
    assert dead.among(scene.ledger.claims()) == []


def test_originals_of_a_delivered_study_go(scene: Scene, tmp_path: Path) -> None:
    study_uid = keep(scene.store, [write(image, tmp_path / f"{image.InstanceNumber}.dcm") for image in ct_series()])
    settled(scene.ledger, study_uid, objects=14)
    assert scene.ledger.scored(claimed(scene.ledger), outcome(), [])
    scene.after(0)
    assert scene.store.received(study_uid) == ()
