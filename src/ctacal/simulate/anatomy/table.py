"""The patient table: thin shells of carbon fibre over foam or air, rails, and a mattress.

The V-shaped bottom under a sling was measured in a PET/CT scan: 415 mm wide, the sling 42 mm deep, the bottom 38 mm
below it and flat over 45 % of the width. The other dimensions and all spreads are assumed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats
from ctacal.geometry import Geometry
from ctacal.simulate.materials import Tissue
from ctacal.simulate.streams import Stream, generator

_DIMENSIONS = {
    # shape    share  width  sag  depth (mm)  source
    "curved":   (0.45, 425,   42,  36),     # assumed
    "flat":     (0.20, 430,   2,   34),     # assumed
    "v_bottom": (0.35, 415,   42,  38),     # the PET/CT scan (own measurement)
}  # fmt: skip
"""Share of each shape among tables (own choice), and its mean dimensions."""

DESIGNS = tuple(_DIMENSIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDesign:
    """A table and its mattress. Lengths in mm."""

    shape: str
    """One of ``DESIGNS``."""
    width_mm: float
    sag_mm: float
    """Depth of the upper shell's middle below its edges."""
    depth_mm: float
    """Distance from the upper to the lower shell, in the middle."""
    shell_mm: float
    foam: bool
    """Whether foam, not air, lies between the shells."""
    mattress_mm: float
    blanket: bool
    electrodes: int
    """Number of electrodes on the chest, each with its lead."""
    seed: int


def draw_table(seed: int) -> TableDesign:
    """Draw a table (shares and spreads: own choice). The same seed gives the same table."""
    rng = generator(seed, Stream.TABLE)
    shape = str(rng.choice(DESIGNS, p=[share for share, *_ in _DIMENSIONS.values()]))
    _, width, sag, depth = _DIMENSIONS[shape]
    return TableDesign(
        shape=shape,
        width_mm=round(float(width * rng.uniform(0.96, 1.06)), 2),
        sag_mm=round(float(sag * rng.uniform(0.85, 1.2)), 2),
        depth_mm=round(float(depth * rng.uniform(0.85, 1.2)), 2),
        shell_mm=round(float(rng.uniform(1.8, 3.2)), 2),
        foam=bool(shape != "v_bottom"),
        mattress_mm=round(float(rng.uniform(8, 40)), 2) if rng.random() < 0.8 else 0.0,
        blanket=bool(rng.random() < 0.5),
        electrodes=int(rng.choice((0, 3, 5), p=(0.5, 0.25, 0.25))),
        seed=seed,
    )


def table_top_mm(tissue: NDArray[np.uint8], geometry: Geometry, design: TableDesign) -> float:
    """Return P of the middle of the upper shell such that the body rests on the mattress."""
    ys, xs = grid_axes(geometry)[1:]
    filled = not_table(tissue)
    columns = np.abs(xs) < 0.4 * design.width_mm
    lowest = np.where(filled[:, :, columns].any(axis=0), ys[:, None], -np.inf).max(axis=0)
    touching = lowest - _sling_mm(design, xs[columns])
    return float(touching.max()) + design.mattress_mm + 1.5


def paint_table(
    tissue: NDArray[np.uint8], geometry: Geometry, design: TableDesign, *, top_mm: float | None = None
) -> None:
    """Paint the table, in place, into the air under a body; the body itself is not changed.

    ``tissue`` (slices, rows, columns) lies on ``geometry``, a canonical axial grid. ``top_mm`` is by default
    ``table_top_mm`` of this body; pass it if only a part of a body is painted. The table may reach beyond the grid; a
    whole table needs some 110 mm behind the body.
    """
    top_mm = table_top_mm(tissue, geometry, design) if top_mm is None else top_mm
    _, ys, xs = grid_axes(geometry)
    section = _section(design, ys[:, None] - top_mm, xs[None, :])
    filled = np.flatnonzero(section.any(axis=1))
    if not filled.size:
        return
    rows = slice(int(filled[0]), int(filled[-1]) + 1)
    part = tissue[:, rows]
    painted = np.broadcast_to(section[rows], part.shape)
    free = (part == Tissue.AIR) & (painted > 0) & ~_covered(part)
    part[free] = painted[free]


def not_table(tissue: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where there is neither air nor table."""
    flags = np.ones(256, np.bool_)
    flags[[Tissue.AIR, Tissue.TABLE, Tissue.FOAM, Tissue.CARBON, Tissue.PLASTIC, Tissue.CLOTH]] = False
    return np.asarray(flags[tissue])


def _covered(part: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where body lies further back in the same column (air within organs, under an arm): no table there."""
    return np.asarray(np.logical_or.accumulate(not_table(part)[:, ::-1], axis=1)[:, ::-1])


def grid_axes(geometry: Geometry) -> tuple[Floats, Floats, Floats]:
    """Return positions (S, P, L) in mm along the array axes of a canonical grid."""
    origin = geometry.to_patient_mm((0, 0, 0))
    steps = zip(geometry.shape, geometry.spacing_mm, strict=True)
    zs, ys, xs = (np.asarray(origin[2 - axis] + np.arange(n) * mm) for axis, (n, mm) in enumerate(steps))
    return zs, ys, xs


def _sling_mm(design: TableDesign, xs: Floats) -> Floats:
    """Return P of the upper shell relative to its middle (negative: higher)."""
    return np.asarray(-design.sag_mm * (2 * xs / design.width_mm) ** 2)


def _section(design: TableDesign, y: Floats, x: Floats) -> NDArray[np.uint8]:
    """Return the table's cross-section (rows, columns) of ``Tissue``; y is relative to the upper shell's middle."""
    half, shell = design.width_mm / 2, design.shell_mm
    inside = np.abs(x) < half
    upper = _sling_mm(design, x)
    lower = _bottom_mm(design, x)
    section = np.zeros(np.broadcast_shapes(y.shape, x.shape), np.uint8)
    pad = inside & (np.abs(x) < 0.97 * half) & (y < upper - 1.0) & (y > upper - design.mattress_mm)
    section[pad] = Tissue.FOAM
    section[inside & (y > upper) & (y < lower) & design.foam] = Tissue.FOAM
    slope = np.abs(np.gradient(np.broadcast_to(lower, x.shape)[0], x[0]))
    thick = shell * np.sqrt(1 + np.minimum(slope, 3.0) ** 2)[None, :]
    section[inside & (np.abs(y - upper) < 0.5 * shell)] = Tissue.CARBON
    section[inside & (np.abs(y - lower) < 0.8 * thick)] = Tissue.CARBON
    rail = (np.abs(np.abs(x) - half + 5) < 5.5) & (np.abs(y - upper - 4) < 5)
    hollow = (np.abs(np.abs(x) - half + 5) < 3) & (np.abs(y - upper - 4) < 2.5)
    section[rail & ~hollow] = Tissue.TABLE
    return section


def _bottom_mm(design: TableDesign, x: Floats) -> Floats:
    """Return y of the lower shell."""
    half, edge = design.width_mm / 2, -design.sag_mm + 6
    share = np.abs(x) / half
    if design.shape == "v_bottom":
        return np.asarray(np.interp(share, (0, 0.46, 1), (design.depth_mm, design.depth_mm, edge)))
    return np.asarray(edge + (design.depth_mm - edge) * (1 - np.minimum(share, 1) ** 3.5))
