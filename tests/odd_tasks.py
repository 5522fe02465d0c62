"""Tasks for watched processes: what each does stands in its text, such as ``dies``."""

import os
import signal
import time
from functools import partial
from pathlib import Path

from ctacal.errors import UsageError
from ctacal.watched import Duty

SWOLLEN_MB = 500


def begin(folder: Path) -> Duty[str, str]:
    """Return what performs such tasks; files in ``folder`` tell what it has done."""
    if (folder / "no-model").exists():
        raise UsageError("model.json is missing")
    return Duty(partial(perform, folder), partial(fetch, folder))


def fetch(folder: Path, task: str) -> str:
    (folder / f"fetched {task[:20]}").touch()
    return task


def perform(folder: Path, task: str) -> str:
    """Answer with the task and the number of this process, or do what the task says."""
    word = task.split()[0]
    with (folder / f"begun {task[:20]}").open("a") as file:
        file.write(f"{os.getpid()}\n")
    if word == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "swells":
        swollen = bytearray(os.urandom(2**20)) * SWOLLEN_MB
        time.sleep(60)
        del swollen
    if word == "hangs":
        time.sleep(60)
    if word == "holds":  # Python's lock, so that no other thread of this process goes on
        sum(range(10**12))
    if word == "raises":
        raise ValueError(task)
    if word == "no-disk":
        raise OSError(28, "No space left on device", "result.json")
    if word == "waits":
        while not (folder / "go").exists():
            time.sleep(0.01)
    return f"{task[:20]} by {os.getpid()}"
