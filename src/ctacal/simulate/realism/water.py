"""Water cylinders scanned with a protocol: HU from the middle to the rim, and noise against the number of views."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ctacal.arrays import Floats
from ctacal.geometry import Geometry
from ctacal.simulate.materials import Body, Tissue
from ctacal.simulate.measure import mean_frequency_per_mm, noise_power_spectrum, patches_in
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.simulate.scanner.scan import scan
from ctacal.volume import Volume

DIAMETER_MM = 320.0
"""Diameter of the body phantom for dosimetry (IEC 60601-2-44), as in ``ScannerProtocol.noise_target_hu``."""

SLICES = 6
"""Number of slices scanned (own choice: 6 x 25 patches give the SD within 2 %)."""

VIEWS = (90, 180, 360, 720, 1440)
"""Numbers of views over half a turn that are compared."""

MIDDLE_MM = 60.0
"""Half side of the square in the middle on which noise is measured: there it hardly changes (own choice)."""

RIM_MM = 20.0
"""Width of the ring inside the edge of the cylinder that shows cupping (own choice)."""


@dataclass(frozen=True, eq=False, slots=True)
class WaterScan:
    """Measurements of a water cylinder; the dose does not depend on the number of views."""

    views: int
    middle_hu: float
    rim_hu: float
    noise_sd_hu: float
    mean_frequency_per_mm: float
    outside_sd_hu: float
    """SD in the air beside the cylinder: too few views cause streaks."""
    spectrum: tuple[Floats, Floats]


def scan_water(protocol: ScannerProtocol, views: Sequence[int] = VIEWS) -> tuple[WaterScan, ...]:
    """Scan the cylinder with each number of views over half a turn."""
    body = water_cylinder(SLICES * max(protocol.spacing_mm, 1.0) + 3 * protocol.thickness_mm)
    return tuple(_measured(scan(body, replace(protocol, views=count), seed=1), count) for count in views)


def water_cylinder(length_mm: float) -> Body:
    """Return a cylinder of water in air, its axis across the slices."""
    pixel_mm, slice_mm = 1.0, 2.0
    rows = round((DIAMETER_MM + 20) / pixel_mm)
    shape = (int(np.ceil(length_mm / slice_mm)), rows, rows)
    corner_mm = -(rows - 1) / 2 * pixel_mm
    geometry = Geometry.from_spacing(shape, (slice_mm, pixel_mm, pixel_mm), (corner_mm, corner_mm, 0.0))
    away_mm = np.hypot(*(np.indices((rows, rows)) * pixel_mm + corner_mm))
    tissue = np.where(away_mm < DIAMETER_MM / 2, np.uint8(Tissue.WATER), np.uint8(Tissue.AIR))
    return Body(np.tile(tissue, (shape[0], 1, 1)), np.zeros(shape, np.float32), geometry)


def _measured(volume: Volume, views: int) -> WaterScan:
    left, posterior = np.meshgrid(*(_axis_mm(volume, axis) for axis in (0, 1)))
    away_mm = np.hypot(left, posterior)
    middle = np.maximum(np.abs(left), np.abs(posterior)) < MIDDLE_MM
    rim = (away_mm < DIAMETER_MM / 2 - 5) & (away_mm > DIAMETER_MM / 2 - 5 - RIM_MM)
    beside = (away_mm > DIAMETER_MM / 2 + 10) & (away_mm < DIAMETER_MM / 2 + 40)
    patches, _ = patches_in(volume, np.broadcast_to(middle, volume.hu.shape))
    spectrum = noise_power_spectrum(patches, volume.geometry.spacing_mm[1])
    return WaterScan(
        views=views,
        middle_hu=float(volume.hu[:, middle].mean()),
        rim_hu=float(volume.hu[:, rim].mean()),
        noise_sd_hu=float(patches.std()),
        mean_frequency_per_mm=mean_frequency_per_mm(*spectrum),
        outside_sd_hu=float(volume.hu[:, beside].std()),
        spectrum=spectrum,
    )


def _axis_mm(volume: Volume, axis: int) -> Floats:
    """Return the positions of the columns (0: left) or rows (1: posterior); the axis of the cylinder is at 0."""
    count = volume.hu.shape[2 - axis]
    return np.asarray(volume.geometry.affine[axis, 3] + np.arange(count) * volume.geometry.spacing_mm[2 - axis])
