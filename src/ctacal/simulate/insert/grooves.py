"""``in_grooves``: coronary arteries of a fitted heart, moved into the fat of the real grooves, never lung or bone."""

from dataclasses import replace

import numpy as np
from scipy import ndimage

from ctacal.arrays import Floats, Floats32, Ints
from ctacal.simulate.anatomy.canvas import curve
from ctacal.simulate.anatomy.structures import CoronarySegment, Points
from ctacal.simulate.insert.tissue import Tissue

STATION_MM = 3.0
"""Spacing of the points that are moved (own choice)."""

OFFSET_MM = 2.0
"""Spacing of the positions that are tried (own choice)."""

FAT_HU = (-110.0, -15.0)
"""HU of blurred fat with an artery in it, and of fat beside muscle."""

STAY_MM, WHOLE_MM, BEND_MM = 12.0, 20.0, 5.0
"""Distances of a point that cost as much as a position in muscle: from the fitted course, from it together with the
whole artery, and relative to the neighbouring point (own choice). No position further than ``STAY_MM`` is tried."""

MOOR_MM = 3.0
"""Distance of an artery's first point from its parent vessel that costs as much as a point in muscle (own choice)."""

BESIDE_LUNG_MM, BESIDE_LUNG = 7.0, 2.5
"""Distance from lung within which apparent fat may be the blurred edge of lung, and the cost at lung (own choice)."""


def in_grooves(tree: tuple[CoronarySegment, ...], tissue: Tissue) -> tuple[CoronarySegment, ...]:
    """Return the tree with each segment on the course of least cost; branches start from the moved main arteries."""
    cost = _position_cost(tissue)
    found: list[CoronarySegment] = []
    for segment in tree:
        parents = np.vstack([parent.points for parent in found]) if found and segment.name != "RCA" else None
        found.append(_moved(segment, cost, tissue, parents))
    return tuple(found)


def _position_cost(tissue: Tissue) -> Floats32:
    """Return the cost per voxel: 0 in fat, 1 in muscle or blood, more in lung, bone, and beside lung, where the blurred
    edge looks like fat."""
    low, high = FAT_HU
    cost = np.interp(tissue.blurred_hu, (-400, -250, -150, low, high, 40, 90, 200), (30, 10, 2, 0, 0, 1, 2, 20))
    beside = BESIDE_LUNG * np.clip(1 - tissue.lung_mm / BESIDE_LUNG_MM, 0, 1)
    return np.asarray(cost + np.where(tissue.blurred_hu < 0, beside, 0), np.float32)


def _moved(segment: CoronarySegment, cost: Floats32, tissue: Tissue, parents: Points | None) -> CoronarySegment:
    """Return the segment on the best course through the tried positions, one per station (Viterbi)."""
    stations = max(3, round(segment.length_mm / STATION_MM))
    at = np.linspace(0, len(segment.points) - 1, stations)
    points = np.stack([np.interp(at, np.arange(len(segment.points)), column) for column in segment.points.T], axis=1)
    if parents is None:
        shifts = _ball(WHOLE_MM, 2 * OFFSET_MM)
        whole = _costs(cost, points[:, None] + shifts, tissue).mean(axis=0) + (shifts**2).sum(axis=1) / WHOLE_MM**2
        points = points + shifts[int(whole.argmin())]
    offsets = _ball(STAY_MM, OFFSET_MM)
    tried = points[:, None] + offsets
    own = _costs(cost, tried, tissue) + (offsets**2).sum(axis=1) / STAY_MM**2
    if parents is not None:
        own[0] += np.min(((tried[0][:, None] - parents[::4]) ** 2).sum(axis=2), axis=1) / MOOR_MM**2
    bend = ((offsets[:, None] - offsets) ** 2).sum(axis=2) / BEND_MM**2
    moved = points + offsets[_cheapest(own, bend)]
    path = curve(ndimage.gaussian_filter1d(moved, 0.7, axis=0, mode="nearest"), 0.5)
    radius_mm = np.interp(np.linspace(0, 1, len(path)), np.linspace(0, 1, len(segment.radius_mm)), segment.radius_mm)
    return replace(segment, points=path, radius_mm=radius_mm)


def _ball(radius_mm: float, step_mm: float) -> Points:
    """Return a lattice of points about 0, (n, 3)."""
    steps = np.arange(-(radius_mm // step_mm), radius_mm // step_mm + 1) * step_mm
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(lattice[np.linalg.norm(lattice, axis=1) <= radius_mm])


def _costs(cost: Floats32, points: Floats, tissue: Tissue) -> Floats:
    """Return the cost at (..., 3) points."""
    return tissue.at(cost, points.reshape(-1, 3)).reshape(points.shape[:-1])


def _cheapest(own: Floats, bend: Floats) -> Ints:
    """Return the choice at each station (row of ``own``) with the least sum of own costs and ``bend`` of neighbours."""
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
