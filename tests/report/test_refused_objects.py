"""A refused study in the PACS: its reasons as encapsulated PDF and as secondary capture, filed with its patient."""

from pathlib import Path
from typing import Any

import pydicom
from pydicom import Dataset

from ctacal.errors import Code
from ctacal.report.outputs import are_written, write_outputs
from ctacal.result import RefusedStudy, StudyResult
from ctacal.study import score_study
from tests.dicom_series import ct_series, study_of, write
from tests.report.pdf_text import text_of
from tests.report.results import LOW_RULE, drawing
from tests.tools import dciodvfy_errors

KINDS = ("dicompdf", "sc", "seg", "sr", "json")
FILES = ("report_pdf.dcm", "montage.dcm")


def with_a_gap(**attributes: Any) -> list[Dataset]:
    series = ct_series(**attributes)
    del series[6]
    return series


def refused(folder: Path, series: list[Dataset]) -> StudyResult:
    return score_study(study_of(write(folder, series)), drawing(), rule=LOW_RULE)


def test_a_refused_study_has_both_and_they_are_valid(tmp_path: Path) -> None:
    series = with_a_gap(PatientName="Zyx^Wvu", PatientID="4711", AccessionNumber="A1")
    result = write_outputs(refused(tmp_path / "ct", series), tmp_path / "out", KINDS, phi=True)
    assert isinstance(result, RefusedStudy)
    assert {file.name for file in (tmp_path / "out").iterdir()} == {*FILES, "result.json"}
    for name in FILES:
        made = pydicom.dcmread(tmp_path / "out" / name)
        for keyword in ("StudyInstanceUID", "PatientName", "PatientID", "PatientBirthDate", "AccessionNumber"):
            assert made[keyword].value == series[0][keyword].value, (name, keyword)
        assert made.SeriesDescription == "Coronary calcium: not scored"
        assert not dciodvfy_errors(tmp_path / "out" / name)
    text = text_of(pydicom.dcmread(tmp_path / "out" / FILES[0]).EncapsulatedDocument)
    assert "Not scored" in text
    assert "Zyx" in text


def test_refused_twice_gives_the_same_bytes_and_other_reasons_other_uids(tmp_path: Path) -> None:
    for name, series in (("a", with_a_gap()), ("b", with_a_gap()), ("c", with_a_gap()[1:])):
        write_outputs(refused(tmp_path / "ct" / name, series), tmp_path / name, KINDS)
    for file in FILES:
        first, again, other = (tmp_path / name / file for name in "abc")
        assert first.read_bytes() == again.read_bytes()
        assert pydicom.dcmread(first).SOPInstanceUID != pydicom.dcmread(other).SOPInstanceUID


def test_a_study_of_several_patients_has_neither(tmp_path: Path) -> None:
    series = ct_series(PatientID="1", PatientName="A") + ct_series(name="other", PatientID="2", PatientName="B")
    result = write_outputs(refused(tmp_path / "ct", series), tmp_path / "out", KINDS)
    messages = [reason.message for reason in result.reasons]
    assert result.reasons[-1].code is Code.MIXED_PATIENTS, "still why it was refused"
    assert [message.split(":")[0] for message in messages[:2]] == ["no dicompdf", "no sc"]
    assert are_written(tmp_path / "out", KINDS, messages, scored=False)
