"""Fixtures shared by all tests, and how the tests are shared among processes."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""There is a test process on each core: threads of torch and BLAS would only wait for each other, ten times as long."""

REFERENCE_DATA = Path(os.environ.get("CTACAL_REFERENCE_DATA") or Path(__file__).parents[2] / "shared" / "ct")
SHARED_FIXTURES = {"trained", "exported"}
"""Fixtures that take long: all tests that use them run in the same process."""


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of real CT data; a test that needs it is skipped if it is absent."""
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files with slow tests first, so that short tests fill the end; a file stays in one process."""
    slow = {item.path for item in items if any(item.iter_markers("slow")) or any(item.iter_markers("ci"))}
    items.sort(key=lambda item: item.path not in slow)
    for item in items:
        shared = SHARED_FIXTURES & set(getattr(item, "fixturenames", ()))
        group = "trained" if shared else str(item.path.relative_to(item.config.rootpath))
        item.add_marker(pytest.mark.xdist_group(group))
