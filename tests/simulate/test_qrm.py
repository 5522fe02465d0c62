"""The simulated QRM phantom measures like the real one (reference data, ``qrm_phantom_canon``)."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.qrm_simulated import real_figures
from ctacal.simulate.materials import Tissue
from ctacal.simulate.qrm import INSERTS, PIXEL_MM, SLICE_MM, QrmFigures, qrm_phantom, simulate_qrm
from ctacal.simulate.scanner.centre import load_centre

AGATSTON = {
    "5 mm 800 mg/mL": 402.9,
    "5 mm 400 mg/mL": 238.4,
    "5 mm 200 mg/mL": 138.6,
    "3 mm 800 mg/mL": 88.1,
    "3 mm 400 mg/mL": 69.5,
    "3 mm 200 mg/mL": 22.9,
}
PEAK_HU = {
    "5 mm 800 mg/mL": 1275,
    "5 mm 400 mg/mL": 649,
    "5 mm 200 mg/mL": 383,
    "3 mm 800 mg/mL": 1010,
    "3 mm 400 mg/mL": 467,
    "3 mm 200 mg/mL": 258,
}
REAL = {"background_hu": 71.9, "noise_sd_hu": 21.3, "water_hu": 34.2, "calibration_hu": 310.2, "mtf50_per_mm": 0.269}
"""The real scan's figures, computed with ``measure_qrm``; ``test_recorded_figures_are_the_real_scans`` recomputes."""

SEEDS = 3


@pytest.fixture(scope="module")
def simulated() -> list[QrmFigures]:
    return [simulate_qrm(load_centre("canon_aquilion_one"), seed) for seed in range(SEEDS)]


def mean(simulated: list[QrmFigures], name: str) -> float:
    return float(np.mean([getattr(figures, name) for figures in simulated]))


def test_the_rods_hold_what_the_maker_states() -> None:
    """Mass of each insert over the resin's own mineral."""
    body = qrm_phantom((-7.5, 7.5))
    voxel_cm3 = PIXEL_MM**2 * SLICE_MM / 1000
    rows, columns = np.indices(body.tissue.shape[1:])
    for rod in INSERTS:
        left = body.geometry.affine[0, 3] + columns * PIXEL_MM - rod.left_mm
        posterior = body.geometry.affine[1, 3] + rows * PIXEL_MM - rod.posterior_mm
        near = np.hypot(left, posterior) < rod.diameter_mm / 2 + 1
        above = body.hydroxyapatite_mg_cm3[:, near] - body.hydroxyapatite_mg_cm3[0, near].mean()
        volume_cm3 = np.pi * rod.diameter_mm**2 / 4 * rod.length_mm / 1000
        tolerance = 0.1 if rod.diameter_mm == 1 else 0.02
        assert above.sum() * voxel_cm3 == pytest.approx(volume_cm3 * rod.hydroxyapatite_mg_cm3, rel=tolerance)


def test_the_phantom_is_as_large_as_the_makers() -> None:
    inside = qrm_phantom((-9.0, -8.5)).tissue[0] != Tissue.AIR
    assert np.ptp(np.flatnonzero(inside.any(axis=0))) * PIXEL_MM == pytest.approx(400, abs=2)
    assert np.ptp(np.flatnonzero(inside.any(axis=1))) * PIXEL_MM == pytest.approx(300, abs=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", AGATSTON)
def test_agatston_of_each_insert(simulated: list[QrmFigures], name: str) -> None:
    drawn = np.mean([figures.inserts[name].agatston for figures in simulated])
    assert drawn == pytest.approx(AGATSTON[name], rel=0.1)


MISSED = {
    "5 mm 800 mg/mL": "its middle reads 8 % brighter in the real scan than its mass accounts for",
    "3 mm 800 mg/mL": "as the 5 mm one",
    "3 mm 400 mg/mL": "within 2.5 SD of a single real scan's noise, no nearer",
    "3 mm 200 mg/mL": "within 1 SD of a single real scan's noise, no nearer (other seeds: +4.7 %)",
}
"""Peaks that are not within a twentieth of the real scan's."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.xfail(reason=MISSED[n])) if n in MISSED else n for n in PEAK_HU],
)
def test_peak_of_each_insert(simulated: list[QrmFigures], name: str) -> None:
    peak_hu = np.mean([figures.inserts[name].peak_hu for figures in simulated])
    assert peak_hu == pytest.approx(PEAK_HU[name], rel=0.05)


@pytest.mark.slow
def test_noise_resolution_and_hu(simulated: list[QrmFigures]) -> None:
    assert mean(simulated, "noise_sd_hu") == pytest.approx(REAL["noise_sd_hu"], rel=0.1)
    assert mean(simulated, "mtf50_per_mm") == pytest.approx(REAL["mtf50_per_mm"], rel=0.1)
    for name in ("background_hu", "water_hu"):
        assert mean(simulated, name) == pytest.approx(REAL[name], abs=8)
    assert mean(simulated, "calibration_hu") == pytest.approx(REAL["calibration_hu"], rel=0.04)


@pytest.mark.reference
def test_recorded_figures_are_the_real_scans(reference_data: Path) -> None:
    real = real_figures(reference_data)
    for name, agatston in AGATSTON.items():
        assert real.inserts[name].agatston == pytest.approx(agatston, abs=0.1)
        assert real.inserts[name].peak_hu == PEAK_HU[name]
    for field, value in REAL.items():
        assert getattr(real, field) == pytest.approx(value, rel=0.005)
