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
    """Stretches of calcium voxels within image rows, in scan order; ``last`` is inclusive; both are flat indices."""

    first: Ints
    last: Ints
    group: Ints
    """Runs of different groups never touch: coronary and other calcium, or one group a label."""


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
    voxel = _calcium_voxels(volume.hu, labels.labels, threshold_hu)
    label = labels.labels.ravel()[voxel].astype(np.int64)
    hu = volume.hu.ravel()[voxel].astype(np.float64)
    group = label if split_vessels else np.where(label == Calcium.OTHER, 2, 1)
    _, rows, columns = volume.geometry.shape
    run_of_voxel, runs = _runs(voxel, group, columns)
    in_plane = _touching(runs, (0, 1), reach=int(connectivity == 8), rows=rows, columns=columns)
    component_of_run = _join(len(runs.first), *in_plane)
    component = component_of_run[run_of_voxel]
    component_label = _majority(component, label)
    across = [_touching(runs, (1, row), reach=1, rows=rows, columns=columns) for row in (-1, 0, 1)]
    a, b = (component_of_run[np.concatenate(ends)] for ends in zip(*across, strict=True))
    same = component_label[a] == component_label[b]
    return _measure(
        component, component_label, _join(len(component_label), a[same], b[same]), voxel, hu, volume.geometry
    )


def _calcium_voxels(hu: HUArray, labels: NDArray[np.uint8], threshold_hu: float) -> Ints:
    """Flat indices of labelled voxels at or above the threshold, in scan order."""
    threshold: Any = np.ceil(threshold_hu) if hu.dtype == np.int16 else threshold_hu
    return np.flatnonzero((hu >= hu.dtype.type(threshold)) & (labels != 0))


def _runs(voxel: Ints, group: Ints, columns: int) -> tuple[Ints, _Runs]:
    """Cut the voxels into runs; also the run of each voxel."""
    starts = np.ones(len(voxel), bool)
    starts[1:] = (np.diff(voxel) != 1) | (np.diff(group) != 0) | (voxel[1:] % columns == 0)
    run_of_voxel = np.cumsum(starts) - 1
    begin = np.flatnonzero(starts)
    end = np.append(begin[1:], len(voxel))[: len(begin)] - 1
    return run_of_voxel, _Runs(voxel[begin], voxel[end], group[begin])


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


def _join(n: int, a: Ints, b: Ints) -> Ints:
    """Component number of each of n nodes joined by the edges a-b, numbered by their first node."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(a), bool), (a, b)), shape=(n, n))
    found = np.asarray(connected_components(edges, directed=False)[1], np.int64)
    _, first = np.unique(found, return_index=True)
    return np.asarray(np.argsort(np.argsort(first))[found], np.int64)


def _majority(component: Ints, label: Ints) -> Ints:
    """The label that most voxels of each component carry; the lower one of equals."""
    n_labels = int(max(Calcium)) + 1
    votes = np.bincount(component * n_labels + label, minlength=(component.max(initial=-1) + 1) * n_labels)
    return np.asarray(votes.reshape(-1, n_labels).argmax(axis=1), np.int64)


def _measure(component: Ints, label: Ints, lesion: Ints, voxel: Ints, hu: Floats, geometry: Geometry) -> Lesions:
    """Sum up each component's voxels."""
    n = len(label)
    pixels = np.bincount(component, minlength=n)
    peak = np.full(n, -np.inf)
    np.maximum.at(peak, component, hu)
    index = np.unravel_index(voxel, geometry.shape)
    sums = [np.bincount(component, weights, minlength=n) for weights in (hu, *index)]
    mean_hu, *centroid = (total / pixels for total in sums)
    return Lesions(
        label=label,
        lesion=lesion,
        slice_index=np.rint(centroid[0]).astype(np.int64),
        pixels=pixels,
        peak_hu=peak,
        mean_hu=mean_hu,
        centroid=np.column_stack(centroid),
        geometry=geometry,
    )
