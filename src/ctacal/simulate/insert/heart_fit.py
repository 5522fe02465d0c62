"""``FittedHeart``: a simulated heart laid into a real one, so that its coronary tree tells where arteries may run."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from ctacal.heart import HeartMask
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.coronaries import coronary_tree
from ctacal.simulate.anatomy.description import Patient
from ctacal.simulate.anatomy.heart import Heart
from ctacal.simulate.anatomy.structures import CoronarySegment, Points
from ctacal.volume import Volume

Floats = NDArray[np.float64]

SMOOTH_MM = 2.5
"""SD of the blur behind which fat and muscle are told apart: noise is gone, grooves are not (own choice)."""

GRID_MM = 5.0
"""Distance of the points that are compared; at most ``MOST_POINTS`` of them are (own choice)."""

MOST_POINTS = 6000

AROUND_MM = 20.0
"""Points are taken this far around the heart mask."""

SOFT_EDGE_MM = 3.0
"""How gradually the model's surface counts (own choice)."""

CHAMBER_HU = (5.0, 120.0)
"""Of blood and muscle, blurred; fat and lung are below."""

PRIOR = {"scale": 0.10, "left_deg": 9.0, "down_deg": 9.0, "turn_deg": 10.0, "ventricle": 0.12, "right": 0.12}
"""SDs by which a heart may differ from the drawn one: size, direction of its axis, turn about it, width of its left
ventricle and of its right side (those of ``anatomy.description``, rounded)."""

PRIOR_WEIGHT = 0.001
"""Of a squared SD against the mean squared misfit (own choice)."""


@dataclass(frozen=True, eq=False, slots=True)
class FittedHeart:
    """A patient's heart, moved to where the scan shows one."""

    patient: Patient
    offset_mm: Floats
    """From the patient's frame to the scan's."""
    misfit: float
    """Mean squared difference of what is chamber in the model and in the scan: 0 to 1."""

    def at_phase(self, phase: float = 0.0) -> Heart:
        """The heart in the scan's frame."""
        return _heart(self.patient, self.offset_mm, phase)

    def unmoved(self) -> Heart:
        """The heart at rest in the patient's own frame."""
        return Heart.of(Chest(self.patient))

    def tree(self, phase: float = 0.0) -> tuple[CoronarySegment, ...]:
        """Its coronary arteries in the scan's frame."""
        return coronary_tree(Chest(self.patient), self.at_phase(phase))


def _heart(patient: Patient, offset_mm: Floats, phase: float) -> Heart:
    heart = Heart.of(Chest(patient), phase)
    return replace(heart, origin=heart.origin + offset_mm)


@dataclass(frozen=True, eq=False, slots=True)
class _Evidence:
    """Points in the scan that are chamber (1) or not (0), and how much each counts."""

    points: Points
    chamber: Floats
    weight: Floats


def fit_heart(volume: Volume, mask: HeartMask, patient: Patient) -> FittedHeart:
    """Fit a patient's heart to the scan's (a straight canonical grid), the same each time.

    What is as bright as blood within the mask should lie in the model's chambers; lung and fat, within or around it,
    should not; bright tissue around it may be liver or aorta and does not count.
    """
    evidence = _evidence(volume, mask)
    inside = evidence.points[evidence.chamber > 0.5]
    start = inside.mean(axis=0) - _centre_of(patient)

    def misfit(values: Floats) -> float:
        return _misfit(*_changed(patient, start, values), evidence) + PRIOR_WEIGHT * float(np.sum(values[3:] ** 2))

    found = optimize.minimize(
        misfit, np.zeros(9), method="Powell", options={"maxfev": 1000, "xtol": 0.02, "ftol": 1e-4},
        bounds=[(-3, 3)] * 9,
    )  # fmt: skip
    changed, offset_mm = _changed(patient, start, found.x)
    return FittedHeart(changed, offset_mm, _misfit(changed, offset_mm, evidence))


def _changed(patient: Patient, start: Floats, values: Floats) -> tuple[Patient, Floats]:
    """The patient and its place; ``values`` are three moves in cm, then SDs of ``PRIOR``."""
    scale, left, down, turn, ventricle, right = (x * sd for x, sd in zip(values[3:], PRIOR.values(), strict=True))
    changed = replace(
        patient,
        heart_scale=patient.heart_scale * float(np.exp(scale)),
        axis_left_deg=patient.axis_left_deg + float(left),
        axis_down_deg=patient.axis_down_deg + float(down),
        axial_rotation_deg=patient.axial_rotation_deg + float(turn),
        rv_scale=patient.rv_scale * float(np.exp(right / 2)),
        ra_scale=patient.ra_scale * float(np.exp(right)),
        lv_diameter_mm=patient.lv_diameter_mm * float(np.exp(scale + ventricle)),
    )
    heart_moved = Heart.of(Chest(changed)).origin - Heart.of(Chest(patient)).origin
    return changed, start + 10 * values[:3] - heart_moved


def _centre_of(patient: Patient) -> Floats:
    """Middle of the chambers."""
    heart = Heart.of(Chest(patient))
    lattice = np.stack(np.meshgrid(*[np.arange(-90.0, 91, 10)] * 3), axis=-1).reshape(-1, 3)
    return np.asarray(heart.origin + lattice[heart.distance_mm(lattice) < 0].mean(axis=0) @ heart.axes)


def _misfit(patient: Patient, offset_mm: Floats, evidence: _Evidence) -> float:
    heart = _heart(patient, offset_mm, 0.0)
    distance_mm = heart.distance_mm(heart.to_local(evidence.points - heart.origin))
    model = 1 / (1 + np.exp(np.clip(distance_mm / SOFT_EDGE_MM, -30, 30)))
    return float(np.average((model - evidence.chamber) ** 2, weights=evidence.weight))


def _evidence(volume: Volume, mask: HeartMask) -> _Evidence:
    spacing = np.array(volume.geometry.spacing_mm)
    reach = np.ceil(AROUND_MM / spacing).astype(int)
    box = tuple(
        slice(max(0, part.start - by), min(n, part.stop + by))
        for part, by, n in zip(mask.bounding_box, reach, volume.hu.shape, strict=True)
    )
    smooth = ndimage.gaussian_filter(volume.hu[box].astype(np.float32), SMOOTH_MM / spacing * (0.5, 1, 1))
    step = np.maximum(1, np.rint(GRID_MM / spacing).astype(int))
    thin = tuple(slice(None, None, int(by)) for by in step)
    within, hu = mask.mask[box][thin], smooth[thin]
    bright = hu > CHAMBER_HU[0]
    counted = within | ~bright
    corner = volume.geometry.crop((box[0], box[1], box[2]))
    place = np.argwhere(counted)
    if len(place) > MOST_POINTS:
        place = np.random.default_rng(0).choice(place, MOST_POINTS, replace=False)
    points = (place * step) @ corner.affine[:3, :3].T + corner.affine[:3, 3]
    at = tuple(place.T)
    return _Evidence(points, (bright & (hu < CHAMBER_HU[1]))[at].astype(float), np.where(within[at], 1.0, 0.5))
