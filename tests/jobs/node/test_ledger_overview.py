"""What pages ask the ledger, and how much work that is when it holds many studies."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ctacal.jobs.database import Transaction
from ctacal.jobs.node.ledger import DeliveryState, Ledger, StudyState
from tests.jobs.node.ledgers import Ledgers, claimed, outcome, report, scored, settled


def test_counts_pages_and_rates(ledgers: Ledgers) -> None:
    ledger = ledgers()
    for number in range(4):
        scored(ledger, f"1.2.{number}", report(f"sr{number}"), report(f"seg{number}", "archive", "seg"))
        ledgers.now += 60
    settled(ledger, "1.9.1")
    ledger.arrived("1.9.2", objects=1, source="")
    assert ledger.study_counts() == dict.fromkeys(StudyState, 0) | {"SCORED": 4, "SETTLED": 1, "RECEIVING": 1}
    first, held = ledger.claim_delivery("s", "pacs"), ledger.claim_delivery("s", "archive")
    assert first and held and ledger.done(first) and ledger.hold(held, "not taken")
    assert ledger.delivery_counts()["pacs"] == dict.fromkeys(DeliveryState, 0) | {"WAITING": 3, "DONE": 1}
    assert [row.sop_instance_uid for row in ledger.waiting("pacs", limit=2)] == [
        report("sr1").sop_instance_uid, report("sr2").sop_instance_uid,
    ]  # fmt: skip
    assert [(row.study_uid, row.reason) for row in ledger.held()] == [("1.2.0", "not taken")]
    assert ledger.delivery(held.id) == ledger.held()[0]
    assert ledger.delivery(999) is None
    assert ledger.to_score_since() == "2027-01-15T08:04:00.000+00:00"
    assert ledger.newest_scored() == "2027-01-15T08:03:00.000+00:00"
    rates = ledger.rates("2027-01-15T08:02")
    assert (rates.received, rates.scored, rates.delivered) == (4, 2, 1)
    assert claimed(ledger).study_uid == ledger.being_scored()[0].study_uid == "1.9.1"
    page = ledger.studies(limit=2)
    assert [row.study_uid for row in page] == ["1.9.2", "1.9.1"]
    assert [row.study_uid for row in ledger.studies(before=page[-1].number, limit=2)] == ["1.2.3", "1.2.2"]
    assert len(ledger.studies(states=[StudyState.SCORED, StudyState.RECEIVING])) == 5
    assert [row.study_uid for row in ledger.studies(uid_begins="1.9")] == ["1.9.2", "1.9.1"]


def test_an_empty_ledger(ledgers: Ledgers) -> None:
    ledger = ledgers()
    assert ledger.studies() == ledger.held() == ledger.being_scored() == ledger.waiting("pacs") == []
    assert (ledger.to_score_since(), ledger.newest_scored(), ledger.delivery_counts()) == ("", "", {})
    assert ledger.claim_study("w") is None and ledger.claim_delivery("w", "pacs") is None


MANY = 20_000
"""Studies of a large ledger."""


def fill(rows: Transaction, studies: int) -> None:
    """Add studies that were scored and sent, of which each tenth waits for a destination that is away."""
    study = (
        "INSERT INTO node_studies (store_id, study_uid, state, objects, first_at, last_at, scored_at) "
        "VALUES ('store', ?, 'SCORED', ?, ?, ?, ?)"
    )
    delivery = (
        "INSERT INTO node_deliveries (store_id, study_uid, study_number, revision, destination, kind, path, "
        "sop_class_uid, sop_instance_uid, state, created_at, done_at, due_at, due_in_s) "
        "VALUES ('store', ?, ?, 1, ?, 'sr', 'results', '1', ?, ?, ?, ?, 1e12, 1e12)"
    )
    at = [f"2026-{1 + n // 2500:02d}-{1 + n % 28:02d}T10:00:00.000+00:00" for n in range(studies)]
    rows.run_many(study, [(f"1.2.{n}", 100 * (n > studies - 100), at[n], at[n], at[n]) for n in range(studies)])
    sent = [(f"1.2.{n}", n + 1, "pacs", f"2.25.{n}", "DONE", at[n], at[n]) for n in range(studies)]
    away = [
        (f"1.2.{n}", n + 1, "archive", f"2.25.{n}", "WAITING" if n % 10 == 0 else "DONE", at[n], "")
        for n in range(studies)
    ]
    rows.run_many(delivery, sent + away)


@dataclass
class Meter:
    """Counts the instructions of SQLite's virtual machine, in hundreds."""

    hundreds: int = 0

    def tick(self) -> int:
        self.hundreds += 1
        return 0

    def work(self, ledger: Ledger, ask: Callable[[Ledger], Any]) -> int:
        connection: Any = ledger.database._connected()
        assert isinstance(connection, sqlite3.Connection)
        self.hundreds = 0
        connection.set_progress_handler(self.tick, 100)
        ask(ledger)
        connection.set_progress_handler(None, 0)
        return self.hundreds * 100


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Any:
    ledgers = Ledgers(tmp_path_factory.mktemp("large") / "ledger.sqlite")
    ledger = ledgers()
    ledger.database.write(lambda rows: fill(rows, MANY))
    settled(ledger, "1.8")  # for the one that claims: each worker of pytest sees only some of the questions
    yield ledger
    ledgers.close()


FEW = 20_000
"""Instructions: about a thousand rows at most, however many there are."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("most", "ask"),
    [
        (FEW, lambda ledger: settled(ledger, "1.9")),
        (FEW, lambda ledger: ledger.scored(claimed(ledger), outcome(), [report("sr")])),
        (FEW, lambda ledger: ledger.claims()),
        (FEW, lambda ledger: ledger.receiving()),
        (FEW, lambda ledger: ledger.rescore("1.2.19999")),
        (FEW, lambda ledger: ledger.studies(limit=50)),
        (FEW, lambda ledger: ledger.studies(limit=50, before=9000)),
        (FEW, lambda ledger: ledger.studies(limit=50, states=[StudyState.QUARANTINED])),
        (FEW, lambda ledger: ledger.being_scored()),
        (FEW, lambda ledger: ledger.study("1.2.777")),
        (FEW, lambda ledger: ledger.deliveries("1.2.777")),
        (FEW, lambda ledger: ledger.held()),
        (FEW, lambda ledger: ledger.waiting("archive", limit=50)),
        (FEW, lambda ledger: ledger.committed("9.9", ["2.25.7"])),
        (FEW, lambda ledger: ledger.claim_uncommitted("w", "pacs")),
        (FEW, lambda ledger: ledger.removable(last_before="2027", limit=50)),
        (FEW, lambda ledger: ledger.rates("2026-08-20T00")),
        (FEW, lambda ledger: ledger.scored_by_hour("2026-08-20T00")),
        (FEW, lambda ledger: ledger.delivery_states([f"1.2.{number}" for number in range(50)])),
        (FEW, lambda ledger: ledger.held_groups()),
        (FEW, lambda ledger: ledger.to_score_since()),
        (FEW, lambda ledger: ledger.newest_scored()),
        (FEW, lambda ledger: ledger.audit.records(study_uid="1.9")),
        (FEW, lambda ledger: ledger.claim_delivery("w", "archive", study_uid="1.2.770")),
        (60 * MANY // 10, lambda ledger: ledger.claim_delivery("w", "archive")),  # looks at all that wait
        (20 * MANY // 10, lambda ledger: ledger.next_due_s("archive")),
        (10 * MANY, lambda ledger: ledger.study_counts()),  # a count has to count, but reads only the index
        (20 * MANY, lambda ledger: ledger.delivery_counts()),
    ],
)  # fmt: skip
def test_work_does_not_grow_with_the_ledger(large: Ledger, most: int, ask: Callable[[Ledger], Any]) -> None:
    assert Meter().work(large, ask) < most
