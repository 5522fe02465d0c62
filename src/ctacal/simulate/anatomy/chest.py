"""The chest's shape: cavity, ribs, muscle, fat and skin as radii about the patient's long axis; breasts and arms.

Heights are those of a patient of 172 cm, z = 0 at the carina, scaled by ``Chest.scale``. All figures: own choice, set
beside two real CTs (a slim man, a woman with her arms up).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctacal.simulate.anatomy.canvas import Canvas, Floats, curve
from ctacal.simulate.anatomy.compiled import fill_layers
from ctacal.simulate.anatomy.description import Patient
from ctacal.simulate.anatomy.structures import Structure
from ctacal.simulate.materials import Tissue

ANGLES = 360
"""Directions about the long axis; 0 is the front, 90 the left."""

_CAVITY_Z = (-330, -250, -180, -120, -60, 0, 40, 70, 90, 104, 112)
_CAVITY_WIDTH = (0.90, 0.93, 0.97, 1.0, 0.99, 0.93, 0.80, 0.60, 0.40, 0.17, 0.02)
_CAVITY_FRONT = (0.86, 0.95, 1.0, 1.0, 0.97, 0.85, 0.66, 0.42, 0.24, 0.08, 0.02)
_CAVITY_BACK = (0.78, 0.86, 0.95, 1.0, 1.02, 1.0, 0.90, 0.72, 0.52, 0.30, 0.04)

_NECK_Z = (40, 60, 80, 95, 110, 130, 160, 200, 270)
_NECK_WIDTH = (118, 138, 132, 105, 76, 58, 55, 57, 60)
_NECK_FRONT = (30, 55, 55, 46, 40, 38, 40, 48, 62)
_NECK_BACK = (70, 88, 90, 88, 82, 76, 74, 78, 84)


@dataclass(frozen=True)
class Chest:
    """The chest's measures at a breath (mm of the diaphragm's descent)."""

    patient: Patient
    breath_mm: float = 0.0

    @property
    def scale(self) -> float:
        """Of all heights."""
        return self.patient.height_cm / 172

    @property
    def dome_top_mm(self) -> float:
        """Height of the right dome."""
        return -112 * self.scale + self.patient.diaphragm_mm - self.breath_mm

    def spine_front_mm(self, z: float | Floats) -> Floats:
        """y of the front of the vertebral bodies: kyphosis of the chest, lordosis of the neck."""
        t = np.asarray(z, float) / self.scale
        bow = np.interp(t, (-300, -200, -60, 20, 80, 130, 250), (-12, -8, 4, 3, -8, -18, -22))
        rest = np.interp(t, (-300, -60, 60, 120), (0.30, 0.33, 0.31, 0.2))
        return np.asarray(rest * self.patient.chest_half_depth_mm + bow * (0.6 + self.patient.kyphosis))

    def spine_x_mm(self, z: float | Floats) -> Floats:
        """A slight bend to the side."""
        return np.asarray(self.patient.scoliosis_mm * np.sin(np.asarray(z, float) / self.scale / 70))

    def cavity_mm(self, z: float | Floats, angle_deg: float | Floats) -> Floats:
        """Radius of the chest cavity: inside of the ribs."""
        t = np.asarray(z, float) / self.scale
        patient = self.patient
        width = patient.chest_half_width_mm * np.interp(t, _CAVITY_Z, _CAVITY_WIDTH)
        deep = patient.chest_half_depth_mm + 0.15 * self.breath_mm
        front, back = deep * np.interp(t, _CAVITY_Z, _CAVITY_FRONT), deep * np.interp(t, _CAVITY_Z, _CAVITY_BACK)
        radius = _rounded(angle_deg, width, front, back, 2.35)
        apart = np.asarray(angle_deg, float) % 360 - 180
        return np.asarray(radius * (1 - 0.33 * self._gutter(t) * np.exp(-((apart / 17) ** 4))))

    def _gutter(self, t: Floats) -> Floats:
        """How far the spine and its muscles stand forward between both lungs: not in the neck."""
        return np.asarray(np.clip((105 - t) / 30, 0, 1))

    def layers(self, zs: Floats) -> Floats:
        """(slices, 6, angles): cavity, ribs, two fat planes between muscles, muscle, skin."""
        z, angle = zs[:, None], np.linspace(0.0, 360.0, ANGLES, endpoint=False)[None, :]
        t = z / self.scale
        cavity = self.cavity_mm(z, angle)
        ribs = cavity + 10 * np.clip((112 - t) / 20, 0, 1)
        wide, front, back = (np.interp(t, _NECK_Z, k) for k in (_NECK_WIDTH, _NECK_FRONT, _NECK_BACK))
        neck = _rounded(angle, wide, front, back, 2.2)
        dent = 1 - 0.33 * self._gutter(t) * np.exp(-(((angle - 180) / 17) ** 4))
        muscle = cavity / dent + (ribs - cavity) + self.patient.muscle_factor * _muscle_mm(t, angle)
        muscle = np.where(t > 40, np.maximum(muscle, neck * self.scale**0.5), muscle)
        skin = muscle + self._fat_mm(t, angle) + 2
        planes = [ribs + share * (muscle - ribs) for share in (0.42, 0.72)]
        return np.stack([cavity, ribs, *planes, muscle, skin], axis=1)

    def _fat_mm(self, t: Floats, angle: Floats) -> Floats:
        patient, rng = self.patient, np.random.default_rng([self.patient.seed, 2])
        turn = np.deg2rad(angle)
        fat = patient.fat_mm * (1 + patient.fat_front_share * np.cos(turn) * np.clip((40 - t) / 80, -0.5, 1))
        for order in range(2, 7):  # no two chests are alike
            sway = 0.11 * rng.normal() * np.sin(t / rng.uniform(40, 90) + rng.uniform(0, 6))
            fat = fat * (1 + sway * np.cos(order * turn + rng.uniform(0, 6)))
        belly = max(0.0, patient.bmi - 22) * 0.9 * np.clip((-110 - t) / 120, 0, 1) * np.clip(np.cos(turn), 0, 1) ** 0.7
        spine = 1 - 0.45 * _bump(angle, 180, 14) - 0.4 * _bump(angle, 0, 10)
        neck = np.interp(t, (60, 110, 160), (1, 0.5, 0.35))
        return np.asarray((fat * neck + belly) * spine)


def _rounded(angle_deg: float | Floats, width: Floats, front: Floats, back: Floats, power: float) -> Floats:
    turn = np.deg2rad(np.asarray(angle_deg, float))
    depth = np.where(np.cos(turn) > 0, front, back)
    level = (np.abs(np.sin(turn)) / np.maximum(width, 1)) ** power
    level = level + (np.abs(np.cos(turn)) / np.maximum(depth, 1)) ** power
    return np.asarray(level ** (-1 / power))


def _bump(angle: Floats, centre: float, width: float) -> Floats:
    apart = (angle - centre + 180) % 360 - 180
    return np.asarray(np.exp(-0.5 * (apart / width) ** 2))


def _both_sides(angle: Floats, centre: float, width: float) -> Floats:
    return _bump(angle, centre, width) + _bump(angle, -centre, width)


def _muscle_mm(t: Floats, angle: Floats) -> Floats:
    """Thickness outside of the ribs: pectorals, serratus and latissimus, shoulder blade region, erector spinae."""

    def between(low: float, high: float, soft: float) -> Floats:
        return np.asarray(np.clip((t - low) / soft, 0, 1) * np.clip((high - t) / soft, 0, 1))

    thick = 3 + 4 * _both_sides(angle, 70, 25)
    thick = thick + 17 * between(-70, 75, 60) * _both_sides(angle, 42, 19)
    thick = thick + 9 * between(-200, 60, 50) * _both_sides(angle, 100, 22)
    thick = thick + 27 * between(-75, 110, 55) * _both_sides(angle, 126, 21)
    thick = thick + 15 * between(-400, 95, 30) * _both_sides(angle, 163, 9)
    thick = thick + 8 * between(-400, 95, 30) * _both_sides(angle, 146, 12) + 10 * _bump(angle, 180, 10)
    return np.asarray(thick - 2 * _bump(angle, 0, 12))


def paint_trunk(canvas: Canvas, chest: Chest) -> None:
    """Skin, fat, muscle, the cavity filled with lung, and the breasts."""
    radii = np.ascontiguousarray(chest.layers(canvas.zs))
    coarse, fine = canvas.coarse, canvas.fine
    fill_layers(
        canvas.tissue, canvas.structure, *canvas.axes, radii,
        coarse.values, coarse.step_mm, fine.values, fine.step_mm, coarse.origin,
    )  # fmt: skip
    _paint_breasts(canvas, chest)


def _paint_breasts(canvas: Canvas, chest: Chest) -> None:
    radius = chest.patient.breast_mm
    if not radius:
        return
    z = -70 * chest.scale - 0.2 * radius
    for side in (-1, 1):
        angle = 48.0 * side
        reach = float(chest.layers(np.array([z]))[0, 4, int(angle % 360)]) + 0.05 * radius
        turn = np.deg2rad(angle)
        centre = np.array([reach * np.sin(turn), -reach * np.cos(turn), z])
        over = [Tissue.AIR, Tissue.SKIN]
        for less, tissue in ((0.0, Tissue.SKIN), (1.8, Tissue.FAT)):
            size = np.array([1.35 * radius, 0.90 * radius, 1.35 * radius]) - less
            canvas.ellipsoids(centre, size, tissue, Structure.BREAST, over=over[: 1 + (less > 0)], warp=0.03)
        _paint_gland(canvas, centre, radius, chest.patient)


def _paint_gland(canvas: Canvas, centre: Floats, radius: float, patient: Patient) -> None:
    rng = np.random.default_rng([patient.seed, 3, int(centre[0] > 0)])
    n = int(70 * patient.breast_density) + 6
    where = centre + (0, -0.42 * radius, 0) + rng.normal(0, 0.30, (n, 3)) * radius * (1, 0.5, 1)
    sizes = rng.uniform(0.05, 0.17, (n, 3)) * radius
    canvas.ellipsoids(where, sizes, Tissue.SOFT, Structure.BREAST, over=[Tissue.FAT], warp=0.3)


def paint_arms(canvas: Canvas, chest: Chest) -> None:
    """Shoulders, upper arms raised or hanging, and their bone."""
    patient, scale = chest.patient, chest.scale
    width = patient.chest_half_width_mm
    joint = np.array([width + 22 + 0.5 * patient.fat_mm * (not patient.arms_up), 22.0, 78 * scale])
    if patient.arms_up:
        way = np.array([joint - [62, 2, 14], joint, joint + [8, -4, 60], joint + [0, -10, 210]])
    else:
        way = np.array([joint - [40, 0, -6], joint + [6, 0, 0], joint + [30, 4, -50], joint + [46, 0, -330]])
    size = 34 + 8 * patient.muscle_factor
    for side in (-1, 1):
        path = curve(way * (side, 1, 1), 4.0)
        grow = np.interp(np.linspace(0, 1, len(path)), (0, 0.15, 0.4, 1), (1.15, 1.3, 1.0, 0.85)) * size
        fat = 2 + 0.5 * patient.fat_mm
        body = [Tissue.AIR, Tissue.SKIN]
        canvas.tube(path, grow + fat + 1.8, Tissue.SKIN, Structure.ARM, over=[Tissue.AIR], warp=0.04)
        canvas.tube(path, grow + fat, Tissue.FAT, Structure.ARM, over=body, warp=0.04)
        canvas.tube(path, grow, Tissue.MUSCLE, Structure.ARM, over=[*body, Tissue.FAT], warp=0.06)
        _paint_humerus(canvas, path[len(path) // 8 :])


def _paint_humerus(canvas: Canvas, path: NDArray[np.float64]) -> None:
    fine = curve(path[:: max(1, len(path) // 12)], 1.5)
    along = np.linspace(0, 1, len(fine))
    radius = np.interp(along, (0, 0.05, 0.18, 0.3, 1), (18, 24, 17, 12.5, 11.5))
    shell = np.interp(along, (0, 0.15, 0.3), (1.2, 2, 4.0))
    canvas.tube(fine, radius, Tissue.BONE_CORTICAL, Structure.HUMERUS)
    head = along < 0.2
    canvas.tube(fine, radius - shell, Tissue.FAT, Structure.HUMERUS)
    canvas.tube(fine[head], (radius - shell)[head], Tissue.BONE_TRABECULAR, Structure.HUMERUS)
