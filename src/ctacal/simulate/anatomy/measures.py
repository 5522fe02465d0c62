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
KALSCH = "Kalsch H et al., Int J Cardiol 2013;163:72-78 (SD 4 and 3; wider with age)"
TRUONG = "Truong QA et al., Circ Cardiovasc Imaging 2012;5:147-154"
DODGE = "Dodge JT et al., Circulation 1992;86:232-246; women 9 % less"
REIG = "Reig J, Petit M, Clin Anat 2004;17:6-13 (SD 5.2)"
TWO_CTS = "two real CTs: -780 HU in free and -855 HU in held breath; SD: own choice"
BY_MR = "here 2-3 mm wider, as magnetic resonance measures them"
OWN_CHOICE = "own choice"

ANY = (-inf, inf)
"""No limits."""


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


_TABLE: tuple[tuple[str, Normal, Normal | None, tuple[float, float], str], ...] = (
    # name                        men           women         limits        source
    ("age_years",                 (63, 11),     None,         (35, 90),     OWN_CHOICE),
    ("height_cm",                 (175, 7),     (162, 7),     (145, 200),   NHANES),
    ("muscle_factor",             (1.0, 0.1),   (0.8, 0.1),   ANY,          OWN_CHOICE),
    ("diaphragm_mm",              (0, 9),       None,         ANY,          OWN_CHOICE),
    ("left_dome_lower_mm",        (12, 6),      None,         ANY,          OWN_CHOICE),
    ("heart_scale",               (1.0, 0.05),  (0.94, 0.05), (0.8, 1.2),   OWN_CHOICE),
    ("axis_left_deg",             (42, 7),      None,         (26, 60),     OWN_CHOICE),
    ("axial_rotation_deg",        (0, 8),       None,         ANY,          OWN_CHOICE),
    ("lv_diameter_mm",            (54.0, 4.1),  (51.2, 3.6),  (39, 65),     f"{LANG}: 50.2 and 45.0; {BY_MR}"),
    ("lv_wall_mm",                (7.8, 0.9),   (6.5, 0.9),   (5, 15),      KAWEL),
    ("la_scale",                  (1.0, 0.08),  None,         (0.8, 1.4),   OWN_CHOICE),
    ("rv_scale",                  (1.0, 0.06),  None,         (0.85, 1.25), OWN_CHOICE),
    ("ra_scale",                  (1.0, 0.08),  None,         (0.8, 1.3),   OWN_CHOICE),
    ("ejection_fraction",         (0.62, 0.05), None,         (0.2, 0.75),  LANG),
    ("failing_ejection_fraction", (0.45, 0.09), None,         (0.2, 0.75),  OWN_CHOICE),
    ("mitral_excursion_mm",       (13, 2),      None,         (4, 18),      OWN_CHOICE),
    ("tricuspid_excursion_mm",    (24, 3.5),    None,         (10, 32),     LANG),
    ("epicardial_fat_mm",         (2.0, 1.0),   None,         (0.4, 6),     OWN_CHOICE),
    ("ascending_aorta_mm",        (37.1, 3.5),  (34.5, 3.5),  (26, 50),     KALSCH),
    ("descending_aorta_mm",       (28.2, 2.6),  (25.4, 2.6),  (19, 40),     KALSCH),
    ("pulmonary_trunk_mm",        (25.1, 2.8),  None,         (18, 36),     TRUONG),
    ("lm_mm",                     (4.5, 0.5),   None,         (3, 6),       DODGE),
    ("lad_mm",                    (3.7, 0.4),   None,         (2.5, 5),     DODGE),
    ("lcx_mm",                    (3.4, 0.5),   None,         (2, 5.5),     DODGE),
    ("dominant_lcx_mm",           (4.2, 0.6),   None,         (2, 5.5),     DODGE),
    ("rca_mm",                    (2.8, 0.5),   None,         (1.8, 5.5),   DODGE),
    ("dominant_rca_mm",           (3.9, 0.6),   None,         (1.8, 5.5),   DODGE),
    ("lm_length_mm",              (10.8, 4),    None,         (4, 22),      REIG),
    ("lad_reach",                 (0.95, 0.07), None,         (0.75, 1.05), OWN_CHOICE),
    ("kyphosis",                  (0.4, 0.15),  None,         (0, 1),       OWN_CHOICE),
    ("scoliosis_mm",              (0, 3),       None,         ANY,          OWN_CHOICE),
    ("cartilage_calcification",   (0.12, 0.12), None,         (0, 0.7),     OWN_CHOICE),
    ("lung_hu",                   (-800, 35),   None,         (-890, -710), TWO_CTS),
)  # fmt: skip
"""Means and SDs are those of the sources; the source column names an SD that differs. ``None``: women as men."""

MEASURES: Mapping[str, Measure] = MappingProxyType(
    {name: Measure(men, women or men, limits, source) for name, men, women, limits, source in _TABLE}
)
"""Measures by the name of the field of ``Patient``, if there is such a field. Diameters of the coronary arteries are
those of men; ``description.FEMALE_CALIBRE`` makes them a woman's."""
