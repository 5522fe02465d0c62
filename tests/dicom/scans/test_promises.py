"""Scans that are regular but incomplete: what the headers promise is held against the images that are here."""

from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from ctacal.dicom.choose import choose_series
from ctacal.errors import Code
from tests.dicom_series import Grid, ct_series, emission_image, enhanced_ct, refusal_of, study_of, uid, volume_of, write


def renumbered(images: list[Dataset], first: int = 1, step: int = 1) -> list[Dataset]:
    for index, image in enumerate(images):
        image.InstanceNumber = first + step * index
    return images


def long_series(**attributes: Any) -> list[Dataset]:
    """28 slices, so that a half is still a scan."""
    return ct_series(Grid(slices=28), **attributes)


def codes(folder: Path, *images: Dataset) -> list[Code]:
    return volume_of(write(folder, images))[1]


@pytest.mark.parametrize("step", [2, 3, 4])
@pytest.mark.parametrize("first", [0, 1])
def test_every_second_slice_is_refused_by_numbers_and_thickness(tmp_path: Path, step: int, first: int) -> None:
    assert refusal_of(write(tmp_path, long_series()[first::step])) is Code.MISSING_SLICE


@pytest.mark.parametrize(
    "lacking", ["InstanceNumber", "SliceThickness", "ImagesInAcquisition", "SpacingBetweenSlices", "AcquisitionNumber"]
)
def test_any_two_promises_prove_the_loss(tmp_path: Path, lacking: str) -> None:
    series = long_series(ImagesInAcquisition=28, SpacingBetweenSlices=-3)
    for image in series:
        delattr(image, lacking)
    assert refusal_of(write(tmp_path, series[::2])) is Code.MISSING_SLICE


@pytest.mark.parametrize("numbers", [{"first": 1, "step": -1}, {"first": 700}, {"first": 0, "step": 0}])
def test_thin_slices_far_apart_are_told(tmp_path: Path, numbers: dict[str, int]) -> None:
    assert codes(tmp_path, *renumbered(long_series()[::2], **numbers)) == [Code.SLICES_APART]


def test_half_of_an_overlapping_scan_is_told(tmp_path: Path) -> None:
    assert codes(tmp_path, *long_series(SliceThickness="6")[::2]) == [Code.INCOMPLETE_SERIES]


def test_spacing_between_slices_that_is_half_the_distance_is_told(tmp_path: Path) -> None:
    images = renumbered(long_series(SliceThickness="6", SpacingBetweenSlices="3")[::2])
    assert codes(tmp_path, *images) == [Code.INCOMPLETE_SERIES]


def test_a_number_beyond_all_sense_costs_nothing(tmp_path: Path) -> None:
    images = long_series(SliceThickness="6")[::2]
    images[-1].InstanceNumber = 2**31 - 1
    assert codes(tmp_path, *images) == [Code.INCOMPLETE_SERIES]


def test_numbers_between_that_belong_to_another_reconstruction_are_no_loss(tmp_path: Path) -> None:
    smooth, sharp = renumbered(ct_series(), 1, 2), renumbered(ct_series(ConvolutionKernel="B70f"), 2, 2)
    for image in sharp:
        image.SOPInstanceUID = uid("sharp", image.InstanceNumber)
    assert Code.INCOMPLETE_SERIES not in codes(tmp_path, *smooth, *sharp)


@pytest.mark.parametrize("kept", [slice(0, 9), slice(5, None), slice(1, None)])
@pytest.mark.parametrize("promise", ["ImagesInAcquisition", "NumberOfSeriesRelatedInstances"])
def test_a_transfer_that_broke_off_is_told(tmp_path: Path, kept: slice, promise: str) -> None:
    promised: dict[str, Any] = {promise: 14}
    assert codes(tmp_path, *ct_series(**promised)[kept]) == [Code.INCOMPLETE_SERIES]


@pytest.mark.parametrize(("first", "told"), [(5, True), (7, True), (1, False), (3, False), (62, False), (0, False)])
def test_numbers_that_begin_a_little_late_are_told(tmp_path: Path, first: int, told: bool) -> None:
    assert codes(tmp_path, *renumbered(ct_series(), first)) == [Code.INCOMPLETE_SERIES] * told


def test_first_numbers_that_another_series_has_are_no_loss(tmp_path: Path) -> None:
    others = ct_series(name="other", SeriesDescription="Thorax", Exposure="200", ConvolutionKernel="B70f")[:6]
    assert codes(tmp_path, *others, *renumbered(ct_series(), 7)) == []


def test_each_of_two_series_that_make_one_scan_keeps_its_promise(tmp_path: Path) -> None:
    series = ct_series(NumberOfSeriesRelatedInstances=7)
    for image in series[7:]:
        image.SeriesInstanceUID = uid("upper")
    assert Code.INCOMPLETE_SERIES not in codes(tmp_path / "whole", *series)
    assert Code.INCOMPLETE_SERIES in codes(tmp_path / "short", *series[:-2])


def test_the_studys_count_tells_a_large_loss_alone(tmp_path: Path) -> None:
    series = ct_series(NumberOfStudyRelatedInstances=15)
    assert codes(tmp_path / "1", *series[:9], emission_image()) == [Code.INCOMPLETE_SERIES]
    assert codes(tmp_path / "2", *series, emission_image()) == []
    assert codes(tmp_path / "3", *series) == [], "other objects of the study may be left out"
    for image in series:
        image.NumberOfStudyRelatedInstances = 2836
    assert codes(tmp_path / "4", *series) == [], "a part of a large study may be sent alone"


def test_a_complete_scan_keeps_its_promises(tmp_path: Path) -> None:
    series = ct_series(ImagesInAcquisition=14, NumberOfSeriesRelatedInstances=14, SpacingBetweenSlices=3)
    assert codes(tmp_path, *renumbered(series, 62)) == []


def test_a_promise_of_all_reconstructions_is_kept_by_them_together(tmp_path: Path) -> None:
    both = ct_series(ImagesInAcquisition=28), ct_series(name="sharp", ConvolutionKernel="B70f", ImagesInAcquisition=28)
    assert Code.INCOMPLETE_SERIES not in codes(tmp_path, *both[0], *both[1])


@pytest.mark.parametrize("promised", [2, 14])
def test_table_steps_promise_their_own_images_or_all(tmp_path: Path, promised: int) -> None:
    series = ct_series(ImagesInAcquisition=promised)
    for index, image in enumerate(series):
        image.AcquisitionNumber = index // 2
    assert codes(tmp_path / "whole", *series) == []
    assert codes(tmp_path / "short", *series[:-1]) == [Code.INCOMPLETE_SERIES]


def test_counts_that_differ_from_image_to_image_promise_nothing(tmp_path: Path) -> None:
    series = ct_series()
    for image in series:
        image.ImagesInAcquisition = image.InstanceNumber
    assert codes(tmp_path, *series[:9]) == []


def test_half_of_the_frames_is_told_by_thickness(tmp_path: Path) -> None:
    assert Code.SLICES_APART in codes(tmp_path, enhanced_ct(long_series()[::2]))


@pytest.mark.parametrize("thickness", ["3", "2.5", "5", "0", None])
def test_usual_thickness_is_no_loss(tmp_path: Path, thickness: str | None) -> None:
    assert codes(tmp_path, *ct_series(SliceThickness=thickness)) == []


def test_images_with_one_instance_uid_are_counted_by_their_places(tmp_path: Path) -> None:
    series = ct_series(ImagesInAcquisition=14, NumberOfSeriesRelatedInstances=14, SOPInstanceUID=uid("one"))
    assert codes(tmp_path / "whole", *series) == []
    assert codes(tmp_path / "short", *series[:-1]) == [Code.INCOMPLETE_SERIES]


def test_a_promise_is_told_once(tmp_path: Path) -> None:
    series = write(tmp_path, ct_series(ImagesInAcquisition=28, SliceThickness=None))
    choice = choose_series(study_of(series))
    assert [note.message.count("Images in Acquisition") for note in choice.stack.notes] == [1]
