"""Calibration of a model: the thresholds of probability that agree best with the truth."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctacal.errors import UsageError
from ctacal.geometry import Geometry
from ctacal.jobs.calibrate import CalibrationJob, ValidationStudy, _known_range, best_thresholds, left_out, scores_at
from ctacal.nn.classes import CORONARY_OR_OTHER
from ctacal.nn.islands import weigh
from ctacal.prediction import ScanFigures
from ctacal.scores import SCCT_2016
from ctacal.volume import Volume


def validation_study(true: float, *islands: tuple[float, int]) -> ValidationStudy:
    """A study whose islands, (probability, pixels of 150 HU) each, count from their probability on."""
    hu = np.full((1, 40, 160), 40.0, np.float32)
    chance = np.zeros(hu.shape, np.float32)
    for n, (given, pixels) in enumerate(islands):
        place = (0, 4 * n, slice(0, pixels))
        hu[place], chance[place] = 150.0, given
    at = np.nonzero(hu >= 130)
    probability = np.stack([1 - chance[at], chance[at], 0 * chance[at]], axis=1)
    volume = Volume(hu, Geometry.from_spacing((1, 40, 160), (3.0, 1.0, 1.0)))
    weighed = weigh(volume, at, probability, CORONARY_OR_OTHER, SCCT_2016)
    unknown: dict[str, Any] = dict.fromkeys(ScanFigures.__slots__)
    figures = ScanFigures(**unknown)
    return ValidationStudy(0, weighed, figures, figures, 0.0, true, None)


def test_figures_of_patients_who_were_left_out() -> None:
    """True mass goes with the square root of what the scan shows, the gated score with the mass: the fit mends it."""
    studies = []
    for k in range(80):
        pixels = 3 * (1 + k // 2) + 2 if k % 2 else 0
        mg = 2.0 * pixels**0.5
        study = validation_study(float(pixels), (0.9, pixels)) if pixels else validation_study(0.0, (0.1, 5))
        studies.append(replace(study, patient=k // 4, true_mg=mg, gated_agatston=8 * mg if pixels else 0.0))
    found = left_out(studies)
    assert found is not None
    np.testing.assert_allclose(found.found, found.true)
    np.testing.assert_allclose(found.found_mg, found.true_mg, rtol=0.1, atol=0.1)
    np.testing.assert_allclose(found.equivalent, np.maximum(found.gated, found.true), rtol=0.15, atol=1.0)
    agreement, gated, mass = found.lines()
    assert agreement == (
        "left out by patient, 80 studies: kappa 1.000, sensitivity 1.000 of 40, specificity 1.000 of 40"
    )
    assert "kappa" in gated and mass.startswith("mass, where calcium is found: mean error of log(1 + mg) 0.0")


def test_unusual_studies_widen_what_is_known_but_not_the_blur_of_motion() -> None:
    def seen(pixel_mm: float, blur_mm: float) -> ValidationStudy:
        study = validation_study(0.0)
        return replace(study, seen=replace(study.seen, pixel_mm=pixel_mm, border_blur_mm=blur_mm))

    usual = [seen(0.7 + 0.01 * k, 2.0 + 0.01 * k) for k in range(50)]
    unusual = [seen(0.5 + 0.03 * k, 9.0) for k in range(50)]
    alone, known = _known_range(usual, []), _known_range(usual, unusual)
    assert known["border_blur_mm"] == alone["border_blur_mm"]
    assert known["pixel_mm"][0] < 0.6 < alone["pixel_mm"][0]
    assert known["pixel_mm"][1] > 1.9 > alone["pixel_mm"][1]


def test_too_few_studies_to_leave_any_out() -> None:
    studies = [
        replace(validation_study(50.0, (0.9, 50)), gated_agatston=100.0, excess_mg=10.0, patient=k) for k in range(9)
    ]
    assert left_out(studies) is None


def test_the_threshold_separates_false_from_true_islands() -> None:
    studies = [validation_study(0.0, (0.55, 100)) for _ in range(20)] + [
        validation_study(150.0, (0.75, 150)) for _ in range(20)
    ]
    large, small = best_thresholds(studies)
    assert scores_at(studies, large, small) == pytest.approx([0.0] * 20 + [150.0] * 20)
    assert 0.55 < large < 0.75


def test_small_islands_get_their_own_threshold() -> None:
    """At 0.7 specks are false and plaques are true."""
    studies = [validation_study(0.0, (0.7, 1)) for _ in range(20)] + [
        validation_study(150.0, (0.7, 150)) for _ in range(20)
    ]
    large, small = best_thresholds(studies)
    assert large < 0.7 < small
    assert scores_at(studies, large, small) == pytest.approx([0.0] * 20 + [150.0] * 20)


def test_if_all_thresholds_agree_it_is_one_half() -> None:
    studies = [validation_study(0.0) for _ in range(5)] + [validation_study(50.0, (0.99, 50)) for _ in range(5)]
    assert best_thresholds(studies) == (pytest.approx(0.5), pytest.approx(0.5))


@pytest.mark.parametrize("thresholds", [(2.0, 0.5), (0.5, 0.0), (0.5, float("nan"))])
def test_thresholds_are_checked_before_an_hour_of_work(thresholds: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="must lie between 0 and 1"):
        CalibrationJob(model=Path("model"), cohort=Path("studies"), thresholds=thresholds)
