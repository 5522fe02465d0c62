"""Print the contrast of calcium relative to 120 kVp, computed from spectra and attenuation.

    python benchmarks/kvp_factors.py        (needs the `bench` extra: spekpy, xraylib)

Model. Tungsten anode, spectrum of SpekPy (Poludniowski G et al., Med Phys 2021;48:3630-3637); inherent, flat and
central bow-tie filtration as aluminium; then 30 cm of water for the chest; a scintillator that integrates energy.
Attenuation is xraylib's (Schoonjans T et al., Spectrochim Acta B 2011;66:776-784). A small deposit of c g/cm3
hydroxyapatite displaces water. A scanner corrects hardening by water alone, so the deposit reads

    HU = 1000 c (<mass attenuation of hydroxyapatite> / <attenuation of water> - 1 / density of hydroxyapatite),

where <> is the mean over what the detector signals: photons behind the water x energy x absorbed share. The factor of a
tube voltage is its HU over that at 120 kVp; the concentration cancels.

Published: images at 100 kVp are to be scaled down by 0.88, at 70 kVp by 0.63, to score as at 120 kVp (Zhou Y et al.,
"Coronary artery calcium scoring at lower tube voltages - dose determination and scoring mechanism", Eur J Radiol 2021);
147 HU instead of 130 HU at 100 kVp (Nakazato R et al. 2009). Body size, filter and anode move the factors computed here
by 1 %, the scintillator by 1-2 %. Takes half a minute.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import spekpy
import xraylib
from numpy.typing import NDArray

KVPS = (70, 80, 90, 100, 110, 120, 130, 135, 140)
RECOMMENDED_KVPS = (80, 90, 100, 110, 120, 130, 140)
PUBLISHED = {70: 1 / 0.63, 100: 1 / 0.88}
AGREEMENT = 0.05
"""Largest relative difference at which the computed and a published factor agree."""

HYDROXYAPATITE = "Ca10P6O26H2"
HYDROXYAPATITE_G_PER_CM3 = 3.16
THRESHOLD_HU = 130.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scanner:
    """The parameters of the factor besides the tube voltage."""

    anode_deg: float = 8.0
    filter_mm_al: float = 7.0
    water_cm: float = 30.0
    scintillator: str = "Gd2O2S"
    scintillator_g_per_cm2: float = 7.34 * 0.14
    """1.4 mm of gadolinium oxysulfide ceramic; 0: every photon is absorbed."""


VARIANTS = {
    "reference": Scanner(),
    "water 24 cm": Scanner(water_cm=24.0),
    "water 32 cm": Scanner(water_cm=32.0),
    "water 40 cm": Scanner(water_cm=40.0),
    "6 mm Al": Scanner(filter_mm_al=6.0),
    "10 mm Al": Scanner(filter_mm_al=10.0),
    "anode 12 deg": Scanner(anode_deg=12.0),
    "CsI 1.5 mm": Scanner(scintillator="CsI", scintillator_g_per_cm2=4.51 * 0.15),
    "all absorbed": Scanner(scintillator_g_per_cm2=0.0),
}


@cache
def spectrum(kvp: int, anode_deg: float, filter_mm_al: float) -> tuple[Floats, Floats]:
    """Energies in keV and photons at each."""
    beam = spekpy.Spek(kvp=kvp, th=anode_deg, dk=0.5).filter("Al", filter_mm_al)
    energy_kev, photons = beam.get_spectrum()
    return np.asarray(energy_kev, float), np.asarray(photons, float)


@cache
def attenuation_at(compound: str, energy_kev: float) -> float:
    """Mass attenuation coefficient in cm2/g."""
    return float(xraylib.CS_Total_CP(compound, energy_kev))


def attenuation(compound: str, energy_kev: Floats) -> Floats:
    """Mass attenuation coefficients in cm2/g."""
    return np.array([attenuation_at(compound, energy) for energy in energy_kev.tolist()])


def calcium_hu(kvp: int, scanner: Scanner) -> float:
    """HU of 1 mg/cm3 hydroxyapatite in water."""
    energy_kev, photons = spectrum(kvp, scanner.anode_deg, scanner.filter_mm_al)
    water = attenuation("H2O", energy_kev)
    signal = photons * np.exp(-water * scanner.water_cm) * energy_kev
    if scanner.scintillator_g_per_cm2:
        signal *= -np.expm1(-attenuation(scanner.scintillator, energy_kev) * scanner.scintillator_g_per_cm2)
    calcium = np.average(attenuation(HYDROXYAPATITE, energy_kev), weights=signal)
    return float(calcium / np.average(water, weights=signal) - 1 / HYDROXYAPATITE_G_PER_CM3)


def factor(kvp: int, scanner: Scanner = VARIANTS["reference"]) -> float:
    """Contrast of calcium relative to 120 kVp."""
    return calcium_hu(kvp, scanner) / calcium_hu(120, scanner)


def print_factors() -> None:
    print(f"reference: {VARIANTS['reference']}\n")
    print("kVp   HU per mg/cm3   factor   130 HU becomes   published")
    for kvp in KVPS:
        published = f"{PUBLISHED[kvp]:.3f}" if kvp in PUBLISHED else ""
        f = factor(kvp)
        print(f"{kvp:3}   {calcium_hu(kvp, Scanner()):13.3f}   {f:6.3f}   {THRESHOLD_HU * f:14.1f}   {published:>9}")


def print_sensitivity() -> None:
    print("\nfactor by model        " + "".join(f"{kvp:>7}" for kvp in KVPS))
    for name, scanner in VARIANTS.items():
        print(f"{name:22} " + "".join(f"{factor(kvp, scanner):7.3f}" for kvp in KVPS))


def print_comparison() -> None:
    print()
    for kvp, published in PUBLISHED.items():
        apart = factor(kvp) / published - 1
        verdict = "agrees" if abs(apart) <= AGREEMENT else "DISAGREES"
        print(f"{kvp} kVp: physics {factor(kvp):.3f}, Zhou 2021 {published:.3f} ({apart:+.1%}): {verdict}")
    print(f"100 kVp: threshold {THRESHOLD_HU * factor(100):.0f} HU, Nakazato 2009 147 HU ({147 / THRESHOLD_HU:.3f})")
    print("recommended:", ", ".join(f"{kvp}: {factor(kvp):.2f}" for kvp in RECOMMENDED_KVPS))


if __name__ == "__main__":
    print_factors()
    print_sensitivity()
    print_comparison()
