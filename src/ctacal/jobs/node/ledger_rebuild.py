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
from typing import Any

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
    """Add the studies of the store that the ledger does not know; to be called when the node starts.

    Where the ledger knows of more objects than there are, it is put right, so that one that it misses is noticed.
    """
    known, results = _known(ledger), store.scored_studies()
    for study_uid, (objects, activity) in known.items():
        if objects > (here := len(store.received(study_uid))):
            _recount(ledger, study_uid, here, objects, activity)
    received = [study_uid for study_uid in store.studies() if study_uid not in known and store.received(study_uid)]
    finished = sorted(results.keys() - known.keys() - set(received))
    found = [_open_study(store, study_uid, results.get(study_uid, 0)) for study_uid in received]
    _add(ledger, found + [_finished_study(store, study_uid, results[study_uid]) for study_uid in finished])
    return Rebuilt(len(received), len(finished))


def _known(ledger: Ledger) -> dict[str, tuple[int, int]]:
    query = "SELECT study_uid, objects, activity FROM node_studies WHERE store_id = ?"
    rows = ledger.database.read(lambda rows: rows.all(query, ledger.store_id))
    return {study_uid: (objects, activity) for study_uid, objects, activity in rows}


def _recount(ledger: Ledger, study_uid: str, here: int, objects: int, activity: int) -> None:
    statement = (
        "UPDATE node_studies SET objects = ? WHERE store_id = ? AND study_uid = ? AND objects = ? AND activity = ?"
    )
    ledger.database.write(lambda rows: rows.run(statement, here, ledger.store_id, study_uid, objects, activity))


def _add(ledger: Ledger, studies: list[tuple[Any, ...]]) -> None:
    now = ledger.now()
    for start in range(0, len(studies), _BATCH):
        some = [(ledger.store_id, *study, now, now) for study in studies[start : start + _BATCH]]
        ledger.database.write(partial(_insert, store_id=ledger.store_id, studies=some))


def _insert(rows: Transaction, *, store_id: str, studies: list[tuple[Any, ...]]) -> None:
    rows.run_many(_INSERT, studies)
    audit.append(rows, store_id, "found in the store", "", {"studies": len(studies)})


def _open_study(store: Store, study_uid: str, revision: int) -> tuple[Any, ...]:
    reports = sorted(store.results(study_uid, revision).rglob("sr.dcm"))
    report = _relative(store, reports[0]) if reports else ""
    objects = len(store.received(study_uid))
    return (study_uid, StudyState.RECEIVING.value, revision + 1, objects, "", "", "", None, "", report)


def _finished_study(store: Store, study_uid: str, revision: int) -> tuple[Any, ...]:
    folder = store.results(study_uid, revision)
    file = next(iter(sorted(folder.rglob("result.json"))), folder / "result.json")
    result, report = _relative(store, file.parent), file.with_name("sr.dcm")
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
    earlier = _relative(store, report) if report.is_file() else ""
    return (study_uid, state.value, revision, 0, code, audit.plain(reason), category, agatston, result, earlier)


def _relative(store: Store, path: Path) -> str:
    return path.relative_to(store.folder).as_posix()
