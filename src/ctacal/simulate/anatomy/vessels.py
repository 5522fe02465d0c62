"""Great vessels, trachea and oesophagus.

Courses and calibres: own choice, compared with the Visible Human female heart and two real CTs.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ctacal.arrays import Floats
from ctacal.simulate.anatomy.canvas import Canvas, curve
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.heart import Heart
from ctacal.simulate.anatomy.structures import Points, Structure
from ctacal.simulate.materials import Tissue
from ctacal.simulate.streams import Stream, generator

Vessel = tuple[Points, Floats, Structure]
"""Centre line, radius along it, and structure."""

WALL_MM = 2.0
"""Largest thickness of a vessel's wall."""

DISTENSION = 0.05
"""Share by which the ascending aorta's radius grows in systole (own choice; its area grows by 5 % in the old to 20 % in
the young: Redheuil A et al., Hypertension 2010;55:319-326)."""

_SOFT_PARTS = (Tissue.LUNG, Tissue.FAT, Tissue.SOFT, Tissue.BLOOD, Tissue.MUSCLE, Tissue.LIVER)


@dataclass(frozen=True, eq=False)
class Courses:
    """Centre lines of the large vessels, the airways and the oesophagus."""

    aorta: Points
    aorta_radius_mm: Floats
    others: tuple[Vessel, ...]
    trachea: Points
    bronchi: tuple[Points, Points]
    """Right and left main bronchus."""
    oesophagus: Points

    @classmethod
    def of(cls, chest: Chest, heart: Heart) -> "Courses":
        """Return the courses at the heart's phase and breath; airways and oesophagus do not beat."""
        rest = _courses_at_rest(chest)
        aorta, radius_mm = _beating_aorta(heart, rest.aorta, rest.aorta_radius_mm)
        others = tuple((heart.carried(path), radius, what) for path, radius, what in rest.others)
        return replace(rest, aorta=aorta, aorta_radius_mm=radius_mm, others=others)

    def vessels(self) -> tuple[Vessel, ...]:
        """Return the aorta and all other vessels."""
        return ((self.aorta, self.aorta_radius_mm, Structure.AORTA), *self.others)


@lru_cache(maxsize=4)
def _courses_at_rest(chest: Chest) -> Courses:
    """Return the courses at end-diastole; cached for the patient's other phases."""
    heart = Heart.of(chest)
    aorta, radius = _aorta(chest, heart)
    trachea, bronchi = _airways(chest)
    others = (*_arch_branches(chest, aorta), *_pulmonary(chest, heart), *_veins(chest, heart))
    return Courses(aorta, radius, others, trachea, bronchi, _oesophagus(chest))


def _rounded_knots(points: list[tuple[float, float, float]], start: Floats) -> Floats:
    return np.asarray(points) + start


def _aorta(chest: Chest, heart: Heart) -> tuple[Points, Floats]:
    patient, size, o = chest.patient, heart.scale, heart.origin
    wind, top = patient.aortic_tortuosity, (24 + 10 * patient.aortic_tortuosity) * chest.scale
    root = _rounded_knots([(-7, -13, 11), (-13, -19, 22), (-24, -25, 38), (-33, -24, 60)], np.zeros(3)) * size + o
    z_stop = max(root[-1, 2] + 8, -2 * chest.scale)
    spine = float(chest.spine_front_mm(0.0))
    knots = [
        *root,
        (root[-1, 0] + 3, root[-1, 1] + 6, z_stop + 6),
        (-8, spine - 38, top - 1),
        (10, spine - 20, top + 2),
    ]
    knots += [(27 + 4 * wind, spine + 3, top - 12)]
    for t in (-30, -70, -110, -150, -200, -250, -325):
        z = t * chest.scale
        x = np.interp(t, (-325, -200, -30), (8, 14, 30)) + 6 * wind * np.sin(t / 45)
        knots.append((float(x), float(chest.spine_front_mm(z)) + np.interp(t, (-200, -60), (-6, 4)), z))
    path = curve(knots, 2.0)
    along = np.append(0, np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1)))
    wide, narrow = patient.ascending_aorta_mm / 2, patient.descending_aorta_mm / 2
    stations = (0, 14, 34, 60, 130, 175, 400)
    radius = np.interp(
        along, stations, (12 * size, wide * 1.02, wide * 0.94, wide, 1.05 * narrow, narrow, 0.8 * narrow)
    )
    return path, radius


def _beating_aorta(heart: Heart, path: Points, radius: Floats) -> tuple[Points, Floats]:
    """Return the aorta with its root moved by the valve ring and its ascending part widened by ``DISTENSION``."""
    along = np.arange(len(path)) / max(1, int(np.argmax(path[:, 2])))
    rises = np.clip(2 - 2 * along, 0, 1)
    return heart.carried(path, rises), radius * (1 + DISTENSION * heart.contraction * rises)


def _arch_branches(chest: Chest, aorta: Points) -> list[Vessel]:
    top = aorta[int(np.argmax(aorta[:, 2]))]
    spine = float(chest.spine_front_mm(90.0 * chest.scale))
    s = chest.scale
    starts = (top + (-17, -13, 4), top + (-6, -3, 6), top + (5, 8, 4))
    ends = (
        [(-22, spine - 32, 62 * s), (-34, spine - 22, 92 * s), (-30, spine - 10, 180 * s)],
        [(20, spine - 30, 65 * s), (27, spine - 18, 100 * s), (30, spine - 10, 180 * s)],
        [(30, spine - 14, 62 * s), (42, spine - 8, 92 * s), (85, spine - 14, 98 * s)],
    )
    branches: list[Vessel] = []
    for start, end, radius in zip(starts, ends, (6.5, 4.0, 5.0), strict=True):
        path = curve([start, *end], 1.5)
        branches.append((path, np.linspace(radius, 3.4, len(path)), Structure.ARCH_BRANCH))
    return branches


def _pulmonary(chest: Chest, heart: Heart) -> list[Vessel]:
    size, o, wide = heart.scale, heart.origin, chest.patient.pulmonary_trunk_mm / 2

    def vessel(points: list[tuple[float, float, float]], radii: tuple[float, float], what: Structure) -> Vessel:
        path = curve(np.array(points) * size + o, 1.5)
        return path, np.linspace(*radii, len(path)), what

    artery, vein = Structure.PULMONARY_ARTERY, Structure.PULMONARY_VEIN
    return [
        vessel([(-6, -44, 37), (-1, -35, 49), (6, -17, 58), (18, 2, 60)], (wide, wide * 0.9), artery),
        vessel([(10, -9, 58), (-12, -3, 54), (-38, 4, 51), (-62, 10, 44), (-72, 14, 28)], (wide * 0.75, 6.5), artery),
        vessel([(12, -4, 60), (28, 14, 60), (40, 26, 50), (46, 30, 30)], (wide * 0.8, 7), artery),
        vessel([(-40, 12, 28), (-58, 4, 34), (-76, -4, 44)], (7, 5), vein),
        vessel([(-40, 20, 14), (-56, 28, 8), (-74, 34, -2)], (7, 5), vein),
        vessel([(8, 6, 34), (24, 4, 40), (42, -4, 50)], (7, 5), vein),
        vessel([(6, 18, 16), (22, 28, 8), (40, 34, -4)], (7, 5), vein),
    ]


def _veins(chest: Chest, heart: Heart) -> list[Vessel]:
    size, o, s = heart.scale, heart.origin, chest.scale
    superior, inferior = Structure.SUPERIOR_VENA_CAVA, Structure.INFERIOR_VENA_CAVA
    entry = o + np.array([-50, -8, 24]) * size
    front = entry[1] - 6
    cava = curve([entry, entry + (-1, -3, 25), (entry[0] + 2, front, 42 * s)], 1.5)
    right = curve([cava[-1], (entry[0] + 4, front, 62 * s), (-42, front + 16, 90 * s), (-40, front + 22, 180 * s)], 1.5)
    left = curve([cava[-1], (-8, front - 8, 50 * s), (26, front + 2, 62 * s), (44, front + 10, 90 * s)], 1.5)
    below = float(chest.spine_front_mm(-200 * s)) - 12
    floor = o + np.array([-42, 12, -30]) * size
    lower = curve([floor, floor + (2, 8, -25), (-24, below, -175 * s), (-20, below + 4, -325 * s)], 1.5)
    spine = chest.spine_front_mm
    rising = [(-9.0, float(spine(t * s)) - 4, t * s) for t in (-230, -160, -90, -30, 2)]
    arch = [(-17.0, float(spine(10 * s)) - 16, 13 * s), (-20.0, float(spine(10 * s)) - 34, 15 * s)]
    azygos = curve([*rising, *arch, (entry[0] + 4, front + 4, 14 * s)], 1.0)
    return [
        (cava, np.full(len(cava), 9.5 * size), superior),
        (right, np.linspace(8, 6, len(right)), superior),
        (left, np.linspace(7, 6, len(left)), superior),
        (lower, np.linspace(13, 10.5, len(lower)), inferior),
        (azygos, np.linspace(2.8, 4.6, len(azygos)), superior),
    ]


def _airways(chest: Chest) -> tuple[Points, tuple[Points, Points]]:
    s = chest.scale

    def behind(z: float, x: float, ahead: float) -> tuple[float, float, float]:
        return x, float(chest.spine_front_mm(z)) - ahead, z

    trachea = curve(
        [behind(260 * s, 0, 20), behind(110 * s, 0, 19), behind(50 * s, -2, 21), behind(2 * s, -1, 24)], 2.0
    )
    right = curve([trachea[-1], behind(-12 * s, -17, 23), behind(-26 * s, -34, 20), behind(-44 * s, -48, 16)], 1.0)
    left = curve([trachea[-1], behind(-13 * s, 17, 23), behind(-26 * s, 36, 18), behind(-44 * s, 54, 10)], 1.0)
    return trachea, (right, left)


def _oesophagus(chest: Chest) -> Points:
    knots = []
    for t, x, ahead in (
        (220, 0, 9),
        (100, 3, 8),
        (40, 5, 9),
        (-20, 4, 9),
        (-70, 6, 11),
        (-110, 13, 20),
        (-135, 24, 34),
    ):
        z = t * chest.scale
        knots.append((x, float(chest.spine_front_mm(z)) - ahead, z))
    return curve(knots, 2.0)


def paint_arteries_and_veins(canvas: Canvas, courses: Courses) -> None:
    """Paint veins, then arteries, then the aorta; only the aortic root is painted over the heart's chambers."""
    for path, radius, structure in reversed(courses.others):
        canvas.tube(path, radius + 0.9, Tissue.SOFT, structure, over=(Tissue.LUNG, Tissue.FAT, Tissue.MUSCLE))
        canvas.tube(path, radius, Tissue.BLOOD, structure, over=_SOFT_PARTS, warp=0.05)
    over = (*_SOFT_PARTS, Tissue.MYOCARDIUM)
    path, radius = courses.aorta[::2], courses.aorta_radius_mm[::2]  # every 4 mm: enough for so wide a tube
    canvas.tube(path, radius + 1.5, Tissue.SOFT, Structure.AORTA, over=over)
    canvas.tube(path, radius, Tissue.BLOOD, Structure.AORTA, over=over)


def paint_tubes_of_air(canvas: Canvas, courses: Courses) -> None:
    """Paint trachea and main bronchi with their walls, and the oesophagus with some air."""
    rng = np.random.default_rng(abs(int(courses.oesophagus.sum() * 100)))
    sizes = np.array([8.0, 5.5, 4.0])
    canvas.ellipsoids(courses.oesophagus, sizes, Tissue.SOFT, Structure.OESOPHAGUS, over=_SOFT_PARTS, warp=0.15)
    filled = courses.oesophagus[rng.random(len(courses.oesophagus)) < 0.3]
    canvas.ellipsoids(filled, (3.0, 1.6, 3.0), Tissue.AIR, Structure.OESOPHAGUS, over=[Tissue.SOFT])
    soft = (*_SOFT_PARTS, Tissue.AIR)
    tubes = [(courses.trachea, np.full(len(courses.trachea), 8.5))]
    tubes += [(path, np.linspace(wide, 4.8, len(path))) for path, wide in zip(courses.bronchi, (7.0, 6.3), strict=True)]
    for path, radius in tubes:
        canvas.tube(path, radius + 1.6, Tissue.SOFT, Structure.AIRWAY, over=_SOFT_PARTS, warp=0.04)
    for path, radius in tubes:
        canvas.tube(path, radius, Tissue.AIR, Structure.AIRWAY, over=soft, warp=0.04)


def paint_nodes(canvas: Canvas, chest: Chest, courses: Courses) -> None:
    """Paint small lymph nodes beside trachea, bronchi and great vessels, in the fat only."""
    rng = generator(chest.patient.seed, Stream.LYMPH_NODES)
    lines = np.vstack([courses.trachea[-30:], *courses.bronchi])
    at = lines[rng.integers(0, len(lines), 26)] + rng.normal(0, 11, (26, 3)) * (1, 1, 0.7)
    canvas.ellipsoids(
        at, rng.uniform(1.6, 5.0, (26, 3)), Tissue.SOFT, Structure.LYMPH_NODE, within=[Structure.MEDIASTINUM], warp=0.15
    )
