"""``draw_varied_patient``: patients who differ more than a cohort does, so that networks know them too.

Each trait is drawn on its own, over a patient of ``draw_patient``. All shares and ranges: own choice.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ctacal.simulate.anatomy.description import Patient, draw_patient
from ctacal.simulate.anatomy.measures import MEASURES, Sex
from ctacal.simulate.streams import Stream, generator

THIN_BMI, OBESE_BMI = (15.5, 21.0), (33.0, 48.0)
THIN_SHARE, OBESE_SHARE = 0.3, 0.25
"""Body mass index of the thin and the obese, and their shares; the others have that of the cohort."""

Trait = Callable[[np.random.Generator, Patient], dict[str, Any]]
"""The fields of a patient that a trait changes."""


def draw_varied_patient(seed: int) -> Patient:
    """Draw a patient for training: thin or obese more often, arms down, and each of ``TRAITS`` by its share."""
    rng = generator(seed, Stream.VARIED_PATIENT)
    bmi, sex = _build(rng)
    patient = draw_patient(
        seed, sex=sex, bmi=bmi, age_years=float(rng.uniform(40, 90)), arms_up=bool(rng.random() < 0.6)
    )
    for share, trait in TRAITS:
        if rng.random() < share:
            drawn = trait(rng, patient).items()
            changed: dict[str, Any] = {name: round(v, 4) if isinstance(v, float) else v for name, v in drawn}
            patient = replace(patient, **changed)
    return patient


def _build(rng: np.random.Generator) -> tuple[float | None, Sex | None]:
    """Draw body mass index and sex; the thin are women in two of three."""
    kind, other = rng.random(), rng.random()
    if kind < THIN_SHARE:
        return float(rng.uniform(*THIN_BMI)), "F" if other < 0.67 else "M"
    return (float(rng.uniform(*OBESE_BMI)) if kind < THIN_SHARE + OBESE_SHARE else None), None


def _small_heart(rng: np.random.Generator, patient: Patient) -> dict[str, Any]:
    return {
        "heart_scale": float(rng.uniform(0.76, 0.9)),
        "lv_diameter_mm": float(rng.uniform(38, 46)),
        "epicardial_fat_mm": float(rng.uniform(0.4, 2.0)),
    }


def _large_left_atrium(rng: np.random.Generator, patient: Patient) -> dict[str, Any]:
    return {"la_scale": float(rng.uniform(1.15, 1.45)), "ra_scale": float(rng.uniform(0.95, 1.3))}


def _heart_behind(rng: np.random.Generator, patient: Patient) -> dict[str, Any]:
    """Let the atria touch the descending aorta and the spine."""
    return {"heart_shift_mm": (round(float(rng.normal(0, 8)), 4), round(float(rng.uniform(5, 13)), 4))}


def _heart_turned(rng: np.random.Generator, patient: Patient) -> dict[str, Any]:
    """Draw a heart that hangs or lies across."""
    low, high = MEASURES["axis_left_deg"].limits
    return {
        "axis_left_deg": float(rng.uniform(low, high)),
        "axis_down_deg": float(rng.uniform(12, 54)),
        "axial_rotation_deg": float(rng.uniform(-22, 22)),
    }


def _wide_mediastinum(rng: np.random.Generator, patient: Patient) -> dict[str, Any]:
    return {
        "visceral_fat": float(rng.uniform(0.6, 1.0)),
        "epicardial_fat_mm": float(rng.uniform(3, 6)),
        "ascending_aorta_mm": float(rng.uniform(40, 50)),
        "descending_aorta_mm": float(rng.uniform(28, 40)),
        "pulmonary_trunk_mm": float(rng.uniform(27, 36)),
        "aortic_tortuosity": float(rng.uniform(0.5, 1.0)),
    }


def _raised_diaphragm(rng: np.random.Generator, patient: Patient) -> dict[str, Any]:
    return {"diaphragm_mm": float(rng.uniform(12, 34)), "left_dome_lower_mm": float(rng.uniform(-12, 22))}


def _overinflated(rng: np.random.Generator, patient: Patient) -> dict[str, Any]:
    """Draw the low diaphragm, dark lungs and upright heart of emphysema."""
    return {
        "diaphragm_mm": float(rng.uniform(-28, -12)),
        "lung_hu": float(rng.uniform(-890, -850)),
        "emphysema": float(rng.uniform(0.4, 0.9)),
        "axis_down_deg": float(rng.uniform(42, 54)),
        "chest_half_depth_mm": patient.chest_half_depth_mm * float(rng.uniform(1.0, 1.12)),
    }


def _crooked(rng: np.random.Generator, patient: Patient) -> dict[str, Any]:
    """Draw a bent spine and a flat chest."""
    return {
        "scoliosis_mm": float(rng.normal(0, 9)),
        "kyphosis": float(rng.uniform(0.0, 1.0)),
        "chest_half_depth_mm": patient.chest_half_depth_mm * float(rng.uniform(0.84, 1.0)),
    }


def _calcified_cartilage(rng: np.random.Generator, patient: Patient) -> dict[str, Any]:
    return {"cartilage_calcification": float(rng.uniform(0.2, 0.7))}


TRAITS: tuple[tuple[float, Trait], ...] = (
    (0.3, _small_heart),
    (0.3, _large_left_atrium),
    (0.3, _heart_behind),
    (0.25, _heart_turned),
    (0.25, _wide_mediastinum),
    (0.25, _raised_diaphragm),
    (0.15, _overinflated),
    (0.2, _crooked),
    (0.5, _calcified_cartilage),
)
"""Share of patients with each trait; a later trait overrides what an earlier one has set."""
