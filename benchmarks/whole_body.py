"""Print time and memory of ``ctacal score`` on two whole-body scans, all default outputs, each in a fresh process.

    python benchmarks/whole_body.py [--runs 3]

The chest is the simulated sample, its pixels repeated to the matrix and its slices to the spacing; below and above it
lies air with noise. The scans take 0.7 and 0.6 GB of disk while the benchmark runs. The sample itself, 34 slices of
256 x 256, stands first: what a slice costs there.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from installed import with_bytecode
from speed import command

import ctacal
from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.geometry import Geometry
from ctacal.simulate.output.series import SeriesDescription, write_series
from ctacal.volume import Volume

SAMPLE = Path(ctacal.__file__).parent / "sample" / "simulated_ctac.zip"
SCANS = {"1024 x 1024 x 300, 3 mm": (1024, 300, 3.0), "512 x 512 x 1,100, 1.5 mm": (512, 1100, 1.5)}
CHEST_STARTS_AT = 0.35
"""Share of the slices that lie below the chest."""


def whole_body(chest: Volume, side: int, slices: int, slice_mm: float) -> Volume:
    """The chest between slices of air."""
    times, (_, row_mm, column_mm) = side // chest.hu.shape[1], chest.geometry.spacing_mm
    height = round(len(chest.hu) * chest.geometry.slice_spacing_mm / slice_mm)
    hu = np.full((slices, side, side), -1000, np.int16)
    hu += np.random.default_rng(0).integers(-10, 10, hu.shape, np.int16)
    first = round(CHEST_STARTS_AT * slices)
    places = (np.arange(height) * slice_mm / chest.geometry.slice_spacing_mm).astype(int)
    for index, place in enumerate(places):
        hu[first + index] = chest.hu[place].repeat(times, 0).repeat(times, 1)
    spacing_mm = (slice_mm, row_mm / times, column_mm / times)
    return Volume(hu, Geometry.from_spacing(hu.shape, spacing_mm))


def main() -> None:
    """Write each scan, score it, print a line."""
    parser = argparse.ArgumentParser(description="Time and memory of whole-body scans")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(f"{'scan':30s} {'wall, s':>8s} {'processor, s':>13s} {'ms a slice':>11s} {'peak, MB':>9s}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with_bytecode(folder / "bytecode")
        chest = read_volume(read_studies([SAMPLE]).studies[0].series[0])[0]
        _print_row("the sample", SAMPLE, len(chest.hu), folder, options.runs)
        for name, (side, slices, slice_mm) in SCANS.items():
            scan = folder / str(side)
            write_series(whole_body(chest, side, slices, slice_mm), scan, header=SeriesDescription(kvp=130.0))
            _print_row(name, scan, slices, folder, options.runs)


def _print_row(name: str, scan: Path, slices: int, folder: Path, runs: int) -> None:
    row, peak_mb = command(name, ["score", str(scan), "-o", str(folder / "out")], runs)
    per_slice_ms = row.cpu_seconds / slices * 1000
    print(f"{name:30s} {row.seconds:8.2f} {row.cpu_seconds:13.2f} {per_slice_ms:11.1f} {peak_mb:9.0f}", flush=True)


if __name__ == "__main__":
    main()
