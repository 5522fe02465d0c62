"""``rebuild``: adds to the ledger what lies in the store and is not in it. Of an empty ledger, it makes a whole one.

A study whose originals are there is open again: it settles, is scored once more under its next revision, and its
results are sent under the same UIDs as before, because these follow from the content. For the same reason its newest
structured report counts as the one that was sent. Originals are deleted only when everything was delivered: so a study
of which there are results and no originals is finished.
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ctacal.jobs.database import Transaction
from ctacal.jobs.node import audit
from ctacal.jobs.node.ledger import Ledger
from ctacal.jobs.node.ledger_values import StudyState
from ctacal.jobs.node.store import Store

_BATCH = 500
"""Studies that are added in one transaction."""
_INSERT = (
    "INSERT INTO node_studies (store_id, study_uid, state, revision, activity, objects, sources, reason_code, reason, "
    "category, agatston, result, earlier_report, first_at, last_at) VALUES (?,?,?,?,1,?,'[]',?,?,?,?,?,?,?,?) "
    "ON CONFLICT DO NOTHING"
)
_TOLD = "SELECT 1 FROM node_facts WHERE name = ?"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a ledger did not know."""

    to_score: int
    """Studies with originals: they are scored again, and their results are sent again under the same UIDs."""
    finished: int
    """Studies with results only."""

    def __str__(self) -> str:
        again = "they are scored, and what was sent before is sent again under the same UIDs"
        return f"{self.to_score} studies in the store were not in the ledger ({again}), {self.finished} finished ones"


def rebuild(ledger: Ledger, store: Store) -> Rebuilt:
    """Add the studies of the store that the ledger does not know; to be called at each start, before a study settles.

    If the ledger was made from this store before, only the counts of objects that are too high are corrected: otherwise
    a missing object would go unnoticed.
    """
    known = _known(ledger)
    for study_uid, row in known.items():
        put_right(ledger, store, study_uid, *row)
    if ledger.database.read(lambda rows: rows.one(_TOLD, _told(ledger))):
        return Rebuilt(0, 0)
    results = store.scored_studies()
    received = [study_uid for study_uid in store.studies() if study_uid not in known and store.received(study_uid)]
    finished = sorted(results.keys() - known.keys() - set(received))
    found = [_open_study(store, study_uid, results.get(study_uid, 0)) for study_uid in received]
    _add(ledger, found + [_finished_study(store, study_uid, results[study_uid]) for study_uid in finished])
    for study_uid in results.keys() - set(finished):  # objects may have come before, or in between
        _move_on(ledger, store, study_uid, results[study_uid])
    tell = "INSERT INTO node_facts VALUES (?, ?) ON CONFLICT DO NOTHING"
    ledger.database.write(lambda rows: rows.run(tell, _told(ledger), ledger.now()))
    return Rebuilt(len(received), len(finished))


class _Known(NamedTuple):
    objects: int
    activity: int


def _told(ledger: Ledger) -> str:
    return f"made from store {ledger.store_id}"


def _known(ledger: Ledger) -> dict[str, _Known]:
    query = "SELECT study_uid, objects, activity FROM node_studies WHERE store_id = ?"
    rows = ledger.database.read(lambda rows: rows.all(query, ledger.store_id))
    return {study_uid: _Known(objects, activity) for study_uid, objects, activity in rows}


def put_right(ledger: Ledger, store: Store, study_uid: str, objects: int, activity: int) -> int:
    """Where the ledger counts more objects of a study than there are, let it count these, unless more arrive now.

    Returns the count that holds.

    An object that a ledger is made from, and that the receiver tells of a moment later, is counted twice.
    """
    if not objects or objects <= (here := len(store.received(study_uid))):
        return objects
    statement = (
        "UPDATE node_studies SET objects = ? WHERE store_id = ? AND study_uid = ? AND objects = ? AND activity = ?"
    )
    ledger.database.write(lambda rows: rows.run(statement, here, ledger.store_id, study_uid, objects, activity))
    return here


def _move_on(ledger: Ledger, store: Store, study_uid: str, revision: int) -> None:
    """Give a study a revision after that of the results which lie in the store."""
    statement = (
        "UPDATE node_studies SET revision = ?, earlier_report = ? WHERE store_id = ? AND study_uid = ? "
        "AND revision <= ? AND state = 'RECEIVING' AND scored_at = ''"
    )
    values = (revision + 1, _report(store, study_uid, revision), ledger.store_id, study_uid, revision)
    ledger.database.write(lambda rows: rows.run(statement, *values))


def _add(ledger: Ledger, studies: list[tuple[Any, ...]]) -> None:
    now = ledger.now()
    for start in range(0, len(studies), _BATCH):
        some = [(ledger.store_id, *study, now, now) for study in studies[start : start + _BATCH]]
        ledger.database.write(partial(_insert, store_id=ledger.store_id, studies=some))


def _insert(rows: Transaction, *, store_id: str, studies: list[tuple[Any, ...]]) -> None:
    rows.run_many(_INSERT, studies)
    audit.append(rows, store_id, "found in the store", "", {"studies": len(studies)})


def _open_study(store: Store, study_uid: str, revision: int) -> tuple[Any, ...]:
    objects, report = len(store.received(study_uid)), _report(store, study_uid, revision)
    return (study_uid, StudyState.RECEIVING.value, revision + 1, objects, "", "", "", None, "", report)


def _finished_study(store: Store, study_uid: str, revision: int) -> tuple[Any, ...]:
    file = store.results(study_uid, revision) / "result.json"
    result, report = _relative(store, file.parent), _report(store, study_uid, revision)
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        reasons = [(str(reason["code"]), str(reason["message"])) for reason in content["reasons"]]
        state = StudyState.REFUSED if content["status"] == "refused" else StudyState.SCORED
        agatston = (content["agatston"] or {}).get("total")
        category = content["category"] or ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        said = "the ledger was made again from the store, and this result cannot be read; send the study again"
        return (study_uid, StudyState.QUARANTINED.value, revision, 0, "", said, "", None, result, "")
    code, reason = reasons[0] if reasons and state is StudyState.REFUSED else ("", "")
    return (study_uid, state.value, revision, 0, code, audit.plain(reason), category, agatston, result, report)


def _report(store: Store, study_uid: str, revision: int) -> str:
    file = store.results(study_uid, revision) / "sr.dcm"
    return _relative(store, file) if file.is_file() else ""


def _relative(store: Store, path: Path) -> str:
    return path.relative_to(store.folder).as_posix()
