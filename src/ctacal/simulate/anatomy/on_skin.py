"""Objects on the skin: electrodes with their leads, and a blanket.

All numbers: own choice, compared with two real CTs.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ctacal.arrays import Floats
from ctacal.geometry import Geometry
from ctacal.simulate.anatomy.canvas import curve
from ctacal.simulate.anatomy.compiled import lay_cloth
from ctacal.simulate.anatomy.structures import Points
from ctacal.simulate.anatomy.table import TableDesign, grid_axes, not_table
from ctacal.simulate.materials import Tissue
from ctacal.simulate.streams import Stream, generator

ELECTRODE_SITES = np.array([(-95.0, 62.0), (95.0, 60.0), (100.0, -105.0), (-95.0, -110.0), (28.0, -35.0)])
"""(L, S) in mm: below both clavicles, at both lower ribs, beside the sternum."""

ELECTRODE_MM, SNAP_MM, LEAD_MM = 8.5, 2.2, 0.9
"""Radii of an electrode, its snap fastener and its lead."""

NOWHERE_MM = -1e6
"""Position in front of everything that can be painted; compiled with fast mathematics, kernels cannot test for nan."""


def paint_on_skin(tissue: NDArray[np.uint8], geometry: Geometry, design: TableDesign) -> None:
    """Paint electrodes, leads and blanket, in place, into the air in front of a body on a canonical axial grid.

    Electrodes lie on the front of the body within this grid: paint on a whole body, not on a part of it.
    """
    zs, ys, xs = grid_axes(geometry)
    front = _front_mm(tissue, ys)
    rng = generator(design.seed, Stream.ON_SKIN)
    metal = Tissue.TITANIUM if rng.random() < 0.4 else Tissue.PLASTIC  # leads of copper, or of carbon
    for left, up in (ELECTRODE_SITES + rng.normal(0, 10, (5, 2)))[: design.electrodes]:
        _paint_electrode(tissue, (zs, ys, xs), front, (left, up))
        knots = [(left, up), (left * 0.6, up + 40), (60 + rng.normal(0, 15), 90), (70 + rng.normal(0, 15), 240)]
        _paint_lead(tissue, (zs, ys, xs), front, curve(np.array(knots), 0.6), metal)
    if design.blanket:
        _paint_blanket(tissue, (zs, ys, xs), front, rng)


def _front_mm(tissue: NDArray[np.uint8], ys: Floats) -> Floats:
    """Return y of the body's front (slices, columns); nan where there is no body."""
    body = not_table(tissue)
    return np.where(body.any(axis=1), ys[body.argmax(axis=1)], np.nan)


def _paint_electrode(
    tissue: NDArray[np.uint8], axes: tuple[Floats, Floats, Floats], front: Floats, at: tuple[float, float]
) -> None:
    zs, ys, xs = axes
    far = np.hypot(zs[:, None] - at[1], xs[None, :] - at[0])
    for radius, thick, value in ((ELECTRODE_MM, 1.6, Tissue.PLASTIC), (SNAP_MM, 2.8, Tissue.STEEL)):
        for k, i in np.argwhere((far < radius) & np.isfinite(front)):
            over = (ys < front[k, i]) & (ys > front[k, i] - thick - 0.5)
            column = tissue[k, :, i]
            column[over & ((column == Tissue.AIR) | (column == Tissue.PLASTIC))] = value


def _paint_lead(
    tissue: NDArray[np.uint8], axes: tuple[Floats, Floats, Floats], front: Floats, path: Points, value: Tissue
) -> None:
    """Paint a lead about one voxel wide, 2 mm off the skin, along (L, S) points."""
    zs, ys, xs = axes
    k = np.rint((path[:, 1] - zs[0]) / max(zs[-1] - zs[0], 1e-9) * (len(zs) - 1)).astype(int)
    i = np.rint((path[:, 0] - xs[0]) / (xs[1] - xs[0])).astype(int)
    inside = (k >= 0) & (k < len(zs)) & (i >= 0) & (i < len(xs))
    k, i = k[inside], i[inside]
    j = np.rint((front[k, i] - 2.0 - ys[0]) / (ys[1] - ys[0]))
    seen = np.isfinite(j) & (j >= 1)
    k, i, j = k[seen], i[seen], j[seen].astype(int)
    free = tissue[k, j, i] == Tissue.AIR
    tissue[k[free], j[free], i[free]] = value


def _paint_blanket(
    tissue: NDArray[np.uint8], axes: tuple[Floats, Floats, Floats], front: Floats, rng: np.random.Generator
) -> None:
    """Paint one to three layers of cloth that bridge hollows, with folds."""
    zs, ys, xs = axes
    top = rng.uniform(20, 90)
    for layer in range(int(rng.integers(1, 4))):
        smooth = ndimage.minimum_filter1d(np.where(np.isfinite(front), front, ys[-1]), 41, axis=1)
        smooth = ndimage.gaussian_filter1d(smooth, 9, axis=1)
        folds = np.full(front.shape, 3.0 + 4 * layer)
        for length in (23.0, 41.0, 67.0):
            turn = rng.uniform(-0.6, 0.6) * zs[:, None] + xs[None, :]
            folds = folds + rng.uniform(0.5, 2.5) * (1 + np.sin(2 * np.pi * turn / length + rng.uniform(0, 6)))
        height = smooth - folds
        slope = np.hypot(1, np.gradient(height, xs[1] - xs[0], axis=1))
        covered = int(np.count_nonzero(zs < top))
        half = 0.55 * np.minimum(slope, 12)
        bounded = np.where(np.isfinite(front), front, NOWHERE_MM)
        lay_cloth(tissue[:covered], ys, height, half, bounded, int(Tissue.AIR), int(Tissue.CLOTH))
