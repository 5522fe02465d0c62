"""Time and memory of a whole node on this machine: from DCMTK's storescu to a PACS on the same machine.

    python benchmarks/node_speed.py [--studies 10] [--associations 200] [--predictor threshold]

A drawn phantom of 64 slices of 512 x 512, the shipped weights, default outputs. Printed are: how long storescu takes to
store the study durably; from its end to the SR in the PACS, without the silence that is waited for; studies an hour if
all come at once; and the memory of each process before and after so many further associations.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from installed import with_bytecode
from pydicom import dcmread
from pydicom.uid import UID
from pynetdicom import AE, StoragePresentationContexts, evt

from ctacal.simulate.output.series import write_series
from ctacal.simulate.phantom.thorax import draw_thorax

SHAPE, SPACING_MM = (64, 512, 512), (3.0, 0.8, 0.8)
QUIET_S = 1.0
GOALS = {"store": 1.0, "to the SR": 4.0, "studies an hour": 150.0 * (os.cpu_count() or 2)}
CONFIG = """
store = "{folder}/store"
receive = {{host = "127.0.0.1", port = {port}, any_peer = true}}
settle = {{quiet_s = {quiet}}}
score = {{predictor = "{predictor}"}}
http = {{port = 0}}
[[destination]]
name = "pacs"
kind = "dicom"
ae_title = "PACS"
host = "127.0.0.1"
port = {pacs}
"""


class Pacs:
    """Takes everything, and remembers when the SR of each study came."""

    def __init__(self) -> None:
        self.reports: dict[str, float] = {}
        self.came = threading.Condition()
        ae = AE("PACS")
        ae.supported_contexts = StoragePresentationContexts
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)])
        assert server is not None
        self.server, self.port = server, int(server.server_address[1])

    def _store(self, event: evt.Event) -> int:
        made = event.dataset
        if made.Modality == "SR":
            with self.came:
                self.reports[str(made.StudyInstanceUID)] = time.monotonic()
                self.came.notify_all()
        return 0

    def wait_for(self, studies: set[str], most_s: float = 3600.0) -> None:
        """Wait for the SR of all these studies."""
        with self.came:
            assert self.came.wait_for(lambda: studies <= self.reports.keys(), most_s), "results did not come"


def new_study(pattern: Path, folder: Path, number: int) -> str:
    """Write the study again under other UIDs; returns its Study Instance UID."""
    folder.mkdir(parents=True)
    study_uid = f"1.2.826.0.1.3680043.10.11.{number}"
    for index, file in enumerate(sorted(pattern.iterdir())):
        image = dcmread(file)
        image.StudyInstanceUID, image.SeriesInstanceUID = UID(study_uid), UID(f"{study_uid}.1")
        image.FrameOfReferenceUID = UID(f"{study_uid}.2")
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = UID(f"{study_uid}.1.{index + 1}")
        image.save_as(folder / file.name)
    return study_uid


def send(port: int, folder: Path) -> float:
    """Send a folder by storescu; returns the seconds from its start to its end."""
    program = shutil.which("storescu")
    assert program, "storescu is not installed (Debian: dcmtk)"
    began = time.monotonic()
    subprocess.run([program, "-R", "+sd", "-aec", "CTACAL", "127.0.0.1", str(port), folder], check=True)
    return time.monotonic() - began


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path, pacs: Pacs, predictor: str) -> Iterator[int]:
    """Run a node; yields its port once it listens."""
    port = free_port()
    config = folder / "node.toml"
    config.write_text(CONFIG.format(folder=folder, port=port, quiet=QUIET_S, predictor=predictor, pacs=pacs.port))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "ctacal", "node", config], stderr=log, stdout=log)
        try:
            wait_until(lambda: listens(port))
            yield port
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        finally:
            process.kill()
            process.wait()


def listens(port: int) -> bool:
    """Whether somebody listens at a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(found: Callable[[], bool]) -> None:
    """Wait, looking often."""
    while not found():
        time.sleep(0.02)


def memory_mb(store: Path) -> dict[str, float]:
    """Return the resident memory of each process of the node, the scoring process apart."""
    numbers = json.loads((store / "processes.json").read_text())
    tasks = Path(f"/proc/{numbers['scorer']}/task").glob("*/children")
    children = [child for file in tasks for child in file.read_text().split()]
    named = {**numbers, **{f"scoring {index}": int(child) for index, child in enumerate(children, 1)}}
    pages = {name: int(Path(f"/proc/{number}/statm").read_text().split()[1]) for name, number in named.items()}
    return {name: count * os.sysconf("SC_PAGE_SIZE") / 2**20 for name, count in pages.items()}


def echo(port: int, associations: int) -> None:
    """Open so many associations, one after another."""
    ae = AE("BENCH")
    ae.add_requested_context("1.2.840.10008.1.1")
    for _ in range(associations):
        association = ae.associate("127.0.0.1", port, ae_title="CTACAL")
        assert association.is_established
        association.send_c_echo()
        association.release()


def one_by_one(port: int, pacs: Pacs, pattern: Path, folder: Path, runs: int) -> None:
    """Print how long storing takes, and from there to the SR in the PACS."""
    stored, answered = [], []
    for number in range(runs + 1):  # the first warms up
        study_uid = new_study(pattern, folder / f"one-{number}", number)
        stored.append(send(port, folder / f"one-{number}"))
        ended = time.monotonic()
        pacs.wait_for({study_uid})
        answered.append(pacs.reports[study_uid] - ended - QUIET_S)
    print(f"storescu, 64 slices, durable       {statistics.median(stored[1:]):8.2f} s    goal {GOALS['store']:g}")
    print(f"its end to the SR, without silence {statistics.median(answered[1:]):8.2f} s    goal {GOALS['to the SR']:g}")


def all_at_once(port: int, pacs: Pacs, pattern: Path, folder: Path, studies: int) -> None:
    """Print the rate at which a heap of studies comes through."""
    uids = {new_study(pattern, folder / f"all-{number}", 1000 + number) for number in range(studies)}
    began = time.monotonic()
    for number in range(studies):
        send(port, folder / f"all-{number}")
    pacs.wait_for(uids)
    rate = 3600 * studies / (time.monotonic() - began)
    print(f"{studies} studies at once               {rate:8.0f} an hour, goal {GOALS['studies an hour']:g}")


def main() -> None:
    """Run the node and print the table."""
    parser = argparse.ArgumentParser(description="Time and memory of a node")
    parser.add_argument("--studies", type=int, default=10)
    parser.add_argument("--associations", type=int, default=200)
    parser.add_argument("--predictor", default="networks")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, pacs = Path(name), Pacs()
        with_bytecode(folder / "bytecode")
        write_series(draw_thorax(SHAPE, SPACING_MM, seed=1).volume, folder / "pattern")
        with running(folder, pacs, options.predictor) as port:
            one_by_one(port, pacs, folder / "pattern", folder, 3)
            all_at_once(port, pacs, folder / "pattern", folder, options.studies)
            before = memory_mb(folder / "store")
            echo(port, options.associations)
            after = memory_mb(folder / "store")
        for part, megabytes in before.items():
            grown = after.get(part, 0.0) - megabytes
            print(f"{part:34s} {megabytes:8.0f} MB   {grown:+.1f} after {options.associations} associations")
        pacs.server.shutdown()


if __name__ == "__main__":
    main()
