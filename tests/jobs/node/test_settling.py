"""A study is whole after a short silence if its CTAC has no gaps, and after a long one otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom import Dataset

from ctacal.jobs.node.config import Score, Settle
from ctacal.jobs.node.ledger import Arriving
from ctacal.jobs.node.settling import Settling, ctac_is_whole
from tests.dicom_series import ct_series, emission_image, uid, write

SETTLE = Settle(quiet_s=10, wait_s=120)


@dataclass
class Scene:
    """Studies by UID, the answer of the triage, and a clock."""

    whole: bool | None = True
    now: float = 1000.0
    triaged: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settling = Settling(SETTLE, self.is_whole, lambda: self.now)

    def is_whole(self, study: Arriving) -> bool | None:
        self.triaged.append(study.study_uid)
        return self.whole

    def due(self, *studies: Arriving) -> list[str]:
        return [study.study_uid for study in self.settling.due(studies)]


def arriving(activity: int = 1, study_uid: str = "1.2", *, asked_now: bool = False) -> Arriving:
    return Arriving(study_uid, activity, 3, asked_now)


def test_a_whole_ctac_is_due_after_the_short_silence() -> None:
    scene = Scene(whole=True)
    assert scene.due(arriving()) == []
    scene.now += 9.9
    assert scene.due(arriving()) == []
    scene.now += 0.1
    assert scene.due(arriving()) == ["1.2"]


def test_gaps_wait_for_the_long_silence_and_are_looked_for_once() -> None:
    scene = Scene(whole=False)
    for _ in range(12):
        assert scene.due(arriving()) == []
        scene.now += 10
    assert scene.due(arriving()) == ["1.2"]
    assert scene.triaged == ["1.2"]


def test_an_answer_that_takes_long_is_asked_for_again_and_waited_for_no_longer_than_for_gaps() -> None:
    scene = Scene(whole=None)
    scene.due(arriving())
    for seconds in (10, 20, 30):
        scene.now += seconds
        assert scene.due(arriving()) == []
    assert scene.triaged == ["1.2"] * 3
    scene.now += 60
    assert scene.due(arriving()) == ["1.2"]
    scene.due(arriving(2))
    scene.now += 10
    assert scene.due(arriving(2)) == []
    scene.whole = True
    assert scene.due(arriving(2)) == ["1.2"]


def test_every_arrival_begins_the_silence_anew_and_is_looked_at_again() -> None:
    scene = Scene(whole=False)
    for activity in range(1, 6):
        assert scene.due(arriving(activity)) == []
        scene.now += 100
        assert scene.due(arriving(activity)) == []
    assert scene.triaged == ["1.2"] * 5
    scene.whole = True
    scene.due(arriving(6))
    scene.now += 10
    assert scene.due(arriving(6)) == ["1.2"]


def test_an_open_association_keeps_a_study_open_though_nothing_new_comes() -> None:
    scene = Scene(whole=True)
    for activity in range(100):  # still_arriving moves the activity
        assert scene.due(arriving(activity)) == []
        scene.now += 9
    assert scene.triaged == []


def test_who_asks_is_not_made_to_wait() -> None:
    scene = Scene(whole=False)
    assert scene.due(arriving(asked_now=True), arriving(study_uid="1.3")) == ["1.2"]
    assert scene.triaged == []


def test_studies_do_not_wait_for_each_other_and_what_is_gone_is_forgotten() -> None:
    scene = Scene(whole=True)
    scene.due(arriving())
    scene.now += 10
    assert scene.due(arriving(), arriving(study_uid="1.3")) == ["1.2"]
    scene.now += 10
    assert scene.due(arriving(study_uid="1.3")) == ["1.3"]
    assert scene.due(arriving()) == []  # late slices: seen as for the first time


def files(folder: Path, images: Sequence[Dataset]) -> list[Path]:
    write(folder, images)
    return sorted(file for file in folder.rglob("*") if file.is_file())


def test_a_marked_ctac_without_gaps_is_whole(tmp_path: Path) -> None:
    assert ctac_is_whole(files(tmp_path, ct_series()), Score())


@pytest.mark.parametrize(
    "images",
    [
        ct_series()[:6] + ct_series()[7:],
        ct_series(SeriesDescription="CHEST", Exposure="200", ManufacturerModelName="CT"),
        ct_series(ContrastBolusAgent="Iohexol"),
        ct_series(NumberOfSeriesRelatedInstances=20),
        [emission_image()],
        [*ct_series(), *ct_series(name="second", SeriesDescription="CTAC 2")[:8], *ct_series(name="second")[9:]],
        [*ct_series(), *ct_series(name="other", PatientID="P2", PatientName="Someone^Else")],
    ],
    ids=["gap", "diagnostic CT", "contrast", "more promised", "no CT", "gap in a second CTAC", "two patients"],
)
def test_anything_else_may_still_grow(tmp_path: Path, images: list[Dataset]) -> None:
    assert not ctac_is_whole(files(tmp_path, images), Score())


def test_a_gap_that_scoring_would_fill_is_waited_for(tmp_path: Path) -> None:
    assert not ctac_is_whole(files(tmp_path, ct_series()[:6] + ct_series()[7:]), Score(fill_gaps=True))


def test_what_cannot_be_read_is_no_whole_ctac(tmp_path: Path) -> None:
    (tmp_path / f"{uid('x')}.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 100)
    assert not ctac_is_whole(list(tmp_path.glob("*")), Score())
    assert not ctac_is_whole([], Score())
    assert not ctac_is_whole([tmp_path / "gone.dcm"], Score())
