"""Interpolation between grids reproduces a linear ramp, whatever the spacing."""

import numpy as np
import pytest
from scipy import ndimage

from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.nn.grids import body_part, crop_grid, index_map, network_view, resampled, whole_grid
from ctacal.volume import Volume

SCAN = Geometry.from_spacing((20, 60, 50), (3.0, 1.5, 2.0), (-40.0, -30.0, 100.0))


def ramp(geometry: Geometry) -> np.ndarray:
    """2 L + 3 P - S in mm at every voxel."""
    at = np.indices(geometry.shape).reshape(3, -1)
    mm = geometry.affine[:3, :3] @ at + geometry.affine[:3, 3:]
    return np.asarray(np.array([2.0, 3.0, -1.0]) @ mm).reshape(geometry.shape)


def heart(rows: slice = slice(20, 40), columns: slice = slice(10, 35), slices: slice = slice(5, 15)) -> HeartMask:
    mask = np.zeros(SCAN.shape, bool)
    mask[slices, rows, columns] = True
    return HeartMask(mask, SCAN)


def test_a_ramp_stays_a_ramp() -> None:
    grid = crop_grid(heart(), 1.0, 8, margin_mm=4.0)
    np.testing.assert_allclose(resampled(ramp(SCAN), SCAN, grid, fill=None), ramp(grid), atol=1e-3)


def test_as_scipy_does_it() -> None:
    array = np.random.default_rng(0).normal(size=SCAN.shape).astype(np.float32)
    grid = crop_grid(heart(), 1.3, 8)
    start, step = index_map(SCAN, grid)
    expected = ndimage.affine_transform(array, step, start, grid.shape, order=1, mode="nearest")
    np.testing.assert_allclose(resampled(array, SCAN, grid, fill=None), expected, atol=1e-5)


def test_crop_holds_the_heart_and_a_margin() -> None:
    grid = crop_grid(heart(), 1.0, 16, margin_mm=8.0)
    assert grid.shape == (16, 48, 80), (
        "20 x 1.5 + 16 = 46 and 25 x 2 + 16 = 66 mm, rounded up; three slices of 3 mm, 8 mm at least, at either end"
    )
    assert grid.spacing_mm == pytest.approx((3.0, 1.0, 1.0))
    middle = SCAN.to_patient_mm((2, 29.5, 22.0))
    np.testing.assert_allclose(grid.to_patient_mm((0, 23.5, 39.5)), middle, atol=1e-9)


def test_crop_at_the_ends_of_the_scan() -> None:
    grid = crop_grid(heart(slices=slice(0, 20)), 1.0, 16)
    assert grid.shape[0] == 20
    assert index_map(SCAN, grid)[0][0] == pytest.approx(0)


def test_beyond_the_sides() -> None:
    ones = np.ones(SCAN.shape, np.float32)
    grid = crop_grid(heart(columns=slice(40, 50)), 1.0, 16, margin_mm=20.0)
    filled = resampled(ones, SCAN, grid, fill=-5.0)
    start, step = index_map(SCAN, grid)
    outside = start[2] + step[2] * np.arange(grid.shape[2]) > SCAN.shape[2] - 0.5
    assert outside.any()
    assert (filled[:, :, outside] == -5.0).all()
    assert (filled[:, :, ~outside] == 1.0).all()
    assert (resampled(ones, SCAN, grid, fill=None) == 1.0).all()


def test_oblique_axes_are_the_crops_own() -> None:
    turn = np.eye(4)
    turn[:2, :2] = [[0.96, -0.28], [0.28, 0.96]]
    tilted = Geometry(SCAN.shape, turn @ SCAN.affine)
    mask = HeartMask(heart().mask, tilted)
    np.testing.assert_allclose(index_map(tilted, crop_grid(mask, 1.0, 8)), index_map(SCAN, crop_grid(heart(), 1.0, 8)))
    with pytest.raises(ValueError, match="parallel"):
        index_map(SCAN, tilted)


@pytest.mark.parametrize("spacing_mm", [(1.0, 0.5, 0.5), (2.5, 0.98, 0.98), (5.0, 1.95, 1.95), (10.0, 3.9, 3.9)])
def test_whole_scan_looks_the_same_whatever_its_voxels(spacing_mm: tuple[float, float, float]) -> None:
    """A ball of 40 mm in the middle of a 100 mm cube has the same volume at 5 x 4 x 4 mm."""
    shape = tuple(round(100 / mm) for mm in spacing_mm)
    scan = Geometry.from_spacing((shape[0], shape[1], shape[2]), spacing_mm)
    at = np.indices(scan.shape)
    distance_mm = np.sqrt(sum(((i - (n - 1) / 2) * mm) ** 2 for i, n, mm in zip(at, shape, spacing_mm, strict=True)))
    volume = Volume(np.where(distance_mm < 40, 0, -1000).astype(np.int16), scan)
    grid = whole_grid(scan, (5.0, 4.0, 4.0), 16)
    assert grid.shape == (20, 32, 32)
    found_ml = (network_view(volume, grid) > -500).sum() * 0.08
    assert found_ml == pytest.approx(4 / 3 * np.pi * 4**3, rel=0.06)


def test_body_part_leaves_the_air_and_a_thin_table_out() -> None:
    hu = np.full((6, 96, 112), -1000.0, np.float32)
    hu[:, 30:70, 40:73] = 30.0
    hu[:, 72:74, 5:105] = 200.0
    slices, rows, columns = body_part(hu, 16)
    assert slices == slice(None)
    assert columns == slice(32, 80), "33 columns, widened to 48 about their middle; the table alone reaches further"
    assert rows == slice(28, 76), "the table's rows are as full as the body's"


def test_body_part_keeps_within_the_scan() -> None:
    hu = np.full((6, 64, 80), -1000.0, np.float32)
    assert body_part(hu, 16) == (slice(None), slice(0, 64), slice(0, 80)), "nothing there: all of it"
    hu[:, :20, 70:] = 30.0
    assert body_part(hu, 16) == (slice(None), slice(0, 32), slice(64, 80))
