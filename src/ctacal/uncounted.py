"""``Uncounted``: bright islands in or beside the heart that a predictor did not count: they are shown."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ctacal.arrays import Floats, Ints, Mask
from ctacal.islands import Islands
from ctacal.lesion import Lesions
from ctacal.scores import ScoredLesion, ScoringRule, component_agatston, scored_lesion

MOST_LISTED = 100
"""Largest number of islands that are listed one by one, those that would score most; a noisy scan shows thousands (own
choice)."""

MOST_FADED_LISTED = 10
"""The same for those that fade, the brightest once smoothed: almost all are noise (own choice)."""


class TakenFor(StrEnum):
    """What an island is taken for. Without an anatomy network only the first four, and metal, can be told."""

    DOUBTFUL = "possible coronary calcium"
    """More likely coronary than anything else, but not likely enough to count."""
    NO_CALCIUM = "no calcium"
    """Noise, or an edge of soft tissue; without an anatomy network also bone."""
    OTHER_CALCIUM = "other calcium"
    METAL = "metal"
    STENT = "stent"
    ASCENDING_AORTA = "wall of the ascending aorta"
    AORTA = "wall of the aorta"
    AORTIC_VALVE = "aortic valve"
    MITRAL_ANNULUS = "mitral annulus"
    TRICUSPID_ANNULUS = "tricuspid annulus"
    PULMONARY_ARTERY = "pulmonary artery or hilum"
    VEIN = "wall of a vein"
    PERICARDIUM = "pericardium"
    MYOCARDIUM = "myocardium"
    LUNG = "lung"
    AIRWAY = "wall of an airway"
    BONE = "bone"
    ABDOMEN = "abdomen"
    FADED = "too faint once smoothed"
    """Below the threshold once thin slices are averaged or a sharp kernel is smoothed; never weighed."""


@dataclass(frozen=True, eq=False, slots=True)
class Faded:
    """Islands that the scan shows but the predictor does not see, because it averages thin slices or smooths a sharp
    kernel: noise, rims of bone and metal, and perhaps a speck of calcium."""

    islands: Islands
    smoothed_hu: Floats
    """(islands,): the highest CT value of each as the predictor sees it."""
    rim: Mask
    """(islands,): whether each touches an island that was weighed."""


@dataclass(frozen=True, eq=False, slots=True)
class Uncounted:
    """The islands on the scan's voxels, of any size."""

    islands: Islands
    taken_for: tuple[TakenFor, ...]
    """What each island is taken for."""
    probability: Floats
    """(islands,): of being coronary calcium."""
    faded: Faded | None = None
    """None: the predictor sees the scan as it is."""


@dataclass(frozen=True, slots=True)
class UncountedIsland:
    """An island that would score if it counted."""

    island: ScoredLesion
    """Its place and size, and what it would score; as ``OTHER``."""
    taken_for: TakenFor
    probability: float | None
    """Probability that it is coronary calcium; None if it was never weighed."""


@dataclass(frozen=True, slots=True)
class Rest:
    """The islands that are not listed one by one."""

    islands: int = 0
    volume_mm3: float = 0.0
    agatston: float = 0.0
    """What they would score together."""


@dataclass(frozen=True, slots=True)
class UncountedList:
    """What was not counted, as outputs list it."""

    islands: tuple[UncountedIsland, ...]
    """Those weighed that would score most, at most ``MOST_LISTED``; then those faded that stay brightest, at most
    ``MOST_FADED_LISTED``."""
    rest: Rest
    """The others that were weighed: most are below the rule's smallest size."""
    faded: Rest = Rest()
    """The others that faded."""

    @property
    def weighed_count(self) -> int:
        """Number of all islands that were weighed."""
        return len(self.islands) - self._faded_listed + self.rest.islands

    @property
    def faded_count(self) -> int:
        """Number of all islands that faded."""
        return self._faded_listed + self.faded.islands

    @property
    def _faded_listed(self) -> int:
        return sum(island.taken_for is TakenFor.FADED for island in self.islands)


def listed(uncounted: Uncounted, rule: ScoringRule, *, first_slice: int = 0) -> UncountedList:
    """List the islands; ``first_slice`` is the number of the volume's first slice in the scan."""
    weighed = _Measured.of(uncounted.islands, rule)
    shown = weighed.scoring(np.argsort(-weighed.agatston, kind="stable"))[:MOST_LISTED]
    rows = [
        UncountedIsland(weighed.scored(n, first_slice), uncounted.taken_for[n], float(uncounted.probability[n]))
        for n in shown
    ]
    faded = uncounted.faded
    if faded is None:
        return UncountedList(tuple(rows), weighed.without(shown))
    found = _Measured.of(faded.islands, rule)
    brightest = found.scoring(np.argsort(-faded.smoothed_hu, kind="stable"))
    brightest = [n for n in brightest if not faded.rim[n]][:MOST_FADED_LISTED]
    rows += [UncountedIsland(found.scored(n, first_slice), TakenFor.FADED, None) for n in brightest]
    return UncountedList(tuple(rows), weighed.without(shown), found.without(brightest))


@dataclass(frozen=True, eq=False, slots=True)
class _Measured:
    """Islands, and what each would score."""

    lesions: Lesions
    of_component: Floats
    agatston: Floats
    """(islands,)."""
    volume_mm3: Floats
    """(islands,)."""

    @classmethod
    def of(cls, islands: Islands, rule: ScoringRule) -> "_Measured":
        lesions = islands.lesions(rule.connectivity)
        of_component = component_agatston(lesions, rule)
        return cls(lesions, of_component, lesions.summed(of_component), lesions.summed(lesions.volume_mm3))

    def scoring(self, order: Ints) -> list[int]:
        """Return the islands that would score, in the order given."""
        return [int(n) for n in order if self.agatston[n] > 0]

    def scored(self, n: int, first_slice: int) -> ScoredLesion:
        return scored_lesion(self.lesions, self.of_component, n, first_slice)

    def without(self, shown: list[int]) -> Rest:
        """Return the sum of all others."""
        others = np.ones(len(self.agatston), bool)
        others[shown] = False
        return Rest(int(others.sum()), float(self.volume_mm3[others].sum()), float(self.agatston[others].sum()))
