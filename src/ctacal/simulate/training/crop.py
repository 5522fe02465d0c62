"""``simulate_crop``: HU and truth in a part of a CTAC, from a description and an anatomy's projections.

It works like ``scanner.scan``, but rays take their paths from ``Projections`` (fewer views, slices no thinner than
those), a slice is one slab, no ray misses the body, and only the crop is reconstructed.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ctacal.geometry import Geometry
from ctacal.labels import Calcium
from ctacal.simulate.anatomy.structures import HEART, Structure
from ctacal.simulate.scanner.acquisition import gains_of, noise_of
from ctacal.simulate.scanner.attenuation import HYDROXYAPATITE_MG_PER_CM3, beam_of, hydroxyapatite_hu
from ctacal.simulate.scanner.detector import WATER_MM, Detector, detector_of
from ctacal.simulate.scanner.kernel import blur_sd_rays, filtered_part, ramp_response
from ctacal.simulate.scanner.projector import Sinogram, back_project, view_angles
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.simulate.scanner.scan import HU_RANGE
from ctacal.simulate.training.anatomy_cache import AnatomyCache
from ctacal.simulate.training.deposits import ALWAYS, Deposits
from ctacal.simulate.training.description import CropDescription, Focus, draw_description, draw_whole_description
from ctacal.simulate.training.plan import Plan, geometry_of
from ctacal.simulate.truth import TRUTH_HU, structures_on
from ctacal.volume import Volume

BATCH = 18
"""Number of slices computed together; it does not affect results."""

METAL_MM = 2.5
"""Distance from metal that is labelled, about what its blur hides (own choice)."""

BLUR_MM = 12.0
"""Distance beyond which a deposit adds less than ``TRUTH_HU``."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Crop:
    """A part of a simulated CTAC, and its truth."""

    hu: NDArray[np.int16]
    """(slices, rows, columns)."""
    labels: NDArray[np.uint8]
    """``Calcium`` of voxels to which calcium adds ``TRUTH_HU``, as in ``simulate.truth``; metal is OTHER."""
    structures: NDArray[np.uint8]
    """``Structure`` with the heart half contracted, overlaid with the values of deposits in ``simulate.truth``."""
    mass_mg: NDArray[np.float32]
    """(slices, 6): hydroxyapatite within each slice of the crop while it was scanned, by ``Calcium`` starting at LM."""
    measured: NDArray[np.bool_]
    """(slices,): False where the projections have no anatomy; these slices are air and must not enter the loss."""
    geometry: Geometry
    """Its origin, (0, 0, 0) mm, is the patient's carina."""
    description: CropDescription

    @property
    def heart(self) -> NDArray[np.bool_]:
        """(slices, rows, columns): inside of the pericardium, without the voxels of deposits."""
        return np.isin(self.structures, HEART)


def draw_crop(cache: AnatomyCache, seed: int, focus: Focus = Focus.CORONARY) -> Crop:
    """Draw a crop of an anatomy; the same seed gives the same voxels."""
    return simulate_crop(cache, draw_description(cache, seed, focus))


def draw_whole(cache: AnatomyCache, seed: int, *, hard: bool = False) -> Crop:
    """Draw a whole scan in large voxels, of an anatomy built with ``COARSE``; without calcium if it is not ``hard``."""
    return simulate_crop(cache, draw_whole_description(cache, seed, hard=hard))


def simulate_crop(cache: AnatomyCache, description: CropDescription) -> Crop:
    """Scan and reconstruct the crop; benchmarks/training_crops.py measures the time."""
    plan = Plan.of(cache, description)
    hu = np.full(description.shape, HU_RANGE[0], np.int16)
    added_hu = np.zeros(description.shape, np.float32)
    indices = np.flatnonzero(plan.measured)
    for start in range(0, len(indices), BATCH):
        batch = indices[start : start + BATCH]
        hu[batch], added_hu[batch] = _scanned(plan, batch)
    geometry = geometry_of(plan)
    labels, structures = _maps(plan, geometry, added_hu)
    return Crop(
        hu=hu, labels=labels, structures=structures, mass_mg=_mass_mg(plan, geometry), measured=plan.measured,
        geometry=geometry, description=description,
    )  # fmt: skip


def simulate_picture(cache: AnatomyCache, description: CropDescription, fine: tuple[slice, slice]) -> Volume:
    """Scan a whole image of which only the ``fine`` rows and columns matter; without truth, three times as fast.

    The rest is reconstructed in pixels of about ``COARSE_MM``: enough for a network that sees it at that size. Raises
    ``ValueError`` if the image's rows and columns are no multiple of its pixels in such a pixel.
    """
    plan, protocol = Plan.of(cache, description), description.protocol
    slices, rows, columns = description.shape
    side = max(1, 2 ** round(np.log2(COARSE_MM / protocol.pixel_mm)))
    if rows % side or columns % side:
        raise ValueError(f"rows and columns must be multiples of {side}, got {rows} and {columns}")
    smooth = replace(protocol, matrix=protocol.matrix // side, kernel="hann", mtf50_per_mm=0.1, blur_mm=0.0)
    shape = slices, rows // side, columns // side
    coarse = replace(plan, description=replace(description, protocol=smooth, shape=shape))
    hu = np.full(description.shape, HU_RANGE[0], np.int16)
    indices = np.flatnonzero(plan.measured)
    for start in range(0, len(indices), BATCH):
        batch = indices[start : start + BATCH]
        paths = _measured(plan, batch, _paths(plan, batch))
        around = _hu(_reconstructed(coarse, paths, slice(0, shape[1]), slice(0, shape[2])))
        hu[batch] = around.repeat(side, axis=1).repeat(side, axis=2)
        hu[batch, fine[0], fine[1]] = _hu(_reconstructed(plan, paths, *fine))
    return Volume(hu, geometry_of(plan))


COARSE_MM = 4.0
"""Pixel of ``simulate_picture`` where fine ones do not matter: that of the network that finds the heart."""


def _scanned(plan: Plan, batch: NDArray[np.int64]) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Return (slices, rows, columns) of HU, and of the HU that deposits add without noise."""
    weights, seen = plan.weights[batch], plan.seen[:, :, batch]
    paths = plan.cache.projections.paths(weights, seen)
    added_hu = _add_deposits(plan, _detector(plan.description.protocol), paths, weights, seen)
    rows, columns = (slice(0, n) for n in plan.description.shape[1:])
    return _hu(_reconstructed(plan, _measured(plan, batch, paths), rows, columns)), added_hu


def _paths(plan: Plan, batch: NDArray[np.int64]) -> tuple[Sinogram, Sinogram]:
    """Return the paths of the body and its deposits."""
    weights, seen = plan.weights[batch], plan.seen[:, :, batch]
    paths = plan.cache.projections.paths(weights, seen)
    here = plan.deposits.rows(np.asarray(weights.any(axis=0), np.bool_)[plan.deposits.place[:, 0]])
    if len(here.state):
        for total, more in zip(paths, _deposit_paths(plan, here, weights, seen), strict=True):
            total += more
    return paths


def _measured(plan: Plan, batch: NDArray[np.int64], paths: tuple[Sinogram, Sinogram]) -> Sinogram:
    """Return the path lengths of water that the scanner derives from its noisy signals."""
    protocol, seed = plan.description.protocol, plan.description.seed
    detector = _detector(protocol)
    signal, variance = detector.primary(*paths)
    slices = slice(int(batch[0]), int(batch[-1]) + 1)
    measured = detector.measure_with(signal, variance, noise_of(protocol, seed, slices, signal.shape[1]))
    return detector.water(measured * gains_of(protocol, seed, signal.shape[1])[:, None])


def _hu(density: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.clip(np.rint((density - 1) * 1000), *HU_RANGE).astype(np.int16)


def _detector(protocol: ScannerProtocol) -> Detector:
    """Return the protocol's detector with tables that crops share, which depend only on the beam and the field."""
    shared = replace(
        protocol, tube_current_ma=1.0, rotation_s=1.0, thickness_mm=1.0, spacing_mm=1.0, matrix=512, fov_mm=500.0,
        kernel="hann", mtf50_per_mm=0.3, electronic_noise_kev=1.0, gain_error=0.0,
    )  # fmt: skip
    return replace(detector_of(shared), protocol=protocol)


def _add_deposits(
    plan: Plan,
    detector: Detector,
    paths: tuple[Sinogram, Sinogram],
    weights: NDArray[np.float32],
    seen: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Add the deposits' paths, and return the HU that calcium adds, as in ``scanner.calcium``; metal adds none."""
    hu = np.zeros((len(weights), *plan.description.shape[1:]), np.float32)
    scanned = np.asarray(weights.any(axis=0), np.bool_)
    here = plan.deposits.rows(scanned[plan.deposits.place[:, 0]])
    if not len(here.state):
        return hu
    is_metal = here.mg_cm3 == 0
    added = _deposit_paths(plan, here.rows(~is_metal), weights, seen)
    filled = np.flatnonzero(weights[:, here.place[~is_metal, 0]].any(axis=1))
    ratio = _brightness(detector, paths[0][:, :, len(weights) // 2])
    span = slice(int(filled.min(initial=0)), int(filled.max(initial=-1)) + 1)
    alone = added[0][:, :, span] + ratio * added[1][:, :, span]
    for part in (added, *([_deposit_paths(plan, here.rows(is_metal), weights, seen)] if is_metal.any() else [])):
        for total, more in zip(paths, part, strict=True):
            total += more
    if len(filled):
        rows, columns = _box(plan, here.rows(~is_metal))
        hu[span, rows, columns] = 1000 * _reconstructed(plan, alone, rows, columns, blurred=True)
    return hu


def _deposit_paths(
    plan: Plan, deposits: Deposits, weights: NDArray[np.float32], seen: NDArray[np.float32]
) -> tuple[Sinogram, Sinogram]:
    kept = plan.cache.projections
    shape = kept.views, kept.detectors
    return deposits.paths(plan.cache.geometry, kept.isocentre_mm, weights, seen, shape, kept.detector_mm)


def _box(plan: Plan, deposits: Deposits) -> tuple[slice, slice]:
    """Return the rows and columns of the crop that deposits may reach."""
    at_mm = deposits.row_column_mm(plan.cache.geometry, plan.cache.projections.isocentre_mm)
    index = (at_mm - plan.description.middle_mm) / plan.description.protocol.pixel_mm
    index += (np.array(plan.description.shape[1:]) - 1) / 2
    margin = BLUR_MM / plan.description.protocol.pixel_mm
    low, high = np.floor(index.min(axis=0) - margin).astype(int), np.ceil(index.max(axis=0) + margin).astype(int) + 1
    spans = [
        sorted((max(0, min(a, n)), max(0, min(b, n))))
        for a, b, n in zip(low, high, plan.description.shape[1:], strict=True)
    ]
    return slice(*spans[0]), slice(*spans[1])


def _brightness(detector: Detector, water_mm: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (views, detectors, 1): attenuation of hydroxyapatite over that of the same mass of water, for each ray."""
    table = [hydroxyapatite_hu(beam_of(detector.protocol), mm) / 1000 for mm in WATER_MM]
    over_water = np.array(table) + 1000 / HYDROXYAPATITE_MG_PER_CM3
    behind = water_mm + detector.bow_tie_mm
    return np.asarray(np.interp(behind, WATER_MM, over_water)[:, :, None], np.float32)


def _reconstructed(
    plan: Plan, paths: Sinogram, rows: slice, columns: slice, *, blurred: bool = False
) -> NDArray[np.float32]:
    """Return the density (slices, rows, columns) over that of water in a part of the crop.

    ``blurred`` adds the detector's blur. In each view, only rays that cross this part are filtered; the others only
    contribute to these.
    """
    protocol, detectors = plan.description.protocol, paths.shape[1]
    response = ramp_response(detectors, protocol.detector_mm, protocol.kernel, protocol.mtf50_per_mm, protocol.blur_mm)
    sizes = rows.stop - rows.start, columns.stop - columns.start
    row_mm, column_mm = (
        middle + (part.start + part.stop - n) / 2 * protocol.pixel_mm
        for middle, part, n in zip(plan.description.middle_mm, (rows, columns), plan.description.shape[1:], strict=True)
    )
    first, reach = _crossing(sizes, (row_mm, column_mm), protocol, detectors)
    blur_sd = blur_sd_rays(protocol.blur_mm, protocol.detector_mm) if blurred else 0.0
    image = back_project(
        filtered_part(paths, response, first, reach, blur_sd), sizes, pixel_mm=protocol.pixel_mm,
        detector_mm=protocol.detector_mm, middle_mm=(row_mm, column_mm),
        first_mm=(first - (detectors - 1) / 2) * protocol.detector_mm,
    )  # fmt: skip
    return np.asarray(image.transpose(2, 0, 1), np.float32)


def _crossing(
    sizes: tuple[int, int], middle_mm: tuple[float, float], protocol: ScannerProtocol, detectors: int
) -> tuple[NDArray[np.int64], int]:
    """Return the first ray of each view that crosses a rectangle of pixels, and the number of rays."""
    angles = view_angles(protocol.views)
    cosines, sines = np.cos(angles), np.sin(angles)
    half_mm = (abs(sines) * (sizes[0] - 1) + abs(cosines) * (sizes[1] - 1)) * protocol.pixel_mm / 2
    seen_mm = sines * middle_mm[0] + cosines * middle_mm[1]
    low = np.floor((seen_mm - half_mm) / protocol.detector_mm + (detectors - 1) / 2 - 1e-6)
    reach = min(detectors, int(2 * half_mm.max() / protocol.detector_mm) + 3)
    return np.clip(low, 0, detectors - reach).astype(np.int64), reach


def _maps(plan: Plan, geometry: Geometry, added_hu: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return labels, and structures overlaid with the nearest deposit's value where calcium or metal shows."""
    cache, deposits = plan.cache, plan.deposits
    structures = structures_on(geometry, cache.structure, cache.structure_grid, plan.shift_mm.mean(axis=0))
    structures[~plan.measured] = Structure.OUTSIDE
    labels = np.zeros(geometry.shape, np.uint8)
    bright, is_metal = added_hu >= TRUTH_HU, deposits.mg_cm3 == 0
    metal = _around(plan, geometry, deposits.rows(is_metal)) & ~bright
    for where, rows in ((bright, deposits.rows(~is_metal)), (metal, deposits.rows(is_metal))):
        index = np.argwhere(where)
        if len(index):
            points = index @ geometry.affine[:3, :3].T + geometry.affine[:3, 3]
            points[:, 2] += plan.shift_mm.mean(axis=0)[index[:, 0]]
            nearest = cKDTree(rows.points_mm(cache.geometry)).query(points)[1]
            labels[tuple(index.T)] = rows.calcium[nearest]
            structures[tuple(index.T)] = rows.label[nearest]
    return labels, structures


def _around(plan: Plan, geometry: Geometry, metal: Deposits) -> NDArray[np.bool_]:
    """Return the voxels within ``METAL_MM`` of metal, because the streaks it adds reach everywhere."""
    near = np.zeros(geometry.shape, np.bool_)
    if not len(metal.state):
        return near
    at = metal.points_mm(plan.cache.geometry)
    row, column = (np.rint((at[:, axis] - geometry.affine[axis, 3]) / geometry.spacing_mm[1]) for axis in (1, 0))
    inside = (row >= 0) & (row < geometry.shape[1]) & (column >= 0) & (column < geometry.shape[2])
    at_rest_mm = plan.position_mm + plan.shift_mm.mean(axis=0)
    for k in np.flatnonzero(plan.measured):
        here = inside & (np.abs(at[:, 2] - at_rest_mm[k]) <= plan.description.protocol.thickness_mm / 2)
        near[k, row[here].astype(int), column[here].astype(int)] = True
    grown = ndimage.distance_transform_edt(~near, (1e3, *geometry.spacing_mm[1:])) <= METAL_MM if near.any() else near
    return np.asarray(grown, np.bool_)


def _mass_mg(plan: Plan, geometry: Geometry) -> NDArray[np.float32]:
    """Return (slices, 6): each voxel's mass, divided among the slices by the time it lay in them."""
    cache, deposits = plan.cache, plan.deposits
    mass = np.zeros((len(plan.position_mm), len(Calcium)), np.float32)
    at = deposits.points_mm(cache.geometry)
    row, column = (np.rint((at[:, axis] - geometry.affine[axis, 3]) / geometry.spacing_mm[1]) for axis in (1, 0))
    inside = (row >= 0) & (row < geometry.shape[1]) & (column >= 0) & (column < geometry.shape[2])
    inside &= deposits.mg_cm3 > 0
    mg = deposits.mg_cm3[inside] * cache.geometry.voxel_volume_mm3 / 1000
    half = cache.geometry.slice_spacing_mm / 2
    share_seen = np.concatenate([plan.seen.mean(axis=1), np.ones((1, len(plan.position_mm)))])
    state = np.where(deposits.state == ALWAYS, len(plan.seen), deposits.state)[inside]
    for k in np.flatnonzero(plan.measured):
        distance = np.abs(at[inside, 2] - plan.position_mm[k] - plan.shift_mm[:, k, None])
        reach = plan.description.protocol.spacing_mm / 2
        part = np.clip((reach + half - distance) / (2 * half), 0, min(1.0, reach / half)).mean(axis=0)
        mass[k] = np.bincount(deposits.calcium[inside] - 1, mg * part * share_seen[state, k], len(Calcium))
    return mass
