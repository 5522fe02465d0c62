"""Objects under a known UID: what people see of them, and what each decision does to the store and the study."""

from collections.abc import Iterator
from contextlib import closing
from copy import deepcopy
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from ctacal.errors import NotPossible
from ctacal.jobs.node.aside import Decision, ShownAside, decide, shown_aside
from ctacal.jobs.node.intake import Taken, keep_object
from ctacal.jobs.node.ledger import Ledger, StudyState, open_ledger
from ctacal.jobs.node.store import Placed, Store
from tests.dicom_series import ct_series
from tests.jobs.node.ledgers import claimed, outcome, settled
from tests.node.studies import NO_LIMITS, keep, write

FIRST = ct_series()[0]
STUDY = str(FIRST.StudyInstanceUID)


class Scene:
    """A study that was scored, of which an object came again with another name in it."""

    def __init__(self, folder: Path, ledger: Ledger, store: Store) -> None:
        self.folder, self.ledger, self.store = folder, ledger, store
        assert self.come(FIRST) is Placed.KEPT
        settled(ledger, STUDY, objects=1)
        assert ledger.scored(claimed(ledger), outcome(), [])
        self.other = deepcopy(FIRST)
        self.other.PatientName, self.other.PixelData = "Canary^Carla", bytes(len(FIRST.PixelData) - 2)
        assert self.come(self.other) is Placed.ASIDE

    def come(self, image: Dataset) -> Placed:
        with write(image, self.folder / "sent.dcm").open("rb") as file:
            taken = keep_object(self.store, NO_LIMITS, file)
        assert isinstance(taken, Taken)
        return taken.placed

    @property
    def shown(self) -> tuple[ShownAside, ...]:
        return shown_aside(self.store, self.ledger)

    def decide(self, decision: Decision) -> str:
        (one,) = self.shown
        return decide(self.store, self.ledger, (STUDY, one.sop_instance_uid, one.digest), decision, by="anna")

    def name(self) -> str:
        """Return the name of the patient in the object that counts."""
        return str(dcmread(self.store.path(STUDY, FIRST.SOPInstanceUID)).PatientName)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    store = Store(tmp_path / "store")
    with closing(open_ledger(store.folder / "ledger.sqlite", store.id)) as ledger:
        yield Scene(tmp_path, ledger, store)


def test_what_is_shown_tells_the_difference_and_names_nobody(scene: Scene) -> None:
    scene.ledger.audit.append("object set aside", study_uid=STUDY, source="CAM@10.1.2.3",
                              sop_instance_uid=str(FIRST.SOPInstanceUID))  # fmt: skip
    (one,) = scene.shown
    assert (one.study_uid, one.sop_instance_uid, one.source) == (STUDY, FIRST.SOPInstanceUID, "CAM@10.1.2.3")
    assert one.reason == "other PatientName, PixelData"
    (aside,) = (scene.store.folder / "aside" / STUDY).iterdir()
    assert (one.first_bytes, one.bytes) == (scene.store.received(STUDY)[0].stat().st_size, aside.stat().st_size)
    assert "Canary" not in str(one)
    scene.store.path(STUDY, one.sop_instance_uid).unlink()
    assert (scene.shown[0].first_bytes, scene.shown[0].reason) == (None, "the first one was deleted after delivery")


def test_the_first_one_is_kept_and_the_other_is_refused_without_a_question(scene: Scene) -> None:
    assert "The first one counts" in scene.decide(Decision.KEEP)
    assert scene.shown == () and scene.store.aside() == frozenset()
    assert scene.come(scene.other) is Placed.REJECTED
    assert scene.come(FIRST) is Placed.KNOWN
    assert scene.shown == () and scene.name() == FIRST.PatientName
    assert scene.ledger.study(STUDY).state is StudyState.SCORED  # type: ignore[union-attr]


def test_the_new_one_takes_the_place_of_the_first_and_the_study_is_open_again(scene: Scene) -> None:
    assert "scored again" in scene.decide(Decision.TAKE)
    assert scene.shown == () and scene.name() == "Canary^Carla"
    study = scene.ledger.study(STUDY)
    assert study and (study.state, study.revision, study.asked_now, study.objects) == ("RECEIVING", 2, True, 1)
    assert scene.come(FIRST) is Placed.REJECTED
    assert scene.come(scene.other) is Placed.KNOWN


def test_one_that_is_deleted_is_set_aside_again_if_it_comes_again(scene: Scene) -> None:
    assert "deleted" in scene.decide(Decision.DELETE)
    assert scene.shown == () and scene.name() == FIRST.PatientName
    assert scene.come(scene.other) is Placed.ASIDE


@pytest.mark.parametrize("decision", Decision)
def test_who_decided_stands_in_the_audit_trail(scene: Scene, decision: Decision) -> None:
    scene.decide(decision)
    (asked,) = [record.content for record in scene.ledger.audit.records() if record.content["what"] == "asked"]
    assert (asked["by"], asked["wish"], asked["study_uid"]) == ("anna", f"aside: {decision}", STUDY)


def test_what_is_not_there_any_more_cannot_be_decided(scene: Scene) -> None:
    (one,) = scene.shown
    scene.decide(Decision.DELETE)
    for key in ((STUDY, one.sop_instance_uid, one.digest), ("../..", "1.2", one.digest), (STUDY, "1.2", "../x")):
        with pytest.raises(NotPossible, match="not set aside any more"):
            decide(scene.store, scene.ledger, key, Decision.KEEP, by="anna")


def test_a_new_one_cannot_take_the_place_of_one_that_was_deleted(scene: Scene) -> None:
    scene.store.path(STUDY, FIRST.SOPInstanceUID).unlink()
    with pytest.raises(NotPossible, match="deleted after delivery"):
        scene.decide(Decision.TAKE)
    assert len(scene.shown) == 1


def test_what_was_rejected_goes_with_the_originals(scene: Scene) -> None:
    scene.decide(Decision.KEEP)
    going = scene.store.discard_received(STUDY, len(scene.store.received(STUDY)))
    assert going is not None
    scene.store.delete(going)
    assert not list((scene.store.folder / "rejected").iterdir())
    assert keep(scene.store, [write(scene.other, scene.folder / "again.dcm")]) == STUDY
