"""Connected components of voxels, by *runs*: stretches of neighbouring voxels within an image row.

Runs that touch in the next row, or in the next slice, are joined as a graph. A heart holds a few thousand runs while
the scan holds 17 million voxels, so that the cost depends on the mask, not on the scan. It also saves the import of
scipy.ndimage, which takes as long as scoring a study (docs/decisions/0003-runs.md).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Ints, Mask

Edges = tuple[Ints, Ints]
"""Pairs of runs or nodes that belong together."""


@dataclass(frozen=True, eq=False, slots=True)
class Runs:
    """Runs of voxels of equal value, in scan order, on a grid of (slices, rows, columns)."""

    begin: Ints
    """Index at which each run begins in the list of voxels that it was cut from."""
    first: Ints
    """Flat index of the first voxel."""
    last: Ints
    """Flat index of the last voxel, inclusive."""
    shape: tuple[int, int, int]

    @property
    def pixels(self) -> Ints:
        """Number of voxels in each run."""
        return self.last - self.first + 1


@dataclass(frozen=True, eq=False, slots=True)
class Parts:
    """The connected parts of a mask: its voxels in scan order, and the part, from 0, that each belongs to."""

    voxel: Ints
    """Flat indices."""
    number: Ints
    count: int
    shape: tuple[int, ...]

    @property
    def sizes(self) -> Ints:
        """Number of voxels in each part."""
        return np.bincount(self.number, minlength=self.count)

    def mask_of(self, kept: Mask) -> Mask:
        """Return the mask of the parts for which ``kept`` (a value for each part) is true."""
        mask = np.zeros(int(np.prod(self.shape)), bool)
        mask[self.voxel[kept[self.number]]] = True
        return mask.reshape(self.shape)


def parts(mask: Mask, neighbours: Literal[4, 6, 8]) -> Parts:
    """Find the connected parts of a mask of (slices, rows, columns) or of a single slice.

    4 or 8 neighbours connect voxels within each slice only; 6 are those 4 and the voxels above and below.
    """
    rows, columns = mask.shape[-2:]
    voxel = np.flatnonzero(mask)
    runs = cut_runs(voxel, (mask.size // (rows * columns), rows, columns))
    edges = [touching(runs, (0, 1), reach=int(neighbours == 8))]
    if neighbours == 6:
        edges.append(touching(runs, (1, 0), reach=0))
    number = join(len(runs.first), merged(*edges))
    return Parts(voxel, np.repeat(number, runs.pixels), int(number.max(initial=-1)) + 1, mask.shape)


def cut_runs(voxel: Ints, shape: tuple[int, int, int], value: NDArray[np.integer] | None = None) -> Runs:
    """Cut voxels (flat indices in scan order) into runs, also between voxels of different ``value``."""
    starts = np.ones(len(voxel), bool)
    starts[1:] = (np.diff(voxel) != 1) | (voxel[1:] % shape[2] == 0)
    if value is not None:
        starts[1:] |= value[1:] != value[:-1]
    begin = np.flatnonzero(starts)
    end = np.append(begin[1:], len(voxel))[: len(begin)] - 1
    return Runs(begin, voxel[begin], voxel[end], shape)


def abutting(runs: Runs) -> Edges:
    """Return the pairs of runs that follow each other in a row without a gap; they differ in value."""
    meets = (runs.last[:-1] + 1 == runs.first[1:]) & (runs.first[1:] % runs.shape[2] != 0)
    a = np.flatnonzero(meets)
    return a, a + 1


def touching(runs: Runs, step: tuple[int, int], *, reach: int) -> Edges:
    """Return the pairs of runs that touch when the first is moved by ``step`` = (slices, rows).

    ``reach`` widens the moved run by this many pixels on both sides: 1 for diagonal neighbours. Runs are in scan order,
    so that the partners of a run form a range, which two binary searches find.
    """
    _, rows, columns = runs.shape
    row = runs.first // columns
    inside = (row % rows + step[1] >= 0) & (row % rows + step[1] < rows)
    target_row = row + step[0] * rows + step[1]
    move = (step[0] * rows + step[1]) * columns
    low = np.maximum(runs.first + move - reach, target_row * columns)
    high = np.minimum(runs.last + move + reach, (target_row + 1) * columns - 1)
    begin = np.searchsorted(runs.last, low)
    count = np.where(inside, np.searchsorted(runs.first, high, side="right") - begin, 0)
    a = np.repeat(np.arange(len(runs.first)), count)
    b = np.arange(len(a)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(begin, count)
    return a, b


def merged(*edges: Edges) -> Edges:
    """Concatenate lists of edges."""
    return np.concatenate([a for a, _ in edges]), np.concatenate([b for _, b in edges])


def join(n: int, edges: Edges) -> Ints:
    """Return the component of each of n nodes, numbered from 0 in the order of their first nodes.

    Each round attaches every root that has a lower neighbour to the lowest, then shortens all paths to their end. The
    number of roots halves at least, so that about ten rounds join a million nodes (Shiloach Y, Vishkin U, J Algorithms
    1982;3:57-67).
    """
    root = np.arange(n)
    a, b = edges
    while a.size:
        lowest = np.minimum(root[a], root[b])
        np.minimum.at(root, root[a], lowest)
        np.minimum.at(root, root[b], lowest)
        while not np.array_equal(shorter := root[root], root):
            root = shorter
        apart = root[a] != root[b]
        a, b = a[apart], b[apart]
    return np.asarray(np.unique(root, return_inverse=True)[1], np.int64)
