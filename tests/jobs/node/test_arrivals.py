"""The ledger is told of what the store took: in batches, when it is back, and after a process was killed."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ctacal.jobs.database import DatabaseAway
from ctacal.jobs.node import arrivals as arrivals_module
from ctacal.jobs.node.arrivals import Arrivals
from ctacal.jobs.node.config import Settle
from ctacal.jobs.node.intake import Refused, Taken, Why
from ctacal.jobs.node.ledger import Ledger, StudyRow, open_ledger
from ctacal.jobs.node.store import Placed, Store

STUDY, OTHER = "1.2.3", "1.2.4"
QUIET_S, OPEN_S = 0.4, 2.0
WAIT_S = 20.0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def ledger(store: Store) -> Iterator[Ledger]:
    """The ledger as another process sees it."""
    with closing(connect(store)()) as ledger:
        yield ledger


def connect(store: Store) -> Callable[[], Ledger]:
    return lambda: open_ledger(store.folder / "ledger.sqlite", store.id, wait_s=1.0)


def telling(store: Store, connect_: Callable[[], Ledger] | None = None) -> Arrivals:
    return Arrivals(store, connect_ or connect(store), Settle(quiet_s=QUIET_S, wait_s=OPEN_S), tell_s=0.05)


def wait_until(found: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < until
        time.sleep(0.01)


def study_of(ledger: Ledger, study_uid: str = STUDY) -> StudyRow:
    study = ledger.study(study_uid)
    assert study is not None
    return study


def taken(placed: Placed = Placed.KEPT, study_uid: str = STUDY) -> Taken:
    return Taken(
        placed=placed, study_uid=study_uid, sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid="1.2.5"
    )


def keep(store: Store, study_uid: str, *sop_uids: str) -> None:
    for sop_uid in sop_uids:
        with store.incoming() as incoming:
            incoming.write_bytes(sop_uid.encode())
            store.keep(incoming, study_uid, sop_uid)


def test_many_objects_are_told_together(store: Store, ledger: Ledger) -> None:
    with telling(store) as arrivals, arrivals.sending("CAMERA@10.1.2.3") as sending:
        for _ in range(200):
            sending.note(taken())
        sending.note(taken(study_uid=OTHER))
        wait_until(lambda: ledger.objects(STUDY) == 200)
    assert ledger.objects(OTHER) == 1
    assert study_of(ledger).sources == ("CAMERA@10.1.2.3",)
    assert study_of(ledger).activity < 20


def test_what_is_known_aside_or_refused_is_no_new_object(store: Store, ledger: Ledger) -> None:
    with telling(store) as arrivals, arrivals.sending("CAMERA@10.1.2.3") as sending:
        sending.note(taken())
        for outcome in (taken(Placed.KNOWN), taken(Placed.ASIDE), Refused(Why.UNREADABLE, "")):
            sending.note(outcome)
    assert ledger.objects(STUDY) == 1
    assert sending.counts == {"kept": 1, "known": 1, "aside": 1, "refused: unreadable": 1}
    (record,) = ledger.audit.records(study_uid=STUDY)
    assert record.content["what"] == "object set aside"
    assert record.content["sop_instance_uid"] == "1.2.5"


def test_a_study_stays_active_while_its_sender_is_there(store: Store, ledger: Ledger) -> None:
    with telling(store) as arrivals:
        with arrivals.sending("CAMERA@10.1.2.3") as sending:
            sending.note(taken())
            wait_until(lambda: ledger.objects(STUDY) == 1)
            before = study_of(ledger).activity
            wait_until(lambda: study_of(ledger).activity >= before + 3)
        with arrivals.sending("OTHER@10.1.2.4") as other:  # its end makes sure that nothing is under way
            other.note(taken(study_uid=OTHER))
        wait_until(lambda: ledger.objects(OTHER) == 1)
        after = study_of(ledger).activity
        time.sleep(2 * QUIET_S)  # nothing happens, which cannot be waited for
        assert study_of(ledger).activity == after


def test_a_sender_that_never_hangs_up_does_not_hold_a_study_open_that_it_sends_no_more_of(
    store: Store, ledger: Ledger
) -> None:
    with telling(store) as arrivals, arrivals.sending("ROUTER@10.1.2.3") as sending:
        sending.note(taken())
        wait_until(lambda: ledger.objects(STUDY) == 1)
        until = time.monotonic() + 2 * OPEN_S
        while time.monotonic() < until:
            sending.note(taken(Placed.KNOWN, OTHER))
            time.sleep(0.05)
        before = study_of(ledger).activity
        time.sleep(3 * QUIET_S)  # nothing happens, which cannot be waited for
        assert study_of(ledger).activity == before
        assert list(sending.studies) == [OTHER]


def test_objects_wait_for_a_ledger_that_is_away(store: Store, ledger: Ledger) -> None:
    is_there = [False]

    def connect_when_there() -> Ledger:
        if not is_there[0]:
            raise DatabaseAway("it is away")
        return connect(store)()

    with telling(store, connect_when_there) as arrivals:
        with arrivals.sending("CAMERA@10.1.2.3") as sending:
            for _ in range(3):
                sending.note(taken())
        arrivals.note("association", source="CAMERA@10.1.2.3")
        assert ledger.objects(STUDY) == 0
        is_there[0] = True
        wait_until(lambda: ledger.objects(STUDY) == 3 and len(ledger.audit.records()) == 1)


def test_a_ledger_that_fails_once_is_told_once(store: Store, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    arrived, failed = Ledger.arrived, [0]

    def arrived_at_last(self: Ledger, study_uid: str, *, objects: int, source: str) -> None:
        if failed[0] < 2:
            failed[0] += 1
            raise DatabaseAway("it is busy")
        arrived(self, study_uid, objects=objects, source=source)

    monkeypatch.setattr(Ledger, "arrived", arrived_at_last)
    with telling(store) as arrivals, arrivals.sending("CAMERA@10.1.2.3") as sending:
        sending.note(taken())
        wait_until(lambda: ledger.objects(STUDY) == 1)
        sending.note(taken())
    assert ledger.objects(STUDY) == 2
    assert failed == [2]


def test_what_a_killed_process_did_not_tell_is_found(store: Store, ledger: Ledger) -> None:
    keep(store, STUDY, "1.2.1", "1.2.2", "1.2.3")
    keep(store, OTHER, "1.2.1")
    ledger.arrived(STUDY, objects=1, source="CAMERA@10.1.2.3")
    ledger.arrived(OTHER, objects=1, source="CAMERA@10.1.2.3")
    with telling(store):
        wait_until(lambda: ledger.objects(STUDY) == 3)
    assert ledger.objects(OTHER) == 1
    assert [record.content["objects"] for record in ledger.audit.records(study_uid=STUDY)] == [2]
    with telling(store):
        time.sleep(0.5)  # nothing happens, which cannot be waited for
    assert ledger.objects(STUDY) == 3


def test_two_processes_that_start_at_once_find_it_once(store: Store, ledger: Ledger) -> None:
    keep(store, STUDY, *(f"1.2.{number}" for number in range(50)))
    with telling(store), telling(store), telling(store):
        wait_until(lambda: ledger.objects(STUDY) > 0)
        time.sleep(0.5)  # nothing more happens, which cannot be waited for
    assert ledger.objects(STUDY) == 50


def test_what_another_process_is_about_to_tell_is_left_to_it(store: Store, ledger: Ledger) -> None:
    keep(store, STUDY, "1.2.1", "1.2.2")
    with telling(store) as arrivals:
        with arrivals.sending("CAMERA@10.1.2.3") as sending:
            keep(store, STUDY, "1.2.3")
            sending.note(taken())
        ledger.arrived(STUDY, objects=2, source="STOW@10.1.2.4")
        wait_until(lambda: ledger.objects(STUDY) == 3)
        time.sleep(0.5)  # nothing happens, which cannot be waited for
    assert ledger.objects(STUDY) == 3


def test_what_strangers_cause_is_noted_together(store: Store, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    with telling(store) as arrivals:
        for number in range(1000):
            arrivals.note_often("association rejected", f"ANY@10.1.{number % 250}.1", reason="unknown")
        wait_until(lambda: len(ledger.audit.records(limit=1000)) >= 101)
        assert len(ledger.audit.records(limit=1000)) == 101  # the first of each of 100 senders, and of the rest
        monkeypatch.setattr(arrivals_module, "OFTEN_S", 0.0)
        wait_until(lambda: sum(record.content["times"] for record in ledger.audit.records(limit=1000)) == 1000)
    assert len(ledger.audit.records(limit=1000)) <= 202
