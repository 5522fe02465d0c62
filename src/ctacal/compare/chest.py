"""``chest_fit``: how well the chests of two scans fit upon each other, to tell whether they show one patient.

Hearts are alike: those of two patients may fit as well as those of one. The outline of lungs, chest wall and diaphragm
is not. It is laid upon each other by a shift and turn of its own, which begins where the hearts fit.
"""

from collections.abc import Iterator

import numpy as np

from ctacal.arrays import Floats, Mask
from ctacal.compare.reasons import ComparisonReason, Doubt
from ctacal.compare.registration import (
    SEARCH_MM,
    Points,
    RigidTransform,
    distance_from_heart,
    refined,
    seen_coarsely,
    values_of,
)
from ctacal.heart import HeartMask
from ctacal.volume import Volume

REACH_MM = 60.0
"""The chest is compared up to this far from the heart: most of it, and no arms (own choice)."""

OUTLINE_HU = (-900.0, -100.0)
"""Values are cut to this range: what is left is lung or not lung (own choice)."""

OUTSIDE_HU = -930.0
"""Lower values are air beside the patient, or no part of the scan: nothing is compared there (own choice)."""

LEAST_POINTS = 10_000
"""Fewer points of a grid of 5 mm are too little of a chest to tell patients apart: a whole one has 30,000 and more (own
choice)."""

ONE_PATIENT, TWO_PATIENTS = 0.93, 0.85
"""Correlation from which on two scans show one patient, and below which they seem to show two. Simulated patients who
are scanned again reach 0.94 and more, two different ones 0.51 to 0.90 (benchmarks/another_patient.py)."""


def chest_fit(a: Volume, heart_a: HeartMask, b: Volume, heart_b: HeartMask, hearts: RigidTransform) -> float | None:
    """Return the correlation of the chests around two hearts, up to 1; None if too little is seen in both scans.

    ``hearts`` lays the heart of ``a`` upon that of ``b``; takes less than a second.
    """
    fixed = seen_coarsely(a, heart_a, REACH_MM, _SEEN_HU)
    moving = seen_coarsely(b, heart_b, REACH_MM + max(SEARCH_MM), _SEEN_HU)
    far_mm = distance_from_heart(heart_a, fixed.geometry)
    near = (far_mm > 0) & (far_mm <= REACH_MM) & (fixed.hu > OUTSIDE_HU)
    places = np.argwhere(near) @ fixed.geometry.affine[:3, :3].T + fixed.geometry.affine[:3, 3]
    points = Points(places, np.clip(fixed.hu[near], *OUTLINE_HU).astype(np.float32), hearts.centre_mm)
    outline = Volume(np.clip(moving.hu, *OUTLINE_HU).astype(np.float32), moving.geometry)
    start = values_of(hearts)
    before = points.among(_shown(points, moving, start))
    if len(before.hu) < LEAST_POINTS or not before.hu.std():
        return None
    found = refined(before.among(slice(None, None, _EVERY)), outline, start)
    after = points.among(_shown(points, moving, found))
    return after.fit(outline, found) if len(after.hu) >= LEAST_POINTS else None


_SEEN_HU = (-1000.0, OUTLINE_HU[1])

_EVERY = 3
"""Every third point is enough to find shift and turn."""


def _shown(points: Points, moving: Volume, values: Floats) -> Mask:
    """Return which points the second scan shows."""
    index = points.index_in(moving.geometry, values)
    inside = ((index >= 0) & (index <= np.array(moving.geometry.shape) - 1)).all(axis=1)
    return np.asarray(inside & (points.seen(moving, values) > OUTSIDE_HU), np.bool_)


def doubts_by_chest(fit: float | None) -> Iterator[ComparisonReason]:
    """Yield what the fit of the chests says against one patient; between the limits a person decides too."""
    if fit is None:
        message = "too little of the chest is seen in both scans to tell by the images whether they show one patient"
        yield ComparisonReason(Doubt.PATIENT_UNSURE, message, blocks=False)
    elif fit < ONE_PATIENT:
        how, seem = ("do not fit", "seem to") if fit < TWO_PATIENTS else ("hardly fit", "may")
        message = (
            f"lungs and chest {how} upon each other (correlation {fit:.2f}, in one patient {ONE_PATIENT} or more): the "
            f"scans {seem} show different patients. Look at both; if it is one patient, say so: --accept "
            f"{Doubt.ANATOMY_DIFFERS}"
        )
        yield ComparisonReason(Doubt.ANATOMY_DIFFERS, message)
