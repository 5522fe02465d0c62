"""Painting kernels, compiled by numba. Maps are (slices, rows, columns); points are (L, P, S) in mm.

In all kernels, constants such as ``FAT`` are values of ``Tissue``, and those such as ``IN_LUNG`` are values of
``Structure``: plain integers, because numba compiles these into the machine code.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from ctacal.simulate.anatomy.structures import Structure
from ctacal.simulate.materials import Tissue

FAT, MUSCLE = int(Tissue.FAT), int(Tissue.MUSCLE)
IN_LUNG, IN_DIAPHRAGM, IN_ABDOMEN = int(Structure.LUNG), int(Structure.DIAPHRAGM), int(Structure.ABDOMEN)

DIAPHRAGM_MM = 3.0
"""Thickness of the diaphragm (own choice)."""

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
Map = NDArray[np.uint8]


def compiled(function: Kernel) -> Kernel:
    """Compile a function; the machine code is cached on disk."""
    compiler: Any = numba.njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
    return cast(Kernel, compiler(function))


def compiled_parallel(function: Kernel) -> Kernel:
    """``compiled``, with the slices of a ``numba.prange`` divided among the cores, which never write the same voxel."""
    compiler: Any = numba.njit(cache=True, fastmath=True, parallel=True, nogil=True, error_model="numpy")
    return cast(Kernel, compiler(function))


@compiled
def sampled(field: Any, step_mm: float, origin: Any, x: float, y: float, z: float) -> float:
    """Return the value of a field (z, y, x) by trilinear interpolation; beyond its edges it is constant."""
    u = min(max((x - origin[0]) / step_mm, 0.0), field.shape[2] - 1.001)
    v = min(max((y - origin[1]) / step_mm, 0.0), field.shape[1] - 1.001)
    w = min(max((z - origin[2]) / step_mm, 0.0), field.shape[0] - 1.001)
    i, j, k = int(u), int(v), int(w)
    u, v, w = u - i, v - j, w - k
    low = (1 - v) * ((1 - u) * field[k, j, i] + u * field[k, j, i + 1])
    low += v * ((1 - u) * field[k, j + 1, i] + u * field[k, j + 1, i + 1])
    high = (1 - v) * ((1 - u) * field[k + 1, j, i] + u * field[k + 1, j, i + 1])
    high += v * ((1 - u) * field[k + 1, j + 1, i] + u * field[k + 1, j + 1, i + 1])
    return (1 - w) * low + w * high  # type: ignore[no-any-return]


@compiled
def span(axis: Any, low: float, high: float) -> tuple[int, int]:
    """Return the index range of an evenly spaced, rising axis that lies between two values."""
    step = axis[1] - axis[0] if axis.size > 1 else 1.0
    first = math.ceil((low - axis[0]) / step)
    last = math.floor((high - axis[0]) / step) + 1
    return max(first, 0), min(last, axis.size)


@compiled
def chord(inverse: Any, y: float, z: float, bound: float) -> tuple[float, float]:
    """Return where a row (y, z) enters and leaves an ellipsoid grown ``bound`` times.

    Both are x relative to its centre; (1, -1) if the row misses it.
    """
    square = half = level = 0.0
    for row in inverse:
        rest = row[1] * y + row[2] * z
        square += row[0] * row[0]
        half -= row[0] * rest
        level += rest * rest
    under = half * half - square * (level - bound * bound)
    if under < 0:
        return 1.0, -1.0
    reach = math.sqrt(under) / square + 1e-6
    return half / square - reach, half / square + reach


@compiled
def stamp(
    tissue: Any, structure: Any, zs: Any, ys: Any, xs: Any,
    centres: Any, inverse: Any, reach: Any, over: Any, within: Any, value: int, label: int,
    field: Any, step_mm: float, origin: Any, warp: float, flat: bool,
) -> None:  # fmt: skip
    """Paint ellipsoids; ``inverse`` maps offsets to the unit ball, ``reach`` is half the bounding box in mm.

    Only flagged tissues and structures (``CODES`` flags each) are overwritten. ``warp`` dents the surface by the field;
    ``flat`` flattens both ends of the third axis, as in a vertebral body.
    """
    for n in range(centres.shape[0]):
        cx, cy, cz = centres[n]
        m = inverse[n]
        grow = 1.0 + 1.5 * warp
        k0, k1 = span(zs, cz - reach[n, 2] * grow, cz + reach[n, 2] * grow)
        j0, j1 = span(ys, cy - reach[n, 1] * grow, cy + reach[n, 1] * grow)
        for k in range(k0, k1):
            z = zs[k] - cz
            for j in range(j0, j1):
                y = ys[j] - cy
                low, high = (-reach[n, 0] * grow, reach[n, 0] * grow) if flat else chord(m, y, z, grow)
                i0, i1 = span(xs, cx + low, cx + high)
                for i in range(i0, i1):
                    if not (over[tissue[k, j, i]] and within[structure[k, j, i]]):
                        continue
                    if tissue[k, j, i] == value and structure[k, j, i] == label:  # painted by the ball before
                        continue
                    x = xs[i] - cx
                    a = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z
                    b = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z
                    c = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z
                    c *= c
                    if flat:
                        c = c * c * c * c
                    level = a * a + b * b + c
                    bound = 1.0
                    if warp > 0:
                        if level > (1 + 1.5 * warp) ** 2:
                            continue
                        bound = 1.0 + warp * sampled(field, step_mm, origin, xs[i], ys[j], zs[k])
                        bound *= bound
                    if level < bound:
                        tissue[k, j, i] = value
                        structure[k, j, i] = label


@compiled_parallel
def fill_below(
    tissue: Any, structure: Any, zs: Any, ys: Any, xs: Any, dome_mm: Any,
    field: Any, step_mm: float, origin: Any,
) -> None:  # fmt: skip
    """Replace the lung below the diaphragm's height (rows, columns): first by its muscle, then by fat."""
    for k in numba.prange(zs.size):
        for j in range(ys.size):
            for i in range(xs.size):
                if structure[k, j, i] != IN_LUNG:
                    continue
                depth = dome_mm[j, i] - zs[k] + 1.2 * sampled(field, step_mm, origin, xs[i], ys[j], zs[k])
                if depth > DIAPHRAGM_MM:
                    tissue[k, j, i], structure[k, j, i] = FAT, IN_ABDOMEN
                elif depth > 0:
                    tissue[k, j, i], structure[k, j, i] = MUSCLE, IN_DIAPHRAGM


@compiled_parallel
def fill_where_low(
    tissue: Any, structure: Any, zs: Any, ys: Any, xs: Any,
    distance: Any, step_mm: float, origin: Any, only: int, value: int, label: int,
) -> None:  # fmt: skip
    """Paint over the structure ``only`` wherever a coarse distance map is negative."""
    for k in numba.prange(zs.size):
        for j in range(ys.size):
            for i in range(xs.size):
                if structure[k, j, i] == only and sampled(distance, step_mm, origin, xs[i], ys[j], zs[k]) < 0:
                    tissue[k, j, i], structure[k, j, i] = value, label


@compiled
def mark_balls(mask: Any, first: Any, step: Any, centres: Any, radii: Any) -> None:
    """Mark the voxels of a fine mask (z, y, x) whose centre lies in a ball; ``first`` and ``step`` are (z, y, x)."""
    for n in range(centres.shape[0]):
        r = radii[n]
        k0 = max(0, math.ceil((centres[n, 2] - r - first[0]) / step[0]))
        k1 = min(mask.shape[0], math.floor((centres[n, 2] + r - first[0]) / step[0]) + 1)
        j0 = max(0, math.ceil((centres[n, 1] - r - first[1]) / step[1]))
        j1 = min(mask.shape[1], math.floor((centres[n, 1] + r - first[1]) / step[1]) + 1)
        i0 = max(0, math.ceil((centres[n, 0] - r - first[2]) / step[2]))
        i1 = min(mask.shape[2], math.floor((centres[n, 0] + r - first[2]) / step[2]) + 1)
        for k in range(k0, k1):
            z = first[0] + k * step[0] - centres[n, 2]
            for j in range(j0, j1):
                y = first[1] + j * step[1] - centres[n, 1]
                rest = r * r - z * z - y * y
                for i in range(i0, i1):
                    x = first[2] + i * step[2] - centres[n, 0]
                    if x * x < rest:
                        mask[k, j, i] = True


@compiled
def count_marked(mask: Any, parts: Any, counts: Any) -> None:
    """Add to each voxel of ``counts`` the number of its ``parts`` (z, y, x) that are marked in the fine mask."""
    for k in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            row = counts[k // parts[0], j // parts[1]]
            for i in range(mask.shape[2]):
                if mask[k, j, i]:
                    row[i // parts[2]] += 1.0


@compiled
def stamp_balls(tissue: Any, zs: Any, ys: Any, xs: Any, centres: Any, radii: Any, value: int) -> None:
    """Paint balls, and always the voxel that contains a ball's centre."""
    for n in range(centres.shape[0]):
        x, y, z = centres[n]
        k0, k1 = span(zs, z - radii[n], z + radii[n])
        j0, j1 = span(ys, y - radii[n], y + radii[n])
        i0, i1 = span(xs, x - radii[n], x + radii[n])
        for k in range(k0, k1):
            for j in range(j0, j1):
                for i in range(i0, i1):
                    if (zs[k] - z) ** 2 + (ys[j] - y) ** 2 + (xs[i] - x) ** 2 < radii[n] ** 2:
                        tissue[k, j, i] = value
        k = round((z - zs[0]) / (zs[-1] - zs[0]) * (zs.size - 1)) if zs.size > 1 else 0
        j, i = round((y - ys[0]) / (ys[1] - ys[0])), round((x - xs[0]) / (xs[1] - xs[0]))
        if 0 <= k < zs.size and 0 <= j < ys.size and 0 <= i < xs.size:
            tissue[k, j, i] = value


@compiled
def lay_cloth(tissue: Any, ys: Any, height: Any, half: Any, front: Any, over: int, value: int) -> None:
    """Paint over one tissue within ``half`` mm of a height, but only in front of the body's front (slices, columns)."""
    for k in range(tissue.shape[0]):
        for i in range(tissue.shape[2]):
            j0, j1 = span(ys, height[k, i] - half[k, i], min(height[k, i] + half[k, i], front[k, i]))
            for j in range(j0, j1):
                if tissue[k, j, i] == over:
                    tissue[k, j, i] = value
