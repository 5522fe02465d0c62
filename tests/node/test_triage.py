"""Headers are read in a process of its own: a study that ends it, or takes too much, counts as not whole."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctacal.jobs.node.config import NodeConfig
from ctacal.jobs.node.ledger import Arriving
from ctacal.jobs.node.store import Store
from ctacal.node.triage import Triage
from ctacal.watched import Duty, Limits
from tests.dicom_series import ct_series
from tests.node.running import wait_until
from tests.node.studies import keep, write

ENDS, HANGS, GROWS, WHOLE, GAPS = (f"1.2.{number}" for number in range(5))


def begin() -> Duty[str, bool]:
    return Duty(_read)


def cannot_begin() -> Duty[str, bool]:
    raise ValueError("no reason")


def _read(study_uid: str) -> bool:
    if study_uid == ENDS:
        os._exit(1)
    if study_uid == HANGS:
        time.sleep(1000)
    if study_uid == GROWS:
        taken = bytearray(600 * 2**20)
        time.sleep(1000)
        del taken
    return study_uid == WHOLE


def arriving(study_uid: str, activity: int = 1) -> Arriving:
    return Arriving(study_uid, activity, 3, asked_now=False)


@pytest.fixture
def triage() -> Iterator[Triage]:
    triage = Triage(begin, Limits(memory_mb=500, time_s=2.0))
    yield triage
    triage.end()


def answer(triage: Triage, study: Arriving) -> bool:
    found: list[bool] = []

    def is_known() -> bool:
        found.extend(one for one in (triage.is_whole(study),) if one is not None)
        return bool(found)

    wait_until(is_known, "an answer")
    return found[0]


@pytest.mark.parametrize("bad", [ENDS, HANGS, GROWS])
def test_a_bad_study_counts_as_not_whole_and_the_next_one_is_read(triage: Triage, bad: str) -> None:
    assert not answer(triage, arriving(bad))
    assert answer(triage, arriving(WHOLE))
    assert not answer(triage, arriving(GAPS))


def test_one_that_hangs_does_not_hold_up_the_keeper(triage: Triage) -> None:
    assert answer(triage, arriving(WHOLE))  # the process has begun
    assert triage.is_whole(arriving(HANGS)) is None
    began = time.monotonic()
    assert triage.is_whole(arriving(WHOLE, activity=2)) is None
    assert time.monotonic() - began < 0.5
    assert answer(triage, arriving(WHOLE, activity=2))


def test_a_process_that_cannot_begin_is_no_reason_to_stop(triage: Triage) -> None:
    triage.begin = cannot_begin
    assert not answer(triage, arriving(WHOLE))
    triage.begin = begin
    assert answer(triage, arriving(WHOLE))


def test_the_triage_of_a_node_reads_what_its_store_has(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    study_uid = keep(store, [write(image, tmp_path / f"{number}.dcm") for number, image in enumerate(ct_series())])
    triage = Triage.of(NodeConfig(store=store.folder))
    try:
        assert answer(triage, arriving(study_uid))
        store.received(study_uid)[5].unlink()
        assert not answer(triage, arriving(study_uid, activity=2))
    finally:
        triage.end()
