"""Scored studies for the tests of outputs: calcium of every kind on a small synthetic chest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset

from ctacal.labels import Calcium, LabelMap
from ctacal.prediction import Prediction
from ctacal.result import ScoredStudy, StudyResult
from ctacal.scores import ScoringRule
from ctacal.study import model_without_file, score_study
from ctacal.volume import Volume
from tests.dicom_series import Grid, ct_series, emission_image, study_of, write

LOW_RULE = ScoringRule(name="low", source="tests", threshold_hu=30.0, density_steps_hu=(30.0, 45.0, 55.0, 60.0))
"""A rule under which soft tissue scores, so that lesions can be drawn on a chest without calcium."""

PLAIN = Grid()
_PATIENT = ("SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge")
ALL_LABELS = tuple(Calcium)


def drawing(labels: Sequence[Calcium] = ALL_LABELS, *, seed: int = 5) -> Any:
    """Return a predictor that draws random blobs of each label on soft tissue."""

    def predict(volume: Volume, rule: ScoringRule) -> Prediction:
        random = np.random.default_rng(seed)
        drawn = np.zeros(volume.hu.shape, np.uint8)
        rows, columns = np.nonzero((volume.hu >= rule.threshold_hu).all(axis=0))
        for label in labels:
            for _ in range(4):
                at = random.integers(len(rows))
                first = int(random.integers(1, len(drawn) - 2))
                drawn[first : first + 2, rows[at] : rows[at] + 3, columns[at] : columns[at] + 2] = label
        return Prediction(LabelMap(drawn, volume.geometry), model_without_file("drawing"))

    return predict


def scored_series(series: Sequence[Dataset], folder: Path, predict: Any = None, **options: Any) -> ScoredStudy:
    """Store the slices, and an emission image of the same patient, and score them with ``LOW_RULE``."""
    same = {keyword: series[0][keyword].value for keyword in _PATIENT if keyword in series[0]}
    study = study_of(write(folder, [*series, emission_image(**same)]))
    rule = options.pop("rule", LOW_RULE)
    return as_scored(score_study(study, predict or drawing(), rule=rule, **options))


def as_scored(result: StudyResult) -> ScoredStudy:
    """Assert that the study is scored, and return it."""
    assert isinstance(result, ScoredStudy), result.reasons
    return result


def scored(folder: Path, grid: Grid = PLAIN, **attributes: Any) -> ScoredStudy:
    """Return a scored study of a synthetic series; ``attributes`` are those of ``ct_series``."""
    return scored_series(ct_series(grid, **attributes), folder)
