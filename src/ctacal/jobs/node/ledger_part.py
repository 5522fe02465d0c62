"""``LedgerPart``: what the parts of the ledger share: its database, its store, its clock, and its audit trail."""

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from ctacal.jobs.database import Database, Transaction
from ctacal.jobs.node import audit

Part = TypeVar("Part", bound="LedgerPart")
Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")


class LedgerPart:
    """The rows of one store in a database."""

    def __init__(self, database: Database, store_id: str, *, clock: Callable[[], float] = time.time) -> None:
        """``clock`` gives seconds since 1970, for people and for the time of the next try."""
        self.database, self.store_id = database, store_id
        self.audit = audit.Audit(database, store_id)
        self._clock = clock

    def now(self) -> str:
        """Return the time as the rows of the ledger hold it: UTC, ISO 8601."""
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")

    def _note(self, rows: Transaction, what: str, study_uid: str = "", **facts: Any) -> None:
        """Add to the audit trail within a transaction; its last statements."""
        audit.append(rows, self.store_id, what, study_uid, facts)


def writes(
    method: Callable[Concatenate[Part, Transaction, Asked], Answer],
) -> Callable[Concatenate[Part, Asked], Answer]:
    """Make a method one transaction; it may be called again if the database was busy or away."""

    @wraps(method)
    def call(self: Part, /, *args: Asked.args, **kwargs: Asked.kwargs) -> Answer:
        return self.database.write(lambda rows: method(self, rows, *args, **kwargs))

    return call


def reads(
    method: Callable[Concatenate[Part, Transaction, Asked], Answer],
) -> Callable[Concatenate[Part, Asked], Answer]:
    """Make a method one transaction that changes nothing."""

    @wraps(method)
    def call(self: Part, /, *args: Asked.args, **kwargs: Asked.kwargs) -> Answer:
        return self.database.read(lambda rows: method(self, rows, *args, **kwargs))

    return call


def new_token() -> str:
    """Return the name of a claim, which no other claim ever has."""
    return secrets.token_hex(12)


def locked(rows: Transaction, *, skip: bool = False) -> str:
    """Return the end of a query whose rows nobody else may change until the transaction ends.

    ``skip``: rows that somebody else has locked are not found. SQLite locks the whole database before.
    """
    if not rows.postgres:
        return ""
    return " FOR UPDATE SKIP LOCKED" if skip else " FOR UPDATE"
