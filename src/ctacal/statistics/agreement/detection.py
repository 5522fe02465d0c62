"""Detection of a finding: sensitivity, specificity, predictive values, with Wilson's interval."""

import numpy as np
from numpy.typing import ArrayLike

from ctacal.statistics.estimate import Estimate, proportion


def sensitivity(present: ArrayLike, found: ArrayLike) -> Estimate:
    """Return the proportion of studies with the finding ``present`` (n,) in which it was ``found`` (n,).

    Args:
        present: (n,) whether the reference has the finding.
        found: (n,) whether the model has it.

    Returns:
        The share with its 95 % interval.

    Example:
        >>> print(sensitivity([1, 1, 1, 0, 0], [1, 1, 0, 0, 1]))
        0.667 (0.208 to 0.939)
    """
    truth, answer = np.asarray(present, bool), np.asarray(found, bool)
    return proportion(int((truth & answer).sum()), int(truth.sum()), "no study has it")


def specificity(present: ArrayLike, found: ArrayLike) -> Estimate:
    """Return the proportion of studies without the finding ``present`` (n,) in which it was not ``found`` (n,).

    Args:
        present: (n,) whether the reference has the finding.
        found: (n,) whether the model has it.

    Returns:
        The share with its 95 % interval.

    Example:
        >>> print(specificity([1, 1, 1, 0, 0], [1, 1, 0, 0, 1]))
        0.500 (0.095 to 0.905)
    """
    absent, passed = ~np.asarray(present, bool), ~np.asarray(found, bool)
    return proportion(int((absent & passed).sum()), int(absent.sum()), "every study has it")


def positive_predictive_value(present: ArrayLike, found: ArrayLike) -> Estimate:
    """Return the proportion of studies with the finding ``found`` (n,) in which it is ``present`` (n,).

    Args:
        present: (n,) whether the reference has the finding.
        found: (n,) whether the model has it.

    Returns:
        The share with its 95 % interval.

    Example:
        >>> print(positive_predictive_value([1, 1, 1, 0, 0], [1, 1, 0, 0, 1]))
        0.667 (0.208 to 0.939)
    """
    truth, answer = np.asarray(present, bool), np.asarray(found, bool)
    return proportion(int((truth & answer).sum()), int(answer.sum()), "it was found in no study")


def negative_predictive_value(present: ArrayLike, found: ArrayLike) -> Estimate:
    """Return the proportion of studies without the finding ``found`` (n,) in which it is not ``present`` (n,).

    Args:
        present: (n,) whether the reference has the finding.
        found: (n,) whether the model has it.

    Returns:
        The share with its 95 % interval.

    Example:
        >>> print(negative_predictive_value([1, 1, 1, 0, 0], [1, 1, 0, 0, 1]))
        0.500 (0.095 to 0.905)
    """
    absent, passed = ~np.asarray(present, bool), ~np.asarray(found, bool)
    return proportion(int((absent & passed).sum()), int(passed.sum()), "it was found in every study")
