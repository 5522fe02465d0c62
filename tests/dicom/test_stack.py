"""Slices that make no regular volume are refused with the right reason, or corrected on request; never silently."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from ctacal.dicom.choose import candidates
from ctacal.dicom.stack import Stack
from ctacal.dicom.volume import decode_volume
from ctacal.errors import Code, Refusal
from ctacal.volume import Volume
from tests.dicom_series import (
    AXIAL,
    MARKER_INDEX,
    MARKER_MM,
    Grid,
    assert_truth,
    chest_hu,
    ct_series,
    marker_mm,
    refusal_of,
    store_hu,
    study_of,
    uid,
    volume_of,
    write,
)

ALL_HU = chest_hu(Grid())
MARKED = MARKER_INDEX[0]


def moved(image: Dataset, *, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Dataset:
    image.ImagePositionPatient = [round(a + b, 6) for a, b in zip(image.ImagePositionPatient, (x, y, z), strict=True)]
    return image


def test_regular_series_is_read_exactly(tmp_path: Path) -> None:
    volume, notes = volume_of(write(tmp_path, ct_series()))
    assert_truth(volume)
    assert notes == []
    assert volume.hu.dtype == np.int16
    np.testing.assert_array_equal(volume.hu, ALL_HU)


def test_spacing_comes_from_positions_not_from_thickness(tmp_path: Path) -> None:
    grid = Grid(slice_mm=2.5)
    volume, _ = volume_of(write(tmp_path, ct_series(grid, SliceThickness="5", SpacingBetweenSlices="4")))
    assert_truth(volume, grid)


def test_missing_slice_is_refused(tmp_path: Path) -> None:
    series = ct_series()
    del series[7]
    assert refusal_of(write(tmp_path, series)) is Code.MISSING_SLICE


@pytest.mark.parametrize("gone", [1, MARKED - 1, MARKED + 1, 12])
def test_missing_slice_is_interpolated_on_request(tmp_path: Path, gone: int) -> None:
    series = ct_series()
    del series[gone]
    volume, notes = volume_of(write(tmp_path, series), fill_gaps=True)
    assert_truth(volume)
    assert Code.SLICES_INTERPOLATED in notes
    mean = np.rint((ALL_HU[gone - 1].astype(float) + ALL_HU[gone + 1]) / 2)
    np.testing.assert_array_equal(volume.hu[gone], mean)
    rest = np.delete(np.arange(14), gone)
    np.testing.assert_array_equal(volume.hu[rest], ALL_HU[rest])


@pytest.mark.parametrize("gone", [{7, 8}, {3, 6, 9}], ids=["neighbours", "too many"])
def test_wide_or_many_gaps_are_never_interpolated(tmp_path: Path, gone: set[int]) -> None:
    series = [image for index, image in enumerate(ct_series()) if index not in gone]
    assert refusal_of(write(tmp_path, series), fill_gaps=True) is Code.MISSING_SLICE


def test_duplicate_slice_with_equal_pixels_is_dropped(tmp_path: Path) -> None:
    series = ct_series()
    copy = ct_series()[5]
    copy.SOPInstanceUID = uid("copy")
    volume, notes = volume_of(write(tmp_path, [*series, copy]))
    assert_truth(volume)
    assert volume.hu.shape == ALL_HU.shape
    assert Code.DUPLICATES_DROPPED in notes


def test_whole_series_stored_twice_is_read_once(tmp_path: Path) -> None:
    write(tmp_path / "a", ct_series())
    write(tmp_path / "b", ct_series())
    volume, notes = volume_of(tmp_path)
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert Code.DUPLICATES_DROPPED in notes


def test_copy_of_a_slice_among_numbered_acquisitions_is_dropped(tmp_path: Path) -> None:
    """Step-and-shoot scanners count every table step as an acquisition: a copied slice must not split the series."""
    series = ct_series()
    for number, image in enumerate(series):
        image.AcquisitionNumber = number + 1
    volume, notes = volume_of(write(tmp_path, [*series, series[5]]))
    assert_truth(volume)
    assert Code.DUPLICATES_DROPPED in notes


def test_duplicate_slice_with_different_pixels_is_refused(tmp_path: Path) -> None:
    series = ct_series()
    other = ct_series()[5]
    other.SOPInstanceUID = uid("other")
    store_hu(other, ALL_HU[5] + 3)
    assert refusal_of(write(tmp_path, [*series, other])) is Code.DUPLICATE_SLICE


def test_duplicate_slice_with_another_rescale_is_refused(tmp_path: Path) -> None:
    series = ct_series()
    other = ct_series()[5]
    other.SOPInstanceUID, other.RescaleIntercept = uid("other"), "-1000"
    assert refusal_of(write(tmp_path, [*series, other])) is Code.DUPLICATE_SLICE


@pytest.mark.parametrize(
    ("second_half_mm", "code"), [(5.0, Code.MIXED_SPACING), (3.5, Code.MIXED_SPACING), (6.0, Code.MISSING_SLICE)]
)
@pytest.mark.parametrize("fill_gaps", [False, True])
def test_mixed_spacing_is_refused(tmp_path: Path, second_half_mm: float, code: Code, fill_gaps: bool) -> None:
    series = ct_series()
    for index, image in enumerate(series[8:], 1):
        moved(image, z=index * (second_half_mm - 3.0))
    assert refusal_of(write(tmp_path, series), fill_gaps=fill_gaps) is code


def test_rounded_positions_are_no_mixed_spacing(tmp_path: Path) -> None:
    grid = Grid(slice_mm=3.27)
    series = ct_series(grid)
    for image in series:
        image.ImagePositionPatient = [round(float(mm), 1) for mm in image.ImagePositionPatient]
    volume, _ = volume_of(write(tmp_path, series))
    np.testing.assert_allclose(marker_mm(volume), MARKER_MM, atol=0.1)
    assert volume.geometry.slice_spacing_mm == pytest.approx(3.27, abs=0.01)


def trembling(series: list[Dataset], *, mm: float) -> list[Dataset]:
    """Move each image within its plane by up to ``mm``, as a trembling table does; always alike."""
    noise = np.random.default_rng(3).uniform(-mm, mm, (len(series), 2))
    return [moved(image, x=float(x), y=float(y)) for image, (x, y) in zip(series, noise, strict=True)]


def test_a_trembling_table_is_neither_shift_nor_tilt(tmp_path: Path) -> None:
    grid = Grid(slices=40)
    volume, notes = volume_of(write(tmp_path, trembling(ct_series(grid), mm=0.05)))
    assert notes == []
    assert_truth(volume, grid, within_mm=0.1)
    assert np.abs(volume.geometry.affine[:2, 0]).max() < 0.01


def test_a_shifted_slice_is_found_on_a_trembling_table(tmp_path: Path) -> None:
    series = trembling(ct_series(Grid(slices=40)), mm=0.05)
    moved(series[30], x=0.5)
    assert refusal_of(write(tmp_path, series)) is Code.SHIFTED_SLICE


@pytest.mark.parametrize("slice_mm", [1.25, 2.5, 3.27])
def test_positions_rounded_to_whole_mm_are_read_with_a_note(tmp_path: Path, slice_mm: float) -> None:
    """At 2.5 mm, slices then lie 2 and 3 mm apart: no mixed spacing."""
    grid = Grid(slices=40, slice_mm=slice_mm)
    series = ct_series(grid)
    for image in series:
        image.ImagePositionPatient = [*image.ImagePositionPatient[:2], round(float(image.ImagePositionPatient[2]))]
    volume, notes = volume_of(write(tmp_path, series))
    assert notes == [Code.POSITIONS_ROUNDED]
    assert volume.geometry.slice_spacing_mm == pytest.approx(slice_mm, rel=0.01)
    np.testing.assert_allclose(marker_mm(volume), MARKER_MM, atol=1.0)


def test_a_slice_missing_among_rounded_positions_is_refused(tmp_path: Path) -> None:
    series = ct_series(Grid(slices=40, slice_mm=2.5))
    for image in series:
        image.ImagePositionPatient = [*image.ImagePositionPatient[:2], round(float(image.ImagePositionPatient[2]))]
    for gone in (20, 38):
        left = [image for index, image in enumerate(series) if index != gone]
        assert refusal_of(write(tmp_path / str(gone), left)) is Code.MIXED_SPACING


@pytest.mark.parametrize("turned", [(-1, 0, 0, 0, -1, 0), (1, 0, 0, 0, -1, 0), (0, 1, 0, -1, 0, 0)])
def test_slices_turned_or_mirrored_against_the_others_are_refused(tmp_path: Path, turned: tuple[int, ...]) -> None:
    series = ct_series()
    series[4].ImageOrientationPatient = list(turned)
    (study,) = [study_of(write(tmp_path, series))]
    with pytest.raises(Refusal) as caught:
        Stack.of([slice_ for part in study.series for slice_ in part.slices])
    assert caught.value.reason.code is Code.MIXED_ORIENTATION


def test_cosines_written_with_two_digits_are_read(tmp_path: Path) -> None:
    """A table turned by 10 degrees: the cosines are 0.98 and 0.17, together 0.5 % shorter than a unit vector."""
    volume, notes = volume_of(write(tmp_path, ct_series(ImageOrientationPatient=[0.98, 0.17, 0, -0.17, 0.98, 0])))
    assert notes == []
    assert volume.geometry.spacing_mm == pytest.approx((3.0, 0.9, 0.7), abs=1e-6)


@pytest.mark.parametrize("first", [True, False])
def test_a_broken_copy_beside_a_whole_one_is_left_out(tmp_path: Path, first: bool) -> None:
    write(tmp_path / "1", ct_series())
    write(tmp_path / "2", ct_series())
    for path in (tmp_path / ("1" if first else "2")).iterdir():
        path.write_bytes(path.read_bytes()[:-1000])
    volume, notes = volume_of(tmp_path)
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert Code.DUPLICATES_DROPPED in notes


@pytest.mark.parametrize("localizer_orientation", [AXIAL, (1, 0, 0, 0, 0, -1)], ids=["axial", "frontal"])
def test_localizer_inside_is_left_out(tmp_path: Path, localizer_orientation: tuple[Any, ...]) -> None:
    series = ct_series()
    localizer = ct_series(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[3]
    localizer.SOPInstanceUID, localizer.ImageOrientationPatient = uid("localizer"), list(localizer_orientation)
    volume, notes = volume_of(write(tmp_path, [localizer, *series]))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)
    assert Code.LOCALIZERS_DROPPED in notes


def test_frontal_scout_inside_without_the_word_is_left_out(tmp_path: Path) -> None:
    scout = ct_series(Grid(rows=60, columns=44, orientation=(1, 0, 0, 0, 0, -1)))[0]
    scout.SOPInstanceUID = uid("scout")
    volume, _ = volume_of(write(tmp_path, [scout, *ct_series()]))
    assert_truth(volume)
    assert volume.hu.shape == ALL_HU.shape


def test_two_kernels_under_one_uid_are_two_series(tmp_path: Path) -> None:
    soft = ct_series(ConvolutionKernel="B30f")
    sharp = ct_series(ConvolutionKernel="B70f")
    for image, hu in zip(sharp, ALL_HU, strict=True):
        image.SOPInstanceUID = uid("sharp", image.InstanceNumber)
        store_hu(image, hu + 1)
    write(tmp_path / "soft", soft)
    write(tmp_path / "sharp", sharp)
    assert sorted(series.part for series in study_of(tmp_path).series) == ["1 of 2", "2 of 2"]
    volume, notes = volume_of(tmp_path)
    assert Code.SERIES_SPLIT in notes
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)


def test_a_slice_with_a_frame_of_reference_of_its_own_is_told(tmp_path: Path) -> None:
    """A corrupted or redrawn UID: its position fits the grid of the others."""
    series = ct_series()
    series[-1].FrameOfReferenceUID = uid("elsewhere")
    volume, notes = volume_of(write(tmp_path, series))
    assert_truth(volume)
    assert notes == [Code.SCAN_JOINED]


def test_colliding_acquisitions_are_two_series(tmp_path: Path) -> None:
    first, second = ct_series(AcquisitionNumber=1), ct_series(AcquisitionNumber=2)
    for image, hu in zip(second, ALL_HU, strict=True):
        image.SOPInstanceUID = uid("second", image.InstanceNumber)
        store_hu(image, np.where(hu == hu.max(), hu, hu + 1))
    write(tmp_path / "1", first)
    write(tmp_path / "2", second)
    ranked = candidates(study_of(tmp_path))
    assert [candidate.unfit for candidate in ranked] == [None, None]
    assert [len(candidate.series.slices) for candidate in ranked] == [14, 14]
    assert {candidate.series.slices[0].acquisition_number for candidate in ranked} == {1, 2}
    volume, notes = volume_of(tmp_path)
    np.testing.assert_allclose(marker_mm(volume), MARKER_MM, atol=1e-3)
    assert Code.SEVERAL_CANDIDATES in notes


def test_acquisitions_between_each_other_are_two_series(tmp_path: Path) -> None:
    """Two breath holds half a spacing apart form a regular grid, and must not become a single volume of 1.5 mm."""
    first, second = ct_series(AcquisitionNumber=1), ct_series(AcquisitionNumber=2)
    for image in second:
        image.SOPInstanceUID = uid("second", image.InstanceNumber)
        moved(image, z=1.5)
    write(tmp_path / "1", first)
    write(tmp_path / "2", second)
    volume, _ = volume_of(tmp_path)
    assert volume.hu.shape == ALL_HU.shape
    assert volume.geometry.slice_spacing_mm == pytest.approx(3.0)


def test_acquisition_numbers_that_count_table_steps_are_one_series(tmp_path: Path) -> None:
    series = ct_series()
    for number, image in enumerate(series):
        image.AcquisitionNumber = number // 4 + 1
    volume, notes = volume_of(write(tmp_path, series))
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert notes == []


def test_colliding_reconstructions_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    first, second = ct_series(), ct_series()
    for image, hu in zip(second, ALL_HU, strict=True):
        image.SOPInstanceUID = uid("second", image.InstanceNumber)
        store_hu(image, hu + 1)
    write(tmp_path / "1", first)
    write(tmp_path / "2", second)
    assert refusal_of(tmp_path) is Code.DUPLICATE_SLICE


COS, SIN = np.cos(np.deg2rad(12)), np.sin(np.deg2rad(12))
TILTED = Grid(orientation=(1, 0, 0, 0, float(COS), float(SIN)), step_mm=(0.0, 0.0, 3.0))


def test_gantry_tilt_is_refused(tmp_path: Path) -> None:
    assert refusal_of(write(tmp_path, ct_series(TILTED))) is Code.GANTRY_TILT


def test_gantry_tilt_is_resampled_on_request(tmp_path: Path) -> None:
    volume, notes = volume_of(write(tmp_path, ct_series(TILTED)), untilt=True)
    assert Code.TILT_RESAMPLED in notes
    axes = volume.geometry.affine[:3, :3]
    np.testing.assert_allclose(axes.T @ axes, np.diag(np.square([3 * COS, 0.9, 0.7])), atol=1e-6)
    np.testing.assert_allclose(marker_mm(volume), MARKER_MM, atol=0.5)
    assert marker_mm(volume) @ np.cross([1, 0, 0], [0, COS, SIN]) == pytest.approx(
        MARKER_MM @ np.cross([1, 0, 0], [0, COS, SIN]), abs=1e-3
    )
    np.testing.assert_allclose(mean_mm(volume), MARKER_MM, atol=0.05)


@pytest.mark.parametrize("degrees", [-20, -10, -2.5, 2.5, 7.5, 12.5, 15, 20])
def test_untilted_end_slices_are_the_stored_ones_shifted_in_plane(tmp_path: Path, degrees: float) -> None:
    """Rounding puts some of them 1e-16 outside of the stack, where there would be air."""
    cos, sin = (round(float(f(np.deg2rad(degrees))), 7) for f in (np.cos, np.sin))
    grid = Grid(orientation=(1, 0, 0, 0, cos, sin), step_mm=(0.0, 0.0, 3.0))
    volume, _ = volume_of(write(tmp_path, ct_series(grid)), untilt=True)
    rows = np.arange(grid.rows)
    for index in (0, 13):
        source = rows - index * 3 * sin / grid.row_mm
        inside = (source >= 0) & (source <= grid.rows - 1)
        for column in (0, 20, grid.columns - 1):
            truth = np.interp(source[inside], rows, chest_hu(grid)[index, :, column])
            np.testing.assert_allclose(volume.hu[index, inside, column], truth, atol=0.1)


def mean_mm(volume: Volume) -> NDArray[np.float64]:
    """The centre of gravity of the marker, which linear interpolation leaves where it was."""
    index = np.array(np.unravel_index(int(volume.hu.argmax()), volume.hu.shape))
    _, rows, columns = np.indices(volume.hu.shape)
    near = (np.abs(rows - index[1]) <= 2) & (np.abs(columns - index[2]) <= 2)
    weight = np.clip(volume.hu - 100, 0, None) * near
    weight[np.arange(14) != index[0]] = 0
    centre = [np.average(axis, weights=weight) for axis in np.indices(volume.hu.shape)]
    return volume.geometry.to_patient_mm(centre)


def test_tilt_below_one_degree_is_held_by_the_geometry(tmp_path: Path) -> None:
    grid = Grid(step_mm=(0.0, 0.03, 3.0))
    volume, notes = volume_of(write(tmp_path, ct_series(grid)))
    assert notes == []
    assert_truth(volume, grid)
    np.testing.assert_allclose(volume.geometry.affine[:3, 0], [0.0, 0.03, 3.0], atol=1e-6)


@pytest.mark.parametrize("index", [0, 8, 13])
@pytest.mark.parametrize("shift", [{"x": 1.0}, {"y": -4.0}], ids=["left", "anterior"])
def test_slice_shifted_in_plane_is_refused(tmp_path: Path, index: int, shift: dict[str, Any]) -> None:
    series = ct_series()
    moved(series[index], **shift)
    assert refusal_of(write(tmp_path, series)) is Code.SHIFTED_SLICE


def test_half_a_series_shifted_in_plane_is_refused(tmp_path: Path) -> None:
    series = ct_series()
    for image in series[7:]:
        moved(image, x=2.0)
    assert refusal_of(write(tmp_path, series)) is Code.SHIFTED_SLICE


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_missing_geometry_is_refused(tmp_path: Path, keyword: str) -> None:
    attributes: dict[str, Any] = {keyword: None}
    assert refusal_of(write(tmp_path, ct_series(**attributes))) is Code.NO_GEOMETRY


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0]),
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]),
        ("ImageOrientationPatient", [2, 0, 0, 0, 1, 0]),
        ("ImagePositionPatient", [1, 2]),
        ("ImagePositionPatient", []),
        ("PixelSpacing", [0, 0]),
        ("PixelSpacing", [-0.7, 0.7]),
        ("PixelSpacing", [0.7]),
    ],
)
def test_meaningless_geometry_is_refused(tmp_path: Path, keyword: str, value: list[Any]) -> None:
    attributes: dict[str, Any] = {keyword: value}
    assert refusal_of(write(tmp_path, ct_series(**attributes))) is Code.NO_GEOMETRY


def test_missing_position_in_one_slice_is_refused(tmp_path: Path) -> None:
    series = ct_series()
    del series[4].ImagePositionPatient
    assert refusal_of(write(tmp_path, series)) is Code.NO_GEOMETRY


def test_all_slices_at_one_place_are_refused(tmp_path: Path) -> None:
    assert refusal_of(write(tmp_path, ct_series(Grid(step_mm=(0.0, 0.0, 0.0))))) is Code.DUPLICATE_SLICE


@pytest.mark.parametrize("kept", [1, 4])
def test_too_few_slices_are_refused(tmp_path: Path, kept: int) -> None:
    assert refusal_of(write(tmp_path, ct_series()[:kept])) is Code.TOO_FEW_SLICES


def test_stack_larger_than_allowed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound holds for what is decoded: the part of a large scan that holds the heart may be read."""
    monkeypatch.setattr("ctacal.dicom.decode.MAX_VOXELS", 13 * 48 * 40)
    (series,) = study_of(write(tmp_path, ct_series())).series
    stack = Stack.of(series.slices)
    with pytest.raises(Refusal) as caught:
        decode_volume(stack)
    assert caught.value.reason.code is Code.TOO_LARGE
    assert decode_volume(stack.part(1, 14))[0].geometry.shape == (13, 48, 40)


def test_a_part_of_a_stack_lies_where_its_slices_lie(tmp_path: Path) -> None:
    whole, _ = volume_of(write(tmp_path, ct_series()))
    (series,) = study_of(tmp_path).series
    part, _ = decode_volume(Stack.of(series.slices).part(2, 11))
    cut = whole.crop((slice(2, 11), slice(None), slice(None)))
    assert part.geometry.same_grid(cut.geometry)
    np.testing.assert_array_equal(part.hu, cut.hu)


def test_a_part_does_not_end_with_a_missing_slice(tmp_path: Path) -> None:
    images = ct_series(Grid(slices=30))
    del images[20], images[9]
    (series,) = study_of(write(tmp_path, images)).series
    part = Stack.of(series.slices, fill_gaps=True).part(9, 21)
    assert part.geometry.shape[0] == len(part.slices) == 14
    assert part.slices[0] is not None and part.slices[-1] is not None
