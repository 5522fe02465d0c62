"""Kernels that paint the chest wall, compiled by numba. Maps are (slices, rows, columns); points (L, P, S) in mm."""

import math
from typing import Any

import numba
import numpy as np

from ctacal.simulate.anatomy.compiled import compiled, compiled_parallel, sampled, span
from ctacal.simulate.anatomy.structures import Structure
from ctacal.simulate.materials import Tissue

LUNG, FAT, MUSCLE, SKIN = int(Tissue.LUNG), int(Tissue.FAT), int(Tissue.MUSCLE), int(Tissue.SKIN)
STRANDED, GLAND, SOFT = int(Tissue.FAT_STRANDED), int(Tissue.BREAST_GLAND), int(Tissue.SOFT)
IN_BODY_WALL, IN_LUNG = int(Structure.BODY_WALL), int(Structure.LUNG)
UNLAYERED = 255
"""Muscle that belongs to no layer."""

(CAVITY_EDGE, RIB_EDGE, DEEP_EDGE, MIDDLE_INNER_EDGE, MIDDLE_EDGE, SHALLOW_INNER_EDGE, SHALLOW_EDGE, MUSCLE_EDGE,
 FASCIA_EDGE, SKIN_EDGE) = range(10)  # fmt: skip
"""Rows of ``wall_layers``: radii of the cavity, the ribs, the outside of the deep muscles, the inside and outside
of the middle ones, the inside and outside of the shallow ones, the outside of all muscle, the fascia in the fat, and
the skin."""

SKIN_MM = 2.0
"""Thickness of the skin (own choice)."""


@compiled
def is_muscle_within(edge: int) -> bool:
    """Whether muscle, not fat, lies between this edge and the one before it; ``DEEP_EDGE`` to ``SHALLOW_EDGE``."""
    return edge in (DEEP_EDGE, MIDDLE_EDGE, SHALLOW_EDGE)


@compiled
def wall_tissue(row: Any, n: int, f: float, m: int, rho: float, bulge: float, grain: float, streaks: float) -> int:
    """Return the tissue outside of the cavity at radius ``rho``, a fraction ``f`` of the way from direction n to m."""
    skin = row[SKIN_EDGE, n] * (1 - f) + row[SKIN_EDGE, m] * f
    if rho > skin - SKIN_MM:
        return SKIN
    muscle = row[MUSCLE_EDGE, n] * (1 - f) + row[MUSCLE_EDGE, m] * f
    at = rho + 0.8 * bulge + 0.3 * grain
    if at > muscle:
        fascia = row[FASCIA_EDGE, n] * (1 - f) + row[FASCIA_EDGE, m] * f
        septum = abs(bulge + 0.4 * grain) < 0.05 and skin - muscle > 6
        thin = abs(at - fascia) < 0.45 and skin - muscle > 8
        return STRANDED if (septum or thin) else FAT
    rib = row[RIB_EDGE, n] * (1 - f) + row[RIB_EDGE, m] * f
    if rho < rib:
        cavity = row[CAVITY_EDGE, n] * (1 - f) + row[CAVITY_EDGE, m] * f
        depth = (rho - cavity) / max(rib - cavity, 1.0)
        fatty = depth < 0.14 + 0.04 * grain or abs(depth - 0.55 - 0.05 * bulge) < 0.06 * grain - 0.01
        return FAT if fatty else MUSCLE
    if grain > streaks or abs(bulge - 0.6 * grain) < 0.035 * (3.4 - streaks):
        return FAT
    for edge in range(DEEP_EDGE, SHALLOW_EDGE + 1):
        if at < row[edge, n] * (1 - f) + row[edge, m] * f:
            return MUSCLE if is_muscle_within(edge) else FAT
    return UNLAYERED


@compiled_parallel
def fill_layers(
    tissue: Any, structure: Any, zs: Any, ys: Any, xs: Any, radii: Any, streaks: float,
    coarse: Any, coarse_mm: float, fine: Any, fine_mm: float, origin: Any,
) -> None:  # fmt: skip
    """Paint the trunk from the skin inwards, by ``wall_layers``.

    Fat streaks the muscle where the fine field is above ``streaks``.
    """
    angles = radii.shape[2]
    turns = np.empty((ys.size, xs.size))  # the same in all slices
    for j in numba.prange(ys.size):
        for i in range(xs.size):
            turns[j, i] = (math.atan2(xs[i], -ys[j]) / (2 * math.pi) % 1.0) * angles
    for k in numba.prange(zs.size):
        row = radii[k]
        furthest = row[SKIN_EDGE].max()
        nearest = row[CAVITY_EDGE].min()
        for j in range(ys.size):
            y = ys[j]
            for i in range(xs.size):
                x = xs[i]
                rho = math.sqrt(x * x + y * y)
                if rho > furthest:
                    continue
                if rho < nearest:
                    tissue[k, j, i], structure[k, j, i] = LUNG, IN_LUNG
                    continue
                at = turns[j, i]
                n = int(at) % angles
                f, m = at - int(at), (n + 1) % angles
                if rho > row[SKIN_EDGE, n] * (1 - f) + row[SKIN_EDGE, m] * f:
                    continue
                if rho < row[CAVITY_EDGE, n] * (1 - f) + row[CAVITY_EDGE, m] * f:
                    tissue[k, j, i], structure[k, j, i] = LUNG, IN_LUNG
                    continue
                grain = sampled(fine, fine_mm, origin, x, y, zs[k])
                bulge = sampled(coarse, coarse_mm, origin, x, y, zs[k])
                found = wall_tissue(row, n, f, m, rho, bulge, grain, streaks)
                if found == UNLAYERED:  # in neck and shoulders: alike on both sides, elongated along the body
                    septa = sampled(coarse, coarse_mm, origin, abs(x), y, 0.45 * zs[k])
                    found = FAT if abs(septa + 0.15 * bulge) < 0.13 else MUSCLE
                tissue[k, j, i] = found
                structure[k, j, i] = IN_BODY_WALL


@compiled
def fill_gland(
    tissue: Any, zs: Any, ys: Any, xs: Any, centre: Any, radii: Any, threshold: float,
    coarse: Any, coarse_mm: float, fine: Any, fine_mm: float, origin: Any,
) -> None:  # fmt: skip
    """Paint strands and clumps of gland into an ellipsoid of fat, denser in its centre."""
    k0, k1 = span(zs, centre[2] - radii[2], centre[2] + radii[2])
    j0, j1 = span(ys, centre[1] - radii[1], centre[1] + radii[1])
    i0, i1 = span(xs, centre[0] - radii[0], centre[0] + radii[0])
    for k in range(k0, k1):
        for j in range(j0, j1):
            for i in range(i0, i1):
                if tissue[k, j, i] != FAT and tissue[k, j, i] != STRANDED:
                    continue
                x, y, z = xs[i], ys[j], zs[k]
                level = ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2
                level += ((z - centre[2]) / radii[2]) ** 2
                if level >= 1:
                    continue
                grain = sampled(fine, fine_mm, origin, x, y, z)
                bulge = sampled(coarse, coarse_mm, origin, x, y, z)
                much = 0.65 * grain + 0.75 * bulge - threshold - 1.4 * level * level
                if much > 0:
                    tissue[k, j, i] = GLAND if much < 0.8 else SOFT
                elif abs(bulge - 0.5 * grain) < 0.08:
                    tissue[k, j, i] = STRANDED
