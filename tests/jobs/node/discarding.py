"""Deletes the originals of a store, for tests that kill it: ``python -m tests.jobs.node.discarding STORE``."""

import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ctacal.jobs.node.config import Retention
from ctacal.jobs.node.ledger import open_ledger
from ctacal.jobs.node.retention import discard
from ctacal.jobs.node.store import Store


def main(folder: str) -> None:
    """Say that it begins, and delete what has been delivered."""
    store = Store(Path(folder))
    with closing(open_ledger(store.folder / "ledger.sqlite", store.id)) as ledger:
        print("begins", flush=True)
        discard(store, ledger, Retention(originals_days=7), datetime.now(UTC) + timedelta(days=8))


if __name__ == "__main__":
    main(*sys.argv[1:])
