"""Odd, foreign and forbidden header values are read or left out; they never break reading."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.tag import Tag
from pydicom.uid import RLELossless

from ctacal.dicom.choose import choose_series
from ctacal.errors import Code, Refusal
from tests.dicom_series import (
    Grid,
    assert_truth,
    chest_hu,
    ct_series,
    emission_image,
    encoded,
    enhanced_ct,
    intake_of,
    refusal_of,
    study_of,
    volume_of,
    write,
)

ALL_HU = chest_hu(Grid())
KANJI = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"


def replaced(content: bytes, old: bytes, new: bytes) -> bytes:
    """The file with one value overwritten by another of the same length."""
    assert len(old) == len(new)
    assert content.count(old) == 1
    return content.replace(old, new)


def write_bytes(folder: Path, contents: list[bytes]) -> Path:
    for index, content in enumerate(contents):
        (folder / f"{index}.dcm").write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("character_set", "encoding", "text", "expected"),
    [
        (["", "ISO 2022 IR 87"], "ascii", "\x1b$B?4B!\x1b(B CTAC", "心臓 CTAC"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ascii", "\x1b$B?4B!\x1b(B CTAC", "心臓 CTAC"),
        ("GB18030", "gb18030", "心脏 CTAC", "心脏 CTAC"),
        ("ISO_IR 192", "utf-8", "Æther CTAC", "Æther CTAC"),
        ("ISO_IR 144", "iso8859-5", "КТ CTAC", "КТ CTAC"),
    ],
    ids=["IR 87", "IR 13 and 87", "GB18030", "UTF-8", "Cyrillic"],
)
@pytest.mark.filterwarnings("ignore")
def test_character_sets(
    tmp_path: Path, character_set: list[str] | str, encoding: str, text: str, expected: str
) -> None:
    raw = text.encode(encoding)
    raw += b" " * (len(raw) % 2)
    series = ct_series(SpecificCharacterSet=character_set, SeriesDescription="#" * len(raw))
    write_bytes(tmp_path, [replaced(encoded(image), b"#" * len(raw), raw) for image in series])
    volume, notes = volume_of(tmp_path)
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == []
    assert study_of(tmp_path).series[0].header.series_description == expected


@pytest.mark.parametrize(
    "raw",
    [b"CTAC\x00\x01\x02\x1b[31m\r\n\x7f\x9b", b"\xff\xfe\xfa\xc3(CTAC ", b"CTAC\x1b$B\x1b\x1b(", KANJI],
    ids=["control characters", "no character set", "broken escapes", "japanese name"],
)
@pytest.mark.parametrize("keyword", ["PatientName", "SeriesDescription", "ProtocolName"])
@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192", ["", "ISO 2022 IR 87"], "GB18030", "NONSENSE"])
@pytest.mark.filterwarnings("ignore")
def test_text_never_breaks_reading(tmp_path: Path, keyword: str, raw: bytes, character_set: list[str] | str) -> None:
    raw += b" " * (len(raw) % 2)
    image = ct_series(SpecificCharacterSet=character_set)[0]
    setattr(image, keyword, "#" * len(raw))
    write_bytes(tmp_path, [replaced(encoded(image), b"#" * len(raw), raw)])
    (series,) = study_of(tmp_path).series
    assert series.header.text.isprintable()
    assert len(series.slices) == 1


@pytest.mark.parametrize(
    ("keyword", "raw"),
    [
        ("KVP", b"12O "),
        ("KVP", b"\xff\x00"),
        ("Exposure", b"ten "),
        ("SliceThickness", b"3,0 "),
        ("InstanceNumber", b"1.0.0 "),
        ("AcquisitionNumber", b"1e99"),
        ("SeriesNumber", b"--"),
        ("PatientAge", b"old "),
    ],
)
def test_numbers_that_are_none_are_left_out(tmp_path: Path, keyword: str, raw: bytes) -> None:
    contents = []
    for image in ct_series():
        content = encoded(image)
        element = image[keyword]
        head = bytes.fromhex(f"{element.tag.group:04x}{element.tag.element:04x}")
        head = head[1::-1] + head[:1:-1] + element.VR.encode()
        at = content.index(head)
        length = int.from_bytes(content[at + 6 : at + 8], "little")
        contents.append(content[: at + 6] + len(raw).to_bytes(2, "little") + raw + content[at + 8 + length :])
    volume, _ = volume_of(write_bytes(tmp_path, contents))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)


@pytest.mark.filterwarnings("ignore")
def test_private_elements_and_sequences_are_passed_over(tmp_path: Path) -> None:
    series = ct_series()
    for image in series:
        block = image.private_block(0x0019, "VENDOR", create=True)
        block.add_new(0x10, "UN", b"\xff" * 1001 + b"\0")
        inner = Dataset()
        inner.ImagePositionPatient, inner.Rows, inner.SeriesInstanceUID = [9, 9, 9], 7, "1.2.3"
        image.ReferencedImageSequence = [inner]
    volume, _ = volume_of(write(tmp_path, series))
    assert_truth(volume)


def test_ct_image_without_rows_is_listed_not_lost(tmp_path: Path) -> None:
    """A CT image cut short inside its header is a loss, not a file of another kind."""
    series = ct_series()
    write(tmp_path, series[:-1])
    content = encoded(series[-1])
    (tmp_path / "cut.dcm").write_bytes(content[: content.index(b"\x20\x00\x32\x00DS")])
    intake = intake_of(tmp_path)
    assert [file.reason.code for file in intake.skipped] == [Code.FILE_UNREADABLE]
    _, notes = volume_of(tmp_path)
    assert Code.SERIES_UNREADABLE in notes


def test_structured_report_is_no_image_and_no_loss(tmp_path: Path) -> None:
    write(tmp_path, ct_series())
    report = ct_series(name="report", Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33")[0]
    for keyword in ("Rows", "Columns", "PixelData"):
        delattr(report, keyword)
    (tmp_path / "report.dcm").write_bytes(encoded(report))
    intake = intake_of(tmp_path)
    assert (len(intake.studies), intake.skipped, intake.not_dicom) == (1, (), 1)


def test_raw_data_of_a_ct_scanner_are_no_image_and_no_loss(tmp_path: Path) -> None:
    """Modality CT and no pixels: Raw Data, Siemens CSA Non-Image."""
    write(tmp_path, ct_series())
    raw = ct_series(name="raw", SOPClassUID="1.2.840.10008.5.1.4.1.1.66")[0]
    for keyword in ("Rows", "Columns", "PixelData"):
        delattr(raw, keyword)
    (tmp_path / "raw.dcm").write_bytes(encoded(raw))
    assert intake_of(tmp_path).skipped == ()


def test_enhanced_ct_header_is_found_in_its_macros(tmp_path: Path) -> None:
    header = study_of(write(tmp_path, [enhanced_ct(ct_series())])).series[0].header
    assert (header.kvp, header.kernel, header.image_type[:2]) == (120.0, "B30f", ("ORIGINAL", "PRIMARY"))


@pytest.mark.parametrize(
    ("attributes", "rotation_s"),
    [
        ({"RevolutionTime": 0.8, "ExposureTime": 1186}, 0.8),
        ({"ExposureTime": 1186}, 1.186),
        ({}, None),
    ],
)
def test_the_rotation_time_is_read(tmp_path: Path, attributes: dict[str, Any], rotation_s: float | None) -> None:
    series = study_of(write(tmp_path, ct_series(**attributes))).series[0]
    assert series.slices[0].rotation_s == rotation_s


@pytest.mark.parametrize(
    "sop_class",
    ["1.2.840.10008.5.1.4.38.1", "1.2.840.10008.5.1.4.39.1", "1.2.840.10008.5.1.4.1.1.200.1", "1.3.12.2.1107.5.9.1"],
    ids=["hanging protocol", "colour palette", "CT protocol", "private"],
)
def test_object_without_series_is_no_loss(tmp_path: Path, sop_class: str) -> None:
    """Only images, and the objects of a series, must name one (PS3.3 A.1.2)."""
    write(tmp_path, ct_series())
    other = ct_series(name="other", SOPClassUID=sop_class)[0]
    for keyword in ("SeriesInstanceUID", "StudyInstanceUID", "Rows", "Columns", "PixelData"):
        delattr(other, keyword)
    (tmp_path / "other.dcm").write_bytes(encoded(other))
    intake = intake_of(tmp_path)
    assert (len(intake.studies), intake.skipped, intake.not_dicom) == (1, (), 1)


@pytest.mark.parametrize(
    "attributes", [{"Rows": 6000, "Columns": 5000}, {"NumberOfFrames": 6000}], ids=["radiograph", "dynamic scan"]
)
def test_large_image_that_is_no_ct_is_no_loss(tmp_path: Path, attributes: dict[str, int]) -> None:
    write(tmp_path, ct_series())
    other = emission_image("NM")
    for keyword, value in attributes.items():
        setattr(other, keyword, value)
    (tmp_path / "other.dcm").write_bytes(encoded(other))
    intake = intake_of(tmp_path)
    assert (len(intake.studies), intake.skipped) == (1, ())


def test_non_ct_image_cut_before_its_series_is_listed(tmp_path: Path) -> None:
    content = encoded(emission_image("PT"))
    (tmp_path / "cut.dcm").write_bytes(content[: content.index(b"\x20\x00\x0e\x00UI")])
    assert [file.reason.code for file in intake_of(tmp_path).skipped] == [Code.FILE_UNREADABLE]


def write_as(folder: Path, series: list[Dataset], texts: dict[str, list[str]], vr: str = "DS") -> Path:
    """Store the series with texts in numeric elements that pydicom would not write; a text for each image."""
    contents = []
    for index, image in enumerate(series):
        for keyword, of_images in texts.items():
            image.add_new(Tag(keyword), "LT", of_images[index])
        content = encoded(image)
        for keyword in texts:
            tag = Tag(keyword)
            head = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
            content = content.replace(head + b"LT", head + vr.encode())
        contents.append(content)
    return write_bytes(folder, contents)


def write_with(folder: Path, keyword: str, text: str, vr: str = "DS") -> Path:
    """Store a series with one text in a numeric element of all images."""
    series = ct_series()
    return write_as(folder, series, {keyword: [text] * len(series)}, vr)


def with_comma(value: Any) -> str:
    values = [value] if isinstance(value, str | float) else list(value)
    return "\\".join(f"{float(v):.6f}".replace(".", ",") for v in values)


@pytest.mark.parametrize("vr", ["DS", "LT"])
@pytest.mark.parametrize(
    "keyword",
    ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleIntercept", "RescaleSlope", "KVP"],
)
def test_decimal_commas_are_read(tmp_path: Path, keyword: str, vr: str) -> None:
    series = ct_series()
    texts = [with_comma(image[keyword].value) for image in series]
    volume, _ = volume_of(write_as(tmp_path, series, {keyword: texts}, vr))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)
    assert study_of(tmp_path).series[0].header.kvp == 120


def test_commas_between_values_are_read(tmp_path: Path) -> None:
    series = ct_series()
    texts = {
        keyword: [",".join(str(float(v)) for v in image[keyword].value) for image in series]
        for keyword in ("ImagePositionPatient", "PixelSpacing")
    }
    volume, _ = volume_of(write_as(tmp_path, series, texts))
    assert_truth(volume)


@pytest.mark.parametrize(
    ("keyword", "text", "code", "message"),
    [
        ("PixelSpacing", "0,97", Code.NO_GEOMETRY, "Pixel Spacing is '0,97', not 2 numbers"),
        (
            "ImagePositionPatient",
            "a\\b\\c",
            Code.NO_GEOMETRY,
            "Image Position (Patient) is 'a\\b\\c', not 3 numbers",
        ),
        ("RescaleIntercept", "-1,024", Code.NO_RESCALE, "Rescale Intercept is '-1,024', not a number"),
        ("RescaleSlope", "one", Code.NO_RESCALE, "Rescale Slope is 'one', not a number"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(
    tmp_path: Path, keyword: str, text: str, code: Code, message: str
) -> None:
    write_with(tmp_path, keyword, text)
    with pytest.raises(Refusal) as refusal:
        volume_of(tmp_path)
    assert refusal.value.reason.code is code
    assert message in refusal.value.reason.message


def test_a_missing_half_of_the_rescale_is_named(tmp_path: Path) -> None:
    series = ct_series()
    for image in series:
        del image.RescaleIntercept
    write(tmp_path, series)
    with pytest.raises(Refusal, match="Rescale Intercept is missing, and the values are not Hounsfield units"):
        volume_of(tmp_path)


def test_missing_geometry_is_called_missing(tmp_path: Path) -> None:
    write(tmp_path, ct_series(PixelSpacing=None))
    with pytest.raises(Refusal, match=r"Pixel Spacing missing"):
        choose_series(study_of(tmp_path))


@pytest.mark.parametrize(
    "keyword",
    [
        "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "Modality",
        "PixelRepresentation", "FrameOfReferenceUID", "StudyInstanceUID", "SeriesInstanceUID", "ImageType",
        "InstanceNumber", "PatientID",
        "KVP", "ConvolutionKernel", "SliceThickness", "RescaleType", "AcquisitionNumber", "Exposure", "Manufacturer",
        "SeriesDescription", "SpecificCharacterSet",
    ],
)  # fmt: skip
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_header_may_lack_what_no_score_depends_on(tmp_path: Path, keyword: str, how: str) -> None:
    series = ct_series()
    for image in series:
        if how == "missing":
            del image[keyword]
        else:
            image[keyword].value = None
    volume, _ = volume_of(write(tmp_path, series))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID"])
def test_file_meta_information_stands_in_for_class_and_instance(tmp_path: Path, keyword: str) -> None:
    contents = []
    for image in ct_series():
        content = encoded(image)
        element = encoded_element(image, keyword)
        assert content.count(element) == 1
        contents.append(content.replace(element, b""))
    (series,) = study_of(write_bytes(tmp_path, contents)).series
    assert series.header.sop_class_uid == "1.2.840.10008.5.1.4.1.1.2"
    assert len({slice_.sop_instance_uid for slice_ in series.slices}) == 14
    assert_truth(volume_of(tmp_path)[0])


def encoded_element(image: Dataset, keyword: str) -> bytes:
    element = Dataset()
    element.add(image[keyword])
    element.SOPClassUID, element.SOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    whole, tag = encoded(element)[128 + 4 :], Tag(keyword)
    head = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
    at = whole.index(head)
    return whole[at : at + 8 + int.from_bytes(whole[at + 6 : at + 8], "little")]


@pytest.mark.parametrize("text", ["1", " 1 ", "1.0", "+1", "0", "-1", "one", "", "1\\1"])
def test_a_single_frame_is_one_whatever_number_of_frames_says(tmp_path: Path, text: str) -> None:
    volume, _ = volume_of(write_with(tmp_path, "NumberOfFrames", text, "IS"))
    np.testing.assert_array_equal(volume.hu, ALL_HU)


def test_a_number_of_frames_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    write_as(tmp_path, [enhanced_ct(ct_series())], {"NumberOfFrames": ["many"]}, "IS")
    with pytest.raises(Refusal, match="Number of Frames is 'many'"):
        volume_of(tmp_path)


@pytest.mark.parametrize("keyword", ["Rows", "Columns"])
def test_an_empty_matrix_is_refused_by_name(tmp_path: Path, keyword: str) -> None:
    image = ct_series()[0]
    image[keyword].value = None
    (skipped,) = intake_of(write(tmp_path, [image])).skipped
    assert "Rows or Columns is empty" in skipped.reason.message


@pytest.mark.parametrize(
    ("text", "kvp"), [("120", 120), ("120,0", 120), ("0", None), ("120000", None), ("120kV", None), ("80\\140", None)]
)
def test_implausible_tube_voltages_are_not_used(tmp_path: Path, text: str, kvp: float | None) -> None:
    (series,) = study_of(write_with(tmp_path, "KVP", text)).series
    assert series.header.kvp == kvp


@pytest.mark.parametrize("text", ["0", "-3", "3000", "thin"])
def test_implausible_slice_thickness_is_not_used(tmp_path: Path, text: str) -> None:
    (series,) = study_of(write_with(tmp_path, "SliceThickness", text)).series
    assert series.slices[0].thickness_mm is None


def test_presets_and_palettes_are_no_image_and_no_loss(tmp_path: Path) -> None:
    """Objects outside of studies name no series (PS3.4 GG)."""
    write(tmp_path, ct_series())
    palette = Dataset()
    palette.SOPClassUID, palette.SOPInstanceUID = "1.2.840.10008.5.1.4.39.1", "1.2.3"
    palette.ContentLabel = "HOT_IRON"
    (tmp_path / "palette").write_bytes(encoded(palette))
    assert intake_of(tmp_path).skipped == ()


def test_all_that_the_pixels_themselves_tell_may_be_missing_together(tmp_path: Path) -> None:
    lacking = ("SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "Modality")
    series = ct_series()
    for image in series:
        for keyword in lacking:
            delattr(image, keyword)
    volume, _ = volume_of(write(tmp_path, series))
    np.testing.assert_array_equal(volume.hu, ALL_HU)


def test_signed_pixels_that_are_not_called_signed_are_refused(tmp_path: Path) -> None:
    series = ct_series(RescaleIntercept="0", PixelRepresentation=1, BitsStored=16, HighBit=15)
    for image in series:
        del image.PixelRepresentation
    refused = {Code.HU_OUT_OF_RANGE, Code.NOT_HU, Code.PIXELS_UNREADABLE}
    assert refusal_of(write(tmp_path, series)) in refused


def test_each_image_keeps_the_header_values_of_its_own(tmp_path: Path) -> None:
    """Headers are made once for images that write the same; here they differ in one element each."""
    series = ct_series()
    series[3].KVP = "100"
    series[4].ContrastBolusAgent = "OMNIPAQUE"
    series[5].SpecificCharacterSet, series[5].SeriesDescription = "ISO_IR 192", "CTAC"
    del series[6].Manufacturer
    (study,) = intake_of(write(tmp_path, series)).studies
    headers = {slice_.instance_number: slice_.header for series in study.series for slice_ in series.slices}
    assert [headers[number].kvp for number in (1, 4, 5)] == [120, 100, 120]
    assert [[agent.name for agent in headers[number].contrast] for number in (1, 5, 6)] == [[], ["OMNIPAQUE"], []]
    assert [headers[number].manufacturer for number in (1, 7)] == ["ctacal", ""]
    assert len({id(headers[number]) for number in (1, 2, 3, 6, 8)}) == 1


def test_compressed_pixels_without_bits_allocated_are_refused_by_name(tmp_path: Path) -> None:
    contents = []
    for image in ct_series():
        element = encoded_element(image, "BitsAllocated")
        contents.append(encoded(image, RLELossless).replace(element, b"", 1))
    with pytest.raises(Refusal, match="Bits Allocated is missing"):
        choose_series(study_of(write_bytes(tmp_path, contents)))
