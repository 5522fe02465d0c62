"""What unenhanced blood can read on a CT, and whether the blood in the heart reads more: contrast medium."""

import numpy as np

from ctacal.errors import Code, Reason

UNENHANCED_HU = {70.0: 68.0, 80.0: 66.0, 90.0: 64.0, 100.0: 62.0, 110.0: 61.0, 120.0: 61.0, 130.0: 60.0, 140.0: 59.0}
"""CT value of the densest unenhanced blood by tube voltage (kVp): a haematocrit of 0.60, as in polycythaemia. Printed
by ``benchmarks/blood_hu.py`` from the simulator's spectra, and ICRU-46's plasma and red cells behind 20 cm of water.
Blood with a haematocrit of 0.45 reads 9 HU less, and with 0.20 another 15 HU less."""

MARGIN_HU = 20.0
"""Added for what else moves the median of the heart: 4 HU of a scanner's water (tolerance of IEC 61223-3-5), hardening
and scatter that the correction leaves in a large patient, and parts of the heart that are no blood. All this moves 98 %
of the networks' training scans by 13 HU at most from the 46 HU of their blood (own choice)."""


def highest_unenhanced_hu(kvp: float | None) -> float:
    """Return the CT value above which the inside of the heart must hold contrast medium; an unknown kVp counts as 70.

    >>> highest_unenhanced_hu(120.0), highest_unenhanced_hu(85.0), highest_unenhanced_hu(None)
    (81.0, 85.0, 88.0)
    """
    voltages = sorted(UNENHANCED_HU)
    values = [UNENHANCED_HU[voltage] for voltage in voltages]
    return float(np.interp(kvp if kvp is not None else voltages[0], voltages, values)) + MARGIN_HU


def contrast_seen(blood_hu: float | None, kvp: float | None) -> Reason | None:
    """Return the reason if the inside of the heart reads more than unenhanced blood can; None also if not measured."""
    limit_hu = highest_unenhanced_hu(kvp)
    if blood_hu is None or blood_hu <= limit_hu:
        return None
    beam = f"at {kvp:g} kVp" if kvp is not None else "at any tube voltage"
    return Reason(
        Code.CONTRAST_SEEN,
        f"the inside of the heart reads {blood_hu:.0f} HU, without contrast medium at most {limit_hu:.0f} HU {beam}:"
        " enhanced blood counts as calcium",
    )
