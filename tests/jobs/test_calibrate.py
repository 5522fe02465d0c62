"""Calibration of a model: the thresholds of probability that agree best with the truth."""

from typing import Any

import numpy as np
import pytest

from ctacal.geometry import Geometry
from ctacal.jobs.calibrate import ValidationStudy, best_thresholds, scores_at
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
