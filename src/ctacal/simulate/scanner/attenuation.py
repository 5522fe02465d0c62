"""Spectra and attenuation: the photons of a beam, and how each tissue attenuates them.

Each tissue is described by the amounts, in g/cm3, of two basis materials, water and hydroxyapatite, that attenuate
alike (Alvarez RE, Macovski A, Phys Med Biol 1976;21:733-744). No material here has an absorption edge above 30 keV, so
two are enough: at the transmitted energies, the fit is within 0.1 % for tissues and within 2 % for steel and titanium.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ctacal.arrays import Floats
from ctacal.simulate.materials import Tissue
from ctacal.simulate.scanner.protocol import ScannerProtocol

HYDROXYAPATITE = "Ca10P6O26H2"
HYDROXYAPATITE_MG_PER_CM3 = 3160.0
"""Density of the pure mineral."""

ENERGY_BINS = 30
"""Number of energy bins (own choice: twice as many change HU by less than 0.1)."""

ANODE_DEG = 8.0
"""Anode angle (assumed): 12 degrees change calcium's contrast by less than 1 % (benchmarks/kvp_factors.py)."""

SCINTILLATOR = "Gd2O2S"
SCINTILLATOR_G_PER_CM2 = 7.34 * 0.14
"""1.4 mm of gadolinium oxysulfide ceramic, as in benchmarks/kvp_factors.py (assumed for all scanners)."""

SPECTRA = Path(__file__).parent / "spectra.npz"
"""Stored results of ``computed_spectrum`` for the presets, (2, energies) by "kVp mm-Al mm-Cu"; a test compares them.
A beam that is not stored, for example of a modified preset, takes 2 s longer."""

FIT_WATER_MM = 200.0
"""Thickness of water behind which the basis amounts are fitted."""


@dataclass(frozen=True)
class Material:
    """Mass fractions by atomic number, and density."""

    mass_fractions: Mapping[int, float]
    density_g_per_cm3: float


def _mixed(parts: tuple[tuple[Material, float], ...]) -> Material:
    """Return the mixture of materials, each with its share of the volume."""
    density = sum(material.density_g_per_cm3 * share for material, share in parts)
    fractions: dict[int, float] = {}
    for material, share in parts:
        for element, part in material.mass_fractions.items():
            fractions[element] = fractions.get(element, 0) + part * material.density_g_per_cm3 * share / density
    return Material(fractions, density)


_LUNG_MASS = {1: 0.103, 6: 0.105, 7: 0.031, 8: 0.749, 11: 0.002, 15: 0.002, 16: 0.003, 17: 0.003, 19: 0.002}
_MUSCLE_MASS = {1: 0.102, 6: 0.143, 7: 0.034, 8: 0.710, 11: 0.001, 15: 0.002, 16: 0.003, 17: 0.001, 19: 0.004}
_BLOOD_MASS = {1: 0.102, 6: 0.110, 7: 0.033, 8: 0.745, 11: 0.001, 15: 0.001, 16: 0.002, 17: 0.003, 19: 0.002, 26: 0.001}
_BONE_MASS = {1: 0.034, 6: 0.155, 7: 0.042, 8: 0.435, 11: 0.001, 12: 0.002, 15: 0.103, 16: 0.003, 20: 0.225}
_MARROW_MASS = {1: 0.105, 6: 0.414, 7: 0.034, 8: 0.439, 15: 0.001, 16: 0.002, 17: 0.002, 19: 0.002, 26: 0.001}
_FAT_MASS = {1: 0.116, 6: 0.681, 7: 0.002, 8: 0.198, 11: 0.001, 16: 0.001, 17: 0.001}
_SOFT_MASS = {1: 0.102, 6: 0.143, 7: 0.034, 8: 0.708, 11: 0.002, 15: 0.003, 16: 0.003, 17: 0.002, 19: 0.003}
_LIVER_MASS = {1: 0.102, 6: 0.139, 7: 0.030, 8: 0.716, 11: 0.002, 15: 0.003, 16: 0.003, 17: 0.002, 19: 0.003}
_CORTICAL, _MARROW, _FAT = Material(_BONE_MASS, 1.92), Material(_MARROW_MASS, 1.03), Material(_FAT_MASS, 0.93)
_MUSCLE, _SOFT, _LIVER = Material(_MUSCLE_MASS, 1.06), Material(_SOFT_MASS, 1.05), Material(_LIVER_MASS, 1.06)
_OLD_MARROW = _mixed(((_MARROW, 0.5), (_FAT, 0.5)))
_FOAM_MASS = {1: 0.08, 6: 0.60, 7: 0.09, 8: 0.23}

MATERIALS: Mapping[Tissue, Material] = MappingProxyType(
    {
        Tissue.AIR: Material({7: 0.755, 8: 0.232, 18: 0.013}, 0.0),
        Tissue.LUNG: Material(_LUNG_MASS, 0.26),
        Tissue.FAT: _FAT,
        Tissue.MUSCLE: _MUSCLE,
        Tissue.SKIN: Material(
            {1: 0.100, 6: 0.204, 7: 0.042, 8: 0.645, 11: 0.002, 15: 0.001, 16: 0.002, 17: 0.003, 19: 0.001}, 1.09
        ),
        Tissue.BLOOD: Material(_BLOOD_MASS, 1.05),
        Tissue.MYOCARDIUM: Material(
            {1: 0.104, 6: 0.139, 7: 0.029, 8: 0.718, 11: 0.001, 15: 0.002, 16: 0.002, 17: 0.002, 19: 0.003}, 1.05
        ),
        Tissue.SOFT: _SOFT,
        Tissue.LIVER: _LIVER,
        Tissue.CARTILAGE: Material(
            {1: 0.096, 6: 0.099, 7: 0.022, 8: 0.744, 11: 0.005, 15: 0.022, 16: 0.009, 17: 0.003}, 1.10
        ),
        Tissue.BONE_TRABECULAR: _mixed(((_CORTICAL, 0.10), (_MARROW, 0.90))),
        Tissue.BONE_CORTICAL: _CORTICAL,
        Tissue.WATER: Material({1: 0.1119, 8: 0.8881}, 1.0),
        Tissue.TABLE: Material({1: 0.03, 6: 0.85, 8: 0.12}, 1.25),
        Tissue.STEEL: Material({14: 0.01, 24: 0.17, 25: 0.02, 26: 0.655, 28: 0.12, 42: 0.025}, 8.0),
        Tissue.TITANIUM: Material({22: 1.0}, 4.5),
        Tissue.LUNG_INFLATED_MOST: Material(_LUNG_MASS, 0.06),
        Tissue.LUNG_INFLATED_MORE: Material(_LUNG_MASS, 0.12),
        Tissue.LUNG_INFLATED: Material(_LUNG_MASS, 0.18),
        Tissue.LUNG_DEPENDENT: Material(_LUNG_MASS, 0.34),
        Tissue.LUNG_DENSE: Material(_LUNG_MASS, 0.42),
        Tissue.LUNG_DENSER: Material(_LUNG_MASS, 0.50),
        Tissue.FAT_STRANDED: _mixed(((_FAT, 0.67), (_SOFT, 0.33))),
        Tissue.MUSCLE_FATTY: _mixed(((_MUSCLE, 0.88), (_FAT, 0.12))),
        Tissue.MUSCLE_FATTIER: _mixed(((_MUSCLE, 0.70), (_FAT, 0.30))),
        Tissue.LIVER_DENSE: Material(_LIVER_MASS, 1.07),
        Tissue.LIVER_FATTY: _mixed(((_LIVER, 0.92), (_FAT, 0.08))),
        Tissue.LIVER_FATTIER: _mixed(((_LIVER, 0.82), (_FAT, 0.18))),
        Tissue.LIVER_FATTIEST: _mixed(((_LIVER, 0.70), (_FAT, 0.30))),
        Tissue.SPLEEN: Material(_LIVER_MASS, 1.053),
        Tissue.KIDNEY: Material(_LIVER_MASS, 1.038),
        Tissue.MARROW: _OLD_MARROW,
        Tissue.BONE_POROTIC: _mixed(((_CORTICAL, 0.06), (_OLD_MARROW, 0.94))),
        Tissue.BONE_TRABECULAR_DENSE: _mixed(((_CORTICAL, 0.15), (_MARROW, 0.85))),
        Tissue.BONE_TRABECULAR_DENSER: _mixed(((_CORTICAL, 0.23), (_MARROW, 0.77))),
        Tissue.BONE_THIN: _mixed(((_CORTICAL, 0.40), (_MARROW, 0.60))),
        Tissue.BONE_DENSE: _mixed(((_CORTICAL, 0.65), (_MARROW, 0.35))),
        Tissue.FOAM: Material(_FOAM_MASS, 0.05),
        Tissue.CARBON: Material({1: 0.03, 6: 0.85, 8: 0.12}, 1.5),
        Tissue.CLOTH: Material({1: 0.062, 6: 0.444, 8: 0.494}, 0.2),
        Tissue.PLASTIC: Material({1: 0.086, 6: 0.914}, 1.05),
        Tissue.BREAST_GLAND: _mixed(((_SOFT, 0.75), (_FAT, 0.25))),
    }
)
"""Mass fractions of ICRU-44 as tabulated by NIST (Hubbell and Seltzer, NISTIR 5632, table 2) for lung, muscle, blood,
soft tissue and cortical bone; of ICRU-46 for skin, heart, liver, cartilage and red marrow; fat is adipose tissue 3 of
Woodard and White (Br J Radiol 1986;59:1209-1218): ICRU-44's reads -80 HU at 120 kVp, patients' -100.
Densities are from there, except: muscle 1.06 (Mendez and Keys 1960); blood 1.05 instead of 1.06 and soft tissue 1.05
(own choice: read 45 HU as unenhanced blood does); trabecular bone, a tenth mineralised bone in marrow (own choice: an
adult's vertebra; the other grades of lung, muscle, liver and bone by share and density likewise). Air counts as
nothing, because scanners are calibrated in air. The table is carbon fibre in epoxy (assumed); foam is polyurethane,
plastic polystyrene, cloth loose cellulose. Steel is 316L."""


@dataclass(frozen=True, eq=False)
class Beam:
    """Photons at a tube voltage and their attenuation, by energy bin."""

    energy_kev: Floats
    photons_per_mm2_mas: Floats
    """Photons absorbed by the detector 1 m from the focus, with only the filters in between."""
    water_per_mm: Floats
    """Linear attenuation of water at 1 g/cm3."""
    hydroxyapatite_per_mm: Floats
    """Linear attenuation of hydroxyapatite at 1 g/cm3."""
    basis: Floats
    """(tissues, 2): g/cm3 of water and hydroxyapatite that attenuate as each ``Tissue`` does."""


@cache
def beam(kvp: float, filter_mm_al: float, filter_mm_cu: float = 0.0) -> Beam:
    """Return the beam of a tungsten anode and filters (SpekPy: Poludniowski G et al., Med Phys 2021;48:3630-3637)."""
    energy_kev, photons = _spectrum(kvp, filter_mm_al, filter_mm_cu)
    scintillator = _compound(SCINTILLATOR, energy_kev)
    absorbed = photons * -np.expm1(-scintillator * SCINTILLATOR_G_PER_CM2)
    water = _elements(MATERIALS[Tissue.WATER].mass_fractions, energy_kev) / 10
    hydroxyapatite = _compound(HYDROXYAPATITE, energy_kev) / 10
    basis = _fit_basis(energy_kev, absorbed * energy_kev * np.exp(-water * FIT_WATER_MM), water, hydroxyapatite)
    total, (energy, water_bin, hydroxyapatite_bin) = _rebinned(absorbed, energy_kev, water, hydroxyapatite)
    return Beam(energy, total, water_bin, hydroxyapatite_bin, basis)


def beam_of(protocol: ScannerProtocol) -> Beam:
    """Return the beam of a protocol."""
    return beam(protocol.kvp, protocol.filter_mm_al, protocol.filter_mm_cu)


def tissue_hu(beam: Beam, tissue: Tissue, water_mm: float = FIT_WATER_MM) -> float:
    """Return the HU of a large piece of tissue behind ``water_mm``, corrected for hardening by water only."""
    water, hydroxyapatite = beam.basis[tissue]
    return float(1000 * (water + hydroxyapatite * _hydroxyapatite_over_water(beam, water_mm) - 1))


def hydroxyapatite_hu(beam: Beam, water_mm: float = FIT_WATER_MM) -> float:
    """Return the HU that 1 g/cm3 of hydroxyapatite adds, displacing water, behind ``water_mm`` of water."""
    return 1000 * _hydroxyapatite_over_water(beam, water_mm) - 1e6 / HYDROXYAPATITE_MG_PER_CM3


def _hydroxyapatite_over_water(beam: Beam, water_mm: float) -> float:
    """Return the attenuation of hydroxyapatite over that of the same mass of water, as detected."""
    signal = beam.photons_per_mm2_mas * beam.energy_kev * np.exp(-beam.water_per_mm * water_mm)
    return float(np.sum(beam.hydroxyapatite_per_mm * signal) / np.sum(beam.water_per_mm * signal))


def _spectrum(kvp: float, filter_mm_al: float, filter_mm_cu: float) -> tuple[Floats, Floats]:
    """Return energies, and photons per mm2 and mAs at 1 m in steps of 0.5 keV: stored, or by SpekPy."""
    with np.load(SPECTRA) as stored:
        if (name := f"{kvp:g} {filter_mm_al:g} {filter_mm_cu:g}") in stored:
            energy_kev, photons = stored[name]
            return energy_kev, photons
    return computed_spectrum(kvp, filter_mm_al, filter_mm_cu)


def computed_spectrum(kvp: float, filter_mm_al: float, filter_mm_cu: float) -> tuple[Floats, Floats]:
    """Return the same by SpekPy, whose import and tables take 2 s."""
    import spekpy

    tube = spekpy.Spek(kvp=kvp, th=ANODE_DEG, dk=0.5).filter("Al", filter_mm_al).filter("Cu", filter_mm_cu)
    energy_kev, per_cm2_kev = tube.get_spectrum()
    return np.asarray(energy_kev, float), np.asarray(per_cm2_kev, float) * 0.5 / 100


def _elements(mass_fractions: Mapping[int, float], energy_kev: Floats) -> Floats:
    """Return the mass attenuation in cm2/g (xraylib: Schoonjans T et al., Spectrochim Acta B 2011;66:776-784)."""
    return np.asarray(sum(w * _element(z, energy_kev.tobytes()) for z, w in mass_fractions.items()))


@cache
def _element(z: int, energy_kev: bytes) -> Floats:
    """Return the mass attenuation of one element; cached, because many tissues contain the same elements."""
    import xraylib

    return np.array([xraylib.CS_Total(z, e) for e in np.frombuffer(energy_kev).tolist()])


def _compound(formula: str, energy_kev: Floats) -> Floats:
    """Return the mass attenuation of a compound in cm2/g."""
    import xraylib

    return np.array([xraylib.CS_Total_CP(formula, e) for e in energy_kev.tolist()])


def _fit_basis(energy_kev: Floats, signal: Floats, water: Floats, hydroxyapatite: Floats) -> Floats:
    """Return (tissues, 2): basis amounts of each tissue, by least squares weighted with the detected signal."""
    weights = np.sqrt(signal)
    bases = np.stack([water, hydroxyapatite], axis=1) * weights[:, None]
    per_mm = [
        _elements(MATERIALS[tissue].mass_fractions, energy_kev) * MATERIALS[tissue].density_g_per_cm3 / 10
        for tissue in Tissue
    ]
    return np.asarray(np.linalg.lstsq(bases, (np.array(per_mm) * weights).T)[0].T)


def _rebinned(photons: Floats, *quantities: Floats) -> tuple[Floats, list[Floats]]:
    """Return photons by energy bin, and each quantity (the first is the energy) averaged over the bin's photons."""
    energy_kev = quantities[0]
    edges = np.linspace(energy_kev[0], energy_kev[-1], ENERGY_BINS + 1)[1:-1]
    place = np.searchsorted(edges, energy_kev)
    total = np.bincount(place, photons, ENERGY_BINS)
    kept = total > total.max() * 1e-9
    means = [np.bincount(place, photons * q, ENERGY_BINS)[kept] / total[kept] for q in quantities]
    return total[kept], means
