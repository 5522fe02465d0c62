"""``Islands``: voxels at or above a threshold that touch each other, in plane and from slice to slice."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from ctacal.arrays import Floats, Floats32, Ints, Mask
from ctacal.components import abutting, cut_runs, join, merged, touching
from ctacal.geometry import Geometry
from ctacal.labels import Calcium
from ctacal.lesion import Lesions, alike, measured
from ctacal.volume import Volume


@dataclass(frozen=True, eq=False, slots=True)
class Islands:
    """Voxels at or above a threshold, and the island that each belongs to."""

    voxel: Ints
    """(voxels,): flat indices in scan order."""
    hu: Floats
    """(voxels,)."""
    number: Ints
    """(voxels,): the island of each, from 0."""
    geometry: Geometry
    """Grid of the scan."""

    @property
    def count(self) -> int:
        """Number of islands."""
        return int(self.number.max(initial=-1)) + 1

    @property
    def voxels(self) -> Ints:
        """(islands,): number of voxels of each."""
        return np.bincount(self.number, minlength=self.count)

    def summed(self, of_voxels: Floats | Floats32) -> Floats:
        """Return the sums over each island, (islands, columns), of what each voxel has, (voxels, columns)."""
        columns = [np.bincount(self.number, column, minlength=self.count) for column in of_voxels.T]
        return np.stack(columns, axis=1).astype(np.float64)

    @property
    def middle(self) -> Floats:
        """(islands, 3): the mean (slice, row, column) of the voxels of each."""
        index = np.stack(np.unravel_index(self.voxel, self.geometry.shape), axis=1).astype(np.float64)
        return self.summed(index) / self.voxels[:, None]

    def of(self, kept: Mask) -> "Islands":
        """Return the islands for which ``kept`` is true, numbered anew in their order."""
        chosen = kept[self.number]
        number = (np.cumsum(kept) - 1)[self.number[chosen]]
        return Islands(self.voxel[chosen], self.hu[chosen], np.asarray(number, np.int64), self.geometry)

    def uncut(self, connectivity: int = 8) -> "Islands":
        """Return the same voxels with all that touch joined again."""
        return replace(self, number=_connected(self.voxel, self.geometry.shape, connectivity))

    def lesions(self, connectivity: int = 8) -> Lesions:
        """Return the components of each island within each slice, as calcium that is not coronary; an island that was
        cut from its neighbour stays apart. ``lesion`` is the number of the island."""
        runs = cut_runs(self.voxel, self.geometry.shape, self.number)
        island = self.number[runs.begin]
        in_plane = merged(abutting(runs), touching(runs, (0, 1), reach=int(connectivity == 8)))
        component = join(len(runs.first), alike(in_plane, island))
        lesion = np.zeros(int(component.max(initial=-1)) + 1, np.int64)
        lesion[component] = island
        other = np.full(len(lesion), int(Calcium.OTHER), np.int64)
        return measured(self.hu, self.geometry, runs, component, other, lesion)


def find_islands(volume: Volume, at: tuple[Ints, ...], *, connectivity: int = 8) -> Islands:
    """Return the islands of some voxels, given by their (slice, row, column) in scan order.

    ``connectivity`` is 4 or 8 neighbours in plane. An island goes on in the next slice where the two overlap or touch
    by a corner, as a lesion does. Raises ``ValueError`` for another connectivity.
    """
    if connectivity not in (4, 8):
        raise ValueError(f"connectivity must be 4 or 8 neighbours in plane, got {connectivity}")
    shape = volume.geometry.shape
    voxel = np.asarray(np.ravel_multi_index(at, shape), np.int64)
    return Islands(voxel, volume.hu[at].astype(np.float64), _connected(voxel, shape, connectivity), volume.geometry)


def _connected(voxel: Ints, shape: tuple[int, int, int], connectivity: int) -> Ints:
    """Return the island of each voxel, from 0."""
    runs = cut_runs(voxel, shape)
    in_plane = touching(runs, (0, 1), reach=int(connectivity == 8))
    across = (touching(runs, (1, row), reach=1) for row in (-1, 0, 1))
    return np.repeat(join(len(runs.first), merged(in_plane, *across)), runs.pixels)


def neighbours(islands: Islands) -> tuple[Ints, Ints, Floats]:
    """Return the pairs of voxels of one island that touch: the indices of both, and the area that they share in mm2.

    Voxels that touch only by an edge or a corner share none.
    """
    shape = islands.geometry.shape
    place = np.stack(np.unravel_index(islands.voxel, shape))
    last = np.asarray(shape)[:, None] - 1
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for step, area_mm2 in _steps(islands.geometry):
        moved = place + np.asarray(step)[:, None]
        inside = ((moved >= 0) & (moved <= last)).all(axis=0)
        target = np.ravel_multi_index(tuple(moved[:, inside]), shape)
        a, b = np.flatnonzero(inside), np.searchsorted(islands.voxel, target)
        b = np.minimum(b, len(islands.voxel) - 1)
        alike = (islands.voxel[b] == target) & (islands.number[b] == islands.number[a])
        found.append((a[alike], b[alike], np.full(np.count_nonzero(alike), area_mm2)))
    a, b, area = (np.concatenate(column) for column in zip(*found, strict=True))
    return a, b, area


def _steps(geometry: Geometry) -> list[tuple[tuple[int, int, int], float]]:
    """Return the steps to half of a voxel's 26 neighbours, each with the area of the face between both."""
    mm = geometry.spacing_mm
    steps = [step for step in product((0, 1), (-1, 0, 1), (-1, 0, 1)) if step > (0, 0, 0)]
    return [(step, _face_mm2(step, mm)) for step in steps]


def _face_mm2(step: tuple[int, int, int], mm: tuple[float, float, float]) -> float:
    across = [axis for axis in range(3) if step[axis]]
    return float(np.prod(mm) / mm[across[0]]) if len(across) == 1 else 0.0
