"""``Lesions``: the calcified components of a label map in each slice, and the lesions that they form."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats, Ints
from ctacal.components import Edges, Runs, abutting, cut_runs, join, merged, touching
from ctacal.geometry import Geometry
from ctacal.labels import Calcium, LabelMap
from ctacal.volume import Volume, require_same_grid


@dataclass(frozen=True, eq=False, slots=True)
class Lesions:
    """The components (calcium that is connected within a slice) as columns of a table, sorted by slice.

    ``lesion`` is the number, from 0, of the three-dimensional lesion (26-connected, of one label) that a component
    belongs to.
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
        """Peak of the whole lesion that each component belongs to."""
        peak = np.full(self.lesion.max(initial=-1) + 1, -np.inf)
        np.maximum.at(peak, self.lesion, self.peak_hu)
        return peak[self.lesion]

    def summed(self, of_components: Floats) -> Floats:
        """Return the sum over each lesion of what each of its components has."""
        count = int(self.lesion.max(initial=-1)) + 1
        return np.bincount(self.lesion, of_components, minlength=count).astype(np.float64)


def find_lesions(
    volume: Volume,
    labels: LabelMap,
    *,
    threshold_hu: float = 130.0,
    connectivity: int = 8,
    split_vessels: bool = False,
) -> Lesions:
    """Find the connected components of labelled voxels at or above ``threshold_hu`` in each slice.

    ``connectivity`` is 4 or 8 neighbours in plane. A component that spans several coronary labels gets the label of
    most of its voxels (ties: the lower label), so that the score does not depend on the exact border between two
    vessels; ``split_vessels`` cuts it at the border instead. Coronary and other calcium are always separated.

    Raises ``ValueError`` for another connectivity, ``Refusal`` (``LABELS_MISMATCH``) if the grids differ.
    """
    if connectivity not in (4, 8):
        raise ValueError(f"connectivity must be 4 or 8 neighbours in plane, got {connectivity}")
    require_same_grid(volume, labels.geometry, "label map")
    voxel = _calcium_voxels(volume, labels, threshold_hu)
    voxel_label = labels.labels.ravel()[voxel]
    runs = cut_runs(voxel, volume.geometry.shape, voxel_label)
    run_label = voxel_label[runs.begin].astype(np.int64)
    group = run_label if split_vessels else np.where(run_label == Calcium.OTHER, 2, 1)
    component = join(len(runs.first), alike(in_plane(runs, connectivity), group))
    label = _majority(component, run_label, runs.pixels)
    across = across_slices(runs)
    lesion = join(len(label), alike((component[across[0]], component[across[1]]), label))
    return measured(volume.hu.ravel()[voxel], volume.geometry, runs, component, label, lesion)


def in_plane(runs: Runs, connectivity: int) -> Edges:
    """Return the pairs of runs that touch within a slice, by 4 or 8 neighbours."""
    return merged(abutting(runs), touching(runs, (0, 1), reach=int(connectivity == 8)))


def across_slices(runs: Runs) -> Edges:
    """Return the pairs of runs that touch from one slice to the next, by all 9 neighbours there."""
    return merged(*(touching(runs, (1, row), reach=1) for row in (-1, 0, 1)))


def _calcium_voxels(volume: Volume, labels: LabelMap, threshold_hu: float) -> Ints:
    """Return the flat indices of the labelled voxels at or above the threshold, in scan order; slice by slice, to save
    memory."""
    hu, size = volume.hu, volume.hu[0].size
    threshold: Any = np.ceil(threshold_hu) if hu.dtype == np.int16 else threshold_hu
    lowest, found = hu.dtype.type(threshold), [np.zeros(0, np.int64)]
    for index in labels.held_slices:
        bright = np.flatnonzero(hu[index] >= lowest)
        found.append(index * size + bright[labels.labels[index].ravel()[bright] != 0])
    return np.concatenate(found)


def alike(edges: Edges, group: Ints) -> Edges:
    """Return the edges within a group: runs of different groups are never joined."""
    same = group[edges[0]] == group[edges[1]]
    return edges[0][same], edges[1][same]


def _majority(component: Ints, run_label: Ints, pixels: Ints) -> Ints:
    """Return the label of most voxels of each component; the lower label in a tie."""
    n_labels = int(max(Calcium)) + 1
    ballots = component * n_labels + run_label
    votes = np.bincount(ballots, pixels, minlength=(component.max(initial=-1) + 1) * n_labels)
    return np.asarray(votes.reshape(-1, n_labels).argmax(axis=1), np.int64)


def measured(hu: NDArray[Any], geometry: Geometry, runs: Runs, component: Ints, label: Ints, lesion: Ints) -> Lesions:
    """Measure each component by summing over its runs.

    ``hu`` is of the voxels that the runs were cut from, ``component`` of each run, ``label`` and ``lesion`` of each
    component.
    """
    n = len(label)
    hu = hu.astype(np.float64)
    run_sum, run_peak = (ufunc.reduceat(hu, runs.begin) if runs.begin.size else hu for ufunc in (np.add, np.maximum))
    pixels = np.bincount(component, runs.pixels, minlength=n)
    peak_hu = np.full(n, -np.inf)
    np.maximum.at(peak_hu, component, run_peak)
    begin = np.column_stack(np.unravel_index(runs.first, runs.shape))
    middle = begin + np.multiply.outer((runs.pixels - 1) / 2, (0, 0, 1))
    centroid = np.column_stack([np.bincount(component, runs.pixels * axis, minlength=n) / pixels for axis in middle.T])
    return Lesions(
        label=label,
        lesion=lesion,
        slice_index=np.rint(centroid[:, 0]).astype(np.int64),
        pixels=pixels.astype(np.int64),
        peak_hu=peak_hu,
        mean_hu=np.bincount(component, run_sum, minlength=n) / pixels,
        centroid=centroid,
        geometry=geometry,
    )
