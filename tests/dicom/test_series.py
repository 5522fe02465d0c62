"""One scan stays one scan, whatever differs among its images' words; images that are no one scan are taken apart."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import JPEG2000Lossless

from ctacal.dicom.choose import candidates, choose_series
from ctacal.errors import Code, Refusal
from ctacal.jobs.resume import input_digest
from tests.dicom_series import (
    Grid,
    assert_truth,
    chest_hu,
    ct_series,
    enhanced_ct,
    refusal_of,
    store_hu,
    store_values,
    study_of,
    uid,
    values_of,
    volume_of,
    write,
)

ALL_HU = chest_hu(Grid())
HALVES, ALTERNATELY = (lambda index: index < 7), (lambda index: index % 2 == 0)
Choice = Callable[[int], bool]


def differing(chosen: Choice, **attributes: Any) -> list[Dataset]:
    """A series of which some images differ in ``attributes``; None leaves an element out."""
    series = ct_series()
    for index, image in enumerate(series):
        for keyword, value in attributes.items() if chosen(index) else ():
            if value is None:
                delattr(image, keyword)
            else:
                setattr(image, keyword, value)
    return series


def assert_whole(folder: Path, *notes: Code) -> None:
    """Assert that all slices are read as one scan, with these notes alone."""
    volume, found = volume_of(folder)
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)
    assert found == list(notes)


@pytest.mark.parametrize("chosen", [HALVES, ALTERNATELY], ids=["halves", "alternately"])
@pytest.mark.parametrize(
    "attributes",
    [
        {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "ADD"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]},
        {"ImageType": ["ORIGINAL", "PRIMARY"]},
        {"ImageType": None},
        {"ConvolutionKernel": "b30f "},
        {"ConvolutionKernel": None},
        {"ConvolutionKernel": ["B30f", "3"]},
        {"FrameOfReferenceUID": None},
        {"SliceThickness": "3.0000"},
        {"SliceThickness": None},
        {"SeriesDescription": "CTAC (2)"},
        {"SeriesNumber": 7},
        {"ProtocolName": "Heart"},
        {"KVP": "120.0"},
        {"PixelSpacing": ["0.9000000001", "0.69999999"]},
        {"PixelSpacing": ["0.9000004", "0.7000004"]},
        {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0.00005]},
        {"ImageOrientationPatient": [1, 0, 0, 0, 1, "-0.0"]},
        {"ImageOrientationPatient": [1, 0.00005, 0, -0.00005, 1, 0]},
        {"AcquisitionTime": "101114"},
        {"ContentTime": "101114.5"},
        {"AcquisitionNumber": None},
    ],
    ids=str,
)
def test_words_and_last_digits_take_no_scan_apart(tmp_path: Path, chosen: Choice, attributes: dict[str, Any]) -> None:
    assert_whole(write(tmp_path, differing(chosen, **attributes)))


def test_values_that_drift_across_a_rounding_boundary_are_one_scan(tmp_path: Path) -> None:
    """Neighbours differ by less than the last digit that matters, the ends by more."""
    series = ct_series()
    for index, image in enumerate(series):
        image.ImageOrientationPatient = [1, -0.0, 7e-5 * index, 0.0, 1, 0.00005 + 1e-7 * (index - 7)]
        image.PixelSpacing = [0.90005 + 1e-6 * (index - 7), 0.7]
    volume, notes = volume_of(write(tmp_path, series))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == []


@pytest.mark.parametrize(
    "attributes",
    [
        lambda index: {"FrameOfReferenceUID": uid("frame", index)},
        lambda index: {"FrameOfReferenceUID": uid("frame", index < 7)},
        lambda index: {"ImageType": ["DERIVED" if index > 9 else "ORIGINAL", "PRIMARY", "AXIAL"]},
    ],
    ids=["frame per slice", "two frames", "some derived"],
)
def test_a_grid_with_several_frames_of_reference_is_one_scan_with_a_note(
    tmp_path: Path, attributes: Callable[[int], dict[str, Any]]
) -> None:
    series = ct_series()
    for index, image in enumerate(series):
        for keyword, value in attributes(index).items():
            setattr(image, keyword, value)
    assert_whole(write(tmp_path, series), Code.SCAN_JOINED)


@pytest.mark.parametrize("chosen", [HALVES, ALTERNATELY], ids=["halves", "alternately"])
@pytest.mark.parametrize(
    "attributes",
    [
        {"ConvolutionKernel": "B70f"},
        {"ImageOrientationPatient": [-1, 0, 0, 0, -1, 0]},
        {"ImageOrientationPatient": [1, 0, 0, 0, -1, 0]},
        {"ImageOrientationPatient": [0, 1, 0, -1, 0, 0]},
        {"PixelSpacing": [1.2, 1.2]},
    ],
    ids=str,
)
def test_a_piece_of_a_scan_is_never_scored(tmp_path: Path, chosen: Choice, attributes: dict[str, Any]) -> None:
    assert refusal_of(write(tmp_path, differing(chosen, **attributes))) is Code.SCAN_IN_PARTS


def test_a_turned_slice_between_the_others_is_named(tmp_path: Path) -> None:
    """It is not missing, and must not be interpolated."""
    folder = write(tmp_path, differing(lambda index: index == 6, ImageOrientationPatient=[1, 0, 0, 0, -1, 0]))
    with pytest.raises(Refusal, match=r"Image Orientation"):
        volume_of(folder, fill_gaps=True)


def test_a_stray_slice_at_the_end_is_told(tmp_path: Path) -> None:
    _, notes = volume_of(write(tmp_path, differing(lambda index: index == 13, PixelSpacing=[0.8, 0.8])))
    assert {Code.SERIES_SPLIT, Code.SCAN_GOES_ON} <= set(notes)


def passes(*, shared: int, cut: int = 7, number: str = "AcquisitionNumber") -> list[Dataset]:
    """Two passes that both have the ``shared`` slices from ``cut`` on; the second's images of them are others."""
    lower, upper = ct_series()[: cut + shared], ct_series()[cut:]
    for index, image in enumerate(upper):
        setattr(image, number, {"AcquisitionNumber": 2}.get(number, "101120"))
        image.SOPInstanceUID = uid("second pass", index)
        if index < shared:
            values = values_of(image)
            values[0, 0] += 1
            store_values(image, values)
    return [*lower, *upper]


@pytest.mark.parametrize("number", ["AcquisitionNumber", "AcquisitionTime", "ContentTime"])
@pytest.mark.parametrize(("shared", "cut"), [(1, 7), (1, 3), (1, 12), (2, 6), (3, 6)])
def test_passes_that_share_their_border_are_one_scan(tmp_path: Path, number: str, shared: int, cut: int) -> None:
    volume, notes = volume_of(write(tmp_path, passes(shared=shared, cut=cut, number=number)))
    assert_truth(volume)
    assert volume.hu.shape == ALL_HU.shape
    assert np.abs(volume.hu.astype(int) - ALL_HU).max() <= 1
    assert notes == [Code.SCAN_JOINED]


def test_passes_off_each_others_grid_are_refused(tmp_path: Path) -> None:
    series = passes(shared=2)
    for image in series:
        if image.AcquisitionNumber == 2:
            x, y, z = image.ImagePositionPatient
            image.ImagePositionPatient = [x, y, float(z) + 1.3]
    assert refusal_of(write(tmp_path, series)) is Code.SCAN_IN_PARTS


def phases(*names: dict[str, Any], step_mm: float = 0.0) -> list[Dataset]:
    """Scans of the same places, or each ``step_mm`` above the former, that differ in the named attributes."""
    images = []
    for number, attributes in enumerate(names):
        for index, (image, hu) in enumerate(zip(ct_series(), ALL_HU, strict=True)):
            for keyword, value in attributes.items():
                setattr(image, keyword, value)
            image.SOPInstanceUID, image.InstanceNumber = uid("phase", number, index), 100 * number + index
            x, y, z = image.ImagePositionPatient
            image.ImagePositionPatient = [x, y, float(z) + number * step_mm]
            store_hu(image, np.roll(hu, number, 0))
            images.append(image)
    return images


@pytest.mark.parametrize("step_mm", [0.0, 1.0])
@pytest.mark.parametrize(
    "names",
    [
        [{"AcquisitionNumber": number} for number in (1, 2, 3)],
        [{"TemporalPositionIdentifier": number} for number in (1, 2, 3)],
        [{"NominalPercentageOfCardiacPhase": number} for number in (0, 40, 70)],
        [{"AcquisitionTime": time} for time in ("101112", "101113", "101114")],
        [{"ContentTime": time} for time in ("101112.10", "101112.20", "101112.30")],
    ],
    ids=str,
)
def test_phases_are_taken_apart_and_called_phases(tmp_path: Path, names: list[dict[str, Any]], step_mm: float) -> None:
    choice = choose_series(study_of(write(tmp_path, phases(*names, step_mm=step_mm))))
    assert len(choice.series.slices) == len(ALL_HU)
    (note,) = (note for note in choice.series.notes if note.code is Code.SERIES_SPLIT)
    assert "phases" in note.message


@pytest.mark.parametrize("keyword", ["ImageOrientationPatient", "ImagePositionPatient"])
@pytest.mark.parametrize("chosen", [HALVES, ALTERNATELY], ids=["halves", "alternately"])
def test_images_without_a_place_may_belong_anywhere(tmp_path: Path, chosen: Choice, keyword: str) -> None:
    folder = write(tmp_path, differing(chosen, **{keyword: None}))
    assert refusal_of(folder) in (Code.NO_SCORABLE_SERIES, Code.NO_GEOMETRY)


def test_phases_between_each_other_that_only_numbers_tell_apart_are_refused(tmp_path: Path) -> None:
    """Images 0-13, 100-113 and 200-213 alternate on an even grid of 1 mm."""
    images = phases({}, {}, {}, step_mm=1.0)
    numbers = {number: index for index, number in enumerate(sorted(image.InstanceNumber for image in images))}
    for image in images:
        image.InstanceNumber = numbers[image.InstanceNumber]
    assert refusal_of(write(tmp_path, images)) is Code.SEVERAL_PHASES


def test_overlapping_slices_in_one_order_are_one_scan(tmp_path: Path) -> None:
    grid = Grid(slice_mm=1.5)
    volume, notes = volume_of(write(tmp_path, ct_series(grid)[::-1]))
    assert_truth(volume, grid)
    assert notes == []


def test_frames_of_several_stacks_between_each_other_are_refused(tmp_path: Path) -> None:
    whole = enhanced_ct(phases({}, {}, {}, step_mm=1.0))
    for index, macros in enumerate(whole.PerFrameFunctionalGroupsSequence):
        content = Dataset()
        content.StackID = str(1 + index // len(ALL_HU))
        macros.FrameContentSequence = [content]
    assert refusal_of(write(tmp_path / "stacks", [whole])) is Code.SEVERAL_PHASES
    assert refusal_of(write(tmp_path / "order", [enhanced_ct(phases({}, {}, step_mm=1.5))])) is Code.SEVERAL_PHASES


def test_phases_told_apart_by_nothing_are_refused(tmp_path: Path) -> None:
    assert refusal_of(write(tmp_path, phases({}, {}))) is Code.DUPLICATE_SLICE


@pytest.mark.parametrize(
    "other",
    [{"AcquisitionTime": "153000"}, {"AcquisitionDate": "20240103"}, {"PatientAge": "051Y"}, {"PatientSex": "M"}],
)
def test_scans_of_two_people_or_days_are_no_phases(tmp_path: Path, other: dict[str, str]) -> None:
    """Neither is chosen: a de-identifier gave two scans one UID."""
    images = phases({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2, **other})
    assert refusal_of(write(tmp_path, images)) in (Code.TWO_SCANS, Code.DUPLICATE_SLICE)


def test_phases_in_a_multi_frame_image_are_refused(tmp_path: Path) -> None:
    images = phases({}, {})
    whole = enhanced_ct(images)
    for index, macros in enumerate(whole.PerFrameFunctionalGroupsSequence):
        content = Dataset()
        content.TemporalPositionIndex = 1 + index // len(ALL_HU)
        macros.FrameContentSequence = [content]
    assert refusal_of(write(tmp_path, [whole])) is Code.SEVERAL_PHASES


def with_lossy_copies(**attributes: Any) -> list[Dataset]:
    copies = ct_series(LossyImageCompression="01", **attributes)
    for index, image in enumerate(copies):
        store_values(image, values_of(image) & 0xFFFC)
        if attributes:
            image.SOPInstanceUID = uid("lossy", index)
    return [*copies, *ct_series()]


@pytest.mark.parametrize("attributes", [{}, {"ImageType": ["DERIVED", "PRIMARY", "AXIAL"]}, {"SliceThickness": None}])
def test_lossy_copies_are_left_out(tmp_path: Path, attributes: dict[str, Any]) -> None:
    assert_whole(write(tmp_path, with_lossy_copies(**attributes)), Code.LOSSY_COPIES_DROPPED)


def test_images_left_out_still_count(tmp_path: Path) -> None:
    """The numbers that headers promise, and the digest for --resume, are of all images."""
    copies = with_lossy_copies(ImageType=["DERIVED", "PRIMARY", "AXIAL"])
    for image in copies:
        image.NumberOfSeriesRelatedInstances = len(copies)
    study = study_of(write(tmp_path / "copies", copies))
    assert len(study.slices) == len(copies)
    assert_whole(tmp_path / "copies", Code.LOSSY_COPIES_DROPPED)
    without = study_of(write(tmp_path / "without", ct_series()))
    assert len({input_digest(one, one.series[:1]) for one in (study, without)}) == 2


def test_a_copy_by_a_lossy_transfer_syntax_is_left_out(tmp_path: Path) -> None:
    """JPEG 2000 with or without loss, and no word of it in the header."""
    write(tmp_path / "lossless", ct_series())
    for path in write(tmp_path / "lossy", with_lossy_copies()[: len(ALL_HU)], syntax=JPEG2000Lossless).iterdir():
        path.write_bytes(path.read_bytes().replace(b"1.2.4.90", b"1.2.4.91"))
    assert_whole(tmp_path, Code.LOSSY_COPIES_DROPPED)


def test_the_lossless_of_two_series_is_chosen(tmp_path: Path) -> None:
    lossy = ct_series(name="lossy", SeriesNumber=1, LossyImageCompression="01")
    choice = choose_series(study_of(write(tmp_path, [*lossy, *ct_series()])))
    assert not choice.series.header.is_lossy


def test_lossy_images_alone_and_in_part_are_kept(tmp_path: Path) -> None:
    """Older images of an archive may be the lossy ones, with no other copy."""
    for name, chosen in (("all", lambda index: True), ("half", HALVES)):
        folder = write(tmp_path / name, differing(chosen, LossyImageCompression="01"))
        assert len(choose_series(study_of(folder)).series.slices) == len(ALL_HU)


def test_two_thicknesses_under_one_uid_are_two_series(tmp_path: Path) -> None:
    thin = ct_series(Grid(slices=27, slice_mm=1.5), SliceThickness="1.5")
    for index, image in enumerate(thin):
        image.SOPInstanceUID = uid("thin", index)
    ranked = candidates(study_of(write(tmp_path, [*ct_series(), *thin])))
    assert [candidate.unfit for candidate in ranked] == [None, None]
    assert {len(candidate.series.slices) for candidate in ranked} == {14, 27}


def test_the_reason_names_what_differs(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="kernel"):
        volume_of(write(tmp_path, differing(HALVES, ConvolutionKernel="B70f")))


@pytest.mark.parametrize("orientation", [[1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]], ids=["coronal", "sagittal"])
def test_projections_that_nothing_calls_localizers_are_left_out(tmp_path: Path, orientation: list[int]) -> None:
    images = ct_series()
    for index in range(2):
        scout = deepcopy(images[index])
        scout.SOPInstanceUID, scout.ImageOrientationPatient = uid("scout", index), orientation
        images.append(scout)
    assert volume_of(write(tmp_path, images))[1] == [Code.LOCALIZERS_DROPPED]


def test_an_image_without_place_is_told_as_such(tmp_path: Path) -> None:
    images = ct_series()
    stray = deepcopy(images[3])
    stray.SOPInstanceUID = uid("stray")
    del stray.ImageOrientationPatient, stray.ImagePositionPatient
    choice = choose_series(study_of(write(tmp_path, [*images, stray])))
    (note,) = (note for note in choice.series.notes if note.code is Code.SCAN_GOES_ON)
    assert "have no position" in note.message
