"""``OverviewLedger``: what pages, metrics and ``ctacal node status`` ask the ledger. Nothing here changes anything."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ctacal.jobs.database import Transaction
from ctacal.jobs.node.ledger_part import LedgerPart, reads
from ctacal.jobs.node.ledger_values import DeliveryRow, DeliveryState, StudyRow, StudyState

_STUDY_COLUMNS = tuple(StudyRow.__dataclass_fields__)
_DELIVERY_COLUMNS = tuple(DeliveryRow.__dataclass_fields__)
_STUDIES = f"SELECT {', '.join(_STUDY_COLUMNS)} FROM node_studies WHERE store_id = ?"
_DELIVERIES = f"SELECT {', '.join(_DELIVERY_COLUMNS)} FROM node_deliveries WHERE store_id = ?"


_SENT_AT = "COALESCE(NULLIF(sent_at, ''), created_at)"
"""A ledger of an older version does not know when it was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What happened since a time, by the wall clock."""

    received: int
    """Studies whose newest object came since then."""
    scored: int
    """Studies scored or refused."""
    delivered: int
    """Objects that destinations took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldGroup:
    """Deliveries to one destination that are held for the same reason."""

    destination: str
    reason: str
    items: int
    since: str
    """When the oldest of these results was there."""


class OverviewLedger(LedgerPart):
    """Counts, pages and rows."""

    @reads
    def study_counts(self, rows: Transaction) -> dict[StudyState, int]:
        """Return the number of studies in each state."""
        found = rows.all("SELECT state, COUNT(*) FROM node_studies WHERE store_id = ? GROUP BY state", self.store_id)
        return dict.fromkeys(StudyState, 0) | {StudyState(state): int(number) for state, number in found}

    @reads
    def being_scored(self, rows: Transaction) -> list[StudyRow]:
        """Return the studies that a worker has claimed."""
        return [_study(row) for row in rows.all(f"{_STUDIES} AND claim > '' ORDER BY number", self.store_id)]

    @reads
    def delivery_counts(self, rows: Transaction) -> dict[str, dict[DeliveryState, int]]:
        """Return the number of deliveries in each state, by destination."""
        query = (
            "SELECT destination, state, COUNT(*) FROM node_deliveries WHERE store_id = ? GROUP BY state, destination"
        )
        counts: dict[str, dict[DeliveryState, int]] = {}
        for destination, state, number in rows.all(query, self.store_id):
            counts.setdefault(destination, dict.fromkeys(DeliveryState, 0))[DeliveryState(state)] = int(number)
        return dict(sorted(counts.items()))

    @reads
    def to_score_since(self, rows: Transaction) -> str:
        """Return when the newest object came of the study that has waited longest to be scored; empty if none waits."""
        query = (
            "SELECT last_at FROM node_studies WHERE store_id = ? AND state = 'SETTLED' AND claim = '' "
            "ORDER BY number LIMIT 1"
        )
        first = rows.one(query, self.store_id)
        return str(first[0]) if first else ""

    @reads
    def rates(self, rows: Transaction, since: str) -> Rates:
        """Return what happened since a time (UTC, ISO 8601)."""
        received = "SELECT COUNT(*) FROM node_studies WHERE store_id = ? AND last_at >= ? AND objects > 0"
        scored = "SELECT COUNT(*) FROM node_studies WHERE store_id = ? AND scored_at >= ?"
        delivered = "SELECT COUNT(*) FROM node_deliveries WHERE store_id = ? AND done_at >= ? AND state = 'DONE'"
        counts = [int(rows.one(query, self.store_id, since)[0]) for query in (received, scored, delivered)]
        return Rates(received=counts[0], scored=counts[1], delivered=counts[2])

    @reads
    def newest_scored(self, rows: Transaction) -> str:
        """Return when a study was last scored or refused; empty if none was."""
        (at,) = rows.one("SELECT MAX(scored_at) FROM node_studies WHERE store_id = ?", self.store_id)
        return str(at or "")

    @reads
    def scored_by_hour(self, rows: Transaction, since: str) -> dict[str, int]:
        """Return how many studies were scored or refused in each hour since a time; as in ``2026-03-01T14`` (UTC)."""
        query = (
            "SELECT SUBSTR(scored_at, 1, 13), COUNT(*) FROM node_studies "
            "WHERE store_id = ? AND scored_at >= ? GROUP BY 1"
        )
        return {str(hour): int(number) for hour, number in rows.all(query, self.store_id, since)}

    @reads
    def delivery_states(self, rows: Transaction, study_uids: Sequence[str]) -> dict[str, dict[DeliveryState, int]]:
        """Return how many deliveries of each of these studies are in each state."""
        if not study_uids:
            return {}
        query = (
            "SELECT study_uid, state, COUNT(*) FROM node_deliveries WHERE store_id = ? "
            f"AND study_uid IN ({', '.join('?' * len(study_uids))}) GROUP BY 1, 2"
        )
        found: dict[str, dict[DeliveryState, int]] = {}
        for study_uid, state, number in rows.all(query, self.store_id, *study_uids):
            found.setdefault(study_uid, {})[DeliveryState(state)] = int(number)
        return found

    @reads
    def held_groups(self, rows: Transaction, *, limit: int = 100) -> list[HeldGroup]:
        """Return what is held by destination and reason, the largest groups first."""
        query = (
            "SELECT destination, reason, COUNT(*), MIN(created_at) FROM node_deliveries "
            "WHERE store_id = ? AND state = 'HELD' GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT ?"
        )
        return [
            HeldGroup(destination=destination, reason=reason, items=int(items), since=since)
            for destination, reason, items, since in rows.all(query, self.store_id, limit)
        ]

    @reads
    def study(self, rows: Transaction, study_uid: str) -> StudyRow | None:
        """Return a study; None if the ledger does not know it."""
        found = rows.one(f"{_STUDIES} AND study_uid = ?", self.store_id, study_uid)
        return None if found is None else _study(found)

    @reads
    def studies(
        self,
        rows: Transaction,
        *,
        before: int | None = None,
        limit: int = 100,
        states: Sequence[StudyState] = (),
        uid_begins: str = "",
    ) -> list[StudyRow]:
        """Return a page of studies, the newest first; ``before`` is the ``number`` of the last row that was shown."""
        where, values = "", list[Any]()
        if before is not None:
            where, values = " AND number < ?", [before]
        if states:
            where += f" AND state IN ({', '.join('?' * len(states))})"
            values += [state.value for state in states]
        if uid_begins:
            where += " AND study_uid >= ? AND study_uid < ?"
            values += [uid_begins, uid_begins + "\U0010ffff"]
        query = f"{_STUDIES}{where} ORDER BY number DESC LIMIT ?"
        return [_study(row) for row in rows.all(query, self.store_id, *values, limit)]

    @reads
    def late(self, rows: Transaction, *, limit: int = 100) -> list[StudyRow]:
        """Return the studies whose score stays though objects came after their originals were deleted."""
        query = f"{_STUDIES} AND objects > 0 AND objects < deleted AND state || '' = 'SCORED' ORDER BY last_at LIMIT ?"
        return [_study(row) for row in rows.all(query, self.store_id, limit)]  # || '': few have objects, most a score

    @reads
    def delivery(self, rows: Transaction, delivery_id: int) -> DeliveryRow | None:
        """Return a delivery; None if there is none of that number."""
        found = rows.one(f"{_DELIVERIES} AND id = ?", self.store_id, delivery_id)
        return None if found is None else _delivery(found)

    @reads
    def deliveries(self, rows: Transaction, study_uid: str) -> list[DeliveryRow]:
        """Return all deliveries of a study, in the order in which they were made."""
        return [
            _delivery(row) for row in rows.all(f"{_DELIVERIES} AND study_uid = ? ORDER BY id", self.store_id, study_uid)
        ]

    @reads
    def held(self, rows: Transaction, *, limit: int = 100) -> list[DeliveryRow]:
        """Return what is held, the oldest study first."""
        query = f"{_DELIVERIES} AND state = 'HELD' ORDER BY destination, study_number, id LIMIT ?"
        return [_delivery(row) for row in rows.all(query, self.store_id, limit)]

    @reads
    def uncommitted(self, rows: Transaction, before: str, *, limit: int = 100) -> list[DeliveryRow]:
        """Return what was sent before a time (UTC, ISO 8601) and was not reported on since, the oldest first."""
        query = f"{_DELIVERIES} AND state = 'SENT' AND {_SENT_AT} < ? ORDER BY {_SENT_AT}, id LIMIT ?"
        return [_delivery(row) for row in rows.all(query, self.store_id, before, limit)]

    @reads
    def uncommitted_counts(self, rows: Transaction, before: str) -> dict[str, int]:
        """Return how many such objects there are, by destination."""
        query = (
            "SELECT destination, COUNT(*) FROM node_deliveries WHERE store_id = ? AND state = 'SENT' "
            f"AND {_SENT_AT} < ? GROUP BY destination ORDER BY destination"
        )
        return {str(destination): int(number) for destination, number in rows.all(query, self.store_id, before)}

    @reads
    def waiting(self, rows: Transaction, destination: str, *, limit: int = 100) -> list[DeliveryRow]:
        """Return what waits for a destination, in the order in which it is sent."""
        query = f"{_DELIVERIES} AND destination = ? AND state = 'WAITING' ORDER BY study_number, id LIMIT ?"
        return [_delivery(row) for row in rows.all(query, self.store_id, destination, limit)]


def _study(row: Sequence[Any]) -> StudyRow:
    fields = dict(zip(_STUDY_COLUMNS, row, strict=True))
    fields |= {
        "state": StudyState(fields["state"]),
        "sources": tuple(json.loads(fields["sources"])),
        "asked_now": bool(fields["asked_now"]),
        "facts": json.loads(fields["facts"]),
    }
    return StudyRow(**fields)


def _delivery(row: Sequence[Any]) -> DeliveryRow:
    fields = dict(zip(_DELIVERY_COLUMNS, row, strict=True))
    return DeliveryRow(**fields | {"state": DeliveryState(fields["state"])})
