"""Kernels that grade tissues by position, compiled by numba. Maps (slices, rows, columns), points (L, P, S) in mm."""

import math
from typing import Any

import numba
import numpy as np

from ctacal.simulate.anatomy.compiled import compiled, compiled_parallel, sampled
from ctacal.simulate.anatomy.structures import Structure
from ctacal.simulate.materials import Tissue

LUNG_FAMILY, LIVER_FAMILY, MUSCLE_FAMILY, BONE_FAMILY = range(4)
"""Rows of the tables of grades."""

SLOPE, EMPHYSEMA, ATELECTASIS, HALF_DEPTH, SCALE = range(5)
"""Places in the ``lung`` parameters: HU per mm towards the back, 0 to 1, mm, mm, scale of all heights."""

IN_LUNG = int(Structure.LUNG)
FISSURE = int(Tissue.LUNG_DENSE)
"""Tissue of the fissures."""


@compiled
def white(x: float, y: float, z: float, step_mm: float) -> float:
    """Return noise between 0 and 1 for the lattice cell that contains the point, by hashing; it knows no grid."""
    i = math.floor(x / step_mm + 0.3123)
    j = math.floor(y / step_mm + 0.3456)
    k = math.floor(z / step_mm + 0.3789)
    h = (i * 73856093) ^ (j * 19349663) ^ (k * 83492791)
    h = (h ^ (h >> 13)) * 1274126177 & 0x7FFFFFFF
    h = (h ^ (h >> 15)) * 668265263 & 0x7FFFFFFF
    return ((h ^ (h >> 12)) & 0xFFFFF) / 1048576.0


@compiled
def graded(hu: Any, grades: Any, wanted: float, dither: float) -> int:
    """Return one of the two grades next to the wanted HU, the nearer one more often."""
    n = 0
    while n < 6 and hu[n + 1] < wanted:
        n += 1
    if hu[n + 1] > 1e6:
        return int(grades[n])
    share = (wanted - hu[n]) / (hu[n + 1] - hu[n])
    return int(grades[n + 1] if dither < share else grades[n])


@compiled
def lung_hu(
    lung: Any, mean: float, x: float, y: float, z: float, rho: float, wall: float, grain: float, bulge: float
) -> float:
    """Return the lung's HU: denser towards the back, patchy, with emphysema mostly above and a band of atelectasis."""
    wanted = mean + lung[SLOPE] * min(max(y - 5.0, -90.0), 90.0) + 14.0 * bulge + 16.0 * grain
    upper = min(max(0.75 + z / (150.0 * lung[SCALE]), 0.45), 1.2)
    hole = 1.25 * grain + 0.8 * bulge - max(3.4 - 5.0 * lung[EMPHYSEMA] * upper, 0.4)
    if hole > 0:
        wanted -= 190.0 * min(hole, 1.0)
    depth = wall - rho
    if y > 0.45 * lung[HALF_DEPTH] and depth < lung[ATELECTASIS] * (1.0 + 0.5 * bulge):
        fade = 1.0 - depth / (lung[ATELECTASIS] * 1.6 + 1e-6)
        wanted += 230.0 * fade * min(1.0, (y / lung[HALF_DEPTH] - 0.45) * 4.0)
    if depth < 2.0:
        wanted += 30.0
    return float(wanted)


@compiled
def near_fissure(x: float, y: float, z: float, scale: float, bulge: float) -> bool:
    """Whether a point lies on an oblique fissure; it is painted thicker than in nature, at half its density."""
    side = 1.0 if x > 0 else -1.0
    away = abs(x) - 70.0
    middle = 8.0 - 0.95 * (z / scale + 45.0 - 6.0 * side) + 9.0 * math.cos(x / 31.0) + 0.006 * away * away
    return abs(x) > 15 and abs(y - middle - 1.5 * bulge) < 0.55


@compiled_parallel
def grade_tissues(
    tissue: Any, structure: Any, zs: Any, ys: Any, xs: Any, grades: Any, hu: Any, family: Any, means: Any, lung: Any,
    cavity: Any, coarse: Any, coarse_mm: float, fine: Any, fine_mm: float, origin: Any,
) -> None:  # fmt: skip
    """Replace plain tissues by their grades.

    ``means``: HU by structure; ``lung``: see ``SLOPE``; ``cavity``: (slices, directions) radius of the chest cavity.
    """
    angles = cavity.shape[1]
    turns = np.empty((ys.size, xs.size), np.int16)  # the same in all slices
    for j in numba.prange(ys.size):
        for i in range(xs.size):
            turns[j, i] = int((math.atan2(xs[i], -ys[j]) / (2 * math.pi) % 1.0) * angles) % angles
    for k in numba.prange(zs.size):
        for j in range(ys.size):
            for i in range(xs.size):
                kind = family[tissue[k, j, i]]
                if kind < 0:
                    continue
                x, y, z = xs[i], ys[j], zs[k]
                mean = means[structure[k, j, i]]
                bulge = sampled(coarse, coarse_mm, origin, x, y, z)
                if kind == MUSCLE_FAMILY:
                    wanted = mean + 7.0 * bulge
                else:
                    grain = sampled(fine, fine_mm, origin, x, y, z)
                    if kind == LUNG_FAMILY:
                        rho = math.sqrt(x * x + y * y)
                        wanted = lung_hu(lung, means[IN_LUNG], x, y, z, rho, cavity[k, turns[j, i]], grain, bulge)
                        if structure[k, j, i] == IN_LUNG and near_fissure(x, y, z, lung[SCALE], bulge):
                            tissue[k, j, i] = FISSURE
                            continue
                    elif kind == LIVER_FAMILY:
                        wanted = mean + 3.0 * bulge + 3.0 * grain
                    else:
                        wanted = mean + (12.0 * bulge + 26.0 * grain) * min(1.0, max(mean, 0.0) / 150.0 + 0.3)
                tissue[k, j, i] = graded(hu[kind], grades[kind], wanted, white(x, y, z, 1.3))
