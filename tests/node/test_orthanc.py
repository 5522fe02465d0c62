"""Studies that are stable in a real Orthanc are fetched once, CT and emission only, across restarts of both."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from ctacal.jobs.node.arrivals import Arrivals
from ctacal.jobs.node.config import NodeConfig, Orthanc
from ctacal.jobs.node.intake import Limits
from ctacal.jobs.node.ledger import open_ledger
from ctacal.jobs.node.store import Store
from ctacal.node.orthanc import NotNow, PolledOrthanc
from tests.dicom_series import ct_series, emission_image
from tests.node.orthanc import PASSWORD, USER, Pacs, orthanc
from tests.node.running import wait_until
from tests.node.studies import NO_LIMITS, write

pytestmark = pytest.mark.slow

STUDY, BEFORE, NO_CT = "1.2.826.0.1.7", "1.2.826.0.1.6", "1.2.826.0.1.5"


class Scene:
    """A store that polls an Orthanc."""

    def __init__(self, folder: Path, pacs: Pacs, limits: Limits = NO_LIMITS, *, backlog: bool = False) -> None:
        password = folder / "password"
        password.write_text(PASSWORD + "\n")
        config = NodeConfig(store=folder / "store")
        self.store = Store(config.store)
        self.arrivals = Arrivals(self.store, lambda: open_ledger(config.ledger, self.store.id), config.settle)
        polled = Orthanc(url=pacs.url, user=USER, password_file=password, backlog=backlog)
        self.polled = PolledOrthanc(polled, self.store, limits, self.arrivals)

    def has(self, study_uid: str, objects: int) -> bool:
        while self.polled.poll():
            pass
        return len(self.store.received(study_uid)) == objects


Open = Callable[..., Scene]


@pytest.fixture
def opened(pacs: Pacs, tmp_path: Path) -> Iterator[Open]:
    """What begins to poll, as a process that starts; all are closed at the end."""
    scenes: list[Scene] = []

    def open_scene(limits: Limits = NO_LIMITS, *, backlog: bool = False) -> Scene:
        scenes.append(Scene(tmp_path, pacs, limits, backlog=backlog))
        return scenes[-1]

    yield open_scene
    for scene in scenes:
        scene.polled.client.close()


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pacs]:
    folder = tmp_path_factory.mktemp("pacs")
    with orthanc(folder / "orthanc") as pacs:
        put(pacs, folder, BEFORE)
        wait_until(lambda: stable(pacs) >= 1, "stable study")
        yield pacs


def put(pacs: Pacs, folder: Path, study_uid: str) -> None:
    """Store a study of three CT images, an emission image and a report."""
    images = ct_series(name=study_uid, StudyInstanceUID=study_uid)[:3]
    emission = emission_image(name=f"NM {study_uid}", StudyInstanceUID=study_uid)
    report = emission_image(name=f"OT {study_uid}", StudyInstanceUID=study_uid, Modality="OT")
    for number, image in enumerate([*images, emission, report]):
        pacs.store(write(image, folder / study_uid / f"{number}.dcm"))


def stable(pacs: Pacs) -> int:
    return sum(change["ChangeType"] == "StableStudy" for change in pacs.json("/changes?limit=1000")["Changes"])


def test_what_becomes_stable_is_fetched_once_and_what_was_there_is_left(
    pacs: Pacs, opened: Open, tmp_path: Path
) -> None:
    scene = opened()
    assert scene.has(STUDY, 0)
    pacs.store(write(emission_image(name="alone", StudyInstanceUID=NO_CT), tmp_path / "nm.dcm"))
    put(pacs, tmp_path, STUDY)
    wait_until(lambda: scene.has(STUDY, 4), "three CT images and an emission image")
    assert len(scene.store.received(BEFORE)) == 0
    assert len(scene.store.received(NO_CT)) == 0

    scene.store.discard_received(STUDY, len(scene.store.received(STUDY)))
    later = opened()  # the next process goes on from the same change
    assert later.has(STUDY, 0)


def test_a_backlog_is_fetched_if_it_is_wanted(opened: Open) -> None:
    scene = opened(backlog=True)
    assert scene.has(BEFORE, 4)


def test_without_room_the_study_is_tried_again(opened: Open) -> None:
    scene = opened(Limits(largest_object_mb=10, reserve_mb=10**9, reserve_percent=0), backlog=True)
    for _ in range(2):
        with pytest.raises(NotNow):
            scene.has(BEFORE, 4)
    scene.polled.limits = NO_LIMITS
    assert scene.has(BEFORE, 4)


def test_an_orthanc_that_begins_anew_is_read_from_the_beginning(opened: Open) -> None:
    scene = opened()
    scene.polled._go_to(10**6)
    assert scene.has(BEFORE, 4)


def test_a_wrong_password_is_an_error_that_passes(pacs: Pacs, opened: Open) -> None:
    scene = opened(backlog=True)
    right = scene.polled.client
    with (
        httpx.Client(base_url=pacs.url, auth=(USER, "wrong")) as scene.polled.client,
        pytest.raises(httpx.HTTPStatusError),
    ):
        scene.polled.poll()
    scene.polled.client = right
    assert scene.has(BEFORE, 4)
