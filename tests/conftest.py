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


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training run on the toys (``nn.toy_model``, which imports torch)."""
    from tests.nn.toy_model import made_once, train_toy

    return made_once(tmp_path_factory, "trained", train_toy)


@pytest.fixture(scope="session")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of that run."""
    from tests.nn.toy_model import export_toy, made_once

    return made_once(tmp_path_factory, "exported", lambda folder: export_toy(trained, folder))
