"""A study that ends, hangs or fills its process costs itself alone."""

from pathlib import Path

import pytest

from ctacal.jobs.batch.ledger import done_of, entries_of
from ctacal.jobs.batch.places import FolderPlace
from ctacal.jobs.batch.run import RunOptions, run_batch
from tests.jobs.batch.cohorts import WHOLE, cohort, killed_with, planned, refused_study, run
from tests.jobs.batch.poison import FILLS, HANGS, KILLS, poisoned_engine


@pytest.mark.ci
def test_each_poison_is_recorded_and_all_else_is_scored(tmp_path: Path) -> None:
    for name in (KILLS, HANGS, FILLS):
        refused_study(tmp_path / "in" / name, name)
    place = FolderPlace(tmp_path / "run")
    plan = planned(place, cohort(tmp_path / "in", 5))
    options = RunOptions(share=WHOLE, processes=2, memory_mb=900, time_s=8)
    done = run_batch(place, options, engine=poisoned_engine)
    assert (done.done, done.total, done.failed) == (9, 9, 3)
    entries = [
        entry for shard in range(len(plan.rows)) for entry in entries_of(shard, place, done_of(shard, place)).values()
    ]
    faults = sorted(entry.outcome.fault.why for entry in entries if entry.outcome.fault)
    assert faults == ["ended", "memory", "time"]
    assert [entry.facts["attempts"] for entry in entries if entry.outcome.fault] == [3, 3, 3]
    assert sum(len(entry.outcome.studies) for entry in entries) == 6


def test_a_row_that_kills_machines_is_given_up(tmp_path: Path) -> None:
    """Each time its runner was killed too; the others are scored first."""
    place = FolderPlace(tmp_path / "run")
    plan = planned(place, cohort(tmp_path / "in", 2, scored=False))
    row = (place.folder / "manifest").glob("*").__next__().read_text().split('"')[3]
    killed_with(row, place.folder, 10)
    done = run(place)
    assert (done.done, done.failed) == (2, 1)
    entries = {
        row: one
        for shard in range(len(plan.rows))
        for row, one in entries_of(shard, place, done_of(shard, place)).items()
    }
    fault = entries[row].outcome.fault
    assert fault and fault.why == "lost" and "10 times" in fault.message
