"""Stored values become the right Hounsfield units, or the scan is refused; padding, sign and garbage never score."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from ctacal.dicom.pixel_data import jpeg2000, pixels
from ctacal.dicom.volume import read_volume
from ctacal.errors import Code, Refusal
from tests.dicom_series import (
    MARKER_HU,
    MARKER_INDEX,
    SYNTAXES,
    Grid,
    assert_truth,
    chest_hu,
    ct_series,
    refusal_of,
    store_hu,
    store_values,
    study_of,
    values_of,
    volume_of,
    write,
)

ALL_HU = chest_hu(Grid())
DARKEST_HU = -1024
SIGNED: dict[str, Any] = {"PixelRepresentation": 1, "BitsStored": 16, "HighBit": 15, "RescaleIntercept": "0"}
UNSIGNED: dict[str, Any] = {"PixelRepresentation": 0, "BitsStored": 16, "HighBit": 15, "RescaleIntercept": "-1024"}
EDGE = (slice(0, 4), slice(0, 4))
"""Where the tests put padding: outside of the body."""


def with_padding(stored: int, **attributes: Any) -> list[Dataset]:
    """A series whose corner holds a stored value for padding."""
    series = ct_series(**attributes)
    for image in series:
        values = values_of(image)
        values[EDGE] = stored % 2**16
        store_values(image, values)
    return series


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_every_transfer_syntax_is_read_exactly(tmp_path: Path, syntax: UID, signed: bool) -> None:
    attributes: dict[str, Any] = {"PixelRepresentation": 1, "RescaleIntercept": "0"} if signed else {}
    volume, notes = volume_of(write(tmp_path, ct_series(**attributes), syntax=syntax))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)
    assert notes == []


@pytest.fixture
def side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """JPEG 2000 is decoded by other processes however small the scan is, and never by this process."""
    monkeypatch.setattr(pixels, "MIN_PIXELS_SIDE_BY_SIDE", 1)
    monkeypatch.setattr(jpeg2000, "cores", lambda: 3)
    monkeypatch.setattr(jpeg2000, "decode_pixel_data", None)


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_jpeg_2000_by_several_processes_is_read_exactly(tmp_path: Path, side_by_side: None, signed: bool) -> None:
    attributes: dict[str, Any] = {"PixelRepresentation": 1, "RescaleIntercept": "0"} if signed else {}
    volume, notes = volume_of(write(tmp_path, ct_series(**attributes), syntax=JPEG2000Lossless))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == []


def test_broken_jpeg_2000_is_refused_by_name_from_another_process(tmp_path: Path, side_by_side: None) -> None:
    folder = write(tmp_path, ct_series(), syntax=JPEG2000Lossless)
    broken = folder / "IM0005"
    content = broken.read_bytes()
    start_of_data = content.index(bytes.fromhex("ff93"), content.index(bytes.fromhex("ff4fff51")))
    broken.write_bytes(content[: start_of_data - 30] + bytes(30) + content[start_of_data:])
    with pytest.raises(Refusal, match=r"IM0005: .*Error decoding") as caught:
        read_volume(study_of(folder).series[0])
    assert caught.value.reason.code is Code.PIXELS_UNREADABLE


@pytest.mark.parametrize("python", ["", "/nowhere/python", sys.executable], ids=["unknown", "gone", "ends at once"])
def test_jpeg_2000_is_decoded_here_where_no_process_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    monkeypatch.setattr(pixels, "MIN_PIXELS_SIDE_BY_SIDE", 1)
    monkeypatch.setattr(sys, "executable", python)
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # no Python starts so
    volume, _ = volume_of(write(tmp_path, ct_series(), syntax=JPEG2000Lossless))
    np.testing.assert_array_equal(volume.hu, ALL_HU)


def test_bare_dataset_without_preamble_is_read_exactly(tmp_path: Path) -> None:
    volume, _ = volume_of(write(tmp_path, ct_series(), preamble=False))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)


def test_a_series_in_several_transfer_syntaxes_is_one_volume(tmp_path: Path) -> None:
    for index, image in enumerate(ct_series()):
        write(tmp_path / str(index), [image], syntax=SYNTAXES[index % len(SYNTAXES)])
    volume, _ = volume_of(tmp_path)
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)


@pytest.mark.parametrize("missing", [("RescaleIntercept",), ("RescaleSlope", "RescaleIntercept")])
def test_missing_rescale_is_refused_where_values_are_no_hu(tmp_path: Path, missing: tuple[Any, ...]) -> None:
    series = ct_series()
    for image in series:
        for keyword in missing:
            delattr(image, keyword)
    assert refusal_of(write(tmp_path, series)) is Code.NO_RESCALE


def test_missing_rescale_is_assumed_where_values_prove_hu(tmp_path: Path) -> None:
    series = ct_series(PixelRepresentation=1, RescaleSlope=None, RescaleIntercept=None)
    volume, notes = volume_of(write(tmp_path, series))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)
    assert notes == [Code.RESCALE_ASSUMED]


def test_missing_slope_beside_an_intercept_is_assumed_to_be_1(tmp_path: Path) -> None:
    volume, notes = volume_of(write(tmp_path, ct_series(RescaleSlope=None)))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == [Code.RESCALE_ASSUMED]


def test_rescale_missing_in_one_slice_is_refused(tmp_path: Path) -> None:
    series = ct_series(PixelRepresentation=1, RescaleIntercept="0")
    del series[4].RescaleSlope
    assert refusal_of(write(tmp_path, series)) is Code.NO_RESCALE


@pytest.mark.parametrize("offset", [-200, 150, 1000])
def test_missing_rescale_is_refused_where_the_peaks_are_displaced(tmp_path: Path, offset: int) -> None:
    series = ct_series(PixelRepresentation=1, BitsStored=16, HighBit=15, RescaleSlope=None, RescaleIntercept=None)
    for image, hu in zip(series, ALL_HU, strict=True):
        store_values(image, hu + offset)
    assert refusal_of(write(tmp_path, series)) is Code.NO_RESCALE


def test_modality_lut_is_refused(tmp_path: Path) -> None:
    from pydicom import Dataset

    lut = Dataset()
    lut.LUTDescriptor, lut.ModalityLUTType, lut.LUTData = [4096, 0, 16], "HU", b"\0\0" * 4096
    lut["LUTDescriptor"].VR = "US"
    series = ct_series(RescaleSlope=None, RescaleIntercept=None, ModalityLUTSequence=[lut])
    assert refusal_of(write(tmp_path, series)) is Code.NO_RESCALE


def test_slope_of_zero_is_refused(tmp_path: Path) -> None:
    series = ct_series()
    for image in series:
        image.RescaleSlope = "0"
    assert refusal_of(write(tmp_path, series)) is Code.NO_RESCALE


@pytest.mark.parametrize("intercept", ["-3024", "9000"])
def test_rescale_that_gives_no_hu_is_refused(tmp_path: Path, intercept: str) -> None:
    series = ct_series(Grid(rows=132, columns=132))
    for image in series:
        image.RescaleIntercept = intercept
    assert refusal_of(write(tmp_path, series)) is Code.NOT_HU


def test_whole_numbered_slope_that_varies_per_slice(tmp_path: Path) -> None:
    series = ct_series()
    for index, (image, hu) in enumerate(zip(series, ALL_HU - ALL_HU % 6, strict=True)):
        image.RescaleSlope, image.RescaleIntercept = str(1 + index % 3), "-1020"
        store_hu(image, hu)
    volume, _ = volume_of(write(tmp_path, series))
    np.testing.assert_array_equal(volume.hu, ALL_HU - ALL_HU % 6)
    assert volume.hu.dtype == np.int16


def test_fractional_slope_that_varies_per_slice_gives_float32(tmp_path: Path) -> None:
    series = ct_series()
    slopes = 0.61 + 0.013 * np.arange(14)
    for image, hu, slope in zip(series, ALL_HU, slopes, strict=True):
        image.RescaleSlope = f"{slope:.3f}"
        store_hu(image, hu)
    volume, _ = volume_of(write(tmp_path, series))
    assert volume.hu.dtype == np.float32
    assert (np.abs(volume.hu - ALL_HU) <= slopes[:, None, None] / 2 + 1e-3).all()
    np.testing.assert_array_equal(np.unravel_index(volume.hu.argmax(), volume.hu.shape), MARKER_INDEX)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize(
    ("attributes", "stored", "padding_vr"),
    [(SIGNED, -2000, "SS"), (SIGNED, -2000, "US"), (UNSIGNED, 63536, "US"), (UNSIGNED, 63536, "SS")],
    ids=["signed", "signed, tag unsigned", "unsigned", "unsigned, tag signed"],
)
def test_padding_becomes_dark(
    tmp_path: Path, attributes: dict[str, Any], stored: int, padding_vr: str, syntax: UID
) -> None:
    series = with_padding(stored, **attributes)
    for image in series:
        image.add_new("PixelPaddingValue", padding_vr, -2000 if padding_vr == "SS" else 63536)
    volume, _ = volume_of(write(tmp_path, series, syntax=syntax))
    assert_truth(volume)
    assert (volume.hu[:, *EDGE] == DARKEST_HU).all()
    inside = np.ones(ALL_HU.shape, bool)
    inside[:, *EDGE] = False
    np.testing.assert_array_equal(volume.hu[inside], ALL_HU[inside])


@pytest.mark.parametrize(("value", "limit"), [(60000, 65535), (65535, 60000)], ids=["upwards", "downwards"])
def test_padding_range_becomes_dark(tmp_path: Path, value: int, limit: int) -> None:
    series = with_padding(63536, **UNSIGNED)
    for image in series:
        values = values_of(image)
        values[0, :3] = (60000, 65535, 62000)
        store_values(image, values)
        image.add_new("PixelPaddingValue", "US", value)
        image.add_new("PixelPaddingRangeLimit", "US", limit)
    volume, _ = volume_of(write(tmp_path, series))
    assert_truth(volume)
    assert (volume.hu[:, *EDGE] == DARKEST_HU).all()


def test_padding_beyond_the_bits_stored_becomes_dark(tmp_path: Path) -> None:
    """63536 in 12 stored bits would lose its high bits, read as 1072 HU and score."""
    series = with_padding(63536, **UNSIGNED)
    for image in series:
        image.BitsStored, image.HighBit = 12, 11
        image.add_new("PixelPaddingValue", "US", 63536)
    volume, _ = volume_of(write(tmp_path, series))
    assert_truth(volume)
    assert (volume.hu[:, *EDGE] == DARKEST_HU).all()


def test_untagged_dark_padding_becomes_dark(tmp_path: Path) -> None:
    volume, _ = volume_of(write(tmp_path, with_padding(-2000, **SIGNED)))
    assert_truth(volume)
    assert (volume.hu[:, *EDGE] == DARKEST_HU).all()


def test_untagged_bright_padding_is_refused(tmp_path: Path) -> None:
    assert refusal_of(write(tmp_path, with_padding(63536, **UNSIGNED))) is Code.HU_OUT_OF_RANGE


def test_wrongly_declared_sign_is_refused(tmp_path: Path) -> None:
    series = ct_series(**SIGNED)
    for image in series:
        image.PixelRepresentation = 0
    assert refusal_of(write(tmp_path, series)) is Code.HU_OUT_OF_RANGE


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless],
    ids=lambda syntax: syntax.keyword,
)
@pytest.mark.parametrize("attributes", [{}, {"PixelRepresentation": 1, "RescaleIntercept": "0"}], ids=["u12", "s12"])
def test_garbage_in_unused_high_bits_is_ignored(tmp_path: Path, attributes: dict[str, Any], syntax: UID) -> None:
    series = ct_series(**attributes)
    generator = np.random.default_rng(1)
    for image in series:
        values = values_of(image)
        garbage = generator.integers(0, 16, values.shape, dtype=np.uint16)
        store_values(image, (values & 0x0FFF) | garbage << 12)
    volume, _ = volume_of(write(tmp_path, series, syntax=syntax))
    np.testing.assert_array_equal(volume.hu, ALL_HU)


def test_signed_12_bit_without_sign_extension(tmp_path: Path) -> None:
    series = ct_series(PixelRepresentation=1, RescaleIntercept="0")
    for image in series:
        store_values(image, values_of(image) & 0x0FFF)
    volume, _ = volume_of(write(tmp_path, series))
    np.testing.assert_array_equal(volume.hu, ALL_HU)


def test_32_bit_values(tmp_path: Path) -> None:
    series = ct_series(BitsAllocated=32, BitsStored=32, HighBit=31, PixelRepresentation=1, RescaleIntercept="0")
    volume, _ = volume_of(write(tmp_path, series))
    np.testing.assert_array_equal(volume.hu, ALL_HU)


@pytest.mark.parametrize(
    "attributes",
    [
        {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"},
    ],
    ids=["8 bit", "colour"],
)
def test_secondary_captures_are_refused(tmp_path: Path, attributes: dict[str, Any]) -> None:
    assert refusal_of(write(tmp_path, ct_series(**attributes))) is Code.SECONDARY_CAPTURE


@pytest.mark.parametrize("spoil", [lambda hu: hu[::-1, ::-1], lambda hu: hu * 0], ids=["another image", "blank"])
def test_slice_unlike_its_neighbours_is_refused(tmp_path: Path, spoil: Any) -> None:
    series = ct_series()
    strange = np.roll(spoil(ALL_HU[7]), 20, axis=0)
    store_hu(series[7], strange)
    assert refusal_of(write(tmp_path, series)) is Code.INCONSISTENT_SLICE


@pytest.mark.parametrize(
    ("keyword", "value"), [("RescaleIntercept", "-124"), ("RescaleIntercept", "-1524"), ("RescaleSlope", "1.4")]
)
def test_slice_with_a_corrupted_rescale_is_refused(tmp_path: Path, keyword: str, value: str) -> None:
    """A correlation does not see it: the image is the same, on another level."""
    series = ct_series()
    series[7][keyword].value = value
    assert refusal_of(write(tmp_path, series)) is Code.INCONSISTENT_SLICE


def test_metal_is_no_reason_to_refuse(tmp_path: Path) -> None:
    series = ct_series(**SIGNED)
    values = values_of(series[3])
    values[24, 20] = 20000
    store_values(series[3], values)
    volume, _ = volume_of(write(tmp_path, series))
    assert volume.hu.max() == 20000
    assert volume.hu[MARKER_INDEX] == MARKER_HU
