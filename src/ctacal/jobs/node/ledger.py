"""``Ledger``: one row per study and per delivery, and the audit trail; each call is one transaction.

What was received lies in the store, which is the truth; the ledger says what is to be done with it, and can be made
again from the store (``ledger_rebuild``). No clocks are compared: whoever watches whether a study is quiet or a worker
is dead remembers the counter that it saw (``activity``, ``beat``) and how long ago by its own monotonic clock, and acts
by a call that does nothing if the counter has changed (``settle``, ``free``). Times of the wall clock are for people;
only the next try of a delivery has one, which counts as due if the clock was set back.

The audit events of studies and deliveries are written here, in the transaction of the change itself.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ctacal.errors import UsageError
from ctacal.jobs.database import WAIT_S, Database, is_postgres, make_database_folder, network_file_system
from ctacal.jobs.node.config import NodeConfig
from ctacal.jobs.node.ledger_deliveries import DeliveryLedger
from ctacal.jobs.node.ledger_overview import OverviewLedger
from ctacal.jobs.node.ledger_tables import make_tables
from ctacal.jobs.node.ledger_values import (
    UNDELIVERED,
    Arriving,
    Claimed,
    DeliveryClaim,
    DeliveryRow,
    DeliveryState,
    NewDelivery,
    Removable,
    ScoredOutcome,
    StudyClaim,
    StudyRow,
    StudyState,
)
from ctacal.jobs.node.store import Store
from ctacal.readings.chain import Record

__all__ = [
    "UNDELIVERED",
    "Arriving",
    "Claimed",
    "DeliveryClaim",
    "DeliveryRow",
    "DeliveryState",
    "Ledger",
    "NewDelivery",
    "Removable",
    "ScoredOutcome",
    "StudyClaim",
    "StudyRow",
    "StudyState",
    "ledger_of",
    "open_ledger",
]

CACHE_KIB = 8000
"""What SQLite keeps of the ledger for whoever asks it for much."""
APPENDING_KIB = 1000
"""What it keeps for whoever only adds to it: its memory then soon grows no more."""
_IF_DAMAGED = (
    "stop the node, move this file away and start the node again: the ledger is made again from the store, what lies "
    "there is scored again, and its results are sent again under the same UIDs"
)


class Ledger(DeliveryLedger, OverviewLedger):
    """The ledger of one store, safe to use from several threads; each process opens its own."""

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def check(self) -> Record | None:
        """Check the file and the whole audit trail, and return the newest record of it; takes seconds when it is large.

        Raises ``DatabaseDamaged``, and ``NotPossible`` (``DAMAGED``) if the audit trail was altered.
        """
        self.database.check()
        return self.audit.verify()


def open_ledger(
    where: Path | str,
    store_id: str,
    *,
    wait_s: float = WAIT_S,
    complain: Callable[[str], object] = lambda _: None,
    cache_kib: int = CACHE_KIB,
) -> Ledger:
    """Open or make a ledger: a file for SQLite, or a URL such as ``postgresql://host/name``.

    A call waits up to ``wait_s`` for a database that is busy or away, then raises ``DatabaseAway``; ``complain`` is
    told when it begins to wait. Raises ``UsageError`` if the ledger cannot be opened, lies on a network file system
    or was made by a newer version; ``DatabaseDamaged`` says what to do.
    """
    if not is_postgres(where):
        make_database_folder(Path(where))
    return _opened(where, store_id, wait_s=wait_s, complain=complain, cache_kib=cache_kib)


def _opened(where: Path | str, store_id: str, **settings: Any) -> Ledger:
    if not is_postgres(where) and (kind := network_file_system(Path(where))):
        message = f"{where}: SQLite cannot be used on a network file system ({kind}); name a local file, or PostgreSQL"
        raise UsageError(message)
    database = Database(where, if_damaged=_IF_DAMAGED, **settings)
    ledger = Ledger(database, store_id)
    try:
        ledger.database.write(make_tables)
    except BaseException:
        ledger.close()
        raise
    return ledger


def ledger_of(
    config: NodeConfig,
    store: Store,
    *,
    wait_s: float = WAIT_S,
    complain: Callable[[str], object] = lambda _: None,
    cache_kib: int = CACHE_KIB,
) -> Ledger:
    """Open the ledger of a node, as ``open_ledger``; raises ``OSError`` if the store is not there, and makes none."""
    store.require()
    return _opened(config.ledger, store.id, wait_s=wait_s, complain=complain, cache_kib=cache_kib)
