"""The QRM phantom, real beside simulated: calcium inserts, HU, noise and resolution, measured alike on both.

    python benchmarks/qrm_simulated.py [--seeds 12]

The real scan is ``qrm_phantom_canon`` of the reference data (CTACAL_REFERENCE_DATA, else ../shared/ct); the simulated
one is ``ctacal.simulate.realism.qrm`` with the protocol ``canon_aquilion_one``. Simulated figures are means over the
seeds, with their SD from scan to scan. The real figures are of a single scan, whose noise alone moves them by about one
SD: the last column is the difference in SD. A peak is the same in both: the largest voxel of the insert's square, with
its noise. Takes some 20 s a seed on one core.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.simulate.realism.qrm import QrmFigures, measure_qrm, simulate_qrm
from ctacal.simulate.scanner.protocol import load_protocol
from ctacal.volume import Volume

REAL_PARTS = (slice(20, 25), slice(12, 20), slice(31, 34))
"""Slices of the real scan that correspond to ``qrm.PARTS_MM``."""

REAL_MIDDLE_MM = (-2.83, -0.85)
"""The middle of the heart's bore in the real scan."""


def real_figures(folder: Path) -> QrmFigures:
    """What the real scan measures."""
    volume = read_volume(read_studies([folder / "qrm_phantom_canon"]).studies[0].series[0])[0]
    whole = slice(0, volume.hu.shape[1])
    parts = [Volume(volume.hu[part], volume.geometry.crop((part, whole, whole))) for part in REAL_PARTS]
    return measure_qrm(parts, REAL_MIDDLE_MM)


def rows(figures: QrmFigures) -> Mapping[str, float]:
    """Return the figures by the name of their row in the table."""
    table = {}
    for name, insert in figures.inserts.items():
        table[f"{name}: Agatston"] = insert.agatston
        table[f"{name}: peak, HU"] = insert.peak_hu
    return table | {
        "resin, HU": figures.background_hu,
        "water rod, HU": figures.water_hu,
        "calibration rod, HU": figures.calibration_hu,
        "noise SD, HU": figures.noise_sd_hu,
        "MTF50, per mm": figures.mtf50_per_mm,
    }


def table(real: Mapping[str, float], simulated: Sequence[Mapping[str, float]]) -> str:
    """Return the real value, mean and SD of the simulated values, and the deviation, in per cent and in SD."""
    lines = ["| figure | real | simulated | SD | deviation | real, in SD |", "| --- | --- | --- | --- | --- | --- |"]
    for name, value in real.items():
        drawn = np.array([scan[name] for scan in simulated])
        mean, sd = drawn.mean(), drawn.std(ddof=1) if len(drawn) > 1 else np.nan
        digits = 3 if "MTF" in name else 1
        figures = f"{value:.{digits}f} | {mean:.{digits}f} | {sd:.{digits}f}"
        lines.append(f"| {name} | {figures} | {mean / value - 1:+.1%} | {(value - mean) / sd:+.1f} |")
    return "\n".join(lines)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seeds", type=int, default=12)
    seeds = arguments.parse_args().seeds
    folder = Path(os.environ.get("CTACAL_REFERENCE_DATA") or Path(__file__).parents[2] / "shared" / "ct")
    protocol = load_protocol("canon_aquilion_one")
    print(table(rows(real_figures(folder)), [rows(simulate_qrm(protocol, seed)) for seed in range(seeds)]))


if __name__ == "__main__":
    main()
