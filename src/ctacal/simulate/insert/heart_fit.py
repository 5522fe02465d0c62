"""``fit_heart``: a simulated heart fitted to a real one, so that its coronary tree predicts the real courses."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage, optimize

from ctacal.arrays import Floats
from ctacal.heart import HeartMask
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.compiled import compiled
from ctacal.simulate.anatomy.coronaries import coronary_tree
from ctacal.simulate.anatomy.description import Patient
from ctacal.simulate.anatomy.heart import Heart
from ctacal.simulate.anatomy.heart_kernels import chamber_distance
from ctacal.simulate.anatomy.structures import CoronarySegment, Points
from ctacal.simulate.insert.tissue import Tissue
from ctacal.volume import Volume

SMOOTH_MM = 2.5
"""SD of the blur before fat and muscle are separated: noise is gone, grooves are not (own choice)."""

GRID_MM = 5.0
"""Spacing of the points that are compared (own choice)."""

MOST_POINTS = 6000
"""Largest number of points that are compared (own choice)."""

AROUND_MM = 20.0
"""Distance around the heart mask up to which points are compared."""

SOFT_EDGE_MM = 3.0
"""Width of the transition at the surface of the model (own choice)."""

GROOVE_LUNG_MM, GROOVE_WEIGHT, AROUND_WEIGHT = 6.0, 4.0, 0.5
"""Fat in the mask at least so far from lung lies in a groove: few points, but the best indication of the arteries.
Weight of these points, and of points around the mask; other points have weight 1 (own choice, from the look of three
scans)."""

CHAMBER_HU = (5.0, 120.0)
"""HU of blood and muscle, blurred; fat and lung are below."""

PRIOR = {"scale": 0.10, "left_deg": 9.0, "down_deg": 9.0, "turn_deg": 10.0, "ventricle": 0.12, "right": 0.12}
"""SDs of the difference between a heart and the drawn one: size, direction of its axis, rotation about it, width of the
left ventricle and of the right side (those of ``anatomy.description``, rounded)."""

PRIOR_WEIGHT = 0.001
"""Weight of a squared SD relative to the mean squared misfit (own choice)."""


@dataclass(frozen=True, eq=False, slots=True)
class FittedHeart:
    """The heart of a simulated patient, moved onto the heart of the scan."""

    patient: Patient
    offset_mm: Floats
    """Shift from the patient's frame to the frame of the scan."""
    misfit: float
    """Mean squared difference between the chambers in the model and in the scan: 0 to 1."""

    def at_phase(self, phase: float = 0.0) -> Heart:
        """Return the heart in the frame of the scan."""
        heart = Heart.of(Chest(self.patient), phase)
        return replace(heart, origin=heart.origin + self.offset_mm)

    def unmoved(self) -> Heart:
        """Return the heart at rest in the patient's own frame."""
        return Heart.of(Chest(self.patient))

    def tree(self, phase: float = 0.0) -> tuple[CoronarySegment, ...]:
        """Return its coronary arteries in the frame of the scan."""
        return coronary_tree(Chest(self.patient), self.at_phase(phase))


@dataclass(frozen=True, eq=False, slots=True)
class _Evidence:
    """Points in the scan, whether each is chamber (1) or not (0), and its weight."""

    points: Points
    chamber: Floats
    weight: Floats


def fit_heart(volume: Volume, mask: HeartMask, patient: Patient, tissue: Tissue) -> FittedHeart:
    """Fit a patient's heart to the heart of a scan on a straight canonical grid; deterministic.

    Voxels in the mask that are as bright as blood should lie in the chambers of the model; lung and fat, in or around
    the mask, should not. Bright tissue around the mask may be liver or aorta and does not count.
    """
    evidence = _evidence(volume, mask, tissue)
    start = evidence.points[evidence.chamber > 0.5].mean(axis=0) - _middle(Heart.of(Chest(patient)))

    def misfit(values: Floats) -> float:
        found = _misfit(Heart.of(Chest(_changed(patient, values))), start + 10 * values[:3], evidence)
        return found + PRIOR_WEIGHT * float(np.sum(values[3:] ** 2))

    found = optimize.minimize(
        misfit, np.zeros(9), method="Powell", options={"maxfev": 1000, "xtol": 0.02, "ftol": 1e-4},
        bounds=[(-3, 3)] * 9,
    )  # fmt: skip
    changed, origin = _changed(patient, found.x), start + 10 * found.x[:3]
    heart = Heart.of(Chest(changed))
    return FittedHeart(changed, origin - heart.origin, _misfit(heart, origin, evidence))


def _changed(patient: Patient, values: Floats) -> Patient:
    """Return the patient changed by SDs of ``PRIOR``; the first three of ``values`` are shifts, not used here."""
    scale, left, down, turn, ventricle, right = (x * sd for x, sd in zip(values[3:], PRIOR.values(), strict=True))
    return replace(
        patient,
        heart_scale=patient.heart_scale * float(np.exp(scale)),
        axis_left_deg=patient.axis_left_deg + float(left),
        axis_down_deg=patient.axis_down_deg + float(down),
        axial_rotation_deg=patient.axial_rotation_deg + float(turn),
        rv_scale=patient.rv_scale * float(np.exp(right / 2)),
        ra_scale=patient.ra_scale * float(np.exp(right)),
        lv_diameter_mm=patient.lv_diameter_mm * float(np.exp(scale + ventricle)),
    )


def _middle(heart: Heart) -> Floats:
    """Return the middle of the chambers, relative to the origin of the heart."""
    lattice = np.stack(np.meshgrid(*[np.arange(-90.0, 91, 10)] * 3), axis=-1).reshape(-1, 3)
    return np.asarray(lattice[_distances_mm(heart, lattice) < 0].mean(axis=0) @ heart.axes)


def _misfit(heart: Heart, origin: Floats, evidence: _Evidence) -> float:
    distance_mm = _distances_mm(heart, heart.to_local(evidence.points - origin))
    model = 1 / (1 + np.exp(np.clip(distance_mm / SOFT_EDGE_MM, -30, 30)))
    return float(np.average((model - evidence.chamber) ** 2, weights=evidence.weight))


def _distances_mm(heart: Heart, local: Floats) -> Floats:
    """Return ``Heart.distance_mm`` from a compiled loop: the fit needs millions of distances."""
    found = np.empty(len(local))
    _measure(heart.shapes, np.ascontiguousarray(local), found)
    return found


@compiled
def _measure(shapes: Any, local: Any, found: Any) -> None:
    for n in range(len(local)):
        found[n] = chamber_distance(shapes, local[n, 0], local[n, 1], local[n, 2])


def _evidence(volume: Volume, mask: HeartMask, tissue: Tissue) -> _Evidence:
    spacing = np.array(volume.geometry.spacing_mm)
    reach = np.ceil(AROUND_MM / spacing).astype(int)
    box = tuple(
        slice(max(0, part.start - by), min(n, part.stop + by))
        for part, by, n in zip(mask.bounding_box, reach, volume.hu.shape, strict=True)
    )
    smooth = ndimage.gaussian_filter(volume.hu[box].astype(np.float32), SMOOTH_MM / spacing * (0.5, 1, 1))
    step = np.maximum(1, np.rint(GRID_MM / spacing).astype(int))
    thin = tuple(slice(None, None, int(by)) for by in step)
    within, hu, lung_mm = mask.mask[box][thin], smooth[thin], tissue.lung_mm[box][thin]
    bright = hu > CHAMBER_HU[0]
    counted = within | ~bright
    corner = volume.geometry.crop((box[0], box[1], box[2]))
    place = np.argwhere(counted)
    if len(place) > MOST_POINTS:
        place = np.random.default_rng(0).choice(place, MOST_POINTS, replace=False)
    points = (place * step) @ corner.affine[:3, :3].T + corner.affine[:3, 3]
    groove = within & ~bright & (lung_mm > GROOVE_LUNG_MM)
    weight = np.select([groove, within], [GROOVE_WEIGHT, 1.0], AROUND_WEIGHT)
    at = tuple(place.T)
    return _Evidence(points, (bright & (hu < CHAMBER_HU[1]))[at].astype(float), weight[at])
