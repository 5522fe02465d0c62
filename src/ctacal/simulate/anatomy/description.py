"""``Patient``: everything that one simulated anatomy is built from, drawn from a seed and stored as JSON."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np

Sex = Literal["F", "M"]
Dominance = Literal["right", "left", "co"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One patient. Lengths in mm unless the name says otherwise; the same values build the same body."""

    seed: int
    """Of all that is random in the building: surface irregularities, lung vessels, courses."""
    sex: Sex
    age_years: float
    height_cm: float
    bmi: float
    arms_up: bool
    chest_half_width_mm: float
    """Inside of the ribs, at its widest."""
    chest_half_depth_mm: float
    fat_mm: float
    """Mean thickness of the fat under the skin."""
    fat_front_share: float
    """How much more of it lies at the front than at the back: -1 to 1."""
    visceral_fat: float
    """0 (lean) to 1."""
    muscle_factor: float
    breast_mm: float
    """Radius; 0 in men."""
    breast_density: float
    """Share of glandular tissue."""
    diaphragm_mm: float
    """Height of the right dome above (+) or below its mean."""
    left_dome_lower_mm: float
    stomach_air_share: float
    heart_scale: float
    heart_shift_mm: tuple[float, float]
    """Of the mitral valve to the left and to the back of its mean place."""
    axis_left_deg: float
    """Angle of the long axis to the left of straight ahead, in the axial plane."""
    axis_down_deg: float
    """Angle of the long axis below the axial plane."""
    axial_rotation_deg: float
    """Of the septum about the long axis."""
    lv_diameter_mm: float
    """Inside, at end-diastole."""
    lv_wall_mm: float
    la_scale: float
    rv_scale: float
    ra_scale: float
    ejection_fraction: float
    mitral_excursion_mm: float
    tricuspid_excursion_mm: float
    epicardial_fat_mm: float
    ascending_aorta_mm: float
    """Diameter."""
    descending_aorta_mm: float
    aortic_tortuosity: float
    """0 (young) to 1: elongated arch, winding descending part."""
    pulmonary_trunk_mm: float
    dominance: Dominance
    lm_mm: float
    """Diameters at the origin."""
    lad_mm: float
    lcx_mm: float
    rca_mm: float
    lm_length_mm: float
    lad_reach: float
    """Share of the way to the apex (above 1: around it)."""
    diagonals: int
    marginals: int
    wiggle_mm: float
    kyphosis: float
    scoliosis_mm: float
    ribs: int
    """Pairs."""
    cartilage_calcification: float
    """How readily the costal cartilage calcifies: 0 (nowhere) to 1; a fifth to a third of it is the share that does."""
    trabecular_hu: float
    """Of the vertebrae, at 120 kVp."""
    muscle_hu: float
    liver_hu: float
    lung_hu: float
    """In the middle between front and back."""
    emphysema: float
    """0 (none) to 1."""
    atelectasis_mm: float
    """Depth of the collapsed lung along the back."""

    def to_json(self) -> str:
        """All fields as a JSON object."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Patient":
        """The patient that was written by ``to_json``; ``ValueError`` where a field is missing or unknown."""
        stored: dict[str, Any] = json.loads(text)
        names = {field.name for field in fields(cls)}
        if wrong := names.symmetric_difference(stored):
            raise ValueError(f"not a patient: fields missing or unknown: {', '.join(sorted(wrong))}")
        stored["heart_shift_mm"] = tuple(stored["heart_shift_mm"])
        return cls(**stored)


def draw_patient(
    seed: int,
    *,
    sex: Sex | None = None,
    age_years: float | None = None,
    bmi: float | None = None,
    arms_up: bool | None = None,
) -> Patient:
    """Draw a patient; what is given is kept, and everything else depends on the seed (and on what is given)."""
    rng = np.random.default_rng([seed, 1])
    drawn_sex: Sex = "M" if rng.random() < 0.55 else "F"  # share of men at perfusion imaging: own choice
    drawn_age = _within(rng.normal(63, 11), 35, 90)  # own choice
    drawn_bmi = _within(rng.lognormal(np.log(28.2), 0.19), 17, 48)  # mean 29, SD 5.6: NHANES 2015-2018, rounded
    drawn_arms = bool(rng.random() < 0.8)  # own choice
    sex = sex or drawn_sex
    age_years = drawn_age if age_years is None else age_years
    bmi = drawn_bmi if bmi is None else bmi
    arms_up = drawn_arms if arms_up is None else arms_up
    values: dict[str, Any] = {"seed": seed, "sex": sex, "age_years": age_years, "bmi": bmi, "arms_up": arms_up}
    values |= _trunk(rng, sex, bmi) | _organs(rng)
    values |= _heart(rng, sex, age_years, bmi) | _vessels(rng, sex, age_years) | _coronaries(rng, sex)
    values |= _skeleton(rng, sex, age_years)
    values |= _densities(np.random.default_rng([seed, 2]), sex, age_years, bmi)
    rounded: dict[str, Any] = {key: round(v, 4) if isinstance(v, float) else v for key, v in values.items()}
    return Patient(**rounded)


def _within(value: float, low: float, high: float) -> float:
    return float(min(max(value, low), high))


def _trunk(rng: np.random.Generator, sex: Sex, bmi: float) -> dict[str, Any]:
    """Heights: NHANES 2015-2018 (175 and 162 cm, SD 7). The rest: own choice, set beside two real CTs."""
    male = sex == "M"
    height_cm = _within(rng.normal(175 if male else 162, 7), 145, 200)
    size = height_cm / (175 if male else 162)
    width = rng.normal(137 if male else 122, 6) * size + 0.5 * (bmi - 25)
    return {
        "height_cm": height_cm,
        "chest_half_width_mm": float(width),
        "chest_half_depth_mm": float(width * rng.normal(0.70, 0.035)),
        "fat_mm": _within((3.0 if male else 6.0) + 1.15 * (bmi - 18) * rng.uniform(0.7, 1.3), 3, 55),
        "fat_front_share": float(rng.uniform(-0.4, 0.5)),
        "visceral_fat": _within((0.25 if male else 0.05) + 0.03 * (bmi - 22) + rng.normal(0, 0.1), 0.05, 1),
        "muscle_factor": float(rng.normal(1.0 if male else 0.8, 0.1)),
        "breast_mm": 0.0 if male else _within(38 + 1.8 * (bmi - 22) + rng.normal(0, 7), 25, 90),
        "breast_density": float(rng.beta(2, 4)),
    }


def _organs(rng: np.random.Generator) -> dict[str, Any]:
    """All own choice."""
    return {
        "diaphragm_mm": float(rng.normal(0, 9)),
        "left_dome_lower_mm": float(rng.normal(12, 6)),
        "stomach_air_share": float(rng.beta(2, 4)),
    }


def _heart(rng: np.random.Generator, sex: Sex, age_years: float, bmi: float) -> dict[str, Any]:
    """Sizes after Lang RM et al., J Am Soc Echocardiogr 2015;28:1-39 (LV 50.2 +- 4.1 and 45.0 +- 3.6 mm, ejection
    fraction 62 +- 5 %, excursion of the tricuspid ring 24 +- 3.5 mm), 2-3 mm wider as magnetic resonance reads them;
    walls after Kawel N et al., Circ Cardiovasc Imaging 2012;5:500-508 (some 7.8 and 6.4 mm); with a tail of dilated and
    thick-walled hearts (own choice). Epicardial fat and angles: own choice.
    """
    male, ill = sex == "M", rng.random() < 0.2
    wall_mm = rng.normal(7.8 if male else 6.5, 0.9) + (rng.uniform(1, 4) if rng.random() < 0.25 else 0)
    fraction = rng.normal(0.45, 0.09) if ill else rng.normal(0.62, 0.05)
    return {
        "heart_scale": _within(rng.normal(1.0 if male else 0.94, 0.05) + 0.003 * (bmi - 27), 0.8, 1.2),
        "heart_shift_mm": (round(float(rng.normal(0, 5)), 4), round(float(rng.normal(0, 3)), 4)),
        "axis_left_deg": _within(rng.normal(42, 7), 26, 60),
        "axis_down_deg": _within(rng.normal(34 - 0.5 * (bmi - 27), 7), 12, 52),
        "axial_rotation_deg": float(rng.normal(0, 8)),
        "lv_diameter_mm": _within(rng.normal(54.0, 4.1) if male else rng.normal(51.2, 3.6), 39, 65) + 5.0 * ill,
        "lv_wall_mm": _within(wall_mm, 5, 15),
        "la_scale": _within(rng.normal(1.0, 0.08) + 0.002 * (age_years - 60) + 0.15 * (rng.random() < 0.1), 0.8, 1.4),
        "rv_scale": _within(rng.normal(1.0, 0.06), 0.85, 1.25),
        "ra_scale": _within(rng.normal(1.0, 0.08), 0.8, 1.3),
        "ejection_fraction": _within(fraction, 0.2, 0.75),
        "mitral_excursion_mm": _within(rng.normal(13, 2) * fraction / 0.62, 4, 18),
        "tricuspid_excursion_mm": _within(rng.normal(24, 3.5) * (0.8 if ill else 1.0), 10, 32),
        "epicardial_fat_mm": _within(rng.normal(2.0, 1.0) + 0.1 * (bmi - 25) + 0.03 * (age_years - 60), 0.4, 6),
    }


def _vessels(rng: np.random.Generator, sex: Sex, age_years: float) -> dict[str, Any]:
    """Aorta: Kalsch H et al., Int J Cardiol 2013;163:72-78 (ascending 37.1 and 34.5 mm, descending 28.2 and 25.4 mm,
    SD 4 and 3, wider with age). Pulmonary trunk: Truong QA et al., Circ Cardiovasc Imaging 2012;5:147-154 (25.1 mm,
    SD 2.8). Tortuosity: own choice.
    """
    male, older = sex == "M", age_years - 59
    return {
        "ascending_aorta_mm": _within(rng.normal(37.1 if male else 34.5, 3.5) + 0.13 * older, 26, 50),
        "descending_aorta_mm": _within(rng.normal(28.2 if male else 25.4, 2.6) + 0.1 * older, 19, 40),
        "aortic_tortuosity": _within(0.3 + 0.012 * older + rng.normal(0, 0.2), 0, 1),
        "pulmonary_trunk_mm": _within(rng.normal(25.1, 2.8), 18, 36),
    }


def _coronaries(rng: np.random.Generator, sex: Sex) -> dict[str, Any]:
    """Calibres: Dodge JT et al., Circulation 1992;86:232-246 (LM 4.5 +- 0.5, LAD 3.7 +- 0.4, LCx 3.4 +- 0.5 or 4.2 +-
    0.6 where dominant, RCA 3.9 +- 0.6 or 2.8 +- 0.5 where not; women 9 % less). LM length: Reig J, Petit M, Clin Anat
    2004;17:6-13 (10.8 +- 5.2 mm). Dominance 85 / 8 / 7 % and the rest: own choice.
    """
    dominance: Dominance = ("right", "left", "co")[int(rng.choice(3, p=(0.85, 0.08, 0.07)))]
    factor = 1.0 if sex == "M" else 0.91
    lcx_mm = rng.normal(4.2, 0.6) if dominance == "left" else rng.normal(3.4, 0.5)
    rca_mm = rng.normal(2.8, 0.5) if dominance == "left" else rng.normal(3.9, 0.6)
    return {
        "dominance": dominance,
        "lm_mm": _within(rng.normal(4.5, 0.5) * factor, 3, 6),
        "lad_mm": _within(rng.normal(3.7, 0.4) * factor, 2.5, 5),
        "lcx_mm": _within(lcx_mm * factor, 2, 5.5),
        "rca_mm": _within(rca_mm * factor, 1.8, 5.5),
        "lm_length_mm": _within(rng.normal(10.8, 4), 4, 22),
        "lad_reach": _within(rng.normal(0.95, 0.07), 0.75, 1.05),
        "diagonals": int(rng.integers(1, 4)),
        "marginals": int(rng.integers(1, 4)),
        "wiggle_mm": float(rng.uniform(0.4, 2.0)),
    }


def _skeleton(rng: np.random.Generator, sex: Sex, age_years: float) -> dict[str, Any]:
    """Number of ribs: about 1 % have 11 or 13 pairs; cartilage calcifies with age (all own choice)."""
    return {
        "kyphosis": _within(rng.normal(0.4, 0.15) + 0.01 * (age_years - 60), 0, 1),
        "scoliosis_mm": float(rng.normal(0, 3)),
        "ribs": int(rng.choice((11, 12, 13), p=(0.005, 0.99, 0.005))),
        "cartilage_calcification": _within(rng.normal(0.12, 0.12) + 0.006 * (age_years - 55), 0, 0.7),
    }


def _densities(rng: np.random.Generator, sex: Sex, age_years: float, bmi: float) -> dict[str, Any]:
    """Vertebrae: about 210 HU at 30 years, 110 at 75 (assumed; SD own choice). Liver: 54 HU, fatty in a fifth of all,
    more of the obese. Muscle: fattier with age. Lung: -780 and -855 HU in the two real CTs, of free and held breath.
    All but the measured: own choice.
    """
    old, fatty = (age_years - 30) / 45, rng.random() < 0.12 + 0.02 * max(0.0, bmi - 27)
    smoker = rng.random() < 0.12
    return {
        "trabecular_hu": _within(
            rng.normal(210 - 100 * old - (8 if sex == "F" and age_years > 55 else 0), 25), 45, 300
        ),
        "muscle_hu": _within(rng.normal(56 - 9 * old - 0.4 * (bmi - 26), 3), 22, 58),
        "liver_hu": _within(rng.uniform(8, 45) if fatty else rng.normal(55, 4), 8, 64),
        "lung_hu": _within(rng.normal(-800, 35) - (30 if smoker else 0), -890, -710),
        "emphysema": float(rng.uniform(0.3, 0.9)) if smoker else float(rng.uniform(0, 0.15)),
        "atelectasis_mm": float(rng.uniform(2, 9)) if rng.random() < 0.4 else 0.0,
    }
