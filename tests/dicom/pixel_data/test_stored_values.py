"""Bits Stored, High Bit and sign: one rule for every codec, held against the image."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jpeg_ls  # type: ignore[import-untyped]
import numpy as np
import pytest
from numpy.typing import NDArray
from openjpeg.utils import encode_array
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from ctacal.dicom.volume import read_volume
from ctacal.errors import Code, Refusal
from tests.dicom_series import (
    Grid,
    chest_hu,
    ct_series,
    encoded,
    in_fragments,
    refusal_of,
    store_values,
    study_of,
    values_of,
    volume_of,
    write,
    write_files,
)

Words = NDArray[Any]
ALL_HU = chest_hu(Grid())
SIGNED: dict[str, Any] = {"PixelRepresentation": 1, "RescaleIntercept": "0"}
SIGNED_16: dict[str, Any] = SIGNED | {"BitsStored": 16, "HighBit": 15}
OVERLAY = np.s_[22:24, 6:34]
"""Where a reader's line runs across the chest."""


def with_words(change: Callable[[Words], Words], **attributes: Any) -> list[Dataset]:
    """A series whose words are changed after they were stored rightly."""
    series = ct_series(**attributes)
    for image in series:
        store_values(image, change(values_of(image)))
    return series


def by_jpeg_ls(image: Dataset, words: Words, bits: int) -> bytes:
    size = {"rows": image.Rows, "columns": image.Columns, "samples_per_pixel": 1, "bits_stored": bits}
    frame = jpeg_ls.encode_pixel_data(words.tobytes(), lossy_error=0, interleave_mode=0, **size)
    return in_fragments(image, bytes(frame), JPEGLSLossless)


def by_jpeg_2000(image: Dataset, words: NDArray[Any], bits: int) -> bytes:
    frame = encode_array(words, bits_stored=bits, photometric_interpretation=2)
    return in_fragments(image, bytes(frame), JPEG2000Lossless)


CODECS = {
    "native": lambda image: encoded(image, ExplicitVRLittleEndian),
    "RLE": lambda image: encoded(image, RLELossless),
    "JPEG-LS of 16 bits": lambda image: by_jpeg_ls(image, values_of(image), 16),
    "JPEG 2000 of 16 bits": lambda image: by_jpeg_2000(image, values_of(image), 16),
}
"""A file of whole words, by each codec."""


@pytest.fixture(params=list(CODECS.values()), ids=list(CODECS))
def codec(request: pytest.FixtureRequest) -> Callable[[Dataset], bytes]:
    chosen: Callable[[Dataset], bytes] = request.param
    return chosen


def with_overlay(words: Words) -> Words:
    drawn = words.copy()
    drawn[OVERLAY] |= 0x1000
    return drawn


@pytest.mark.parametrize("attributes", [{}, SIGNED], ids=["unsigned", "signed"])
def test_an_overlay_in_the_high_bits_is_left_out(
    tmp_path: Path, codec: Callable[[Dataset], bytes], attributes: dict[str, Any]
) -> None:
    files = map(codec, with_words(lambda words: with_overlay(words & 0x0FFF), **attributes))
    volume, notes = volume_of(write_files(tmp_path, files))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == [Code.PIXELS_UNLIKE_HEADER]


def test_signs_are_extended_from_bits_stored(tmp_path: Path, codec: Callable[[Dataset], bytes]) -> None:
    files = map(codec, with_words(lambda words: words & 0x0FFF, **SIGNED))
    volume, notes = volume_of(write_files(tmp_path, files))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == []


def test_values_that_end_at_high_bit_are_shifted_down(tmp_path: Path, codec: Callable[[Dataset], bytes]) -> None:
    """High Bit above Bits Stored - 1 is of DICOM before 2007."""
    files = map(codec, with_words(lambda words: words << 4, HighBit=15))
    volume, notes = volume_of(write_files(tmp_path, files))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == []


def test_signed_values_that_end_at_high_bit_are_shifted_down(tmp_path: Path) -> None:
    series = with_words(lambda words: words << 4 | 7, **SIGNED | {"HighBit": 15})
    volume, _ = volume_of(write(tmp_path, series))
    np.testing.assert_array_equal(volume.hu, ALL_HU)


def test_high_bit_that_the_pixels_disprove_gives_a_note(tmp_path: Path) -> None:
    volume, notes = volume_of(write(tmp_path, ct_series(HighBit=15)))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == [Code.PIXELS_UNLIKE_HEADER]


@pytest.mark.parametrize("bits_stored", [0, 40, None])
@pytest.mark.parametrize("high_bit", [0, 7, 40, None])
def test_impossible_bits_are_ignored(tmp_path: Path, bits_stored: int | None, high_bit: int | None) -> None:
    volume, notes = volume_of(write(tmp_path, ct_series(BitsStored=bits_stored, HighBit=high_bit)))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == []


SIGNED_STREAMS: dict[str, Callable[[Dataset], bytes]] = {
    "JPEG-LS of 12 bits": lambda image: by_jpeg_ls(image, values_of(image) & 0x0FFF, 12),
    "JPEG-LS of 13 bits": lambda image: by_jpeg_ls(image, values_of(image) & 0x1FFF, 13),
    "JPEG 2000 of 12 bits without sign": lambda image: by_jpeg_2000(image, values_of(image) & 0x0FFF, 12),
    "JPEG 2000 of 12 bits with sign": lambda image: by_jpeg_2000(image, values_of(image).view(np.int16), 12),
    "JPEG 2000 of 16 bits with sign": lambda image: by_jpeg_2000(image, values_of(image).view(np.int16), 16),
}


@pytest.mark.parametrize("attributes", [SIGNED, SIGNED_16], ids=["12 stored", "16 stored"])
@pytest.mark.parametrize("file", SIGNED_STREAMS.values(), ids=SIGNED_STREAMS)
def test_signs_end_where_the_code_stream_ends(
    tmp_path: Path, file: Callable[[Dataset], bytes], attributes: dict[str, Any]
) -> None:
    volume, notes = volume_of(write_files(tmp_path, map(file, ct_series(**attributes))))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == []


def test_jpeg_2000_with_sign_under_a_header_without(tmp_path: Path) -> None:
    files = (by_jpeg_2000(image, values_of(image).view(np.int16), 16) for image in ct_series())
    volume, notes = volume_of(write_files(tmp_path, files))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == []


def with_metal(brightest: int) -> NDArray[np.int16]:
    """The chest with a round piece of metal in every slice, brighter towards its middle."""
    row, column = np.indices(ALL_HU.shape[1:])
    bright = brightest - 40 * ((row - 24.0) ** 2 + (column - 20.0) ** 2)
    return np.asarray(np.maximum(ALL_HU, np.maximum(bright, -2000).astype(np.int16)))


def test_metal_beyond_bits_stored_stays_bright(tmp_path: Path) -> None:
    """Cut off to Bits Stored, it would be as dark as lung."""
    series = ct_series(Grid())
    metal = with_metal(3600)
    for image, hu in zip(series, metal, strict=True):
        store_values(image, hu.astype(int) + 1024)
    volume, notes = volume_of(write(tmp_path, series))
    np.testing.assert_array_equal(volume.hu, metal)
    assert notes == [Code.PIXELS_UNLIKE_HEADER]


def test_metal_beyond_signed_bits_stays_bright(tmp_path: Path) -> None:
    series = ct_series(Grid(), **SIGNED)
    metal = with_metal(2600)
    for image, hu in zip(series, metal, strict=True):
        store_values(image, hu)
    volume, notes = volume_of(write(tmp_path, series))
    np.testing.assert_array_equal(volume.hu, metal)
    assert notes == [Code.PIXELS_UNLIKE_HEADER]


def reason_of(folder: Path) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_volume(study_of(folder).series[0])
    return caught.value


def test_values_beyond_bits_stored_that_fit_in_no_way_are_refused(tmp_path: Path) -> None:
    def burnt_in(words: Words) -> Words:
        words[2:5, 3:20] = 0x7FFF
        return words

    refusal = reason_of(write(tmp_path, with_words(burnt_in)))
    assert refusal.reason.code is Code.HU_OUT_OF_RANGE
    assert "Bits Stored (12)" in refusal.reason.message


def test_unsigned_pixels_under_a_header_that_says_signed(tmp_path: Path) -> None:
    """All above 1023 HU would turn to air."""
    metal = with_metal(2900)
    series = ct_series(PixelRepresentation=1)
    for image, hu in zip(series, metal, strict=True):
        store_values(image, hu.astype(int) + 1024)
    volume, notes = volume_of(write(tmp_path, series))
    np.testing.assert_array_equal(volume.hu, metal)
    assert notes == [Code.PIXELS_UNLIKE_HEADER]


def test_a_single_bright_pixel_shows_that_signed_is_wrong(tmp_path: Path) -> None:
    volume, notes = volume_of(write(tmp_path, ct_series(PixelRepresentation=1)))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == [Code.PIXELS_UNLIKE_HEADER]


def test_signed_pixels_under_a_header_that_says_unsigned_are_refused(tmp_path: Path) -> None:
    assert refusal_of(write(tmp_path, ct_series(**SIGNED | {"PixelRepresentation": 0}))) is Code.HU_OUT_OF_RANGE


def test_bytes_in_the_other_order(tmp_path: Path) -> None:
    volume, notes = volume_of(write(tmp_path, with_words(lambda words: words.byteswap())))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == [Code.PIXELS_UNLIKE_HEADER]


@pytest.mark.parametrize("more", [1, 2, 78, 512, 5000])
def test_zeros_behind_the_pixels_are_allowed(tmp_path: Path, more: int) -> None:
    series = ct_series()
    for image in series:
        image.PixelData += bytes(more)
    volume, notes = volume_of(write(tmp_path, series))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == []


def test_more_pixels_than_the_header_says_are_refused(tmp_path: Path) -> None:
    series = ct_series()
    for image in series:
        image.PixelData += bytes(500) + b"\7"
    assert refusal_of(write(tmp_path, series)) is Code.PIXELS_UNREADABLE


@pytest.mark.parametrize("bits", [12, 24, 64])
def test_other_bits_allocated_are_named(tmp_path: Path, bits: int) -> None:
    series = ct_series()
    for image in series:
        image.BitsAllocated = bits
    assert f"Bits Allocated is {bits}" in reason_of(write(tmp_path, series)).reason.message


def test_rescale_that_varies_gives_a_note(tmp_path: Path) -> None:
    """4 HU in one slice are too little for the image to show."""
    series = ct_series()
    series[5].RescaleIntercept = "-1020"
    _, notes = volume_of(write(tmp_path, series))
    assert notes == [Code.RESCALE_VARIES]


def test_values_that_no_scanner_leaves_out_give_a_note(tmp_path: Path) -> None:
    """Bone and calcium 700 HU brighter than they were: nothing between, not even at their edges."""
    row, column = np.indices(ALL_HU.shape[1:])
    bone = np.clip(900 - 35 * np.hypot(row - 34.0, column - 20.5), -1000, 900).astype(np.int16)
    truth = np.maximum(ALL_HU, bone)
    for name, hu in (("true", truth), ("altered", np.where(truth > 200, truth + 700, truth))):
        series = ct_series()
        for image, plane in zip(series, hu, strict=True):
            store_values(image, plane.astype(int) + 1024)
        _, notes = volume_of(write(tmp_path / name, series))
        assert notes == ([] if name == "true" else [Code.HU_GAP])
