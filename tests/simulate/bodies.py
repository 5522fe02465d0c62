"""Bodies for tests of the scanner: cylinders with rods in them."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ctacal.geometry import Geometry
from ctacal.simulate.materials import Body, Tissue
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.volume import Volume

PIXEL_MM = 1.0
Rod = tuple[float, float, float]
"""Row and column of its centre relative to the body's, and radius, in mm."""

PROTOCOL = ScannerProtocol(
    name="test",
    kvp=120.0,
    tube_current_ma=200.0,
    rotation_s=0.5,
    thickness_mm=4.0,
    spacing_mm=4.0,
    matrix=192,
    fov_mm=360.0,
    scan_field_mm=440.0,
    kernel="hann",
    mtf50_per_mm=0.22,
    noise_target_hu=10.0,
    collimation_mm=20.0,
    views=400,
    detector_mm=1.0,
)
"""A small, quick protocol."""

QUIET = replace(PROTOCOL, tube_current_ma=1e7, electronic_noise_kev=0.0)


def cylinder(
    diameter_mm: float,
    *,
    slices: int = 4,
    tissues: tuple[tuple[Rod, Tissue], ...] = (),
    hydroxyapatite: tuple[tuple[Rod, float], ...] = (),
) -> Body:
    """Return a cylinder of water along the patient in 1 mm voxels, with rods of tissue and of hydroxyapatite."""
    size = int(diameter_mm / PIXEL_MM) + 12
    corner_mm = -(size - 1) / 2 * PIXEL_MM
    geometry = Geometry.from_spacing((slices, size, size), (1.0, PIXEL_MM, PIXEL_MM), (corner_mm, corner_mm, 0.0))
    tissue = np.zeros(geometry.shape, np.uint8)
    added = np.zeros(geometry.shape, np.float32)
    tissue[:, _disc(size, PIXEL_MM, (0, 0, diameter_mm / 2))] = Tissue.WATER
    for rod, kind in tissues:
        tissue[:, _disc(size, PIXEL_MM, rod)] = kind
    for rod, mg_cm3 in hydroxyapatite:
        added[:, _disc(size, PIXEL_MM, rod)] = mg_cm3
    return Body(tissue, added, geometry)


def _disc(size: int, pixel_mm: float, rod: Rod) -> NDArray[np.bool_]:
    row, column, radius = rod
    axis = (np.arange(size) - (size - 1) / 2) * pixel_mm
    return np.asarray((axis[:, None] - row) ** 2 + (axis - column) ** 2 < radius**2)


def inside(volume: Volume, rod: Rod, index: int = 0) -> NDArray[np.float64]:
    """Return the HU within a rod in one slice."""
    _, pixel_mm, _ = volume.geometry.spacing_mm
    return np.asarray(volume.hu[index][_disc(volume.hu.shape[1], pixel_mm, rod)], np.float64)
