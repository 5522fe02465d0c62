"""Two scans under one series UID are refused by date, time, equipment or numbers, wherever their slices lie."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from ctacal.errors import Code, Refusal
from tests.dicom_series import Grid, ct_series, refusal_of, uid, volume_of, write

GRID = Grid()


def second_scan(offset_mm: float, **attributes: Any) -> list[Dataset]:
    """A scan with the UIDs of ``ct_series()``, ``offset_mm`` above it."""
    images = ct_series(**attributes)
    for index, image in enumerate(images):
        image.SOPInstanceUID = uid("second scan", index)
        x, y, z = GRID.position_mm(index)
        image.ImagePositionPatient = [x, y, round(z + offset_mm, 6)]
    return images


PLACES = pytest.mark.parametrize("offset_mm", [GRID.slices * GRID.slice_mm, GRID.slice_mm / 2, 0.0])
DIFFERENCES = pytest.mark.parametrize(
    "attributes",
    [
        {"AcquisitionTime": "153000"},
        {"AcquisitionDate": "20250102"},
        {"AcquisitionDate": "", "AcquisitionTime": "", "StudyDate": "20240315"},
        {"AcquisitionDate": "", "AcquisitionTime": "", "StudyTime": "113000"},
        {"KVP": "100"},
        {"DeviceSerialNumber": "2"},
        {"ManufacturerModelName": "other"},
        {"PatientWeight": "91"},
    ],
    ids=str,
)


@PLACES
@DIFFERENCES
def test_two_scans_under_one_uid_are_refused(tmp_path: Path, offset_mm: float, attributes: dict[str, Any]) -> None:
    without: dict[str, Any] = {key: "" for key, value in attributes.items() if not value}
    first = ct_series(**without)
    for image in first:
        image.PatientWeight = "70"
    images = [*first, *second_scan(offset_mm, **{"PatientWeight": "70", **attributes})]
    assert refusal_of(write(tmp_path, images)) is Code.TWO_SCANS


def test_the_reason_names_what_differs_and_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, [*ct_series(), *second_scan(1.5, KVP="100", AcquisitionTime="153000")])
    with pytest.raises(Refusal, match=r"differ in tube voltage and acquisition time: .*; separate them"):
        volume_of(tmp_path)


def test_scans_between_each_other_are_refused_by_their_numbers_alone(tmp_path: Path) -> None:
    assert refusal_of(write(tmp_path, [*ct_series(), *second_scan(1.5)])) is Code.TWO_SCANS


def test_no_image_of_scans_above_each_other_is_left_out(tmp_path: Path) -> None:
    scans = ct_series(), second_scan(GRID.slices * GRID.slice_mm)
    for index, pair in enumerate(zip(*scans, strict=True)):
        for image in pair:
            image.AcquisitionTime = f"1011{index:02}"
    volume, _ = volume_of(write(tmp_path, [*scans[0], *scans[1]]))
    assert volume.geometry.shape[0] == 2 * GRID.slices


def test_scans_of_two_days_that_acquisition_number_parts_are_refused(tmp_path: Path) -> None:
    later = second_scan(0.0, AcquisitionNumber=2, AcquisitionDate="20250102")
    assert refusal_of(write(tmp_path, [*ct_series(), *later])) is Code.TWO_SCANS


def test_two_examinations_under_one_study_uid_are_refused_unless_one_is_requested(tmp_path: Path) -> None:
    rest = ct_series(name="rest")
    write(tmp_path / "1", rest)
    write(tmp_path / "2", ct_series(name="next year", AcquisitionDate="20250102"))
    with pytest.raises(Refusal, match="366 days apart"):
        volume_of(tmp_path)
    assert volume_of(tmp_path, wanted_uid=rest[0].SeriesInstanceUID)[0].geometry.shape[0] == GRID.slices


def test_rest_and_stress_on_two_days_are_one_study(tmp_path: Path) -> None:
    write(tmp_path / "1", ct_series(name="rest"))
    write(tmp_path / "2", ct_series(name="stress", AcquisitionDate="20240104"))
    assert volume_of(tmp_path)[1] == [Code.SEVERAL_CANDIDATES]


def at_times(times: Callable[[int], str], **attributes: Any) -> list[Dataset]:
    images = ct_series(**attributes)
    for index, image in enumerate(images):
        image.AcquisitionTime = times(index)
    return images


@pytest.mark.parametrize(
    "times",
    [
        lambda index: f"1011{index:02}.5",
        lambda index: f"10{11 + index:02}00",
        lambda index: f"10{11 + 2 * (index > 6):02}00",
        lambda index: "235959.9" if index < 7 else "000003",
        lambda index: f"{index:02}0000",
        lambda index: "",
    ],
    ids=["helix", "slow steps", "two passes", "midnight", "made up for each image", "none"],
)
def test_the_times_of_one_scan_are_accepted(tmp_path: Path, times: Callable[[int], str]) -> None:
    assert volume_of(write(tmp_path, at_times(times)))[1] == []


@pytest.mark.parametrize("attribute", ["KVP", "DeviceSerialNumber", "PatientWeight"])
def test_a_value_that_some_images_lack_is_accepted(tmp_path: Path, attribute: str) -> None:
    images = ct_series(PatientWeight="70")
    for image in images[:5]:
        delattr(image, attribute)
    assert volume_of(write(tmp_path, images))[1] == []


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("KVP", ("119.4", "120.3")),
        ("PatientWeight", ("72.5", "72.57")),
        ("Manufacturer", ("GE", "GE MEDICAL SYSTEMS")),
        ("Manufacturer", ("SIEMENS", "Siemens Healthineers")),
        ("DeviceSerialNumber", ("000123", "123")),
        ("StudyTime", ("101000", "")),
    ],
)
def test_values_that_are_one_in_other_words_are_one_scan(tmp_path: Path, keyword: str, values: tuple[str, str]) -> None:
    images = ct_series()
    for index, image in enumerate(images):
        setattr(image, keyword, values[index % 2])
    assert volume_of(write(tmp_path, images))[1] == []


def test_a_date_that_stands_for_none_makes_no_second_examination(tmp_path: Path) -> None:
    write(tmp_path / "1", ct_series(name="rest"))
    write(tmp_path / "2", ct_series(name="stress", AcquisitionDate="19000101", StudyDate="19000101"))
    assert volume_of(tmp_path)[1] == [Code.SEVERAL_CANDIDATES]
