"""A node in processes of its own, on free ports of this machine, that tests stop and kill."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ctacal.jobs.node.config import NodeConfig, read_config
from ctacal.jobs.node.ledger import Ledger, StudyRow, StudyState, open_ledger
from ctacal.jobs.node.store import Store
from tests import places
from tests.tools import need

Found = TypeVar("Found")

WAIT_S = 60.0
"""How long a test waits for what must come; a quiet machine takes a second or two."""


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(found: Callable[[], Found | None], what: str, wait_s: float = WAIT_S) -> Found:
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
    modules = [str(places.ROOT / "src"), str(places.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(modules)}
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


NODE = """
store = "{store}"
[receive]
host = "127.0.0.1"
port = {port}
[[peer]]
ae_title = "CAM"
[settle]
quiet_s = 0.5
wait_s = 60.0
[score]
predictor = "threshold"
processes = 1
write = ["json"]
[http]
port = 0
[disk]
reserve_mb = 1
reserve_percent = 0.0
"""
"""A node that scores fast, and takes what the test's camera sends."""

FOLDER = """
[[destination]]
name = "out"
kind = "folder"
folder = "{folder}"
send = ["seg", "sr"]
"""


@dataclass
class NodeFolder:
    """The files of a node, of which it can be started again and again."""

    folder: Path
    config: NodeConfig

    @classmethod
    def made(cls, folder: Path, more: str = FOLDER, node: str = NODE) -> "NodeFolder":
        """Write the configuration; ``{folder}`` in it becomes the folder of results, ``{port}`` a free port."""
        out = folder / "out"
        out.mkdir(parents=True, exist_ok=True)
        text = (node + more).format(store=folder / "store", port=free_port(), folder=out)
        (folder / "node.toml").write_text(text, encoding="utf-8")
        return cls(folder, read_config(folder / "node.toml"))

    @contextmanager
    def started(self) -> Iterator[Running]:
        """Run the node; it listens when the block begins."""
        with self.starting() as node:
            self.wait_for_port()
            yield node

    def starting(self) -> AbstractContextManager[Running]:
        """Run the node; when the block begins it has just been started."""
        return running(self.config.store, "-m", "ctacal", "node", self.folder / "node.toml")

    def wait_for_port(self) -> None:
        """Wait until it listens."""
        wait_until(lambda: _listens(self.config.receive.port), "a node that listens")

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """Open the ledger beside the node."""
        ledger = open_ledger(self.config.ledger, Store(self.config.store).id)
        try:
            yield ledger
        finally:
            ledger.close()

    def send(self, files: Iterable[Path], ae_title: str = "CAM") -> "subprocess.CompletedProcess[str]":
        """Send files as a camera does, each in the transfer syntax that it has."""
        command = [need("dcmsend"), "--no-halt", "-aet", ae_title, "-aec", self.config.receive.ae_title]
        target = ["127.0.0.1", str(self.config.receive.port)]
        return subprocess.run([*command, *target, *files], capture_output=True, text=True, check=False)

    def finished(self, study_uid: str, revision: int = 1) -> StudyRow:
        """Return a study once it is scored or refused at this revision, and all its results are delivered or held."""
        with self.ledger() as ledger:
            return wait_until(lambda: _finished(ledger, study_uid, revision), f"results of {study_uid}")


def _finished(ledger: Ledger, study_uid: str, revision: int) -> StudyRow | None:
    study = ledger.study(study_uid)
    closed = (StudyState.SCORED, StudyState.REFUSED, StudyState.QUARANTINED)
    if study is None or study.state not in closed or study.revision < revision:
        return None
    moving = any(delivery.state in ("WAITING", "SENT") for delivery in ledger.deliveries(study_uid))
    return None if moving else study


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
