"""``View``: a scan as the calcium network sees it: thin slices averaged, sharp kernels smoothed. No torch.

The view decides which voxels are calcium. They are scored by the scan's own HU, on its own slices.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats32, Ints, Mask
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.islands import Islands, find_islands
from ctacal.nn.calcium_stage import Index, as_soft_kernel, candidates
from ctacal.nn.fitness import figures_of
from ctacal.nn.grids import end_slices
from ctacal.prediction import ScanFigures
from ctacal.scores import ScoringRule
from ctacal.uncounted import Faded
from ctacal.volume import Volume

THIN_MM, AVERAGED_MM = 2.0, 3.0
"""Slices closer than the first are averaged to about the second, the spacing of most CTACs in training (own choice)."""


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """What the calcium network sees of a scan."""

    volume: Volume
    heart: HeartMask
    figures: ScanFigures
    """Image quality of the view; metal as in the scan, since an average hides thin wires."""
    slices: int = 1
    """Number of the scan's slices in each slice of the view."""
    first: int = 0
    """The scan's slice that is the first of the view."""

    def of(self, at: Index) -> Index:
        """Return the voxels of the view that hold voxels of the scan."""
        return ((at[0] - self.first) // self.slices, *at[1:])


def view_of(volume: Volume, heart: HeartMask, figures: ScanFigures) -> View:
    """Return how the calcium network sees a canonical scan with these ``figures``; most scans are seen as they are."""
    slices = slices_together(volume.geometry)
    thick = View(volume, heart, figures) if slices == 1 else _thick(volume, heart, figures, slices)
    soft = as_soft_kernel(thick.volume, thick.figures)
    if soft is thick.volume:
        return thick
    return replace(thick, volume=soft, figures=_figures(soft, thick.heart, figures))


def slices_together(scan: Geometry) -> int:
    """Return the number of slices that are averaged.

    >>> [slices_together(Geometry.from_spacing((9, 9, 9), (mm, 1.0, 1.0))) for mm in (0.625, 1.0, 1.5, 2.0, 5.0)]
    [5, 3, 2, 1, 1]
    """
    thin = scan.slice_spacing_mm < THIN_MM - 1e-6
    return min(scan.shape[0], round(AVERAGED_MM / scan.slice_spacing_mm)) if thin else 1


def bright_voxels(volume: Volume, view: View, threshold_hu: float) -> Index:
    """Return the scan's voxels that can be calcium, in scan order: at or above the threshold, in scan and view."""
    at = candidates(view.volume, view.heart, threshold_hu)
    if view.slices > 1:
        number = view.first + at[0][:, None] * view.slices + np.arange(view.slices)  # (candidates, slices)
        kept = number < volume.hu.shape[0]
        at = (number[kept], *(np.broadcast_to(index[:, None], number.shape)[kept] for index in at[1:]))
        order = np.lexsort(at[::-1])
        at = tuple(index[order] for index in at)
    bright = volume.hu[at] >= threshold_hu
    return tuple(index[bright] for index in at)


def faded(volume: Volume, heart: HeartMask, view: View, seen: Index, rule: ScoringRule) -> Faded | None:
    """Return the islands in or beside the heart that only the scan shows, not its view; None if they are the same.

    ``seen`` are the ``bright_voxels``.
    """
    if view.volume is volume:
        return None
    shape = volume.geometry.shape
    known = np.ravel_multi_index(seen, shape)
    bright = np.ravel_multi_index(candidates(volume, heart, rule.threshold_hu), shape)
    at = np.unravel_index(np.setdiff1d(bright, known, assume_unique=True), shape)
    islands = find_islands(volume, at, connectivity=rule.connectivity)
    smoothed_hu = np.full(islands.count, -np.inf)
    np.maximum.at(smoothed_hu, islands.number, view.volume.hu[view.of(at)])
    return Faded(islands, smoothed_hu, _touching(islands, known, volume, rule.connectivity))


def _touching(islands: Islands, known: Ints, volume: Volume, connectivity: int) -> Mask:
    """Return (islands,): whether each touches one of the voxels ``known`` (flat indices), which are none of its own."""
    voxel = np.union1d(known, islands.voxel)
    joined = find_islands(volume, np.unravel_index(voxel, volume.geometry.shape), connectivity=connectivity)
    holds_known, touching = np.zeros(joined.count, bool), np.zeros(islands.count, bool)
    holds_known[joined.number[np.isin(voxel, known)]] = True
    touching[islands.number[holds_known[joined.number[np.searchsorted(voxel, islands.voxel)]]]] = True
    return touching


def _thick(volume: Volume, heart: HeartMask, figures: ScanFigures, slices: int) -> View:
    """Return the slices around the heart, averaged in groups."""
    around, beyond = heart.bounding_box[0], end_slices(heart.geometry) + 2 * slices
    first = max(0, around.start - beyond) // slices * slices
    part = slice(first, around.stop + beyond)
    affine = volume.geometry.affine.copy()
    affine[:3, 3] = volume.geometry.to_patient_mm((first + (slices - 1) / 2, 0, 0))
    affine[:3, 0] *= slices
    hu = _averaged(volume.hu[part], slices)
    grid = Geometry((hu.shape[0], hu.shape[1], hu.shape[2]), affine)
    inside = HeartMask(_averaged(heart.mask[part], slices) >= 0.5, grid)
    seen = Volume(hu, grid)
    return View(seen, inside, _figures(seen, inside, figures), slices, first)


def _averaged(array: NDArray[Any], slices: int) -> Floats32:
    """Average each ``slices`` slices; those missing in the last group are taken to be like the last slice."""
    numbers = np.minimum(np.arange(-(-len(array) // slices) * slices), len(array) - 1)
    made = np.empty((len(numbers) // slices, *array.shape[1:]), np.float32)
    for index, group in enumerate(numbers.reshape(-1, slices)):
        made[index] = array[group].mean(axis=0, dtype=np.float32)
    return made


def _figures(seen: Volume, heart: HeartMask, of_scan: ScanFigures) -> ScanFigures:
    return replace(figures_of(seen, heart), metal_mm3=of_scan.metal_mm3)
