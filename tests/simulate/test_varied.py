"""Patients for training differ more than a cohort, and every one of them can be built."""

import hashlib

import numpy as np
import pytest

pytest.importorskip("numba")

from ctacal.geometry import Geometry
from ctacal.simulate.anatomy.body import build_body
from ctacal.simulate.anatomy.description import Patient, draw_patient
from ctacal.simulate.anatomy.structures import Structure
from ctacal.simulate.anatomy.varied import draw_varied_patient

SEEDS = range(300)


def values(patients: list[Patient], name: str) -> np.ndarray:
    return np.array([float(getattr(patient, name)) for patient in patients])


def test_the_patients_of_a_cohort_never_change() -> None:
    text = "".join(draw_patient(seed).to_json() for seed in range(40))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "1974f9d90ad60b3c"


def test_patients_differ_more_than_in_a_cohort() -> None:
    cohort, varied = [draw_patient(seed) for seed in SEEDS], [draw_varied_patient(seed) for seed in SEEDS]
    for name in ("bmi", "heart_scale", "la_scale", "diaphragm_mm", "ascending_aorta_mm", "cartilage_calcification"):
        assert values(varied, name).std() > 1.2 * values(cohort, name).std()
    assert values(varied, "arms_up").mean() < 0.7
    slim = [patient for patient in varied if patient.sex == "F" and patient.bmi < 21]
    assert len(slim) > 30 and min(patient.heart_scale for patient in slim) < 0.85
    assert np.mean([patient.heart_shift_mm[1] > 5 for patient in varied]) > 0.2


def test_the_same_seed_gives_the_same_patient() -> None:
    assert draw_varied_patient(5) == draw_varied_patient(5) != draw_varied_patient(6)
    assert Patient.from_json(draw_varied_patient(5).to_json()) == draw_varied_patient(5)


@pytest.mark.slow
def test_the_most_unusual_can_be_built() -> None:
    varied = [draw_varied_patient(seed) for seed in SEEDS]
    by_name = [min(varied, key=lambda p: p.heart_scale), max(varied, key=lambda p: p.la_scale)]
    by_name += [max(varied, key=lambda p: p.diaphragm_mm), min(varied, key=lambda p: p.bmi)]
    grid = Geometry.from_spacing((30, 84, 112), (8.0, 5.0, 5.0), (-280.0, -210.0, -170.0))
    for patient in by_name:
        found = set(np.unique(build_body(patient, grid).structure).tolist())
        assert {Structure.LV_BLOOD, Structure.RV_BLOOD, Structure.LA_BLOOD, Structure.RA_BLOOD} <= found
