"""``ctacal score`` on many studies is stopped or killed, and goes on: nothing is lost, and the files are the same."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.dicom_series import ct_series, uid, write
from tests.marker_study import WIDE

pytestmark = pytest.mark.slow

NAMES = "abcdefgh"


def score(folder: Path, out: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "ctacal", "score", folder / "in", "-o", folder / out, "--resume"]
    options = ["--predictor", "threshold", "--allow-contrast", "--write", "json,png", "--processes", "2"]
    return subprocess.Popen(
        [*map(str, command), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(condition: Callable[[], bool], what: str, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def rows(out: Path) -> list[dict[str, str]]:
    try:
        with (out / "results.csv").open(newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        return []


def files(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in sorted(path for path in out.rglob("*") if path.is_file() and path.name != "inputs.json"):
        content = file.read_bytes()
        whole = {**json.loads(content), "timing_s": 0} if file.name == "result.json" else content
        found[str(file.relative_to(out))] = whole
    return found


def scoring_processes(parent: int) -> list[int]:
    """Return the scoring processes of a command: those that it has started anew (spawn)."""
    children = (Path(f"/proc/{parent}/task/{parent}/children").read_text()).split()
    return [pid for pid in map(int, children) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of studies, and the results of a run that nobody stopped."""
    folder = tmp_path_factory.mktemp("stopped")
    for name in NAMES:
        write(folder / "in" / name, ct_series(WIDE, name=name, StudyInstanceUID=uid(name)))
    with score(folder, "calm") as calm:
        _, said = calm.communicate(timeout=120)
    assert f"{len(NAMES)} scored" in said or "refused" in said
    return folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_a_stopped_run_leaves_whole_results_and_goes_on(folder: Path, number: signal.Signals) -> None:
    out = folder / number.name
    with score(folder, number.name) as run:
        wait_until(lambda: len(rows(out)) >= 2, "two results")
        processes = scoring_processes(run.pid)
        run.send_signal(number)
        run.communicate(timeout=20)
    wait_until(lambda: not any(map(alive, processes)), "end of the scoring processes", 10)
    assert run.returncode != 0
    whole = files(folder / "calm")
    left = {name: content for name, content in files(out).items() if name.count("/") and ".writing-" not in name}
    assert {name: whole[name] for name in left} == left
    assert len(rows(out)) >= 2
    with score(folder, number.name) as run:
        run.communicate(timeout=120)
    assert files(out) == whole


def test_a_killed_scoring_process_is_replaced(folder: Path) -> None:
    with score(folder, "replaced") as run:
        wait_until(lambda: len(rows(folder / "replaced")) >= 1, "a result")
        for pid in scoring_processes(run.pid):
            os.kill(pid, signal.SIGKILL)
        run.communicate(timeout=120)
    assert files(folder / "replaced") == files(folder / "calm")


def test_a_run_without_processes_is_wrong_usage(folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ctacal",
        "score",
        str(folder / "in"),
        "-o",
        str(folder / "none"),
        "--processes",
        "0",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--processes 0: at least one process must score" in done.stderr
