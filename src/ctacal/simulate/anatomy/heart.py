"""``Heart``: four chambers with walls, valve planes, pericardium and the fat in it, at any cardiac phase.

Local coordinates (mm from the middle of the mitral ring at end-diastole): along the long axis to the apex, to the right
ventricle, and upwards across both. Relations between the parts were set beside the Visible Human female heart (HuBMAP
CCF reference organs, CC BY 4.0); sizes come from the patient.
"""

from dataclasses import dataclass

import numpy as np

from ctacal.simulate.anatomy.canvas import Canvas, Floats
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.heart_kernels import chamber_distance, outermost, paint_chambers
from ctacal.simulate.anatomy.structures import Points

BREATH_SHARE = 0.6
"""Of the diaphragm's way that the heart follows (Wang Y et al., Magn Reson Med 1995;33:713-719)."""

SYSTOLE = 0.36
"""Share of the cycle from end-diastole to end-systole at about 65 beats a minute (own choice, textbook timing)."""


def contraction(phase: float) -> float:
    """0 at end-diastole to 1 at end-systole: early filling, rest, the atrial kick at the end (own choice).

    >>> [round(contraction(phase), 2) for phase in (0.0, 0.36, 0.7, 1.0)]
    [0.0, 1.0, 0.15, 0.0]
    """
    phase %= 1.0
    if phase < SYSTOLE:
        return float(np.sin(np.pi / 2 * phase / SYSTOLE) ** 2)
    knots = ((SYSTOLE, 0.46, 0.58, 0.68, 0.85, 0.95, 1.0), (1.0, 0.75, 0.22, 0.15, 0.12, 0.02, 0.0))
    return float(np.interp(phase, *knots))


@dataclass(frozen=True, eq=False)
class Heart:
    """The heart's place, axes and sizes at one phase and breath."""

    origin: Floats
    """Middle of the mitral ring at end-diastole, (L, P, S) mm."""
    axes: Floats
    """Unit vectors of the local coordinates as rows."""
    shapes: Floats
    """(9, 15): the kernels' ellipsoids: centre, radii, axes as rows, in local mm."""
    motion: Floats
    """(5,): contraction, excursion of the mitral and of the tricuspid ring, share that the cavity narrows, length."""
    fat_mm: float
    scale: float

    @classmethod
    def of(cls, chest: Chest, phase: float = 0.0) -> "Heart":
        """The patient's heart at a cardiac phase (0: end-diastole)."""
        patient, size = chest.patient, chest.patient.heart_scale
        z = (-77 * chest.scale + 0.35 * patient.diaphragm_mm) - BREATH_SHARE * chest.breath_mm
        back = float(chest.spine_front_mm(z + 20)) - (20 + 22 * patient.la_scale * size + 12 * size)
        left, behind = patient.heart_shift_mm
        origin = np.array([21 * size + left, back + behind, z])
        axes = _axes(patient.axis_left_deg, patient.axis_down_deg, patient.axial_rotation_deg)
        narrowing = 1 - ((1 - patient.ejection_fraction) / 0.85) ** 0.5
        length = 84 * size * (patient.lv_diameter_mm / 49) ** 0.3
        excursions = (patient.mitral_excursion_mm, patient.tricuspid_excursion_mm)
        motion = np.array([contraction(phase), *excursions, max(narrowing, 0.05), length])
        return cls(origin, axes, _shapes(chest, axes, length), motion, patient.epicardial_fat_mm, size)

    def to_patient(self, local: Floats) -> Points:
        """(n, 3) positions in mm of local end-diastolic points, at this phase."""
        return np.asarray(self.origin + self._moved(np.atleast_2d(local)) @ self.axes)

    def to_local(self, offset_mm: Floats) -> Floats:
        """Local coordinates of (L, P, S) offsets from the mitral ring, without motion."""
        return np.asarray(np.asarray(offset_mm, float) @ self.axes.T)

    def _moved(self, local: Floats) -> Floats:
        squeeze, mitral, tricuspid, _, length = self.motion
        side = np.clip(local[:, 1] / 45, 0, 1)
        excursion = mitral + (tricuspid - mitral) * side * side * (3 - 2 * side)
        along = local[:, 0]
        fade = np.where(along > 0, np.clip(1 - along / length, 0, 1), np.clip(1 + along / 55, 0, 1))
        moved = local.copy()
        moved[:, 0] += squeeze * excursion * fade
        moved[:, 1:] *= 1 - 0.05 * squeeze * np.clip((along[:, None] + 15) / 30, 0, 1)
        return np.asarray(moved)

    def distance_mm(self, local: Floats) -> Floats:
        """Distance of end-diastolic points to the nearest chamber's outside, negative inside."""
        return np.array([chamber_distance(self.shapes, *point) for point in np.atleast_2d(local)])

    def surface_mm(self, start: Floats, direction: Floats, gap_mm: float) -> float:
        """How far from ``start`` the outermost point lies that is ``gap_mm`` outside of all chambers."""
        return float(outermost(self.shapes, start, np.asarray(direction, float), gap_mm))

    def paint(self, canvas: Canvas) -> None:
        """Chambers, fat and pericardium."""
        texture = canvas.coarse
        paint_chambers(
            canvas.tissue, canvas.structure, *canvas.axes, self.origin, self.axes, self.shapes, self.motion,
            self.fat_mm, texture.values, texture.step_mm, texture.origin,
        )  # fmt: skip


def _axes(left_deg: float, down_deg: float, rotation_deg: float) -> Floats:
    left, down, turn = np.deg2rad([left_deg, down_deg, rotation_deg])
    apex = np.array([np.cos(down) * np.sin(left), -np.cos(down) * np.cos(left), -np.sin(down)])
    right = np.array([-0.75, -0.62, -0.22])
    right -= apex * (apex @ right)
    right /= np.linalg.norm(right)
    up = np.cross(right, apex)
    up *= np.sign(up[2])
    return np.array([apex, np.cos(turn) * right + np.sin(turn) * up, np.cos(turn) * up - np.sin(turn) * right])


def _shapes(chest: Chest, axes: Floats, length: float) -> Floats:
    """LV outside and inside, RV, its outflow, right and left atrium, left and right appendage, aortic root."""
    patient, size = chest.patient, chest.patient.heart_scale
    inner, wall = patient.lv_diameter_mm / 2, patient.lv_wall_mm
    rv, ra, la = patient.rv_scale * size, patient.ra_scale * size, patient.la_scale * size
    upright = axes.T  # rows: the patient's axes in local coordinates
    local = np.eye(3)

    def at(offset: tuple[float, float, float]) -> Floats:
        return np.asarray(axes @ (np.array(offset) * size))

    lv = np.array([0.40 * length, 0, 0])
    outflow = _frame(at((-6, -44, 39)) - np.array([30 * size, 26 * size, 6 * size]))
    outside = inner + wall
    rows = (
        (lv, (0.60 * length + wall, outside, outside), local),
        (lv - [1, 0, 0], (0.60 * length, inner, inner), local),
        (np.array([31 * size, 0.50 * outside + 11 * rv, -4]), (52 * rv, 33 * rv, 42 * rv), local),
        ((at((-6, -44, 39)) + np.array([30, 26, 6]) * size) / 2, (33 * rv, 16 * rv, 17 * rv), outflow),
        (at((-46, -12, -6)), (28 * ra, 32 * ra, 38 * ra), upright),
        (at((-18, 12, 23)), (33 * la, 20 * la, 26 * la), upright),
        (at((12, -7, 29)), (11 * size, 17 * size, 12 * size), upright),
        (at((-40, -40, 16)), (14 * size, 17 * size, 15 * size), upright),
        (at((-16, -21, 26)), (15 * size, 15 * size, 24 * size), upright),
    )
    return np.array([np.concatenate([centre, radii, np.ravel(frame)]) for centre, radii, frame in rows])


def _frame(direction: Floats) -> Floats:
    """Three unit vectors as rows, the first along ``direction``."""
    first = direction / np.linalg.norm(direction)
    second = np.cross(first, (0.0, 0.0, 1.0))
    second /= np.linalg.norm(second)
    return np.array([first, second, np.cross(first, second)])
