"""Attributes of frames come from the macro that owns them, whatever else a functional group holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ctacal.dicom.choose import choose_series
from ctacal.dicom.header import Slice
from ctacal.errors import Code, Refusal
from tests.dicom_series import (
    Grid,
    assert_truth,
    chest_hu,
    ct_series,
    encoded,
    enhanced_ct,
    legacy_converted_ct,
    refusal_of,
    store_hu,
    study_of,
    uid,
    volume_of,
    write,
)

ALL_HU = chest_hu(Grid())


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


WRONG = item(
    ImagePositionPatient=[9, 9, 9], ImageOrientationPatient=[0, 1, 0, 1, 0, 0], PixelSpacing=[7, 7], SliceThickness=9,
    RescaleSlope=2, RescaleIntercept=-5, RescaleType="US", KVP=80, ConvolutionKernel="B80f",
    FrameType=["DERIVED", "SECONDARY", "LOCALIZER", "NONE"], AcquisitionNumber=77, ExposureInmAs=900, RevolutionTime=9,
)  # fmt: skip
"""What a scanner's private copy of another header holds, or a reference to another image."""


def private(group: Dataset) -> None:
    group.private_block(0x0021, "VENDOR", create=True).add_new(0x01, "SQ", [WRONG])


def referenced(group: Dataset) -> None:
    group.ReferencedImageSequence = [WRONG]


def source_image(group: Dataset) -> None:
    group.DerivationImageSequence = [item(SourceImageSequence=[WRONG], RescaleSlope=2, PixelSpacing=[7, 7])]


def real_world_values(group: Dataset) -> None:
    group.RealWorldValueMappingSequence = [WRONG]


def other_macros(group: Dataset) -> None:
    """Macros of the standard, with attributes that belong to another macro."""
    group.CTPositionSequence = group.CTGeometrySequence = [WRONG]
    group.IrradiationEventIdentificationSequence = group.FrameVOILUTSequence = [WRONG]


def flat(group: Dataset) -> None:
    """The attributes in the group itself, outside of every macro."""
    for element in WRONG:
        group.add(element)


SPOILERS = (private, referenced, source_image, real_world_values, other_macros, flat)


def frames_of(folder: Path) -> tuple[Slice, ...]:
    return study_of(folder).series[0].slices


def refusal_message(folder: Path) -> str:
    with pytest.raises(Refusal) as refusal:
        choose_series(study_of(folder))
    return str(refusal.value)


@pytest.mark.parametrize("where", ["per frame", "shared", "top level"])
@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=["explicit", "implicit"])
def test_only_the_macros_of_the_standard_count(
    tmp_path: Path, spoil: Callable[[Dataset], None], where: str, syntax: str
) -> None:
    image = enhanced_ct(ct_series())
    groups = {"per frame": image.PerFrameFunctionalGroupsSequence, "shared": image.SharedFunctionalGroupsSequence}
    for group in groups.get(where, [image]):
        first = Dataset()
        spoil(first)
        for element in first:
            if element.tag not in group:
                group.add(element)
    write(tmp_path, [image], syntax=syntax)
    volume, _ = volume_of(tmp_path)
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)
    frame = frames_of(tmp_path)[0]
    assert (frame.header.kvp, frame.header.kernel, frame.header.rescale_type) == (120.0, "B30f", "HU")
    assert frame.header.image_type[:2] == ("ORIGINAL", "PRIMARY")


@pytest.mark.parametrize("spoil", (private, referenced, source_image, real_world_values))
def test_sequences_of_a_single_frame_image_are_not_read(tmp_path: Path, spoil: Callable[[Dataset], None]) -> None:
    series = ct_series()
    for image in series:
        spoil(image)
        del image["KVP"]
    volume, _ = volume_of(write(tmp_path, series))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)
    assert frames_of(tmp_path)[0].header.kvp is None


def test_decimal_commas_inside_macros_are_read(tmp_path: Path) -> None:
    image = enhanced_ct(ct_series())
    for group in image.PerFrameFunctionalGroupsSequence:
        place = group.PlanePositionSequence[0]
        written = "\\".join(f"{mm:.6f}" for mm in place.ImagePositionPatient)
        place.add_new("ImagePositionPatient", "LT", written.replace(".", ","))
    content = encoded(image).replace(b"\x20\x00\x32\x00LT", b"\x20\x00\x32\x00DS")
    (tmp_path / "image.dcm").write_bytes(content)
    assert_truth(volume_of(tmp_path)[0])


def test_the_frame_comes_before_what_is_shared(tmp_path: Path) -> None:
    image = enhanced_ct(ct_series())
    image.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = [WRONG]
    image.SharedFunctionalGroupsSequence[0].PlanePositionSequence = [WRONG]
    volume, _ = volume_of(write(tmp_path, [image]))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)


def test_an_empty_macro_of_the_frame_leaves_the_shared_one(tmp_path: Path) -> None:
    image = enhanced_ct(ct_series())
    for group in image.PerFrameFunctionalGroupsSequence:
        group.PixelMeasuresSequence = []
    volume, _ = volume_of(write(tmp_path, [image]))
    assert_truth(volume)


def test_slope_and_intercept_are_never_mixed_from_two_macros(tmp_path: Path) -> None:
    image = enhanced_ct(ct_series())
    image.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = [item(RescaleIntercept=-5)]
    for group in image.PerFrameFunctionalGroupsSequence:
        group.PixelValueTransformationSequence = [item(RescaleSlope=1)]
    assert refusal_of(write(tmp_path, [image])) is Code.NO_RESCALE


def test_rescale_missing_in_some_frames_is_refused(tmp_path: Path) -> None:
    image = enhanced_ct(ct_series())
    del image.PerFrameFunctionalGroupsSequence[5].PixelValueTransformationSequence
    assert refusal_of(write(tmp_path, [image])) is Code.NO_RESCALE


@pytest.mark.parametrize("shared", [True, False])
def test_a_frame_without_position_of_its_own_is_refused_by_name(tmp_path: Path, shared: bool) -> None:
    image = enhanced_ct(ct_series())
    own = image.PerFrameFunctionalGroupsSequence[5].PlanePositionSequence
    del image.PerFrameFunctionalGroupsSequence[5].PlanePositionSequence
    if shared:
        image.SharedFunctionalGroupsSequence[0].PlanePositionSequence = own
    write(tmp_path, [image])
    assert refusal_of(tmp_path) is Code.NO_GEOMETRY
    assert "frame 6 has no Image Position (Patient) of its own" in refusal_message(tmp_path)


def test_items_of_a_macro_that_contradict_each_other_are_not_used(tmp_path: Path) -> None:
    image = enhanced_ct(ct_series())
    shared = image.SharedFunctionalGroupsSequence[0]
    shared.CTXRayDetailsSequence = [item(KVP=80), item(KVP=140)]
    shared.CTReconstructionSequence = [item(ConvolutionKernel="Qr40"), item(ConvolutionKernel="Qr40")]
    header = frames_of(write(tmp_path / "two voltages", [image]))[0].header
    assert (header.kvp, header.kernel) == (None, "Qr40")
    shared.PixelMeasuresSequence = [item(PixelSpacing=[0.9, 0.7]), item(PixelSpacing=[1, 1])]
    assert refusal_of(write(tmp_path / "two spacings", [image])) is Code.NO_GEOMETRY


def test_one_of_several_agents_that_was_administered_is_contrast(tmp_path: Path) -> None:
    image = enhanced_ct(ct_series())
    usage = [item(ContrastBolusAgentAdministered=word) for word in ("NO", "YES")]
    image.SharedFunctionalGroupsSequence[0].ContrastBolusUsageSequence = usage
    assert refusal_of(write(tmp_path, [image])) is Code.CONTRAST_GIVEN


@pytest.mark.parametrize("change", [-1, 1])
def test_another_number_of_descriptions_than_of_frames_is_refused(tmp_path: Path, change: int) -> None:
    image = enhanced_ct(ct_series())
    image.NumberOfFrames += change
    with pytest.raises(Refusal, match=f"describes 14 frames, but Number of Frames is '{14 + change}'") as caught:
        volume_of(write(tmp_path, [image]))
    assert caught.value.reason.code is Code.NO_GEOMETRY


def test_what_frames_share_may_stand_at_the_top_level(tmp_path: Path) -> None:
    """Some writers do so; the standard's macros are missing then."""
    image = enhanced_ct(ct_series())
    shared = image.SharedFunctionalGroupsSequence[0]
    image.PixelSpacing = shared.PixelMeasuresSequence[0].PixelSpacing
    image.ImageOrientationPatient = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    del shared.PixelMeasuresSequence, shared.PlaneOrientationSequence
    volume, _ = volume_of(write(tmp_path, [image]))
    assert_truth(volume)


def test_enhanced_images_of_one_frame_with_all_macros_shared(tmp_path: Path) -> None:
    images = []
    for index, single in enumerate(ct_series()):
        image = enhanced_ct([single])
        image.SOPInstanceUID = uid("one frame", index)
        for element in image.PerFrameFunctionalGroupsSequence[0]:
            image.SharedFunctionalGroupsSequence[0].add(element)
        del image.PerFrameFunctionalGroupsSequence
        images.append(image)
    volume, _ = volume_of(write(tmp_path, images))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)


def test_converted_attributes_are_read_where_no_macro_holds_them(tmp_path: Path) -> None:
    image = legacy_converted_ct(ct_series(XRayTubeCurrent=40, ExposureTime=500))
    for number, group in enumerate(image.PerFrameFunctionalGroupsSequence):
        converted = item(InstanceNumber=number + 40, PixelSpacing=[7, 7], SeriesInstanceUID="1.2.3")
        group.UnassignedPerFrameConvertedAttributesSequence = [converted]
    volume, _ = volume_of(write(tmp_path, [image]))
    assert_truth(volume)
    frames = frames_of(tmp_path)
    assert [frame.instance_number for frame in frames] == list(range(40, 54))
    assert (frames[0].header.kvp, frames[0].exposure_mas) == (120.0, 20.0)


def test_macros_of_ct_give_time_number_and_exposure(tmp_path: Path) -> None:
    image = enhanced_ct(ct_series())
    for number, group in enumerate(image.PerFrameFunctionalGroupsSequence):
        group.FrameContentSequence = [
            item(FrameAcquisitionNumber=3, FrameAcquisitionDateTime=f"2024010210{number:02}00", TemporalPositionIndex=1)
        ]
        group.CTExposureSequence = [item(ExposureInmAs=31.5, XRayTubeCurrentInmA=40.0, ExposureTimeInms=800.0)]
        group.CTAcquisitionDetailsSequence = [item(RevolutionTime=0.8)]
    frame = frames_of(write(tmp_path, [image]))[2]
    assert (frame.acquisition_number, frame.acquired_at, frame.temporal_position) == (3, "20240102100200", 1.0)
    assert (frame.exposure_mas, frame.rotation_s) == (31.5, 0.8)


@pytest.mark.parametrize("group", ["nothing", "shared alone", "empty"])
def test_several_frames_without_their_own_description_are_refused(tmp_path: Path, group: str) -> None:
    """One position and Spacing Between Slices do not say in which order and where the frames lie."""
    series = ct_series()
    whole = series[0]
    whole.NumberOfFrames, whole.SpacingBetweenSlices = len(series), 3
    whole.PixelData = b"".join(image.PixelData for image in series)
    if group == "shared alone":
        whole.SharedFunctionalGroupsSequence = enhanced_ct(series).SharedFunctionalGroupsSequence
    if group == "empty":
        whole.PerFrameFunctionalGroupsSequence = []
    write(tmp_path, [whole])
    assert refusal_of(tmp_path) is Code.NO_GEOMETRY
    assert "frame" in refusal_message(tmp_path)


def concatenation(parts: int) -> list[Dataset]:
    """The frames of one image in several files, in order."""
    series, step = ct_series(), -(-14 // parts)
    images = []
    for part in range(parts):
        image = enhanced_ct(series[part * step : (part + 1) * step])
        image.SOPInstanceUID, image.ConcatenationUID = uid("part", part), uid("whole")
        image.InConcatenationNumber, image.InConcatenationTotalNumber = part + 1, parts
        images.append(image)
    return images


def test_a_whole_concatenation_is_one_scan(tmp_path: Path) -> None:
    volume, notes = volume_of(write(tmp_path, concatenation(2)))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)
    assert notes == []


@pytest.mark.parametrize(("lost", "total"), [(0, True), (1, True), (0, False)])
def test_a_concatenation_without_its_first_or_last_part_is_refused(tmp_path: Path, lost: int, total: bool) -> None:
    images = concatenation(2)
    del images[lost]
    if not total:
        del images[0].InConcatenationTotalNumber
    write(tmp_path, images)
    assert refusal_of(tmp_path) is Code.MISSING_SLICE
    assert "1 of the 2 files of a multi-frame image is missing" in refusal_message(tmp_path)


def test_frames_that_are_no_part_of_the_volume_are_left_out(tmp_path: Path) -> None:
    """The first frame of some images is a localizer: it has a frame type, and often an orientation, of its own."""
    image = enhanced_ct(ct_series())
    first = image.PerFrameFunctionalGroupsSequence[0]
    first.CTImageFrameTypeSequence = [item(FrameType=["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"])]
    volume, notes = volume_of(write(tmp_path, [image]))
    np.testing.assert_array_equal(volume.hu, ALL_HU[1:])
    assert Code.LOCALIZERS_DROPPED in notes


def test_frames_of_several_phases_are_refused(tmp_path: Path) -> None:
    later = ct_series()
    for image, hu in zip(later, ALL_HU, strict=True):
        store_hu(image, np.roll(hu, 1, axis=0))
    image = enhanced_ct([*ct_series(), *later])
    for number, group in enumerate(image.PerFrameFunctionalGroupsSequence):
        group.FrameContentSequence = [item(TemporalPositionIndex=1 + number // 14)]
    with pytest.raises(Refusal):
        volume_of(write(tmp_path, [image]))


@pytest.mark.parametrize(
    ("macro", "attributes"),
    [
        ("PixelMeasuresSequence", {"SliceThickness": 3}),
        ("PixelMeasuresSequence", {}),
        ("PixelValueTransformationSequence", {"RescaleType": "HU"}),
    ],
)
def test_an_attribute_that_the_frames_own_macro_lacks_is_read_from_the_shared_one(
    tmp_path: Path, macro: str, attributes: dict[str, Any]
) -> None:
    image = enhanced_ct(ct_series())
    shared = image.SharedFunctionalGroupsSequence[0]
    for frame in image.PerFrameFunctionalGroupsSequence:
        if macro in frame:
            setattr(shared, macro, frame[macro].value)
        setattr(frame, macro, [item(**attributes)])
    assert_truth(volume_of(write(tmp_path, [image]))[0])
