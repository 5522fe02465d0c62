"""Padding is what surrounds the image; a padding value of tissue, or in the body, is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from ctacal.errors import Code
from tests.dicom_series import Grid, chest_hu, ct_series, store_values, values_of, volume_of, write

ALL_HU = chest_hu(Grid())
ROW, COLUMN = np.indices(ALL_HU.shape[1:])
AROUND = ((ROW - 23.5) / 24) ** 2 + ((COLUMN - 19.5) / 20) ** 2 > 1
"""Outside of the reconstruction circle."""
HEART = (slice(20, 26), slice(18, 24))
SIGNED: dict[str, Any] = {"PixelRepresentation": 1, "BitsStored": 16, "HighBit": 15, "RescaleIntercept": "0"}
UNSIGNED: dict[str, Any] = {"BitsStored": 16, "HighBit": 15}
DARKEST_HU = -1024


def padded(
    value: int, limit: int | None = None, *, fill: int | None = None, hole: Any = (), **attributes: Any
) -> list[Dataset]:
    """A series with this padding value and range; ``fill`` lies around the image, and in the ``hole``."""
    series = ct_series(**attributes)
    vr = "SS" if attributes.get("PixelRepresentation") else "US"
    for image in series:
        words = values_of(image).astype(int)
        if fill is not None:
            words[AROUND] = fill
        if hole:
            words[hole] = fill
        store_values(image, words)
        image.add_new("PixelPaddingValue", vr, value)
        if limit is not None:
            image.add_new("PixelPaddingRangeLimit", vr, limit)
    return series


def expected(around: int = DARKEST_HU) -> NDArray[np.int16]:
    hu = ALL_HU.copy()
    hu[:, AROUND] = around
    return hu


@pytest.mark.parametrize(
    ("value", "attributes"),
    [(-2000, SIGNED), (63536, UNSIGNED), (0, {}), (4095, {}), (0, SIGNED), (1064, {})],
    ids=["-2000", "63536", "air", "brightest", "water", "40 HU"],
)
def test_what_surrounds_the_image_is_padding(tmp_path: Path, value: int, attributes: dict[str, Any]) -> None:
    volume, notes = volume_of(write(tmp_path, padded(value, fill=value, **attributes)))
    np.testing.assert_array_equal(volume.hu, expected())
    assert notes == ([Code.PIXELS_UNLIKE_HEADER] if (ALL_HU == 40)[:, ~AROUND].any() and value == 1064 else [])


def test_a_padding_value_of_tissue_leaves_the_tissue(tmp_path: Path) -> None:
    volume, notes = volume_of(write(tmp_path, padded(1064)))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == [Code.PIXELS_UNLIKE_HEADER]


@pytest.mark.parametrize(("value", "limit"), [(1324, 4095), (4095, 1324), (1024, 1100), (0, 4095), (0, 1074)], ids=str)
def test_a_padding_range_of_tissue_or_calcium_leaves_both(tmp_path: Path, value: int, limit: int) -> None:
    volume, notes = volume_of(write(tmp_path, padded(value, limit)))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == [Code.PIXELS_UNLIKE_HEADER]


def test_of_a_wide_range_only_what_no_tissue_can_be_is_padding(tmp_path: Path) -> None:
    volume, notes = volume_of(write(tmp_path, padded(-2000, 1000, fill=-2000, **SIGNED)))
    np.testing.assert_array_equal(volume.hu, expected())
    assert notes == [Code.PIXELS_UNLIKE_HEADER]


def test_a_range_that_ends_in_air_needs_no_note(tmp_path: Path) -> None:
    volume, notes = volume_of(write(tmp_path, padded(-2000, -900, fill=-2000, **SIGNED)))
    np.testing.assert_array_equal(volume.hu, expected())
    assert notes == []


@pytest.mark.parametrize(
    ("value", "attributes"), [(-2000, SIGNED), (63536, UNSIGNED), (0, {})], ids=["-2000", "63536", "air"]
)
def test_padding_in_the_heart_gives_a_note(tmp_path: Path, value: int, attributes: dict[str, Any]) -> None:
    volume, notes = volume_of(write(tmp_path, padded(value, fill=value, hole=HEART, **attributes)))
    assert (volume.hu[:, *HEART] == DARKEST_HU).all()
    assert notes == [Code.PIXELS_UNLIKE_HEADER]


def test_a_few_clipped_pixels_need_no_note(tmp_path: Path) -> None:
    """Noise and streaks give them; the padding value of 0 is also the value of the darkest air."""
    _, notes = volume_of(write(tmp_path, padded(0, fill=0, hole=(slice(20, 22), slice(18, 20)))))
    assert notes == []


def test_clipped_gas_needs_no_note(tmp_path: Path) -> None:
    lung = np.s_[18:30, 7:12]
    assert (ALL_HU[:, *lung] < -700).all()
    _, notes = volume_of(write(tmp_path, padded(0, fill=0, hole=lung)))
    assert notes == []
