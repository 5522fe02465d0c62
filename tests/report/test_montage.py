"""The montage shows the calcium that was scored, at its place."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ctacal.labels import Calcium, LabelMap
from ctacal.prediction import Prediction
from ctacal.report.montage import HEADER_PIXELS, MIN_TILES, TILE_PIXELS, montage
from ctacal.report.vessels import VESSEL_COLOURS
from ctacal.result import ScoredStudy
from ctacal.scores import ScoringRule
from ctacal.study import model_without_file, score_study
from ctacal.volume import Volume
from tests.dicom_series import MARKER_INDEX, ct_series, study_of, write
from tests.marker_study import WIDE, predict_marker
from tests.report.results import as_scored

COLUMNS = 5


def result(tmp_path: Path, label: Calcium = Calcium.LAD) -> ScoredStudy:
    study = study_of(write(tmp_path, ct_series(WIDE)))
    return as_scored(score_study(study, lambda volume, rule: predict_marker(volume, rule, label)))


def places(picture: Image.Image, label: Calcium) -> np.ndarray:
    """(n, 2): rows and columns, below the header, of pixels in the label's own colour."""
    pixels = np.asarray(picture)[HEADER_PIXELS:]
    return np.argwhere((pixels == VESSEL_COLOURS[label]).all(axis=2))


@pytest.mark.parametrize("label", list(Calcium))
def test_calcium_is_drawn_in_its_vessels_colour(tmp_path: Path, label: Calcium) -> None:
    picture = montage(result(tmp_path, label))
    assert len(places(picture, label)) > 10
    assert not [other for other in Calcium if other is not label and len(places(picture, other))]


def test_calcium_lies_where_it_is_in_the_slice(tmp_path: Path) -> None:
    """If no heart is found the whole slice is shown, so the marker has the same place in tile and matrix."""
    found = places(montage(result(tmp_path)), Calcium.LAD)
    tile_height = round(TILE_PIXELS * WIDE.rows * WIDE.row_mm / (WIDE.columns * WIDE.column_mm))
    row, column = found.mean(axis=0) % (tile_height, TILE_PIXELS)
    expected = (np.array(MARKER_INDEX[1:]) + 0.5) / (WIDE.rows, WIDE.columns) * (tile_height, TILE_PIXELS)
    np.testing.assert_allclose((row, column), expected, atol=2)


def test_patient_left_is_on_the_right(tmp_path: Path) -> None:
    """Radiological convention, whichever way the scanner stored the rows and columns."""
    turned = type(WIDE)(row_mm=1.5, column_mm=1.0, orientation=(-1.0, 0.0, 0.0, 0.0, -1.0, 0.0))
    study = study_of(write(tmp_path / "prone", ct_series(turned)))

    def brightest(volume: Volume, _: ScoringRule) -> Prediction:
        labels = (volume.hu == volume.hu.max()).astype(np.uint8) * np.uint8(Calcium.LAD)
        return Prediction(LabelMap(labels, volume.geometry), model_without_file("brightest"))

    straight = places(montage(result(tmp_path / "supine")), Calcium.LAD).mean(axis=0)
    mirrored = places(montage(as_scored(score_study(study, brightest))), Calcium.LAD).mean(axis=0)
    assert straight[1] % TILE_PIXELS > TILE_PIXELS / 2
    assert mirrored[1] % TILE_PIXELS < TILE_PIXELS / 2


def test_without_calcium_the_scan_is_shown_too(tmp_path: Path) -> None:
    study = study_of(write(tmp_path, ct_series(WIDE)))

    def nothing(volume: Volume, _: ScoringRule) -> Prediction:
        return Prediction(LabelMap(np.zeros(volume.hu.shape, np.uint8), volume.geometry), model_without_file("none"))

    picture = montage(as_scored(score_study(study, nothing)))
    assert picture.width == COLUMNS * TILE_PIXELS
    tiles = np.asarray(picture)[HEADER_PIXELS:]
    half = tiles.shape[0] // (MIN_TILES // COLUMNS)
    assert all(
        tiles[row : row + half, c : c + TILE_PIXELS].std() > 10
        for row in (0, half)
        for c in range(0, picture.width, TILE_PIXELS)
    )


def test_a_matrix_that_no_scanner_has_makes_no_picture_of_gigabytes(tmp_path: Path) -> None:
    thin = type(WIDE)(rows=48, columns=40, row_mm=9.0, column_mm=0.7)
    study = study_of(write(tmp_path, ct_series(thin)))
    with pytest.raises(ValueError, match="makes no picture"):
        montage(as_scored(score_study(study, predict_marker)))
