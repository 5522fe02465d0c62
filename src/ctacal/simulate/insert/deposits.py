"""``Placed`` deposits become what they add to a scan: HU through the scan's own profile, blur and heartbeat.

Exact for parallel rays: a view at angle a is the line at angle a of the picture's Fourier transform, so a deposit that
lies elsewhere in each phase of the heart is the sum of its transforms, each weighted by how much a view saw its phase.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ctacal.geometry import Geometry
from ctacal.labels import Calcium
from ctacal.simulate.anatomy.calcium import Kind
from ctacal.simulate.anatomy.compiled import mark_balls
from ctacal.simulate.anatomy.sites import Balls
from ctacal.simulate.anatomy.structures import Points
from ctacal.simulate.insert.quality import ScanQuality
from ctacal.simulate.scanner.attenuation import HYDROXYAPATITE_MG_PER_CM3
from ctacal.simulate.scanner.kernel import FAMILIES
from ctacal.simulate.scanner.motion import Timing
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.simulate.scanner.slabs import slab_weights
from ctacal.simulate.streams import Stream, generator

Maps = NDArray[np.float32]

FINE_MM = 0.5
"""Voxels that deposits are drawn on are no wider in plane, and no taller than ``FINE_SLICE_MM`` (own choice)."""

FINE_SLICE_MM = 1.0

GRAIN_MM = 0.25
"""Sub-voxels that each voxel's share is counted on (own choice: half the thinnest plaque)."""

MATRIX_HU = 44.0
"""What calcium lies in, and arteries are made of: soft tissue and blood, by the scanner's tables."""

FAT_HU = -120.0
"""What they take the place of is no darker: fat, never lung."""

MARGIN_MM = 14.0
"""Drawn around the deposits in plane: blur reaches no further."""


@dataclass(frozen=True, eq=False, slots=True)
class Placed:
    """A deposit with its place in the scan's frame."""

    kind: Kind
    vessel: str
    """LM, LAD, LCX or RCA of coronary calcium; the site of other calcium."""
    label: Calcium
    balls: Balls
    density_mg_cm3: float
    sway_mm: Points
    """(phases, 3): how far it lies from its mean place in each phase of the heart cycle; one row of 0: it rests."""


@dataclass(frozen=True, eq=False, slots=True)
class Artery:
    """A stretch of artery without calcium: wall and lumen look alike."""

    balls: Balls
    sway_mm: NDArray[np.float64]
    """(phases, n, 3): how far each ball lies from its place in each phase."""


def fine_grid(grid: Geometry, points: Points) -> tuple[Geometry, tuple[slice, slice, slice]]:
    """A fine grid around points within a straight scan grid, and the voxels of the scan that it covers."""
    spacing = np.array(grid.spacing_mm)
    margin = np.array([1.5 * spacing[0], MARGIN_MM, MARGIN_MM])
    index = (points[:, ::-1] - grid.to_patient_mm((0, 0, 0))[::-1]) / spacing
    low = np.maximum(np.floor(index.min(axis=0) - margin / spacing).astype(int), 0)
    high = np.minimum(np.ceil(index.max(axis=0) + margin / spacing).astype(int) + 1, grid.shape)
    region = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    factor = np.ceil(spacing / (FINE_SLICE_MM, FINE_MM, FINE_MM)).astype(int)
    covered = grid.crop(region)
    origin = covered.to_patient_mm((-(factor[0] - 1) / 2 / factor[0], 0, 0))  # in plane each factor-th pixel is one
    shape = (covered.shape[0] * factor[0], covered.shape[1] * factor[1], covered.shape[2] * factor[2])
    return Geometry.from_spacing(shape, (spacing / factor).tolist(), origin.tolist()), region


def reached(part: Placed | Artery) -> Points:
    """(2, 3): the corners of all that it fills in any phase."""
    moved = part.balls.centres + part.sway_mm.reshape(len(part.sway_mm), -1, 3)
    reach = float(part.balls.radii_mm.max())
    return np.array([moved.min(axis=(0, 1)) - reach, moved.max(axis=(0, 1)) + reach])


def shares(balls: Balls, shift_mm: Points, grid: Geometry, free: Maps) -> tuple[tuple[slice, ...], Maps]:
    """A box of the grid and the share of each of its voxels that the balls fill, as far as it is ``free``."""
    centres = balls.centres + shift_mm
    spacing, origin = np.array(grid.spacing_mm), grid.to_patient_mm((0, 0, 0))[::-1]
    reach = balls.radii_mm[:, None]
    low = np.floor(((centres[:, ::-1] - reach).min(axis=0) - origin) / spacing + 0.5).astype(int)
    high = np.ceil(((centres[:, ::-1] + reach).max(axis=0) - origin) / spacing + 0.5).astype(int)
    low, high = np.maximum(low, 0), np.minimum(high, grid.shape)
    box = tuple(slice(int(a), int(max(a, b))) for a, b in zip(low, high, strict=True))
    parts = np.ceil(spacing / GRAIN_MM).astype(int)
    mask = np.zeros(np.maximum(high - low, 0) * parts, np.bool_)
    first = origin + (low - 0.5 + 0.5 / parts) * spacing
    mark_balls(mask, first, spacing / parts, centres, balls.radii_mm)
    (a, b, c), (p, q, r) = np.maximum(high - low, 0), parts
    share = mask.reshape(a, p, b, q, c, r).mean(axis=(1, 3, 5), dtype=np.float32)
    return box, np.minimum(share, free[box])


@dataclass(frozen=True, eq=False, slots=True)
class Drawn:
    """All deposits and arteries in one phase, on the scan's slices and fine pixels."""

    mineral_hu: dict[Calcium, Maps]
    """What hydroxyapatite adds, by label."""
    soft_hu: Maps
    """What arteries, and the soft tissue in deposits, add to the fat that they displace."""
    volume_mm3: NDArray[np.float64]
    """(deposits,): what an earlier deposit holds already is not counted again."""


def drawn(
    deposits: Sequence[Placed], arteries: Sequence[Artery], phase: int, fine: Geometry, there_hu: Maps,
    calcium_hu_per_mg_cm3: float, profile: Maps,
) -> Drawn:  # fmt: skip
    """Draw them where they lie in a phase; ``there_hu`` is the scan without them on the fine grid, ``profile`` as in
    ``slices_seen``."""
    free = np.ones(fine.shape, np.float32)
    maps: dict[Calcium, Maps] = {}
    volumes = []
    per_mg = calcium_hu_per_mg_cm3 - MATRIX_HU / HYDROXYAPATITE_MG_PER_CM3
    for deposit in deposits:
        box, share = shares(deposit.balls, deposit.sway_mm[phase % len(deposit.sway_mm)], fine, free)
        free[box] -= share
        mineral = share * np.float32(deposit.density_mg_cm3 * per_mg)
        onto = maps.setdefault(deposit.label, np.zeros((len(profile), *fine.shape[1:]), np.float32))
        onto[:, box[1], box[2]] += slices_seen(mineral, profile[:, box[0]])
        volumes.append(float(share.sum(dtype=np.float64)) * fine.voxel_volume_mm3)
    for artery in arteries:
        box, share = shares(artery.balls, artery.sway_mm[phase % len(artery.sway_mm)], fine, free)
        free[box] -= share
    soft = (1 - free) * (MATRIX_HU - np.clip(there_hu, FAT_HU, MATRIX_HU))
    return Drawn(maps, slices_seen(soft, profile), np.array(volumes))


def slice_profile(fine: Geometry, grid: Geometry, protocol: ScannerProtocol) -> Maps:
    """(slices, fine slices): what each slice of the scan sees of each of the fine grid's."""
    return slab_weights(fine, _positions_mm(grid), protocol, 1)


def slices_seen(fine_map: Maps, profile: Maps) -> Maps:
    """A map on fine slices as the scan's slices show it."""
    return np.asarray(np.tensordot(profile.astype(np.float32), fine_map, 1), np.float32)


def _positions_mm(grid: Geometry) -> NDArray[np.float64]:
    return np.asarray(grid.to_patient_mm((0, 0, 0))[2] + np.arange(grid.shape[0]) * grid.slice_spacing_mm)


def seen(
    maps: Sequence[Maps], fine: Geometry, grid: Geometry, quality: ScanQuality, *,
    heart_rate_bpm: float = 70.0, seed: int = 0,
) -> Maps:  # fmt: skip
    """(slices, rows, columns) on a straight scan ``grid``: what the scan shows of maps on its slices and fine
    pixels, one for each phase."""
    protocol = quality.protocol
    weights = _phases_seen(protocol, _positions_mm(grid), len(maps), 60 / heart_rate_bpm, seed)
    frequency, view = _polar(fine, protocol.views)
    transfer = FAMILIES[protocol.kernel](frequency / protocol.mtf50_per_mm).astype(np.float32)
    total = np.zeros((grid.shape[0], *transfer.shape), np.complex64)
    for phase, slices in enumerate(maps):
        total += fft.rfft2(slices) * weights[phase].T[:, view] * transfer
    blurred = fft.irfft2(total, fine.shape[1:])
    step = [round(whole / part) for whole, part in zip(grid.spacing_mm[1:], fine.spacing_mm[1:], strict=True)]
    return np.asarray(blurred[:, :: step[0], :: step[1]], np.float32)


def _phases_seen(
    protocol: ScannerProtocol, position_mm: NDArray[np.float64], phases: int, beat_s: float, seed: int
) -> NDArray[np.float32]:
    """(phases, views, slices): which phase each view saw; between two, both in part. The scan begins at any moment."""
    start_s = float(generator(seed, Stream.INSERTION_START).uniform(0, beat_s))
    view_s = Timing.of(protocol, position_mm, start_s).view_s
    distance = np.mod(view_s / beat_s * phases - np.arange(phases).reshape(-1, 1, 1, 1), phases)
    distance = np.minimum(distance, phases - distance)
    seen_in = np.clip(1 - distance, 0, 1) if phases > 1 else np.ones_like(distance)
    return np.asarray(seen_in.mean(axis=1), np.float32)


def _polar(fine: Geometry, views: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Frequency per mm, and the view that measures it, of each place of ``rfft2``."""
    down = np.fft.fftfreq(fine.shape[1], fine.spacing_mm[1])[:, None]
    across = np.fft.rfftfreq(fine.shape[2], fine.spacing_mm[2])[None, :]
    angle = np.mod(np.arctan2(down, across), np.pi)  # a view at angle a sees (r, c) at c cos(a) + r sin(a)
    return np.hypot(down, across), np.mod(np.rint(angle / np.pi * views).astype(np.int64), views)
