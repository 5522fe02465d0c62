"""A study that an Orthanc does not give holds up no other, and is tried again. No Orthanc is needed for these tests."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from ctacal.jobs.node.arrivals import Arrivals
from ctacal.jobs.node.config import NodeConfig, Orthanc
from ctacal.jobs.node.ledger import open_ledger
from ctacal.jobs.node.store import Store
from ctacal.node.orthanc import PolledOrthanc
from tests.dicom_series import ct_series, encoded
from tests.node.studies import NO_LIMITS

STUDIES = ("1.2.826.0.1.71", "1.2.826.0.1.72", "1.2.826.0.1.73")
POLL_S = 10.0


class Pacs:
    """What an Orthanc answers, where nothing listens: three studies of two images."""

    def __init__(self) -> None:
        images = {uid: ct_series(name=uid, StudyInstanceUID=uid)[:2] for uid in STUDIES}
        self.images: dict[str, Dataset] = {
            f"{uid}-{number}": image for uid, two in images.items() for number, image in enumerate(two)
        }
        self.broken: dict[str, int] = {}
        """Status that a path is answered with."""
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.asked.append(path)
        if status := next((status for begin, status in self.broken.items() if path.startswith(begin)), 0):
            return httpx.Response(status)
        if path.endswith("/file"):
            return httpx.Response(200, content=encoded(self.images[path.split("/")[2]], ExplicitVRLittleEndian))
        return httpx.Response(200, json=self.answer(path, int(request.url.params.get("since", 0))))

    def answer(self, path: str, since: int) -> object:
        what, *rest = path.strip("/").split("/")
        if what == "changes":
            changes = [{"ChangeType": "StableStudy", "ID": uid, "Seq": number} for number, uid in enumerate(STUDIES, 1)]
            return {"Changes": changes[since:], "Done": True, "Last": len(STUDIES)}
        if what == "studies" and rest[1:] == ["series"]:
            return [{"ID": rest[0], "MainDicomTags": {"Modality": "CT"}}]
        if what == "studies":
            return {"MainDicomTags": {"StudyInstanceUID": rest[0]}}
        if what == "series":
            return [
                {"ID": key, "MainDicomTags": {"SOPInstanceUID": str(image.SOPInstanceUID)}}
                for key, image in self.images.items()
                if key.startswith(f"{rest[0]}-")
            ]
        return {"Version": "1.12"}


class Scene:
    """A store that polls it, with a clock that the test moves."""

    def __init__(self, folder: Path, pacs: Pacs) -> None:
        config = NodeConfig(store=folder / "store")
        self.now_s, self.store = 1000.0, Store(config.store)
        self.arrivals = Arrivals(self.store, lambda: open_ledger(config.ledger, self.store.id), config.settle)
        polled = Orthanc(url="http://pacs", backlog=True, poll_s=POLL_S)
        self.polled = PolledOrthanc(polled, self.store, NO_LIMITS, self.arrivals, lambda: self.now_s)
        self.polled.client.close()
        self.polled.client = httpx.Client(base_url="http://pacs", transport=httpx.MockTransport(pacs))

    def objects(self, after_s: float = 0.0) -> list[int]:
        """Poll; return how many objects the store has of each study."""
        self.now_s += after_s
        assert not self.polled.poll()
        return [len(self.store.received(uid)) for uid in STUDIES]


@pytest.fixture
def pacs() -> Pacs:
    return Pacs()


@pytest.fixture
def scene(tmp_path: Path, pacs: Pacs) -> Iterator[Scene]:
    scene = Scene(tmp_path, pacs)
    yield scene
    scene.polled.client.close()


def test_an_instance_that_is_never_given_holds_up_nothing_else(scene: Scene, pacs: Pacs) -> None:
    pacs.broken["/instances/1.2.826.0.1.71-0/"] = 500
    assert scene.objects() == [1, 2, 2]
    assert scene.polled.problem == "1 of its studies cannot be fetched"
    pacs.asked.clear()
    assert scene.objects(POLL_S) == [1, 2, 2]
    assert not [path for path in pacs.asked if "1.2.826" in path], "it waits for its time"
    assert scene.objects(POLL_S) == [1, 2, 2]
    assert [path for path in pacs.asked if path.endswith("/file")] == ["/instances/1.2.826.0.1.71-0/file"]
    pacs.broken.clear()
    assert scene.objects(4 * POLL_S) == [2, 2, 2]
    assert scene.polled.problem == ""


@pytest.mark.parametrize("broken", ["/studies/1.2.826.0.1.71", "/series/1.2.826.0.1.71"])
def test_a_study_whose_lists_fail_is_tried_again_by_the_next_process_too(
    scene: Scene, pacs: Pacs, tmp_path: Path, broken: str
) -> None:
    pacs.broken[broken] = 500
    assert scene.objects() == [0, 2, 2]
    pacs.broken.clear()
    later = Scene(tmp_path, pacs)
    assert later.objects() == [2, 2, 2]
    going = later.store.discard_received(STUDIES[0], 2)
    assert going is not None
    later.store.delete(going)
    assert Scene(tmp_path, pacs).objects() == [0, 2, 2], "what was fetched once is done"
    later.polled.client.close()


def test_a_study_whose_lists_make_no_sense_holds_up_nothing_else(
    scene: Scene, pacs: Pacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    sense = pacs.answer
    monkeypatch.setattr(
        pacs, "answer", lambda path, since: [7] if path.startswith("/series/1.2.826.0.1.71") else sense(path, since)
    )
    assert scene.objects() == [0, 2, 2]


def test_a_study_that_is_deleted_meanwhile_is_not_tried_for_ever(scene: Scene, pacs: Pacs) -> None:
    pacs.broken["/instances/1.2.826.0.1.71-0/"] = 500
    scene.objects()
    pacs.broken["/studies/1.2.826.0.1.71"] = 404
    scene.objects(10 * POLL_S)
    assert scene.polled.problem == ""


def test_an_orthanc_that_is_away_puts_no_study_off(scene: Scene, pacs: Pacs) -> None:
    pacs.broken = {"/instances": 500, "/system": 503}
    for _ in range(5):
        with pytest.raises(httpx.HTTPStatusError):
            scene.objects(POLL_S)
    assert json.loads(scene.polled._place.read_text())["last"] == 0
    pacs.broken.clear()
    assert scene.objects() == [2, 2, 2]
