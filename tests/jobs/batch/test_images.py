"""A batch is reviewed in its own folder: its images are those of the rows; what cannot be reviewed says why."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ctacal.errors import Code, UsageError
from ctacal.jobs.batch.images import images_of
from ctacal.jobs.batch.places import FolderPlace
from ctacal.jobs.batch.plan import rows_of_shard
from ctacal.jobs.reading_cases import Accepted, Case
from ctacal.jobs.reading_room import ReadingRoom
from ctacal.jobs.reading_rooms import READINGS, RoomJob, open_room
from ctacal.scores import SCCT_2016
from tests.dicom_series import ct_series, uid, write
from tests.jobs.batch.cohorts import SETTINGS, cohort, planned, run
from tests.marker_study import WIDE

Complain = Callable[[str], object]


def reviewed(folder: Path, complain: Complain, *images: Path) -> ReadingRoom:
    job = RoomJob(
        kind="review", paths=images, out=folder, readings=folder / READINGS, accepted=Accepted(rule=SCCT_2016),
        readers=("anna",),
    )  # fmt: skip
    return open_room(job, complain=complain)


def cases(room: ReadingRoom) -> list[Case]:
    found = [room.index.case(name) for name, *_ in room.index.case_ids()]
    return [case for case in found if case]


@pytest.mark.slow
def test_a_run_is_opened_with_the_images_of_its_rows(tmp_path: Path) -> None:
    planned(tmp_path / "run", cohort(tmp_path / "in", 1), settings=replace(SETTINGS, write="json,seg"))
    run(tmp_path / "run")
    said: list[str] = []
    found = cases(reviewed(tmp_path / "run", said.append))
    assert said == []
    ready = [case for case in found if not case.refusal]
    assert [case.files for case in ready] == [(str(tmp_path / "in" / "thorax_phantom.zip"),)]
    assert ready[0].model and ready[0].model.labels
    assert len(found) == 2 and "FILE_UNREADABLE" not in "".join(case.refusal for case in found)


@pytest.mark.slow
def test_what_a_run_did_not_keep_is_told(tmp_path: Path) -> None:
    planned(tmp_path / "run", cohort(tmp_path / "in", 0))
    run(tmp_path / "run")
    (tmp_path / "in").rename(tmp_path / "elsewhere")
    said: list[str] = []
    (case,) = cases(reviewed(tmp_path / "run", said.append))
    assert "thorax_phantom.zip: gone; say where the images lie now" in said[0]
    assert "1 results hold no label map" in said[1] and "--write json,seg" in said[1]
    assert "--images" in case.refusal
    (case,) = cases(reviewed(tmp_path / "run", said.append, tmp_path / "elsewhere"))
    assert not case.refusal


def test_a_series_with_two_results_is_not_read(tmp_path: Path) -> None:
    images = ct_series(WIDE, StudyInstanceUID=uid("spread"))
    write(tmp_path / "in" / "part 1", images[::2])
    write(tmp_path / "in" / "part 2", images[1::2])
    planned(tmp_path / "run", tmp_path / "in")
    run(tmp_path / "run")
    assert len(list((tmp_path / "run" / "studies").rglob("result.json"))) == 2
    (case,) = cases(reviewed(tmp_path / "run", print))
    assert case.refusal.startswith(Code.STUDY_IN_SEVERAL_ROWS) and "several_rows.list" in case.refusal


def test_a_run_that_cannot_be_reviewed_says_why(tmp_path: Path) -> None:
    folder = cohort(tmp_path / "in", 1, scored=False)
    planned(tmp_path / "run", folder)
    with pytest.raises(UsageError, match=r"nothing is scored there yet \(ctacal batch run"):
        reviewed(tmp_path / "run", print)
    (tmp_path / "key").write_bytes(b"0123456789abcdef0123456789abcdef")
    planned(tmp_path / "secret", folder, settings=replace(SETTINGS, pseudonymise=tmp_path / "key"))
    run(tmp_path / "secret")
    with pytest.raises(UsageError, match=r"pseudonymised.*ctacal annotate"):
        reviewed(tmp_path / "secret", print)
    assert not (tmp_path / "secret" / READINGS).exists()


def test_images_in_a_bucket_are_told(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("s3://bucket/study\n")
    place = FolderPlace(tmp_path / "run")
    plan = planned(place, lists=(tmp_path / "list",))
    shard = next(number for number, rows in enumerate(plan.rows) if rows)
    (row,) = rows_of_shard(plan, place, shard)
    place.create(f"outcomes/{shard:04d}/{row.id}.json", b"{}")
    images = images_of(tmp_path / "run")
    assert images.paths == () and "1 sources lie in a bucket" in images.problems[0]
