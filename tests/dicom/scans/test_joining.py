"""A scan that was sent as several series, or with UIDs drawn for each file, is one scan; scans that overlap are not."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from ctacal.dicom.choose import choose_series
from ctacal.errors import Code, Refusal
from tests.dicom_series import (
    Grid,
    assert_truth,
    chest_hu,
    ct_series,
    emission_image,
    intake_of,
    refusal_of,
    store_hu,
    study_of,
    uid,
    volume_of,
    write,
)

ALL_HU = chest_hu(Grid())


def spread(series: list[Dataset], name: Callable[[int], object], *keywords: str) -> list[Dataset]:
    """Give each image the UIDs that belong to its name."""
    for index, image in enumerate(series):
        for keyword in keywords or ("SeriesInstanceUID",):
            setattr(image, keyword, uid(keyword, name(index)))
    return series


def halves(*, cut: int = 7, **upper: Any) -> list[Dataset]:
    """One scan in two series; the images from ``cut`` on differ in further attributes, of which None is left out."""
    series = spread(ct_series(), lambda index: index < cut)
    for image in series[cut:]:
        for keyword, value in upper.items():
            setattr(image, keyword, value)
    return series


def moved(series: Sequence[Dataset], mm: Sequence[float]) -> None:
    for image in series:
        image.ImagePositionPatient = [float(a) + b for a, b in zip(image.ImagePositionPatient, mm, strict=True)]


def assert_whole(folder: Path) -> None:
    volume, notes = volume_of(folder)
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)
    assert notes == [Code.SCAN_JOINED]


@pytest.mark.parametrize("cut", [1, 3, 7, 12])
def test_a_scan_in_two_series_is_one(tmp_path: Path, cut: int) -> None:
    assert_whole(write(tmp_path, halves(cut=cut)))


@pytest.mark.parametrize(
    "upper",
    [
        {"SeriesNumber": 3},
        {"SeriesDescription": "CTAC (2)"},
        {"AcquisitionNumber": 2},
        {"AcquisitionTime": "101200"},
        {"FrameOfReferenceUID": uid("other frame")},
        {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "ADD"]},
        {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0.00005]},
        {"PixelSpacing": ["0.9000004", "0.7000004"]},
        {"ProtocolName": "part 2"},
    ],
    ids=str,
)
def test_what_two_consoles_write_differently_does_not_matter(tmp_path: Path, upper: dict[str, Any]) -> None:
    assert_whole(write(tmp_path, halves(**upper)))


@pytest.mark.parametrize(
    "keywords",
    [
        ("SeriesInstanceUID",),
        ("SeriesInstanceUID", "FrameOfReferenceUID"),
        ("SeriesInstanceUID", "StudyInstanceUID"),
        ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"),
        ("StudyInstanceUID",),
    ],
)
@pytest.mark.parametrize("name", [lambda index: index, lambda index: index % 2, lambda index: index // 5])
def test_uids_drawn_for_each_file_are_one_study_of_one_scan(
    tmp_path: Path, keywords: tuple[str, ...], name: Callable[[int], object]
) -> None:
    folder = write(tmp_path, spread(ct_series(), name, *keywords))
    assert len(intake_of(folder).studies) == 1
    assert_whole(folder)


def test_either_uid_selects_the_scan_which_is_named_by_its_lowest_image(tmp_path: Path) -> None:
    folder = write(tmp_path, halves())
    for lower in (True, False):
        series = choose_series(study_of(folder), uid("SeriesInstanceUID", lower)).series
        assert len(series.slices) == len(ALL_HU)
        assert series.uid == uid("SeriesInstanceUID", True)


def test_two_scans_of_one_place_are_never_joined(tmp_path: Path) -> None:
    """Rest and stress: the same table positions, another series."""
    rest, stress = ct_series(SeriesDescription="CTAC rest"), ct_series(name="stress", SeriesDescription="CTAC stress")
    for image, hu in zip(stress, ALL_HU, strict=True):
        store_hu(image, hu + 1)
    volume, notes = volume_of(write(tmp_path, [*rest, *stress]))
    assert volume.hu.shape == ALL_HU.shape
    assert notes == [Code.SEVERAL_CANDIDATES]


@pytest.mark.parametrize("step_mm", [1.5, 1.0])
def test_two_scans_between_each_other_are_never_joined(tmp_path: Path, step_mm: float) -> None:
    second = ct_series(name="second")
    moved(second, (0, 0, step_mm))
    volume, _ = volume_of(write(tmp_path, [*ct_series(), *second]))
    assert volume.hu.shape == ALL_HU.shape


def test_two_scans_in_two_series_each_are_two_scans(tmp_path: Path) -> None:
    rest = spread(ct_series(SeriesNumber=2), lambda index: ("rest", index < 7))
    stress = spread(ct_series(name="stress", SeriesNumber=5), lambda index: ("stress", index < 7))
    study = study_of(write(tmp_path, [*rest, *stress]))
    assert sorted(len(series.slices) for series in study.series) == [14, 14]


@pytest.mark.parametrize(
    "upper",
    [
        {"AcquisitionTime": "103000"},
        {"ConvolutionKernel": "B70f"},
        {"KVP": "80"},
        {"Manufacturer": "Another"},
        {"FrameOfReferenceUID": uid("other"), "AcquisitionTime": "", "InstanceNumber": 1},
    ],
    ids=str,
)
def test_a_scan_that_goes_on_in_an_unlike_series_is_told(tmp_path: Path, upper: dict[str, Any]) -> None:
    """The patient may have moved in half an hour; two reconstructions are no one scan."""
    volume, notes = volume_of(write(tmp_path, halves(cut=6, **upper)))
    assert len(volume.hu) in (6, 8)
    assert Code.SCAN_GOES_ON in notes


def test_a_scan_that_goes_on_after_a_gap_or_with_an_overlap_is_told(tmp_path: Path) -> None:
    for name, mm in (("gap", (0, 0, 4.5)), ("overlap", (0, 0, -4.5)), ("aside", (0.5, 0, 0))):
        series = halves(cut=6)
        moved(series[6:], mm)
        _, notes = volume_of(write(tmp_path / name, series))
        assert Code.SCAN_GOES_ON in notes


def test_a_short_scan_that_goes_on_in_another_field_of_view_is_told(tmp_path: Path) -> None:
    _, notes = volume_of(write(tmp_path, halves(cut=6, PixelSpacing=[0.8, 0.7])))
    assert Code.SCAN_GOES_ON in notes


def test_another_part_of_the_body_is_no_continuation(tmp_path: Path) -> None:
    """A scan of the legs far below, or of the head in a smaller field of view above a scan of the trunk."""
    for name, upper, mm in (("far", {}, 60.0), ("head", {"PixelSpacing": [0.8, 0.7]}, 0.0)):
        series = ct_series(Grid(slices=70, slice_mm=6.0), SliceThickness="6")
        for image in series[60:]:
            image.SeriesInstanceUID = uid("other")
            for keyword, value in upper.items():
                setattr(image, keyword, value)
        moved(series[60:], (0, 0, mm))
        _, notes = volume_of(write(tmp_path / name, series))
        assert Code.SCAN_GOES_ON not in notes


def test_series_that_share_much_are_not_joined(tmp_path: Path) -> None:
    """Chest and abdomen, each in a breath hold of its own: the heart lies whole in the chest."""
    lower, upper = ct_series()[:9], ct_series(name="upper")[5:]
    volume, notes = volume_of(write(tmp_path, [*lower, *upper]))
    assert len(volume.hu) == 9
    assert Code.SCAN_GOES_ON in notes


def test_a_slice_lost_between_two_series_is_missing_in_the_scan(tmp_path: Path) -> None:
    series = halves()
    del series[7]
    assert refusal_of(write(tmp_path, series)) is Code.MISSING_SLICE
    _, notes = volume_of(tmp_path, fill_gaps=True)
    assert {Code.SCAN_JOINED, Code.SLICES_INTERPOLATED} <= set(notes)


def test_series_that_share_a_border_slice_are_one_scan(tmp_path: Path) -> None:
    lower, upper = ct_series()[:8], ct_series(name="upper")[7:]
    store_hu(upper[0], ALL_HU[7] + 1)
    volume, notes = volume_of(write(tmp_path, [*lower, *upper]))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == [Code.SCAN_JOINED]


def test_two_scans_scattered_over_a_series_for_each_image_get_one_reason(tmp_path: Path) -> None:
    both = [*ct_series(), *ct_series(name="second")]
    for index, image in enumerate(both):
        image.SeriesInstanceUID = uid("series", index)
    with pytest.raises(Refusal, match="28 images are spread over 28 series UIDs") as caught:
        choose_series(study_of(write(tmp_path, both)))
    assert caught.value.reason.code is Code.SCAN_IN_PARTS


def test_two_scattered_scans_that_a_number_tells_apart_are_two_scans(tmp_path: Path) -> None:
    both = [*ct_series(SeriesNumber=2), *ct_series(name="second", SeriesNumber=3)]
    for index, image in enumerate(both):
        image.SeriesInstanceUID = uid("series", index)
    study = study_of(write(tmp_path, both))
    assert [len(series.slices) for series in study.series] == [14, 14]


@pytest.mark.parametrize("other", [{"PatientID": "P2"}, {"PatientName": "Other"}, {"StudyDate": "20240103"}], ids=str)
def test_studies_of_other_patients_or_days_are_never_joined(tmp_path: Path, other: dict[str, str]) -> None:
    series = spread(ct_series(), lambda index: index < 7, "StudyInstanceUID", "SeriesInstanceUID")
    for image in series[7:]:
        for keyword, value in other.items():
            setattr(image, keyword, value)
    assert [len(study.series[0].slices) for study in intake_of(write(tmp_path, series)).studies] == [7, 7]


def test_two_studies_of_one_day_stay_two(tmp_path: Path) -> None:
    first, second = ct_series(), ct_series(name="second", StudyInstanceUID=uid("second study"))
    assert len(intake_of(write(tmp_path, [*first, *second])).studies) == 2


def test_the_emission_scan_stays_with_the_joined_scan(tmp_path: Path) -> None:
    series = spread(ct_series(), lambda index: index < 7, "StudyInstanceUID", "SeriesInstanceUID")
    emission = emission_image(StudyInstanceUID=uid("StudyInstanceUID", False))
    (study,) = intake_of(write(tmp_path, [emission, *series])).studies
    assert [one.header.modality for one in study.series] == ["CT", "NM"]
    assert study.uid == uid("StudyInstanceUID", True)


def test_a_scan_that_goes_on_in_another_study_of_the_day_is_told(tmp_path: Path) -> None:
    series = spread(ct_series(), lambda index: index < 7, "StudyInstanceUID", "SeriesInstanceUID")
    for image in series[7:]:
        image.AcquisitionTime = "103000"
    studies = intake_of(write(tmp_path, series)).studies
    assert [[note.code for note in study.series[0].notes] for study in studies] == [[Code.SCAN_GOES_ON]] * 2
    assert "another study" in studies[0].series[0].notes[0].message
    assert studies[1].uid not in studies[0].series[0].notes[0].message  # pseudonymised results name no other study
