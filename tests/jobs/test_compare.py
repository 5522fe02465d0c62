"""Scans compared as a job: pairs that are named, courses of many patients, privacy, and what is refused."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ctacal.compare.comparison import Terms
from ctacal.compare.reasons import Doubt
from ctacal.errors import Code, Refusal, UsageError
from ctacal.jobs.compare import COMPARISONS, CONSECUTIVE, CompareJob, compare_courses, compare_two
from ctacal.jobs.finders import Finder, baseline
from ctacal.jobs.score import Privacy
from ctacal.report.pseudonyms import Pseudonymiser
from ctacal.study import model_without_file
from tests import places
from tests.compare.second_scan import SAMPLE, write_scan
from tests.dicom_series import ct_series, uid, write
from tests.report.comparisons import IDENTITY, LIMITS
from tests.report.results import LOW_RULE, PLAIN, drawing

JOB = CompareJob(
    finder=Finder(drawing(), model_without_file("drawing"), None),
    rule=LOW_RULE,
    terms=Terms(limits=LIMITS),
    outputs=("json", "html"),
)


def scan(folder: Path, name: str, day: str, **attributes: Any) -> Path:
    """Write a CT of its own study; another name gives other CT values, and so another scan."""
    grid = replace(PLAIN, slices=PLAIN.slices + len(name))
    identity = {**IDENTITY, "StudyDate": day, "SeriesDate": day, "AcquisitionDate": day} | attributes
    write(folder / name, ct_series(grid, name=name, StudyInstanceUID=uid(name, "study"), **identity))
    return folder / name


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as table:
        return list(csv.DictReader(table))


def test_two_scans_are_scored_by_one_rule_and_compared(tmp_path: Path) -> None:
    first, second = scan(tmp_path, "a", "20200301"), scan(tmp_path, "bb", "20220301")
    done = compare_two(first, second, tmp_path / "out", JOB)
    content = done.compared[0].content
    assert {one["rule"] for one in content["scans"]} == {"low"}
    assert content["interval_days"] == 730
    assert [one["date"] for one in content["scans"]] == ["2020-03-01", "2022-03-01"]
    assert not done.refused
    assert (tmp_path / "out" / "comparison.html").is_file()
    (row,) = rows(tmp_path / "out" / COMPARISONS)
    assert row["verdict"] == content["verdict"]
    assert row["patient_id"] == ""


def test_the_later_scan_named_first_is_told(tmp_path: Path) -> None:
    first, second = scan(tmp_path, "a", "20200301"), scan(tmp_path, "bb", "20220301")
    content = compare_two(second, first, tmp_path / "out", JOB).compared[0].content
    assert [one["date"] for one in content["scans"]] == ["2020-03-01", "2022-03-01"]
    assert Doubt.DATES_SWAPPED in {reason["code"] for reason in content["reasons"]}


def test_two_patients_are_refused_before_anything_is_scored_unless_said(tmp_path: Path) -> None:
    first, second = scan(tmp_path, "a", "20200301"), scan(tmp_path, "bb", "20220301", PatientID="4712")
    with pytest.raises(Refusal, match=r"differ in patient ID.*--accept OTHER_PATIENT") as refused:
        compare_two(first, second, tmp_path / "out", JOB)
    assert refused.value.reason.code is Code.MIXED_PATIENTS
    assert not (tmp_path / "out").exists()
    assert "4712" not in str(refused.value)
    accepting = replace(JOB, terms=Terms(limits=LIMITS, accept={Doubt.OTHER_PATIENT}))
    content = compare_two(first, second, tmp_path / "out", accepting).compared[0].content
    assert Doubt.OTHER_PATIENT in {reason["code"] for reason in content["reasons"]}


def test_one_scan_given_twice_is_told(tmp_path: Path) -> None:
    first = scan(tmp_path, "a", "20200301")
    content = compare_two(first, first, tmp_path / "out", JOB).compared[0].content
    assert content["verdict"] == "not comparable"
    assert Doubt.SAME_SCAN in {reason["code"] for reason in content["reasons"]}


def test_a_place_with_several_studies_is_a_wrong_request(tmp_path: Path) -> None:
    scan(tmp_path / "both", "a", "20200301")
    scan(tmp_path / "both", "bb", "20220301")
    with pytest.raises(UsageError, match="both: holds 2 studies; name one of them, or this folder alone"):
        compare_two(tmp_path / "both", tmp_path / "both", tmp_path / "out", JOB)


def test_a_refused_scan_is_compared_with_its_reason(tmp_path: Path) -> None:
    first = scan(tmp_path, "a", "20200301")
    second = scan(tmp_path, "bb", "20220301", Modality="MR")
    done = compare_two(first, second, tmp_path / "out", JOB)
    content = done.compared[0].content
    assert done.refused == 1
    assert content["scans"][1]["status"] == "refused"
    assert "NO_CT_SERIES" in content["scans"][1]["reasons"][0]["code"]
    assert content["changes"] == {}


def test_courses_of_many_patients(tmp_path: Path) -> None:
    for name, day in (("a", "20180301"), ("bb", "20200301"), ("ccc", "20230301")):
        scan(tmp_path / "images", name, day)
    scan(tmp_path / "images", "dddd", "20200301", PatientID="4799", PatientName="Roe^Ann")
    scan(tmp_path / "images", "eeeee", "20200301", PatientID="", PatientName="")
    done = compare_courses([tmp_path / "images"], tmp_path / "out", JOB)
    assert len(done.compared) == 3
    assert done.left_out == (
        "1 studies without a patient ID: compare them by naming two",
        "1 patients with one study only",
    )
    (whole,) = rows(tmp_path / "out" / COMPARISONS)
    assert (whole["date_before"], whole["date_after"], whole["scans"]) == ("2018-03-01", "2023-03-01", "3")
    steps = rows(tmp_path / "out" / CONSECUTIVE)
    assert [(row["scan_before"], row["scan_after"]) for row in steps] == [("1", "2"), ("2", "3")]
    assert all((tmp_path / "out" / row["folder"] / "comparison.html").is_file() for row in steps)


def test_pseudonymised_files_identify_nobody_and_keep_the_interval(tmp_path: Path) -> None:
    first, second = scan(tmp_path, "a", "20200301"), scan(tmp_path, "bb", "20220301")
    key = Pseudonymiser(b"0123456789abcdef")
    job = replace(JOB, privacy=Privacy(pseudonymiser=key), outputs=("json", "html", "pdf", "sr", "results"))
    done = compare_two(first, second, tmp_path / "out", job)
    assert not done.compared[0].problems
    content = done.compared[0].content
    assert content["interval_days"] == 730
    assert content["scans"][0]["date"] is None
    assert content["scans"][0]["patient_id"] == key.patient(IDENTITY["PatientID"])
    written = b"".join(file.read_bytes() for file in (tmp_path / "out").iterdir() if file.suffix != ".pdf")
    for name in ("a", "bb"):
        assert uid(name, "study").encode() not in written
    for secret in (IDENTITY["PatientID"].encode() + b'"', b"Doe^", b"Doe,", b"20200301", b"2020-03-01", b"19500102"):
        assert secret not in written, secret


def test_phi_names_the_patient_in_the_table(tmp_path: Path) -> None:
    first, second = scan(tmp_path, "a", "20200301"), scan(tmp_path, "bb", "20220301")
    compare_two(first, second, tmp_path / "out", replace(JOB, privacy=Privacy(phi=True)))
    assert rows(tmp_path / "out" / COMPARISONS)[0]["patient_id"] == IDENTITY["PatientID"]


@pytest.mark.slow
def test_the_lesions_of_real_looking_scans_are_matched(tmp_path: Path) -> None:
    """The sample and a later scan of the same patient: the heart is found, the scans aligned, the lesions kept."""
    later = write_scan(tmp_path / "later", StudyDate="20260601", SeriesDate="20260601", AcquisitionDate="20260601")
    job = CompareJob(finder=baseline(), outputs=("json", "html", "pdf", "sr"))
    done = compare_two(SAMPLE, later, tmp_path / "out", job)
    content = done.compared[0].content
    assert content["alignment"]["fit"] > 0.9
    assert "kept" in {lesion["kind"] for lesion in content["lesions"]}
    assert not done.compared[0].problems


@pytest.mark.slow
def test_a_registration_that_breaks_costs_the_lesions_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError("nothing to divide")

    monkeypatch.setattr("ctacal.jobs.compare.best_fit", breaks)
    later = write_scan(tmp_path / "later", StudyDate="20260601", SeriesDate="20260601", AcquisitionDate="20260601")
    job = CompareJob(finder=baseline(), outputs=("json",))
    content = compare_two(SAMPLE, later, tmp_path / "out", job).compared[0].content
    messages = {reason["code"]: reason["message"] for reason in content["reasons"]}
    assert messages[Doubt.LESIONS_NOT_MATCHED] == "ZeroDivisionError: nothing to divide; please report this"
    assert content["lesions"] is None
    assert content["changes"]["agatston"]["total"]["before"] > 0
    assert "are not laid upon each other" in caplog.text


@pytest.mark.slow
def test_another_patients_chest_is_told_where_the_headers_are_believed(tmp_path: Path) -> None:
    terms = Terms(limits=LIMITS, accept={Doubt.OTHER_PATIENT})
    job = CompareJob(finder=baseline(), terms=terms, outputs=("json", "html"))
    other = places.SAMPLE / "thorax_phantom.zip"
    (one,) = compare_two(SAMPLE, other, tmp_path / "out", job).compared
    reasons = {reason["code"]: reason["message"] for reason in one.content["reasons"]}
    assert one.content["verdict"] == "not comparable"
    assert "the scans seem to show different patients" in reasons[Doubt.ANATOMY_DIFFERS]
    assert "<b>The chests differ.</b>" in (tmp_path / "out" / "comparison.html").read_text()
