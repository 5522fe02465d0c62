"""An SR names the SR of its study that was sent before it (PS3.3 C.17.2)."""

from pathlib import Path

import highdicom
import pydicom
import pytest
from pydicom import Dataset

from ctacal.dicom.objects.seg_writer import save
from ctacal.dicom.series import read_studies
from ctacal.jobs.finders import Finder
from ctacal.jobs.score import ScoreJob, score_and_write, tasks_of
from ctacal.report.filing import Filing
from ctacal.report.predecessor import Predecessor
from ctacal.report.seg import result_segmentation
from ctacal.report.sr import measurement_report
from ctacal.result import ScoredStudy
from ctacal.study import model_without_file
from tests.dicom_series import ct_series, write
from tests.report.results import LOW_RULE, drawing, scored, scored_series
from tests.tools import dciodvfy_errors, dsr2html


def report_of(result: ScoredStudy, file: Path, predecessor: Predecessor | None = None) -> Path:
    filing = Filing.of(result)
    save(measurement_report(filing, result_segmentation(filing), predecessor=predecessor), file)
    return file


def predecessors(report: Dataset) -> list[str]:
    return [
        str(document.ReferencedSOPInstanceUID)
        for study in report.get("PredecessorDocumentsSequence", ())
        for series in study.ReferencedSeriesSequence
        for document in series.ReferencedSOPSequence
    ]


def test_a_new_score_names_the_report_that_it_replaces(tmp_path: Path) -> None:
    first = report_of(scored(tmp_path / "ct"), tmp_path / "first.dcm")
    assert predecessors(pydicom.dcmread(first)) == []
    other = scored_series(ct_series(), tmp_path / "ct", drawing(seed=6))
    second = report_of(other, tmp_path / "second.dcm", Predecessor.read(first))
    before, after = pydicom.dcmread(first), pydicom.dcmread(second)
    assert predecessors(after) == [before.SOPInstanceUID]
    (study,) = after.PredecessorDocumentsSequence
    assert study.StudyInstanceUID == before.StudyInstanceUID
    assert study.ReferencedSeriesSequence[0].SeriesInstanceUID == before.SeriesInstanceUID
    assert after.SeriesInstanceUID != before.SeriesInstanceUID
    assert not dciodvfy_errors(second)
    assert "Predecessor Docs" in dsr2html(second)
    assert highdicom.sr.srread(second).SOPInstanceUID == after.SOPInstanceUID


def test_the_same_score_again_is_the_same_report(tmp_path: Path) -> None:
    result, other = scored(tmp_path / "ct"), scored_series(ct_series(), tmp_path / "ct", drawing(seed=6))
    first = report_of(result, tmp_path / "first.dcm")
    assert report_of(result, tmp_path / "again.dcm", Predecessor.read(first)).read_bytes() == first.read_bytes()
    second = report_of(other, tmp_path / "second.dcm", Predecessor.read(first))
    again = report_of(other, tmp_path / "again.dcm", Predecessor.read(second))
    assert again.read_bytes() == second.read_bytes()


def test_a_score_that_comes_back_is_a_new_report(tmp_path: Path) -> None:
    """Otherwise the PACS would go on to show the report between them as the newest."""
    result, other = scored(tmp_path / "ct"), scored_series(ct_series(), tmp_path / "ct", drawing(seed=6))
    first = report_of(result, tmp_path / "first.dcm")
    second = report_of(other, tmp_path / "second.dcm", Predecessor.read(first))
    third = pydicom.dcmread(report_of(result, tmp_path / "third.dcm", Predecessor.read(second)))
    assert third.SOPInstanceUID not in {Predecessor.read(file).sop_instance_uid for file in (first, second)}
    assert predecessors(third) == [Predecessor.read(second).sop_instance_uid]


def test_a_task_passes_its_predecessor_on(tmp_path: Path) -> None:
    write(tmp_path / "ct", ct_series())
    first = report_of(scored(tmp_path / "other"), tmp_path / "first.dcm")
    finder = Finder(drawing(seed=6), model_without_file("drawing"))
    job = ScoreJob(finder=finder, rule=LOW_RULE, outputs=("json", "seg", "sr"))
    (study,) = read_studies([tmp_path / "ct"]).studies
    (task,) = tasks_of(study, job, predecessor=Predecessor.read(first))
    outcome = score_and_write(task, tmp_path / "out", job)
    report = pydicom.dcmread(tmp_path / "out" / outcome.folder / "sr.dcm")
    assert predecessors(report) == [Predecessor.read(first).sop_instance_uid]


def test_what_is_no_report_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.dcm").write_text("no DICOM")
    with pytest.raises(ValueError, match=r"x\.dcm"):
        Predecessor.read(tmp_path / "x.dcm")
