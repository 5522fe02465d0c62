"""Whether what is present is found: sensitivity, specificity, predictive values."""

import numpy as np
from numpy.typing import ArrayLike

from ctacal.statistics.estimate import Estimate, proportion


def sensitivity(present: ArrayLike, found: ArrayLike) -> Estimate:
    """Share of the studies where it is ``present`` (n,) that were ``found`` (n,); Wilson interval."""
    truth, answer = np.asarray(present, bool), np.asarray(found, bool)
    return proportion(int((truth & answer).sum()), int(truth.sum()), "no study has it")


def specificity(present: ArrayLike, found: ArrayLike) -> Estimate:
    """Share of the studies where it is not ``present`` (n,) that were not ``found`` (n,); Wilson interval."""
    absent, passed = ~np.asarray(present, bool), ~np.asarray(found, bool)
    return proportion(int((absent & passed).sum()), int(absent.sum()), "every study has it")


def positive_predictive_value(present: ArrayLike, found: ArrayLike) -> Estimate:
    """Share of the studies where it was ``found`` (n,) in which it is ``present`` (n,); Wilson interval."""
    truth, answer = np.asarray(present, bool), np.asarray(found, bool)
    return proportion(int((truth & answer).sum()), int(answer.sum()), "it was found in no study")


def negative_predictive_value(present: ArrayLike, found: ArrayLike) -> Estimate:
    """Share of the studies where it was not ``found`` (n,) in which it is not ``present`` (n,); Wilson interval."""
    absent, passed = ~np.asarray(present, bool), ~np.asarray(found, bool)
    return proportion(int((absent & passed).sum()), int(passed.sum()), "it was found in every study")
