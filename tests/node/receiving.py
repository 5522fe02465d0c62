"""A receiver inside the test's process, and DCMTK's senders that call it."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from ctacal.jobs.node.config import Destination, Disk, NodeConfig, Peer, Receive, Retention, Settle
from ctacal.jobs.node.ledger import Ledger, open_ledger
from ctacal.jobs.node.store import Store
from ctacal.node.associations import presentation_context
from ctacal.node.receiver import Receiver
from tests.dicom_series import Grid, ct_series, encoded, write_files
from tests.tools import need

Found = TypeVar("Found")

WAIT_S = 60.0
"""How long a test waits for what must come; a quiet machine takes a second or two."""
STUDY = "1.2.826.0.1.7.1"
CALLED = "CTACAL"
NO_RESERVE = Disk(reserve_mb=0, reserve_percent=0)
EXPLICIT = "1.2.840.10008.1.2.1"


@dataclass(frozen=True)
class Receiving:
    """A receiver at work."""

    receiver: Receiver
    config: NodeConfig
    store: Store
    ledger: Ledger
    """As another process sees it."""

    @property
    def port(self) -> int:
        return self.receiver.port

    def audited(self, what: str) -> list[dict[str, Any]]:
        """Return the records of an event, the oldest first."""
        records = [dict(record.content) for record in self.ledger.audit.records(limit=10_000)]
        return [record for record in reversed(records) if record["what"] == what]

    def await_audit(self, what: str, number: int = 1) -> list[dict[str, Any]]:
        """Return the records of an event once there are so many."""
        wait_until(lambda: len(self.audited(what)) >= number, what)
        return self.audited(what)


@contextmanager
def receiving(folder: Path, **settings: Any) -> Iterator[Receiving]:
    """Receive into the store in ``folder``, at a free port of this machine; ``settings`` as for ``config_of``."""
    config = config_of(folder, **settings)
    with Receiver(config) as receiver:
        store = Store(config.store)
        with closing(open_ledger(config.ledger, store.id)) as ledger:
            yield Receiving(receiver, config, store, ledger)


def config_of(
    folder: Path,
    *,
    peers: Sequence[Peer] = (),
    destinations: Sequence[Destination] = (),
    disk: Disk = NO_RESERVE,
    **receive: Any,
) -> NodeConfig:
    """Return the configuration of a receiver at a free port; without peers, anyone may send."""
    settings = Receive(**{"host": "127.0.0.1", "any_peer": not peers, "commitment": True, **receive})
    if "port" not in receive:
        object.__setattr__(settings, "port", 0)  # the system chooses one
    return NodeConfig(
        store=folder, receive=settings, peer=tuple(peers), destination=tuple(destinations), disk=disk,
        settle=Settle(quiet_s=1, wait_s=2), retention=Retention(originals_days=0),
    )  # fmt: skip


def wait_until(found: Callable[[], Found], what: str, wait_s: float = WAIT_S) -> Found:
    """Return what ``found`` returns once that is true; fails, saying what did not come, after ``wait_s``."""
    until = time.monotonic() + wait_s
    while not (answer := found()):
        assert time.monotonic() < until, f"{what}: did not come within {wait_s:g} s"
        time.sleep(0.02)
    return answer


def study(slices: int = 8, *, study_uid: str = STUDY, side: int = 48, name: str = "ctac") -> list[Dataset]:
    """Return the CT images of a study."""
    grid = Grid(slices=max(slices, 12), rows=side, columns=side)
    return ct_series(grid, name=name, StudyInstanceUID=study_uid)[:slices]


def study_folder(folder: Path, images: Sequence[Dataset], syntax: str = EXPLICIT) -> Path:
    """Write images as files."""
    return write_files(folder, (encoded(image, syntax) for image in images))


def sender(tool: str, port: int, *arguments: str | Path, called: str = CALLED) -> list[str | Path]:
    """Return the command of one of DCMTK's senders; a folder is sent with all that is in it."""
    paths = [argument for argument in arguments if isinstance(argument, Path)]
    options = [argument for argument in arguments if not isinstance(argument, Path)]
    folders: list[str | Path] = ["+sd", "+r"] if paths and all(path.is_dir() for path in paths) else []
    return [need(tool), "-aec", called, *options, *folders, "127.0.0.1", str(port), *paths]


def call(tool: str, port: int, *arguments: str | Path, called: str = CALLED) -> "subprocess.CompletedProcess[str]":
    """Run one of DCMTK's senders to its end."""
    command = sender(tool, port, *arguments, called=called)
    return subprocess.run(command, capture_output=True, text=True, check=False, errors="replace", timeout=WAIT_S)


def said(done: "subprocess.CompletedProcess[str]") -> str:
    """Return all that a program printed."""
    return done.stdout + done.stderr


@contextmanager
def associated(
    port: int, *contexts: tuple[str, str], calling: str = "PYNETDICOM", called: str = CALLED
) -> Iterator[Association]:
    """Have an association for contexts: SOP class and transfer syntax."""
    ae = AE(calling)
    proposed = [presentation_context(sop_class, (syntax,)) for sop_class, syntax in contexts]
    association = ae.associate("127.0.0.1", port, contexts=proposed, ae_title=called)
    raw = association.dul.socket.socket if association.dul.socket else None
    try:
        yield association
    finally:
        association.release() if association.is_established else association.abort()
        if raw is not None:
            raw.close()  # pynetdicom leaves one open that the peer has closed


def send(association: Association, request: C_STORE) -> int:
    """Send a request as it is, without pynetdicom's checks, and return the status of the answer; -1: there was none."""
    association._reactor_checkpoint.clear()
    wait_until(lambda: association._is_paused, "pause")
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id or 0)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return -1 if answer is None or answer.Status is None else int(answer.Status)


def same_data_sets(folder: Path, store: Store, study_uid: str = STUDY) -> bool:
    """Whether the store has exactly the objects of a folder, with the same data sets, byte by byte."""
    sent = sorted(_data_set(path) for path in folder.rglob("*") if path.is_file())
    return sent == sorted(_data_set(path) for path in store.received(study_uid))


def _data_set(path: Path) -> bytes:
    """Return what follows the file meta information, whose length its first element gives."""
    content = path.read_bytes()
    assert content[128:132] == b"DICM"
    return content[144 + int.from_bytes(content[140:144], "little") :]
