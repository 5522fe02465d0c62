"""``Marks``: the voxels that a reader has labelled, sparse; and ``Change``, the difference that an edit makes.

A scan of 30 million voxels holds some hundred marked ones, so that marks are lists of flat indices and an edit costs
what it touches. On paper and to the page they are *triples*: first voxel, length and label of each run, in scan order.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ctacal.arrays import Bytes, Ints
from ctacal.components import cut_runs
from ctacal.geometry import Geometry
from ctacal.labels import Calcium, LabelMap

Shape = tuple[int, int, int]
"""(slices, rows, columns)."""

MAX_VOXELS = 1_000_000
"""Largest number of voxels in one edit: far more than any heart's calcium (own choice)."""


@dataclass(frozen=True, eq=False, slots=True)
class Change:
    """Voxels whose label changed, with their labels before and after; 0 is none."""

    voxel: Ints
    """Flat indices, rising."""
    before: Bytes
    after: Bytes

    @property
    def back(self) -> "Change":
        """The change that undoes this one."""
        return Change(self.voxel, self.after, self.before)


@dataclass(frozen=True, eq=False, slots=True)
class Marks:
    """The labelled voxels of a scan."""

    voxel: Ints
    """Flat indices, rising."""
    label: Bytes
    """``Calcium`` value of each, never 0."""

    @classmethod
    def none(cls) -> "Marks":
        """Return marks without any voxel."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.uint8))

    @classmethod
    def of(cls, labels: LabelMap) -> "Marks":
        """Return the labelled voxels of a label map."""
        size = labels.labels[0].size
        found = [index * size + np.flatnonzero(labels.labels[index]) for index in labels.held_slices]
        voxel = np.concatenate([np.zeros(0, np.int64), *found])
        return cls(voxel, labels.labels.reshape(-1)[voxel])

    def label_map(self, geometry: Geometry) -> LabelMap:
        """Return the label map on a scan's grid."""
        labels = np.zeros(geometry.shape, np.uint8)
        labels.reshape(-1)[self.voxel] = self.label
        return LabelMap(labels, geometry)

    def at(self, voxel: Ints) -> Bytes:
        """Return the label of each voxel, 0 where there is none."""
        place = np.searchsorted(self.voxel, voxel)
        found = place < len(self.voxel)
        found[found] = self.voxel[place[found]] == voxel[found]
        labels = np.zeros(len(voxel), np.uint8)
        labels[found] = self.label[place[found]]
        return labels

    def change_to(self, voxel: Ints, label: Bytes | int) -> Change:
        """Return the change that gives these voxels (rising) a label; voxels that have it already are left out."""
        before = self.at(voxel)
        after = np.broadcast_to(np.asarray(label, np.uint8), voxel.shape)
        differs = before != after
        return Change(voxel[differs], before[differs], np.array(after[differs]))

    def with_change(self, change: Change) -> "Marks":
        """Return the marks after a change."""
        kept = ~np.isin(self.voxel, change.voxel)
        set_ = change.after != 0
        voxel = np.concatenate([self.voxel[kept], change.voxel[set_]])
        order = np.argsort(voxel, kind="stable")
        return Marks(voxel[order], np.concatenate([self.label[kept], change.after[set_]])[order])

    @property
    def digest(self) -> str:
        """SHA-256 over each voxel in scan order: its flat index (uint32) and label (uint8), little endian."""
        content = np.zeros(len(self.voxel), np.dtype([("voxel", "<u4"), ("label", "u1")]))
        content["voxel"], content["label"] = self.voxel, self.label
        return hashlib.sha256(content.tobytes()).hexdigest()


def triples(voxel: Ints, label: Bytes, shape: Shape) -> list[int]:
    """Return first voxel, length and label of each run of alike voxels, as one list.

    >>> triples(np.array([0, 1, 2, 5]), np.array([2, 2, 3, 3], np.uint8), (1, 3, 3))
    [0, 2, 2, 2, 1, 3, 5, 1, 3]
    """
    runs = cut_runs(voxel, shape, label)
    return [int(value) for value in np.column_stack([runs.first, runs.pixels, label[runs.begin]]).ravel()]


def from_triples(numbers: Sequence[int], shape: Shape) -> tuple[Ints, Bytes]:
    """Return voxels and labels of a list of ``triples``. Raises ``ValueError`` as ``from_runs``, and for a label."""
    table = _table(numbers, 3)
    labels = table[:, 2]
    if labels.size and (labels.min() < 0 or labels.max() > max(Calcium)):
        raise ValueError(f"labels must be 0..{int(max(Calcium))}, got {labels.min()}..{labels.max()}")
    voxel = from_runs(table[:, :2].ravel().tolist(), shape)
    return voxel, np.repeat(labels, table[:, 1]).astype(np.uint8)


def runs_of(voxel: Ints, shape: Shape) -> list[int]:
    """Return first voxel and length of each run, as one list."""
    runs = cut_runs(voxel, shape)
    return [int(value) for value in np.column_stack([runs.first, runs.pixels]).ravel()]


def from_runs(numbers: Sequence[int], shape: Shape) -> Ints:
    """Return the voxels of runs: first voxel and length of each, in scan order.

    Raises ``ValueError`` if they are not pairs of whole numbers, overlap, are not in order, cross a row, lie outside of
    the scan, or hold more than ``MAX_VOXELS``.

    >>> from_runs([1, 2, 6, 1], (1, 3, 3)).tolist()
    [1, 2, 6]
    """
    table = _table(numbers, 2)
    first, length = table[:, 0], table[:, 1]
    last = first + length - 1
    if table.size == 0:
        return np.zeros(0, np.int64)
    if length.min() < 1 or first.min() < 0 or last.max() >= int(np.prod(shape, dtype=np.int64)):
        raise ValueError("a run is empty or lies outside of the scan")
    if (last // shape[2] != first // shape[2]).any():
        raise ValueError("a run crosses the end of a row")
    if (first[1:] <= last[:-1]).any():
        raise ValueError("runs overlap or are not in scan order")
    if length.sum() > MAX_VOXELS:
        raise ValueError(f"{length.sum():,} voxels in one edit; the most is {MAX_VOXELS:,}")
    offset = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    return np.asarray(np.repeat(first, length) + offset, np.int64)


def _table(numbers: Sequence[int], width: int) -> Ints:
    """Return the numbers as (n, width). Raises ``ValueError`` if they are not whole numbers, or not so many."""
    if not all(type(number) is int and abs(number) < 2**40 for number in numbers) or len(numbers) % width:
        raise ValueError(f"expected a list of whole numbers, {width} for each run")
    return np.array(numbers, np.int64).reshape(-1, width)


def digest_of_scan(hu: bytes | memoryview, shape: Shape) -> str:
    """Return the SHA-256 of a scan's voxels and shape: whose voxels the flat indices are."""
    digest = hashlib.sha256(struct.pack("<3q", *shape))
    digest.update(hu)
    return digest.hexdigest()
