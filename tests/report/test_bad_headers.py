"""Odd headers give valid objects, or a clear refusal of that output; never an invalid file, never a lost score."""

import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import Dataset

from ctacal.dicom.header import quiet_pydicom
from ctacal.dicom.objects.origin import cleaned, read_patient_and_study
from ctacal.errors import Code
from ctacal.labels import Calcium
from ctacal.report.outputs import shared_by, write_outputs
from ctacal.report.pdf import report_pdf
from ctacal.result import ScoredStudy
from ctacal.study import score_study
from ctacal.subject import age_years, readable_name, subject_from
from tests.dicom_series import ct_series, study_of, write
from tests.report.pdf_text import text_of
from tests.report.results import LOW_RULE, as_scored, drawing
from tests.tools import dciodvfy_errors, dsr2html

ODD: dict[str, dict[str, Any]] = {
    "no age": {"PatientAge": None},
    "no birth date": {"PatientBirthDate": None, "PatientAge": None},
    "no patient at all": dict.fromkeys(("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge")),
    "no study data": dict.fromkeys(("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName")),
    "no dates": {
        f"{of}{what}": None for of in ("Study", "Series", "Acquisition", "Content") for what in ("Date", "Time")
    },
    "impossible values": {"PatientAge": "abc", "PatientBirthDate": "19501350", "StudyDate": "yesterday",
                          "PatientSex": "female", "StudyTime": "25:61"},
    "no frame of reference": {"FrameOfReferenceUID": None},
    "no slice thickness": {"SliceThickness": None},
    "Japanese": {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう"},
    "Korean": {"SpecificCharacterSet": ["", "ISO 2022 IR 149"], "PatientName": "Hong^Gildong=洪^吉洞=홍^길동"},
    "Chinese, GB18030": {"SpecificCharacterSet": "GB18030", "PatientName": "Wang^XiaoDong=王^小东"},
    "Greek": {"SpecificCharacterSet": "ISO_IR 126", "PatientName": "Διονυσιος"},
    "unknown character set": {"SpecificCharacterSet": "ISO_IR 999", "PatientName": "Müller^Jörg".encode("latin-1")},
    "too many carets": {"PatientName": "A^B^C^D^E^F^G^^H"},
    "only carets": {"PatientName": "^^^^"},
    "too many groups": {"PatientName": "a^b=c^d=e^f=g^h"},
    "control characters": {"PatientName": "Doe\x07^Jo\x1bhn\r\n", "PatientID": "4\x007\t11", "StudyID": "\x01\x02"},
    "a backslash": {"PatientID": "a\\b"},
    "far too long": {"PatientName": "N" * 300 + "^" + "M" * 300, "PatientID": "x" * 500, "StudyID": "y" * 100},
}  # fmt: skip


def odd_study(folder: Path, attributes: dict[str, Any]) -> ScoredStudy:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns when it writes invalid values
        text: dict[str, Any] = {k: v for k, v in attributes.items() if not isinstance(v, bytes)}
        write(folder, ct_series(**text))
        for keyword, value in attributes.items():
            if isinstance(value, bytes):
                _replace_bytes(folder, keyword, value)
        study = study_of(folder)
        return as_scored(score_study(study, drawing((Calcium.LAD,)), rule=LOW_RULE))


def _replace_bytes(folder: Path, keyword: str, value: bytes) -> None:
    """Write bytes that fit no character set, as some devices do."""
    for file in folder.iterdir():
        image = pydicom.dcmread(file)
        image.SpecificCharacterSet = "ISO_IR 100"
        setattr(image, keyword, value.decode("latin-1"))
        image.save_as(file)
        content = file.read_bytes()
        file.write_bytes(content.replace(b"ISO_IR 100", b"ISO_IR 999"))


NAMES = {
    "Japanese": ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田, 太郎, やまだ, たろう)"),
    "Korean": ("Hong^Gildong=洪^吉洞=홍^길동", "Hong, Gildong (洪, 吉洞, 홍, 길동)"),
    "Chinese, GB18030": ("Wang^XiaoDong=王^小东", "Wang, XiaoDong (王, 小东)"),
    "Greek": ("Διονυσιος", "Διονυσιος"),
    "too many carets": ("A^B^C^D^E F G H", "A, B C D E F G H"),
    "only carets": ("", ""),
    "too many groups": ("a^b=c^d=e^f", "a, b (c, d, e, f)"),
    "control characters": ("Doe^John", "Doe, John"),
}


@pytest.mark.parametrize("case", ODD)
def test_what_is_written_is_valid(tmp_path: Path, case: str) -> None:
    """All objects if all of patient and study is odd; otherwise SEG and SR, which take over the same attributes."""
    result = odd_study(tmp_path / "in", ODD[case])
    more = ["dicompdf", "sc"] if case in ("no patient at all", "no study data", "Japanese", "far too long") else []
    written = write_outputs(result, tmp_path / "out", ["seg", "sr", *more], phi=True)
    assert written.reasons == result.reasons
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) == 2 + len(more)
    for file in files:
        assert not dciodvfy_errors(file), file.name
        pydicom.dcmread(file).decode()
    assert dsr2html(tmp_path / "out" / "sr.dcm")
    if case in NAMES:
        _names_keep_what_can_be_kept(result, files, *NAMES[case])


def _names_keep_what_can_be_kept(result: ScoredStudy, files: list[Path], stored: str, read: str) -> None:
    for file in files:
        image = pydicom.dcmread(file)
        assert image.SpecificCharacterSet == "ISO_IR 192"
        assert str(image.PatientName) == stored
    shared = shared_by(result, phi=True)
    assert readable_name(stored) == read == shared.subject.name
    paper = text_of(report_pdf(result, shared.subject, shared.pictures))
    assert read.split(" (")[0] in paper  # the other scripts need a package of poppler's own to be read back


def test_a_missing_frame_of_reference_is_always_replaced_by_the_same(tmp_path: Path) -> None:
    frames = set()
    for name in ("a", "b"):
        result = odd_study(tmp_path / "in", {"FrameOfReferenceUID": None})
        write_outputs(result, tmp_path / name, ["seg"])
        frames.add(pydicom.dcmread(tmp_path / name / "seg.dcm").FrameOfReferenceUID)
    assert len(frames) == 1
    assert frames.pop()


def test_if_an_output_fails_only_that_output_is_missing(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        series = ct_series(SeriesInstanceUID="1.2.x")
        result = as_scored(score_study(study_of(write(tmp_path / "in", series)), drawing(), rule=LOW_RULE))
    written = as_scored(write_outputs(result, tmp_path / "out"))
    assert {reason.code for reason in written.reasons} >= {Code.OUTPUT_NOT_WRITTEN}
    assert written.status == "scored_with_warnings"
    assert written.scores == result.scores
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "result.json", "report.html", "report.pdf", "montage.png",
    }  # fmt: skip
    assert "Part of the output is missing" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("age", "born", "studied", "years"),
    [
        ("062Y", "", "", 62), ("018M", "", "", 1), ("040W", "", "", 0), ("", "19500615", "20240614", 73),
        ("", "19500615", "20240615", 74), ("", "", "20240615", None), ("", "20300101", "20240615", None),
        ("45Y", "", "", 45), ("045y", "", "", 45), ("008M", "", "", 0), ("000Y", "19500615", "20240615", 74),
        ("000Y", "", "", None), ("999Y", "19500615", "20240615", 74), ("999Y", "", "", None), ("45", "", "", None),
        ("062Y", "00000000", "", 62), ("", "18500101", "20240615", None),
    ],
)  # fmt: skip
def test_age(age: str, born: str, studied: str, years: int | None) -> None:
    about = Dataset()
    with quiet_pydicom():
        about.PatientAge, about.PatientBirthDate, about.StudyDate = age, born, studied
    assert age_years(cleaned(about)) == years
    assert subject_from(cleaned(about), phi=False).age_years == years


@pytest.mark.parametrize(
    ("written", "read"), [("F", "F"), ("f", "F"), ("female", "F"), ("Male", "M"), ("O", "O"), ("W", ""), ("", "")]
)
def test_sex(written: str, read: str) -> None:
    about = Dataset()
    with quiet_pydicom():
        about.PatientSex = written
    assert subject_from(cleaned(about), phi=False).sex == read


def test_if_the_files_are_gone_only_what_needs_them_is_missing(tmp_path: Path) -> None:
    result = odd_study(tmp_path / "in", {})
    for file in (tmp_path / "in").iterdir():
        file.unlink()
    with pytest.raises(Exception, match="FILE_UNREADABLE"):
        read_patient_and_study(result.chosen.series.slices[0])
    written = as_scored(write_outputs(result, tmp_path / "out"))
    assert written.scores == result.scores
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "age not recorded" in page
    assert not (tmp_path / "out" / "seg.dcm").exists()
