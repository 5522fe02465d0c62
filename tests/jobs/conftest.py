"""A database server for the tests of jobs."""

from collections.abc import Iterator

import pytest

from tests.postgres import new_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server that all tests share; skipped where there is none."""
    with new_server() as server:
        yield server.url
