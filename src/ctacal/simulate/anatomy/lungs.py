"""The trees of arteries, veins and bronchi in the lungs, and the fissures.

Trees fill the lung by splitting a cloud of end points again and again, each branch heading for the middle of its cloud
(after Tawhai MH et al., Ann Biomed Eng 2000;28:793-802); radii follow Murray's law. Numbers: own choice.
"""

import numpy as np

from ctacal.simulate.anatomy.abdomen import dome_mm
from ctacal.simulate.anatomy.canvas import Canvas, Floats
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.structures import Points, Structure
from ctacal.simulate.anatomy.vessels import Courses
from ctacal.simulate.materials import Tissue

END_POINTS = 700
"""Of each vessel tree in each lung."""

MURRAY = 2.7
"""Exponent: a branch's radius to this power is shared out among its daughters."""


def _end_points(chest: Chest, side: int, n: int, rng: np.random.Generator) -> Points:
    """Random points in one lung (side -1: right)."""
    patient, found = chest.patient, np.zeros((0, 3))
    low = np.array([14.0, -patient.chest_half_depth_mm, -200 * chest.scale])
    high = np.array([patient.chest_half_width_mm, patient.chest_half_depth_mm, 104 * chest.scale])
    while len(found) < n:
        points = rng.uniform(low, high, (4 * n, 3)) * (side, 1, 1)
        angle = np.rad2deg(np.arctan2(points[:, 0], -points[:, 1]))
        inside = np.hypot(points[:, 0], points[:, 1]) < chest.cavity_mm(points[:, 2], angle) - 4
        points = points[inside]
        heights = np.array([dome_mm(chest, np.array([y]), np.array([x]))[0, 0] for x, y, _ in points])
        found = np.vstack([found, points[points[:, 2] > heights + 4]])
    return found[:n]


def grown_tree(root: Floats, radius_mm: float, targets: Points, rng: np.random.Generator) -> tuple[Points, Floats]:
    """Balls (middles, radii) of a tree from ``root`` to all targets."""
    centres, radii = [], []
    stack = [(root, radius_mm, targets)]
    while stack:
        start, radius, cloud = stack.pop()
        share = 1.0 if len(cloud) == 1 else rng.uniform(0.30, 0.48)
        end = start + share * (cloud.mean(axis=0) - start) + rng.normal(0, 1.2, 3) * (len(cloud) > 1)
        length = float(np.linalg.norm(end - start))
        steps = np.linspace(0, 1, max(2, int(length / max(0.5, 0.6 * radius))))
        bend = rng.normal(0, 0.05 * length, 3)
        centres.append(start + steps[:, None] * (end - start) + np.sin(np.pi * steps)[:, None] * bend)
        radii.append(np.full(len(steps), radius) if len(cloud) > 1 else np.linspace(radius, 0.45, len(steps)))
        if len(cloud) > 1:
            for part in _split(cloud, rng):
                narrow = max(0.45, radius * (len(part) / len(cloud)) ** (1 / MURRAY))
                stack += [(end, narrow, part)]
    return np.vstack(centres), np.concatenate(radii)


def _split(cloud: Points, rng: np.random.Generator) -> tuple[Points, Points]:
    """Two parts of the cloud, cut across its longest direction, not always in half."""
    offset = cloud - cloud.mean(axis=0)
    along = offset @ np.linalg.svd(offset, full_matrices=False)[2][0]
    order = np.argsort(along)
    cut = min(len(cloud) - 1, max(1, round(len(cloud) * rng.uniform(0.35, 0.65))))
    return cloud[order[:cut]], cloud[order[cut:]]


def paint_lung_trees(canvas: Canvas, chest: Chest, courses: Courses) -> None:
    """Bronchi with walls near the hilum, arteries beside them, veins between."""
    rng = np.random.default_rng([chest.patient.seed, 9])
    lung = [Tissue.LUNG]
    arteries = [path for path, _, what in courses.others if what is Structure.PULMONARY_ARTERY][1:]
    veins = [path for path, _, what in courses.others if what is Structure.PULMONARY_VEIN]
    for index, side in enumerate((-1, 1)):
        ends = _end_points(chest, side, END_POINTS, rng)
        for root, radius, cloud in (
            (arteries[index][-1], 7.0, ends),
            (veins[2 * index][-1], 5.4, ends[ends[:, 2] > -40] + rng.normal(0, 7, 3)),
            (veins[2 * index + 1][-1], 5.4, ends[ends[:, 2] <= -40] + rng.normal(0, 7, 3)),
        ):
            centres, radii = grown_tree(root, radius, cloud, rng)
            canvas.tube(centres, radii, Tissue.BLOOD, Structure.LUNG_VESSEL, over=lung, within=[Structure.LUNG])
        centres, radii = grown_tree(courses.bronchi[index][-1], 4.8, ends[::12], rng)
        near = radii > 1.0
        canvas.tube(centres[near], radii[near] * 1.1 + 0.7, Tissue.SOFT, Structure.AIRWAY, over=lung)
        over = [Tissue.LUNG, Tissue.SOFT, Tissue.BLOOD]
        within = [Structure.LUNG, Structure.AIRWAY, Structure.LUNG_VESSEL, Structure.MEDIASTINUM]
        canvas.tube(centres[near], radii[near], Tissue.AIR, Structure.AIRWAY, over=over, within=within)


def paint_fissures(canvas: Canvas, chest: Chest) -> None:
    """The oblique fissures, thinner than a voxel: painted only where they cross near a voxel's middle."""
    for k, z in enumerate(canvas.zs):
        for side in (-1, 1):
            y = 8 - 0.95 * (z / chest.scale + 45 - 6 * side)
            columns = np.flatnonzero(canvas.xs * side > 15)
            bow = y + 9 * np.cos(canvas.xs[columns] / 31) + 0.02 * (np.abs(canvas.xs[columns]) - 70) ** 2 * 0.3
            at = (bow - canvas.ys[0]) / max(canvas.geometry.spacing_mm[1], 1e-6)
            rows = np.rint(at).astype(int)
            keep = (rows >= 0) & (rows < len(canvas.ys)) & (np.abs(at - rows) < 0.2)
            rows, columns = rows[keep], columns[keep]
            lung = canvas.tissue[k, rows, columns] == Tissue.LUNG
            canvas.tissue[k, rows[lung], columns[lung]] = Tissue.SOFT
