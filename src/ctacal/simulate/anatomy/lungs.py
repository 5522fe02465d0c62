"""Trees of arteries, veins and bronchi in the lungs, and nodules and scars in some patients.

Trees grow by repeatedly splitting a cloud of end points; each branch heads for the centre of its cloud (after Tawhai MH
et al., Ann Biomed Eng 2000;28:793-802). Radii follow a law like Murray's. Numbers: own choice.
"""

from functools import lru_cache

import numpy as np

from ctacal.arrays import Floats
from ctacal.simulate.anatomy.abdomen import dome_at_mm
from ctacal.simulate.anatomy.canvas import Canvas
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.heart import Heart
from ctacal.simulate.anatomy.lung_kernels import grown_tree, stamp_vessels
from ctacal.simulate.anatomy.structures import Points, Structure
from ctacal.simulate.anatomy.vessels import Courses
from ctacal.simulate.materials import Tissue
from ctacal.simulate.streams import Stream, generator

END_POINTS = 6000
"""Number of end points of each vessel tree in each lung."""

SEEN_MM = 0.62
"""Radius of the thinnest vessels that are painted with the density of blood."""

Trees = tuple[tuple[Floats, ...], tuple[Floats, ...]]


def _end_points(chest: Chest, side: int, n: int, rng: np.random.Generator) -> Points:
    """Return random points in one lung (side -1: right)."""
    patient, found = chest.patient, np.zeros((0, 3))
    low = np.array([14.0, -patient.chest_half_depth_mm, -200 * chest.scale])
    high = np.array([patient.chest_half_width_mm, patient.chest_half_depth_mm, 104 * chest.scale])
    while len(found) < n:
        points = rng.uniform(low, high, (4 * n, 3)) * (side, 1, 1)
        angle = np.rad2deg(np.arctan2(points[:, 0], -points[:, 1]))
        inside = np.hypot(points[:, 0], points[:, 1]) < chest.cavity_mm(points[:, 2], angle) - 4
        points = points[inside]
        found = np.vstack([found, points[points[:, 2] > dome_at_mm(chest, points[:, 0], points[:, 1]) + 4]])
    return found[:n]


@lru_cache(maxsize=2)
def lung_trees(chest: Chest) -> Trees:
    """Return the balls of the vessels and of the bronchi; cached for the other phases."""
    courses = Courses.of(chest, Heart.of(chest))
    rng = generator(chest.patient.seed, Stream.LUNG_TREES)
    arteries = [path for path, _, structure in courses.others if structure is Structure.PULMONARY_ARTERY][1:]
    veins = [path for path, _, structure in courses.others if structure is Structure.PULMONARY_VEIN]
    vessels, bronchi = [], []
    for index, side in enumerate((-1, 1)):
        ends = _end_points(chest, side, END_POINTS, rng)
        upper = ends[:, 2] > -40
        vessels.append(grown_tree(arteries[index][-1], 7.5, ends, rng))
        for vein, part in enumerate((upper, ~upper)):
            vessels.append(grown_tree(veins[2 * index + vein][-1], 6.0, ends[part] + rng.normal(0, 6, 3), rng))
        bronchi.append(grown_tree(courses.bronchi[index][-1], 4.8, ends[:: END_POINTS // 60], rng))
    return tuple(vessels), tuple(bronchi)


def paint_lung_trees(canvas: Canvas, chest: Chest) -> None:
    """Paint arteries and veins, even those thinner than a voxel, and bronchi with walls near the hilum."""
    vessels, bronchi = lung_trees(chest)
    for balls in vessels:
        stamp_vessels(canvas.tissue, canvas.structure, *canvas.axes, balls, SEEN_MM)
    for balls in bronchi:
        centres, radii = balls[balls[:, 3] > 1.0, :3], balls[balls[:, 3] > 1.0, 3]
        canvas.tube(centres, radii * 1.1 + 0.7, Tissue.SOFT, Structure.AIRWAY, over=[Tissue.LUNG])
        over = [Tissue.LUNG, Tissue.SOFT, Tissue.BLOOD]
        within = [Structure.LUNG, Structure.AIRWAY, Structure.LUNG_VESSEL, Structure.MEDIASTINUM]
        canvas.tube(centres, radii, Tissue.AIR, Structure.AIRWAY, over=over, within=within)
    _paint_scars(canvas, chest)


def _paint_scars(canvas: Canvas, chest: Chest) -> None:
    """Paint a few nodules, and bands that touch the pleura, in a third of patients."""
    rng = generator(chest.patient.seed, Stream.LUNG_SCARS)
    if rng.random() > 0.33:
        return
    at = np.vstack([_end_points(chest, side, 4, rng) for side in (-1, 1)])
    nodules, bands = at[: rng.integers(0, 4)], at[4 : 4 + rng.integers(0, 4)]
    lung = [Tissue.LUNG]
    if len(nodules):
        sizes = rng.uniform(1.4, 4.5, (len(nodules), 1)) * rng.uniform(0.8, 1.2, (len(nodules), 3))
        canvas.ellipsoids(nodules, sizes, Tissue.SOFT, Structure.LUNG, over=lung, warp=0.2)
    if len(bands):
        turn = np.linalg.qr(rng.normal(size=(len(bands), 3, 3)))[0]
        sizes = rng.uniform((0.7, 4, 8), (1.2, 9, 22), (len(bands), 3))
        canvas.ellipsoids(bands, sizes, Tissue.SOFT, Structure.LUNG, axes=turn, over=lung, warp=0.25)
