"""Random kills of every process of a node that receives, settles, scores and sends; and what must hold afterwards.

Nothing that was acknowledged is lost, no result is doubled, nothing is stuck, nothing half done lies about.

python -m tests.node.killing 1000 [SEED]
"""

import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, JPEGLSLossless
from pynetdicom import AE, build_context

from ctacal.jobs.node.ledger import DeliveryState, Ledger, StudyState
from ctacal.jobs.node.store import Store
from tests.node.peers import Peer
from tests.node.running import NODE, NodeFolder, Running, is_running, wait_until
from tests.node.studies import in_order, phantom

SETTLED_S = 600.0
"""How long the node may take for what is left once nobody kills any more."""
_PAUSES_S = (0.05, 3.0)
_PARTS = (*2 * ("receiver", "keeper", "scorer", "scoring", "sender"), "alarms", "supervisor")
"""What is killed, as often as it stands here."""
_SLICES = 48
_OPEN = (StudyState.RECEIVING, StudyState.SETTLED)

PACS = """
[[destination]]
name = "PACS"
kind = "dicom"
ae_title = "PACS"
host = "127.0.0.1"
port = {pacs}
timeout_s = 20.0
retry_s = 0.1
longest_retry_s = 1.0
"""


def config_of(pacs: Peer) -> str:
    """Return the configuration: a study that ends its scorer is never put in quarantine, since its scorer is killed."""
    node = NODE.replace("wait_s = 60.0", "wait_s = 3.0").replace(
        "processes = 1\n", "processes = 1\nmost_attempts = 1000\n"
    )
    return node + PACS.replace("{pacs}", str(pacs.port))


@dataclass(eq=False)
class Camera:
    """Sends study after study, and each object again until it is acknowledged."""

    port: int
    folder: Path
    stopping: threading.Event = field(default_factory=threading.Event)
    giving_up: threading.Event = field(default_factory=threading.Event)
    """Set if nobody listens any more."""
    acknowledged: dict[str, dict[str, str]] = field(default_factory=dict)
    """Digest of the pixels of each object, by study."""

    def run(self) -> None:
        """Send until it is stopped; the last study is sent whole."""
        number = 0
        while not self.stopping.is_set():
            number += 1
            study_uid = f"1.2.826.0.1.3680043.10.7.{number}"
            images: list[Dataset] = [dcmread(file) for file in in_order(phantom(self.folder / str(number), study_uid))]
            self.acknowledged[study_uid] = {}
            while images and not self.giving_up.is_set():
                images = self._sent(images, self.acknowledged[study_uid])

    def _sent(self, images: list[Dataset], acknowledged: dict[str, str]) -> list[Dataset]:
        """Send what can be sent; returns what was not acknowledged."""
        ae = AE("CAM")
        ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = 20
        association = ae.associate("127.0.0.1", self.port, [build_context(CTImageStorage, JPEGLSLossless)], "CTACAL")
        left = []
        for image in images:
            status = None
            if association.is_established:
                with suppress(RuntimeError, ValueError):
                    status = association.send_c_store(image).get("Status")
            if status == 0:
                acknowledged[str(image.SOPInstanceUID)] = _digest(image)
            else:
                left.append(image)
        if association.is_established:
            association.release()
        if left:
            time.sleep(0.2)
        return left


def _digest(image: Dataset) -> str:
    return sha256(image.PixelData).hexdigest()


@dataclass(eq=False)
class Scene:
    """A node, its camera and its PACS."""

    node: NodeFolder
    camera: Camera
    pacs: Peer
    dice: random.Random
    kills: Counter[str] = field(default_factory=Counter)

    def kill_often(self, kills: int) -> None:
        """Kill processes at random while studies arrive; the supervisor is started again like by a service."""
        with ExitStack() as stack:
            running = stack.enter_context(self.node.started())
            while sum(self.kills.values()) < kills:
                time.sleep(self.dice.uniform(*_PAUSES_S))
                part = self.dice.choice(_PARTS)
                if part == "supervisor":
                    running.kill(part)
                    self.kills[part] += 1
                    stack.close()
                    running = stack.enter_context(self.node.started())
                else:
                    self.kills[part] += self._kill(running, part)
            self.camera.stopping.set()
            self._settle()
            assert running.stop() == 0

    def _kill(self, running: Running, part: str) -> bool:
        """Kill a part, if it runs; ``scoring`` is the process that the scorer has started."""
        number = running.processes().get("scorer" if part == "scoring" else part, 0)
        if part == "scoring":
            number = next(iter(_children(number)), 0)
        if not number or not is_running(number):
            return False
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
            return True
        return False

    def _settle(self) -> None:
        """Wait until everything that was sent is scored and delivered."""
        with self.node.ledger() as ledger:
            studies = self.camera.acknowledged
            wait_until(lambda: all(len(of) == _SLICES for of in studies.values()), "acknowledgement of all", SETTLED_S)
            wait_until(lambda: _is_done(ledger, len(studies)), "the rest of the work", SETTLED_S)

    def check(self) -> None:
        """Assert what must hold."""
        with self.node.ledger() as ledger:
            assert ledger.study_counts()[StudyState.QUARANTINED] == 0
            assert ledger.audit.verify() is not None
            for study_uid, acknowledged in self.camera.acknowledged.items():
                self._check_study(ledger, study_uid, acknowledged)
        self._check_pacs()
        assert not list((self.node.config.store / "incoming").iterdir())

    def _check_study(self, ledger: Ledger, study_uid: str, acknowledged: dict[str, str]) -> None:
        study = ledger.study(study_uid)
        assert study is not None, study_uid
        assert study.state == StudyState.SCORED, study
        assert study.objects == len(acknowledged) == _SLICES, study
        kept = {file.stem: _digest(dcmread(file)) for file in Store(self.node.config.store).received(study_uid)}
        assert kept == acknowledged
        rows = ledger.deliveries(study_uid)
        newest = sorted(row.kind for row in rows if row.revision == study.revision)
        assert newest == ["seg", "sr"], rows
        done = {row.sop_instance_uid for row in rows if row.state is DeliveryState.DONE}
        there = {str(made.SOPInstanceUID) for made in self.pacs.received if made.StudyInstanceUID == study_uid}
        assert done <= there, f"{study_uid}: delivered, but not there"

    def _check_pacs(self) -> None:
        """No two objects show the same of the same images under different UIDs."""
        found: dict[tuple[str, str, frozenset[str]], set[str]] = {}
        for made in self.pacs.received:
            key = (str(made.StudyInstanceUID), str(made.Modality), _images_of(made))
            found.setdefault(key, set()).add(str(made.SOPInstanceUID))
        doubled = {key[:2]: uids for key, uids in found.items() if len(uids) > 1}
        assert not doubled, doubled


def _is_done(ledger: Ledger, studies: int) -> bool:
    counts = ledger.study_counts()
    if any(counts[state] for state in _OPEN) or sum(counts.values()) < studies:
        return False
    waiting = (DeliveryState.WAITING, DeliveryState.SENT, DeliveryState.HELD)
    return not any(of[state] for of in ledger.delivery_counts().values() for state in waiting)


def _images_of(made: Dataset) -> frozenset[str]:
    """Return the CT images that a result refers to."""
    references = (
        item
        for sequence in ("CurrentRequestedProcedureEvidenceSequence", "ReferencedSeriesSequence")
        for part in made.get(sequence, ())
        for series in part.get("ReferencedSeriesSequence", (part,))
        for item in (*series.get("ReferencedSOPSequence", ()), *series.get("ReferencedInstanceSequence", ()))
    )
    return frozenset(
        str(item.ReferencedSOPInstanceUID) for item in references if item.ReferencedSOPClassUID == CTImageStorage
    )


def _children(number: int) -> list[int]:
    with suppress(OSError):
        texts = [file.read_text(encoding="ascii") for file in Path(f"/proc/{number}/task").glob("*/children")]
        return [child for text in texts for child in map(int, text.split()) if _is_scoring(child)]
    return []


def _is_scoring(number: int) -> bool:
    """Whether a process is one that scores: the other child of a process that spawns is Python's resource tracker."""
    with suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{number}/cmdline").read_bytes()
    return False


@contextmanager
def scene(folder: Path, seed: int) -> Iterator[Scene]:
    """Start a camera and a PACS for a node in a folder."""
    with Peer().running() as pacs:
        node = NodeFolder.made(folder / "node", more="", node=config_of(pacs))
        camera = Camera(node.config.receive.port, folder / "export")
        thread = threading.Thread(target=camera.run)
        thread.start()
        try:
            yield Scene(node, camera, pacs, random.Random(seed))
        finally:
            camera.giving_up.set()
            camera.stopping.set()
            thread.join()


def main(kills: int, seed: int) -> None:
    """Kill so many times, check, and print what was done."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, scene(Path(folder), seed) as played:
        played.kill_often(kills)
        played.check()
        seconds = time.monotonic() - began
        print(f"{sum(played.kills.values())} kills in {seconds:.0f} s: {dict(sorted(played.kills.items()))}")
        objects = sum(map(len, played.camera.acknowledged.values()))
        print(f"{len(played.camera.acknowledged)} studies, {objects} objects acknowledged, none lost")
        different = len(set(played.pacs.uids))
        print(f"{len(played.pacs.received)} objects sent, {different} different, none doubled, none stuck")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
