"""``Heart``: four chambers with walls, valve planes, pericardium and epicardial fat, at any cardiac phase.

Local coordinates (mm from the centre of the mitral ring at end-diastole): along the long axis to the apex, to the right
ventricle, and upwards across both. The proportions were compared with the Visible Human female heart (HuBMAP CCF
reference organs, CC BY 4.0); sizes come from the patient.

Volumes of 24 drawn patients (means, ml), beside those of healthy people (Petersen SE et al., J Cardiovasc Magn Reson
2017;19:18):

===================  ==================  ==================
Part                 Drawn (men, women)  Healthy
===================  ==================  ==================
LV                   165, 113            166, 124
RV                   173, 128            182, 130
LV wall              144, 95             98, 67
LA, largest          77, 59              71, 62
RA, largest          91, 72              93, 69
Epicardial fat       141, 128            100-130 (by CT)
===================  ==================  ==================

Drawn hearts have the thicker walls of patients. Epicardial fat is 16 and 19 % of the volume within the pericardium.

The ejection fraction is 61 % left and 47 % right; the whole heart loses 9 % of its volume in systole.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats
from ctacal.simulate.anatomy.canvas import Canvas
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.description import Patient
from ctacal.simulate.anatomy.heart_kernels import (
    BEHIND_BASE_MM,
    CHEST_FRONT,
    CONTRACTION,
    COUPLED_MM,
    INWARDS,
    INWARDS_RIGHT,
    LENGTH_MM,
    LV_OUTSIDE,
    RIGHT_ATRIUM,
    RIGHT_SIDE_MM,
    RV_BODY,
    RV_OUTFLOW,
    chamber_distance,
    coupling_at,
    displace_outline,
    ellipsoid_mm,
    fill_beside,
    map_chambers,
    mark_lv_wall,
    outermost,
    paint_chambers,
    reach_of,
)  # fmt: skip
from ctacal.simulate.anatomy.structures import Points

BREATH_SHARE = 0.6
"""Motion of the heart with breathing over that of the diaphragm (Wang Y et al., Magn Reson Med 1995;33:713-719)."""

SYSTOLE = 0.36
"""Share of the cycle from end-diastole to end-systole at about 65 beats a minute (own choice, textbook timing)."""


MAPS_STEP_MM = 2.5
MAPS_CORNER = np.array([-120.0, -120.0, -120.0])
"""Spacing and lowest corner of the distance maps in local coordinates (own choice)."""


ROOM_MM = 5.0
"""Smallest distance between the heart's muscle and the inside of sternum and ribs: pericardium and fat (own choice)."""

FLATTENED_MM = 10.0
"""Most that sternum and ribs flatten the heart; in a narrower chest it is displaced and smaller (own choice)."""

_TURNS = (np.arange(300) + 0.5) / 300
_DIRECTIONS = np.stack(
    [
        np.cos(971 * np.pi * _TURNS) * np.sqrt(1 - (1 - 2 * _TURNS) ** 2),
        np.sin(971 * np.pi * _TURNS) * np.sqrt(1 - (1 - 2 * _TURNS) ** 2),
        1 - 2 * _TURNS,
    ],
    axis=1,
)
"""300 unit vectors spread evenly over the sphere."""


def contraction(phase: float) -> float:
    """Return how contracted the heart is, from 0 at end-diastole to 1 at end-systole.

    Diastole has early filling, rest, and the atrial kick at its end (own choice).

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
    """The heart's place, axes and sizes at one phase and depth of breath."""

    origin: Floats
    """Centre of the mitral ring at end-diastole, (L, P, S) mm."""
    axes: Floats
    """Unit vectors of the local coordinates as rows."""
    shapes: Floats
    """(10, 15): ellipsoids from ``LV_OUTSIDE`` to ``CHEST_FRONT``: centre, radii, axes as rows, in local mm."""
    motion: Floats
    """(5,): from ``CONTRACTION`` to ``LENGTH_MM``: contraction, excursion of the mitral and of the tricuspid ring,
    share by which the cavity narrows, length."""
    fat_mm: float
    scale: float

    @classmethod
    def of(cls, chest: Chest, phase: float = 0.0) -> "Heart":
        """Return the patient's heart at a cardiac phase (0: end-diastole)."""
        return cls.crowded(chest, phase, _crowding(chest.patient))

    @classmethod
    def crowded(cls, chest: Chest, phase: float, crowding: float) -> "Heart":
        """Return the heart in a chest that leaves it this much room.

        ``crowding`` runs from -0.6 in a wide chest to 2 in a narrow one, where the heart lies further left and back and
        is smaller.
        """
        patient, size = chest.patient, chest.patient.heart_scale * (1 - 0.11 * crowding)
        z = (-77 * chest.scale + 0.35 * patient.diaphragm_mm) - BREATH_SHARE * chest.breath_mm
        back = float(chest.spine_front_mm(z + 20)) - (20 + 22 * patient.la_scale * size + 12 * size)
        left, behind = patient.heart_shift_mm
        origin = np.array([21 * size + left + 13 * crowding, back + behind + 5 * crowding, z])
        axes = _axes(patient.axis_left_deg + 15 * crowding, patient.axis_down_deg, patient.axial_rotation_deg)
        narrowing = 1 - ((1 - patient.ejection_fraction) / 0.85) ** 0.5
        length = 92 * size * (patient.lv_diameter_mm / 49) ** 0.3
        excursions = (patient.mitral_excursion_mm, patient.tricuspid_excursion_mm)
        motion = np.array([contraction(phase), *excursions, max(narrowing, 0.05), length])
        shapes = np.vstack([_shapes(patient, axes, length, size), _chest_front(chest, origin, axes)])
        return cls(origin, axes, shapes, motion, patient.epicardial_fat_mm, size)

    def front_mm(self, chest: Chest) -> float:
        """Return how far ventricles and right atrium would reach beyond the inside of the ribs, or minus their gap."""
        outer = self.shapes[[LV_OUTSIDE, RV_BODY, RV_OUTFLOW, RIGHT_ATRIUM]]
        local = [row[:3] + (_DIRECTIONS * row[3:6]) @ row[6:].reshape(3, 3) for row in outer]
        left, behind, z = (self.origin + np.vstack(local) @ self.axes).T
        out = np.hypot(left, behind) - chest.cavity_mm(z, np.rad2deg(np.arctan2(left, -behind)))
        return float(out[behind < 0].max())

    @property
    def contraction(self) -> float:
        """How contracted the heart is: 0 at end-diastole, 1 at end-systole."""
        return float(self.motion[CONTRACTION])

    @property
    def length_mm(self) -> float:
        """Length of the left ventricle."""
        return float(self.motion[LENGTH_MM])

    def to_patient(self, local: Floats) -> Points:
        """Return the (n, 3) positions in mm, at this phase, of local end-diastolic points."""
        return np.asarray(self.origin + self._moved(np.atleast_2d(local)) @ self.axes)

    def to_local(self, offset_mm: Floats) -> Floats:
        """Return local coordinates of (L, P, S) offsets from the mitral ring, without motion."""
        return np.asarray(np.asarray(offset_mm, float) @ self.axes.T)

    def _moved(self, local: Floats) -> Floats:
        squeeze, mitral, tricuspid, _, length = self.motion
        side = np.clip(local[:, 1] / RIGHT_SIDE_MM, 0, 1)
        side = side * side * (3 - 2 * side)
        excursion = mitral + (tricuspid - mitral) * side
        along = local[:, 0]
        fade = np.where(along > 0, np.clip(1 - along / length, 0, 1), np.clip(1 + along / BEHIND_BASE_MM, 0, 1))
        moved = local.copy()
        moved[:, 0] += squeeze * excursion * fade
        inwards = (INWARDS + INWARDS_RIGHT * side) * squeeze * np.clip((along + 15) / 30, 0, 1)
        moved[:, 1:] *= 1 - inwards[:, None]
        return np.asarray(moved)

    def carried(self, points: Points, most: float | Floats = 1.0) -> Points:
        """Return where (n, 3) end-diastolic points beside the heart lie at this phase; ``most`` limits the motion."""
        local = self.to_local(points - self.origin)
        share = np.minimum([coupling_at(self.shapes, *point) for point in local], most)
        return np.asarray(points + share[:, None] * (self.to_patient(local) - points))

    def reach_mm(self) -> Points:
        """Return a box (2, 3) that contains the heart with its fat, and everything that moves with it."""
        box = np.array([[np.inf] * 3, [-np.inf] * 3])
        margin_mm = max(COUPLED_MM, 2.7 * self.fat_mm) + MAPS_STEP_MM
        reach_of(self._maps(), MAPS_STEP_MM, MAPS_CORNER, self.origin, self.axes, margin_mm, box)
        return box

    def distance_mm(self, local: Floats) -> Floats:
        """Return the distance of end-diastolic points to the outside of the nearest chamber; negative inside."""
        return np.array([chamber_distance(self.shapes, *point) for point in np.atleast_2d(local)])

    def beyond_front_mm(self, local: Floats) -> Floats:
        """Return how much closer than ``ROOM_MM`` to sternum and ribs end-diastolic points lie; negative: further."""
        return np.array([ellipsoid_mm(self.shapes[CHEST_FRONT], *point) for point in np.atleast_2d(local)])

    def within_lv_wall(self, local: Floats) -> Floats:
        """Return those of the end-diastolic points that lie in the left ventricle's wall."""
        inside = np.zeros(len(local), np.bool_)
        mark_lv_wall(self.shapes, local, inside)
        return local[inside]

    def surface_mm(self, start: Floats, direction: Floats, gap_mm: float) -> float:
        """Return how far from ``start`` the outermost point lies that is ``gap_mm`` outside of all chambers."""
        return float(outermost(self.shapes, start, np.asarray(direction, float), gap_mm))

    def _maps(self) -> NDArray[np.float32]:
        return _distance_maps(self.shapes.tobytes())

    def paint(self, canvas: Canvas) -> None:
        """Paint chambers, fat and pericardium."""
        texture = canvas.coarse
        paint_chambers(
            canvas.tissue, canvas.structure, *canvas.axes, self.origin, self.axes, self.shapes, self.motion,
            self._maps(), MAPS_STEP_MM, MAPS_CORNER, self.fat_mm, texture.values, texture.step_mm, texture.origin,
        )  # fmt: skip

    def paint_fat_beside(self, canvas: Canvas, outline: NDArray[np.float32], corner: Floats, step_mm: float) -> None:
        """Paint mediastinal fat within an outline that moves with the heart."""
        displaced = np.empty_like(outline)
        displace_outline(
            outline, displaced, step_mm, corner, self.origin, self.axes, self.motion,
            self._maps(), MAPS_STEP_MM, MAPS_CORNER, self.reach_mm(),
        )  # fmt: skip
        fill_beside(canvas.tissue, canvas.structure, *canvas.axes, displaced, step_mm, corner)


@lru_cache(maxsize=2)
def _distance_maps(shapes: bytes) -> NDArray[np.float32]:
    """Return the maps (d, r, u, 4) of the distances to LV, RV, LA and RA; cached for the heart's other phases."""
    maps = np.empty((*np.round(-2 * MAPS_CORNER / MAPS_STEP_MM).astype(int), 4), np.float32)
    map_chambers(np.frombuffer(shapes).reshape(-1, 15), maps, MAPS_STEP_MM, MAPS_CORNER)
    return maps


@lru_cache(maxsize=4)
def _crowding(patient: Patient) -> float:
    """Return the smallest crowding at which the heart fits behind sternum and ribs, which flatten it."""
    chest = Chest(patient)
    steps = (0.1 * n for n in range(-6, 21))
    return next(
        (step for step in steps if Heart.crowded(chest, 0.0, step).front_mm(chest) < FLATTENED_MM - ROOM_MM), 2.0
    )


def _axes(left_deg: float, down_deg: float, rotation_deg: float) -> Floats:
    left, down, turn = np.deg2rad([left_deg, down_deg, rotation_deg])
    apex = np.array([np.cos(down) * np.sin(left), -np.cos(down) * np.cos(left), -np.sin(down)])
    right = np.array([-0.75, -0.62, -0.22])
    right -= apex * (apex @ right)
    right /= np.linalg.norm(right)
    up = np.cross(right, apex)
    up *= np.sign(up[2])
    return np.array([apex, np.cos(turn) * right + np.sin(turn) * up, np.cos(turn) * up - np.sin(turn) * right])


def _shapes(patient: Patient, axes: Floats, length: float, size: float) -> Floats:
    """Return the ellipsoids from ``LV_OUTSIDE`` to ``AORTIC_ROOT``, in their order (proportions: own choice)."""
    inner, wall = patient.lv_diameter_mm * (size / patient.heart_scale) / 2, patient.lv_wall_mm
    rv, ra, la = 1.10 * patient.rv_scale * size, 0.96 * patient.ra_scale * size, 1.06 * patient.la_scale * size
    upright = axes.T  # rows: the patient's axes in local coordinates
    local = np.eye(3)

    def at(offset: tuple[float, float, float]) -> Floats:
        return np.asarray(axes @ (np.array(offset) * size))

    lv = np.array([0.40 * length, 0, 0])
    outflow = _frame(at((-6, -44, 39)) - np.array([30 * size, 26 * size, 6 * size]))
    outside = inner + wall
    rows = (
        (lv, (0.60 * length + 0.6 * wall, outside, outside), local),
        (lv - [1, 0, 0], (0.60 * length, inner, inner), local),
        (np.array([31 * size, 0.50 * outside + 11 * rv, -4]), (52 * rv, 33 * rv, 42 * rv), local),
        ((at((-6, -44, 39)) + np.array([30, 26, 6]) * size) / 2, (33 * rv, 16 * rv, 17 * rv), outflow),
        (at((-46, -15, -9)), (28 * ra, 35 * ra, 40 * ra), upright),
        (at((-18, 12, 23)), (33 * la, 20 * la, 26 * la), upright),
        (at((12, -7, 29)), (11 * size, 17 * size, 12 * size), upright),
        (at((-40, -40, 16)), (14 * size, 17 * size, 15 * size), upright),
        (at((-16, -21, 26)), (15 * size, 15 * size, 24 * size), upright),
    )
    return np.array([np.concatenate([centre, radii, np.ravel(frame)]) for centre, radii, frame in rows])


def _chest_front(chest: Chest, origin: Floats, axes: Floats) -> Floats:
    """Return ``CHEST_FRONT``: the ellipsoid that fits the inside of sternum and ribs best, ``ROOM_MM`` smaller."""
    middle = np.array([0.0, 0.0, -135 * chest.scale])
    deep = float(chest.cavity_mm(middle[2], 0.0))
    radii = np.array([chest.patient.chest_half_width_mm, deep, 256 * chest.scale]) - ROOM_MM
    return np.concatenate([axes @ (middle - origin), radii, np.ravel(axes.T)])


def _frame(direction: Floats) -> Floats:
    """Return three orthogonal unit vectors as rows, the first along ``direction``."""
    first = direction / np.linalg.norm(direction)
    second = np.cross(first, (0.0, 0.0, 1.0))
    second /= np.linalg.norm(second)
    return np.array([first, second, np.cross(first, second)])
