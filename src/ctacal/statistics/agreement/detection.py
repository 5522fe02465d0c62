"""Detection of a finding: sensitivity, specificity, predictive values, with Wilson's interval."""

import numpy as np
from numpy.typing import ArrayLike

from ctacal.statistics.estimate import Estimate, proportion


def sensitivity(present: ArrayLike, found: ArrayLike) -> Estimate:
    """Return the proportion of studies with the finding ``present`` (n,) in which it was ``found`` (n,)."""
    truth, answer = np.asarray(present, bool), np.asarray(found, bool)
    return proportion(int((truth & answer).sum()), int(truth.sum()), "no study has it")


def specificity(present: ArrayLike, found: ArrayLike) -> Estimate:
    """Return the proportion of studies without the finding ``present`` (n,) in which it was not ``found`` (n,)."""
    absent, passed = ~np.asarray(present, bool), ~np.asarray(found, bool)
    return proportion(int((absent & passed).sum()), int(absent.sum()), "every study has it")


def positive_predictive_value(present: ArrayLike, found: ArrayLike) -> Estimate:
    """Return the proportion of studies with the finding ``found`` (n,) in which it is ``present`` (n,)."""
    truth, answer = np.asarray(present, bool), np.asarray(found, bool)
    return proportion(int((truth & answer).sum()), int(answer.sum()), "it was found in no study")


def negative_predictive_value(present: ArrayLike, found: ArrayLike) -> Estimate:
    """Return the proportion of studies without the finding ``found`` (n,) in which it is not ``present`` (n,)."""
    absent, passed = ~np.asarray(present, bool), ~np.asarray(found, bool)
    return proportion(int((absent & passed).sum()), int(passed.sum()), "it was found in every study")
