"""What was acknowledged is there, whole, when the receiver is killed, and when the disk was full and is free again."""

import io
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from ctacal.jobs.node.config import Disk
from ctacal.jobs.node.ledger import open_ledger
from ctacal.jobs.node.store import Store
from tests import places
from tests.dicom_series import encoded
from tests.node.disks import small_disk
from tests.node.receiving import (
    EXPLICIT,
    STUDY,
    WAIT_S,
    associated,
    call,
    receiving,
    said,
    same_data_sets,
    sender,
    study,
    study_folder,
    wait_until,
)

pytestmark = pytest.mark.slow
CT = ("1.2.840.10008.5.1.4.1.1.2", EXPLICIT)
KILLS = 4
PROGRAM = """
import sys
from pathlib import Path
from threading import Event
from ctacal.node.receiver import run
from tests.node.receiving import config_of
run(config_of(Path(sys.argv[1]), port=int(sys.argv[2])), Event())
"""


@contextmanager
def receiver_process(store: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a receiver in a process of its own; at the end it is killed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(places.ROOT / "src"), str(places.ROOT)])}
    with subprocess.Popen([sys.executable, "-c", PROGRAM, store, str(port)], env=environment) as process:
        try:
            wait_until(lambda: is_listening(port) or process.poll() is not None, "the port")
            assert process.poll() is None
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def is_listening(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Sender(threading.Thread):
    """Sends files by storescu, again and again until each was acknowledged."""

    def __init__(self, port: int, files: list[Path], stopping: threading.Event) -> None:
        super().__init__()
        self.port, self.waiting, self.stopping = port, files, stopping
        self.acknowledged: list[Path] = []

    def run(self) -> None:
        while self.waiting and not self.stopping.is_set():
            command = sender("storescu", self.port, "-v", "-R", *self.waiting)
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as sending:
                assert sending.stdout is not None
                for line in sending.stdout:
                    if "Received Store Response (Success)" in line:
                        self.acknowledged.append(self.waiting.pop(0))
                    if self.stopping.is_set():
                        sending.terminate()
            self.stopping.wait(0.05)


def test_a_killed_receiver_has_all_that_it_acknowledged(tmp_path: Path) -> None:
    """Three senders go on while the receiver is killed at random moments and started again."""
    files = sorted(study_folder(tmp_path / "sent", study(300)).iterdir())
    store, port, stopping, dice = tmp_path / "store", free_port(), threading.Event(), random.Random(5)
    senders = [Sender(port, files[part::3], stopping) for part in range(3)]

    def acknowledged() -> list[Path]:
        return [file for each in senders for file in each.acknowledged]

    for turn in range(KILLS):
        with receiver_process(store, port) as process:
            for each in senders if turn == 0 else ():
                each.start()
            goal = len(acknowledged()) + dice.randint(1, 30)
            wait_until(lambda goal=goal: len(acknowledged()) >= goal, "objects")  # type: ignore[misc]
            process.send_signal(signal.SIGKILL)
            process.wait(WAIT_S)
            check_kept(Store(store), acknowledged())
    stopping.set()
    for each in senders:
        each.join()
    assert acknowledged()
    with receiver_process(store, port):
        kept = len(Store(store).received(STUDY))
        with closing(open_ledger(store / "ledger.sqlite", Store(store).id)) as ledger:
            wait_until(lambda: ledger.objects(STUDY) >= kept, "what the killed ones did not tell")
            assert ledger.objects(STUDY) == kept
        assert list((store / "incoming").iterdir()) == []


def image_in_file(image: Dataset) -> Dataset:
    return dcmread(io.BytesIO(encoded(image)))


def check_kept(store: Store, acknowledged: list[Path]) -> None:
    """Assert that each is there, and whole; others may be there, whose acknowledgement did not arrive."""
    for file in acknowledged:
        image = dcmread(file)
        assert dcmread(store.path(STUDY, image.SOPInstanceUID)) == image
    for path in store.received(STUDY):
        assert dcmread(path).pixel_array.shape == (48, 48)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounts a file system, which needs root")
def test_a_full_disk_stops_senders_for_a_time(tmp_path: Path) -> None:
    """In an association A700, then rejections for the moment, and once there is room all goes on by itself."""
    sent = study_folder(tmp_path / "sent", study(12, side=128))
    with small_disk(tmp_path / "disk", "4m") as disk, receiving(disk / "store", disk=Disk(reserve_mb=2)) as node:
        filling = disk / "filling"
        filling.write_bytes(bytes(1_700_000))
        done = call("storescu", node.port, "-nh", "-v", sent)
        assert "Received Store Response (Refused: OutOfResources)" in said(done)
        assert 0 < len(node.store.received(STUDY)) < 12
        done = call("storescu", node.port, sent)
        assert "Local Limit Exceeded" in said(done)
        assert list((node.store.folder / "incoming").iterdir()) == []
        filling.unlink()
        assert call("storescu", node.port, sent).returncode == 0
        assert same_data_sets(sent, node.store)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounts a file system, which needs root")
def test_a_disk_that_is_full_below_any_reserve(tmp_path: Path) -> None:
    """Others filled it too: the system itself refuses to write."""
    first, second = study(2, side=128)
    with small_disk(tmp_path / "disk", "2m") as disk, receiving(disk / "store") as node:
        wait_until(lambda: node.store.free_bytes() < 2**21, "the ledger")
        with associated(node.port, CT) as association:
            assert association.send_c_store(image_in_file(first)).Status == 0x0000
            filling = disk / "filling"
            filling.write_bytes(bytes(node.store.free_bytes() - 3 * 4096))
            assert association.send_c_store(image_in_file(second)).Status == 0xA700
            filling.unlink()
            assert association.send_c_store(image_in_file(second)).Status == 0x0000
        assert len(node.store.received(STUDY)) == 2
