"""``CalciumDescription``: a patient's plaques and other calcium, drawn from a seed and stored as JSON.

How much: categories near 40 / 26 / 16 / 18 % (0 / 1-100 / 101-400 / >400), as in Miller RJH et al., J Nucl Med
2023;64:652-658. Where: the left anterior descending artery most often, near its origin (order of vessels as in the
CAC consortium and MESA; the shares are own choice). All sizes and densities: own choice within what is named beside.
"""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.simulate.anatomy.description import Patient
from ctacal.simulate.streams import Stream, generator


class Kind(StrEnum):
    """What calcium or metal is."""

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
    """The housing, of a defibrillator too."""
    SHOCK_COIL = "shock_coil"
    CONTRAST = "contrast"
    """Iodine left from an earlier examination, in gut, vein or heart muscle."""


METAL = frozenset(
    {Kind.STERNAL_WIRE, Kind.STENT, Kind.LEAD, Kind.VALVE_PROSTHESIS, Kind.BYPASS_CLIP, Kind.PACEMAKER, Kind.SHOCK_COIL}
)
NO_CALCIUM = METAL | {Kind.CONTRAST}
"""Described by the density of hydroxyapatite that attenuates alike; their mass of calcium is 0."""

STEEL_MG_CM3, TITANIUM_MG_CM3, IODINE_MG_PER_MG = 27_350.0, 9_070.0, 20.0
"""Hydroxyapatite in a voxel that attenuates like solid 316L steel or titanium, and like 1 mg of iodine, behind 200 mm
of water at 120 kVp (by the scanner's tables; 30,440 / 9,880 / 22.5 at 80 kVp and 26,200 / 8,770 / 18.9 at 140). It
hardens the beam less than metal does: within 20 % of its attenuation from 35 to 80 keV."""


@dataclass(frozen=True, slots=True)
class Deposit:
    """One plaque, other calcium, or device, placed relative to the anatomy so that it moves with it."""

    kind: Kind
    site: str
    """A coronary segment's name for plaques and stents, and for the clips of the graft to it; for the aortic wall root,
    ascending, arch or descending; RV, RA or SVC for leads and coils; oesophagus, stomach, vein or myocardium for
    contrast."""
    along: float
    """Share of the way along the site (0: origin), or of a turn."""
    angle_deg: float
    """About the site's middle line."""
    length_mm: float
    thickness_mm: float
    arc_deg: float
    """How much of the circumference it covers."""
    density_mg_cm3: float
    """Hydroxyapatite, or for what is no calcium the density that attenuates alike; mean over the shape."""
    seed: int
    """Of its irregular shape."""


@dataclass(frozen=True, slots=True)
class CalciumDescription:
    """All deposits of a patient."""

    deposits: tuple[Deposit, ...]

    def to_json(self) -> str:
        """A JSON array of all deposits."""
        return json.dumps([asdict(deposit) for deposit in self.deposits], indent=1)

    @classmethod
    def from_json(cls, text: str) -> "CalciumDescription":
        """What ``to_json`` wrote."""
        rows: list[dict[str, Any]] = json.loads(text)
        return cls(tuple(Deposit(**{**row, "kind": Kind(row["kind"])}) for row in rows))


NONE_SHARE = 0.33
"""Of patients without any coronary calcium, at the mean age: with age, sex and plaques too small to score, 40 %."""

BURDEN_MM3 = (45.0, 2.05)
"""Median and log SD of the coronary calcium's true volume where there is any: set so that the categories come out."""

SEGMENT_SHARES = {"LM": 0.07, "LAD": 0.44, "D1": 0.05, "LCX": 0.15, "OM1": 0.04, "RCA": 0.23, "PDA": 0.02}
"""How the plaques are shared out, on average."""

SPREAD = 3.0
"""How alike patients are in that (own choice: of those with calcium some 9 in 10 have it in the LAD, half in the RCA,
fewer in the LCx, a quarter in the LM)."""

PLAQUE_MM3 = (14.0, 0.9)
"""Median and log SD of one plaque's volume at the median burden; more calcium is rather more plaques than larger ones
(own choice: some 4 plaques at a score near 100, 10 to 25 above 400)."""


LEAST_MM3 = 2.5
"""Of one plaque: specks below it are on no CT that anybody scores, and mass spread over many of them would not be
either (own choice)."""

RADIUS_MM = 1.3
"""Of the artery, where a plaque's arc becomes a width."""


def draw_calcium(patient: Patient, seed: int) -> CalciumDescription:
    """Draw a patient's coronary calcium and whatever else is calcified or of metal; more in the old."""
    rng = generator(seed, Stream.CALCIUM)
    return CalciumDescription((*_plaques(rng, patient), *_others(rng, patient), *_devices(rng), *_contrast(rng)))


def _shift(patient: Patient) -> float:
    """Standard deviations of burden: older, and men, have more (the trend of MESA; its size is own choice)."""
    return 0.045 * (patient.age_years - 63) + (0.25 if patient.sex == "M" else -0.30)


def _plaques(rng: np.random.Generator, patient: Patient) -> list[Deposit]:
    shift = _shift(patient)
    if rng.random() < 1 / (1 + np.exp(1.5 * shift) * (1 / NONE_SHARE - 1)):
        return []
    target = min(float(np.exp(np.log(BURDEN_MM3[0]) + 0.5 * shift + BURDEN_MM3[1] * rng.normal())), 3500.0)
    shares = rng.dirichlet(SPREAD * np.array(list(SEGMENT_SHARES.values())))
    usual_mm3 = PLAQUE_MM3[0] * (target / BURDEN_MM3[0]) ** 0.45
    plaques: list[Deposit] = []
    total = 0.0
    while total < target and len(plaques) < 80:
        volume = max(LEAST_MM3, float(usual_mm3 * np.exp(PLAQUE_MM3[1] * rng.normal())))
        plaque = _plaque(rng, patient, shares, max(LEAST_MM3, min(target - total, volume)))
        plaques.append(plaque)
        total += plaque.length_mm * plaque.thickness_mm * np.deg2rad(plaque.arc_deg) * RADIUS_MM
    return plaques


def _plaque(rng: np.random.Generator, patient: Patient, shares: NDArray[np.float64], volume_mm3: float) -> Deposit:
    """One plaque of about that volume: length 1.5-35 mm, thickness 0.7-3 mm along the wall, 150-1300 mg/cm3.

    Larger ones are thicker and denser (own choice).
    """
    names = list(SEGMENT_SHARES)
    name = names[int(rng.choice(len(names), p=shares))]
    if name == "PDA" and patient.dominance == "left":
        name = "RCA"
    thickness = float(np.clip(rng.lognormal(np.log(1.3), 0.3) * (volume_mm3 / PLAQUE_MM3[0]) ** 0.2, 0.7, 3.0))
    arc = float(np.clip(rng.normal(110, 40), 50, 270))
    length = float(np.clip(volume_mm3 / (thickness * np.deg2rad(arc) * RADIUS_MM), 1.5, 35))
    near = rng.beta(1.2, 3.5) if name in ("LAD", "LCX") else rng.beta(1.2, 2.0)
    density = np.clip(rng.normal(560, 200) + 45 * np.log1p(volume_mm3 / 20), 150, 1300)
    return Deposit(
        Kind.CORONARY, name, _four(near), _four(rng.uniform(0, 360)), _four(length), _four(thickness), _four(arc),
        _four(density), int(rng.integers(2**31)),
    )  # fmt: skip


def _four(value: float) -> float:
    return round(float(value), 4)


def _others(rng: np.random.Generator, patient: Patient) -> list[Deposit]:
    """Calcium outside of the coronary arteries, more with age. How often at the mean age of 63, and in cohorts:

    - wall of arch or descending aorta 43 %: 28 % in MESA, without the arch (doi 10.1016/j.ahj.2007.11.019), 63 % in the
      Heinz Nixdorf Recall study (doi 10.1007/s10554-012-0051-3);
    - wall of root or ascending aorta 7 %: 3.4 % in MESA, without known disease (Thomas et al., Atherosclerosis 2017);
    - aortic valve 17 %: 13 % in MESA (Whelton et al., JACC Cardiovasc Imaging 2022), 14 % in SCOT-HEART (PMC7899264);
    - mitral ring 13 %: 4 % in SCOT-HEART; patients sent for a scan of perfusion are older than either.

    All else: own choice.
    """
    old = float(np.clip((patient.age_years - 40) / 40, 0, 1.2))
    wall = (1.5, 16), (0.5, 2.2), (15, 80), (250, 1100)
    anywhere = ("",)
    plan: tuple[tuple[Any, ...], ...] = (
        (Kind.AORTIC_WALL, ("arch", "descending"), 0.75 * old, 12 * old, *wall),
        (Kind.AORTIC_WALL, ("root", "ascending"), 0.12 * old, 5 * old, *wall),
        (Kind.AORTIC_VALVE, anywhere, 0.30 * old, 5, (2, 8), (0.8, 3), (20, 60), (250, 1000)),
        (Kind.MITRAL_ANNULUS, anywhere, 0.22 * old, 3, (4, 32), (1.5, 6), (30, 90), (300, 1100)),
        (Kind.PERICARDIUM, anywhere, 0.03, 3, (6, 40), (0.8, 3), (30, 90), (300, 900)),
        (Kind.LYMPH_NODE, anywhere, 0.25, 2, (3, 10), (3, 8), (360, 360), (200, 900)),
        (Kind.HILAR, anywhere, 0.22, 3, (2, 7), (2, 6), (360, 360), (200, 900)),
        (Kind.PLEURA, anywhere, 0.06, 4, (8, 45), (1, 4), (30, 90), (300, 900)),
    )
    found = []
    for kind, sites, chance, most, *ranges in plan:
        number = int(rng.integers(1, max(2, round(most) + 1))) if rng.random() < chance else 0
        found += [_other(rng, kind, sites, ranges) for _ in range(number)]
    return found


def _other(rng: np.random.Generator, kind: Kind, sites: tuple[str, ...], ranges: list[tuple[float, float]]) -> Deposit:
    site = sites[int(rng.integers(len(sites)))]
    length, thickness, arc, density = (_four(low + (high - low) * rng.beta(1.3, 2.6)) for low, high in ranges)
    values = (_four(rng.random()), _four(rng.uniform(0, 360)), length, thickness, arc, density)
    return Deposit(kind, site, *values, int(rng.integers(2**31)))


def _devices(rng: np.random.Generator) -> list[Deposit]:
    """Metal; how often: own choice."""
    found = []
    if rng.random() < 0.07:
        found += _surgery(rng)
    if rng.random() < 0.05:
        found += _pacemaker(rng)
    if rng.random() < 0.08:
        site = ("LAD", "RCA", "LCX")[int(rng.choice(3, p=(0.5, 0.3, 0.2)))]
        values: dict[str, Any] = {"length_mm": _four(rng.uniform(12, 33)), "along": _four(rng.uniform(0.05, 0.45))}
        found.append(_device(rng, Kind.STENT, 0.03 * STEEL_MG_CM3, site=site, thickness_mm=STENT_WALL_MM, **values))
    return found


STENT_WALL_MM = 0.6
"""Wall of the artery that the struts are spread over; steel is 3 % of it: struts of 0.12 mm on 15 % of the wall's area
(assumed; usual figures)."""


def _surgery(rng: np.random.Generator) -> list[Deposit]:
    """Wires of 0.8 mm around the sternum (own choice: number 5 to 7 have 0.8-1 mm); clips, or a valve's ring."""
    found = [_device(rng, Kind.STERNAL_WIRE, STEEL_MG_CM3, along=(n + 0.5) / 6, thickness_mm=0.8) for n in range(6)]
    if rng.random() < 0.6:
        values: dict[str, Any] = {"site": "LAD", "thickness_mm": 0.7, "length_mm": 4.0}
        return found + [_device(rng, Kind.BYPASS_CLIP, TITANIUM_MG_CM3, **values) for _ in range(8)]
    return [*found, _device(rng, Kind.VALVE_PROSTHESIS, STEEL_MG_CM3, thickness_mm=1.3)]


def _pacemaker(rng: np.random.Generator) -> list[Deposit]:
    """Housing 45 x 50 x 8 mm, leads 2 mm thick of which a tenth is metal; three in ten shock.

    A shock coil is 2.8 mm thick, three tenths metal; the housing attenuates as if it were of solid titanium, battery
    and circuits included. All figures: assumed.
    """
    chambers = ("RV", "RA")[: int(rng.integers(1, 3))]
    found = [_device(rng, Kind.PACEMAKER, TITANIUM_MG_CM3, site="left", length_mm=50.0, thickness_mm=8.0)]
    if rng.random() < 0.3:  # before the lead that the coils lie on
        for site, length in (("RV", 55.0), ("SVC", 70.0))[: int(rng.integers(1, 3))]:
            values: dict[str, Any] = {"site": site, "length_mm": length, "thickness_mm": 2.8}
            found.append(_device(rng, Kind.SHOCK_COIL, 0.3 * STEEL_MG_CM3, **values))
    chambers = ("RV", "RA")[: int(rng.integers(1, 3))]
    return found + [_device(rng, Kind.LEAD, 0.1 * STEEL_MG_CM3, site=site, thickness_mm=2.0) for site in chambers]


def _contrast(rng: np.random.Generator) -> list[Deposit]:
    """Iodine (or, in the gut, barium: much alike): chance, least and most mg/cm3, how wide; all own choice."""
    plan = (("oesophagus", 0.02, 2, 12, 7.0), ("stomach", 0.03, 2, 15, 40.0), ("vein", 0.01, 2, 12, 12.0),
            ("myocardium", 0.02, 0.5, 2, 4.0))  # fmt: skip
    found = []
    for site, chance, least, most, wide in plan:
        if rng.random() < chance:
            density = _four(IODINE_MG_PER_MG * rng.uniform(least, most))
            values: dict[str, Any] = {"site": site, "thickness_mm": wide, "length_mm": _four(rng.uniform(20, 60))}
            found.append(_device(rng, Kind.CONTRAST, density, **values))
    return found


def _device(
    rng: np.random.Generator, kind: Kind, density_mg_cm3: float, *, site: str = "", along: float | None = None,
    thickness_mm: float, length_mm: float = 0.0,
) -> Deposit:  # fmt: skip
    at, angle = _four(rng.random()) if along is None else _four(along), _four(rng.uniform(0, 360))
    return Deposit(
        kind, site, at, angle, length_mm, thickness_mm, 360.0, _four(density_mg_cm3), int(rng.integers(2**31))
    )
