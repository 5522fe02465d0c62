"""``Truth``: the structure and calcium in each voxel of a simulated scan, and the score on a gated scan.

A voxel of the scan is calcium if calcium adds at least ``TRUTH_HU`` to it. So the label is not where calcium lies on
the fine grid, but where the scanner, its blur and the motion of the heart put it. The added HU are reconstructed from
the same projections without noise (``scanner.calcium``). A voxel belongs to the deposit that is nearest in any phase of
the heart cycle.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from ctacal.arrays import Bytes, Floats, Floats32
from ctacal.geometry import Geometry
from ctacal.labels import Calcium, LabelMap
from ctacal.scores import Scores
from ctacal.simulate.anatomy.calcium import CalciumDescription, Deposit, Kind
from ctacal.simulate.anatomy.description import Patient
from ctacal.simulate.anatomy.sites import Anatomy
from ctacal.simulate.anatomy.structures import Structure
from ctacal.simulate.anatomy.truth import CalciumRow

TRUTH_HU = 40.0
"""HU that calcium adds at least to a voxel that is labelled calcium (own choice). A voxel of blood reaches the 130 HU
of the Agatston score with 85 HU more. Noise of 25 HU lifts a voxel with 40 HU more to 130 HU in one of thirty cases,
and a voxel without calcium in less than one of a thousand."""

VOTE_MM, MOST_VOTERS = 1.0, 64
"""Points of deposits vote if they are no further than this beyond the nearest point; at most so many vote. Where the
traces of two moving vessels cross, the nearest point alone would alternate between them (own choice)."""

VESSEL_LABELS: Mapping[str, int] = MappingProxyType({"LM": 101, "LAD": 102, "LCX": 103, "RCA": 104})
KIND_LABELS: Mapping[Kind, int] = MappingProxyType({kind: 110 + n for n, kind in enumerate(Kind)})
"""Values of ``Truth.structures`` beyond those of ``Structure``: coronary calcium by vessel, other deposits by kind."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Truth:
    """The truth of a simulated scan; the maps lie on its grid."""

    labels: LabelMap
    """The calcium to be scored: ``Calcium`` per voxel; stents and other metal are OTHER."""
    structures: Bytes
    """(slices, rows, columns): ``Structure`` at end-diastole, overlaid with ``VESSEL_LABELS`` and ``KIND_LABELS``."""
    table: tuple[CalciumRow, ...]
    """True volume, mass and density of each deposit, at end-diastole, within the range of the scan."""
    ctac_score: Scores
    """Score of ``labels`` on the scan itself: the best that a reader can reach."""
    reference_score: Scores
    """Score of the same calcium on a gated, noise-free scan (``reference.reference_score``)."""


def structure_names() -> dict[int, str]:
    """Return the name of each value of ``Truth.structures``."""
    names = {int(structure): structure.name.lower() for structure in Structure}
    names |= {value: f"{vessel.lower()}_calcium" for vessel, value in VESSEL_LABELS.items()}
    return names | {value: f"{kind.value}_deposit" for kind, value in KIND_LABELS.items() if kind is not Kind.CORONARY}


@dataclass(frozen=True, eq=False)
class DepositFinder:
    """Finds the deposit that is nearest to a point, over the heart cycle."""

    tree: cKDTree
    labels: Bytes
    """Value in ``Truth.structures`` of each point of the tree."""

    @classmethod
    def of(cls, patient: Patient, calcium: CalciumDescription, phases: Iterable[float]) -> "DepositFinder | None":
        """Build the finder for these phases; None if there are no deposits."""
        points, labels = [], []
        for phase in phases:
            anatomy = Anatomy.of(patient, phase=phase)
            for deposit in calcium.deposits:
                balls = anatomy.balls(deposit).centres
                points.append(balls)
                labels.append(np.full(len(balls), _label(deposit, anatomy), np.uint8))
        return cls(cKDTree(np.vstack(points)), np.concatenate(labels)) if points else None

    def labels_at(self, points_mm: Floats) -> Bytes:
        """Return the most frequent label of the deposit points near each point; points are (n, 3) of (L, P, S)."""
        voters = min(MOST_VOTERS, len(self.labels))
        found = self.tree.query(points_mm, k=range(1, voters + 1))
        distance_mm, labels = np.asarray(found[0]), self.labels[found[1]]
        near = distance_mm <= distance_mm[:, :1] + VOTE_MM
        kinds = np.unique(labels)
        votes = np.stack([(near & (labels == kind)).sum(axis=1) for kind in kinds])
        return np.asarray(kinds[votes.argmax(axis=0)], np.uint8)


def _label(deposit: Deposit, anatomy: Anatomy) -> int:
    if deposit.kind is not Kind.CORONARY:
        return KIND_LABELS[deposit.kind]
    return VESSEL_LABELS[anatomy.segment(deposit.site).vessel.name]


def label_calcium(added_hu: Floats32, grid: Geometry, finder: DepositFinder | None, shift_mm: Floats) -> Bytes:
    """Label (``VESSEL_LABELS``, ``KIND_LABELS``) the voxels to which calcium adds ``TRUTH_HU``; 0 elsewhere.

    ``shift_mm`` is, per slice, how far towards the feet of its resting place the body lies.
    """
    labels = np.zeros(grid.shape, np.uint8)
    index = np.argwhere(added_hu >= TRUTH_HU)
    if finder is not None and len(index):
        points = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
        points[:, 2] += shift_mm[index[:, 0]]
        labels[tuple(index.T)] = finder.labels_at(points)
    return labels


_CALCIUM = np.zeros(256, np.uint8)
_CALCIUM[list(KIND_LABELS.values())] = Calcium.OTHER
_CALCIUM[[VESSEL_LABELS[vessel] for vessel in VESSEL_LABELS]] = [Calcium[vessel] for vessel in VESSEL_LABELS]


def scored_labels(deposits: Bytes, grid: Geometry) -> LabelMap:
    """Return the label map to be scored, from the labels of ``label_calcium``."""
    return LabelMap(_CALCIUM[deposits], grid)


def structures_on(grid: Geometry, structure: Bytes, body_grid: Geometry, shift_mm: Floats) -> Bytes:
    """Return the structure of the body at the middle of each voxel; 0 beyond the grid of the body."""
    wanted = [
        grid.affine[axis, 3] + np.arange(n) * grid.spacing_mm[2 - axis] for axis, n in enumerate(grid.shape[::-1])
    ]
    wanted[2] = wanted[2] + shift_mm
    found = np.zeros(grid.shape, np.uint8)
    places = [
        np.rint((at - body_grid.affine[axis, 3]) / body_grid.spacing_mm[2 - axis]).astype(int)
        for axis, at in enumerate(wanted)
    ]
    inside = [(place >= 0) & (place < n) for place, n in zip(places, body_grid.shape[::-1], strict=True)]
    columns, rows, slices = (place[good] for place, good in zip(places, inside, strict=True))
    found[np.ix_(inside[2], inside[1], inside[0])] = structure[np.ix_(slices, rows, columns)]
    return found


def table_within(table: Sequence[CalciumRow]) -> tuple[CalciumRow, ...]:
    """Return the deposits that lie in the scan."""
    return tuple(row for row in table if row.volume_mm3 > 0)


def truth_json(truth: Truth) -> dict[str, Any]:
    """Return table and scores as JSON values."""
    return {
        "deposits": [
            {
                "kind": row.kind.value, "vessel": row.vessel, "centre_mm": [round(mm, 3) for mm in row.centre_mm],
                "volume_mm3": round(row.volume_mm3, 4), "mass_mg": round(row.mass_mg, 4),
                "mean_mg_cm3": round(row.mean_mg_cm3, 3),
            } for row in truth.table
        ],
        "ctac_score": scores_json(truth.ctac_score),
        "reference_score": scores_json(truth.reference_score),
    }  # fmt: skip


def scores_json(scores: Scores) -> dict[str, Any]:
    """Return a score with its rule as JSON values."""
    return {
        "agatston": round(scores.agatston.total, 4),
        "agatston_per_vessel": {vessel: round(value, 4) for vessel, value in scores.agatston.per_vessel.items()},
        "agatston_other": round(scores.agatston.other, 4),
        "volume_mm3": round(scores.volume_mm3.total, 4),
        "category": scores.category,
        "rule": scores.rule.name,
    }
