"""Print the CT value of unenhanced blood by tube voltage and haematocrit, computed from spectra and attenuation.

    python benchmarks/blood_hu.py        (needs the `simulate` extra: spekpy, xraylib)

Model, as the simulator's: tungsten anode and 7 mm of aluminium (SpekPy), 20 cm of water, a scintillator that integrates
energy, hardening corrected by water alone. Blood is a mixture by volume of red cells (1.09 g/cm3) and plasma
(1.026 g/cm3), compositions of ICRU-46. The row of a haematocrit of 0.60 is ``ctacal.blood.UNENHANCED_HU``. Takes 20 s.
"""

import numpy as np

from ctacal.simulate.materials import Tissue
from ctacal.simulate.scanner.attenuation import (
    FIT_WATER_MM,
    MATERIALS,
    SCINTILLATOR,
    SCINTILLATOR_G_PER_CM2,
    Material,
    _compound,
    _elements,
    _mixed,
    computed_spectrum,
)

KVPS = (70, 80, 90, 100, 110, 120, 130, 140)
HAEMATOCRITS = (0.20, 0.45, 0.60)
FILTER_MM_AL = 7.0
RED_CELLS = Material({1: 0.095, 6: 0.190, 7: 0.059, 8: 0.646, 16: 0.001, 17: 0.002, 19: 0.004, 26: 0.003}, 1.09)
PLASMA = Material({1: 0.108, 6: 0.041, 7: 0.011, 8: 0.832, 11: 0.003, 16: 0.001, 17: 0.004}, 1.026)


def blood_hu(kvp: float, haematocrit: float) -> float:
    """Return the HU of a large pool of blood behind ``FIT_WATER_MM`` of water."""
    energy_kev, photons = computed_spectrum(kvp, FILTER_MM_AL, 0.0)
    absorbed = photons * -np.expm1(-_compound(SCINTILLATOR, energy_kev) * SCINTILLATOR_G_PER_CM2)
    water = _elements(MATERIALS[Tissue.WATER].mass_fractions, energy_kev) / 10
    blood = _mixed(((RED_CELLS, haematocrit), (PLASMA, 1 - haematocrit)))
    per_mm = _elements(blood.mass_fractions, energy_kev) * blood.density_g_per_cm3 / 10
    signal = absorbed * energy_kev * np.exp(-water * FIT_WATER_MM)
    return float(1000 * (np.sum(per_mm * signal) / np.sum(water * signal) - 1))


def main() -> None:
    """Print the table."""
    print("haematocrit  " + "  ".join(f"{kvp:>3} kVp" for kvp in KVPS))
    for haematocrit in HAEMATOCRITS:
        print(f"{haematocrit:11.2f}  " + "  ".join(f"{blood_hu(kvp, haematocrit):7.1f}" for kvp in KVPS))


if __name__ == "__main__":
    main()
