"""``Patient``: everything that determines a simulated anatomy, drawn from a seed and stored as JSON."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np

from ctacal.simulate.anatomy.measures import MEASURES, Sex
from ctacal.simulate.streams import Stream, generator

Dominance = Literal["right", "left", "co"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One patient. Equal values build equal bodies."""

    seed: int
    """Seed of everything that is random in building the body: irregular surfaces, lung vessels, courses."""
    sex: Sex
    age_years: float
    height_cm: float
    bmi: float
    arms_up: bool
    chest_half_width_mm: float
    """Half the width of the chest cavity, inside of the ribs, where it is widest."""
    chest_half_depth_mm: float
    fat_mm: float
    """Mean thickness of the fat under the skin."""
    fat_front_share: float
    """Share by which the fat is thicker at the front than at the side: -1 to 1."""
    visceral_fat: float
    """Amount of visceral fat: 0 (lean) to 1."""
    muscle_factor: float
    breast_mm: float
    """Radius; 0 in men."""
    breast_density: float
    """Share of glandular tissue."""
    diaphragm_mm: float
    """Height of the right dome above (+) or below (-) its mean."""
    left_dome_lower_mm: float
    stomach_air_share: float
    heart_scale: float
    heart_shift_mm: tuple[float, float]
    """Displacement of the mitral valve to the left and to the back."""
    axis_left_deg: float
    """Angle of the long axis to the left of straight ahead, in the axial plane."""
    axis_down_deg: float
    """Angle of the long axis below the axial plane."""
    axial_rotation_deg: float
    """Rotation of the septum about the long axis."""
    lv_diameter_mm: float
    """Inner diameter at end-diastole."""
    lv_wall_mm: float
    la_scale: float
    rv_scale: float
    ra_scale: float
    ejection_fraction: float
    mitral_excursion_mm: float
    tricuspid_excursion_mm: float
    epicardial_fat_mm: float
    ascending_aorta_mm: float
    """Diameter; of the descending aorta and the pulmonary trunk too."""
    descending_aorta_mm: float
    aortic_tortuosity: float
    """0 (young) to 1 (elongated arch, winding descending part)."""
    pulmonary_trunk_mm: float
    dominance: Dominance
    lm_mm: float
    """Diameter at the origin; of the other arteries too."""
    lad_mm: float
    lcx_mm: float
    rca_mm: float
    lm_length_mm: float
    lad_reach: float
    """Length of the LAD over its way to the apex (above 1: it turns around the apex)."""
    diagonals: int
    marginals: int
    wiggle_mm: float
    kyphosis: float
    scoliosis_mm: float
    ribs: int
    """Number of pairs."""
    cartilage_calcification: float
    """Tendency of the costal cartilage to calcify: 0 (none) to 1. The calcified share is a fifth to a third of this."""
    trabecular_hu: float
    """HU of the vertebrae' trabecular bone at 120 kVp."""
    muscle_hu: float
    liver_hu: float
    lung_hu: float
    """HU of the lung midway between front and back."""
    emphysema: float
    """0 (none) to 1."""
    atelectasis_mm: float
    """Depth of the atelectasis along the back."""

    def to_json(self) -> str:
        """Return all fields as a JSON object."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Patient":
        """Return the patient that ``to_json`` wrote; raise ``ValueError`` if a field is missing or unknown."""
        stored: dict[str, Any] = json.loads(text)
        names = {field.name for field in fields(cls)}
        if wrong := names.symmetric_difference(stored):
            raise ValueError(f"not a patient: fields missing or unknown: {', '.join(sorted(wrong))}")
        stored["heart_shift_mm"] = tuple(stored["heart_shift_mm"])
        return cls(**stored)


FEMALE_CALIBRE = 0.91
"""Diameters of women's coronary arteries over men's (Dodge JT et al., Circulation 1992;86:232-246)."""

DOMINANCE_SHARES: dict[Dominance, float] = {"right": 0.85, "left": 0.08, "co": 0.07}
"""Shares of coronary dominance (own choice)."""

RIB_SHARES = {11: 0.005, 12: 0.99, 13: 0.005}
"""Shares of the number of pairs of ribs: about 1 % have 11 or 13 (own choice)."""


def draw_patient(
    seed: int,
    *,
    sex: Sex | None = None,
    age_years: float | None = None,
    bmi: float | None = None,
    arms_up: bool | None = None,
) -> Patient:
    """Draw a patient. Given values are kept; everything else depends on them and on the seed."""
    rng = generator(seed, Stream.PATIENT)
    drawn_sex: Sex = "M" if rng.random() < 0.55 else "F"  # share of men at perfusion imaging: own choice
    drawn_age = _drawn(rng, "age_years", drawn_sex)
    drawn_bmi = _within(rng.lognormal(np.log(28.2), 0.19), 17, 48)  # mean 29, SD 5.6: NHANES 2015-2018, rounded
    drawn_arms = bool(rng.random() < 0.8)  # own choice
    sex = sex or drawn_sex
    age_years = drawn_age if age_years is None else age_years
    bmi = drawn_bmi if bmi is None else bmi
    arms_up = drawn_arms if arms_up is None else arms_up
    values: dict[str, Any] = {"seed": seed, "sex": sex, "age_years": age_years, "bmi": bmi, "arms_up": arms_up}
    values |= _trunk(rng, sex, bmi) | _organs(rng, sex)
    values |= _heart(rng, sex, age_years, bmi) | _vessels(rng, sex, age_years) | _coronaries(rng, sex)
    values |= _skeleton(rng, sex, age_years)
    values |= _densities(generator(seed, Stream.DENSITIES), sex, age_years, bmi)
    rounded: dict[str, Any] = {key: round(v, 4) if isinstance(v, float) else v for key, v in values.items()}
    return Patient(**rounded)


def _drawn(rng: np.random.Generator, name: str, sex: Sex, more: float = 0.0) -> float:
    """Return a value of ``MEASURES``, increased by ``more``."""
    return MEASURES[name].limited(MEASURES[name].draw(rng, sex) + more)


def _within(value: float, low: float, high: float) -> float:
    return float(min(max(value, low), high))


def _trunk(rng: np.random.Generator, sex: Sex, bmi: float) -> dict[str, Any]:
    """Draw the chest's size, fat and muscle: own choice beside two real CTs."""
    male = sex == "M"
    height_cm = _drawn(rng, "height_cm", sex)
    size = height_cm / (MEASURES["height_cm"].men if male else MEASURES["height_cm"].women)[0]
    width = rng.normal(137 if male else 122, 6) * size + 0.5 * (bmi - 25)
    return {
        "height_cm": height_cm,
        "chest_half_width_mm": float(width),
        "chest_half_depth_mm": float(width * rng.normal(0.70, 0.035)),
        "fat_mm": _within((3.0 if male else 6.0) + 1.15 * (bmi - 18) * rng.uniform(0.7, 1.3), 3, 55),
        "fat_front_share": float(rng.uniform(-0.4, 0.5)),
        "visceral_fat": _within((0.25 if male else 0.05) + 0.03 * (bmi - 22) + rng.normal(0, 0.1), 0.05, 1),
        "muscle_factor": _drawn(rng, "muscle_factor", sex),
        "breast_mm": 0.0 if male else _within(38 + 1.8 * (bmi - 22) + rng.normal(0, 7), 25, 90),
        "breast_density": float(rng.beta(2, 4)),
    }


def _organs(rng: np.random.Generator, sex: Sex) -> dict[str, Any]:
    """Draw diaphragm and stomach (own choice)."""
    return {
        "diaphragm_mm": _drawn(rng, "diaphragm_mm", sex),
        "left_dome_lower_mm": _drawn(rng, "left_dome_lower_mm", sex),
        "stomach_air_share": float(rng.beta(2, 4)),
    }


def _heart(rng: np.random.Generator, sex: Sex, age_years: float, bmi: float) -> dict[str, Any]:
    """Draw the heart: a fifth are dilated, a quarter thick-walled, a tenth have a large left atrium (own choice)."""
    failing = bool(rng.random() < 0.2)
    wall_mm = MEASURES["lv_wall_mm"].draw(rng, sex) + (rng.uniform(1, 4) if rng.random() < 0.25 else 0)
    contracts = MEASURES["failing_ejection_fraction" if failing else "ejection_fraction"]
    fraction = contracts.draw(rng, sex)
    mitral, tricuspid = MEASURES["mitral_excursion_mm"], MEASURES["tricuspid_excursion_mm"]
    return {
        "heart_scale": _drawn(rng, "heart_scale", sex, 0.003 * (bmi - 27)),
        "heart_shift_mm": (round(float(rng.normal(0, 5)), 4), round(float(rng.normal(0, 3)), 4)),
        "axis_left_deg": _drawn(rng, "axis_left_deg", sex),
        "axis_down_deg": _within(rng.normal(34 - 0.5 * (bmi - 27), 7), 12, 52),
        "axial_rotation_deg": _drawn(rng, "axial_rotation_deg", sex),
        "lv_diameter_mm": _drawn(rng, "lv_diameter_mm", sex) + 5.0 * failing,
        "lv_wall_mm": MEASURES["lv_wall_mm"].limited(wall_mm),
        "la_scale": MEASURES["la_scale"].limited(
            MEASURES["la_scale"].draw(rng, sex) + 0.002 * (age_years - 60) + 0.15 * (rng.random() < 0.1)
        ),
        "rv_scale": _drawn(rng, "rv_scale", sex),
        "ra_scale": _drawn(rng, "ra_scale", sex),
        "ejection_fraction": contracts.limited(fraction),
        "mitral_excursion_mm": mitral.limited(mitral.draw(rng, sex) * fraction / 0.62),
        "tricuspid_excursion_mm": tricuspid.limited(tricuspid.draw(rng, sex) * (0.8 if failing else 1.0)),
        "epicardial_fat_mm": MEASURES["epicardial_fat_mm"].limited(
            MEASURES["epicardial_fat_mm"].draw(rng, sex) + 0.1 * (bmi - 25) + 0.03 * (age_years - 60)
        ),
    }


def _vessels(rng: np.random.Generator, sex: Sex, age_years: float) -> dict[str, Any]:
    """Draw the great vessels; the aorta widens with age and winds (tortuosity: own choice)."""
    older = age_years - 59
    return {
        "ascending_aorta_mm": _drawn(rng, "ascending_aorta_mm", sex, 0.13 * older),
        "descending_aorta_mm": _drawn(rng, "descending_aorta_mm", sex, 0.1 * older),
        "aortic_tortuosity": _within(0.3 + 0.012 * older + rng.normal(0, 0.2), 0, 1),
        "pulmonary_trunk_mm": _drawn(rng, "pulmonary_trunk_mm", sex),
    }


def _coronaries(rng: np.random.Generator, sex: Sex) -> dict[str, Any]:
    """Draw calibres, dominance and number of branches (number and windings: own choice)."""
    shares = tuple(DOMINANCE_SHARES.values())
    dominance: Dominance = tuple(DOMINANCE_SHARES)[int(rng.choice(len(shares), p=shares))]
    factor = 1.0 if sex == "M" else FEMALE_CALIBRE
    left = dominance == "left"
    drawn_mm = {
        name: MEASURES[measure].draw(rng, sex)
        for name, measure in (
            ("lcx_mm", "dominant_lcx_mm" if left else "lcx_mm"),
            ("rca_mm", "rca_mm" if left else "dominant_rca_mm"),
            ("lm_mm", "lm_mm"),
            ("lad_mm", "lad_mm"),
        )
    }
    calibres = {name: MEASURES[name].limited(mm * factor) for name, mm in drawn_mm.items()}
    return calibres | {
        "dominance": dominance,
        "lm_length_mm": _drawn(rng, "lm_length_mm", sex),
        "lad_reach": _drawn(rng, "lad_reach", sex),
        "diagonals": int(rng.integers(1, 4)),
        "marginals": int(rng.integers(1, 4)),
        "wiggle_mm": float(rng.uniform(0.4, 2.0)),
    }


def _skeleton(rng: np.random.Generator, sex: Sex, age_years: float) -> dict[str, Any]:
    """Draw the spine's curves, the number of ribs, and how much cartilage calcifies, which rises with age."""
    return {
        "kyphosis": _drawn(rng, "kyphosis", sex, 0.01 * (age_years - 60)),
        "scoliosis_mm": _drawn(rng, "scoliosis_mm", sex),
        "ribs": int(rng.choice(tuple(RIB_SHARES), p=tuple(RIB_SHARES.values()))),
        "cartilage_calcification": _drawn(rng, "cartilage_calcification", sex, 0.006 * (age_years - 55)),
    }


def _densities(rng: np.random.Generator, sex: Sex, age_years: float, bmi: float) -> dict[str, Any]:
    """Draw the HU of tissues; own choice but for the lung.

    Vertebrae: about 210 HU at 30 years, 110 at 75 (assumed). Liver: 54 HU, less in the fatty liver of a fifth of all,
    and of more among the obese. Muscle: fattier with age. Lung: see ``MEASURES``; 30 HU less in smokers.
    """
    old, fatty = (age_years - 30) / 45, rng.random() < 0.12 + 0.02 * max(0.0, bmi - 27)
    smoker = rng.random() < 0.12
    return {
        "trabecular_hu": _within(
            rng.normal(210 - 100 * old - (8 if sex == "F" and age_years > 55 else 0), 25), 45, 300
        ),
        "muscle_hu": _within(rng.normal(56 - 9 * old - 0.4 * (bmi - 26), 3), 22, 58),
        "liver_hu": _within(rng.uniform(8, 45) if fatty else rng.normal(55, 4), 8, 64),
        "lung_hu": _drawn(rng, "lung_hu", sex, -(30 if smoker else 0)),
        "emphysema": float(rng.uniform(0.3, 0.9)) if smoker else float(rng.uniform(0, 0.15)),
        "atelectasis_mm": float(rng.uniform(2, 9)) if rng.random() < 0.4 else 0.0,
    }
