"""``Lesions``: the calcified components of a label map, slice by slice and joined into lesions.

The scan is walked as *runs*: stretches of neighbouring calcium voxels within one image row. Runs that touch in the next
row, or in the next slice, are joined by a graph. A heart holds some thousand runs where the scan holds 17 million
voxels, so that the cost is little more than one look at each voxel.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.geometry import Geometry
from ctacal.labels import Calcium, LabelMap
from ctacal.volume import HUArray, Volume, require_same_grid

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Lesions:
    """Slice components (each the calcium that hangs together within one slice) as columns, sorted by slice.

    ``lesion`` numbers, from 0, the three-dimensional lesion (26-connected, one label) each component belongs to.
    """

    label: Ints
    """``Calcium`` value of each component."""
    lesion: Ints
    slice_index: Ints
    pixels: Ints
    peak_hu: Floats
    mean_hu: Floats
    centroid: Floats
    """(components, 3): mean (slice, row, column) index."""
    geometry: Geometry

    def __len__(self) -> int:
        return len(self.label)

    @property
    def area_mm2(self) -> Floats:
        """In-plane area of each component."""
        return np.asarray(self.pixels * self.geometry.pixel_area_mm2, np.float64)

    @property
    def volume_mm3(self) -> Floats:
        """Volume of each component: pixels times voxel volume (slice *spacing*, not thickness)."""
        return np.asarray(self.pixels * self.geometry.voxel_volume_mm3, np.float64)

    @property
    def lesion_peak_hu(self) -> Floats:
        """Peak over the whole lesion that each component belongs to."""
        peak = np.full(self.lesion.max(initial=-1) + 1, -np.inf)
        np.maximum.at(peak, self.lesion, self.peak_hu)
        return peak[self.lesion]


@dataclass(frozen=True, eq=False, slots=True)
class _Runs:
    """Stretches of calcium voxels of one label within image rows, in scan order."""

    first: Ints
    """Flat index of the first voxel."""
    last: Ints
    """Flat index of the last voxel, inclusive."""
    label: Ints
    group: Ints
    """Runs of different groups never touch: coronary and other calcium, or one group a label."""
    peak_hu: Floats
    sum_hu: Floats

    @property
    def pixels(self) -> Ints:
        return self.last - self.first + 1


def find_lesions(
    volume: Volume,
    labels: LabelMap,
    *,
    threshold_hu: float = 130.0,
    connectivity: int = 8,
    split_vessels: bool = False,
) -> Lesions:
    """Find the connected components of labelled voxels at or above ``threshold_hu`` in each slice.

    ``connectivity`` is 4 or 8 neighbours in plane. A component that spans several coronary labels belongs to the one
    that holds most of its voxels (ties: the lower label), so that the score does not depend on where a vessel ends and
    the next begins; ``split_vessels`` cuts it there instead. Coronary and other calcium are always cut apart.

    Raises ``ValueError`` for another connectivity, ``Refusal`` (``LABELS_MISMATCH``) where the grids differ.
    """
    if connectivity not in (4, 8):
        raise ValueError(f"connectivity must be 4 or 8 neighbours in plane, got {connectivity}")
    require_same_grid(volume, labels.geometry, "label map")
    _, rows, columns = volume.geometry.shape
    runs = _runs(volume.hu, labels.labels, threshold_hu, split_vessels=split_vessels)
    in_plane = (
        _abutting(runs, columns),
        _touching(runs, (0, 1), reach=int(connectivity == 8), rows=rows, columns=columns),
    )
    component = _join(len(runs.first), *_edges(*in_plane))
    label = _majority(component, runs)
    across = (_touching(runs, (1, row), reach=1, rows=rows, columns=columns) for row in (-1, 0, 1))
    a, b = (component[ends] for ends in _edges(*across))
    same = label[a] == label[b]
    return _measure(runs, component, label, _join(len(label), a[same], b[same]), volume.geometry)


def _runs(hu: HUArray, labels: NDArray[np.uint8], threshold_hu: float, *, split_vessels: bool) -> _Runs:
    """Cut the labelled voxels at or above the threshold into runs."""
    threshold: Any = np.ceil(threshold_hu) if hu.dtype == np.int16 else threshold_hu
    bright = np.flatnonzero(hu >= hu.dtype.type(threshold))
    voxel = bright[labels.ravel()[bright] != 0]
    voxel_label, voxel_hu = labels.ravel()[voxel], hu.ravel()[voxel].astype(np.float64)
    starts = np.ones(len(voxel), bool)
    starts[1:] = (np.diff(voxel) != 1) | (voxel_label[1:] != voxel_label[:-1]) | (voxel[1:] % hu.shape[2] == 0)
    begin = np.flatnonzero(starts)
    end = np.append(begin[1:], len(voxel))[: len(begin)] - 1
    label = voxel_label[begin].astype(np.int64)
    return _Runs(
        first=voxel[begin],
        last=voxel[end],
        label=label,
        group=label if split_vessels else np.where(label == Calcium.OTHER, 2, 1),
        peak_hu=np.maximum.reduceat(voxel_hu, begin) if begin.size else voxel_hu,
        sum_hu=np.add.reduceat(voxel_hu, begin) if begin.size else voxel_hu,
    )


def _abutting(runs: _Runs, columns: int) -> tuple[Ints, Ints]:
    """Pairs of runs of one group that follow each other in a row: two vessels' labels meet there."""
    meets = (runs.last[:-1] + 1 == runs.first[1:]) & (runs.first[1:] % columns != 0)
    a = np.flatnonzero(meets & (runs.group[:-1] == runs.group[1:]))
    return a, a + 1


def _touching(runs: _Runs, step: tuple[int, int], *, reach: int, rows: int, columns: int) -> tuple[Ints, Ints]:
    """Pairs of runs of one group that touch when the first is moved by ``step`` = (slices, rows).

    ``reach`` widens the moved run by so many pixels on both sides: 1 for diagonal neighbours. Runs are in scan order,
    so the partners of a run are a range, found by two binary searches.
    """
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
    same = runs.group[a] == runs.group[b]
    return a[same], b[same]


def _edges(*pairs: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    return np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])


def _join(n: int, a: Ints, b: Ints) -> Ints:
    """Component number of each of n nodes joined by the edges a-b, numbered by their first node."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(a), bool), (a, b)), shape=(n, n))
    found = np.asarray(connected_components(edges, directed=False)[1], np.int64)
    _, first = np.unique(found, return_index=True)
    return np.asarray(np.argsort(np.argsort(first))[found], np.int64)


def _majority(component: Ints, runs: _Runs) -> Ints:
    """The label that most voxels of each component carry; the lower one of equals."""
    n_labels = int(max(Calcium)) + 1
    ballots = component * n_labels + runs.label
    votes = np.bincount(ballots, runs.pixels, minlength=(component.max(initial=-1) + 1) * n_labels)
    return np.asarray(votes.reshape(-1, n_labels).argmax(axis=1), np.int64)


def _measure(runs: _Runs, component: Ints, label: Ints, lesion: Ints, geometry: Geometry) -> Lesions:
    """Sum up each component's runs."""
    n = len(label)
    pixels = np.bincount(component, runs.pixels, minlength=n)
    peak_hu = np.full(n, -np.inf)
    np.maximum.at(peak_hu, component, runs.peak_hu)
    begin = np.column_stack(np.unravel_index(runs.first, geometry.shape))
    middle = begin + np.multiply.outer((runs.pixels - 1) / 2, (0, 0, 1))
    centroid = np.column_stack([np.bincount(component, runs.pixels * axis, minlength=n) / pixels for axis in middle.T])
    return Lesions(
        label=label,
        lesion=lesion,
        slice_index=np.rint(centroid[:, 0]).astype(np.int64),
        pixels=pixels.astype(np.int64),
        peak_hu=peak_hu,
        mean_hu=np.bincount(component, runs.sum_hu, minlength=n) / pixels,
        centroid=centroid,
        geometry=geometry,
    )
