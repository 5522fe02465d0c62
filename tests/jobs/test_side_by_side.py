"""Studies of one run in several processes: the files are those of one, and a study that kills one ends no other."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ctacal.dicom.series import read_studies
from ctacal.jobs.finders import baseline
from ctacal.jobs.score import EACH, Outcome, Privacy, ScoreJob, ScoreRun, one_after_another, score_intake
from ctacal.jobs.side_by_side import side_by_side
from ctacal.report.pseudonyms import Pseudonymiser
from ctacal.watched import Limits
from tests import odd_finder
from tests.dicom_series import ct_series, uid, write
from tests.marker_study import WIDE
from tests.odd_finder import DIES, HANGS, SWELLS

pytestmark = pytest.mark.slow

LIMITS = Limits(memory_mb=odd_finder.SWOLLEN_MB // 2 + 100, time_s=5)
ODD = ScoreJob(finder=odd_finder.odd_finder(), outputs=("json",))
KEYED = Privacy(pseudonymiser=Pseudonymiser(b"0123456789abcdef"))


def study(folder: Path, name: str, slices: int = 14) -> None:
    grid = replace(WIDE, slices=slices)
    write(folder / name, ct_series(grid, name=name, StudyInstanceUID=uid(name), PatientName=f"Doe^{name}"))


def files(out: Path) -> dict[str, Any]:
    """Return all files of a run by name; those of results without the times."""
    found: dict[str, Any] = {}
    for file in sorted(path for path in out.rglob("*") if path.is_file()):
        content = file.read_bytes()
        found[str(file.relative_to(out))] = (
            {**json.loads(content), "timing_s": 0} if file.name == "result.json" else content
        )
    return found


def reasons(done: ScoreRun) -> dict[str, tuple[str, str]]:
    return {row["study_uid"]: (row["reason_codes"], row["reasons"]) for row in done.rows}


@pytest.mark.parametrize(
    "job",
    [
        ScoreJob(finder=baseline()),
        ScoreJob(finder=baseline(), outputs=("json",), series=EACH, privacy=Privacy(phi=True)),
        ScoreJob(finder=odd_finder.odd_finder(), privacy=KEYED),
    ],
    ids=["default outputs", "each series", "pseudonyms"],
)
def test_files_and_table_are_those_of_one_process(tmp_path: Path, job: ScoreJob) -> None:
    for name in "abc":
        study(tmp_path / "in", name)
    (tmp_path / "in" / "a" / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM broken")
    told: list[Outcome] = []
    intake = read_studies([tmp_path / "in"])
    one = score_intake(intake, tmp_path / "one", job, score_all=one_after_another)
    two = score_intake(intake, tmp_path / "two", job, score_all=side_by_side(2), on_outcome=told.append)
    assert files(tmp_path / "two") == files(tmp_path / "one")
    assert (two.rows, two.files) == (one.rows, one.files)
    assert [outcome.row for outcome in told] == list(one.rows)


@pytest.mark.parametrize(
    ("slices", "code", "reason"),
    [
        (DIES, "PROCESS_ENDED", "the scoring process ended with exit code -9"),
        (HANGS, "TOO_SLOW", "the scoring process was killed: it took longer than 5 s"),
        (SWELLS, "TOO_LARGE", "the scoring process was killed: it took "),
    ],
)
def test_a_study_that_ends_its_process_is_refused_and_the_others_are_scored(
    tmp_path: Path, slices: int, code: str, reason: str
) -> None:
    for name in "abc":
        study(tmp_path / "in", name)
    study(tmp_path / "in", "odd", slices)
    out = tmp_path / "out"
    done = score_intake(read_studies([tmp_path / "in"]), out, ODD, score_all=side_by_side(2, LIMITS))
    assert done.refused == 1 and len(done.rows) == 4
    found_code, found_reason = reasons(done)[uid("odd")]
    assert found_code == code
    assert found_reason.startswith(reason)
    with (out / "results.csv").open(newline="") as file:
        assert [row["study_uid"] for row in csv.DictReader(file)] == sorted(map(uid, ("a", "b", "c", "odd")))
    assert {path.name for path in (out / uid("odd")).iterdir()} == {"result.json"}


def test_what_was_refused_for_its_process_is_scored_again(tmp_path: Path) -> None:
    study(tmp_path / "in", "a")
    study(tmp_path / "in", "odd", DIES)
    intake, out = read_studies([tmp_path / "in"]), tmp_path / "out"
    resumed = replace(ODD, resume=True)
    first, second = (score_intake(intake, out, resumed, score_all=side_by_side(2, LIMITS)) for _ in range(2))
    assert first.refused == second.refused == 1
    kept = json.loads((out / uid("a") / "result.json").read_text())
    assert kept["input_digest"] and not json.loads((out / uid("odd") / "result.json").read_text())["input_digest"]


def test_a_full_disk_stops_the_run(tmp_path: Path) -> None:
    for name in "abc":
        study(tmp_path / "in", name)
    out = tmp_path / "out"
    out.mkdir()
    (out / uid("b")).write_text("no folder")
    with pytest.raises(FileExistsError) as told:
        score_intake(read_studies([tmp_path / "in"]), out, ODD, score_all=side_by_side(2))
    assert told.value.filename == str(out / uid("b"))


def test_a_refusal_names_nobody_under_pseudonyms(tmp_path: Path) -> None:
    study(tmp_path / "in", "a")
    study(tmp_path / "in", "odd", DIES)
    out = tmp_path / "out"
    told: list[Outcome] = []
    job = replace(ODD, privacy=KEYED, outputs=("json", "html"))
    score_intake(read_studies([tmp_path / "in"]), out, job, score_all=side_by_side(2), on_outcome=told.append)
    (refused,) = (outcome for outcome in told if outcome.content["status"] == "refused")
    text = json.dumps(refused.content) + (out / refused.folder / "report.html").read_text()
    assert uid("odd") not in text and "Doe" not in text
