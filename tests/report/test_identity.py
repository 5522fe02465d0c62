"""Every DICOM object carries what a PACS files it by: the patient and the study of the images."""

from pathlib import Path
from typing import Any

import pydicom

from ctacal.report.outputs import write_outputs
from ctacal.report.pseudonyms import Pseudonymiser
from tests.dicom_series import ct_series, study_of
from tests.report.results import scored_series
from tests.tools import dciodvfy_errors

KINDS = {
    "seg": "seg.dcm",
    "sr": "sr.dcm",
    "sc": "montage.dcm",
    "dicompdf": "report_pdf.dcm",
    "labelmap": "labelmap.dcm",
}
IDENTITY: dict[str, Any] = {
    "PatientName": "Zyx^Wvu", "PatientID": "4711", "IssuerOfPatientID": "St. Elsewhere", "PatientBirthDate": "19500102",
    "PatientSex": "F", "StudyID": "17", "AccessionNumber": "A1", "StudyDate": "20260102", "StudyTime": "101112",
    "StudyDescription": "Rest and stress", "ReferringPhysicianName": "Who^Doctor",
}  # fmt: skip


def test_patient_and_study_are_those_of_the_images(tmp_path: Path) -> None:
    images = ct_series(**IDENTITY)
    write_outputs(scored_series(images, tmp_path / "ct"), tmp_path / "out", KINDS, phi=True)
    for kind, file in KINDS.items():
        made = pydicom.dcmread(tmp_path / "out" / file)
        assert {keyword: str(made[keyword].value) for keyword in IDENTITY} == IDENTITY, kind
        assert made.StudyInstanceUID == images[0].StudyInstanceUID
        assert made.SeriesInstanceUID != images[0].SeriesInstanceUID
        assert kind == "labelmap" or not dciodvfy_errors(tmp_path / "out" / file)


def test_a_pseudonym_has_no_issuer(tmp_path: Path) -> None:
    pseudonymiser = Pseudonymiser(b"x" * 32)
    result = scored_series(ct_series(**IDENTITY), tmp_path / "ct")
    hidden = pseudonymiser.result(result, study_of(tmp_path / "ct"))
    write_outputs(hidden, tmp_path / "out", KINDS, pseudonymiser=pseudonymiser)
    for file in KINDS.values():
        made = pydicom.dcmread(tmp_path / "out" / file)
        assert "IssuerOfPatientID" not in made
        assert made.PatientID not in ("", IDENTITY["PatientID"])
