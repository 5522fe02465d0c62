"""How fast the node receives, and what it costs: prints a line for each figure. Needs DCMTK's storescu.

    python benchmarks/node_receive.py [FOLDER] [--associations 5000] [--only associations]

FOLDER must lie on the disk that is to be measured; default: a new folder in the working folder. Bars (issue 19): 64
slices on the disk within 1 s over loopback; a good sender served within 1 s beside 200 idle connections from its
address; memory flat over 5,000 associations. The floor is what the disk itself takes: each object needs a flush of the
file and a flush of its name before it may be acknowledged.
"""

import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from threading import Event
from uuid import uuid4

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from raw_peer import CT, ECHO, RawPeer, echo_request, store_request

from ctacal.jobs.node.config import Disk, NodeConfig, Receive
from ctacal.jobs.node.store import Store

SLICES, ROWS = 64, 512
SENDERS = 10
IDLE = 200
LARGE_MB = 300
TURNS = 5


def receive(store: Path, port: int) -> None:
    """Run the receiver, as a part of a node does."""
    from ctacal.node.receiver import run

    config = NodeConfig(
        store=store,
        receive=Receive(host="127.0.0.1", port=port, any_peer=True, most_per_address=64),
        disk=Disk(reserve_mb=0, reserve_percent=0),
    )
    run(config, Event())


@contextmanager
def receiver(store: Path) -> Iterator[tuple[int, int]]:
    """Yield the port of a receiver and the number of its process, which is killed at the end."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    process = get_context("spawn").Process(target=receive, args=(store, port))
    process.start()
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                time.sleep(0.05)
            else:
                break
        yield port, process.pid or 0
    finally:
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()


def new_uid() -> str:
    """Return a UID that is short enough for more numbers behind it."""
    return f"2.25.{uuid4().int}"


def image(study_uid: str, number: int) -> Dataset:
    """Return a CT slice of random values: nothing on the way can make it smaller."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID, made.StudyInstanceUID = CT, new_uid(), study_uid
    made.SeriesInstanceUID, made.Modality, made.InstanceNumber = f"{study_uid}.1", "CT", number
    made.PatientID, made.PatientName = "1", "Test^Receive"
    made.Rows = made.Columns = ROWS
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.PixelData = np.random.default_rng(number).integers(0, 2**16, (ROWS, ROWS), np.uint16).tobytes()
    return made


def study(folder: Path, slices: int = SLICES) -> Path:
    """Write a study of files, and return its folder."""
    folder.mkdir(parents=True)
    study_uid = new_uid()
    for number in range(slices):
        made = image(study_uid, number)
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


def storescu(port: int, folder: Path) -> float:
    """Send a folder; returns how long it took in seconds, from the start of the program to its end."""
    start = time.perf_counter()
    subprocess.run(["storescu", "-aec", "CTACAL", "-R", "+sd", "127.0.0.1", str(port), folder], check=True)
    return time.perf_counter() - start


def floor_s(folder: Path, slices: int = SLICES) -> float:
    """Return how long the store alone takes to keep so many objects: two flushes of the disk for each."""
    store, content, study_uid = Store(folder), os.urandom(2 * ROWS * ROWS), new_uid()
    start = time.perf_counter()
    for number in range(slices):
        with store.incoming() as incoming:
            incoming.write_bytes(content)
            store.keep(incoming, study_uid, f"{study_uid}.{number}")
    return time.perf_counter() - start


def print_study(port: int, folder: Path) -> None:
    """Print how long a study takes, and the floor at the same time, in turn: other programs may use the disk."""
    times, floors = [], []
    for turn in range(TURNS):
        sent = study(folder / f"study {turn}")
        times.append(storescu(port, sent))
        floors.append(floor_s(folder / f"floor {turn}"))
        shutil.rmtree(sent)
    show(f"{SLICES} slices of {ROWS} x {ROWS} by storescu, all on the disk", times)
    show(f"  floor: the same number of objects by the store alone, {2 * SLICES} flushes", floors)
    print(f"  program to program without slices (storescu --version): {_version_s():.3f} s", flush=True)


def _version_s() -> float:
    start = time.perf_counter()
    subprocess.run(["storescu", "--version"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def print_many(port: int, folder: Path) -> None:
    """Print how many objects a second come in from several senders at once."""
    folders = [study(folder / f"many {number}", 16) for number in range(SENDERS)]
    start = time.perf_counter()
    with ThreadPoolExecutor(SENDERS) as threads:
        list(threads.map(lambda sent: storescu(port, sent), folders))
    taken_s = time.perf_counter() - start
    print(f"{SENDERS} senders at once: {SENDERS * 16 / taken_s:.0f} objects/s ({taken_s:.2f} s)", flush=True)


def print_idle(port: int, folder: Path) -> None:
    """Print how long a good sender takes beside idle connections from its address."""
    sent = study(folder / "good", 3)
    with ExitStack() as stack:
        for _ in range(IDLE):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        times = [storescu(port, sent) for _ in range(TURNS)]
    show(f"3 slices by storescu beside {IDLE} idle connections from the same address", times)


def print_large(port: int, process: int) -> None:
    """Print the memory that a large object takes."""
    made = image(new_uid(), 0)
    content = bytes(LARGE_MB * 10**6)
    head = _data_set(made)
    before = memory_mb(process)
    with RawPeer(port, CT) as peer:
        start = time.perf_counter()
        status = peer.status(store_request(1, CT, made.SOPInstanceUID, head + content))
        taken_s = time.perf_counter() - start
    assert status == 0, hex(status)
    peak = memory_mb(process, "VmHWM")
    print(
        f"an object of {LARGE_MB} MB: {LARGE_MB / taken_s:.0f} MB/s; memory {before:.0f} MB, peak {peak:.0f} MB",
        flush=True,
    )


def print_associations(port: int, process: int, number: int) -> None:
    """Print memory, threads and open files over many associations, each with C-ECHO and C-STORE."""
    made = image(new_uid(), 0)
    request = store_request(3, CT, made.SOPInstanceUID, _data_set(made))
    start = time.perf_counter()
    for done in range(number + 1):
        if done in (0, 100, number // 5, number // 2, number):
            threads, files = (len(list(Path(f"/proc/{process}/{what}").iterdir())) for what in ("task", "fd"))
            rate = done / (time.perf_counter() - start)
            print(f"after {done:5} associations: {memory_mb(process):.1f} MB, {threads} threads, {files} files, "
                  f"{rate:.0f} associations/s", flush=True)  # fmt: skip
        with RawPeer(port, ECHO, CT) as peer:
            assert peer.status(echo_request(1)) == 0
            assert peer.status(request) == 0


def _data_set(made: Dataset) -> bytes:
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, made)
    return buffer.getvalue()


def memory_mb(process: int, what: str = "VmRSS") -> float:
    """Return the memory of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (kilobytes,) = (int(line.split()[1]) for line in lines if line.startswith(f"{what}:"))
    return kilobytes / 1024


PARTS = ("study", "many", "idle", "large", "associations")


def show(what: str, times: Sequence[float]) -> None:
    """Print the median and the range of times in seconds."""
    print(f"{what}: {statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})", flush=True)


def main(arguments: Sequence[str]) -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--associations", type=int, default=5000)
    parser.add_argument("--only", choices=PARTS, help="measure this and nothing else")
    asked = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="node_receive-", dir=asked.folder or Path.cwd()))
    measures: list[Callable[[int, int], None]] = [
        lambda port, _: print_study(port, folder),
        lambda port, _: print_many(port, folder),
        lambda port, _: print_idle(port, folder),
        print_large,
        lambda port, process: print_associations(port, process, asked.associations),
    ]
    try:
        for part, measure in zip(PARTS, measures, strict=True):
            if asked.only in (None, part):
                with receiver(folder / f"store {part}") as (port, process):
                    measure(port, process)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
