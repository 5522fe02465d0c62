"""A study with one bright voxel, whose score was computed by hand, and the schema of its result."""

import json
from importlib.resources import files

import numpy as np

from ctacal.labels import Calcium, LabelMap
from ctacal.prediction import Prediction
from ctacal.scores import ScoringRule
from ctacal.study import model_without_file
from ctacal.volume import Volume
from tests.dicom_series import MARKER_INDEX, Grid

SCHEMA = json.loads(files("ctacal").joinpath("result.schema.json").read_text())
WIDE = Grid(row_mm=1.5, column_mm=1.0)
"""Pixels of 1.5 mm2, so that the marker alone reaches the area floor: Agatston 1.5 x 4 x 3/3 = 6."""


def predict_marker(volume: Volume, _: ScoringRule, label: Calcium = Calcium.LAD) -> Prediction:
    labels = np.zeros(volume.hu.shape, np.uint8)
    labels[MARKER_INDEX] = label
    return Prediction(LabelMap(labels, volume.geometry), model_without_file("marker"))
