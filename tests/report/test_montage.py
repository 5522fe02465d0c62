"""The montage shows the calcium that was scored, at its place."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ctacal.islands import find_islands
from ctacal.labels import Calcium, LabelMap
from ctacal.prediction import Prediction
from ctacal.report.montage import HEADER_PIXELS, MIN_TILES, TILE_PIXELS, montage, shown_labels, slices_shown
from ctacal.report.vessels import FADED, FADED_COLOUR, UNCOUNTED, UNCOUNTED_COLOUR, VESSEL_COLOURS
from ctacal.report.wording import uncounted_lines
from ctacal.result import ScoredStudy
from ctacal.scores import ScoringRule
from ctacal.study import model_without_file, score_study
from ctacal.uncounted import Faded, TakenFor, Uncounted
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


def test_what_was_weighed_is_outlined_and_counted_in_the_legend(tmp_path: Path) -> None:
    """A block of 6 x 6 pixels that is no calcium: only its outline has the neutral colour; the marker is calcium."""
    study = study_of(write(tmp_path, ct_series(WIDE)))

    def weighed(volume: Volume, rule: ScoringRule) -> Prediction:
        volume.hu[1, 10:16, 10:16] = 300
        block = np.zeros(volume.hu.shape, bool)
        block[1, 10:16, 10:16] = True
        islands = find_islands(volume, np.nonzero(block))
        return replace(
            predict_marker(volume, rule), uncounted=Uncounted(islands, (TakenFor.DOUBTFUL,), np.array([0.4]))
        )

    drawn = as_scored(score_study(study, weighed))
    picture = np.asarray(montage(drawn))
    grey = (picture == UNCOUNTED_COLOUR).all(axis=2)
    rows, columns = np.nonzero(grey[HEADER_PIXELS:])
    assert rows.size and not grey[HEADER_PIXELS:][(rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2]
    assert grey[:HEADER_PIXELS].any(), "the legend"
    labels = shown_labels(drawn.scan, drawn.rule, 1)
    assert (labels[10:16, 10:16] == UNCOUNTED).all() and np.count_nonzero(labels == UNCOUNTED) == 36
    assert uncounted_lines(drawn) == [
        "By what it was taken for, with the score that it would have added: "
        "1 × possible coronary calcium (162). result.json gives the places."
    ]
    assert 1 in slices_shown(drawn.scan, drawn.rule)
    assert uncounted_lines(result(tmp_path / "unweighed")) == []


def test_what_fades_is_drawn_in_a_colour_of_its_own_and_told(tmp_path: Path) -> None:
    study = study_of(write(tmp_path, ct_series(WIDE)))

    def smoothed(volume: Volume, rule: ScoringRule) -> Prediction:
        volume.hu[1, 10:13, 10:16:2] = 200
        bright = np.zeros(volume.hu.shape, bool)
        bright[1, 10:13, 10:16:2] = True
        specks, none = find_islands(volume, np.nonzero(bright)), find_islands(volume, np.nonzero(bright & False))
        faded = Faded(specks, np.full(3, 90.0), np.array([True, False, True]))
        return replace(predict_marker(volume, rule), uncounted=Uncounted(none, (), np.zeros(0), faded))

    drawn = as_scored(score_study(study, smoothed))
    brown = (np.asarray(montage(drawn)) == FADED_COLOUR).all(axis=2)
    assert brown[HEADER_PIXELS:].any() and brown[:HEADER_PIXELS].any(), "slices and legend"
    assert np.count_nonzero(shown_labels(drawn.scan, drawn.rule, 1) == FADED) == 9
    lines = uncounted_lines(drawn)
    assert lines[0].startswith("By what it was taken for, with the score that it would have added: 1 × too faint")
    assert lines[1].startswith("Never weighed: 2 islands")


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
