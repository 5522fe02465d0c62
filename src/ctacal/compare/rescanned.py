"""How far two scans of an unchanged patient differ, from patients who were scanned again and again at several centres.

For one quantity, d is the difference of the square roots of two scans of one patient with the same calcium, and m the
mean of both roots. The mean of abs(d) is a straight line along m, times a factor of the centre. Both are fitted to the
pairs of all centres, because the shape of the line needs more pairs than one centre has. The limits are that line times
the smallest number that holds 95 of 100 pairs, as for one further pair (the quantile of split conformal prediction: Lei
J et al., J Am Stat Assoc 2018;113:1094-1111). Each pair is measured by the line that is fitted to all other patients,
because the pairs of one patient are alike and limits are for patients that the line has not seen (Barber RF et al., Ann
Stat 2021;49:486-507). Pairs of 0 and 0 are left out: they would make the limits narrower.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, sqrt

import numpy as np

from ctacal.arrays import Floats, Mask
from ctacal.compare.limits import Band

COVERAGE = 0.95

_POINTS = 5


@dataclass(frozen=True, eq=False, slots=True)
class RescanPairs:
    """Pairs of scans of one patient with the same calcium, (n,) each."""

    centre: tuple[str, ...]
    patient: tuple[str, ...]
    first: Floats
    second: Floats

    @property
    def mean_sqrt(self) -> Floats:
        """Mean of both square roots."""
        return np.asarray((np.sqrt(self.first) + np.sqrt(self.second)) / 2)

    @property
    def difference(self) -> Floats:
        """Difference of the square roots, second less first."""
        return np.asarray(np.sqrt(self.second) - np.sqrt(self.first))

    @property
    def centres(self) -> tuple[str, ...]:
        """The different centres."""
        return tuple(sorted(set(self.centre)))

    def rows(self, chosen: Mask) -> "RescanPairs":
        """Return the chosen pairs."""
        names = [tuple(np.array(column)[chosen].tolist()) for column in (self.centre, self.patient)]
        return RescanPairs(names[0], names[1], self.first[chosen], self.second[chosen])

    def of_centre(self, centre: str) -> "RescanPairs":
        """Return the pairs of one centre."""
        return self.rows(np.array(self.centre) == centre)

    def of_patient(self, patient: str) -> "RescanPairs":
        """Return the pairs of one patient."""
        return self.rows(np.array(self.patient) == patient)

    def without(self, patient: str) -> "RescanPairs":
        """Return the pairs of all other patients."""
        return self.rows(np.array(self.patient) != patient)


@dataclass(frozen=True, eq=False, slots=True)
class Spread:
    """How far pairs differ: ``times`` x the centre's factor x (``at_0`` + ``slope`` m)."""

    at_0: float
    slope: float
    factor: Mapping[str, float]
    times: float

    def limit(self, centre: str, mean_sqrt: Floats) -> Floats:
        """Return the largest difference of an unchanged patient at the mean of both square roots."""
        return np.asarray(self.times * self.factor[centre] * (self.at_0 + self.slope * mean_sqrt))

    def relative(self, pairs: RescanPairs) -> Floats:
        """Return the size of each pair's difference, the limit being 1; pairs of an unknown centre are left out."""
        known = pairs.rows(np.isin(np.array(pairs.centre), list(self.factor)))
        limit = self.times * np.array([self.factor[name] for name in known.centre])
        return np.asarray(np.abs(known.difference) / (limit * (self.at_0 + self.slope * known.mean_sqrt)))

    def is_beyond(self, centre: str, before: float, after: float) -> bool:
        """Whether two values differ by more than those of an unchanged patient."""
        roots = sqrt(before), sqrt(after)
        return abs(roots[1] - roots[0]) > float(self.limit(centre, np.array(sum(roots) / 2)))

    def band(self, centre: str, pairs: RescanPairs) -> Band:
        """Return the limits at one centre, as far as its pairs reach."""
        points = np.linspace(0, float(pairs.of_centre(centre).mean_sqrt.max()), _POINTS)
        high = tuple(round(float(limit), 6) for limit in self.limit(centre, points))
        mean_sqrt = tuple(round(float(point), 6) for point in points)
        return Band(mean_sqrt=mean_sqrt, low=tuple(-limit for limit in high), high=high)


def spread_of(pairs: RescanPairs, coverage: float = COVERAGE) -> Spread:
    """Fit the spread. Raises ``ValueError`` if all pairs are equal."""
    used = pairs.rows(pairs.mean_sqrt > 0)
    fitted = _fitted(used)
    relative = np.sort(_unseen(used))
    if not relative.size:  # a single patient: better than nothing, and too narrow
        relative = np.sort(fitted.relative(used))
    rank = min(len(relative), ceil((len(relative) + 1) * coverage))
    return replace(
        fitted, factor={**dict.fromkeys(pairs.centres, 1.0), **fitted.factor}, times=float(relative[rank - 1])
    )


def _unseen(pairs: RescanPairs) -> Floats:
    """Return how far each pair lies out by the line of all other patients, where that can be fitted."""
    others = ((name, pairs.without(name)) for name in sorted(set(pairs.patient)))
    found = [_fitted(other).relative(pairs.of_patient(name)) for name, other in others if other.difference.any()]
    return np.concatenate([np.zeros(0), *found])


def _fitted(pairs: RescanPairs) -> Spread:
    """Fit the line and the factors to pairs with calcium, in turns."""
    from scipy.optimize import nnls

    mean, size, centre = pairs.mean_sqrt, np.abs(pairs.difference), np.array(pairs.centre)
    if not size.any():
        raise ValueError("no pair differs")
    factor = dict.fromkeys(pairs.centres, 1.0)
    for _ in range(20):
        of_pair = np.array([factor[name] for name in centre])
        (at_0, slope), _ = nnls(np.column_stack([of_pair, of_pair * mean]), size)
        line = at_0 + slope * mean
        factor = {name: float((size / line)[centre == name].mean()) for name in factor}
    return Spread(float(at_0), float(slope), factor, 1.0)
