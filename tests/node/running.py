"""A node in processes of its own, on free ports of this machine, that tests stop and kill."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests import places

Found = TypeVar("Found")

WAIT_S = 60.0
"""How long a test waits for what must come; a quiet machine takes a second or two."""


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(found: Callable[[], Found], what: str, wait_s: float = WAIT_S) -> Found:
    """Return what ``found`` returns once that is true; fails, saying what did not come, after ``wait_s``."""
    until = time.monotonic() + wait_s
    while not (answer := found()):
        assert time.monotonic() < until, f"{what}: did not come within {wait_s:g} s"
        time.sleep(0.02)
    return answer


@dataclass
class Running:
    """A supervisor and its parts."""

    store: Path
    process: "subprocess.Popen[bytes]"
    log: Path

    def processes(self) -> dict[str, int]:
        """Return the process number of each part that the supervisor has started."""
        with suppress(OSError, ValueError):
            numbers: dict[str, int] = json.loads((self.store / "processes.json").read_text(encoding="utf-8"))
            return numbers
        return {}

    def process_of(self, part: str, not_: int = 0) -> int:
        """Return the process number of a part, once it has one other than ``not_``."""
        return wait_until(lambda: (number := self.processes().get(part, not_)) != not_ and number, f"process of {part}")

    def kill(self, part: str) -> int:
        """Kill a part, or the supervisor, without warning; returns its process number."""
        number = self.process_of(part)
        os.kill(number, signal.SIGKILL)
        if part == "supervisor":
            self.process.wait(WAIT_S)
        return number

    def stop(self) -> int:
        """Stop the node in good order, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)

    def text(self) -> str:
        """Return what it has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")


@contextmanager
def running(store: Path, *command: str | Path) -> Iterator[Running]:
    """Run a command that supervises a node; at the end it is killed if it still runs, and its parts with it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(places.ROOT / "src"), str(places.ROOT)])}
    log = store.parent / f"{store.name}.log"
    with log.open("ab") as file:
        process = subprocess.Popen([sys.executable, *command], stderr=file, stdout=file, env=environment)
    node = Running(store, process, log)
    try:
        yield node
    finally:
        numbers = node.processes()
        if process.poll() is None:
            process.kill()
        process.wait()
        if numbers.get("supervisor") == process.pid:
            wait_until(lambda: all_ended(numbers.values()), "end of all parts")


def all_ended(numbers: Iterable[int]) -> bool:
    """Whether none of these processes runs."""
    return not any(is_running(number) for number in numbers)


def is_running(number: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
