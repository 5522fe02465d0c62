"""Multi-frame CT gives the volume that its single frames gave, geometry and voxels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from ctacal.errors import Code
from tests.dicom_series import (
    SYNTAXES,
    Grid,
    assert_truth,
    chest_hu,
    ct_series,
    encoded,
    enhanced_ct,
    legacy_converted_ct,
    refusal_of,
    store_hu,
    uid,
    volume_of,
    write,
)

ALL_HU = chest_hu(Grid())


@pytest.fixture(params=[enhanced_ct, legacy_converted_ct], ids=["enhanced", "legacy converted"])
def multi_frame(request: pytest.FixtureRequest) -> Callable[..., Any]:
    build: Callable[..., Any] = request.param
    return build


def test_multi_frame_is_read_exactly(tmp_path: Path, multi_frame: Callable[..., Any]) -> None:
    volume, _ = volume_of(write(tmp_path, [multi_frame(ct_series())]))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)


def test_frames_out_of_order_are_sorted_by_position(tmp_path: Path, multi_frame: Callable[..., Any]) -> None:
    series = ct_series()
    shuffled = [series[index] for index in np.random.default_rng(3).permutation(14)]
    volume, _ = volume_of(write(tmp_path, [multi_frame(shuffled)]))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
def test_enhanced_ct_in_every_transfer_syntax(tmp_path: Path, syntax: UID) -> None:
    volume, _ = volume_of(write(tmp_path, [enhanced_ct(ct_series())], syntax=syntax))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)


def test_prone_multi_frame(tmp_path: Path, multi_frame: Callable[..., Any]) -> None:
    grid = Grid(orientation=(-1, 0, 0, 0, -1, 0))
    volume, _ = volume_of(write(tmp_path, [multi_frame(ct_series(grid))]))
    assert_truth(volume, grid)


def test_rescale_that_varies_per_frame(tmp_path: Path, multi_frame: Callable[..., Any]) -> None:
    series = ct_series()
    for index, (image, hu) in enumerate(zip(series, ALL_HU, strict=True)):
        image.RescaleIntercept = str(-1030 + index)
        store_hu(image, hu)
    volume, _ = volume_of(write(tmp_path, [multi_frame(series)]))
    np.testing.assert_array_equal(volume.hu, ALL_HU)


def test_enhanced_ct_in_two_files_is_one_series(tmp_path: Path) -> None:
    series = ct_series()
    halves = [enhanced_ct(series[:9]), enhanced_ct(series[9:])]
    halves[1].SOPInstanceUID = uid("second half")
    volume, _ = volume_of(write(tmp_path, halves))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)


def test_missing_frame_is_refused(tmp_path: Path, multi_frame: Callable[..., Any]) -> None:
    series = ct_series()
    del series[6]
    assert refusal_of(write(tmp_path, [multi_frame(series)])) is Code.MISSING_SLICE


def test_fewer_descriptions_than_frames_are_refused(tmp_path: Path) -> None:
    image = enhanced_ct(ct_series())
    image.NumberOfFrames = 15
    assert refusal_of(write(tmp_path, [image])) is Code.NO_GEOMETRY


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEG2000Lossless])
def test_multi_frame_cut_short_is_refused(tmp_path: Path, syntax: UID) -> None:
    content = encoded(enhanced_ct(ct_series()), syntax)
    (tmp_path / "cut").write_bytes(content[: int(len(content) * 0.8)])
    assert refusal_of(tmp_path) is Code.PIXELS_UNREADABLE
