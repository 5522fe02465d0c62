"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

REFERENCE_DATA = Path(os.environ.get("CTACAL_REFERENCE_DATA") or Path(__file__).parents[2] / "shared" / "ct")


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of real CT data; a test that needs it is skipped where it is not there."""
    if not REFERENCE_DATA.is_dir():
        pytest.skip(f"reference data not found at {REFERENCE_DATA} (set CTACAL_REFERENCE_DATA)")
    return REFERENCE_DATA
