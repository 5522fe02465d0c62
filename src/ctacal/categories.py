"""Risk categories of the Agatston score, and their edges: defined here and nowhere else."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Ints

CATEGORIES = ("0", "1-100", "101-400", ">400")
"""The four categories of Miller RJH et al., J Nucl Med 2023;64:652-658, lowest first."""

CATEGORY_EDGES = (0.0, 100.0, 400.0)
"""The highest score of each category but the last. Scores are not rounded: 0.8 is in the second, 100.1 in the third."""

FIVE_CATEGORIES = ("0", "1-10", "11-100", "101-400", ">400")
"""The five categories of Rumberger JA et al., Mayo Clin Proc 1999;74:243-252, lowest first."""

FIVE_CATEGORY_EDGES = (0.0, 10.0, 100.0, 400.0)
"""The highest score of each of the five categories but the last."""

CATEGORY_KEYS = ("p_0", "p_1_100", "p_101_400", "p_400")
"""Names of the four categories' probabilities in results (JSON, CSV), lowest category first."""


class Cut(NamedTuple):
    """A score that divides studies into those with a finding and those without."""

    name: str
    agatston: float
    inclusive: bool
    """Whether a score equal to the cut counts as present."""


CUTS = (
    Cut("CAC > 0", CATEGORY_EDGES[0], inclusive=False),
    Cut("CAC >= 100", CATEGORY_EDGES[1], inclusive=True),
    Cut("CAC > 400", CATEGORY_EDGES[2], inclusive=False),
)
"""The cuts at which detection is reported: any calcium, 100 or more, and above 400."""


def category_indices(agatston: ArrayLike, edges: Sequence[float] = CATEGORY_EDGES) -> Ints:
    """Return the index of each score's category, counted from 0; any shape.

    >>> category_indices([0, 0.8, 100, 100.1, 400, 401]).tolist()
    [0, 1, 1, 2, 2, 3]
    """
    return np.asarray(np.searchsorted(edges, np.asarray(agatston, np.float64)), np.int64)


def risk_category(agatston: float) -> str:
    """Return 0, 1-100, 101-400 or >400 (Miller 2023). The score is not rounded: any score above 0 is at least 1-100.

    >>> [risk_category(score) for score in (0, 0.8, 100, 100.1, 400, 401)]
    ['0', '1-100', '1-100', '101-400', '101-400', '>400']
    """
    return CATEGORIES[int(category_indices(agatston))]


def five_class_category(agatston: float) -> str:
    """Return 0, 1-10, 11-100, 101-400 or >400 (Rumberger 1999).

    >>> five_class_category(10.5)
    '11-100'
    """
    return FIVE_CATEGORIES[int(category_indices(agatston, FIVE_CATEGORY_EDGES))]
