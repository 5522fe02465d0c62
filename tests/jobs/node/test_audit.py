"""The audit trail: whatever is changed in it shows."""

from collections.abc import Callable
from typing import Any

import pytest

from ctacal.errors import NotPossible
from ctacal.jobs.database import Transaction
from ctacal.jobs.node.ledger import Ledger
from tests.jobs.node.ledgers import Ledgers

LINE = "SELECT line FROM node_audit WHERE number = 2 AND store_id = 'store'"


def filled(ledgers: Ledgers) -> Ledger:
    ledger = ledgers()
    ledgers("other").audit.append("association accepted", source="CAM@10.0.0.1")
    for number in range(5):
        ledger.audit.append("association accepted", study_uid=f"1.{number % 2}", source="CAM@10.0.0.1", objects=number)
    return ledger


def test_records_are_found_again(ledgers: Ledgers) -> None:
    ledger = filled(ledgers)
    head = ledger.audit.verify()
    assert head is not None and head == ledger.audit.head() and head.n == 4
    assert [record.content["objects"] for record in ledger.audit.records(limit=2)] == [4, 3]
    assert [record.n for record in ledger.audit.records(before=3, study_uid="1.0")] == [2, 0]
    assert [record.n for record in ledger.audit.since(2)] == [3, 4]
    assert ledgers("third").audit.verify() is None


def test_any_value_is_stored(ledgers: Ledgers) -> None:
    ledger = ledgers()
    facts: dict[str, Any] = {
        "text": "\0ä\udc80" + "x" * 3000,
        "number": float("inf"),
        "list": (1, None, {"a": b"x"}),
        "rows": 1,
        "store_id": "y",
    }
    record = ledger.audit.append("odd", **facts)
    assert record.content["text"] == ("ä?" + "x" * 3000)[:1999]
    assert record.content["number"] == "inf" and record.content["list"] == [1, None, {"a": "b'x'"}]
    assert ledger.audit.verify() == record


def changed(rows: Transaction) -> None:
    line = rows.one(LINE)[0].replace("CAM@10.0.0.1", "CAM@10.0.0.2")
    rows.run("UPDATE node_audit SET line = ? WHERE number = 2 AND store_id = 'store'", line)


def removed(rows: Transaction) -> None:
    rows.run("DELETE FROM node_audit WHERE number = 2 AND store_id = 'store'")


def exchanged(rows: Transaction) -> None:
    other = rows.one("SELECT line FROM node_audit WHERE store_id = 'other'")[0]
    rows.run("UPDATE node_audit SET line = ? WHERE number = 2 AND store_id = 'store'", other)


def given_to_another_study(rows: Transaction) -> None:
    rows.run("UPDATE node_audit SET study_uid = '1.1' WHERE number = 2 AND store_id = 'store'")


def overwritten(rows: Transaction) -> None:
    rows.run("UPDATE node_audit SET line = '[]' WHERE number = 2 AND store_id = 'store'")


@pytest.mark.parametrize("tamper", [changed, removed, exchanged, given_to_another_study, overwritten])
def test_what_was_changed_shows(ledgers: Ledgers, tamper: Callable[[Transaction], None]) -> None:
    ledger = filled(ledgers)
    ledger.database.write(tamper)
    with pytest.raises(NotPossible, match=r"audit trail: record [23] "):
        ledger.check()


def test_what_was_cut_off_shows_by_the_newest_digest(ledgers: Ledgers) -> None:
    ledger = filled(ledgers)
    head = ledger.audit.head()
    ledger.database.write(lambda rows: rows.run("DELETE FROM node_audit WHERE number = 4 AND store_id = 'store'"))
    assert ledger.audit.verify() != head
