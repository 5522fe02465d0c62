"""Coronary arteries of a fitted heart, drawn into the real heart's fat: in its grooves, never in lung or bone."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ctacal.components import Mask
from ctacal.simulate.anatomy.canvas import curve
from ctacal.simulate.anatomy.structures import CoronarySegment, Points
from ctacal.volume import Volume

Floats = NDArray[np.float64]

STATION_MM = 3.0
"""Distance of the points that are moved (own choice)."""

OFFSET_MM = 2.0
"""Distance of the places that are tried (own choice)."""

BLUR_MM = 1.8
"""SD in plane: an artery and the fat around it average to fat and something (own choice)."""

FAT_HU = (-110.0, -15.0)
"""Blurred fat with an artery in it, and fat beside muscle."""

STAY_MM, WHOLE_MM, BEND_MM = 7.0, 20.0, 2.0
"""Moved so far from the fitted course, so far with its whole artery, or so far against its neighbour, a point counts as
badly placed as one in muscle (own choice)."""

REACH = 1.4
"""Places are tried as far as this many times ``STAY_MM`` (own choice)."""

MOOR_MM = 3.0
"""So far from its parent vessel, an artery's first point counts as badly placed as one in muscle (own choice)."""

LUNG_HU, LUNG_EDGE_MM, BESIDE_LUNG = -400.0, 7.0, 2.5
"""Lung; how far its blurred edge reaches into tissue, and what the nearest of it costs (own choice)."""

NEAR_MM, BESIDE_FAT_HU = 3.5, -15.0
"""A coronary plaque has fat, blurred, as near as this (own choice)."""

USABLE_HU = (-160.0, 110.0)
"""Blurred HU where calcium may be placed: neither lung nor bone."""


@dataclass(frozen=True, eq=False, slots=True)
class Tissue:
    """A scan blurred until noise no longer matters, to ask what lies where."""

    volume: Volume
    blurred_hu: NDArray[np.float32]
    darkest_hu: NDArray[np.float32]
    """The least of ``blurred_hu`` within ``NEAR_MM`` in plane."""

    @classmethod
    def of(cls, volume: Volume) -> "Tissue":
        """Blur a scan, within its slices."""
        blurred = _blurred(volume)
        size = (1, *(2 * round(NEAR_MM / mm) + 1 for mm in volume.geometry.spacing_mm[1:]))
        return cls(volume, blurred, np.asarray(ndimage.minimum_filter(blurred, size), np.float32))

    def inside(self, points: Points) -> Mask:
        """Whether each (n, 3) point lies in the scan."""
        last = np.array(self.volume.hu.shape)[:, None] - 1
        index = _index(points, self.volume)
        return np.asarray(((index >= -0.5) & (index <= last + 0.5)).all(axis=0))

    def hu_at(self, points: Points) -> Floats:
        """Blurred HU at (n, 3) points."""
        return self._at(self.blurred_hu, points)

    def beside_fat(self, points: Points) -> Mask:
        """Whether fat (or lung) lies near each point: on the heart, not in it."""
        return np.asarray(self._at(self.darkest_hu, points) < BESIDE_FAT_HU)

    def _at(self, hu: NDArray[np.float32], points: Points) -> Floats:
        return np.asarray(ndimage.map_coordinates(hu, _index(points, self.volume), order=1, mode="nearest"), float)

    def usable(self, points: Points) -> Mask:
        """Whether calcium can lie at each point: in the scan, neither in lung nor in bone."""
        hu = self.hu_at(points)
        return np.asarray(self.inside(points) & (hu > USABLE_HU[0]) & (hu < USABLE_HU[1]))


def in_grooves(tree: tuple[CoronarySegment, ...], volume: Volume) -> tuple[CoronarySegment, ...]:
    """The tree, each segment along the course of least cost; main arteries first, branches from where these went."""
    cost = _placed_badly(volume)
    found: list[CoronarySegment] = []
    for segment in tree:
        parents = np.vstack([one.points for one in found]) if found and segment.name != "RCA" else None
        found.append(_moved(segment, cost, volume, parents))
    return tuple(found)


def _blurred(volume: Volume) -> NDArray[np.float32]:
    row_mm, column_mm = volume.geometry.spacing_mm[1:]
    clipped = np.clip(volume.hu, -1000, 400).astype(np.float32)
    return np.asarray(ndimage.gaussian_filter(clipped, (0, BLUR_MM / row_mm, BLUR_MM / column_mm)), np.float32)


def _placed_badly(volume: Volume) -> NDArray[np.float32]:
    """Per voxel: 0 in fat, 1 in muscle or blood, more in lung and bone, and beside lung, whose edge looks fat."""
    hu = _blurred(volume)
    low, high = FAT_HU
    tissue = np.interp(hu, (-400, -250, -150, low, high, 40, 90, 200), (30, 10, 2, 0, 0, 1, 2, 20))
    tissue[hu < 0] += BESIDE_LUNG * np.clip(1 - _to_lung_mm(hu, volume)[hu < 0] / LUNG_EDGE_MM, 0, 1)
    return tissue.astype(np.float32)


def _to_lung_mm(hu: NDArray[np.float32], volume: Volume) -> Floats:
    """Distance of each voxel to lung in its own slice."""
    sampling = volume.geometry.spacing_mm[1:]
    planes = [ndimage.distance_transform_edt(plane > LUNG_HU, sampling=sampling) for plane in hu]
    return np.asarray(planes, np.float64)


def _index(points: Points, volume: Volume) -> Floats:
    inverse = np.linalg.inv(volume.geometry.affine)
    return np.asarray((points @ inverse[:3, :3].T + inverse[:3, 3]).T)


def _moved(
    segment: CoronarySegment, cost: NDArray[np.float32], volume: Volume, parents: Points | None
) -> CoronarySegment:
    """The best of all ways through the tried places, one at each station (Viterbi)."""
    stations = max(3, round(segment.length_mm / STATION_MM))
    at = np.linspace(0, len(segment.points) - 1, stations)
    points = np.stack([np.interp(at, np.arange(len(segment.points)), column) for column in segment.points.T], axis=1)
    if parents is None:
        shifts = _ball(WHOLE_MM, 2 * OFFSET_MM)
        whole = _costs(cost, points[:, None] + shifts, volume).mean(axis=0) + (shifts**2).sum(axis=1) / WHOLE_MM**2
        points = points + shifts[int(whole.argmin())]
    offsets = _ball(REACH * STAY_MM, OFFSET_MM)
    tried = points[:, None] + offsets
    own = _costs(cost, tried, volume) + (offsets**2).sum(axis=1) / STAY_MM**2
    if parents is not None:
        own[0] += np.min(((tried[0][:, None] - parents[::4]) ** 2).sum(axis=2), axis=1) / MOOR_MM**2
    bend = ((offsets[:, None] - offsets) ** 2).sum(axis=2) / BEND_MM**2
    moved = points + offsets[_cheapest(own, bend)]
    path = curve(ndimage.gaussian_filter1d(moved, 0.7, axis=0, mode="nearest"), 0.5)
    radius_mm = np.interp(np.linspace(0, 1, len(path)), np.linspace(0, 1, len(segment.radius_mm)), segment.radius_mm)
    return replace(segment, points=path, radius_mm=radius_mm)


def _ball(radius_mm: float, step_mm: float) -> Points:
    """(n, 3): a lattice about 0."""
    steps = np.arange(-(radius_mm // step_mm), radius_mm // step_mm + 1) * step_mm
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(lattice[np.linalg.norm(lattice, axis=1) <= radius_mm])


def _costs(cost: NDArray[np.float32], points: Floats, volume: Volume) -> Floats:
    """The cost at (..., 3) points."""
    found = ndimage.map_coordinates(cost, _index(points.reshape(-1, 3), volume), order=1, mode="nearest")
    return np.asarray(found.reshape(points.shape[:-1]), np.float64)


def _cheapest(own: Floats, bend: Floats) -> NDArray[np.int64]:
    """The choice at each station (row of ``own``) with the least sum of own costs and ``bend`` of neighbours."""
    total, came_from = own[0], []
    for row in own[1:]:
        both = total[:, None] + bend
        best = both.argmin(axis=0)
        came_from.append(best)
        total = both[best, np.arange(len(best))] + row
    chosen = [int(total.argmin())]
    for best in reversed(came_from):
        chosen.append(int(best[chosen[-1]]))
    return np.array(chosen[::-1])
