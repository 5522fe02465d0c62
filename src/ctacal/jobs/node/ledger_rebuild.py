"""``rebuild``: adds to the ledger what lies in the store and is not in it. Of an empty ledger, it makes a whole one.

A study whose originals are there is open again: it settles, is scored once more under its next revision, and its
results are sent under the same UIDs as before, because these follow from the content. For the same reason its newest
structured report counts as the one that was sent. Originals are deleted only when everything was delivered: so a study
of which there are results and no originals is finished.
"""

import json
from collections.abc import Mapping, Sequence
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
    "INSERT INTO node_studies (store_id, study_uid, state, revision, activity, objects, deleted, sources, reason_code, "
    "reason, category, agatston, result, earlier_report, first_at, last_at) "
    "VALUES (?,?,?,?,1,?,?,'[]',?,?,?,?,?,?,?,?) "
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

    If the ledger was made from this store before, only counts of objects are corrected that are too high, or 0 because
    the process was killed that was about to delete these objects: otherwise a missing object would go unnoticed.
    """
    known = _known(ledger)
    for study_uid, row in known.items():
        put_right(ledger, store, study_uid, row.objects, row.activity)
    _reopen_kept(ledger, store, known)
    if ledger.database.read(lambda rows: rows.one(_TOLD, _told(ledger))):
        return Rebuilt(0, 0)
    results = store.scored_studies()
    unknown = sorted({*store.studies(), *results} - known.keys())
    found = [one for study_uid in unknown if (one := _found(store, study_uid, results.get(study_uid, 0)))]
    finished = {one.study_uid for one in found if one.state != StudyState.RECEIVING}
    _add(ledger, found)
    for study_uid in results.keys() - finished:  # objects may have come before, or in between
        _move_on(ledger, store, study_uid, results[study_uid])
    tell = "INSERT INTO node_facts VALUES (?, ?) ON CONFLICT DO NOTHING"
    ledger.database.write(lambda rows: rows.run(tell, _told(ledger), ledger.now()))
    return Rebuilt(len(found) - len(finished), len(finished))


class _Known(NamedTuple):
    objects: int
    activity: int
    deleted: int


class _Found(NamedTuple):
    """A study of the store that the ledger does not know."""

    study_uid: str
    state: str
    revision: int
    objects: int
    deleted: int = 0
    reason_code: str = ""
    reason: str = ""
    category: str = ""
    agatston: float | None = None
    result: str = ""
    report: str = ""


def _told(ledger: Ledger) -> str:
    return f"made from store {ledger.store_id}"


def _known(ledger: Ledger) -> dict[str, _Known]:
    query = "SELECT study_uid, objects, activity, deleted FROM node_studies WHERE store_id = ?"
    rows = ledger.database.read(lambda rows: rows.all(query, ledger.store_id))
    return {study_uid: _Known(*row) for study_uid, *row in rows}


def _reopen_kept(ledger: Ledger, store: Store, known: Mapping[str, _Known]) -> None:
    """Count the originals again that a killed process had only said to delete. Fewer are others, which came since."""
    for study_uid in store.studies():
        row = known.get(study_uid)
        if row and row.deleted and not row.objects and (here := len(store.received(study_uid))) >= row.deleted:
            ledger.found(study_uid, objects=here)


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


def _add(ledger: Ledger, studies: Sequence[_Found]) -> None:
    now = ledger.now()
    for start in range(0, len(studies), _BATCH):
        some = [(ledger.store_id, *study, now, now) for study in studies[start : start + _BATCH]]
        ledger.database.write(partial(_insert, store_id=ledger.store_id, studies=some))


def _insert(rows: Transaction, *, store_id: str, studies: list[tuple[Any, ...]]) -> None:
    rows.run_many(_INSERT, studies)
    audit.append(rows, store_id, "found in the store", "", {"studies": len(studies)})


def _found(store: Store, study_uid: str, revision: int) -> _Found | None:
    """Return a study with its newest results, of this revision (0: there are none); None if nothing is there of it."""
    if objects := len(store.received(study_uid)):
        report = _report(store, study_uid, revision)
        return _Found(study_uid, StudyState.RECEIVING.value, revision + 1, objects, report=report)
    return _finished_study(store, study_uid, revision) if revision else None


def _finished_study(store: Store, study_uid: str, revision: int) -> _Found:
    file = store.results(study_uid, revision) / "result.json"
    result, report = _relative(store, file.parent), _report(store, study_uid, revision)
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        reasons = [(str(reason["code"]), str(reason["message"])) for reason in content["reasons"]]
        state = StudyState.REFUSED if content["status"] == "refused" else StudyState.SCORED
        agatston = (content["agatston"] or {}).get("total")
        category = content["category"] or ""
        slices = int(((content.get("study") or {}).get("acquisition") or {}).get("slices", 0))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        said = "the ledger was made again from the store, and this result cannot be read; send the study again"
        return _Found(study_uid, StudyState.QUARANTINED.value, revision, 0, reason=said, result=result)
    code, reason = reasons[0] if reasons and state is StudyState.REFUSED else ("", "")
    return _Found(study_uid, state.value, revision, 0, slices, code, audit.plain(reason), category, agatston,
                  result, report)  # fmt: skip


def _report(store: Store, study_uid: str, revision: int) -> str:
    file = store.results(study_uid, revision) / "sr.dcm"
    return _relative(store, file) if file.is_file() else ""


def _relative(store: Store, path: Path) -> str:
    return path.relative_to(store.folder).as_posix()
