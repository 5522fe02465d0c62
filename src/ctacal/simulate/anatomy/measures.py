"""``MEASURES``: the distributions that a patient's measures are drawn from, each with its source."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import Literal

import numpy as np

Sex = Literal["F", "M"]
Normal = tuple[float, float]
"""Mean and SD."""

NHANES = "NHANES 2015-2018, rounded"
LANG = "Lang RM et al., J Am Soc Echocardiogr 2015;28:1-39"
KAWEL = "Kawel N et al., Circ Cardiovasc Imaging 2012;5:500-508 (some 7.8 and 6.4 mm)"
KALSCH = "Kalsch H et al., Int J Cardiol 2013;163:72-78 (SD 4 and 3); slopes over age: there"
TRUONG = "Truong QA et al., Circ Cardiovasc Imaging 2012;5:147-154"
DODGE = "Dodge JT et al., Circulation 1992;86:232-246; women 9 % less"
REIG = "Reig J, Petit M, Clin Anat 2004;17:6-13 (SD 5.2)"
OWN_CHOICE = "own choice"


@dataclass(frozen=True, slots=True)
class Measure:
    """The normal distribution of one measure, and the limits of what a patient may have."""

    men: Normal
    women: Normal
    limits: tuple[float, float]
    """Lowest and highest value, other influences (age, BMI, illness) included."""
    source: str

    def draw(self, rng: np.random.Generator, sex: Sex) -> float:
        """Return a value, before the limits."""
        return float(rng.normal(*(self.men if sex == "M" else self.women)))

    def limited(self, value: float) -> float:
        """Return the value within the limits."""
        return float(min(max(value, self.limits[0]), self.limits[1]))


def _alike(mean: float, sd: float, low: float, high: float, source: str = OWN_CHOICE) -> Measure:
    """Return a measure that is distributed alike in men and women."""
    return Measure((mean, sd), (mean, sd), (low, high), source)


MEASURES: Mapping[str, Measure] = MappingProxyType({
    # name                               men          women         limits       source
    "age_years": _alike(63, 11, 35, 90),
    "height_cm": Measure(                (175, 7),    (162, 7),     (145, 200),  NHANES),
    "muscle_factor": Measure(            (1.0, 0.1),  (0.8, 0.1),   (-inf, inf), OWN_CHOICE),
    "diaphragm_mm": _alike(0, 9, -inf, inf),
    "left_dome_lower_mm": _alike(12, 6, -inf, inf),
    "heart_scale": Measure(              (1.0, 0.05), (0.94, 0.05), (0.8, 1.2),  OWN_CHOICE),
    "axis_left_deg": _alike(42, 7, 26, 60),
    "axial_rotation_deg": _alike(0, 8, -inf, inf),
    "lv_diameter_mm": Measure(           (54.0, 4.1), (51.2, 3.6),  (39, 65),
                              f"{LANG} (50.2 +- 4.1, 45.0 +- 3.6), wider as magnetic resonance measures them"),
    "lv_wall_mm": Measure(               (7.8, 0.9),  (6.5, 0.9),   (5, 15),     KAWEL),
    "la_scale": _alike(1.0, 0.08, 0.8, 1.4),
    "rv_scale": _alike(1.0, 0.06, 0.85, 1.25),
    "ra_scale": _alike(1.0, 0.08, 0.8, 1.3),
    "ejection_fraction": _alike(0.62, 0.05, 0.2, 0.75, LANG),
    "failing_ejection_fraction": _alike(0.45, 0.09, 0.2, 0.75),
    "mitral_excursion_mm": _alike(13, 2, 4, 18),
    "tricuspid_excursion_mm": _alike(24, 3.5, 10, 32, LANG),
    "epicardial_fat_mm": _alike(2.0, 1.0, 0.4, 6),
    "ascending_aorta_mm": Measure(       (37.1, 3.5), (34.5, 3.5),  (26, 50),    KALSCH),
    "descending_aorta_mm": Measure(      (28.2, 2.6), (25.4, 2.6),  (19, 40),    KALSCH),
    "pulmonary_trunk_mm": _alike(25.1, 2.8, 18, 36, TRUONG),
    "lm_mm": _alike(4.5, 0.5, 3, 6, DODGE),
    "lad_mm": _alike(3.7, 0.4, 2.5, 5, DODGE),
    "lcx_mm": _alike(3.4, 0.5, 2, 5.5, DODGE),
    "dominant_lcx_mm": _alike(4.2, 0.6, 2, 5.5, DODGE),
    "rca_mm": _alike(2.8, 0.5, 1.8, 5.5, DODGE),
    "dominant_rca_mm": _alike(3.9, 0.6, 1.8, 5.5, DODGE),
    "lm_length_mm": _alike(10.8, 4, 4, 22, REIG),
    "lad_reach": _alike(0.95, 0.07, 0.75, 1.05),
    "kyphosis": _alike(0.4, 0.15, 0, 1),
    "scoliosis_mm": _alike(0, 3, -inf, inf),
    "cartilage_calcification": _alike(0.12, 0.12, 0, 0.7),
    "lung_hu": _alike(-800, 35, -890, -710, "two real CTs: -780 HU in free and -855 HU in held breath; SD own choice"),
})  # fmt: skip
"""By the name of the field of ``Patient``, where there is one. Diameters of the coronary arteries are those of men;
``description.FEMALE_CALIBRE`` makes them a woman's."""
