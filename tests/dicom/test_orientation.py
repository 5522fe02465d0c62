"""However the patient lies and the slices are counted, the marker stays where it is and the volume is canonical."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctacal.errors import Code
from ctacal.geometry import CANONICAL_DIRECTIONS
from tests.dicom_series import (
    AXIAL,
    Grid,
    assert_truth,
    chest_hu,
    ct_series,
    in_file_format,
    refusal_of,
    volume_of,
    write,
)

SMALL_TURN = tuple(np.round([np.cos(0.1), np.sin(0.1), 0, -np.sin(0.1), np.cos(0.1), 0], 8))
ORIENTATIONS = {
    "head first supine": AXIAL,
    "head first prone": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "feet first supine": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "feet first prone": (1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "decubitus left": (0.0, -1.0, 0.0, 1.0, 0.0, 0.0),
    "decubitus right": (0.0, 1.0, 0.0, -1.0, 0.0, 0.0),
    "turned a little": SMALL_TURN,
}


@pytest.fixture(params=ORIENTATIONS.values(), ids=list(ORIENTATIONS))
def orientation(request: pytest.FixtureRequest) -> tuple[float, ...]:
    chosen: tuple[float, ...] = request.param
    return chosen


@pytest.mark.parametrize("upwards", [True, False], ids=["feet to head", "head to feet"])
def test_marker_is_right_and_volume_canonical(tmp_path: Path, orientation: tuple[float, ...], upwards: bool) -> None:
    grid = Grid(orientation=orientation, step_mm=(0.0, 0.0, 3.0 if upwards else -3.0))
    volume, notes = volume_of(write(tmp_path, ct_series(grid)))
    assert notes == []
    assert_truth(volume, grid)
    directions = volume.geometry.affine[:3, :3].T / np.array(volume.geometry.spacing_mm)[:, None]
    assert np.diag(directions @ CANONICAL_DIRECTIONS.T).min() > 0.99


def test_prone_and_supine_arrays_are_turned_against_each_other(tmp_path: Path) -> None:
    hu = chest_hu(Grid())
    grid = Grid(orientation=ORIENTATIONS["head first prone"])
    volume, _ = volume_of(write(tmp_path, ct_series(grid)))
    np.testing.assert_array_equal(volume.hu, hu[:, ::-1, ::-1])


def test_equal_to_highdicom(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    """highdicom.get_volume_from_series puts another slice first: compared after ``match_geometry``."""
    import highdicom

    grid = Grid(orientation=orientation)
    series = ct_series(grid)
    volume, _ = volume_of(write(tmp_path, series))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = highdicom.get_volume_from_series([in_file_format(image) for image in series])
        ours = highdicom.Volume(volume.hu.astype(float), volume.geometry.affine, coordinate_system="PATIENT")
        matched = theirs.match_geometry(ours)
    np.testing.assert_allclose(matched.affine, volume.geometry.affine, atol=1e-4)
    np.testing.assert_array_equal(matched.array, volume.hu)


@pytest.mark.parametrize(
    "orientation",
    [(1, 0, 0, 0, 0, -1), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, float(np.cos(0.8)), float(np.sin(0.8)))],
    ids=["coronal", "sagittal", "oblique"],
)
def test_other_planes_are_refused(tmp_path: Path, orientation: tuple[Any, ...]) -> None:
    assert refusal_of(write(tmp_path, ct_series(Grid(orientation=orientation)))) is Code.NOT_AXIAL
