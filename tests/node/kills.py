"""Kills random processes of a node at random instants while cameras send, and checks that nothing was lost or doubled.

    python -m tests.node.kills 1000 --seed 1 [--folder FOLDER] [--pause 1.0] [--minutes 30] [--delete]

Each kill is SIGKILL. The supervisor starts its parts again, and this program the supervisor. At the end everything must
be done; the faults that were found are printed, and the status is 1. A pair of seed and number draws the same kills,
not the same instants.
"""

import argparse
import math
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage

from ctacal.errors import CtacalError
from ctacal.jobs.node.ledger import DeliveryRow, DeliveryState, Ledger, StudyRow, StudyState
from ctacal.jobs.node.store import Store
from tests.node.cameras import Acknowledged, Got, cameras, data_set, digest, pacs
from tests.node.running import NodeFolder, Running, free_port, wait_until

NODE = """
store = "{store}"
[receive]
host = "127.0.0.1"
port = {port}
[[peer]]
ae_title = "CAM"
[settle]
quiet_s = 0.5
wait_s = 3.0
[score]
predictor = "threshold"
processes = 1
write = ["json"]
most_attempts = 1000
[disk]
reserve_mb = 1
reserve_percent = 0.0
[[destination]]
name = "out"
kind = "folder"
folder = "{folder}"
retry_s = 0.2
longest_retry_s = 1.0
"""
"""A scoring process that is killed counts against its study, so many attempts are allowed."""
MORE = """
[http]
port = {http_port}
[retention]
originals_days = {days}
[[destination]]
name = "pacs"
kind = "dicom"
ae_title = "PACS"
host = "127.0.0.1"
port = {pacs_port}
retry_s = 0.2
longest_retry_s = 1.0
"""
CAMERAS = 2
MOST_OPEN = 6
"""Studies that are not finished, at which cameras and kills wait."""
DELETED_AFTER_S = 20.0
DONE_S = 600.0
"""How long the node may take to finish what was sent, once nothing is killed any more."""
_VICTIMS = (*2 * ("receiver", "keeper", "scorer", "scoring", "sender", "http"), "alarms", "supervisor")
"""What is killed, as often as it stands here; what does not run is left out. The death of the supervisor is
that of the whole node, which then needs seconds to be of use again."""
_CLOSED = (StudyState.SCORED, StudyState.REFUSED)


@dataclass
class Trial:
    """A node, what was sent to it, what it delivered, and what was killed."""

    node: NodeFolder
    acknowledged: Acknowledged = field(default_factory=Acknowledged)
    got: Got = field(default_factory=Got)
    kills: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def out(self) -> Got:
        """What the folder of results holds."""
        return Got.in_folder(self.node.folder / "out")

    def summary(self) -> str:
        """Return what was done and found."""
        killed = ", ".join(f"{name} {number}" for name, number in sorted(self.kills.items()))
        studies, out = self.acknowledged.objects, self.out
        return "\n".join([
            f"{self.kills.total()} kills in {self.seconds:.0f} s: {killed}",
            f"{len(studies)} studies, {self.acknowledged.count} objects acknowledged",
            f"PACS: {self.got.stores} objects came, {sum(map(len, self.got.objects.values()))} different; "
            f"folder: {sum(map(len, out.objects.values()))}",
            *(f"FAULT: {fault}" for fault in self.faults),
            f"{len(self.faults)} faults",
        ])  # fmt: skip


def trial(
    folder: Path, *, kills: int, seed: int, pause_s: float = 1.0, most_s: float = math.inf, delete: bool = False
) -> Trial:
    """Kill processes of a new node in ``folder``, every ``pause_s`` seconds on the average; return what came of it.

    After ``most_s`` seconds nothing more is killed.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        got = Got()
        peer = stack.enter_context(pacs(got, slow_s=0.02))
        days = DELETED_AFTER_S / 86400 if delete else 0
        more = MORE.replace("{http_port}", str(free_port())).replace("{days}", f"{days:.6f}")
        made = Trial(NodeFolder.made(folder, more.replace("{pacs_port}", str(peer.port)), NODE), got=got)
        node = stack.enter_context(Restarted(made.node))
        ledger = stack.enter_context(made.node.ledger())
        may_begin = _few_open(ledger)
        port = made.node.config.receive.port
        with cameras(CAMERAS, port=port, seed=seed, acknowledged=made.acknowledged, may_begin=may_begin):
            pause = _Pause(random.Random(seed), pause_s, may_begin)
            _kill(node, made, pause, kills, began + most_s)
        _await_end(ledger, made, node)
        if (status := node.running.stop()) != 0:
            made.faults.append(f"the node stopped with status {status}")
    made.faults += faults(made)
    made.seconds = time.monotonic() - began
    return made


class Restarted:
    """A node whose supervisor is started again after it was killed, at once: its old parts may still be ending."""

    def __init__(self, node: NodeFolder) -> None:
        self._node, self._stack = node, ExitStack()
        self.running = self._stack.enter_context(node.starting())

    def __enter__(self) -> "Restarted":
        self._node.wait_for_port()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def again(self) -> None:
        """Start another supervisor."""
        old, self._stack = self._stack, ExitStack()
        self.running = self._stack.enter_context(self._node.starting())
        old.close()


@dataclass(frozen=True)
class _Pause:
    """How long a kill waits: at random, and while too much is open, for a node that never works shows nothing."""

    chance: random.Random
    mean_s: float
    may_go_on: Callable[[], bool]

    def wait(self) -> None:
        time.sleep(self.chance.expovariate(1 / self.mean_s))
        wait_until(self.may_go_on, "a study that is finished", DONE_S)


def _kill(node: Restarted, made: Trial, pause: _Pause, kills: int, until: float) -> None:
    while made.kills.total() < kills and not made.acknowledged.refused and time.monotonic() < until:
        pause.wait()
        if node.running.process.poll() is not None:
            made.faults.append(f"the supervisor ended by itself with status {node.running.process.returncode}")
            return
        name = pause.chance.choice(_VICTIMS)
        if not (number := dict(_victims(node.running)).get(name, 0)):
            continue
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
            made.kills[name] += 1
        if name == "supervisor":
            node.running.process.wait()
            node.again()
            if pause.chance.random() < 0.7:  # otherwise kills go on while it starts
                made.node.wait_for_port()


def _victims(running: Running) -> Iterator[tuple[str, int]]:
    """Yield the processes of the node; what the file of processes names is checked, for numbers come again."""
    yield "supervisor", running.process.pid
    for name, number in running.processes().items():
        if _parent(number) == running.process.pid:
            yield name, number
            if name == "scorer":
                yield from (("scoring", child) for child in _children(number) if _is_spawned(child))


def _parent(number: int) -> int:
    try:
        return int(Path(f"/proc/{number}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _children(number: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{number}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def _is_spawned(number: int) -> bool:
    """Whether a process works; the other child of a process that spawns is Python's resource tracker."""
    with suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{number}/cmdline").read_bytes()
    return False


def _few_open(ledger: Ledger) -> Callable[[], bool]:
    def may_begin() -> bool:
        with suppress(CtacalError):
            counts = ledger.study_counts()
            return counts[StudyState.RECEIVING] + counts[StudyState.SETTLED] < MOST_OPEN
        return False

    return may_begin


def _await_end(ledger: Ledger, made: Trial, node: Restarted) -> None:
    """Wait until nothing is to be done any more, or the node has ended by itself."""
    store = Store(made.node.config.store)

    def is_over() -> bool:
        return not list(_unfinished(ledger, store, made.acknowledged)) or node.running.process.poll() is not None

    try:
        wait_until(is_over, "the end of all work", DONE_S)
    except AssertionError:
        made.faults += _unfinished(ledger, store, made.acknowledged)


def _unfinished(ledger: Ledger, store: Store, acknowledged: Acknowledged) -> Iterator[str]:
    yield from (f"claim {claim} is open" for claim in ledger.claims())  # first: when one ends, more may be to be done
    for study_uid in list(acknowledged.objects):
        study, stored = ledger.study(study_uid), len(store.received(study_uid))
        if study is None:
            yield f"{study_uid}: unknown to the ledger"
        elif study.objects < stored:  # a killed receiver did not report them; the next one soon does
            yield f"{study_uid}: {stored} objects are stored, the ledger knows of {study.objects}"
        elif study.state not in _CLOSED:
            yield f"{study_uid}: still {study.state}, {study.objects} objects"
        for delivery in ledger.deliveries(study_uid):
            if delivery.state in (DeliveryState.WAITING, DeliveryState.SENT):
                yield f"{study_uid}: {delivery.kind} for {delivery.destination} still {delivery.state}"


def faults(made: Trial) -> Iterator[str]:
    """Yield whatever is wrong with a node that was stopped in good order."""
    store, got = Store(made.node.config.store), {"pacs": made.got, "out": made.out}
    yield from made.acknowledged.refused
    with made.node.ledger() as ledger:
        for study_uid, sent in made.acknowledged.objects.items():
            study = ledger.study(study_uid)
            if study is None:
                yield f"{study_uid}: unknown to the ledger"
                continue
            deleted = bool(study.objects < len(sent) and _was_deleted(ledger, study_uid))
            yield from _stored(store, study, sent, deleted=deleted)
            deliveries = ledger.deliveries(study_uid)
            for name, one in got.items():
                there = [delivery for delivery in deliveries if delivery.destination == name]
                yield from (f"{study_uid}, {name}: {fault}" for fault in _delivered(store, study, there, one))
        for name, one in got.items():
            yield from (f"{name}: {uid} was never sent here" for uid in one.objects.keys() - made.acknowledged.objects)
        try:
            ledger.check()
        except CtacalError as problem:
            yield str(problem)
    if left := list((store.folder / "incoming").iterdir()):
        yield f"{len(left)} unfinished files lie in the store"
    if store.aside():
        yield f"objects were set aside: {sorted(store.aside())}"


def _was_deleted(ledger: Ledger, study_uid: str) -> bool:
    records = ledger.audit.records(study_uid=study_uid, limit=1000)
    return any(record.content["what"] == "originals deleted" for record in records)


def _stored(store: Store, study: StudyRow, sent: dict[str, str], *, deleted: bool) -> Iterator[str]:
    files = {file.stem: digest(data_set(file)) for file in store.received(study.study_uid)}
    for sop_uid, content in sent.items():
        if sop_uid not in files and not deleted:
            yield f"{sop_uid}: acknowledged, and lost"
        elif files.get(sop_uid, content) != content:
            yield f"{sop_uid}: acknowledged, and other bytes are stored"
    if study.objects != len(files):
        yield f"{study.study_uid}: the ledger counts {study.objects} objects, the store has {len(files)}"
    if study.state is not StudyState.SCORED:
        yield f"{study.study_uid}: {study.state}, {study.reason}"


def _delivered(store: Store, study: StudyRow, deliveries: list[DeliveryRow], got: Got) -> Iterator[str]:
    """Yield what is wrong with what one destination got of a study."""
    for (revision, kind), number in Counter((one.revision, one.kind) for one in deliveries).items():
        if number > 1:
            yield f"{number} different {kind} of revision {revision}"
    newest = sorted((one.kind, one.state.value) for one in deliveries if one.revision == study.revision)
    if study.state is StudyState.SCORED and newest != [("seg", "DONE"), ("sr", "DONE")]:
        yield f"of the newest revision, {study.revision}, there is {newest}"
    objects = got.objects.get(study.study_uid, {})
    for one in deliveries:
        contents = objects.get(one.sop_instance_uid, set())
        if one.state is DeliveryState.DONE and contents != {digest(data_set(store.folder / one.path))}:
            yield f"{one.kind} of revision {one.revision} is done; the destination has {len(contents)} contents of it"
        if one.state not in (DeliveryState.DONE, DeliveryState.SUPERSEDED):
            yield f"{one.kind} of revision {one.revision} is {one.state}: {one.reason}"
    yield from _doubled(store, deliveries)
    for sop_uid in objects.keys() - {one.sop_instance_uid for one in deliveries}:
        yield f"got {sop_uid}, of which the ledger knows nothing"


def _doubled(store: Store, deliveries: list[DeliveryRow]) -> Iterator[str]:
    """Yield the results that show the same of the same images under different UIDs."""
    shown: dict[tuple[str, frozenset[str]], str] = {}
    for one in deliveries:
        images = _images_of(dcmread(store.folder / one.path))
        if shown.setdefault((one.kind, images), one.sop_instance_uid) != one.sop_instance_uid:
            yield f"two {one.kind} of the same {len(images)} images, the second of revision {one.revision}"


def _images_of(made: Dataset) -> frozenset[str]:
    """Return the CT images that a result refers to, anywhere in it."""
    return frozenset(
        str(item.ReferencedSOPInstanceUID)
        for item in _items(made)
        if item.get("ReferencedSOPClassUID") == CTImageStorage
    )


def _items(made: Dataset) -> Iterator[Dataset]:
    """Yield the items of all sequences, at any depth."""
    for element in made:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from _items(item)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kills", type=int, help="how many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two kills, on the average")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end the killing after so long, and check")
    parser.add_argument("--delete", action="store_true", help="originals are deleted soon after delivery")
    parser.add_argument("--folder", type=Path, help="where the node works, and stays after faults; default: temporary")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    most_s = 60 * given.minutes
    done = trial(folder, kills=given.kills, seed=given.seed, pause_s=given.pause, most_s=most_s, delete=given.delete)
    print(done.summary(), f"files: {folder}", sep="\n")
    return 1 if done.faults else 0


if __name__ == "__main__":
    sys.exit(main())
