"""``StudyLedger``: the row of each study, from its first object to its result."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from ctacal.errors import UsageError
from ctacal.jobs.database import Transaction
from ctacal.jobs.node.audit import plain
from ctacal.jobs.node.ledger_part import LedgerPart, locked, new_token, reads, writes
from ctacal.jobs.node.ledger_values import (
    Arriving,
    Claimed,
    DeliveryClaim,
    NewDelivery,
    Removable,
    ScoredOutcome,
    StudyClaim,
    StudyState,
    keeps_result,
)

_MOST_SOURCES = 20
"""Sources of a study that are remembered."""
_STUDY = "store_id = ? AND study_uid = ?"
_CLAIM = f"{_STUDY} AND claim = ?"


class StudyLedger(LedgerPart):
    """What happens to studies. Clocks are never compared: counters tell whether something is going on."""

    @writes
    def arrived(self, rows: Transaction, study_uid: str, *, objects: int, source: str) -> None:
        """Note that ``objects`` new objects of a study lie in the store; ``source`` says where they came from.

        A study that was settled or finished is open again, under its next revision, and no claim holds any more. But a
        score whose originals were deleted stays until as many objects are there again (``keeps_result``).
        """
        self._arrived(rows, study_uid, self._row(rows, study_uid), objects, source)

    @writes
    def found(self, rows: Transaction, study_uid: str, *, objects: int) -> int:
        """Note that ``objects`` objects of a study lie in the store, and return how many of them were not known.

        They arrived without a word, because the process that kept them was killed.
        """
        row = self._row(rows, study_uid)
        missing = max(0, objects - row.objects)
        if missing:
            self._arrived(rows, study_uid, row, missing, "")
            self._note(rows, "objects found that the ledger did not know", study_uid, objects=missing)
        return missing

    def _row(self, rows: Transaction, study_uid: str) -> "_Row":
        """Return the row of a study, locked; it is made if it is new."""
        query = f"SELECT state, sources, objects, deleted FROM node_studies WHERE {_STUDY}{locked(rows)}"
        if (found := rows.one(query, self.store_id, study_uid)) is None:
            columns, now = "store_id, study_uid, first_at, last_at", self.now()
            insert = f"INSERT INTO node_studies ({columns}) VALUES (?,?,?,?) ON CONFLICT DO NOTHING"
            rows.run(insert, self.store_id, study_uid, now, now)
            found = rows.one(query, self.store_id, study_uid)
        return _Row(*found)

    def _arrived(self, rows: Transaction, study_uid: str, row: "_Row", objects: int, source: str) -> None:
        change = "activity = activity + 1, objects = objects + ?, sources = ?, last_at = ?"
        if row.state != StudyState.RECEIVING and not keeps_result(row.state, row.deleted, row.objects + objects):
            change += ", state = 'RECEIVING', revision = revision + 1, attempts = 0, claim = '', claimed_by = ''"
        statement = f"UPDATE node_studies SET {change} WHERE {_STUDY}"
        rows.run(statement, objects, _with(row.sources, source), self.now(), self.store_id, study_uid)

    @writes
    def still_arriving(self, rows: Transaction, study_uid: str) -> None:
        """Note that more of a study may come: an association that sent objects of it is still open."""
        statement = f"UPDATE node_studies SET activity = activity + 1 WHERE {_STUDY} AND state = 'RECEIVING'"
        rows.run(statement, self.store_id, study_uid)

    @reads
    def objects(self, rows: Transaction, study_uid: str) -> int:
        """Return how many objects of a study the ledger knows; 0 if it does not know the study."""
        found = rows.one(f"SELECT objects FROM node_studies WHERE {_STUDY}", self.store_id, study_uid)
        return 0 if found is None else int(found[0])

    @reads
    def receiving(self, rows: Transaction) -> list[Arriving]:
        """Return the studies whose objects are arriving, in the order of their first arrival."""
        query = (
            "SELECT study_uid, activity, objects, asked_now FROM node_studies "
            "WHERE store_id = ? AND state = 'RECEIVING' ORDER BY number"
        )
        return [
            Arriving(uid, activity, objects, bool(asked))
            for uid, activity, objects, asked in rows.all(query, self.store_id)
        ]

    @writes
    def settle(self, rows: Transaction, study_uid: str, activity: int) -> bool:
        """Hold a study for whole; False if something has arrived since its ``activity`` was seen."""
        statement = (
            "UPDATE node_studies SET state = 'SETTLED', asked_now = 0, attempts = 0, settled_at = ? "
            f"WHERE {_STUDY} AND state = 'RECEIVING' AND activity = ?"
        )
        done = rows.run(statement, self.now(), self.store_id, study_uid, activity) == 1
        if done:
            self._note(rows, "settled", study_uid)
        return done

    @writes
    def score_now(self, rows: Transaction, study_uid: str) -> bool:
        """Ask for a study to be scored without waiting; False if it is not arriving."""
        statement = f"UPDATE node_studies SET asked_now = 1 WHERE {_STUDY} AND state = 'RECEIVING'"
        done = rows.run(statement, self.store_id, study_uid) == 1
        if done:
            self._note(rows, "asked to score now", study_uid)
        return done

    @writes
    def rescore(self, rows: Transaction, study_uid: str) -> bool:
        """Ask for a study to be scored again, under its next revision; False if it is unknown or still arriving.

        Raises ``UsageError`` if its originals were deleted.
        """
        found = rows.one(
            f"SELECT state, objects FROM node_studies WHERE {_STUDY}{locked(rows)}", self.store_id, study_uid
        )
        if found is None or found[0] == StudyState.RECEIVING:
            return False
        if not found[1]:
            raise UsageError(f"{study_uid}: its originals were deleted after delivery; send the study again")
        statement = (
            "UPDATE node_studies SET state = 'SETTLED', revision = revision + 1, attempts = 0, claim = '', "
            f"claimed_by = '' WHERE {_STUDY}"
        )
        rows.run(statement, self.store_id, study_uid)
        self._note(rows, "asked to score again", study_uid)
        return True

    @writes
    def claim_study(self, rows: Transaction, worker: str) -> StudyClaim | None:
        """Claim the settled study that has waited longest; None if there is none that nobody else has claimed."""
        query = (
            "SELECT study_uid, revision, activity, attempts + 1 FROM node_studies "
            "WHERE store_id = ? AND state = 'SETTLED' AND claim = '' ORDER BY number LIMIT 1"
        )
        found = rows.one(query + locked(rows, skip=True), self.store_id)
        if found is None:
            return None
        study_uid, revision, activity, attempts = found
        token = new_token()
        statement = (
            "UPDATE node_studies SET claim = ?, claimed_by = ?, attempts = attempts + 1, beat = beat + 1 "
            f"WHERE {_STUDY}"
        )
        rows.run(statement, token, worker, self.store_id, study_uid)
        return StudyClaim(
            study_uid=study_uid, token=token, revision=revision, activity=activity, attempts=attempts,
            predecessor=self._predecessor(rows, study_uid),
        )  # fmt: skip

    @writes
    def beat(self, rows: Transaction, claim: StudyClaim | DeliveryClaim) -> bool:
        """Show that the worker is alive; False if the claim was taken away: its work is not wanted any more."""
        table, key = ("node_studies", "study_uid") if isinstance(claim, StudyClaim) else ("node_deliveries", "id")
        value = claim.study_uid if isinstance(claim, StudyClaim) else claim.id
        statement = f"UPDATE {table} SET beat = beat + 1 WHERE store_id = ? AND {key} = ? AND claim = ?"
        return rows.run(statement, self.store_id, value, claim.token) == 1

    @writes
    def scored(
        self, rows: Transaction, claim: StudyClaim, outcome: ScoredOutcome, deliveries: Sequence[NewDelivery]
    ) -> bool:
        """Note the result of a study and what is to be sent; False if the claim was lost or new objects came.

        What of an older result was not sent is superseded. An object that was sent before, under the same UID, is not
        sent again.
        """
        statement = (
            "UPDATE node_studies SET state = ?, claim = '', claimed_by = '', reason_code = ?, reason = ?, "
            f"category = ?, agatston = ?, result = ?, facts = ?, scored_at = ?, deleted = 0 WHERE {_CLAIM}"
        )
        values = (
            outcome.state.value, outcome.reason_code, plain(outcome.reason), outcome.category, outcome.agatston,
            outcome.result, json.dumps(plain(dict(outcome.facts))), self.now(),
        )  # fmt: skip
        if rows.run(statement, *values, self.store_id, claim.study_uid, claim.token) != 1:
            return False
        for delivery in deliveries:
            self._deliver(rows, claim.study_uid, claim.revision, delivery)
        self._supersede(rows, claim.study_uid)
        what = "scored" if outcome.state == StudyState.SCORED else "refused"
        self._note(rows, what, claim.study_uid, revision=claim.revision, reason_code=outcome.reason_code,
                   deliveries=len(deliveries))  # fmt: skip
        return True

    @writes
    def scoring_failed(self, rows: Transaction, claim: StudyClaim, reason: str, *, most_attempts: int) -> bool:
        """Give a study back to be tried again, or put it in quarantine after ``most_attempts`` claims.

        False if the claim was lost.
        """
        gives_up = claim.attempts >= most_attempts
        state = StudyState.QUARANTINED if gives_up else StudyState.SETTLED
        statement = f"UPDATE node_studies SET state = ?, claim = '', claimed_by = '', reason = ? WHERE {_CLAIM}"
        done = rows.run(statement, state.value, plain(reason), self.store_id, claim.study_uid, claim.token) == 1
        if done:
            what = "quarantined" if gives_up else "scoring failed"
            self._note(rows, what, claim.study_uid, reason=reason, attempts=claim.attempts)
        return done

    @reads
    def claims(self, rows: Transaction) -> list[Claimed]:
        """Return all open claims, of studies and of deliveries."""
        studies = "SELECT study_uid, claim, beat, claimed_by FROM node_studies WHERE store_id = ? AND claim > ''"
        deliveries = "SELECT id, claim, beat, claimed_by FROM node_deliveries WHERE store_id = ? AND claim > ''"
        return [
            *(Claimed("study", *row) for row in rows.all(studies, self.store_id)),
            *(Claimed("delivery", str(key), *rest) for key, *rest in rows.all(deliveries, self.store_id)),
        ]

    @writes
    def free(self, rows: Transaction, claimed: Claimed, *, counts: bool = True) -> bool:
        """Take away the claim of a worker; False if it has beaten or gone since ``claims`` saw it.

        ``counts=False``: the attempt does not count, because the worker did not fail (the node was stopped).
        """
        table, key = ("node_studies", "study_uid") if claimed.what == "study" else ("node_deliveries", "id")
        value: str | int = claimed.key if claimed.what == "study" else int(claimed.key)
        change = "claim = '', claimed_by = ''" + ("" if counts else ", attempts = attempts - 1")
        statement = f"UPDATE {table} SET {change} WHERE store_id = ? AND {key} = ? AND claim = ? AND beat = ?"
        done = rows.run(statement, self.store_id, value, claimed.token, claimed.beat) == 1
        if done and claimed.what == "delivery":
            (study_uid,) = rows.one("SELECT study_uid FROM node_deliveries WHERE id = ?", value)
            self._supersede(rows, study_uid)
        if done:
            self._note(rows, "freed", worker=claimed.worker, key=claimed.key)
        return done

    @writes
    def scorer_died(self, rows: Transaction, claimed: Claimed, reason: str, *, most_attempts: int) -> bool:
        """Take away the claim on a study whose scorer died with it; after ``most_attempts`` it is put in quarantine.

        False if it has beaten or gone since ``claims`` saw it. It may be the study that kills the node again and again.
        """
        change = "state = CASE WHEN attempts >= ? THEN 'QUARANTINED' ELSE state END, claim = '', claimed_by = ''"
        statement = f"UPDATE node_studies SET {change}, reason = ? WHERE {_CLAIM} AND beat = ?"
        values = (most_attempts, plain(reason), self.store_id, claimed.key, claimed.token, claimed.beat)
        done = rows.run(statement, *values) == 1
        if done:
            query = f"SELECT state, attempts FROM node_studies WHERE {_STUDY}"
            state, attempts = rows.one(query, self.store_id, claimed.key)
            what = "quarantined" if state == StudyState.QUARANTINED else "scoring failed"
            self._note(rows, what, claimed.key, reason=reason, attempts=attempts, worker=claimed.worker)
        return done

    @reads
    def removable(self, rows: Transaction, *, last_before: str, limit: int = 100) -> list[Removable]:
        """Return studies whose originals may be deleted, the oldest first: finished, and nothing is left to be sent.

        ``last_before`` is a time as in ``StudyRow``: no object came since. Studies in quarantine stay.
        """
        query = (
            "SELECT study_uid, activity, objects, last_at FROM node_studies s WHERE store_id = ? AND last_at < ? "
            "AND objects > 0 AND state IN ('SCORED', 'REFUSED') AND NOT EXISTS (SELECT 1 FROM node_deliveries d "
            "WHERE d.store_id = s.store_id AND d.study_uid = s.study_uid "
            "AND d.state || '' IN ('WAITING', 'SENT', 'HELD')) ORDER BY last_at LIMIT ?"
        )  # || '': SQLite shall look up the study's few deliveries, not all that are in such a state
        return [Removable(*row) for row in rows.all(query, self.store_id, last_before, limit)]

    @writes
    def originals_deleted(self, rows: Transaction, study: Removable) -> bool:
        """Note that the originals of a study go; False if something has arrived: then they must stay.

        Called before they are deleted: files without a row are found at the next start, a row without files is not.
        """
        change = (
            "deleted = CASE WHEN deleted > 0 THEN deleted ELSE ? END, objects = 0"  # the result is not of late ones
        )
        statement = (
            f"UPDATE node_studies SET {change} WHERE {_STUDY} AND activity = ? AND state IN ('SCORED', 'REFUSED')"
        )
        done = rows.run(statement, study.objects, self.store_id, study.study_uid, study.activity) == 1
        if done:
            self._note(rows, "originals deleted", study.study_uid, objects=study.objects)
        return done

    def _predecessor(self, rows: Transaction, study_uid: str) -> str:
        query = (
            f"SELECT path FROM node_deliveries WHERE {_STUDY} AND kind = 'sr' "
            "AND (state IN ('SENT', 'DONE') OR claim > '') ORDER BY revision DESC, id DESC LIMIT 1"
        )
        known = f"SELECT earlier_report FROM node_studies WHERE {_STUDY}"
        found = rows.one(query, self.store_id, study_uid) or rows.one(known, self.store_id, study_uid)
        return str(found[0])

    def _deliver(self, rows: Transaction, study_uid: str, revision: int, new: NewDelivery) -> None:
        """Add a delivery; of an object that is known the row goes on, under the new revision.

        What was held is sent again from its new file: the old one may have been at fault.
        """
        key = (self.store_id, new.destination, new.sop_instance_uid)
        afresh = "state = 'SUPERSEDED' OR (state = 'HELD' AND path <> ?)"
        change = ", ".join(
            f"{name} = CASE WHEN {afresh} THEN {value} ELSE {name} END"
            for name, value in (("state", "'WAITING'"), ("due_at", "0"), ("attempts", "0"), ("reason", "''"))
        )
        known = (
            f"UPDATE node_deliveries SET revision = ?, {change}, path = ? "
            "WHERE store_id = ? AND destination = ? AND sop_instance_uid = ?"
        )
        if rows.run(known, revision, *[new.path] * 5, *key):
            return
        (number,) = rows.one(f"SELECT number FROM node_studies WHERE {_STUDY}", self.store_id, study_uid)
        insert = (
            "INSERT INTO node_deliveries (store_id, study_uid, study_number, revision, destination, kind, path, "
            "sop_class_uid, sop_instance_uid, created_at) VALUES (?,?,?,?,?,?,?,?,?,?)"
        )
        rows.run(insert, self.store_id, study_uid, number, revision, new.destination, new.kind, new.path,
                 new.sop_class_uid, new.sop_instance_uid, self.now())  # fmt: skip

    def _supersede(self, rows: Transaction, study_uid: str) -> None:
        """Give up what of an older result waits, once there is a newer one. What is being sent now goes on."""
        statement = (
            "UPDATE node_deliveries SET state = 'SUPERSEDED', done_at = ?, "
            f"reason = 'a newer result came before it was sent' WHERE {_STUDY} "
            "AND state IN ('WAITING', 'HELD') AND claim = '' AND revision < "
            f"(SELECT revision FROM node_studies WHERE {_STUDY} AND state IN ('SCORED', 'REFUSED'))"
        )
        rows.run(statement, self.now(), self.store_id, study_uid, self.store_id, study_uid)


class _Row(NamedTuple):
    """What an arrival needs to know of a study."""

    state: str
    sources: str
    objects: int
    deleted: int


def _with(sources: str, source: str) -> str:
    """Return the JSON list of sources with one more, if it is new."""
    known: list[Any] = json.loads(sources)
    if source and plain(source) not in known and len(known) < _MOST_SOURCES:
        known.append(plain(source))
    return json.dumps(known)
