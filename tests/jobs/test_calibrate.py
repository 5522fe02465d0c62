"""Calibration of a model: the threshold of probability that agrees best with the truth."""

from typing import Any

import numpy as np
import pytest

from ctacal.jobs.calibrate import LEAST_CORONARY, ValidationStudy, best_threshold
from ctacal.nn.calibration import LesionDoubts
from ctacal.prediction import ScanFigures


def validation_study(true: float, *lesions: tuple[float, float]) -> ValidationStudy:
    """A study whose lesions, (probability, score) each, count at each threshold up to their probability."""
    chance, score = np.asarray(lesions, float).reshape(-1, 2).T
    doubts = tuple(
        LesionDoubts(chance, np.repeat(score[:, None], 3, axis=1), float(score[chance >= least].sum()))
        for least in LEAST_CORONARY
    )
    unknown: dict[str, Any] = dict.fromkeys(ScanFigures.__slots__)
    return ValidationStudy(doubts, ScanFigures(**unknown), 0.0, true, None)


def test_the_threshold_separates_false_from_true_lesions() -> None:
    studies = [validation_study(0.0, (0.55, 20.0)) for _ in range(20)] + [
        validation_study(150.0, (0.75, 150.0)) for _ in range(20)
    ]
    assert LEAST_CORONARY[best_threshold(studies)] == pytest.approx(0.65)


def test_if_all_thresholds_agree_it_is_one_half() -> None:
    studies = [validation_study(0.0) for _ in range(5)] + [validation_study(50.0, (0.99, 50.0)) for _ in range(5)]
    assert LEAST_CORONARY[best_threshold(studies)] == 0.5
