"""The classes of a network: which ``Calcium`` each stands for, and which classes a true label allows."""

import numpy as np

from ctacal.arrays import Mask
from ctacal.labels import NAMED_VESSELS, Calcium

Classes = tuple[int, ...]
"""The label value of each class; 0 is background. ``Calcium.CORONARY`` only if a network names no vessel. Of an
anatomy network: ``Anatomy`` values."""

BY_VESSEL: Classes = (0, *NAMED_VESSELS, Calcium.OTHER)
"""Classes of our networks: background, LM, LAD, LCX, RCA, other calcium."""

CORONARY_OR_OTHER: Classes = (0, Calcium.CORONARY, Calcium.OTHER)
"""Classes of the published lesion network: background, coronary calcium, other."""

NOT_CORONARY = 7
"""True label of an unmarked voxel if only coronary calcium was drawn: background or other calcium."""

TRUTHS = NOT_CORONARY + 1
"""Number of true labels: 0, ``Calcium`` 1 to 6, ``NOT_CORONARY``."""


def allowed(classes: Classes) -> Mask:
    """Return (truths, classes): whether a voxel with that true label may get that class.

    ``Calcium.CORONARY`` in the truth allows every vessel; a network without vessels treats all of them as the same.

    >>> allowed(BY_VESSEL)[Calcium.CORONARY].astype(int).tolist()
    [0, 1, 1, 1, 1, 0]
    """
    table = np.zeros((TRUTHS, len(classes)), bool)
    for truth in range(TRUTHS):
        for index, label in enumerate(classes):
            table[truth, index] = _fits(truth, label)
    return table


def _fits(truth: int, label: int) -> bool:
    if truth == NOT_CORONARY:
        return label in (0, Calcium.OTHER)
    unnamed = Calcium.CORONARY in (truth, label)
    return truth == label or (unnamed and is_coronary(truth) and is_coronary(label))


def is_coronary(label: int) -> bool:
    """Whether a label value counts towards the score."""
    return label in tuple(Calcium) and Calcium(label).is_coronary
