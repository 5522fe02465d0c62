"""The chest wall's painting kernels, compiled by numba. Maps are (slices, rows, columns); points (L, P, S) in mm."""

import math
from typing import Any

import numba
import numpy as np

from ctacal.simulate.anatomy.compiled import compiled, compiled_parallel, sampled, span

AIR, LUNG, FAT, MUSCLE, SKIN, STRANDED, GLAND = 0, 1, 2, 3, 4, 22, 39
"""``Tissue``."""
UNSORTED = 255
"""Muscle that belongs to no stratum."""


@compiled
def wall_tissue(row: Any, n: int, f: float, m: int, rho: float, bulge: float, grain: float, streaks: float) -> int:
    """The tissue outside of the cavity, at radius ``rho`` between the directions n and m."""
    skin = row[9, n] * (1 - f) + row[9, m] * f
    if rho > skin - 2.0:
        return SKIN
    muscle = row[7, n] * (1 - f) + row[7, m] * f
    at = rho + 0.8 * bulge + 0.3 * grain
    if at > muscle:
        fascia = row[8, n] * (1 - f) + row[8, m] * f
        septum = abs(bulge + 0.4 * grain) < 0.05 and skin - muscle > 6
        thin = abs(at - fascia) < 0.45 and skin - muscle > 8
        return STRANDED if (septum or thin) else FAT
    rib = row[1, n] * (1 - f) + row[1, m] * f
    if rho < rib:
        cavity = row[0, n] * (1 - f) + row[0, m] * f
        depth = (rho - cavity) / max(rib - cavity, 1.0)
        fatty = depth < 0.14 + 0.04 * grain or abs(depth - 0.55 - 0.05 * bulge) < 0.06 * grain - 0.01
        return FAT if fatty else MUSCLE
    if grain > streaks or abs(bulge - 0.6 * grain) < 0.035 * (3.4 - streaks):
        return FAT
    for layer in range(2, 7):
        if at < row[layer, n] * (1 - f) + row[layer, m] * f:
            return MUSCLE if layer % 2 == 0 else FAT
    return UNSORTED


@compiled_parallel
def fill_layers(
    tissue: Any, structure: Any, zs: Any, ys: Any, xs: Any, radii: Any, streaks: float,
    coarse: Any, coarse_mm: float, fine: Any, fine_mm: float, origin: Any,
) -> None:  # fmt: skip
    """The trunk from the skin inwards, by ``wall_layers``; fat streaks the muscle where the fine field is above
    ``streaks``."""
    angles = radii.shape[2]
    turns = np.empty((ys.size, xs.size))  # the same in all slices
    for j in numba.prange(ys.size):
        for i in range(xs.size):
            turns[j, i] = (math.atan2(xs[i], -ys[j]) / (2 * math.pi) % 1.0) * angles
    for k in numba.prange(zs.size):
        row = radii[k]
        furthest = row[9].max()
        nearest = row[0].min()
        for j in range(ys.size):
            y = ys[j]
            for i in range(xs.size):
                x = xs[i]
                rho = math.sqrt(x * x + y * y)
                if rho > furthest:
                    continue
                if rho < nearest:
                    tissue[k, j, i], structure[k, j, i] = LUNG, 4
                    continue
                at = turns[j, i]
                n = int(at) % angles
                f, m = at - int(at), (n + 1) % angles
                if rho > row[9, n] * (1 - f) + row[9, m] * f:
                    continue
                if rho < row[0, n] * (1 - f) + row[0, m] * f:
                    tissue[k, j, i], structure[k, j, i] = LUNG, 4
                    continue
                grain = sampled(fine, fine_mm, origin, x, y, zs[k])
                bulge = sampled(coarse, coarse_mm, origin, x, y, zs[k])
                found = wall_tissue(row, n, f, m, rho, bulge, grain, streaks)
                if found == UNSORTED:  # of neck and shoulders: alike on both sides, long from above downwards
                    septa = sampled(coarse, coarse_mm, origin, abs(x), y, 0.45 * zs[k])
                    found = FAT if abs(septa + 0.15 * bulge) < 0.13 else MUSCLE
                tissue[k, j, i] = found
                structure[k, j, i] = 1


@compiled
def fill_gland(
    tissue: Any, zs: Any, ys: Any, xs: Any, centre: Any, radii: Any, threshold: float,
    coarse: Any, coarse_mm: float, fine: Any, fine_mm: float, origin: Any,
) -> None:  # fmt: skip
    """Strands and clumps of gland in an ellipsoid of fat, denser in its middle."""
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
                    tissue[k, j, i] = GLAND if much < 0.8 else 7
                elif abs(bulge - 0.5 * grain) < 0.08:
                    tissue[k, j, i] = STRANDED
