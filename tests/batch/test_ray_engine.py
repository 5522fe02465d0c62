"""A batch on Ray: several actors, killed actors and a killed driver give the outcomes of one undisturbed process."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from ctacal.batch.ray_engine import run_on_ray
from ctacal.errors import UsageError
from ctacal.jobs.batch.places import FolderPlace
from ctacal.jobs.batch.run import RunOptions
from ctacal.jobs.batch.runners import runners
from tests import places
from tests.jobs.batch.cohorts import WHOLE, cohort, content, planned, run

if find_spec("ray") is None:  # not imported here: it reads its token when it is imported
    pytest.skip("Ray is optional", allow_module_level=True)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ci,
    pytest.mark.filterwarnings("default"),  # Ray's own
]

SCORED = 8


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of studies in ``in``, and ``calm``, an undisturbed run in one process."""
    folder = tmp_path_factory.mktemp("ray")
    cohort(folder / "in", 8, scored=False)
    for number in range(SCORED):
        shutil.copy(places.SAMPLE / "thorax_phantom.zip", folder / "in" / f"{number}.zip")
    planned(folder / "calm", folder / "in")
    run(folder / "calm")
    return folder


CLUSTER = """
import ray
cluster = ray.init(num_cpus=4, include_dashboard=False, object_store_memory=80 * 2**20, logging_level="warning")
print("address", cluster.address_info["address"], flush=True)
input()
ray.shutdown()
"""
"""A cluster of four cores on this machine, whatever it has, until its input ends."""


@pytest.fixture(scope="module", autouse=True)
def token() -> Iterator[None]:
    """Let all programs of these tests, and nobody else, use their clusters."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        yield


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster."""
    command = [sys.executable, "-c", CLUSTER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        yield next(line.split()[1] for line in program.stdout if line.startswith("address "))
        program.communicate("\n", timeout=60)


def wait_until(condition: Callable[[], bool], what: str, within_s: float = 300) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def some_done(place: Path) -> bool:
    return len(list((place / "outcomes").rglob("*.json"))) >= 3


@pytest.mark.parametrize("actors", [2, 4])
def test_actors_share_the_rows(calm: Path, cluster: str, actors: int) -> None:
    place = calm / f"{actors} actors"
    plan = planned(place, calm / "in")
    shown: list[int] = []
    options = RunOptions(share=WHOLE, processes=actors)
    done = run_on_ray(FolderPlace(place), options, address=cluster, progress=lambda done, _: shown.append(done))
    assert (done.done, done.total, done.postponed, done.handed_back) == (plan.total, plan.total, 0, False)
    assert content(place) == content(calm / "calm")
    assert len(list(runners(FolderPlace(place)))) == actors
    assert shown == sorted(shown) and shown[-1] == plan.total


def test_killed_actors_are_started_again(calm: Path, cluster: str) -> None:
    place = calm / "killed actors"
    plan = planned(place, calm / "in")
    killed: set[int] = set()

    def kill() -> None:
        wait_until(lambda: some_done(place), "some outcomes")
        for runner in runners(FolderPlace(place)):
            os.kill(runner.pid, signal.SIGKILL)
            killed.add(runner.pid)

    killing = threading.Thread(target=kill)
    killing.start()
    done = run_on_ray(FolderPlace(place), RunOptions(share=WHOLE, processes=2), address=cluster)
    killing.join()
    assert len(killed) == 2
    assert {runner.pid for runner in runners(FolderPlace(place))} > killed
    assert done.done == plan.total
    assert content(place) == content(calm / "calm")


def test_a_run_that_is_asked_to_stop_hands_back(calm: Path, cluster: str) -> None:
    place = calm / "stopped"
    plan = planned(place, calm / "in")

    def stop_when_begun(stop: Callable[[], None]) -> None:
        def wait_and_stop() -> None:
            wait_until(lambda: some_done(place), "some outcomes")
            stop()

        threading.Thread(target=wait_and_stop, daemon=True).start()

    done = run_on_ray(
        FolderPlace(place), RunOptions(share=WHOLE, processes=2), address=cluster, on_pool=stop_when_begun
    )
    assert done.handed_back and done.done < plan.total
    assert run(place).done == plan.total
    assert content(place) == content(calm / "calm")


def test_more_actors_than_cores_would_wait_for_ever(calm: Path, cluster: str) -> None:
    with pytest.raises(UsageError, match="the Ray cluster has 4 cores"):
        run_on_ray(FolderPlace(calm / "calm"), RunOptions(share=WHOLE, processes=5), address=cluster)


def test_a_killed_driver_is_started_again(calm: Path) -> None:
    place = calm / "killed driver"
    planned(place, calm / "in")
    command = [sys.executable, "-m", "ctacal", "batch", "run", str(place), "--engine", "ray", "--processes", "1"]
    with subprocess.Popen(command) as driver:
        wait_until(lambda: some_done(place) or driver.poll() is not None, "some outcomes")
        driver.kill()
    assert driver.returncode == -signal.SIGKILL
    assert content(place) != content(calm / "calm")
    assert subprocess.run(command, timeout=300).returncode == 0
    assert content(place) == content(calm / "calm")


@pytest.mark.parametrize(("actors", "new"), [(2, True), (2, False), (4, False)])
def test_sigterm_to_the_driver_hands_back(calm: Path, cluster: str, actors: int, new: bool) -> None:
    """On a cluster that runs already, and on one that the driver starts: then Ray has a handler of its own."""
    place = calm / f"told {actors} {new}"
    plan = planned(place, calm / "in")
    command = [sys.executable, "-m", "ctacal", "batch", "run", str(place), "--engine", "ray"]
    where = [] if new else ["--ray-address", cluster]
    with subprocess.Popen([*command, "--processes", str(actors), *where], stderr=subprocess.PIPE, text=True) as driver:
        wait_until(lambda: some_done(place) or driver.poll() is not None, "some outcomes")
        driver.terminate()
        _, said = driver.communicate(timeout=120)
    assert driver.returncode == 75, said
    assert "stopped as asked" in said
    assert run(place).done == plan.total
    assert content(place) == content(calm / "calm")
