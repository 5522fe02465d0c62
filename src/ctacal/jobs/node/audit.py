"""``Audit``: what the node did, as a chain of records in the ledger's database: a changed or removed one shows.

The chain is that of readings (``ctacal.readings.chain``). The newest records can be cut off without a trace in it;
against that helps only a copy of the newest digest elsewhere, which ``head`` returns.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ctacal.errors import NotPossible, Problem
from ctacal.jobs.database import Database, Transaction
from ctacal.readings.chain import Record, chained

_BATCH = 1000
_MOST_CHARACTERS = 2000
_OWN = ("n", "previous", "digest")


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit trail of one store."""

    database: Database
    store_id: str

    def append(self, what: str, *, study_uid: str = "", **facts: Any) -> Record:
        """Store an event, and return its record. No fact may identify a patient; a study UID may be given."""
        return self.database.write(lambda rows: append(rows, self.store_id, what, study_uid, facts))

    def head(self) -> Record | None:
        """Return the newest record; None if there is none."""
        return self.database.read(lambda rows: _newest(rows, self.store_id))

    def records(self, *, before: int | None = None, limit: int = 100, study_uid: str = "") -> list[Record]:
        """Return records, the newest first; ``before`` is the number of one, to go on from it."""
        where, values = "", list[Any]()
        if before is not None:
            where, values = " AND number < ?", [before]
        if study_uid:
            where, values = f"{where} AND study_uid = ?", [*values, study_uid]
        statement = f"SELECT line FROM node_audit WHERE store_id = ?{where} ORDER BY number DESC LIMIT ?"
        found = self.database.read(lambda rows: rows.all(statement, self.store_id, *values, limit))
        return [_record(str(line)) for (line,) in found]

    def since(self, number: int, *, limit: int = 1000) -> list[Record]:
        """Return the records after the one of a number, the oldest first."""
        statement = "SELECT line FROM node_audit WHERE store_id = ? AND number > ? ORDER BY number LIMIT ?"
        found = self.database.read(lambda rows: rows.all(statement, self.store_id, number, limit))
        return [_record(str(line)) for (line,) in found]

    def verify(self) -> Record | None:
        """Check the whole chain, and return its newest record; None if there is none.

        Raises ``NotPossible`` (``DAMAGED``) naming the first record that is wrong.
        """
        before: Record | None = None
        for number, line, study_uid in self._lines():
            before = _checked(number, line, study_uid, before)
        return before

    def _lines(self) -> Iterator[tuple[int, str, str]]:
        last = -1

        def batch(rows: Transaction) -> list[tuple[int, str, str]]:
            return rows.all(statement, self.store_id, last, _BATCH)

        statement = (
            "SELECT number, line, study_uid FROM node_audit WHERE store_id = ? AND number > ? ORDER BY number LIMIT ?"
        )
        while found := self.database.read(batch):
            yield from found
            last = found[-1][0]


def append(rows: Transaction, store_id: str, what: str, study_uid: str, facts: Mapping[str, Any]) -> Record:
    """Store an event within a transaction, as its last statement: the lock of the chain is held until its end."""
    if rows.postgres:
        rows.run("SELECT pg_advisory_xact_lock(hashtext(?))", f"ctacal audit {store_id}")
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    content = {"at": at, "what": what, **({"study_uid": study_uid} if study_uid else {}), **plain(dict(facts))}
    record = chained(content, _newest(rows, store_id))
    line = record.line.decode().rstrip("\n")
    rows.run("INSERT INTO node_audit VALUES (?,?,?,?)", store_id, record.n, study_uid, line)
    return record


def plain(value: Any) -> Any:
    """Return a value as JSON and both databases can hold it: no NUL, no half characters, no endless text."""
    if isinstance(value, str):
        return value[:_MOST_CHARACTERS].replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value if value is None or (isinstance(value, int | float) and math.isfinite(value)) else plain(str(value))


def _newest(rows: Transaction, store_id: str) -> Record | None:
    found = rows.one("SELECT line FROM node_audit WHERE store_id = ? ORDER BY number DESC LIMIT 1", store_id)
    return None if found is None else _record(str(found[0]))


def _record(line: str) -> Record:
    fields = json.loads(line)
    content = {key: value for key, value in fields.items() if key not in _OWN}
    return Record(fields["n"], fields["previous"], content, fields["digest"])


def _checked(number: int, line: str, study_uid: str, before: Record | None) -> Record:
    try:
        content = _record(line).content
        record = chained(content, before)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as problem:
        raise _damaged(number, "is no record") from problem
    if record.line != f"{line}\n".encode() or record.n != number or content.get("study_uid", "") != study_uid:
        raise _damaged(number, "was altered, or a record before it was removed or inserted")
    return record


def _damaged(number: int, what: str) -> NotPossible:
    message = f"audit trail: record {number} {what}; compare with a backup of the ledger"
    return NotPossible(Problem.DAMAGED, message)
