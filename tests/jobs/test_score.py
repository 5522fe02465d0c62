"""The job that scores studies: what resuming keeps, and a table that survives interruptions and can be rebuilt."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ctacal.dicom.series import read_studies
from ctacal.errors import UsageError
from ctacal.jobs.finders import Finder, baseline
from ctacal.jobs.score import (
    EACH,
    Limits,
    Outcome,
    Privacy,
    ScoreJob,
    rebuilt_rows,
    score_and_write,
    score_intake,
    tasks_of,
)
from ctacal.prediction import Prediction
from ctacal.report.pseudonyms import Pseudonymiser
from ctacal.results_table import Row
from ctacal.scores import SCCT_2016, ScoringRule
from ctacal.volume import Volume
from tests.dicom_series import ct_series, uid, write
from tests.marker_study import WIDE, predict_marker


class Counting:
    """A predictor that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, volume: Volume, rule: ScoringRule) -> Prediction:
        self.calls += 1
        return predict_marker(volume, rule)


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def job(counting: Counting) -> ScoreJob:
    return ScoreJob(finder=Finder(counting, baseline().model), outputs=("json",), resume=True)


def study(folder: Path, name: str = "a", **attributes: object) -> Path:
    return write(folder / name, ct_series(WIDE, name=name, StudyInstanceUID=uid(name), **attributes))


def scored(folder: Path, out: Path, job: ScoreJob) -> list[Outcome]:
    return [
        score_and_write(task, out, job) for study in read_studies([folder]).studies for task in tasks_of(study, job)
    ]


def table(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_result_is_kept_if_nothing_has_changed(tmp_path: Path, job: ScoreJob, counting: Counting) -> None:
    study(tmp_path / "in")
    (first,) = scored(tmp_path / "in", tmp_path / "out", job)
    (tmp_path / "in").rename(tmp_path / "moved")  # the place of the files does not matter
    (second,) = scored(tmp_path / "moved", tmp_path / "out", job)
    assert counting.calls == 1
    assert first.row == second.row


def test_another_rule_of_the_same_name_scores_again(tmp_path: Path, job: ScoreJob, counting: Counting) -> None:
    study(tmp_path / "in")
    rules = [replace(SCCT_2016, name="mine", min_area_mm2=area) for area in (1.0, 500.0, 500.0)]
    rows = [scored(tmp_path / "in", tmp_path / "out", replace(job, rule=rule))[0].row for rule in rules]
    assert counting.calls == 2
    assert rows[0]["agatston"] > rows[1]["agatston"] == rows[2]["agatston"] == 0


def test_changed_pixels_are_scored_again(tmp_path: Path, job: ScoreJob, counting: Counting) -> None:
    folder = study(tmp_path / "in")
    scored(tmp_path / "in", tmp_path / "out", job)
    file = sorted(folder.iterdir())[0]
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    scored(tmp_path / "in", tmp_path / "out", job)
    assert counting.calls == 2


def test_of_other_series_only_the_headers_count(tmp_path: Path, job: ScoreJob, counting: Counting) -> None:
    """The pixels of a series that is not scored are not read: a study may hold ten of them."""
    other = {"StudyInstanceUID": uid("a"), "SeriesInstanceUID": uid("other"), "SeriesNumber": 2}
    images = ct_series(WIDE, name="other", **other, ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "HELIX"])
    study(tmp_path / "in", ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], SeriesDescription="CTAC")
    first = write(tmp_path / "in" / "other", images)
    (before,) = scored(tmp_path / "in", tmp_path / "out", job)
    assert before.content["study"]["series_description"] == "CTAC"
    file = sorted(first.iterdir())[0]
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    scored(tmp_path / "in", tmp_path / "out", job)
    assert counting.calls == 1
    for image in images:
        image.SeriesDescription = "another name"
    write(first, images)
    scored(tmp_path / "in", tmp_path / "out", job)
    assert counting.calls == 2


def test_without_times_a_study_gives_the_same_bytes(tmp_path: Path, job: ScoreJob) -> None:
    study(tmp_path / "in")
    written = []
    for name in ("one", "two"):
        (outcome,) = scored(tmp_path / "in", tmp_path / name, replace(job, timed=False))
        written.append((tmp_path / name / outcome.folder / "result.json").read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize(
    "change",
    [
        {"mass_calibration": 0.8},
        {"finder": Finder(predict_marker, replace(baseline().model, digest="0" * 64))},
        {"limits": Limits(allow_contrast=True)},
        {"privacy": Privacy(phi=True)},
        {"privacy": Privacy(pseudonymiser=Pseudonymiser(b"0123456789abcdef"))},
    ],
    ids=["mass", "model", "contrast", "phi", "pseudonyms"],
)
def test_other_settings_score_again(tmp_path: Path, job: ScoreJob, change: dict[str, object]) -> None:
    study(tmp_path / "in")
    (first,) = scored(tmp_path / "in", tmp_path / "out", job)
    (second,) = scored(tmp_path / "in", tmp_path / "out", replace(job, **change))  # type: ignore[arg-type]
    assert first.content["settings_digest"] != second.content["settings_digest"]


def test_a_missing_output_is_made(tmp_path: Path, job: ScoreJob, counting: Counting) -> None:
    study(tmp_path / "in")
    scored(tmp_path / "in", tmp_path / "out", job)
    (outcome,) = scored(tmp_path / "in", tmp_path / "out", replace(job, outputs=("json", "png")))
    assert counting.calls == 2
    assert (tmp_path / "out" / outcome.folder / "montage.png").is_file()


def test_a_pseudonymised_result_does_not_give_the_digest_of_the_files(tmp_path: Path, job: ScoreJob) -> None:
    study(tmp_path / "in")
    (plain,) = scored(tmp_path / "in", tmp_path / "out", job)
    keyed = replace(job, privacy=Privacy(pseudonymiser=Pseudonymiser(b"0123456789abcdef")))
    (hidden,) = scored(tmp_path / "in", tmp_path / "hidden", keyed)
    assert plain.content["input_digest"] != hidden.content["input_digest"]
    (kept,) = scored(tmp_path / "in", tmp_path / "hidden", keyed)
    assert kept.content["timing_s"] == hidden.content["timing_s"]


def test_the_table_grows_row_by_row_and_is_rebuilt_from_the_results(tmp_path: Path, job: ScoreJob) -> None:
    for name in ("a", "b", "c"):
        study(tmp_path / "in", name)
    lengths: list[int] = []
    out = tmp_path / "out"
    done = score_intake(read_studies([tmp_path / "in"]), out, job, on_outcome=lambda _: lengths.append(len(table(out))))
    assert lengths == [1, 2, 3]
    assert len(done.rows) == 3 and done.refused == 0

    def by_study(rows: list[Row]) -> list[Row]:
        return sorted(rows, key=lambda row: str(row["study_uid"]))

    assert by_study(rebuilt_rows(out)) == by_study(list(done.rows))


def test_a_cut_run_leaves_the_rows_so_far(tmp_path: Path, job: ScoreJob) -> None:
    for name in ("a", "b"):
        study(tmp_path / "in", name)

    def cut(_: Outcome) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_intake(read_studies([tmp_path / "in"]), tmp_path / "out", job, on_outcome=cut)
    assert len(table(tmp_path / "out")) == 1


def test_each_series_ranks_the_candidates_once(tmp_path: Path, job: ScoreJob, monkeypatch: pytest.MonkeyPatch) -> None:
    from ctacal.dicom.stack import Stack

    built: list[int] = []
    of = Stack.of

    def counted(*arguments: object, **options: object) -> Stack:
        built.append(1)
        return of(*arguments, **options)  # type: ignore[arg-type]

    for number, name in enumerate(("x", "y"), 1):
        series = ct_series(WIDE, name=name, StudyInstanceUID=uid("s"), SeriesInstanceUID=uid(name), SeriesNumber=number)
        write(tmp_path / "in" / name, series)
    monkeypatch.setattr(Stack, "of", counted)
    outcomes = scored(tmp_path / "in", tmp_path / "out", replace(job, series=EACH))
    assert len(outcomes) == 2
    assert len(built) == 2


def test_a_broken_result_costs_only_its_own_row(tmp_path: Path, job: ScoreJob) -> None:
    for name in ("a", "b", "c"):
        study(tmp_path / "in", name)
    outcomes = scored(tmp_path / "in", tmp_path / "out", job)
    for outcome, text in zip(outcomes, ("garbage", "[]"), strict=False):
        (tmp_path / "out" / outcome.folder / "result.json").write_text(text)
    assert rebuilt_rows(tmp_path / "out") == [outcomes[2].row]


def test_a_fault_in_ranking_refuses_the_study(tmp_path: Path, job: ScoreJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    study(tmp_path / "in")
    monkeypatch.setattr("ctacal.jobs.score.candidates", broken)
    monkeypatch.setattr("ctacal.study.candidates", broken)
    (outcome,) = scored(tmp_path / "in", tmp_path / "out", replace(job, series=EACH))
    assert outcome.row["status"] == "refused"
    assert outcome.row["reason_codes"] == "INTERNAL_ERROR"


def test_a_quick_refusal_ends_without_a_traceback(tmp_path: Path) -> None:
    """The libraries of the outputs are imported beside the predictor, which may refuse at once."""
    (tmp_path / "labels.nii").touch()
    command = [sys.executable, "-m", "ctacal", "score", str(study(tmp_path / "in")), "-o", str(tmp_path / "out")]
    done = subprocess.run([*command, "--labels", str(tmp_path / "labels.nii")], capture_output=True, text=True)
    assert done.returncode == 1
    assert "REFUSED" in done.stdout
    assert "Traceback" not in done.stderr


def test_naming_and_hiding_the_patient_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="--phi names the patient"):
        Privacy(phi=True, pseudonymiser=Pseudonymiser(b"0123456789abcdef"))
