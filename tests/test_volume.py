"""Volumes: resampling and NIfTI keep values at their positions."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from ctacal.geometry import Geometry
from ctacal.labels import LabelMap
from ctacal.volume import AIR_HU, Volume

nib: Any = nibabel

GRID = Geometry.from_spacing((8, 20, 24), (3.0, 0.9, 0.7), (-10.0, -20.0, 500.0))


def ramp(grid: Geometry) -> Volume:
    """Return HU = 2 L + 3 P - S: linear in the patient frame, so that linear interpolation is exact."""
    index = np.moveaxis(np.indices(grid.shape), 0, -1)
    places = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    return Volume((places @ [2.0, 3.0, -1.0]).astype(np.float32), grid)


@pytest.mark.parametrize("spacing_mm", [(3.0, 2.0, 2.0), (1.5, 0.9, 0.7), (4.0, 1.3, 1.1)])
def test_resampling_is_exact_on_a_linear_field(spacing_mm: tuple[float, float, float]) -> None:
    target = GRID.with_spacing(spacing_mm)
    resampled, truth = ramp(GRID).resample(target), ramp(target)
    inside = np.abs(resampled.hu - AIR_HU) > 1e-3
    assert inside.mean() > 0.6
    np.testing.assert_allclose(resampled.hu[inside], truth.hu[inside], atol=1e-2)


def test_resampling_between_turned_grids() -> None:
    turn = np.deg2rad(10)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    target = Geometry((4, 6, 6), rotation @ GRID.crop(np.s_[2:6, 8:14, 8:14]).affine)
    resampled = ramp(GRID).resample(target)
    inside = resampled.hu != AIR_HU
    assert inside.any()
    np.testing.assert_allclose(resampled.hu[inside], ramp(target).hu[inside], atol=1e-2)


def test_crop_keeps_values_at_their_place() -> None:
    part = ramp(GRID).crop(np.s_[2:6:2, 19:4:-3, 5:])
    np.testing.assert_allclose(part.hu, ramp(part.geometry).hu, atol=1e-3)


def test_nifti_round_trip(tmp_path: Path) -> None:
    volume = Volume(np.random.default_rng(0).integers(-1024, 3000, GRID.shape).astype(np.int16), GRID)
    volume.save_nifti(tmp_path / "ct.nii.gz")
    back = Volume.from_nifti(tmp_path / "ct.nii.gz")
    assert back.hu.dtype == np.int16
    assert np.array_equal(back.hu, volume.hu)
    assert back.geometry.same_grid(GRID)


def test_nifti_is_in_the_frame_that_others_expect(tmp_path: Path) -> None:
    """NIfTI counts right and anterior as positive; the voxel at LPS (-10, -20, 500) lies at RAS (10, 20, 500)."""
    ramp(GRID).save_nifti(tmp_path / "ct.nii")
    image = nib.load(tmp_path / "ct.nii")
    assert image.shape == (24, 20, 8)
    np.testing.assert_allclose(image.affine @ [0, 0, 0, 1], [10, 20, 500, 1])
    assert image.header.get_xyzt_units()[0] == "mm"
    assert nib.aff2axcodes(image.affine) == ("L", "P", "S")


def test_what_is_no_volume_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="int16 or float32"):
        Volume(np.zeros(GRID.shape), GRID)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="its geometry says"):
        Volume(np.zeros((1, 2, 3), np.int16), GRID)
    with pytest.raises(ValueError, match="uint8"):
        LabelMap(np.zeros(GRID.shape, np.int32), GRID)
    with pytest.raises(ValueError, match=r"0\.\.6"):
        LabelMap(np.full(GRID.shape, 7, np.uint8), GRID)
    (tmp_path / "text.nii").write_text("no image")
    with pytest.raises(ValueError, match=r"text\.nii: not a readable NIfTI"):
        Volume.from_nifti(tmp_path / "text.nii")
