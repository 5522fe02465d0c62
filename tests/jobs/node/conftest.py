"""The ledger in SQLite, and the same in PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.node.ledgers import Ledgers, no_ledger


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def ledgers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledgers]:
    """What opens an empty ledger, again and again."""
    sqlite = request.param == "sqlite"
    opener = Ledgers(tmp_path / "ledger.sqlite" if sqlite else no_ledger(request.getfixturevalue("postgres")))
    yield opener
    opener.close()
