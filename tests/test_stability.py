"""``benchmarks/stability.py``: pictures and labels change alike, and it tells a stable predictor from others."""

import numpy as np
import pytest
from stability import CHANGES, REFUSED_CHANGES, Scan, is_kept, refusals, stability, with_neighbours

from ctacal.arrays import Bytes
from ctacal.errors import Code, Refusal
from ctacal.geometry import Geometry
from ctacal.labels import Calcium, LabelMap
from ctacal.prediction import ModelInfo, Prediction
from ctacal.scores import SCCT_2016, ScoringRule, score_label_map
from ctacal.volume import Volume

GRID = Geometry.from_spacing((6, 80, 100), (3.0, 1.0, 1.0))
WHOLE = [name for name in CHANGES if name.startswith(("shifted", "field"))]


def scan() -> Scan:
    """A plaque of 30 mm2 at 450 HU in two slices, in the middle of soft tissue."""
    hu = np.full(GRID.shape, 40, np.int16)
    hu[2:4, 40:45, 50:56] = 450
    return Scan("drawn", Volume(hu, GRID), SCCT_2016)


def bright(volume: Volume) -> Bytes:
    return np.where(volume.hu >= 300, np.uint8(Calcium.LAD), np.uint8(0))


def finds_what_is_bright(volume: Volume, rule: ScoringRule) -> Prediction:
    return Prediction(LabelMap(bright(volume), volume.geometry), ModelInfo("toy", "1", "a"))


def knows_the_place(volume: Volume, rule: ScoringRule) -> Prediction:
    labels = np.zeros(volume.hu.shape, np.uint8)
    labels[:, 40:45, 50:56] = bright(volume)[:, 40:45, 50:56]
    return Prediction(LabelMap(labels, volume.geometry), ModelInfo("toy", "1", "a"))


@pytest.mark.parametrize("name", list(REFUSED_CHANGES))
def test_labels_go_with_the_picture(name: str) -> None:
    """The labelled voxels are the bright ones; where the voxels change, those beside them too."""
    drawn = scan()
    volume, carried = REFUSED_CHANGES[name](drawn.volume, bright(drawn.volume))
    assert volume.hu.dtype == np.int16
    if name.startswith(("pixels", "noise")):
        assert not (bright(volume).astype(bool) & (carried == 0)).any()
        assert np.count_nonzero(carried) <= 2 * 8 * 9
    else:
        assert (carried == bright(volume)).all()


def test_what_the_model_left_out_beside_calcium_stays_out() -> None:
    labels = np.zeros((1, 3, 4), np.uint8)
    labels[0, 1, 1:3] = Calcium.RCA, Calcium.OTHER
    grown = with_neighbours(labels)
    rca, other = int(Calcium.RCA), int(Calcium.OTHER)
    assert grown[0].tolist() == [[rca, rca, rca, 0], [rca, rca, other, 0], [rca, rca, rca, 0]]


@pytest.mark.parametrize("name", WHOLE)
def test_whole_pixels_keep_the_score(name: str) -> None:
    drawn = scan()
    volume, carried = CHANGES[name](drawn.volume, bright(drawn.volume))
    assert carried.any()
    assert score_label_map(volume, LabelMap(carried, volume.geometry), SCCT_2016)[1].agatston.total == pytest.approx(
        2 * 30 * 4
    )
    step = volume.geometry.to_patient_mm((0, 0, 0)) - GRID.to_patient_mm((0, 0, 0))
    assert (volume.hu.shape[1] - 80) / 2 == pytest.approx(-step[1]), "the middle of the field stays where it is"


def test_other_pixels_keep_the_place_and_the_volume() -> None:
    drawn = scan()
    before = np.argwhere(bright(drawn.volume)).mean(axis=0)
    for name in ("pixels a tenth smaller", "pixels a tenth larger"):
        volume, _ = CHANGES[name](drawn.volume, bright(drawn.volume))
        at = volume.geometry.to_patient_mm(np.argwhere(bright(volume)).mean(axis=0))
        assert at == pytest.approx(GRID.to_patient_mm(before), abs=0.3)
        mm3 = np.count_nonzero(bright(volume)) * volume.geometry.voxel_volume_mm3
        assert mm3 == pytest.approx(2 * 30 * 3, rel=0.2)


def test_it_tells_stable_predictors_from_others() -> None:
    stable = {line.change: line for line in stability(finds_what_is_bright, scan())}
    assert list(stable) == ["as it is", *CHANGES]
    assert stable["as it is"].after == pytest.approx(240)
    assert all(stable[name].kept for name in WHOLE)
    other = {line.change: line for line in stability(knows_the_place, scan())}
    assert other["as it is"].kept
    moved = other["shifted by (8, 0)"]
    assert (moved.after, moved.voxels_alone, moved.kept) == (0, pytest.approx(240), False)


def test_a_chest_without_a_heart_must_be_refused_throughout() -> None:
    def refuses_the_even(volume: Volume, rule: ScoringRule) -> Prediction:
        if volume.hu.shape[0] == GRID.shape[0]:
            raise Refusal(Code.HEART_NOT_FOUND, "no heart")
        return finds_what_is_bright(volume, rule)

    lines = {line.change: line for line in refusals(refuses_the_even, scan())}
    assert list(lines) == ["as it is", *REFUSED_CHANGES]
    missed = [name for name, line in lines.items() if not line.kept]
    assert missed == ["lower half of the slices", "upper half of the slices"]
    assert lines["as it is"].refusal == "HEART_NOT_FOUND"


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [(0, 4.9, True), (0, 5.1, False), (1000, 1049, True), (1000, 951, True), (1000, 1051, False), (99, 101, True),
     (99, 105, False), (3, 0, True), (None, None, True), (None, 0.0, False), (0.0, None, False)],
)  # fmt: skip
def test_bar(before: float | None, after: float | None, kept: bool) -> None:
    assert is_kept(before, after) is kept
