"""A finder whose process dies, hangs or swells, by the number of slices of the scan."""

import os
import signal
import time

import numpy as np

from ctacal.jobs.finders import Finder
from ctacal.prediction import Prediction
from ctacal.scores import ScoringRule
from ctacal.study import model_without_file
from ctacal.volume import Volume
from tests.marker_study import predict_marker

DIES, HANGS, SWELLS, SLOW = 15, 16, 17, 18
"""Numbers of slices."""
SWOLLEN_MB = 600


def odd_finder() -> Finder:
    return Finder(_predict, model_without_file("odd"), made_by=odd_finder)


def _predict(volume: Volume, rule: ScoringRule) -> Prediction:
    slices = len(volume.hu)
    if slices == DIES:
        os.kill(os.getpid(), signal.SIGKILL)
    if slices == HANGS:
        time.sleep(60)
    if slices == SWELLS:
        swollen = np.ones(SWOLLEN_MB * 2**20, np.uint8)
        time.sleep(60)
        del swollen
    if slices == SLOW:
        time.sleep(0.2)
    return predict_marker(volume, rule)
