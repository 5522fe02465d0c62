"""One patient written in two ways is scored with a note; several patients are refused; nobody is named."""

from pathlib import Path
from typing import Any

import pytest

from ctacal.dicom.choose import choose_series
from ctacal.errors import Code, Refusal
from tests.dicom_series import ct_series, emission_image, study_of, write

CT: dict[str, Any] = {
    "PatientID": "P-0012345",
    "PatientName": "Müller^Eva Maria",
    "PatientBirthDate": "19500317",
    "PatientSex": "F",
    "PatientAge": "073Y",
}


def study_codes(folder: Path, ct: dict[str, Any], emission: dict[str, Any]) -> list[Code]:
    """Return the codes of the notes, or of the refusal, of a CT and an emission scan in one study."""
    write(folder, [*ct_series(**{**CT, **ct}), emission_image(**{**CT, **emission})])
    try:
        return [note.code for note in choose_series(study_of(folder)).notes]
    except Refusal as refusal:
        for secret in (CT["PatientID"], "ller", "1950", *map(str, emission.values())):
            assert len(secret) < 2 or secret not in refusal.reason.message
        return [refusal.reason.code]


@pytest.mark.parametrize(
    "same",
    [
        {},
        {"PatientName": "MUELLER^EVA"},
        {"PatientName": "Muller, Eva Maria"},
        {"PatientName": "Müller^Eva Maria^^Dr.^"},
        {"PatientName": "EVA MARIA MÜLLER"},
        {"PatientName": "", "PatientBirthDate": "", "PatientSex": "O", "PatientAge": ""},
        {"PatientID": "", "PatientName": "ANONYMOUS"},
        {"PatientAge": "074Y"},
        {"PatientBirthDate": "19500101"},
        {"PatientID": "", "PatientBirthDate": "19000101"},
        {"PatientAge": "000Y"},
    ],
)
def test_the_same_patient_needs_no_note(tmp_path: Path, same: dict[str, Any]) -> None:
    assert study_codes(tmp_path, {}, same) == []


@pytest.mark.parametrize("written", ["P0012345", "p-0012345", " P-12345", "P 0012345", "0012345", "12345^^^HOSPITAL"])
def test_an_id_written_in_two_ways_is_told(tmp_path: Path, written: str) -> None:
    assert study_codes(tmp_path, {}, {"PatientID": written}) == [Code.PATIENT_DATA_DIFFER]


@pytest.mark.parametrize(
    "other",
    [
        {"PatientID": "P-0012346"},
        {"PatientID": "Q-0012345"},
        {"PatientID": "P-00123450"},
        {"PatientID": "P-0012345-2"},
        {"PatientID": "P0012345", "PatientSex": "M"},
        {"PatientID": "0012345", "PatientName": "", "PatientBirthDate": ""},
        {"PatientSex": "M", "PatientBirthDate": "19600101"},
    ],
)
def test_another_patient_is_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    assert study_codes(tmp_path, {}, other) == [Code.MIXED_PATIENTS]


@pytest.mark.parametrize("patient_id", ["", "ANON", "000000", "X"])
@pytest.mark.parametrize(
    "other",
    [
        {"PatientName": "Schmidt^Eva"},
        {"PatientSex": "M"},
        {"PatientBirthDate": "19500318"},
        {"PatientBirthDate": "", "PatientAge": "052Y"},
    ],
)
def test_patients_without_id_are_told_apart_by_the_rest(tmp_path: Path, patient_id: str, other: dict[str, Any]) -> None:
    ids = {"PatientID": patient_id}
    assert study_codes(tmp_path, ids, {**ids, **other}) == [Code.MIXED_PATIENTS]


def test_a_typing_error_beside_an_equal_id_is_told(tmp_path: Path) -> None:
    assert study_codes(tmp_path, {}, {"PatientSex": "M"}) == [Code.PATIENT_DATA_DIFFER]


def test_two_patients_within_one_series_are_refused(tmp_path: Path) -> None:
    series = ct_series(PatientID="", PatientName="", PatientBirthDate="19000101")
    for image in series[6:]:
        image.PatientAge = "051Y"
    with pytest.raises(Refusal) as caught:
        choose_series(study_of(write(tmp_path, series)))
    assert caught.value.reason.code is Code.MIXED_PATIENTS
    assert "age" in caught.value.reason.message


def test_names_in_two_scripts_are_not_compared(tmp_path: Path) -> None:
    japanese = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Yamada^Tarou=山田^太郎"}
    other = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "山田^太郎"}
    assert study_codes(tmp_path / "same", japanese, other) == []
    assert study_codes(tmp_path / "latin", japanese, {"PatientName": "Yamada^Tarou"}) == []
    assert study_codes(tmp_path / "other", {"PatientName": "Yamada^Tarou", "PatientID": ""}, other) == []
