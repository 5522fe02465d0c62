"""The classes of a network: which ``Calcium`` each stands for, and which classes a true label allows."""

from typing import NamedTuple

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


class PlaqueClass(NamedTuple):
    """A class of the plaque network: what an island is."""

    name: str
    label: int
    """The label value that its islands get."""


PLAQUE_CLASSES = (
    PlaqueClass("no calcium", 0),
    *(PlaqueClass(vessel.name, int(vessel)) for vessel in NAMED_VESSELS),
    PlaqueClass("aortic wall", Calcium.OTHER),
    PlaqueClass("valve or annulus", Calcium.OTHER),
    PlaqueClass("stent", Calcium.OTHER),
    PlaqueClass("other metal", Calcium.OTHER),
    PlaqueClass("other calcium", Calcium.OTHER),
)
"""What is taken for a plaque has classes of its own, because it differs from other calcium as much as from plaques."""

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
