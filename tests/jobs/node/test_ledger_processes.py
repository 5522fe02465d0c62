"""Many processes at one ledger: nobody gets what another has, and one that is killed takes nothing with it."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ctacal.jobs.node.ledger import DeliveryState, Ledger, StudyState
from tests import places
from tests.jobs.node.ledger_workers import STUDIES
from tests.jobs.node.ledgers import IN_MEMORY, Ledgers, claimed, outcome, report, settled


def run(do: str, ledgers: Ledgers, log: Path, number: int) -> list[list[str]]:
    """Run workers, and return the words of each line of their log."""
    command = [sys.executable, "-m", "tests.jobs.node.ledger_workers", do, str(ledgers.where), str(log), str(number)]
    done = subprocess.run(command, cwd=places.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in log.read_text().splitlines()]


@pytest.mark.slow
def test_nobody_claims_what_another_has_claimed(ledgers: Ledgers, tmp_path: Path) -> None:
    ledger = ledgers()
    uids = [f"1.2.{number}" for number in range(30)]
    for uid in uids:
        settled(ledger, uid)
    lines = run("claim", ledgers, tmp_path / "log", 6)
    assert sorted(uid for what, uid in lines if what == "study") == sorted(uids)
    assert sorted(uid for what, uid in lines if what == "delivery") == sorted(
        report(uid).sop_instance_uid for uid in uids
    )
    assert ledger.study_counts()[StudyState.SCORED] == ledger.delivery_counts()["pacs"][DeliveryState.DONE] == 30
    assert ledger.audit.verify() is not None


@pytest.mark.slow
def test_every_arrival_counts_once(ledgers: Ledgers, tmp_path: Path) -> None:
    ledger = ledgers()
    lines = run("arrive", ledgers, tmp_path / "log", 6)
    assert len(lines) == 6 * 20
    assert {uid: ledger.objects(uid) for uid in ("1.0", "1.1", "1.2")} == Counter(uid for _, uid in lines)
    assert sorted(one.activity for one in ledger.receiving()) == [36, 42, 42]


@pytest.mark.slow
def test_a_killed_process_takes_nothing_with_it(ledgers: Ledgers, tmp_path: Path) -> None:
    kill(ledgers, tmp_path / "log", 20)


@pytest.mark.ci
@pytest.mark.timeout(900)
def test_hundreds_of_killed_processes_take_nothing_with_them(ledgers: Ledgers, tmp_path: Path) -> None:
    with TemporaryDirectory(dir=IN_MEMORY) as folder:
        sqlite = isinstance(ledgers.where, Path)
        if sqlite:
            ledgers.where = Path(folder) / "ledger.sqlite"
        kill(ledgers, tmp_path / "log", 1000 if sqlite else 300)
        ledgers.close()


def kill(ledgers: Ledgers, log: Path, kills: int) -> None:
    """Kill workers, and check that what they said was done was done, once, and that the rest can be done."""
    ledger = ledgers()
    lines = run("kill", ledgers, log, kills)
    assert {what for what, *_ in lines} == {"arrived", "scored", "sent", "done"}
    ledger.check()
    lost = Counter(uid for what, uid, *_ in lines if what == "arrived")
    kept = {uid: ledger.objects(uid) for uid in lost}
    assert all(kept[uid] >= number for uid, number in lost.items())
    assert sum(kept.values()) <= sum(lost.values()) + kills + 2  # each death may have hidden one answer
    done = [delivery_id for what, delivery_id, *_ in lines if what == "done"]
    assert len(set(done)) == len(done)
    for delivery_id in done:
        row = ledger.delivery(int(delivery_id))
        assert row is not None and row.state is DeliveryState.DONE
    for _, uid, revision in (words for words in lines if words[0] == "scored"):
        study = ledger.study(uid)
        assert study is not None and study.revision >= int(revision)
    finish(ledger)
    counts = ledger.delivery_counts()["pacs"]
    assert counts[DeliveryState.WAITING] == counts[DeliveryState.HELD] == counts[DeliveryState.SENT] == 0
    delivered = [one for one in ledger.audit.since(-1, limit=10**6) if one.content["what"] == "delivered"]
    assert len(delivered) == counts[DeliveryState.DONE]


def finish(ledger: Ledger) -> None:
    """Do what is left, as the node does that is started next."""
    for dead in ledger.claims():
        assert ledger.free(dead)
    for arriving in ledger.receiving():
        assert ledger.settle(arriving.study_uid, arriving.activity)
    while ledger.study_counts()[StudyState.SETTLED]:
        claim = claimed(ledger)
        assert ledger.scored(claim, outcome(), [report(f"{claim.study_uid}/{claim.revision}")])
    for number in range(STUDIES):
        for row in ledger.deliveries(f"1.{number}"):
            if row.state is DeliveryState.SENT:
                assert ledger.committed(row.transaction_uid, [row.sop_instance_uid]) == 1
    while delivery := ledger.claim_delivery("sender", "pacs"):
        assert ledger.done(delivery)
