"""Kernels that grow trees through a cloud of end points and paint them, compiled by numba. Points (L, P, S) in mm."""

import math
from typing import Any

import numpy as np

from ctacal.arrays import Floats
from ctacal.simulate.anatomy.compiled import compiled, span
from ctacal.simulate.anatomy.structures import Structure
from ctacal.simulate.materials import Tissue

LUNG, BLOOD = int(Tissue.LUNG), int(Tissue.BLOOD)
DENSE, DENSER = int(Tissue.LUNG_DENSE), int(Tissue.LUNG_DENSER)
IN_LUNG_VESSEL = int(Structure.LUNG_VESSEL)

MURRAY = 3.25
"""Exponent of the radii: the daughters' radii to this power add up to the parent's. 3 in Murray CD, PNAS
1926;12:207-214; larger here, so that squares of 6 mm vary by some 20 HU as in two real CTs (own measurement)."""

LEAST_MM = 0.3
"""Radius of the last branches (own choice)."""


@compiled
def long_axis(cloud: Any) -> Any:
    """Return the unit vector (3,) of a cloud's longest axis, by power iteration."""
    n = cloud.shape[0]
    mean = np.zeros(3)
    for a in range(3):
        mean[a] = cloud[:, a].mean()
    spread = np.zeros((3, 3))
    for p in range(n):
        for a in range(3):
            for b in range(3):
                spread[a, b] += (cloud[p, a] - mean[a]) * (cloud[p, b] - mean[b])
    axis = np.array([0.5, 0.6, 0.7])
    for _ in range(12):
        axis = spread @ axis + 1e-9
        axis /= math.sqrt((axis**2).sum())
    return axis


@compiled
def branches(root: Any, radius_mm: float, targets: Any, chances: Any, murray: float, least_mm: float) -> Any:
    """Return the branches (n, 11) of a tree: start, end, bend, radius at the start and at the end.

    Reorders ``targets``. ``chances``: (2 x targets, 8) random numbers, standard normal in the first six columns,
    uniform in the last two.
    """
    n = targets.shape[0]
    rows = np.zeros((2 * n, 11))
    starts = np.zeros((2 * n, 4))
    ranges = np.zeros((2 * n, 2), np.int64)
    starts[0, :3], starts[0, 3] = root, radius_mm
    ranges[0, 1] = n
    waiting, count = 1, 0
    while waiting > 0:
        waiting -= 1
        first, last = ranges[waiting]
        start, radius = starts[waiting, :3].copy(), starts[waiting, 3]
        cloud, chance = targets[first:last], chances[count]
        alone = last - first == 1
        share = 1.0 if alone else 0.30 + 0.18 * chance[6]
        end = start.copy()
        for a in range(3):
            end[a] += share * (cloud[:, a].mean() - start[a]) + (0.0 if alone else 0.8 * chance[a])
        length = math.sqrt(((end - start) ** 2).sum())
        rows[count, :3], rows[count, 3:6] = start, end
        rows[count, 6:9] = 0.06 * length * chance[3:6]
        rows[count, 9], rows[count, 10] = radius, least_mm if alone else radius
        count += 1
        if alone:
            continue
        axis = long_axis(cloud)
        order = np.argsort(cloud @ axis)
        targets[first:last] = cloud[order]
        cut = first + min(last - first - 1, max(1, int((last - first) * (0.32 + 0.36 * chance[7]) + 0.5)))
        for low, high in ((first, cut), (cut, last)):
            starts[waiting, :3] = end
            starts[waiting, 3] = max(least_mm, radius * ((high - low) / (last - first)) ** (1 / murray))
            ranges[waiting, 0], ranges[waiting, 1] = low, high
            waiting += 1
    return rows[:count]


@compiled
def balls_of(rows: Any) -> Any:
    """Return balls (n, 4), centres and radii, along branches, close enough to leave no gaps."""
    total = 0
    counts = np.zeros(rows.shape[0], np.int64)
    for n in range(rows.shape[0]):
        length = math.sqrt(((rows[n, 3:6] - rows[n, :3]) ** 2).sum())
        counts[n] = max(2, int(length / max(0.6, 0.6 * rows[n, 10])) + 1)
        total += counts[n]
    balls = np.zeros((total, 4))
    at = 0
    for n in range(rows.shape[0]):
        for s in range(counts[n]):
            share = s / (counts[n] - 1)
            for a in range(3):
                along = rows[n, a] + share * (rows[n, 3 + a] - rows[n, a])
                balls[at, a] = along + math.sin(math.pi * share) * rows[n, 6 + a]
            balls[at, 3] = rows[n, 9] + share * (rows[n, 10] - rows[n, 9])
            at += 1
    return balls


def grown_tree(root: Floats, radius_mm: float, targets: Floats, rng: np.random.Generator) -> Floats:
    """Return the balls (n, 4), centres and radii in mm, of a tree from ``root`` to all targets (n, 3)."""
    n = len(targets)
    chances = np.hstack([rng.standard_normal((2 * n, 6)), rng.random((2 * n, 2))])
    return np.asarray(balls_of(branches(root, radius_mm, targets.copy(), chances, MURRAY, LEAST_MM)))


@compiled
def takes_vessels(structure: int) -> bool:
    """Whether vessels are painted into this structure: chest wall, arm, lung or another vessel, but no later one."""
    return structure <= IN_LUNG_VESSEL


@compiled
def stamp_vessels(tissue: Any, structure: Any, zs: Any, ys: Any, xs: Any, balls: Any, least_mm: float) -> None:
    """Paint balls of blood over lung; those thinner than ``least_mm`` get that radius and a lower density."""
    for n in range(balls.shape[0]):
        cx, cy, cz, radius = balls[n]
        r = max(radius, least_mm)
        share = (radius / r) ** 2
        value = BLOOD if share > 0.7 else (DENSER if share > 0.32 else DENSE)
        k0, k1 = span(zs, cz - r, cz + r)
        j0, j1 = span(ys, cy - r, cy + r)
        i0, i1 = span(xs, cx - r, cx + r)
        for k in range(k0, k1):
            for j in range(j0, j1):
                rest = r * r - (zs[k] - cz) ** 2 - (ys[j] - cy) ** 2
                for i in range(i0, i1):
                    held = tissue[k, j, i]
                    if (xs[i] - cx) ** 2 >= rest or (held == DENSER and value == DENSE):
                        continue
                    if held in (LUNG, DENSE, DENSER) and takes_vessels(structure[k, j, i]):
                        tissue[k, j, i], structure[k, j, i] = value, IN_LUNG_VESSEL
