"""``DeliveryLedger``: the row of each object for each destination, from its result to the answer of the destination."""

from collections.abc import Collection, Sequence
from typing import Any

from ctacal.jobs.database import Transaction
from ctacal.jobs.node.audit import plain
from ctacal.jobs.node.ledger_part import locked, new_token, reads, writes
from ctacal.jobs.node.ledger_studies import StudyLedger
from ctacal.jobs.node.ledger_values import DeliveryClaim, DeliveryState, NewDelivery

SKEW_S = 60.0
"""By how much the clocks of two nodes may differ before a time to try again is doubted."""

_DUE = f"(d.due_at <= ? OR d.due_at > ? + 2 * d.due_in_s + {SKEW_S})"
"""A time further away than it was ever put off was written before the clock was set back: it counts as due."""
_COLUMNS = (
    "d.id, d.study_uid, d.revision, d.destination, d.kind, d.path, d.sop_class_uid, d.sop_instance_uid, "
    "d.attempts + 1, d.transaction_uid"
)
_CLAIM = "store_id = ? AND id = ? AND claim = ?"
_FREE = "claim = '', claimed_by = ''"
_AFRESH = f"state = 'WAITING', attempts = 0, due_at = 0, due_in_s = 0, {_FREE}"


class DeliveryLedger(StudyLedger):
    """What happens to deliveries."""

    @writes
    def claim_delivery(
        self, rows: Transaction, worker: str, destination: str, *, study_uid: str = ""
    ) -> DeliveryClaim | None:
        """Claim what is due for a destination, the oldest study first, or of one study; None if nothing is.

        Nothing is sent while the study is open again: a newer result is coming. So it is while it is in quarantine.
        """
        of_study, values = "", list[str]()
        if study_uid:  # by number, as in the index: thousands of other studies may be due
            of_study = "AND d.study_number = (SELECT number FROM node_studies WHERE store_id = ? AND study_uid = ?) "
            values = [self.store_id, study_uid]
        query = (
            f"SELECT {_COLUMNS} FROM node_deliveries d JOIN node_studies s ON s.store_id = d.store_id "
            "AND s.study_uid = d.study_uid WHERE d.store_id = ? AND d.destination = ? AND d.state = 'WAITING' "
            f"AND d.claim = '' AND {_DUE} AND s.state IN ('SCORED', 'REFUSED') {of_study}"
            "ORDER BY d.study_number, d.id LIMIT 1"
        )
        return self._claim(rows, worker, query, destination, *values)

    @writes
    def claim_uncommitted(self, rows: Transaction, worker: str, destination: str) -> DeliveryClaim | None:
        """Claim what was sent and whose storage commitment did not come in time, to ask for it again."""
        query = (
            f"SELECT {_COLUMNS} FROM node_deliveries d WHERE d.store_id = ? AND d.destination = ? "
            f"AND d.state = 'SENT' AND d.claim = '' AND {_DUE} ORDER BY d.study_number, d.id LIMIT 1"
        )
        return self._claim(rows, worker, query, destination)

    @writes
    def sent(
        self, rows: Transaction, claim: DeliveryClaim, transaction_uid: str = "", *, ask_again_in_s: float = 600.0
    ) -> bool:
        """Note that the destination took it and its storage commitment is asked for; False if the claim was lost.

        Called before the request goes out, whose answer may come at once.
        """
        sent_at = "sent_at = CASE WHEN state = 'SENT' THEN sent_at ELSE ? END"  # asked again, it was sent before
        change = f"{sent_at}, state = 'SENT', transaction_uid = ?, reason = '', due_at = ?, due_in_s = ?"
        values = (self.now(), transaction_uid, self._clock() + ask_again_in_s, ask_again_in_s)
        statement = f"UPDATE node_deliveries SET {change}, {_FREE} WHERE {_CLAIM}"
        done = rows.run(statement, *values, self.store_id, claim.id, claim.token) == 1
        if done:
            self._note_delivery(rows, "sent", claim)
        return done

    @writes
    def done(self, rows: Transaction, claim: DeliveryClaim) -> bool:
        """Note that the destination has it; False if the claim was lost."""
        statement = f"UPDATE node_deliveries SET state = 'DONE', reason = '', done_at = ?, {_FREE} WHERE {_CLAIM}"
        done = rows.run(statement, self.now(), self.store_id, claim.id, claim.token) == 1
        if done:
            self._note_delivery(rows, "delivered", claim)
        return done

    @writes
    def retry(self, rows: Transaction, claim: DeliveryClaim, reason: str, due_in_s: float) -> bool:
        """Let it wait for so many seconds, then it is sent again; False if the claim was lost."""
        change = "state = 'WAITING', reason = ?, due_at = ?, due_in_s = ?"
        statement = f"UPDATE node_deliveries SET {change}, {_FREE} WHERE {_CLAIM}"
        due_at = self._clock() + due_in_s
        done = rows.run(statement, plain(reason), due_at, due_in_s, self.store_id, claim.id, claim.token) == 1
        if done:
            self._supersede(rows, claim.study_uid)
        return done

    @writes
    def hold(self, rows: Transaction, claim: DeliveryClaim, reason: str) -> bool:
        """Keep it back until a person acts; False if the claim was lost."""
        statement = f"UPDATE node_deliveries SET state = 'HELD', reason = ?, {_FREE} WHERE {_CLAIM}"
        done = rows.run(statement, plain(reason), self.store_id, claim.id, claim.token) == 1
        if done:
            self._supersede(rows, claim.study_uid)
            self._note_delivery(rows, "held", claim, reason=reason)
        return done

    @writes
    def replace(self, rows: Transaction, claim: DeliveryClaim, by: NewDelivery, reason: str) -> bool:
        """Send another kind instead, which the destination may take; False if the claim was lost."""
        change = "state = 'SUPERSEDED', reason = ?, done_at = ?"
        statement = f"UPDATE node_deliveries SET {change}, {_FREE} WHERE {_CLAIM}"
        done = rows.run(statement, plain(reason), self.now(), self.store_id, claim.id, claim.token) == 1
        if done:
            self._deliver(rows, claim.study_uid, claim.revision, by)
            self._supersede(rows, claim.study_uid)
            self._note_delivery(rows, "replaced", claim, by=by.kind, reason=reason)
        return done

    @writes
    def committed(self, rows: Transaction, transaction_uid: str, sop_instance_uids: Collection[str]) -> int:
        """Note that a destination holds these objects for good; returns how many were awaited under this request."""
        found = [self._awaited(rows, transaction_uid, uid) for uid in sorted(sop_instance_uids)]
        awaited = [one for one in found if one is not None]
        statement = f"UPDATE node_deliveries SET state = 'DONE', reason = '', done_at = ?, {_FREE} WHERE id = ?"
        rows.run_many(statement, [(self.now(), delivery_id) for delivery_id, *_ in awaited])
        for _, study_uid, destination, kind in awaited:
            self._note(rows, "delivered", study_uid, destination=destination, kind=kind, committed=True)
        return len(awaited)

    @writes
    def commitment_failed(
        self, rows: Transaction, transaction_uid: str, sop_instance_uid: str, reason: str, *, due_in_s: float | None
    ) -> bool:
        """Note that a destination does not hold an object: it is sent again after ``due_in_s``; None: it is held.

        False if it was not awaited under this request.
        """
        state, due_at = ("HELD", 0.0) if due_in_s is None else ("WAITING", self._clock() + due_in_s)
        found = self._awaited(rows, transaction_uid, sop_instance_uid)
        if found is None:
            return False
        change = f"state = ?, reason = ?, due_at = ?, due_in_s = ?, transaction_uid = '', {_FREE}"
        statement = f"UPDATE node_deliveries SET {change} WHERE id = ?"
        rows.run(statement, state, plain(reason), due_at, due_in_s or 0.0, found[0])
        self._supersede(rows, found[1])
        self._note(rows, "not committed", found[1], destination=found[2], kind=found[3], reason=reason)
        return True

    @writes
    def await_no_commitment(self, rows: Transaction, destination: str) -> int:
        """Let what a destination took count as delivered, without its storage commitment; returns how many."""
        statement = (
            f"UPDATE node_deliveries SET state = 'DONE', done_at = ?, {_FREE} "
            "WHERE store_id = ? AND destination = ? AND state = 'SENT'"
        )
        number = rows.run(statement, self.now(), self.store_id, destination)
        if number:
            self._note(rows, "delivered without storage commitment", destination=destination, deliveries=number)
        return number

    @writes
    def give_up(
        self,
        rows: Transaction,
        states: Sequence[DeliveryState],
        *,
        delivery_id: int | None = None,
        destination: str | None = None,
    ) -> int:
        """Give up one delivery, or all to a destination, that are in these states; returns how many."""
        where, values = self._chosen(states, delivery_id, destination)
        reason = "given up by a person"
        number = self._superseded(rows, reason, where, values)
        if number:
            self._note(rows, "given up", deliveries=number, destination=destination or "", delivery=delivery_id)
        return number

    @writes
    def redirect(
        self,
        rows: Transaction,
        states: Sequence[DeliveryState],
        to: str,
        *,
        takes_files: bool,
        delivery_id: int | None = None,
        destination: str | None = None,
    ) -> int:
        """Send to another destination what ``give_up`` would give up; returns how many.

        What that destination was sent or is sent anyway is given up. What is no DICOM object stays as it is unless the
        destination ``takes_files``.
        """
        where, values = self._chosen(states, delivery_id, destination)
        where += "" if takes_files else " AND sop_class_uid > ''"
        there = (
            "EXISTS (SELECT 1 FROM node_deliveries o WHERE o.store_id = node_deliveries.store_id "
            "AND o.destination = ? AND o.sop_instance_uid = node_deliveries.sop_instance_uid)"
        )
        double = self._superseded(rows, f"{to} is sent it anyway", f"{where} AND {there}", [*values, to])
        change = f"destination = ?, {_AFRESH}, reason = '', transaction_uid = '', sent_at = ''"
        number = double + rows.run(f"UPDATE node_deliveries SET {change} WHERE {where}", to, *values)
        if number:
            self._note(rows, "sent elsewhere", deliveries=number, destination=destination or "", delivery=delivery_id,
                       to=to)  # fmt: skip
        return number

    def _chosen(
        self, states: Sequence[DeliveryState], delivery_id: int | None, destination: str | None
    ) -> tuple[str, list[Any]]:
        where = f"store_id = ? AND state IN ({', '.join('?' * len(states))})"
        values: list[Any] = [self.store_id, *(state.value for state in states)]
        if delivery_id is not None:
            where, values = f"{where} AND id = ?", [*values, delivery_id]
        if destination is not None:
            where, values = f"{where} AND destination = ?", [*values, destination]
        return where, values

    def _superseded(self, rows: Transaction, reason: str, where: str, values: Sequence[Any]) -> int:
        change = f"state = 'SUPERSEDED', reason = ?, done_at = ?, {_FREE}"
        return rows.run(f"UPDATE node_deliveries SET {change} WHERE {where}", reason, self.now(), *values)

    @writes
    def retry_held(self, rows: Transaction, delivery_id: int | None = None, destination: str | None = None) -> int:
        """Let what is held wait again, due now: one, all of a destination, or all; returns how many."""
        where, values = "", list[Any]()
        if delivery_id is not None:
            where, values = " AND id = ?", [delivery_id]
        if destination is not None:
            where, values = f"{where} AND destination = ?", [*values, destination]
        statement = (
            "UPDATE node_deliveries SET state = 'WAITING', attempts = 0, due_at = 0, due_in_s = 0 "
            f"WHERE store_id = ? AND state = 'HELD'{where}"
        )
        number = rows.run(statement, self.store_id, *values)
        if number:
            self._note(rows, "retried", deliveries=number, destination=destination or "", delivery=delivery_id)
        return number

    @writes
    def ask_to_try(self, rows: Transaction, destination: str) -> int:
        """Ask the sender to try a destination at once, whatever it waits for; returns how many objects wait for it."""
        statement = (
            "UPDATE node_deliveries SET due_at = 0, due_in_s = 0 "
            "WHERE store_id = ? AND destination = ? AND state = 'WAITING'"
        )
        number = rows.run(statement, self.store_id, destination)
        ask = "INSERT INTO node_facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        rows.run(ask, self._asked(destination), new_token())
        self._note(rows, "asked to try", destination=destination, deliveries=number)
        return number

    @reads
    def asked_to_try(self, rows: Transaction, destination: str) -> str:
        """Return a mark that changes each time that somebody asks to try a destination; empty: nobody ever did."""
        found = rows.one("SELECT value FROM node_facts WHERE name = ?", self._asked(destination))
        return str(found[0]) if found else ""

    def _asked(self, destination: str) -> str:
        return f"asked to try {self.store_id} {destination}"

    @writes
    def send_again(self, rows: Transaction, study_uid: str) -> int:
        """Send what was delivered of the newest result once more, under the same UIDs; returns how many."""
        statement = (
            "UPDATE node_deliveries SET state = 'WAITING', attempts = 0, due_at = 0, due_in_s = 0, done_at = '' "
            "WHERE store_id = ? AND study_uid = ? AND state = 'DONE' AND revision = "
            "(SELECT revision FROM node_studies WHERE store_id = ? AND study_uid = ?)"
        )
        number = rows.run(statement, self.store_id, study_uid, self.store_id, study_uid)
        if number:
            self._note(rows, "asked to send again", study_uid, deliveries=number)
        return number

    @reads
    def next_due_s(self, rows: Transaction, destination: str) -> float | None:
        """Return in how many seconds the next delivery to a destination is due (0: now); None if none waits."""
        query = (
            "SELECT MIN(due_at) FROM node_deliveries WHERE store_id = ? AND destination = ? "
            "AND state = 'WAITING' AND claim = ''"
        )
        (due_at,) = rows.one(query, self.store_id, destination)
        return None if due_at is None else max(0.0, float(due_at) - self._clock())

    def _claim(
        self, rows: Transaction, worker: str, query: str, destination: str, *values: str
    ) -> DeliveryClaim | None:
        now = self._clock()
        skip = " FOR UPDATE OF d SKIP LOCKED" if rows.postgres else ""
        found = rows.one(query + skip, self.store_id, destination, now, now, *values)
        if found is None:
            return None
        names = ("id", "study_uid", "revision", "destination", "kind", "path", "sop_class_uid", "sop_instance_uid",
                 "attempts", "transaction_uid")  # fmt: skip
        token = new_token()
        change = "claim = ?, claimed_by = ?, attempts = attempts + 1, beat = beat + 1"
        rows.run(f"UPDATE node_deliveries SET {change} WHERE id = ?", token, worker, found[0])
        return DeliveryClaim(token=token, **dict(zip(names, found, strict=True)))

    def _awaited(
        self, rows: Transaction, transaction_uid: str, sop_instance_uid: str
    ) -> tuple[int, str, str, str] | None:
        query = (
            "SELECT id, study_uid, destination, kind FROM node_deliveries WHERE store_id = ? AND transaction_uid = ? "
            f"AND sop_instance_uid = ? AND state = 'SENT'{locked(rows)}"
        )
        found = rows.one(query, self.store_id, transaction_uid, sop_instance_uid) if transaction_uid else None
        return None if found is None else (int(found[0]), str(found[1]), str(found[2]), str(found[3]))

    def _note_delivery(self, rows: Transaction, what: str, claim: DeliveryClaim, **facts: str) -> None:
        self._note(rows, what, claim.study_uid, destination=claim.destination, kind=claim.kind,
                   sop_instance_uid=claim.sop_instance_uid, revision=claim.revision, **facts)  # fmt: skip
