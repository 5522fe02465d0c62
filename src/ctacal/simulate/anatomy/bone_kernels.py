"""Kernels that paint vertebrae by the distances to their parts, compiled by numba. Lengths in mm, points (L, P, S)."""

import math
from typing import Any

import numba

from ctacal.simulate.anatomy.compiled import compiled, compiled_parallel, sampled, span
from ctacal.simulate.anatomy.structures import Structure
from ctacal.simulate.materials import Tissue

FAT, SOFT, WATER, CARTILAGE = int(Tissue.FAT), int(Tissue.SOFT), int(Tissue.WATER), int(Tissue.CARTILAGE)
TRABECULAR, THIN, DENSE = int(Tissue.BONE_TRABECULAR), int(Tissue.BONE_THIN), int(Tissue.BONE_DENSE)
IN_VERTEBRA, IN_DISC = int(Structure.VERTEBRA), int(Structure.DISC)

CORTEX_MM, END_PLATE_MM = 1.1, 1.2
"""Thickness of the bright shell at the sides and at the end plates of a vertebral body (own choice)."""

ARCH_CORTEX_MM = 1.2
"""Thickness of the dense shell of the arch and its processes (own choice)."""


@compiled
def body_mm(x: float, y: float, z: float, wide: float, deep: float, half: float, spur: float) -> float:
    """Return the approximate distance to a vertebral body's side: rounder in front, hollow behind, narrow-waisted."""
    waist = 1.0 - 0.09 * max(0.0, 1.0 - (z / half) ** 2)
    front = min(max(-y / deep, 0.0), 1.0)
    w = (wide + spur) * waist * (1.0 - 0.16 * front)
    d = (deep + spur) * waist
    level = (abs(x / w) ** 2.3 + abs(y / d) ** 2.3) ** (1 / 2.3)
    side = (level - 1.0) * 0.5 * (w + d)
    hollow = 0.62 * wide - math.hypot(x, y - deep - 0.42 * wide)
    return float(max(side, hollow))


@compiled
def rod_mm(rod: Any, x: float, y: float, z: float) -> float:
    """Return the distance to a rod: two ends, two radii, and the ratio of height to thickness."""
    ux, uy, uz = rod[3] - rod[0], rod[4] - rod[1], rod[5] - rod[2]
    vx, vy, vz = x - rod[0], y - rod[1], z - rod[2]
    share = min(max((ux * vx + uy * vy + uz * vz) / (ux * ux + uy * uy + uz * uz + 1e-9), 0.0), 1.0)
    dx, dy, dz = vx - share * ux, vy - share * uy, (vz - share * uz) / rod[8]
    return math.sqrt(dx * dx + dy * dy + dz * dz) - float(rod[6] + share * (rod[7] - rod[6]))


@compiled
def arch_mm(rods: Any, x: float, y: float, z: float) -> float:
    """Return the distance to the arch with its processes; both sides are alike, x is positive."""
    least = 1e3
    for n in range(rods.shape[0]):
        least = min(least, rod_mm(rods[n], x, y, z))
    return least


@compiled
def canal_tissue(x: float, y: float) -> int:
    """Return the tissue within the spinal canal: fat, fluid or cord; -1 outside of it."""
    if (x / 8.2) ** 2 + (y / 6.8) ** 2 > 1:
        return -1
    if (x / 7.2) ** 2 + (y / 5.9) ** 2 > 1:
        return FAT
    return WATER if (x / 4.8) ** 2 + (y / 3.7) ** 2 > 1 else SOFT


@compiled_parallel
def fill_vertebra(
    tissue: Any, structure: Any, zs: Any, ys: Any, xs: Any, centre: Any, sizes: Any, rods: Any,
    field: Any, step_mm: float, origin: Any,
) -> None:  # fmt: skip
    """Paint a vertebra and the discs above and below it.

    ``sizes``: half width, half depth and half height of the body, pitch, height of the osteophytes at its rims, tilt
    (mm per mm).
    """
    wide, deep, half, pitch, spurs, tilt = sizes
    canal = deep + 0.42 * wide + 0.5
    k0, k1 = span(zs, centre[2] - 1.6 * pitch, centre[2] + 0.8 * pitch)
    j0, j1 = span(ys, centre[1] - 1.4 * deep, centre[1] + canal + 45)
    i0, i1 = span(xs, centre[0] - wide - 26, centre[0] + wide + 26)
    for k in numba.prange(k0, k1):
        for j in range(j0, j1):
            for i in range(i0, i1):
                x, y = abs(xs[i] - centre[0]), ys[j] - centre[1]
                z = zs[k] - centre[2] + tilt * y
                if abs(z) > 0.55 * pitch and y < canal - 6:
                    continue
                bulge = sampled(field, step_mm, origin, xs[i], ys[j], zs[k])
                rim = min(max((abs(z) - 0.6 * half) / (0.4 * half), 0.0), 1.0)
                spur = spurs * rim * max(0.0, bulge - 0.3) + 0.35 * bulge
                side = body_mm(x, y, z, wide, deep, half, spur)
                above = abs(z) - half
                arch = arch_mm(rods, x, y, z) - 0.3 * bulge
                inner = canal_tissue(x, y - canal)
                if inner >= 0 and abs(z) < 0.52 * pitch and side > 0:
                    tissue[k, j, i], structure[k, j, i] = inner, IN_VERTEBRA
                elif side < 0 and above < 0:
                    bone = THIN if side > -CORTEX_MM or above > -END_PLATE_MM else TRABECULAR
                    tissue[k, j, i], structure[k, j, i] = bone, IN_VERTEBRA
                elif arch < 0:
                    if structure[k, j, i] != IN_VERTEBRA or tissue[k, j, i] != TRABECULAR:
                        tissue[k, j, i] = DENSE if arch > -ARCH_CORTEX_MM else TRABECULAR
                        structure[k, j, i] = IN_VERTEBRA
                elif side < -0.6 and abs(z) < 0.52 * pitch:
                    tissue[k, j, i], structure[k, j, i] = CARTILAGE, IN_DISC
                elif (
                    side > 0 and abs(z) < 0.52 * pitch and (x / (wide + 2)) ** 2 + ((y - canal) / 8.5) ** 2 < 1
                    and structure[k, j, i] != IN_VERTEBRA and tissue[k, j, i] != DENSE
                ):  # fmt: skip
                    tissue[k, j, i] = FAT  # in the foramina
