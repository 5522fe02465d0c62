"""The chest wall: muscles in three layers over the ribs, fat between them, fascia, skin, and the breasts.

All numbers: own choice, compared with two real CTs (a slim man, a woman with her arms up).
"""

import numpy as np
from scipy import ndimage

from ctacal.arrays import Floats
from ctacal.simulate.anatomy.canvas import Canvas
from ctacal.simulate.anatomy.chest import ANGLES, BEHIND_STERNUM_MM, Chest, rounded
from ctacal.simulate.anatomy.structures import Structure
from ctacal.simulate.anatomy.wall_kernels import SKIN_EDGE, fill_gland, fill_layers
from ctacal.simulate.materials import Tissue
from ctacal.simulate.streams import Stream, generator

_NECK_Z = (22, 45, 65, 88, 100, 114, 132, 160, 200, 270)
_NECK_WIDTH = {
    True: (110, 158, 180, 178, 150, 96, 66, 56, 57, 60),
    False: (110, 150, 165, 150, 120, 84, 62, 55, 57, 60),
}
"""Half the width of neck and shoulders, with the arms up and down."""
_NECK_FRONT = (30, 55, 58, 50, 45, 40, 38, 40, 48, 62)
_NECK_BACK = (70, 84, 88, 88, 86, 80, 76, 74, 78, 84)


def wall_layers(chest: Chest, zs: Floats) -> Floats:
    """Return radii about the long axis (slices, 10, angles), from ``CAVITY_EDGE`` to ``SKIN_EDGE``."""
    z, angle = zs[:, None], np.linspace(0.0, 360.0, ANGLES, endpoint=False)[None, :]
    t = z / chest.scale
    cavity = chest.cavity_mm(z, angle)
    ribs = cavity + (9 + BEHIND_STERNUM_MM * _bump(angle, 0, 14)) * np.clip((112 - t) / 20, 0, 1)
    deep, gap, middle, shallow = _layers_mm(chest, t, angle)
    deep = ribs + deep + cavity / chest.dent(t, angle) - cavity
    middle_in = np.maximum(deep, _smooth(deep, 5)) + gap
    middle_out = middle_in + middle
    shallow_in = np.maximum(middle_out, _smooth(middle_out, 5)) + 0.8 * gap
    shallow_out = shallow_in + shallow
    neck = _neck_mm(chest, t, angle)
    muscle = np.maximum(np.where(shallow > 0, shallow_out, np.where(middle > 0, middle_out, deep)), neck)
    hull = muscle + 0.85 * np.clip((92 - t) / 20, 0, 1) * (_smooth(_hull_mm(_smooth(muscle, 5)), 8) - muscle)
    fat = _fat_mm(chest, t, angle)
    skin = np.maximum(hull, muscle) + fat + 2
    fascia = muscle + 0.55 * (skin - muscle) + 1.5 * np.sin(np.deg2rad(3 * angle) + t / 25)
    rows = [cavity, ribs, deep, middle_in, middle_out, shallow_in, shallow_out, muscle, fascia, skin]
    return np.ascontiguousarray(np.stack([np.broadcast_to(row, cavity.shape) for row in rows], axis=1))


def _hull_mm(radius: Floats) -> Floats:
    """Return the radius of each slice's convex hull: fat fills the hollows between muscles."""
    turn = np.deg2rad(np.arange(0, ANGLES, 3))
    apart = np.cos(turn[:, None] - turn[None, :])
    reach = np.max(radius[:, None, ::3] * apart, axis=2)  # of the tangent plane in each direction
    planes = np.where(apart > 0.2, 1 / np.maximum(apart, 0.2), np.inf)
    hull = np.min(reach[:, None, :] * planes, axis=2)
    return np.asarray(ndimage.zoom(np.append(hull, hull[:, :1], axis=1), (1, (ANGLES + 1) / (len(turn) + 1)), order=1))[
        :, :ANGLES
    ]


def scapula_edges_deg(chest: Chest, t: float | Floats) -> tuple[Floats, Floats]:
    """Return the directions of the shoulder blade's outer and inner border; raised arms turn it outwards."""
    if chest.patient.arms_up:
        outer, inner = (106, 101, 98, 98), (110, 122, 133, 137)
    else:
        outer, inner = (132, 118, 106, 104), (139, 147, 150, 148)
    heights = (-64, -25, 25, 80)
    return np.asarray(np.interp(t, heights, outer)), np.asarray(np.interp(t, heights, inner))


def _neck_mm(chest: Chest, t: Floats, angle: Floats) -> Floats:
    """Return the radius of neck and shoulders, which cover the layers from the height of the clavicles upwards."""
    size = chest.scale**0.5 * (0.9 + 0.1 * chest.patient.muscle_factor)
    broad = chest.patient.chest_half_width_mm / 130
    wide = np.interp(t, _NECK_Z, _NECK_WIDTH[chest.patient.arms_up])
    wide = wide * np.interp(t, (100, 130), (broad, 1))
    front, back = np.interp(t, _NECK_Z, _NECK_FRONT), np.interp(t, _NECK_Z, _NECK_BACK)
    return np.where(t > 22, rounded(angle, wide * size, front * size, back * size, 2.2), 0.0)


def _smooth(radius: Floats, width: float) -> Floats:
    return np.asarray(ndimage.gaussian_filter1d(radius, width, axis=1, mode="wrap"))


def _layers_mm(chest: Chest, t: Floats, angle: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the thickness of the deep muscles, of the fat over them, and of the middle and the shallow muscles."""
    patient, rng = chest.patient, generator(chest.patient.seed, Stream.MUSCLES)
    side = np.abs((angle + 180) % 360 - 180)
    strong = patient.muscle_factor * (1 + 0.05 * rng.normal() * np.sign(np.sin(np.deg2rad(angle))))
    low = t < -64 if patient.arms_up else t < -72

    def muscle(thick: float, heights: tuple[float, float, float], degrees: tuple[float, float, float]) -> Floats:
        """Return a lens-shaped muscle: (from, to, slope) along the axis and around it."""
        up = np.clip((t - heights[0]) / heights[2], 0, 1) * np.clip((heights[1] - t) / heights[2], 0, 1)
        round_ = np.clip((side - degrees[0]) / degrees[2], 0, 1) * np.clip((degrees[1] - side) / degrees[2], 0, 1)
        return np.asarray(thick * strong * np.sqrt(up * round_) * _sway(rng, t, angle, 0.09))

    outer, inner = scapula_edges_deg(chest, t)
    over_blade = np.clip((side - outer + 30) / 32, 0, 1) * np.clip((inner + 8 - side) / 9, 0, 1)
    over_blade = over_blade * np.clip((t + 80) / 30, 0, 1) * np.clip((100 - t) / 30, 0, 1)
    lift = (22 if patient.arms_up else 18) * np.interp(t, (-64, -30, 20, 90), (0.35, 0.7, 1, 0.9))
    subscapular = (5 + lift * np.clip((inner - side) / (inner - outer), 0, 0.85)) * over_blade
    serratus, rectus = muscle(5, (-140, 70, 40), (52, 126, 18)), muscle(9, (-500, -128, 25), (2, 32, 8))
    erector = muscle(11, (-500, 100, 20), (152, 179, 11)) + muscle(5, (-500, 40, 20), (140, 165, 12))
    pectoral_minor = muscle(8, (-15, 75, 25), (30, 64, 12))
    gap = (0.9 + 0.05 * patient.fat_mm) * _sway(rng, t, angle, 0.45) * np.clip((174 - side) / 40, 0.05, 1) + np.where(
        low, 0.0, 2.8
    ) * np.clip(over_blade, 0, 1)
    infraspinatus = (13 + 8 * patient.arms_up) * strong * np.sqrt(over_blade)
    middle = np.maximum(infraspinatus, muscle(5, (-40, 80, 20), (148, 174, 8)))
    middle = np.maximum(middle, muscle(12, (-88, 70, 70), (13, 68, 14)) + muscle(6, (-10, 75, 40), (20, 70, 14)))
    middle = np.maximum(middle, muscle(5.5, (-500, -100, 30), (33, 128, 20)))
    fold = muscle(15 if patient.arms_up else 11, (-108, 20, 60), (70, 128, 28))
    broad = muscle(5, (-280, 10, 30), (96, 156, 20))
    shallow = np.maximum(np.maximum(broad, fold), muscle(6, (-70, 500, 30), (150, 180, 12)) * (side < 179))
    parts = (serratus, rectus, erector, pectoral_minor, subscapular)
    deep = np.max(np.broadcast_arrays(*parts), axis=0)
    return deep, gap, np.where(middle > 1.2, middle, 0), np.where(shallow > 1.2, shallow, 0)


def _sway(rng: np.random.Generator, t: Floats, angle: Floats, size: float) -> Floats:
    """Return a factor around 1 that changes slowly along and around the chest, but is at least 0.2."""
    turn = np.deg2rad(angle)
    factor = np.ones(np.broadcast_shapes(t.shape, angle.shape))
    for order in (1, 3, 5, 9):
        factor = factor + size * rng.normal() * np.cos(order * turn + t / rng.uniform(25, 60) + rng.uniform(0, 6))
    return np.asarray(np.maximum(factor, 0.2))


def _fat_mm(chest: Chest, t: Floats, angle: Floats) -> Floats:
    patient, rng = chest.patient, generator(chest.patient.seed, Stream.SUBCUTANEOUS_FAT)
    turn = np.deg2rad(angle)
    fat = patient.fat_mm * (1 + patient.fat_front_share * np.cos(turn) * np.clip((40 - t) / 80, -0.5, 1))
    for order in range(2, 7):  # each chest is different
        sway = 0.11 * rng.normal() * np.sin(t / rng.uniform(40, 90) + rng.uniform(0, 6))
        fat = fat * (1 + sway * np.cos(order * turn + rng.uniform(0, 6)))
    belly = max(0.0, patient.bmi - 22) * 0.9 * np.clip((-110 - t) / 120, 0, 1) * np.clip(np.cos(turn), 0, 1) ** 0.7
    spine = 1 - 0.45 * _bump(angle, 180, 14) - 0.4 * _bump(angle, 0, 10)
    neck = np.interp(t, (60, 110, 160), (1, 0.5, 0.35))
    return np.asarray((fat * neck + belly) * spine)


def _bump(angle: Floats, centre: float, width: float) -> Floats:
    apart = (angle - centre + 180) % 360 - 180
    return np.asarray(np.exp(-0.5 * (apart / width) ** 2))


def paint_trunk(canvas: Canvas, chest: Chest) -> None:
    """Paint skin, fat, muscles, the cavity filled with lung, and the breasts."""
    patient = chest.patient
    age = np.clip((patient.age_years - 40) / 45, 0, 1)
    streaks = 2.7 - 0.7 * float(age) - 0.02 * (patient.bmi - 25)
    radii = wall_layers(chest, canvas.zs)
    coarse, fine = canvas.coarse, canvas.fine
    fill_layers(
        canvas.tissue, canvas.structure, *canvas.axes, radii, streaks,
        coarse.values, coarse.step_mm, fine.values, fine.step_mm, coarse.origin,
    )  # fmt: skip
    _paint_breasts(canvas, chest)


def _paint_breasts(canvas: Canvas, chest: Chest) -> None:
    patient, rng = chest.patient, generator(chest.patient.seed, Stream.BREASTS)
    for side in (-1, 1) if patient.breast_mm else ():
        radius = patient.breast_mm * rng.uniform(0.92, 1.08)
        z = (-62 - 0.2 * radius + 12 * patient.arms_up) * chest.scale + rng.normal(0, 4)
        angle = (47 + 3 * (not patient.arms_up) + rng.normal(0, 3)) * side
        reach = float(wall_layers(chest, np.array([z]))[0, SKIN_EDGE, int(angle % 360)]) - 0.30 * radius
        turn = np.deg2rad(angle)
        centre = np.array([reach * np.sin(turn), -reach * np.cos(turn), z])
        size = np.array([1.5, 0.74 - 0.10 * patient.arms_up, 1.38]) * radius
        lean = 0.45 * turn
        axes = np.array([[np.cos(lean), np.sin(lean), 0], [-np.sin(lean), np.cos(lean), 0], [0, 0, 1.0]])
        over = [Tissue.AIR, Tissue.SKIN]
        canvas.ellipsoids(centre, size, Tissue.SKIN, Structure.BREAST, axes=axes, over=over[:1], warp=0.05)
        canvas.ellipsoids(centre, size - 1.9, Tissue.FAT, Structure.BREAST, axes=axes, over=over, warp=0.05)
        nipple = centre - 0.95 * size[1] * axes[1]
        canvas.ellipsoids(nipple, (6, 5, 6), Tissue.SKIN, Structure.BREAST, over=[Tissue.AIR])
        gland = centre + (side * 0.12 * radius, -0.10 * radius, 0.1 * radius)
        coarse, fine = canvas.coarse, canvas.fine
        fill_gland(
            canvas.tissue, *canvas.axes, gland, size * (0.66, 0.82, 0.66), 1.25 - 1.9 * patient.breast_density,
            coarse.values, coarse.step_mm, fine.values, fine.step_mm, coarse.origin,
        )  # fmt: skip
