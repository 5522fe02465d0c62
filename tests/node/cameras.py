"""Cameras that send without end, and a PACS that remembers every byte: both sides of a node that is put to the test."""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dsutils import encode

from tests.node.peers import Peer
from tests.node.studies import small_study

_TIMEOUT_S = 10.0
_AGAIN_S = 0.2
"""Pause of a camera after an attempt that failed."""


def digest(content: bytes) -> str:
    """Return what tells the same bytes from others."""
    return sha256(content).hexdigest()


def data_set(file: Path) -> bytes:
    """Return what follows the file meta information, whose length its first element gives (PS3.10 section 7.1)."""
    content = file.read_bytes()
    assert content[128:132] == b"DICM", file
    return content[144 + int.from_bytes(content[140:144], "little") :]


@dataclass
class Acknowledged:
    """What cameras were told is stored: digests of data sets, by Study and SOP Instance UID."""

    objects: dict[str, dict[str, str]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    """Answers that say that an object will never be taken: cameras then send no more."""

    @property
    def count(self) -> int:
        return sum(map(len, self.objects.values()))

    def note(self, image: Dataset, status: int) -> bool:
        """Note an answer; returns whether the object is stored."""
        if status == 0:
            content = encode(image, is_implicit_vr=False, is_little_endian=True)
            assert content is not None
            self.objects.setdefault(image.StudyInstanceUID, {})[image.SOPInstanceUID] = digest(content)
        elif status >> 8 != 0xA7:  # A7xx, out of resources: come again
            self.refused.append(f"{image.SOPInstanceUID}: answered 0x{status:04X}")
        return status == 0


@dataclass
class Camera:
    """Sends study after study to a node, each until all of it is acknowledged."""

    port: int
    number: int
    seed: int
    acknowledged: Acknowledged
    may_begin: Callable[[], bool]
    """Whether it may begin another study now."""
    stopping: threading.Event

    def run(self) -> None:
        """Send until ``stopping`` is set; the study that is being sent then is finished."""
        chance = random.Random(f"{self.seed} {self.number}")
        study = 0
        while not self.stopping.is_set():
            if self.may_begin():
                study += 1
                self._send_study(f"1.2.826.0.1.3680043.8.498.7.{self.seed + 1}.{self.number + 1}.{study}", chance)
            else:
                self.stopping.wait(0.1)

    def _send_study(self, study_uid: str, chance: random.Random) -> None:
        """Send a study: at once, in two parts with a pause between them, or twice."""
        images = small_study(study_uid, f"C{self.number}")
        if chance.random() < 0.3:
            self._send_all(images[:13], chance)
            self.stopping.wait(chance.uniform(0.0, 6.0))
        self._send_all(images, chance)
        if chance.random() < 0.1:
            self._send_all(images, chance)

    def _send_all(self, images: Sequence[Dataset], chance: random.Random) -> None:
        """Send images until each is stored; sometimes the connection breaks in between."""
        left = list(images)
        while left and not self.acknowledged.refused:
            breaks_after = chance.randrange(len(left)) if chance.random() < 0.1 else len(left)
            if not self._send(left, breaks_after):
                time.sleep(_AGAIN_S)

    def _send(self, left: list[Dataset], breaks_after: int) -> bool:
        """Send on one association, and take out of the list what is stored; returns whether it went well."""
        ae = AE("CAM")
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = _TIMEOUT_S
        ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        association = ae.associate("127.0.0.1", self.port, ae_title="CTACAL")
        if not association.is_established:
            return False
        for image in left[:breaks_after]:
            answer = association.send_c_store(image) if association.is_established else Dataset()
            if "Status" not in answer or not self.acknowledged.note(image, answer.Status):
                association.abort()
                return False
            left.remove(image)
        association.abort() if left else association.release()
        return not left


@contextmanager
def cameras(
    number: int, *, port: int, seed: int, acknowledged: Acknowledged, may_begin: Callable[[], bool]
) -> Iterator[None]:
    """Have cameras send during the block; its end waits until each has finished its study."""
    stopping = threading.Event()
    made = [Camera(port, one, seed, acknowledged, may_begin, stopping) for one in range(number)]
    threads = [threading.Thread(target=camera.run, name=f"camera {camera.number}", daemon=True) for camera in made]
    for thread in threads:
        thread.start()
    try:
        yield
    except BaseException:
        acknowledged.refused.append("given up")
        raise
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


@dataclass
class Got:
    """What a destination got: for each study, the digests under which each SOP Instance UID came."""

    objects: dict[str, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    stores: int = 0
    """How many objects came, with those that came again."""

    def note(self, study_uid: str, sop_uid: str, content: bytes) -> None:
        """Note an object."""
        self.objects[study_uid][sop_uid].add(digest(content))
        self.stores += 1

    @classmethod
    def in_folder(cls, folder: Path) -> "Got":
        """Return what lies in a folder of results."""
        got = cls()
        for file in folder.glob("*/*.dcm"):
            got.note(file.parent.name, file.stem, data_set(file))
        return got


@contextmanager
def pacs(got: Got, *, port: int = 0, slow_s: float = 0.0) -> Iterator[Peer]:
    """Have a PACS that takes all, each object in ``slow_s`` seconds, so that senders are killed before the answer."""

    def note(_: Peer, event: evt.Event) -> int:
        time.sleep(slow_s)
        got.note(str(event.dataset.StudyInstanceUID), str(event.dataset.SOPInstanceUID), event.encoded_dataset(False))
        return 0

    with Peer(answer=note, port=port).running() as peer:
        yield peer
