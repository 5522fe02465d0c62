"""The QRM thorax phantom in its large ring, with the cardiac calcification insert, as a ``Body`` to be scanned.

All outlines and the positions of the inserts were measured on the scan ``qrm_phantom_canon`` of the reference data
(MolloiLab/CAC-stanford-data, MIT), at half height between the materials, averaged over the slices without inserts.
Beyond the image of that scan (125 mm from its middle) the outline follows the outer dimensions, thorax 300 x 200 mm and
ring 400 x 300 mm. Positions are (left, posterior) in mm from the middle of the bore for the heart; along the axis, 0 is
the slice of the calcium inserts. The real phantom was slightly rotated on the table, and so is this one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from ctacal.arrays import Bytes, Floats, Floats32, Mask
from ctacal.geometry import Geometry
from ctacal.simulate.materials import Body, Tissue
from ctacal.simulate.measure import Insert, disc_hu, edge_response, measure_insert, noise_sd_hu
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.simulate.scanner.scan import scan
from ctacal.volume import Volume

PIXEL_MM, SLICE_MM = 0.5, 0.5
SHAPE_MM = (340.0, 410.0)
"""Height and width of the grid; its middle is ``MIDDLE_MM``."""
MIDDLE_MM = (0.0, 24.0)

FINE = 4
"""Subdivisions of a voxel along each edge in plane, to find its share of a rod or an outline."""

ISOCENTRE_MM = (-1.0, 19.5)
"""Middle of the image of the real scan."""


@dataclass(frozen=True, slots=True)
class Rod:
    """A cylinder along the axis."""

    name: str
    left_mm: float
    posterior_mm: float
    middle_mm: float
    """Position of its middle along the axis."""
    diameter_mm: float
    length_mm: float
    hydroxyapatite_mg_cm3: float


SHORTER = 0.979
"""Measured length of the calcium inserts over the stated length (+- 0.005): as if shorter, and denser by as much."""


def _insert_rod(name: str, left_mm: float, posterior_mm: float, middle_mm: float, mm: float, mg_cm3: float) -> Rod:
    """Return an insert as long as it is wide, with the stated mass."""
    return Rod(name, left_mm, posterior_mm, middle_mm, mm, SHORTER * mm, mg_cm3 / SHORTER)


INSERTS = (
    _insert_rod("5 mm 800 mg/mL", -37.73, 2.26, -0.16, 5, 800),
    _insert_rod("5 mm 400 mg/mL", 16.58, -31.64, -0.63, 5, 400),
    _insert_rod("5 mm 200 mg/mL", 20.03, 32.21, -0.60, 5, 200),
    _insert_rod("3 mm 800 mg/mL", -25.33, 2.54, -0.08, 3, 800),
    _insert_rod("3 mm 400 mg/mL", 11.19, -20.58, -0.42, 3, 400),
    _insert_rod("3 mm 200 mg/mL", 13.34, 21.77, -0.40, 3, 200),
    _insert_rod("1 mm 800 mg/mL", -13.08, 2.34, 0.0, 1, 800),
)
"""Diameter and mass as the manufacturer states them; positions as measured. Positions along the axis (to 0.01 to 0.2
mm) and the common length were fitted to the contents of each slice of the 5 and 3 mm inserts, independent of their
brightness (matched filter, the profile of ``slabs.AXIAL_FOOT``): chi-square 28 with 22 degrees of freedom; 42 with the
stated length, 46 on one tilted plane. The foot of the profile, as a free parameter, is 0.45 +- 0.04."""

CALIBRATION = Rod("calibration 200 mg/mL", 0.08, 1.08, 34.0, 20, 17, 200)
WATER = Rod("water", -11.42, -18.46, 34.0, 19, 17, 0)
"""Rods in the other block of the insert; their lengths are those that were measured."""

_BORE_MM = 54.7
"""Radius of the body around the bore for the heart, including the insert."""

_SPINE = (-2.16, 72.5)
_SPINE_MM, _SPONGIOSA_MM = 17.5, 14.5

_TURN = 0.025
"""Rotation of the thorax in radians."""

# fmt: off
_LUNGS = (
    ((-117.9, 61.3), (-113.1, 68.1), (-107.1, 74.8), (-101.8, 79.8), (-96.1, 84.2), (-88.2, 89.1), (-84.2, 91.1),
     (-75.8, 94.4), (-68.8, 96.4), (-60.3, 97.9), (-52.5, 98.3), (-17.4, 86.6), (-15.9, 85.7), (-15.9, 84.2),
     (-18.1, 80.8), (-19.8, 76.4), (-20.3, 73.0), (-20.0, 69.1), (-19.0, 65.6), (-17.5, 62.7), (-15.2, 59.8),
     (-11.6, 56.9), (-11.3, 56.4), (-11.5, 55.4), (-13.4, 53.7), (-22.7, 50.0), (-30.0, 45.9), (-37.3, 40.1),
     (-42.6, 34.4), (-47.3, 27.6), (-50.9, 20.3), (-53.5, 11.5), (-54.6, 4.2), (-54.6, -3.7), (-54.0, -9.0),
     (-52.0, -16.8), (-49.1, -24.1), (-45.4, -30.5), (-39.8, -37.5), (-33.9, -42.8), (-25.5, -48.5), (-24.0, -50.0),
     (-23.4, -51.5), (-23.2, -52.9), (-23.5, -54.4), (-24.4, -55.9), (-27.1, -57.5), (-34.4, -59.4), (-40.8, -60.4),
     (-48.6, -61.0), (-60.8, -60.3), (-68.1, -59.0), (-74.4, -57.3), (-86.6, -52.3), (-92.0, -49.3), (-97.4, -45.7),
     (-106.2, -38.3), (-111.2, -32.9), (-115.9, -26.7), (-122.5, -15.0), (-128.0, 0.0), (-130.5, 18.0),
     (-128.5, 35.0), (-123.5, 50.0)),
    ((116.4, -21.2), (112.0, -27.4), (107.1, -33.1), (102.7, -37.4), (96.9, -42.2), (86.6, -48.7), (81.7, -51.1),
     (74.4, -54.1), (68.1, -55.9), (61.7, -57.1), (49.0, -58.2), (43.2, -58.0), (34.9, -56.9), (29.5, -55.6),
     (27.3, -53.9), (26.4, -51.0), (26.7, -49.5), (27.5, -48.1), (36.3, -41.0), (41.2, -36.0), (46.1, -29.5),
     (50.1, -22.2), (52.4, -15.9), (54.1, -8.0), (54.7, -0.2), (54.2, 7.1), (52.1, 16.4), (49.3, 23.7), (45.1, 30.9),
     (39.8, 37.5), (34.4, 42.5), (27.0, 47.6), (19.7, 51.1), (10.0, 54.2), (8.0, 55.9), (8.0, 57.3), (11.6, 60.8),
     (14.1, 64.7), (15.3, 67.6), (15.8, 71.0), (15.5, 75.4), (14.6, 78.8), (13.1, 81.7), (10.6, 85.2), (10.7, 86.6),
     (46.3, 101.3), (53.4, 101.4), (61.2, 100.6), (69.0, 99.0), (76.4, 96.8), (83.7, 93.7), (89.0, 90.9),
     (95.9, 86.5), (101.2, 82.2), (108.1, 75.6), (113.0, 69.7), (121.5, 57.0), (127.5, 42.0), (129.5, 25.0),
     (127.0, 8.0), (122.0, -8.0)),
)
"""Outlines of the lungs, (left, posterior); the last five points of each lie beyond the real image (assumed)."""

_PROCESSES = (
    (-2.7, 117.0), (-4.2, 117.0), (-5.6, 116.1), (-6.6, 115.2), (-7.3, 113.5), (-7.3, 97.4), (-7.9, 96.4),
    (-10.0, 94.8), (-11.5, 94.2), (-12.9, 94.2), (-33.9, 95.1), (-35.4, 95.0), (-36.3, 94.4), (-36.0, 93.9),
    (-33.4, 93.0), (-18.8, 88.4), (-14.8, 86.6), (-12.0, 80.0), (7.0, 80.0), (9.2, 86.1), (9.5, 87.1), (11.5, 88.3),
    (26.8, 94.4), (30.7, 96.4), (30.5, 96.9), (28.0, 97.3), (6.1, 94.8), (3.6, 95.4), (1.7, 96.7), (1.4, 97.4),
    (1.0, 113.0), (0.0, 115.4), (-1.2, 116.5))
"""Outline of the spinous and transverse processes."""
# fmt: on


@dataclass(frozen=True, slots=True)
class Material:
    """A tissue, and the hydroxyapatite on top of it."""

    tissue: Tissue
    hydroxyapatite_mg_cm3: float = 0.0


RING = Material(Tissue.FAT)
SOFT = Material(Tissue.WATER, 30.0)
"""Measures 35 HU, as the manufacturer states for the resin of the insert."""
LUNG = Material(Tissue.LUNG_INFLATED)
SPONGIOSA = Material(Tissue.BLOOD, 34.0)
CORTICAL = Material(Tissue.BLOOD, 255.0)
"""Chosen, like ``SPONGIOSA``, to measure on ``canon_aquilion_one`` as on the real scan."""
RESIN = Material(Tissue.WATER)
"""Resin of the calibration block."""


def qrm_phantom(slices_mm: tuple[float, float]) -> Body:
    """Return the phantom between two positions along its axis, in mm from the slice of the calcium inserts."""
    geometry = _grid(slices_mm)
    tissue, added = _cross_section(geometry)
    count = geometry.shape[0]
    body = Body(np.tile(tissue, (count, 1, 1)), np.tile(added, (count, 1, 1)), geometry)
    for rod in INSERTS:
        _insert(body, rod, SOFT)
    for rod in (CALIBRATION, WATER):
        _insert(body, rod, RESIN)
    return body


def _grid(slices_mm: tuple[float, float]) -> Geometry:
    rows, columns = (round(mm / PIXEL_MM) for mm in SHAPE_MM)
    bottom_mm, top_mm = slices_mm
    corner = [middle - (count - 1) / 2 * PIXEL_MM for middle, count in zip(MIDDLE_MM, (columns, rows), strict=True)]
    shape = (round((top_mm - bottom_mm) / SLICE_MM), rows, columns)
    return Geometry.from_spacing(shape, (SLICE_MM, PIXEL_MM, PIXEL_MM), (*corner, bottom_mm + SLICE_MM / 2))


def _cross_section(geometry: Geometry) -> tuple[Bytes, Floats32]:
    """Return tissue and hydroxyapatite of a slice without inserts; later parts cover earlier parts."""
    left, posterior = _axes(geometry, 1)
    tissue = np.zeros(geometry.shape[1:], np.uint8)
    added = np.zeros(geometry.shape[1:], np.float32)
    for part, material in (
        (_rounded(left, posterior, 200, 150), RING),
        (_rounded(left, posterior, 150.3, 100.3), Material(Tissue.AIR)),
        (_rounded(left, posterior, 150, 100), SOFT),
        *((_within(outline, geometry), LUNG) for outline in _LUNGS),
        (np.hypot(left, posterior) < _BORE_MM, SOFT),
        (_within(_PROCESSES, geometry), CORTICAL),
        (np.hypot(left - _SPINE[0], posterior - _SPINE[1]) < _SPINE_MM, CORTICAL),
        (np.hypot(left - _SPINE[0], posterior - _SPINE[1]) < _SPONGIOSA_MM, SPONGIOSA),
    ):
        tissue[part] = material.tissue
        added[part] = material.hydroxyapatite_mg_cm3
    return tissue, added


def _axes(geometry: Geometry, fine: int) -> tuple[Floats, Floats]:
    """Return the positions in plane of each part of a voxel: left (1, columns x fine), posterior (rows x fine, 1)."""
    left, posterior = (
        geometry.affine[axis, 3] + ((np.arange(n * fine) + 0.5) / fine - 0.5) * PIXEL_MM
        for axis, n in ((0, geometry.shape[2]), (1, geometry.shape[1]))
    )
    return left[None], posterior[:, None]


def _rounded(left: Floats, posterior: Floats, half_width_mm: float, half_height_mm: float) -> Mask:
    """Return a rotated, rounded box about the middle of the thorax; its exponent of 3 fits the visible front."""
    x, y = left + 0.5, posterior - 20.5
    across, down = x + _TURN * y, y - _TURN * x
    return np.asarray(np.abs(across / half_width_mm) ** 3 + np.abs(down / half_height_mm) ** 3 < 1)


def _within(outline: tuple[tuple[float, float], ...], geometry: Geometry) -> Mask:
    """Return the voxels, (rows, columns), at least half of which lies in a polygon."""
    rows, columns = geometry.shape[1:]
    picture = Image.new("L", (columns * FINE, rows * FINE))
    corner = geometry.affine[:2, 3] - PIXEL_MM / 2
    ImageDraw.Draw(picture).polygon([tuple((np.array(p) - corner) / PIXEL_MM * FINE) for p in outline], fill=1)
    share = np.asarray(picture).reshape(rows, FINE, columns, FINE).mean(axis=(1, 3))
    return np.asarray(share >= 0.5)


def _insert(body: Body, rod: Rod, matrix: Material) -> None:
    """Put a rod of resin with hydroxyapatite into the body; border voxels get their share."""
    left, posterior = _axes(body.geometry, FINE)
    inside = np.hypot(left - rod.left_mm, posterior - rod.posterior_mm) < rod.diameter_mm / 2
    rows, columns = body.geometry.shape[1:]
    share = inside.reshape(rows, FINE, columns, FINE).mean(axis=(1, 3)).astype(np.float32)
    bottom = body.geometry.affine[2, 3] - SLICE_MM / 2 + np.arange(body.geometry.shape[0]) * SLICE_MM
    ends = rod.middle_mm - rod.length_mm / 2, rod.middle_mm + rod.length_mm / 2
    depth = np.clip(np.minimum(bottom + SLICE_MM, ends[1]) - np.maximum(bottom, ends[0]), 0, None) / SLICE_MM
    reached = slice(*(np.flatnonzero(depth)[[0, -1]] + (0, 1))) if depth.any() else slice(0)
    tissue, added = body.tissue[reached], body.hydroxyapatite_mg_cm3[reached]
    covered = (depth[reached, None, None] * share).astype(np.float32)
    tissue[covered >= 0.5] = matrix.tissue
    added *= 1 - covered
    added += covered * np.float32(matrix.hydroxyapatite_mg_cm3 + rod.hydroxyapatite_mg_cm3)


@dataclass(frozen=True, eq=False, slots=True)
class QrmFigures:
    """Measurements of a scan of the phantom."""

    inserts: Mapping[str, Insert]
    background_hu: float
    noise_sd_hu: float
    water_hu: float
    calibration_hu: float
    mtf50_per_mm: float
    """Resolution, from the edge of the calibration rod."""


PARTS_MM = ((-7.5, 7.5), (-31.5, -7.5), (25.5, 34.5))
"""Parts along the axis, in 3 mm slices: the calcium inserts, resin alone, the calibration rods."""

REACH_MM = {5.0: 5.0, 3.0: 4.0, 1.0: 2.0}
"""Half side of the square in which an insert is searched, by its diameter."""


def simulate_qrm(protocol: ScannerProtocol, seed: int) -> QrmFigures:
    """Simulate scans of the parts, and measure them."""
    return measure_qrm([_scan(part, protocol, seed) for part in PARTS_MM], (0.0, 0.0))


def simulate_inserts(protocol: ScannerProtocol, seed: int) -> Mapping[str, Insert]:
    """Measure only the inserts of ``simulate_qrm``, in a third of the time: for many seeds."""
    return _measure_inserts(_scan(PARTS_MM[0], protocol, seed), (0.0, 0.0))


def _scan(part_mm: tuple[float, float], protocol: ScannerProtocol, seed: int) -> Volume:
    return scan(qrm_phantom(part_mm), protocol, seed=seed, isocentre_mm=ISOCENTRE_MM)


def measure_qrm(parts: Sequence[Volume], middle_mm: tuple[float, float]) -> QrmFigures:
    """Measure volumes of ``PARTS_MM``; ``middle_mm`` is the position of the middle of the bore, (left, posterior)."""
    inserts, plain, block = parts
    water, calibration = (_place(block, middle_mm, rod) for rod in (WATER, CALIBRATION))
    slices = slice(0, block.hu.shape[0])
    resin = _around(plain, _place(plain, middle_mm, None), _RESIN_MM)
    return QrmFigures(
        inserts=_measure_inserts(inserts, middle_mm),
        background_hu=float(plain.hu[resin].mean()),
        noise_sd_hu=noise_sd_hu(plain, resin),
        water_hu=float(disc_hu(block, water, 6.0, slices).mean()),
        calibration_hu=float(disc_hu(block, calibration, 7.0, slices).mean()),
        mtf50_per_mm=edge_response(block, calibration, CALIBRATION.diameter_mm / 2, slices).mtf50_per_mm,
    )


def _measure_inserts(volume: Volume, middle_mm: tuple[float, float]) -> Mapping[str, Insert]:
    slices = slice(0, volume.hu.shape[0])
    return {
        rod.name: measure_insert(volume, _place(volume, middle_mm, rod), REACH_MM[rod.diameter_mm], slices)
        for rod in INSERTS
    }


_RESIN_MM = 46.0
"""Radius of the region measured where the insert holds only resin."""


def _place(volume: Volume, middle_mm: tuple[float, float], rod: Rod | None) -> tuple[float, float]:
    """Return the (row, column) of the middle of a rod, or of the bore."""
    left, posterior = (0.0, 0.0) if rod is None else (rod.left_mm, rod.posterior_mm)
    origin, pixel_mm = volume.geometry.affine[:2, 3], volume.geometry.spacing_mm[1]
    return (
        float((posterior + middle_mm[1] - origin[1]) / pixel_mm), float((left + middle_mm[0] - origin[0]) / pixel_mm)
    )  # fmt: skip


def _around(volume: Volume, place: tuple[float, float], radius_mm: float) -> Mask:
    rows, columns = np.indices(volume.hu.shape[1:])
    near = np.hypot(rows - place[0], columns - place[1]) * volume.geometry.spacing_mm[1] < radius_mm
    return np.broadcast_to(near, volume.hu.shape)
