"""Inserted cylinders compared with the real cylinders beside them, on the scan of a QRM calcification phantom.

    python benchmarks/insert_phantom.py [FOLDER]     (needs the `simulate` extra)

FOLDER holds the scan (MolloiLab/CAC-stanford-data, MIT; by default $CTACAL_REFERENCE_DATA/qrm_phantom_canon). For each
hydroxyapatite cylinder, a copy with the size and density that the manufacturer states is inserted at free positions of
the same insert, at the same distance from its middle and the same height along the axis. Resolution, slice profile and
calcium HU are those that ``ctacal.simulate.insert`` measures or computes; the noise is that of the scan. Both are
scored in the same way.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.geometry import Geometry
from ctacal.simulate.insert.deposits import MATRIX_HU, fine_grid, seen, slice_profile, slices_seen
from ctacal.simulate.insert.quality import ScanQuality, estimate_quality
from ctacal.simulate.measure import disc_centre, measure_insert
from ctacal.simulate.scanner.attenuation import HYDROXYAPATITE_MG_PER_CM3
from ctacal.volume import Volume

MIDDLE = (216.0, 258.5)
"""(row, column) of the axis of the round insert, measured on the scan."""

TURNS_DEG = (30, 40, 50, 60, 70, 80, 90)
"""Angles by which the copies are rotated about the axis: the real cylinders lie on arms at 120 degrees."""

HEIGHTS_MM = (-0.3, 0.0, 0.3)
"""Shifts of the copies along the axis: the position of a cylinder within a slice is not known better than this."""

SLICES = slice(18, 27)
REACH_MM = 5.0
"""Half side of the square that is scored: it holds one cylinder."""

MASS_CALIBRATION = 0.7220477104423333
"""mg per cm3 and HU, as published for this scan (tests/data/qrm_phantom_expected.json)."""


@dataclass(frozen=True)
class Cylinder:
    """A real cylinder, as the manufacturer states it: as long as it is wide."""

    diameter_mm: float
    density_mg_cm3: float
    place: tuple[int, int]
    """(row, column), measured on the scan."""

    @property
    def name(self) -> str:
        """Size and density."""
        return f"{self.diameter_mm:g} mm {self.density_mg_cm3:g} mg/mL"

    @property
    def mass_mg(self) -> float:
        """True mass of hydroxyapatite."""
        return np.pi / 4 * self.diameter_mm**3 * self.density_mg_cm3 / 1000


CYLINDERS = (
    Cylinder(5, 800, (220, 180)),
    Cylinder(5, 400, (151, 291)),
    Cylinder(5, 200, (281, 298)),
    Cylinder(3, 800, (221, 206)),
    Cylinder(3, 400, (173, 280)),
    Cylinder(3, 200, (260, 285)),
)


@dataclass(frozen=True)
class Reading:
    """Measurements of a cylinder."""

    agatston: float
    volume_mm3: float
    mass_mg: float
    mean_hu: float
    peak_hu: float

    @classmethod
    def of(cls, volume: Volume, at: tuple[float, float]) -> "Reading":
        """Score the square around a (row, column); mass by the published calibration of the scan."""
        insert = measure_insert(volume, at, REACH_MM, SLICES)
        mass_mg = MASS_CALIBRATION * insert.mean_hu * insert.volume_mm3 / 1000
        return cls(insert.agatston, insert.volume_mm3, mass_mg, insert.mean_hu, insert.peak_hu)


def middle_of(volume: Volume, cylinder: Cylinder, background_hu: float) -> tuple[float, float, float]:
    """Return the (slice, row, column) of the middle of a real cylinder: its centre of brightness."""
    row, column = disc_centre(volume, cylinder.place, cylinder.diameter_mm / 2, slice(21, 24))
    rows, columns = (slice(round(at) - 6, round(at) + 7) for at in (row, column))
    sums = np.maximum(volume.hu[SLICES, rows, columns].astype(float) - background_hu, 0).sum(axis=(1, 2))
    sums -= np.median(sums)
    sums[sums < 0.05 * sums.max()] = 0
    return float(np.average(np.arange(SLICES.start, SLICES.stop), weights=sums)), row, column


def added_hu(
    volume: Volume, quality: ScanQuality, cylinder: Cylinder, middle: tuple[float, float, float], background_hu: float
) -> tuple[NDArray[np.float32], tuple[slice, slice, slice]]:
    """Return the HU that a cylinder about (slice, row, column) adds, and the part of the scan."""
    straight = Geometry.from_spacing(volume.geometry.shape, volume.geometry.spacing_mm)
    centre_mm = straight.to_patient_mm(middle)
    fine, region = fine_grid(straight, centre_mm[None] + np.array([[-6.0, -6, -6], [6, 6, 6]]))
    share = cylinder_share(fine, centre_mm, cylinder.diameter_mm)
    density = cylinder.density_mg_cm3
    excess_hu = density * (quality.calcium_hu_per_mg_cm3 - background_hu / HYDROXYAPATITE_MG_PER_CM3)
    part = straight.crop(region)
    slices = slices_seen(share * np.float32(excess_hu), slice_profile(fine, part, quality.protocol))
    return seen([slices], fine, part, quality), region


def cylinder_share(grid: Geometry, centre_mm: NDArray[np.float64], size_mm: float) -> NDArray[np.float32]:
    """Return the share of each voxel that an upright cylinder fills, exact to a tenth of a voxel."""
    tenths = (np.arange(10) - 4.5) / 10
    origin, spacing = grid.to_patient_mm((0, 0, 0)), grid.spacing_mm
    z, y, x = (
        origin[2 - axis] + (np.arange(grid.shape[axis])[:, None] + tenths).ravel() * spacing[axis] - centre_mm[2 - axis]
        for axis in range(3)
    )
    disc = (y[:, None] ** 2 + x**2 < (size_mm / 2) ** 2).reshape(grid.shape[1], 10, grid.shape[2], 10).mean(axis=(1, 3))
    height = (np.abs(z) < size_mm / 2).reshape(-1, 10).mean(axis=1)
    return np.asarray(height[:, None, None] * disc, np.float32)


def turned(middle: tuple[float, float, float], turn_deg: float, up_slices: float) -> tuple[float, float, float]:
    """Return a position rotated about the axis of the insert."""
    down, across = middle[1] - MIDDLE[0], middle[2] - MIDDLE[1]
    cos, sin = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    row, column = MIDDLE[0] + cos * down + sin * across, MIDDLE[1] + cos * across - sin * down
    return middle[0] + up_slices, float(row), float(column)


def compare(volume: Volume, quality: ScanQuality, cylinder: Cylinder) -> tuple[Reading, list[Reading]]:
    """Return the measurements of the real cylinder and of its copies."""
    rows, columns = (slice(round(at) - 15, round(at) + 16) for at in MIDDLE)
    background_hu = float(volume.hu[SLICES, rows, columns].mean())
    middle = middle_of(volume, cylinder, background_hu)
    real = Reading.of(volume, middle[1:])
    copies = []
    for turn in TURNS_DEG:
        for height_mm in HEIGHTS_MM:
            at = turned(middle, turn, height_mm / volume.geometry.slice_spacing_mm)
            added, region = added_hu(volume, quality, cylinder, at, background_hu)
            hu = volume.hu.copy()
            hu[region] = np.rint(hu[region] + added).astype(np.int16)
            copies.append(Reading.of(Volume(hu, volume.geometry), at[1:]))
    return real, copies


def print_table(volume: Volume, quality: ScanQuality) -> None:
    print("cylinder            quantity      real   inserted (mean +- SD of 21)   deviation   in SDs")
    for cylinder in CYLINDERS:
        real, copies = compare(volume, quality, cylinder)
        for name in Reading.__dataclass_fields__:
            values = np.array([getattr(copy, name) for copy in copies])
            apart = values.mean() / getattr(real, name) - 1
            print(
                f"{cylinder.name:18}  {name:10} {getattr(real, name):9.1f} {values.mean():9.1f} +- {values.std():6.1f}"
                f" {apart:23.1%} {(values.mean() - getattr(real, name)) / values.std():8.1f}"
            )
        print(f"{'':18}  true mass  {cylinder.mass_mg:9.1f}\n")
    print(
        "An SD is the effect of noise and of the unknown height (half a millimetre) on one cylinder: "
        "the real cylinder is measured once."
    )


def print_quality(quality: ScanQuality) -> None:
    protocol = quality.protocol
    print(f"measured on the scan: kernel {protocol.kernel}, MTF50 {protocol.mtf50_per_mm:.3f} per mm (0.27 published)")
    print(f"noise {quality.noise_hu:.1f} HU; physics: {quality.calcium_hu_per_mg_cm3:.3f} HU per mg/cm3")
    print(f"(1 / 0.722 = 1.385 by the scan's own rods); soft matrix elsewhere {MATRIX_HU} HU\n")


def main() -> None:
    default = Path(os.environ.get("CTACAL_REFERENCE_DATA") or Path(__file__).parents[2] / "shared" / "ct")
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default / "qrm_phantom_canon"
    series = read_studies([folder]).studies[0].series[0]
    volume = read_volume(series)[0]
    quality = estimate_quality(
        volume, None, kvp=series.header.kvp, thickness_mm=series.slices[0].thickness_mm, helical=False
    )
    print_quality(quality)
    print_table(volume, quality)


if __name__ == "__main__":
    main()
