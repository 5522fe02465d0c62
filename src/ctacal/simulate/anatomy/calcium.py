"""``CalciumDescription``: a patient's plaques and other calcium, drawn from a seed and stored as JSON.

The amount gives categories near 40, 26, 16 and 18 % (0, 1-100, 101-400, >400), as in Miller RJH et al., J Nucl Med
2023;64:652-658. Plaques are most frequent in the left anterior descending artery, near its origin (order of vessels as
in the CAC Consortium and MESA; shares: own choice). Sizes and densities are own choice unless a source is named.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np

from ctacal.simulate.anatomy.description import Patient
from ctacal.simulate.streams import Stream, generator

Range = tuple[float, float]
"""Lowest and highest value."""


class Kind(StrEnum):
    """Kinds of calcium, metal and contrast."""

    CORONARY = "coronary"
    AORTIC_WALL = "aortic_wall"
    AORTIC_VALVE = "aortic_valve"
    MITRAL_ANNULUS = "mitral_annulus"
    PERICARDIUM = "pericardium"
    LYMPH_NODE = "lymph_node"
    HILAR = "hilar"
    PLEURA = "pleura"
    STERNAL_WIRE = "sternal_wire"
    STENT = "stent"
    LEAD = "lead"
    VALVE_PROSTHESIS = "valve_prosthesis"
    BYPASS_CLIP = "bypass_clip"
    PACEMAKER = "pacemaker"
    """The housing of a pacemaker or defibrillator."""
    SHOCK_COIL = "shock_coil"
    CONTRAST = "contrast"
    """Contrast from an earlier examination, in the gut, a vein or the heart muscle."""
    MYOCARDIAL_SCAR = "myocardial_scar"
    """A thin sheet in the scarred wall of the left ventricle, near the apex or below."""


METAL = frozenset(
    {Kind.STERNAL_WIRE, Kind.STENT, Kind.LEAD, Kind.VALVE_PROSTHESIS, Kind.BYPASS_CLIP, Kind.PACEMAKER, Kind.SHOCK_COIL}
)
NO_CALCIUM = METAL | {Kind.CONTRAST}
"""Kinds without calcium; their density is that of hydroxyapatite that attenuates alike."""

STEEL_MG_CM3, TITANIUM_MG_CM3, IODINE_MG_PER_MG = 27_350.0, 9_070.0, 20.0
"""Density of hydroxyapatite that attenuates like solid 316L steel or titanium, and its mass that attenuates like 1 mg
of iodine, behind 200 mm of water at 120 kVp. They come from the scanner's tables, which have 30,440, 9,880 and 22.5 at
80 kVp, and 26,200, 8,770 and 18.9 at 140 kVp. It hardens the beam less than metal does: from 35 to 80 keV, its
attenuation is within 20 %."""


@dataclass(frozen=True, slots=True)
class Deposit:
    """A plaque, other calcium or a device, placed relative to the anatomy so that it moves with it."""

    kind: Kind
    site: str
    """Plaques and stents: the coronary segment; clips: the grafted segment; aortic wall: root, ascending, arch or
    descending; nodes: window (below the arch of the aorta), or none (beside the airways); leads and coils: RV, RA or
    SVC; contrast: oesophagus, stomach, vein or myocardium."""
    along: float
    """Position along the site, from 0 (origin) to 1, or share of a turn."""
    angle_deg: float
    """Angle about the site's centre line."""
    length_mm: float
    thickness_mm: float
    arc_deg: float
    """Part of the circumference that it covers."""
    density_mg_cm3: float
    """Mean density of hydroxyapatite; for metal and contrast, the density that attenuates alike."""
    seed: int
    """Seed of its irregular shape."""


@dataclass(frozen=True, slots=True)
class CalciumDescription:
    """All deposits of a patient."""

    deposits: tuple[Deposit, ...]

    def to_json(self) -> str:
        """Return a JSON array of all deposits."""
        return json.dumps([asdict(deposit) for deposit in self.deposits], indent=1)

    @classmethod
    def from_json(cls, text: str) -> "CalciumDescription":
        """Return the description that ``to_json`` wrote."""
        rows: list[dict[str, Any]] = json.loads(text)
        return cls(tuple(Deposit(**{**row, "kind": Kind(row["kind"])}) for row in rows))


NONE_SHARE = 0.33
"""Share of patients of the mean age without coronary calcium. With age, sex and plaques too small to score: 40 %."""

BURDEN_MM3 = (45.0, 2.05)
"""Median and log SD of the true volume of coronary calcium in those who have any, chosen to give the categories."""

SEGMENT_SHARES: Mapping[str, float] = MappingProxyType(
    {"LM": 0.07, "LAD": 0.44, "D1": 0.05, "LCX": 0.15, "OM1": 0.04, "RCA": 0.23, "PDA": 0.02}
)
"""Mean share of the plaques in each segment (own choice)."""

BRANCH_SHARES: Mapping[str, float] = MappingProxyType(
    {"LM": 0.17, "LAD": 0.26, "D1": 0.10, "D2": 0.05, "LCX": 0.13, "OM1": 0.10, "OM2": 0.05, "RCA": 0.11, "PDA": 0.03}
)
"""The same where plaques of the left main, the diagonal and marginal branches are wanted more often (own choice)."""

SPREAD = 3.0
"""Concentration of the shares among patients. Own choice: of those with calcium, some 9 in 10 have it in the LAD, half
in the RCA, fewer in the LCx, a quarter in the LM."""

PLAQUE_MM3 = (14.0, 0.9)
"""Median and log SD of one plaque's volume at the median burden; with more calcium, plaques are more numerous
rather than larger. Own choice: some 4 plaques at a score near 100, 10 to 25 above 400."""


LEAST_MM3 = 2.5
"""Smallest volume of a plaque (own choice). Smaller specks cannot be scored on any CT, nor could much calcium that is
spread over many of them."""

RADIUS_MM = 1.3
"""Radius of an artery, to convert a plaque's arc to its width (own choice)."""


@dataclass(frozen=True, slots=True)
class OtherCalcium:
    """How often calcium of one kind occurs outside of the coronary arteries, how many deposits, and their ranges."""

    kind: Kind
    sites: tuple[str, ...]
    chance: float
    """Share of patients; at 80 years of age if it ``ages``."""
    most: float
    """Largest number of deposits; at 80 years of age if it ``ages_in_number``."""
    ages: bool
    """Whether the share of patients rises with age."""
    ages_in_number: bool
    length_mm: Range
    thickness_mm: Range
    arc_deg: Range
    density_mg_cm3: Range
    source: str
    """Source of the resulting share of patients, at the mean age of 63; ranges are own choice."""


_ARCH = ("43 % of patients: 28 % in MESA, without the arch (doi 10.1016/j.ahj.2007.11.019), 63 % in the Heinz Nixdorf "
         "Recall study (doi 10.1007/s10554-012-0051-3)")  # fmt: skip
_ROOT = "7 % of patients: 3.4 % in MESA, without known disease (Thomas et al., Atherosclerosis 2017)"
_VALVE = ("17 % of patients: 13 % in MESA (Whelton et al., JACC Cardiovasc Imaging 2022), 14 % in SCOT-HEART "
          "(PMC7899264)")  # fmt: skip
_RING = "13 % of patients: 4 % in SCOT-HEART; patients sent for a perfusion scan are older"
_OWN = "own choice"
_DESCENDING, _ASCENDING, _ANYWHERE = ("arch", "descending"), ("root", "ascending"), ("",)

OTHER_CALCIUM = tuple(OtherCalcium(*row) for row in (
    # kind              sites        chance most ages   number length    thickness   arc         density      source
    (Kind.AORTIC_WALL,  _DESCENDING, 0.75,  12,  True,  True,  (1.5, 16), (0.5, 2.2), (15, 80),   (250, 1100), _ARCH),
    (Kind.AORTIC_WALL,  _ASCENDING,  0.12,  5,   True,  True,  (1.5, 16), (0.5, 2.2), (15, 80),   (250, 1100), _ROOT),
    (Kind.AORTIC_VALVE, _ANYWHERE,   0.30,  5,   True,  False, (2, 8),    (0.8, 3),   (20, 60),   (250, 1000), _VALVE),
    (Kind.MITRAL_ANNULUS, _ANYWHERE, 0.22,  3,   True,  False, (4, 32),   (1.5, 6),   (30, 90),   (300, 1100), _RING),
    (Kind.PERICARDIUM,  _ANYWHERE,   0.03,  3,   False, False, (6, 40),   (0.8, 3),   (30, 90),   (300, 900),  _OWN),
    (Kind.LYMPH_NODE,   _ANYWHERE,   0.25,  2,   False, False, (3, 10),   (3, 8),     (360, 360), (200, 900),  _OWN),
    (Kind.HILAR,        _ANYWHERE,   0.22,  3,   False, False, (2, 7),    (2, 6),     (360, 360), (200, 900),  _OWN),
    (Kind.PLEURA,       _ANYWHERE,   0.06,  4,   False, False, (8, 45),   (1, 4),     (30, 90),   (300, 900),  _OWN),
))  # fmt: skip
"""Calcium outside of the coronary arteries."""

CONTRAST = (
    # site         chance  mg/cm3 of iodine  width in mm
    ("oesophagus", 0.02,   (2, 12),          7.0),
    ("stomach",    0.03,   (2, 15),          40.0),
    ("vein",       0.01,   (2, 12),          12.0),
    ("myocardium", 0.02,   (0.5, 2),         4.0),
)  # fmt: skip
"""Iodine left from an earlier examination, or barium in the gut, which is much alike (own choice)."""


OFTEN: Mapping[tuple[Kind, tuple[str, ...]], tuple[float, float]] = MappingProxyType({
    (Kind.AORTIC_WALL, _DESCENDING): (0.8, 12),
    (Kind.AORTIC_WALL, _ASCENDING): (0.55, 8),
    (Kind.AORTIC_VALVE, _ANYWHERE): (0.4, 6),
    (Kind.MITRAL_ANNULUS, _ANYWHERE): (0.4, 4),
    (Kind.PERICARDIUM, _ANYWHERE): (0.15, 4),
    (Kind.LYMPH_NODE, _ANYWHERE): (0.35, 4),
    (Kind.HILAR, _ANYWHERE): (0.45, 6),
    (Kind.PLEURA, _ANYWHERE): (0.12, 4),
})  # fmt: skip
"""Chance and largest number, at any age, of the rows of ``OTHER_CALCIUM`` where confounders are wanted (own choice)."""

RARE_CALCIUM = tuple(OtherCalcium(*row) for row in (
    # kind                 sites         chance most ages  number length    thickness   arc        density      source
    (Kind.LYMPH_NODE,      ("window",),  0.25,  3,   False, False, (3, 12),  (3, 9),     (360, 360), (200, 900), _OWN),
    (Kind.MYOCARDIAL_SCAR, _ANYWHERE,    0.15,  2,   False, False, (12, 50), (0.7, 3),   (25, 110), (200, 900),  _OWN),
))  # fmt: skip
"""Calcium that ``draw_calcium`` draws only where confounders are wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prevalence:
    """How often a group of patients has plaques in each segment, other calcium, devices and contrast."""

    segments: Mapping[str, float]
    """Mean share of the plaques in each segment."""
    others: tuple[OtherCalcium, ...]
    surgery: float
    """Share of patients with sternal wires, and clips or a prosthetic valve."""
    pacemaker: float
    stent: float
    contrast: float
    """Factor of the chances of ``CONTRAST``."""


CLINICAL = Prevalence(
    segments=SEGMENT_SHARES, others=OTHER_CALCIUM, surgery=0.07, pacemaker=0.05, stent=0.08, contrast=1.0
)
"""Patients as they are sent to perfusion imaging (devices: own choice)."""

CONFOUNDED = replace(
    CLINICAL,
    others=(
        *(
            replace(row, chance=chance, most=most, ages=False, ages_in_number=False)
            for row in OTHER_CALCIUM
            for chance, most in (OFTEN[row.kind, row.sites],)
        ),
        *RARE_CALCIUM,
    ),
    surgery=0.2,
    pacemaker=0.15,
    stent=0.2,
    contrast=3.0,
)
"""Patients with much of what is mistaken for coronary calcium, their plaques as in ``CLINICAL`` (own choice)."""

BRANCHED = replace(CONFOUNDED, segments=BRANCH_SHARES)
"""As ``CONFOUNDED``, with more plaques in the left main and the branches, for training."""


def draw_calcium(patient: Patient, seed: int, prevalence: Prevalence = CLINICAL) -> CalciumDescription:
    """Draw a patient's coronary calcium, other calcium, metal and contrast; calcium increases with age."""
    rng = generator(seed, Stream.CALCIUM)
    plaques, others = _plaques(rng, patient, prevalence.segments), _others(rng, patient, prevalence.others)
    devices, contrast = _devices(rng, prevalence), _contrast(rng, prevalence.contrast)
    return CalciumDescription((*plaques, *others, *devices, *contrast))


def _shift(patient: Patient) -> float:
    """Return the burden in SD: more in the old and in men (as in MESA; size of the effect: own choice)."""
    return 0.045 * (patient.age_years - 63) + (0.25 if patient.sex == "M" else -0.30)


def _plaques(rng: np.random.Generator, patient: Patient, segments: Mapping[str, float]) -> list[Deposit]:
    shift = _shift(patient)
    if rng.random() < 1 / (1 + np.exp(1.5 * shift) * (1 / NONE_SHARE - 1)):
        return []
    target = min(float(np.exp(np.log(BURDEN_MM3[0]) + 0.5 * shift + BURDEN_MM3[1] * rng.normal())), 3500.0)
    names = tuple(segments)
    shares = rng.dirichlet(SPREAD * np.array([segments[name] for name in names]))
    usual_mm3 = PLAQUE_MM3[0] * (target / BURDEN_MM3[0]) ** 0.45
    plaques: list[Deposit] = []
    total = 0.0
    while total < target and len(plaques) < 80:
        volume = max(LEAST_MM3, float(usual_mm3 * np.exp(PLAQUE_MM3[1] * rng.normal())))
        plaque = _plaque(
            rng, patient, names[int(rng.choice(len(names), p=shares))], max(LEAST_MM3, min(target - total, volume))
        )
        plaques.append(plaque)
        total += plaque.length_mm * plaque.thickness_mm * np.deg2rad(plaque.arc_deg) * RADIUS_MM
    return plaques


def _plaque(rng: np.random.Generator, patient: Patient, name: str, volume_mm3: float) -> Deposit:
    """Draw a plaque of about this volume in a segment: length 1.5-35 mm, thickness 0.7-3 mm, 150-1300 mg/cm3.

    Larger plaques are thicker and denser (own choice).
    """
    if name == "PDA" and patient.dominance == "left":
        name = "RCA"
    thickness = float(np.clip(rng.lognormal(np.log(1.3), 0.3) * (volume_mm3 / PLAQUE_MM3[0]) ** 0.2, 0.7, 3.0))
    arc = float(np.clip(rng.normal(110, 40), 50, 270))
    length = float(np.clip(volume_mm3 / (thickness * np.deg2rad(arc) * RADIUS_MM), 1.5, 35))
    near = rng.beta(1.2, 3.5) if name in ("LAD", "LCX") else rng.beta(1.2, 2.0)
    density = np.clip(rng.normal(560, 200) + 45 * np.log1p(volume_mm3 / 20), 150, 1300)
    return Deposit(
        Kind.CORONARY, name, _rounded(near), _rounded(rng.uniform(0, 360)), _rounded(length), _rounded(thickness),
        _rounded(arc), _rounded(density), int(rng.integers(2**31)),
    )  # fmt: skip


def _rounded(value: float) -> float:
    """Return the value with four decimals, as stored."""
    return round(float(value), 4)


def _others(rng: np.random.Generator, patient: Patient, rows: tuple[OtherCalcium, ...]) -> list[Deposit]:
    """Draw calcium outside of the coronary arteries."""
    old = float(np.clip((patient.age_years - 40) / 40, 0, 1.2))
    found = []
    for row in rows:
        chance = row.chance * old if row.ages else row.chance
        most = row.most * old if row.ages_in_number else row.most
        number = int(rng.integers(1, max(2, round(most) + 1))) if rng.random() < chance else 0
        found += [_other(rng, row) for _ in range(number)]
    return found


def _other(rng: np.random.Generator, row: OtherCalcium) -> Deposit:
    site = row.sites[int(rng.integers(len(row.sites)))]
    ranges = row.length_mm, row.thickness_mm, row.arc_deg, row.density_mg_cm3
    length, thickness, arc, density = (_rounded(low + (high - low) * rng.beta(1.3, 2.6)) for low, high in ranges)
    values = (_rounded(rng.random()), _rounded(rng.uniform(0, 360)), length, thickness, arc, density)
    return Deposit(row.kind, site, *values, int(rng.integers(2**31)))


def _devices(rng: np.random.Generator, prevalence: Prevalence) -> list[Deposit]:
    """Draw metal devices."""
    found = []
    if rng.random() < prevalence.surgery:
        found += _surgery(rng)
    if rng.random() < prevalence.pacemaker:
        found += _pacemaker(rng)
    if rng.random() < prevalence.stent:
        site = ("LAD", "RCA", "LCX")[int(rng.choice(3, p=(0.5, 0.3, 0.2)))]
        values: dict[str, Any] = {
            "length_mm": _rounded(rng.uniform(12, 33)),
            "along": _rounded(rng.uniform(0.05, 0.45)),
        }
        found.append(_device(rng, Kind.STENT, 0.03 * STEEL_MG_CM3, site=site, thickness_mm=STENT_WALL_MM, **values))
    return found


STENT_WALL_MM = 0.6
"""Thickness of the arterial wall that contains the struts. Steel is 3 % of it: struts of 0.12 mm on 15 % of the wall's
area (assumed; usual figures)."""


def _surgery(rng: np.random.Generator) -> list[Deposit]:
    """Draw sternal wires of 0.8 mm (own choice: numbers 5 to 7 have 0.8-1 mm), with clips or a prosthetic valve."""
    found = [_device(rng, Kind.STERNAL_WIRE, STEEL_MG_CM3, along=(n + 0.5) / 6, thickness_mm=0.8) for n in range(6)]
    if rng.random() < 0.6:
        values: dict[str, Any] = {"site": "LAD", "thickness_mm": 0.7, "length_mm": 4.0}
        return found + [_device(rng, Kind.BYPASS_CLIP, TITANIUM_MG_CM3, **values) for _ in range(8)]
    return [*found, _device(rng, Kind.VALVE_PROSTHESIS, STEEL_MG_CM3, thickness_mm=1.3)]


def _pacemaker(rng: np.random.Generator) -> list[Deposit]:
    """Draw a pacemaker or, in three of ten, a defibrillator with shock coils. All numbers: assumed.

    The housing is 45 x 50 x 8 mm and attenuates like solid titanium, battery and circuits included. Leads are 2 mm
    thick, a tenth of it metal; shock coils are 2.8 mm thick, three tenths metal.
    """
    chambers = ("RV", "RA")[: int(rng.integers(1, 3))]
    found = [_device(rng, Kind.PACEMAKER, TITANIUM_MG_CM3, site="left", length_mm=50.0, thickness_mm=8.0)]
    if rng.random() < 0.3:  # before the lead on which the coils lie
        for site, length in (("RV", 55.0), ("SVC", 70.0))[: int(rng.integers(1, 3))]:
            values: dict[str, Any] = {"site": site, "length_mm": length, "thickness_mm": 2.8}
            found.append(_device(rng, Kind.SHOCK_COIL, 0.3 * STEEL_MG_CM3, **values))
    chambers = ("RV", "RA")[: int(rng.integers(1, 3))]
    return found + [_device(rng, Kind.LEAD, 0.1 * STEEL_MG_CM3, site=site, thickness_mm=2.0) for site in chambers]


def _contrast(rng: np.random.Generator, factor: float) -> list[Deposit]:
    """Draw contrast from an earlier examination."""
    found = []
    for site, chance, iodine_mg_cm3, wide_mm in CONTRAST:
        if rng.random() < factor * chance:
            density = _rounded(IODINE_MG_PER_MG * rng.uniform(*iodine_mg_cm3))
            values: dict[str, Any] = {"site": site, "thickness_mm": wide_mm, "length_mm": _rounded(rng.uniform(20, 60))}
            found.append(_device(rng, Kind.CONTRAST, density, **values))
    return found


def _device(
    rng: np.random.Generator, kind: Kind, density_mg_cm3: float, *, site: str = "", along: float | None = None,
    thickness_mm: float, length_mm: float = 0.0,
) -> Deposit:  # fmt: skip
    at, angle = _rounded(rng.random()) if along is None else _rounded(along), _rounded(rng.uniform(0, 360))
    return Deposit(
        kind, site, at, angle, length_mm, thickness_mm, 360.0, _rounded(density_mg_cm3), int(rng.integers(2**31))
    )
