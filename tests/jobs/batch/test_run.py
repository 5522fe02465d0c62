"""Runs: what is written, what is never done twice, and what ends right whatever lies in the rows."""

import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ctacal.dicom import header
from ctacal.dicom.pixel_data import pixels
from ctacal.errors import UsageError
from ctacal.jobs.batch.collect import collect
from ctacal.jobs.batch.ledger import complete, done_of, entries_of
from ctacal.jobs.batch.places import FolderPlace
from ctacal.jobs.batch.plan import load_plan
from ctacal.jobs.batch.run import MOST_FAILURES, MOST_LOST
from ctacal.jobs.batch.runners import runners
from ctacal.jobs.batch.share import Share
from ctacal.jobs.batch.status import status_of
from tests import places
from tests.jobs.batch.cohorts import cohort, content, killed_with, planned, refused_study, run

pytestmark = pytest.mark.slow


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_each_study_has_an_outcome_and_a_row_in_the_tables(tmp_path: Path) -> None:
    place = tmp_path / "run"
    (tmp_path / "in" / "letters").mkdir(parents=True)
    (tmp_path / "in" / "letters" / "a.txt").write_text("no image")
    planned(place, cohort(tmp_path / "in"))
    done = run(place)
    assert (done.done, done.total, done.failed, done.postponed, done.handed_back) == (5, 5, 1, 0, False)
    collected = collect(FolderPlace(place), place)
    assert (collected.rows, collected.studies, collected.failed, collected.left) == (5, 4, 1, 0)
    rows = table(place / "results.csv")
    assert sorted(row["status"] for row in rows) == ["refused"] * 3 + ["scored"]
    for row in rows:
        result = json.loads((place / row["folder"] / "result.json").read_text())
        assert result["study"]["study_uid"] == row["study_uid"] and not result["timing_s"]
    failed = {row["why"] for row in table(place / "failed.csv")}
    assert failed == {"empty", "HEART_NOT_FOUND"}
    assert "1 text file" in str([row["message"] for row in table(place / "failed.csv") if row["why"] == "empty"])
    status = status_of(FolderPlace(place), price_per_core_hour=1.0)
    assert (status.done, status.scored, status.refused, status.failed) == (5, 1, 3, 1)
    assert dict(status.reasons) == {"HEART_NOT_FOUND": 3, "row: empty": 1}
    assert status.cost_per_1000 and status.read_bytes and status.files


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    """Not even if the ledger is torn or lost: it is rebuilt from the outcomes."""
    place = tmp_path / "run"
    plan = planned(place, cohort(tmp_path / "in"))
    assert run(place, share=Share(0, 2)).done + run(place, share=Share(1, 2)).done == 4
    before = {path: path.stat().st_mtime_ns for path in (place / "studies").rglob("*")}
    files = sorted((place / "ledger").rglob("*.jsonl"))
    files[0].write_bytes(files[0].read_bytes()[:-30])
    shutil.rmtree(files[1].parent)
    assert run(place).done == 4
    assert {path: path.stat().st_mtime_ns for path in (place / "studies").rglob("*")} == before
    collected = collect(FolderPlace(place), tmp_path / "out")
    assert collected.studies == 4
    ledger = FolderPlace(place)
    entries = [row for shard in range(len(plan.rows)) for row in entries_of(shard, ledger, done_of(shard, ledger))]
    assert len(entries) == 4


def test_a_torn_outcome_is_no_outcome(tmp_path: Path) -> None:
    place = tmp_path / "run"
    planned(place, cohort(tmp_path / "in", 1, scored=False))
    run(place)
    (outcome,) = (place / "outcomes").rglob("*.json")
    whole = outcome.read_bytes()
    outcome.write_bytes(whole[:40])
    shutil.rmtree(place / "ledger")
    shard = int(outcome.parent.name)
    assert not complete(shard, FolderPlace(place), "test")
    assert outcome.exists(), "it may be being written"
    os.utime(outcome, (time.time() - 90,) * 2)
    assert not complete(shard, FolderPlace(place), "test")
    assert not done_of(shard, FolderPlace(place)).scored
    run(place)
    assert outcome.read_bytes() == whole


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        planned(tmp_path / name, cohort(tmp_path / "in") if name == "one" else tmp_path / "in")
        run(tmp_path / name)
        collect(FolderPlace(tmp_path / name), tmp_path / name)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    for name in ("results.csv", "failed.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_copies_of_a_study_have_one_result_and_parts_are_told(tmp_path: Path) -> None:
    """What a plan cannot know: two rows hold the same study, and one row holds two."""
    folder = tmp_path / "in"
    for name in ("copy 1", "copy 2"):
        refused_study(folder / name, "copied")
    refused_study(folder / "part 1", "spread", SeriesInstanceUID="1.2.1")
    refused_study(folder / "part 2", "spread", SeriesInstanceUID="1.2.2")
    refused_study(folder / "two" / "a", "a")
    refused_study(folder / "two" / "b", "b")
    place = tmp_path / "run"
    planned(place, folder)
    assert run(place).done == 5
    collected = collect(FolderPlace(place), place)
    assert (collected.studies, collected.in_several_rows) == (5, 2)
    codes = sorted(row["reason_codes"].split(" ")[0] for row in table(place / "results.csv"))
    assert codes[-2:] == ["STUDY_IN_SEVERAL_ROWS"] * 2 and len(codes) == 5
    assert sorted(row["result"] for row in table(place / "several_rows.csv")) == ["of a part"] * 2 + ["the same"] * 2
    assert planned(tmp_path / "again", lists=(place / "several_rows.list",)).total == 1
    run(tmp_path / "again")
    assert collect(FolderPlace(tmp_path / "again"), tmp_path / "again").studies == 1


def test_what_failed_is_tried_again_on_request(tmp_path: Path) -> None:
    place = tmp_path / "run"
    (tmp_path / "list").write_text(f"{tmp_path}/in\n")
    planned(place, lists=(tmp_path / "list",))
    assert run(place).failed == 1
    assert "no such file or folder" in table_of_failures(place)[0]["message"]
    refused_study(tmp_path / "in", "late")
    assert run(place).failed == 1
    assert run(place, retry_failed=True).failed == 0
    assert [row["why"] for row in table_of_failures(place)] == ["HEART_NOT_FOUND"]
    assert status_of(FolderPlace(place)).failed == 0


def test_a_row_that_was_lost_is_tried_again_on_request_as_often_as_at_first(tmp_path: Path) -> None:
    place = tmp_path / "run"
    planned(place, cohort(tmp_path / "in", 1, scored=False))
    (line,) = (file.read_text() for file in (place / "manifest").iterdir() if file.stat().st_size)
    row = json.loads(line)["id"]
    killed_with(row, place, MOST_LOST)
    assert run(place).failed == 1
    assert [row["why"] for row in table_of_failures(place)] == ["lost"]
    killed_with(row, place, MOST_LOST)
    assert run(place, retry_failed=True).failed == 1
    killed_with(row, place, MOST_LOST - 1)
    done = run(place, retry_failed=True)
    assert (done.done, done.failed) == (1, 0)
    assert [row["why"] for row in table_of_failures(place)] == ["HEART_NOT_FOUND"]


def table_of_failures(place: Path) -> list[dict[str, str]]:
    collect(FolderPlace(place), place)
    return table(place / "failed.csv")


def test_a_deleted_outcome_is_not_done(tmp_path: Path) -> None:
    """Though the ledger tells of it."""
    place = tmp_path / "run"
    planned(place, cohort(tmp_path / "in", 2, scored=False))
    run(place)
    next((place / "outcomes").rglob("*.json")).unlink()
    assert status_of(FolderPlace(place)).done == 1
    collected = collect(FolderPlace(place), tmp_path / "out")
    assert (collected.rows, collected.left, collected.studies) == (1, 1, 1)


def test_a_lost_mount_is_no_fault_of_the_rows(tmp_path: Path) -> None:
    place = tmp_path / "run"
    planned(place, cohort(tmp_path / "in", 3, scored=False))
    (tmp_path / "in").rename(tmp_path / "unmounted")
    done = run(place)
    assert (done.done, done.failed, done.postponed) == (0, 0, 3)
    (tmp_path / "in").mkdir()
    assert run(place).postponed == 3
    (tmp_path / "in").rmdir()
    (tmp_path / "unmounted").rename(tmp_path / "in")
    assert run(place).done == 3


def test_a_run_stops_when_nothing_can_be_read_any_more(tmp_path: Path) -> None:
    place = tmp_path / "run"
    planned(place, cohort(tmp_path / "in", MOST_FAILURES + 5, scored=False))
    (tmp_path / "in").rename(tmp_path / "unmounted")
    with pytest.raises(OSError, match=f"{MOST_FAILURES} rows in turn could not be read: a mount or the network may be"):
        run(place)
    (runner,) = runners(FolderPlace(place))
    assert runner.ended == "OSError"


@pytest.mark.parametrize("read", ["headers", "pixels"])
def test_a_disk_that_fails_is_no_fault_of_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: str) -> None:
    place = tmp_path / "run"
    planned(place, cohort(tmp_path / "in", 1, scored=False))

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(
            header if read == "headers" else pixels, "read_dataset" if read == "headers" else "_native_frame", fails
        )
        done = run(place)
    assert (done.done, done.failed, done.postponed) == (0, 0, 1)
    assert run(place).done == 1


def test_another_model_or_version_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "run"
    planned(place, cohort(tmp_path / "in", 1, scored=False))
    plan = json.loads((place / "plan.json").read_text())
    plan["identity"]["ctacal"] = "0.0.1"
    (place / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(UsageError, match=r'made with ctacal "0.0.1", and here it is'):
        run(place)


def test_sigterm_hands_back_and_the_next_run_goes_on(tmp_path: Path) -> None:
    place = tmp_path / "run"
    for number in range(3):
        shutil.copy(places.SAMPLE / "thorax_phantom.zip", cohort(tmp_path / "in", 0) / f"{number}.zip")
    plan = planned(place, cohort(tmp_path / "in", 15))
    command = [sys.executable, "-m", "ctacal", "batch", "run", str(place), "--processes", "1"]
    program = subprocess.Popen(command, env=os.environ, stderr=subprocess.PIPE, text=True)
    while not any((place / "outcomes").rglob("*.json")):
        assert program.poll() is None
        time.sleep(0.02)
    program.send_signal(signal.SIGTERM)
    told = time.monotonic()
    _, said = program.communicate(timeout=60)
    assert program.returncode == 75, said
    assert time.monotonic() - told < 10
    assert "stopped as asked" in said
    status = status_of(FolderPlace(place))
    assert 0 < status.done < plan.total
    assert (status.runners_alive, status.runners_lost) == (0, 0)
    assert run(place).done == plan.total
    assert not any((place / "scratch").iterdir())


def test_status_and_collect_change_nothing_of_an_empty_run(tmp_path: Path) -> None:
    planned(tmp_path / "run", cohort(tmp_path / "in", 2))
    status = status_of(FolderPlace(tmp_path / "run"))
    assert (status.done, status.total, status.left_s, status.cost_per_1000) == (0, 3, None, None)
    collected = collect(FolderPlace(tmp_path / "run"), tmp_path / "out")
    assert (collected.studies, collected.left) == (0, 3)
    assert table(tmp_path / "out" / "results.csv") == []
    assert load_plan(FolderPlace(tmp_path / "run")).total == 3
