"""One plaque, one decision: islands of bright voxels are weighed by the class probabilities of all their voxels.

An island that joins two things, such as a plaque and the annulus, is cut first. The cut minimises an energy: what the
voxels of each part say against the part's class, plus a price for the borders between parts (Mumford D, Shah J, Commun
Pure Appl Math 1989;42:577-685; parts are merged as in Koepfler G et al., SIAM J Numer Anal 1994;31:282-299). No torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ctacal.arrays import Floats, Floats32, Ints, Mask
from ctacal.components import join
from ctacal.islands import Islands, find_islands, neighbours
from ctacal.lesion import Lesions
from ctacal.nn.classes import is_coronary
from ctacal.scores import ScoringRule, component_agatston
from ctacal.volume import Volume

LEAST_CHANCE = 0.02
"""Probabilities below this are raised to it: no voxel alone decides (own choice)."""

BORDER_PER_MM2 = 3.0
"""Price of a border between two parts, per mm2; the evidence of a voxel is the log of its probability times its mm3.
With this a part that is surely something else is cut off if it reaches 1 mm beyond the border, one of 0.8 against 0.2
if it reaches 2 mm (docs/log.md)."""

PART_PRICE = 20.0
"""Price of each further part: one that is surely something else has at least 5 mm3 (docs/log.md)."""

SMALL_AGATSTON = 10.0
"""Score of an island whose threshold of probability lies midway between that of the smallest and of the largest (own
choice: most false islands score less)."""


@dataclass(frozen=True, eq=False, slots=True)
class Weighed:
    """The islands of a scan, and what speaks for each class."""

    islands: Islands
    """Cut where they joined two things."""
    probability: Floats
    """(islands, classes): mean of the voxels."""
    coronary: Mask
    """(classes,): whether a class counts."""
    lesions: Lesions
    """The components of the islands; ``lesion`` is the island's number."""
    agatston: Floats
    """(islands,): score of each if it counts."""
    kinds: Floats32 | None = None
    """(islands, ``PLAQUE_CLASSES``): probabilities by the plaque network, 0 where it was not asked; None: no such
    network."""

    @property
    def chance(self) -> Floats:
        """(islands,): probability of being coronary."""
        return np.asarray(self.probability[:, self.coronary].sum(axis=1))

    def counted(self, large: float, small: float) -> Mask:
        """Return (islands,): whether each counts, at the ``least_probability`` of large and of the smallest islands."""
        return np.asarray(self.chance >= least_probability(self.agatston, large, small))

    def likeliest(self, counted: Mask) -> Ints:
        """Return (islands,): index of the likeliest class that counts, or, of those not ``counted``, that does not."""
        allowed = self.coronary == counted[:, None]
        return np.asarray(np.where(allowed, self.probability, -1.0).argmax(axis=1), np.int64)


def weigh(
    volume: Volume, at: tuple[Ints, ...], probability: Floats32, classes: Sequence[int], rule: ScoringRule
) -> Weighed:
    """Return the islands of the voxels at (slice, row, column), whose ``probability`` is (voxels, classes)."""
    islands = cut(find_islands(volume, at, connectivity=rule.connectivity), probability)
    lesions = islands.lesions(rule.connectivity)
    mean = islands.summed(probability) / islands.voxels[:, None]
    coronary = np.array([is_coronary(label) for label in classes])
    return Weighed(islands, mean, coronary, lesions, lesions.summed(component_agatston(lesions, rule)))


def least_probability(agatston: Floats, large: float, small: float) -> Floats:
    """Return the probability from which islands count: falls from ``small`` to ``large`` as their score rises.

    Noise and edges make small islands, which are more often false at the same probability.

    >>> least_probability(np.array([0.0, 10.0, 990.0]), 0.5, 0.8).tolist()
    [0.8, 0.65, 0.503]
    """
    return large + (small - large) / (1 + agatston / SMALL_AGATSTON)


def cut(islands: Islands, probability: Floats32) -> Islands:
    """Cut islands that join two things, where the evidence turns; ``probability`` is (voxels, classes)."""
    likeliest = probability.argmax(axis=1)
    most, fewest = np.zeros(islands.count, np.int64), np.full(islands.count, probability.shape[1])
    np.maximum.at(most, islands.number, likeliest)
    np.minimum.at(fewest, islands.number, likeliest)
    mixed = most > fewest
    if not mixed.any():
        return islands
    within = mixed[islands.number]
    part = _parts(islands.of(mixed), probability[within], likeliest[within])
    number = islands.number.copy()
    number[within] = islands.count + part
    return replace(islands, number=np.unique(number, return_inverse=True)[1].astype(np.int64))


def _parts(islands: Islands, probability: Floats32, likeliest: Ints) -> Ints:
    """Return the part of each voxel: neighbours of one likeliest class, then merged where a border does not pay."""
    a, b, area_mm2 = neighbours(islands)
    same = likeliest[a] == likeliest[b]
    part = join(len(islands.voxel), (a[same], b[same]))
    evidence = np.log(np.maximum(probability, LEAST_CHANCE)) * islands.geometry.voxel_volume_mm3
    of_part = replace(islands, number=part).summed(evidence)
    return _merged(of_part, (part[a[~same]], part[b[~same]], area_mm2[~same]))[part]


def _merged(of_part: Floats, borders: tuple[Ints, Ints, Floats]) -> Ints:
    """Return the part that each part has become: in rounds, each two that gain most by merging with each other merge.

    ``of_part`` is (parts, classes): the evidence; ``borders`` are parts that touch, with the area that they share.
    """
    count = len(of_part)
    root = np.arange(count)
    a, b, area_mm2 = borders
    while a.size:
        a, b, area_mm2 = _each_pair_once(a, b, area_mm2, count)
        best = of_part.max(axis=1)
        loss = best[a] + best[b] - (of_part[a] + of_part[b]).max(axis=1)
        gain = BORDER_PER_MM2 * area_mm2 + PART_PRICE - loss
        chosen = (gain > 0) & _best_of_both(a, b, gain, count)
        if not chosen.any():
            break
        into = np.arange(count)
        into[b[chosen]] = a[chosen]
        np.add.at(of_part, a[chosen], of_part[b[chosen]])
        root, a, b = into[root], into[a], into[b]
    return root


def _each_pair_once(a: Ints, b: Ints, area_mm2: Floats, count: int) -> tuple[Ints, Ints, Floats]:
    """Return each pair of different parts once, the lower first, with the sum of its areas."""
    apart = a != b
    pair, which = np.unique((np.minimum(a, b) * count + np.maximum(a, b))[apart], return_inverse=True)
    area = np.bincount(which, area_mm2[apart], minlength=len(pair)).astype(np.float64)
    return pair // count, pair % count, area


def _best_of_both(a: Ints, b: Ints, gain: Floats, count: int) -> Mask:
    """Whether each pair gains most of all pairs of its two parts; of equal ones the first."""
    rank = np.empty(len(a), np.int64)
    rank[np.argsort(-gain, kind="stable")] = np.arange(len(a))
    first = np.full(count, len(a))
    np.minimum.at(first, a, rank)
    np.minimum.at(first, b, rank)
    return np.asarray((first[a] == rank) & (first[b] == rank))
