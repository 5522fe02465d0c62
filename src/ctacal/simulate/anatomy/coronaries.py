"""The coronary tree, laid into the grooves of the patient's own heart.

The left main runs from the left sinus to the fork; LAD in the anterior, PDA in the inferior groove between the
ventricles; LCx and RCA in the groove between atria and ventricles. The grooves are found on the heart's surface, not
drawn. The LAD tapers to 1.9 mm and the others alike (Dodge 1992); lengths follow from the size of the heart.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ctacal.arrays import Floats
from ctacal.simulate.anatomy.canvas import Canvas, curve
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.description import Patient
from ctacal.simulate.anatomy.heart import ROOM_MM, Heart
from ctacal.simulate.anatomy.structures import CoronarySegment, Points, Structure
from ctacal.simulate.materials import Tissue
from ctacal.simulate.streams import Stream, generator

DEEPEST_MM = 24.0
"""Smallest distance of an artery from the centre of both valve rings (own choice)."""

GAP_MM = 1.2
"""Thickness of fat between an artery's wall and the muscle (own choice)."""


@dataclass(frozen=True, eq=False)
class _Course:
    """The course of an artery in the heart's local end-diastolic coordinates, and the diameters at its ends."""

    name: str
    vessel: Structure
    local: Floats
    start_mm: float
    end_mm: float


def coronary_tree(chest: Chest, heart: Heart) -> tuple[CoronarySegment, ...]:
    """Return all segments at the heart's phase."""
    segments = []
    for course in _courses(chest.patient):
        path = curve(heart.to_patient(course.local)[:: max(1, len(course.local) // 24)], 0.5)
        radius = np.linspace(course.start_mm, course.end_mm, len(path)) / 2
        segments.append(CoronarySegment(course.name, course.vessel, path, radius))
    return tuple(segments)


@lru_cache(maxsize=4)
def _courses(patient: Patient) -> tuple[_Course, ...]:
    """Return the courses at end-diastole; cached for the patient's other phases."""
    rng = generator(patient.seed, Stream.CORONARY_ARTERIES)
    chest = Chest(patient)
    heart = Heart.of(chest)
    courses = _left_tree(chest, heart) + _right_tree(chest, heart)
    return tuple(
        replace(
            course,
            local=_snapped(
                heart, _wiggled(course.local, patient.wiggle_mm, rng), 0.25 * (course.start_mm + course.end_mm)
            ),
        )
        for course in courses
    )


def paint_coronaries(canvas: Canvas, segments: tuple[CoronarySegment, ...]) -> None:
    """Paint fat around the arteries, then the arteries, which look like blood."""
    fat_over = (Tissue.LUNG, Tissue.MYOCARDIUM, Tissue.SOFT)
    for segment in segments:
        canvas.tube(
            segment.points, segment.radius_mm + 1.6, Tissue.FAT, Structure.EPICARDIAL_FAT, over=fat_over, warp=0.15
        )
    for segment in reversed(segments):
        over = (Tissue.LUNG, Tissue.MYOCARDIUM, Tissue.SOFT, Tissue.FAT, Tissue.BLOOD)
        canvas.tube(segment.points, segment.radius_mm, Tissue.BLOOD, segment.vessel, over=over)


def _left_tree(chest: Chest, heart: Heart) -> list[_Course]:
    patient, size = chest.patient, heart.scale
    lad_groove = _groove_between_ventricles(heart, np.linspace(4, heart.length_mm * 1.08, 26), 30, 100)
    turn = {"right": 205.0, "co": 238.0, "left": 262.0}[patient.dominance]
    ring = _groove_around(heart, np.linspace(92, turn, 26))
    ostium = heart.to_local(np.array([2, -15, 26]) * size)
    fork = 0.5 * (lad_groove[0] + ring[0])
    out = (fork - ostium) / np.linalg.norm(fork - ostium)
    ostium = fork - out * patient.lm_length_mm
    lad = np.vstack([fork, lad_groove[1 : max(8, round(26 * patient.lad_reach))]])
    lcx = np.vstack([fork, ring[2:]])
    lm = np.linspace(ostium, fork, 8)
    courses = [
        _Course("LM", Structure.LM, lm, patient.lm_mm, patient.lm_mm),
        _Course("LAD", Structure.LAD, lad, patient.lad_mm, 1.9),
        _Course("LCX", Structure.LCX, lcx, patient.lcx_mm, 2.4 if patient.dominance == "left" else 1.6),
    ]
    for number in range(patient.diagonals):
        start = lad[3 + 4 * number]
        courses.append(_branch(heart, f"D{number + 1}", Structure.LAD, start, 34.0, 0.55, 2.2 - 0.3 * number))
    for number in range(patient.marginals):
        start = lcx[min(6 + 5 * number, len(lcx) - 2)]
        courses.append(_branch(heart, f"OM{number + 1}", Structure.LCX, start, 10.0, 0.6, 2.3 - 0.3 * number))
    if patient.dominance == "left":
        courses.append(_descending(heart, Structure.LCX, lcx[-1]))
    return courses


def _right_tree(chest: Chest, heart: Heart) -> list[_Course]:
    patient, size = chest.patient, heart.scale
    ostium = heart.to_local(np.array([-15, -35, 27]) * size)
    turn = {"right": -92.0, "co": -88.0, "left": -35.0}[patient.dominance]
    ring = _groove_around(heart, np.linspace(36, turn, 30))
    rca = np.vstack([ostium, ring[1:]])
    end_mm = 1.5 if patient.dominance == "left" else 2.8
    courses = [_Course("RCA", Structure.RCA, rca, patient.rca_mm, min(end_mm, patient.rca_mm))]
    if patient.dominance == "left":
        return courses
    courses.append(_descending(heart, Structure.RCA, rca[-1]))
    if patient.dominance == "right":
        plv = np.vstack([rca[-1], _groove_around(heart, np.linspace(-97, -128, 10))])
        courses.append(_Course("PLV", Structure.RCA, plv, 2.2, 1.3))
    return courses


def _descending(heart: Heart, vessel: Structure, start: Floats) -> _Course:
    groove = _groove_between_ventricles(heart, np.linspace(10, heart.length_mm * 0.75, 16), -105, -30)
    return _Course("PDA", vessel, np.vstack([start, groove]), 2.1, 1.2)


def _branch(
    heart: Heart, name: str, vessel: Structure, start: Floats, turn_deg: float, reach: float, start_mm: float
) -> _Course:
    """Return a branch over the free wall of the left ventricle, from a groove towards the apex."""
    angle0 = np.arctan2(start[2], start[1])
    share = np.linspace(0, 1, 14)
    along = start[0] + share * reach * (heart.length_mm - start[0])
    angle = angle0 + np.deg2rad(turn_deg) * np.sqrt(share)
    path = np.stack([_on_surface(heart, d, a, GAP_MM) for d, a in zip(along, angle, strict=True)])
    path[0] = start
    return _Course(name, vessel, path, max(start_mm, 1.5), 1.1)


def _on_surface(heart: Heart, along: float, angle: float, gap_mm: float) -> Floats:
    direction = np.array([0.0, np.cos(angle), np.sin(angle)])
    start = np.array([along, 0.0, 0.0])
    return np.asarray(start + direction * heart.surface_mm(start, direction, gap_mm + 1))


def _groove_between_ventricles(heart: Heart, along: Floats, from_deg: float, to_deg: float) -> Floats:
    """Return the line on which the ventricles' outside is nearest to the long axis, smoothed along the groove."""
    angles = np.deg2rad(np.linspace(from_deg, to_deg, 36))
    found = []
    for d in along:
        centre = np.array([d, 8.0, 0.0])
        depth = [heart.surface_mm(centre, np.array([0, np.cos(a), np.sin(a)]), GAP_MM + 1) for a in angles]
        found.append(angles[int(np.argmin(depth))])
    smooth = gaussian_filter1d(np.array(found), 3.0, mode="nearest")
    path = []
    for d, angle in zip(along, smooth, strict=True):
        centre, direction = np.array([d, 8.0, 0.0]), np.array([0.0, np.cos(angle), np.sin(angle)])
        path.append(centre + direction * max(heart.surface_mm(centre, direction, GAP_MM + 1), 4.0))
    return np.asarray(path)


def _groove_around(heart: Heart, angles_deg: Floats) -> Floats:
    """Return the groove between atria and ventricles, at angles about the centre of both rings; 0 is right, 90 up."""
    levels = np.linspace(-18, 14, 22)
    floor = DEEPEST_MM * heart.scale
    depths = []
    for angle in np.deg2rad(angles_deg):
        direction = np.array([0.0, np.cos(angle), np.sin(angle)])
        depth = np.array([heart.surface_mm(np.array([d, 17.0, -2.0]), direction, GAP_MM + 1) for d in levels])
        depths.append(np.where(depth < floor, np.inf, depth))
    level = gaussian_filter1d(levels[np.argmin(depths, axis=1)], 2.0, mode="nearest")
    path = []
    for angle, d in zip(np.deg2rad(angles_deg), level, strict=True):
        direction, centre = np.array([0.0, np.cos(angle), np.sin(angle)]), np.array([d, 17.0, -2.0])
        path.append(centre + direction * max(floor, heart.surface_mm(centre, direction, GAP_MM + 1)))
    return gaussian_filter1d(np.asarray(path), 0.8, axis=0, mode="nearest")


def _wiggled(local: Floats, wiggle_mm: float, rng: np.random.Generator) -> Floats:
    """Return the course with random windings; both ends stay in place."""
    noise = gaussian_filter1d(rng.normal(0, 1, local.shape), 1.2, axis=0)
    return local + noise * wiggle_mm * 1.5 * np.sin(np.linspace(0, np.pi, len(local)))[:, None]


def _snapped(heart: Heart, local: Floats, radius_mm: float) -> Points:
    """Return the course pushed out of the muscle in the steepest direction, and away from sternum and ribs."""
    points = local.copy()
    for _ in range(5):
        short = radius_mm + GAP_MM - heart.distance_mm(points)
        points += _outwards(heart.distance_mm, points) * np.clip(short, 0, 2)[:, None]
        beyond = heart.beyond_front_mm(points) - (ROOM_MM - 1 - radius_mm)
        points -= _outwards(heart.beyond_front_mm, points) * np.clip(beyond, 0, 2)[:, None]
    return gaussian_filter1d(points, 0.5, axis=0, mode="nearest")


def _outwards(distance_mm: Callable[[Floats], Floats], points: Points) -> Floats:
    """Return (n, 3) unit vectors along which a distance grows fastest; shorter where it hardly grows."""
    slope = np.stack([distance_mm(points + step) for step in np.eye(3)], axis=1) - distance_mm(points)[:, None]
    return np.asarray(slope / np.maximum(0.3, np.linalg.norm(slope, axis=1, keepdims=True)))
