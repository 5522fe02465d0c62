"""Originals and results go when they are old and all is delivered, and never before."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ctacal.jobs.node.config import Retention
from ctacal.jobs.node.ledger import Ledger, open_ledger
from ctacal.jobs.node.ledger_rebuild import rebuild
from ctacal.jobs.node.retention import discard, finish_discarding
from ctacal.jobs.node.store import Discarding, Store
from tests import places
from tests.dicom_series import ct_series
from tests.jobs.node.ledgers import claimed, outcome, report, scored, settled
from tests.node.studies import keep, write

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=8)
WEEK = Retention(originals_days=7)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def ledger(store: Store) -> Iterator[Ledger]:
    ledger = open_ledger(store.folder / "ledger.sqlite", store.id)
    yield ledger
    ledger.close()


@pytest.fixture
def study_uid(store: Store, ledger: Ledger, tmp_path: Path) -> str:
    """A scored study of three objects, of which one result is to be sent."""
    images = ct_series()[:3]
    study_uid = keep(store, [write(image, tmp_path / f"{number}.dcm") for number, image in enumerate(images)])
    settled(ledger, study_uid, objects=3)
    folder = store.results(study_uid, 1)
    folder.mkdir(parents=True)
    (folder / "sr.dcm").touch()
    assert ledger.scored(claimed(ledger), outcome(), [report("sr")])
    return study_uid


class Killed(BaseException):
    """The process ends here."""


def killed(*_: object, **__: object) -> None:
    raise Killed


def deliver(ledger: Ledger) -> None:
    claim = ledger.claim_delivery("w", "pacs")
    assert claim is not None
    assert ledger.done(claim)


def test_originals_go_when_they_are_delivered_and_old(store: Store, ledger: Ledger, study_uid: str) -> None:
    assert discard(store, ledger, WEEK, LATER) == 0  # not delivered
    deliver(ledger)
    assert discard(store, ledger, WEEK, NOW) == 0  # not old
    assert discard(store, ledger, Retention(originals_days=0), LATER) == 0  # never
    assert len(store.received(study_uid)) == 3
    assert discard(store, ledger, WEEK, LATER) == 1
    assert store.received(study_uid) == ()
    assert store.results(study_uid, 1).is_dir()
    assert ledger.audit.records(study_uid=study_uid)[0].content["what"] == "originals deleted"
    assert discard(store, ledger, WEEK, LATER) == 0


def test_an_object_that_the_ledger_does_not_know_keeps_all_originals(
    store: Store, ledger: Ledger, study_uid: str, tmp_path: Path
) -> None:
    deliver(ledger)
    keep(store, [write(ct_series()[3], tmp_path / "late.dcm")])
    assert discard(store, ledger, WEEK, LATER) == 0
    assert len(store.received(study_uid)) == 4


@pytest.mark.parametrize("killed_in", ["discard_received", "delete"])
def test_a_process_that_is_killed_while_originals_go_leaves_all_of_them_or_none(
    store: Store, ledger: Ledger, study_uid: str, monkeypatch: pytest.MonkeyPatch, killed_in: str
) -> None:
    deliver(ledger)
    monkeypatch.setattr(Store, killed_in, killed)
    with pytest.raises(Killed):
        discard(store, ledger, WEEK, LATER)
    assert len(store.received(study_uid)) in (0, 3)
    monkeypatch.undo()
    finish_discarding(store, ledger)
    rebuild(ledger, store)
    study = ledger.study(study_uid)
    assert study and len(store.received(study_uid)) == study.objects
    assert study.state == ("RECEIVING" if study.objects else "SCORED")
    assert store.discarding() == ()


def test_a_killed_process_leaves_no_part_of_a_study(
    store: Store, ledger: Ledger, study_uid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A contiguous part would give a lower score, in a new report that replaces the right one."""
    deliver(ledger)
    unlinked: list[Path] = []
    really_unlink = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if unlinked:
            raise Killed
        unlinked.append(path)
        really_unlink(path)

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(Killed):
        discard(store, ledger, WEEK, LATER)
    monkeypatch.undo()
    assert unlinked
    assert store.received(study_uid) == ()
    finish_discarding(store, ledger)
    assert store.discarding() == ()
    assert not [path for path in store.folder.rglob("*.dcm") if path.name != "sr.dcm"]


@pytest.mark.slow
def test_a_process_that_is_killed_again_and_again_leaves_whole_studies_only(store: Store, ledger: Ledger) -> None:
    rebuild(ledger, store)
    uids: list[str] = []
    for number in range(6):
        for study_uid in (f"1.{number}.{study}" for study in range(1, 5)):
            keep_bytes(store, study_uid, objects=3)
            scored(ledger, study_uid)
            uids.append(study_uid)
        kill_while_it_discards(store, after_s=0.02 * number)
        assert {len(store.received(study_uid)) for study_uid in uids} <= {0, 3}
        finish_discarding(store, ledger)
        rebuild(ledger, store)
        assert store.discarding() == ()
        assert all(ledger.objects(study_uid) == len(store.received(study_uid)) for study_uid in uids)
        for arriving in ledger.receiving():
            assert ledger.settle(arriving.study_uid, arriving.activity)
            assert ledger.scored(claimed(ledger), outcome(), [])


def keep_bytes(store: Store, study_uid: str, objects: int) -> None:
    for number in range(objects):
        with store.incoming() as file:
            file.write_bytes(b"x")
            store.keep(file, study_uid, f"{study_uid}.{number}")


def kill_while_it_discards(store: Store, after_s: float) -> None:
    command = [sys.executable, "-m", "tests.jobs.node.discarding", str(store.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=places.ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begins\n"
        time.sleep(after_s)
        process.kill()


def test_what_arrives_while_a_study_goes_brings_all_of_it_back(
    store: Store, ledger: Ledger, study_uid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(ledger)
    discard_received = Store.discard_received

    def late(self: Store, study_uid: str, objects: int) -> Discarding | None:
        keep(store, [write(ct_series()[3], tmp_path / "late.dcm")])
        return discard_received(self, study_uid, objects)

    monkeypatch.setattr(Store, "discard_received", late)
    assert discard(store, ledger, WEEK, LATER) == 0
    study = ledger.study(study_uid)
    assert study and (study.state, study.objects) == ("RECEIVING", 4)
    assert len(store.received(study_uid)) == 4
    assert store.discarding() == ()


def test_results_go_when_they_are_delivered_and_old(store: Store, ledger: Ledger, study_uid: str) -> None:
    year = Retention(originals_days=0, results_days=365)
    assert discard(store, ledger, year, NOW + timedelta(days=400)) == 0
    deliver(ledger)
    assert discard(store, ledger, year, NOW + timedelta(days=300)) == 0
    assert discard(store, ledger, year, NOW + timedelta(days=400)) == 1
    assert not (store.folder / "results" / study_uid).exists()
    assert len(store.received(study_uid)) == 3
    assert ledger.audit.records(study_uid=study_uid)[0].content["what"] == "results deleted"


def test_a_folder_that_the_ledger_does_not_know_stays(store: Store, ledger: Ledger) -> None:
    store.results("1.2.3", 1).mkdir(parents=True)
    assert discard(store, ledger, Retention(results_days=1), LATER) == 0
    assert store.results("1.2.3", 1).is_dir()
