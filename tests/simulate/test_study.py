"""A description always gives the same scan and truth, and the truth is what the scan shows."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba")

from ctacal.labels import Calcium
from ctacal.scores import score_label_map
from ctacal.simulate.anatomy.calcium import CalciumDescription, Deposit, Kind
from ctacal.simulate.anatomy.structures import HEART, Structure
from ctacal.simulate.scanner.protocol import load_protocol
from ctacal.simulate.study import SimulatedStudy, StudyDescription, body_grid, draw_study, simulate_study
from ctacal.simulate.truth import VESSEL_LABELS

pytestmark = pytest.mark.slow

PROTOCOL = replace(
    load_protocol("spect_ct_16slice"), matrix=256, views=240, detector_mm=1.6, tube_current_ma=150.0, spacing_mm=5.0,
    thickness_mm=5.0,
)  # fmt: skip


def described(*deposits: Deposit) -> StudyDescription:
    drawn = draw_study(3, PROTOCOL)
    return replace(drawn, calcium=CalciumDescription(deposits), bottom_mm=-90.0, top_mm=-40.0, breathing_mm=6.0)


LARGE = Deposit(Kind.CORONARY, "LAD", 0.2, 0.0, 20.0, 3.0, 200.0, 900.0, 1)


@pytest.fixture(scope="module")
def study() -> SimulatedStudy:
    return simulate_study(described(LARGE))


def test_a_description_survives_json() -> None:
    drawn = draw_study(11, PROTOCOL)
    assert StudyDescription.from_json(json.loads(json.dumps(drawn.to_json()))) == drawn
    with pytest.raises(ValueError, match="heart_rate"):
        StudyDescription.from_json({"seed": 1})


@pytest.mark.slow
def test_the_same_description_makes_the_same_study(study: SimulatedStudy) -> None:
    again = simulate_study(StudyDescription.from_json(json.loads(json.dumps(study.description.to_json()))))
    assert np.array_equal(again.volume.hu, study.volume.hu)
    assert np.array_equal(again.truth.structures, study.truth.structures)
    assert np.array_equal(again.truth.labels.labels, study.truth.labels.labels)


def test_the_plaque_is_bright_where_the_truth_says(study: SimulatedStudy) -> None:
    labels, hu = study.truth.labels.labels, study.volume.hu
    assert set(np.unique(labels)) == {0, Calcium.LAD}
    assert np.array_equal(labels == Calcium.LAD, study.truth.structures == VESSEL_LABELS["LAD"])
    heart = np.isin(study.truth.structures, HEART)
    assert np.median(hu[labels > 0]) > 130 > np.percentile(hu[heart & (labels == 0)], 99)


def test_the_scores_are_those_of_the_true_labels(study: SimulatedStudy) -> None:
    _, scores = score_label_map(study.volume, study.truth.labels)
    assert study.truth.ctac_score == scores
    assert scores.agatston.per_vessel["LAD"] == scores.agatston.total > 50
    assert study.truth.reference_score.agatston.per_vessel["LAD"] > 50


def test_the_heart_lies_where_the_scan_shows_soft_tissue(study: SimulatedStudy) -> None:
    blood = study.volume.hu[study.truth.structures == Structure.LV_BLOOD]
    assert len(blood) > 500
    assert 20 < np.median(blood) < 70


@pytest.mark.slow
def test_without_deposits_nothing_is_calcium() -> None:
    truth = simulate_study(replace(described(), top_mm=-75.0)).truth
    assert not truth.labels.labels.any()
    assert truth.ctac_score.agatston.total == truth.reference_score.agatston.total == 0
    assert truth.table == ()


@pytest.mark.parametrize("seed", range(40))
def test_scan_ranges_lie_in_the_body_and_hold_the_heart(seed: int) -> None:
    drawn = draw_study(seed, PROTOCOL)
    assert -250 <= drawn.bottom_mm < -110
    assert 0 < drawn.top_mm <= 190
    grid = body_grid(drawn)
    assert grid.shape[0] * grid.shape[1] * grid.shape[2] < 2**28
