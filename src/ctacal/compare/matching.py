"""``match_lesions``: the lesions of one scan and those of another scan of the same patient, and which became which.

Lesions are assigned one to one by the least sum of distances, after the first scan was laid upon the second
(``registration``). What is left over is looked for in its neighbours: a lesion of the first scan that lies where two of
the second are was split, two that lie where there is one were merged. Noise and motion do that as often as growth.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from ctacal.arrays import Floats
from ctacal.compare.registration import RigidTransform
from ctacal.labels import Calcium
from ctacal.lesion import Lesions
from ctacal.scores import ScoredLesion, ScoringRule, component_agatston, scored_lesion

GATE_MM = 15.0
"""Lesions further apart are not the same: a right coronary artery moves by as much in a beat (own choice)."""

OTHER_VESSEL_MM = 6.0
"""A pair whose vessels differ counts as this much further apart: names of vessels are less sure than places (own
choice)."""

PART_MM = 5.0
"""A lesion that is left over is part of a matched one no further than this away: about the blur and the motion of a
CTAC (own choice)."""


class Kind(StrEnum):
    """What became of a lesion."""

    KEPT = "kept"
    NEW = "new"
    GONE = "gone"
    SPLIT = "split"
    """One lesion of the first scan, several of the second."""
    MERGED = "merged"
    """Several lesions of the first scan, one of the second."""


@dataclass(frozen=True, eq=False, slots=True)
class PlacedLesion:
    """A coronary lesion that scores, with the place of its parts."""

    scored: ScoredLesion
    points_mm: Floats
    """(components, 3): the middle of each of its components, in the patient frame (LPS)."""
    radius_mm: Floats
    """(components,): of the disc with the area of each component."""
    pixels: Floats
    """(components,)."""

    @property
    def centre_mm(self) -> Floats:
        """Its middle, by pixels."""
        return np.asarray(np.average(self.points_mm, axis=0, weights=self.pixels))


@dataclass(frozen=True, slots=True)
class LesionMatch:
    """Lesions of two scans that are the same calcium."""

    kind: Kind
    a: tuple[ScoredLesion, ...]
    """Lesions of the first scan: none if new, several if merged."""
    b: tuple[ScoredLesion, ...]
    """Lesions of the second scan: none if gone, several if split."""
    distance_mm: float | None
    """Between their middles after registration; None if new or gone."""

    @property
    def vessels_differ(self) -> bool:
        """Whether the scans give them different vessels."""
        return bool(self.a and self.b) and {one.vessel for one in self.a} != {one.vessel for one in self.b}


def place_lesions(lesions: Lesions, rule: ScoringRule, *, first_slice: int = 0) -> tuple[PlacedLesion, ...]:
    """Return the coronary lesions that score, highest first, as ``scores.scored_lesions`` has them."""
    agatston = component_agatston(lesions, rule)
    scores = (agatston > 0) & (lesions.label != Calcium.OTHER)
    placed = [_placed(lesions, agatston, int(number), first_slice) for number in np.unique(lesions.lesion[scores])]
    return tuple(sorted(placed, key=lambda lesion: -lesion.scored.agatston))


def _placed(lesions: Lesions, agatston: Floats, number: int, first_slice: int) -> PlacedLesion:
    own = lesions.lesion == number
    affine = lesions.geometry.affine
    return PlacedLesion(
        scored_lesion(lesions, agatston, number, first_slice),
        np.asarray(lesions.centroid[own] @ affine[:3, :3].T + affine[:3, 3]),
        np.sqrt(lesions.area_mm2[own] / np.pi),
        np.asarray(lesions.pixels[own], np.float64),
    )


@dataclass(slots=True)
class _Group:
    """Lesions of both scans, by number, that are the same calcium."""

    a: list[int]
    b: list[int]


def match_lesions(
    a: Sequence[PlacedLesion], b: Sequence[PlacedLesion], transform: RigidTransform
) -> tuple[LesionMatch, ...]:
    """Return what became of each lesion, those with the highest score first.

    ``transform`` leads from the patient frame of ``a`` to that of ``b``. Each lesion is in exactly one match.

    Args:
        a: Lesions of the first scan (``place_lesions``).
        b: Lesions of the second scan.
        transform: Leads from the patient frame of ``a`` to that of ``b``, in mm (``register``).

    Returns:
        For each lesion, or group of lesions, what became of it, and the distance in mm.

    Example:
        >>> from ctacal.compare.registration import RigidTransform
        >>> still = RigidTransform(np.eye(3), np.zeros(3), np.zeros(3), 1.0)
        >>> def lesion(agatston, at_mm):
        ...     scored = ScoredLesion(Calcium.LAD, agatston, 40.0, 400.0, 250.0, (4, 5), at_mm)
        ...     return PlacedLesion(scored, np.array([at_mm]), np.array([2.0]), np.array([20.0]))
        >>> matches = match_lesions([lesion(40.0, (9.0, 0.0, 0.0))], [lesion(52.0, (9.0, 1.0, 0.0))], still)
        >>> [(str(match.kind), match.distance_mm) for match in matches]
        [('kept', 1.0)]
    """
    moved = [replace(lesion, points_mm=transform.apply(lesion.points_mm)) for lesion in a]
    pairs = _assigned(moved, b)
    groups = [_Group([i], [j]) for i, j in pairs]
    left_a, left_b = _left_over(len(a), (i for i, _ in pairs)), _left_over(len(b), (j for _, j in pairs))
    for j in left_b:  # a part of what the first scan shows whole
        if group := _nearest(groups, b[j], [moved[group.a[0]] for group in groups]):
            group.b.append(j)
    for i in left_a:
        if group := _nearest(groups, moved[i], [b[group.b[0]] for group in groups]):
            group.a.append(i)
    alone = {*left_a} - {i for group in groups for i in group.a}, {*left_b} - {j for group in groups for j in group.b}
    groups += [_Group([i], []) for i in sorted(alone[0])] + [_Group([], [j]) for j in sorted(alone[1])]
    matches = [_match([moved[i] for i in group.a], [b[j] for j in group.b]) for group in groups]
    return tuple(sorted(matches, key=lambda match: -max(one.agatston for one in (*match.a, *match.b))))


def _assigned(a: Sequence[PlacedLesion], b: Sequence[PlacedLesion]) -> list[tuple[int, int]]:
    """Return the pairs of the least sum of distances, without those beyond ``GATE_MM``."""
    from scipy.optimize import linear_sum_assignment

    if not a or not b:
        return []
    apart_mm = np.linalg.norm(
        np.stack([lesion.centre_mm for lesion in a])[:, None] - np.stack([lesion.centre_mm for lesion in b]), axis=2
    )
    vessels = [np.array([lesion.scored.vessel for lesion in lesions]) for lesions in (a, b)]
    cost_mm = apart_mm + OTHER_VESSEL_MM * (vessels[0][:, None] != vessels[1])
    rows, columns = linear_sum_assignment(np.minimum(cost_mm, GATE_MM))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if cost_mm[i, j] < GATE_MM]


def _left_over(count: int, used: Iterable[int]) -> list[int]:
    return sorted(set(range(count)) - set(used))


def _nearest(groups: Sequence[_Group], part: PlacedLesion, wholes: Sequence[PlacedLesion]) -> _Group | None:
    """Return the group whose whole lesion is nearest to a part, None if none is within ``PART_MM``."""
    gaps_mm = [_gap_mm(part, whole) for whole in wholes]
    nearest = int(np.argmin(gaps_mm)) if gaps_mm else 0
    return groups[nearest] if gaps_mm and gaps_mm[nearest] <= PART_MM else None


def _gap_mm(a: PlacedLesion, b: PlacedLesion) -> float:
    """Return the least distance between the rims of their components, as if each were a disc; 0 if they overlap."""
    apart_mm = np.linalg.norm(a.points_mm[:, None] - b.points_mm, axis=2) - a.radius_mm[:, None] - b.radius_mm
    return max(0.0, float(apart_mm.min()))


def _match(a: Sequence[PlacedLesion], b: Sequence[PlacedLesion]) -> LesionMatch:
    scored_a, scored_b = (tuple(lesion.scored for lesion in lesions) for lesions in (a, b))
    if not a or not b:
        return LesionMatch(Kind.NEW if b else Kind.GONE, scored_a, scored_b, None)
    kind = Kind.KEPT if len(a) == len(b) else Kind.SPLIT if len(b) > len(a) else Kind.MERGED
    return LesionMatch(kind, scored_a, scored_b, float(np.linalg.norm(_middle_mm(a) - _middle_mm(b))))


def _middle_mm(lesions: Sequence[PlacedLesion]) -> Floats:
    pixels = np.concatenate([lesion.pixels for lesion in lesions])
    return np.asarray(np.average(np.vstack([lesion.points_mm for lesion in lesions]), axis=0, weights=pixels))
