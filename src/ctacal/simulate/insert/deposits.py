"""The HU that ``Placed`` deposits add to a scan, through its slice profile, blur and heartbeat.

Exact for parallel rays: a view at angle a is the line at angle a of the Fourier transform of the image. So a deposit
that moves with the heart is the sum of its transforms in all phases, each weighted by how much a view saw its phase.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft

from ctacal.arrays import Floats, Floats32, Ints
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

FINE_MM = 0.5
"""Largest size in plane of the voxels on which deposits are drawn (own choice)."""

FINE_SLICE_MM = 1.0
"""Largest height of the voxels on which deposits are drawn (own choice)."""

GRAIN_MM = 0.25
"""Size of the sub-voxels that give the share of a voxel (own choice: half the thinnest plaque)."""

MATRIX_HU = 44.0
"""HU of the tissue around calcium and of arteries: soft tissue and blood, from the tables of the scanner."""

FAT_HU = -120.0
"""Lowest HU of the tissue that deposits and arteries displace: fat, never lung."""

MARGIN_MM = 14.0
"""Margin in plane around the deposits: blur reaches no further."""


@dataclass(frozen=True, eq=False, slots=True)
class Placed:
    """A deposit with its position in the frame of the scan."""

    kind: Kind
    vessel: str
    """LM, LAD, LCX or RCA for coronary calcium; the site for other calcium."""
    label: Calcium
    balls: Balls
    density_mg_cm3: float
    sway_mm: Points
    """Displacement from the mean position in each phase of the heart cycle, (phases, 3); a single row of 0: at rest."""


@dataclass(frozen=True, eq=False, slots=True)
class Artery:
    """A segment of artery without calcium: wall and lumen look alike."""

    balls: Balls
    sway_mm: Floats
    """Displacement of each ball in each phase, (phases, n, 3)."""


def fine_grid(grid: Geometry, points: Points) -> tuple[Geometry, tuple[slice, slice, slice]]:
    """Return a fine grid around points in a straight scan grid, and the voxels of the scan that it covers."""
    spacing = np.array(grid.spacing_mm)
    margin = np.array([1.5 * spacing[0], MARGIN_MM, MARGIN_MM])
    index = (points[:, ::-1] - grid.to_patient_mm((0, 0, 0))[::-1]) / spacing
    low = np.maximum(np.floor(index.min(axis=0) - margin / spacing).astype(int), 0)
    high = np.minimum(np.ceil(index.max(axis=0) + margin / spacing).astype(int) + 1, grid.shape)
    region = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    factor = np.ceil(spacing / (FINE_SLICE_MM, FINE_MM, FINE_MM)).astype(int)
    covered = grid.crop(region)
    origin = covered.to_patient_mm(
        (-(factor[0] - 1) / 2 / factor[0], 0, 0)
    )  # in plane each factor-th pixel is one of the scan's
    shape = (covered.shape[0] * factor[0], covered.shape[1] * factor[1], covered.shape[2] * factor[2])
    return Geometry.from_spacing(shape, (spacing / factor).tolist(), origin.tolist()), region


def reached(part: Placed | Artery) -> Points:
    """Return the corners, (2, 3), of the box that the part fills in any phase."""
    moved = part.balls.centres + part.sway_mm.reshape(len(part.sway_mm), -1, 3)
    reach = float(part.balls.radii_mm.max())
    return np.array([moved.min(axis=(0, 1)) - reach, moved.max(axis=(0, 1)) + reach])


def shares(balls: Balls, shift_mm: Points, grid: Geometry, free: Floats32) -> tuple[tuple[slice, ...], Floats32]:
    """Return a box of the grid, and the share of each of its voxels that the balls fill, at most the ``free`` share."""
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
    """All deposits and arteries in one phase, on the slices of the scan and fine pixels."""

    mineral_hu: dict[Calcium, Floats32]
    """HU that hydroxyapatite adds, by label."""
    soft_hu: Floats32
    """HU that arteries, and the soft tissue in deposits, add to the fat that they displace."""
    volume_mm3: Floats
    """Volume of each deposit; where two deposits overlap, the first one counts."""


def drawn(
    deposits: Sequence[Placed], arteries: Sequence[Artery], phase: int, fine: Geometry, there_hu: Floats32,
    calcium_hu_per_mg_cm3: float, profile: Floats32,
) -> Drawn:  # fmt: skip
    """Draw deposits and arteries at their positions in a phase.

    ``there_hu`` is the scan without them on the fine grid; ``profile`` as in ``slices_seen``.
    """
    free = np.ones(fine.shape, np.float32)
    maps: dict[Calcium, Floats32] = {}
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


def slice_profile(fine: Geometry, grid: Geometry, protocol: ScannerProtocol) -> Floats32:
    """Return the weight of each fine slice in each slice of the scan, (slices, fine slices)."""
    return slab_weights(fine, _positions_mm(grid), protocol, 1)


def slices_seen(fine_map: Floats32, profile: Floats32) -> Floats32:
    """Average a map on fine slices to the slices of the scan."""
    return np.asarray(np.tensordot(profile.astype(np.float32), fine_map, 1), np.float32)


def _positions_mm(grid: Geometry) -> Floats:
    return np.asarray(grid.to_patient_mm((0, 0, 0))[2] + np.arange(grid.shape[0]) * grid.slice_spacing_mm)


def seen(
    maps: Sequence[Floats32], fine: Geometry, grid: Geometry, quality: ScanQuality, *,
    heart_rate_bpm: float = 70.0, seed: int = 0,
) -> Floats32:  # fmt: skip
    """Return how the scan shows ``maps``, (slices, rows, columns) on a straight scan ``grid``.

    There is a map for each phase, on the slices of the scan and fine pixels.
    """
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


def _phases_seen(protocol: ScannerProtocol, position_mm: Floats, phases: int, beat_s: float, seed: int) -> Floats32:
    """Return the weight of each phase in each view, (phases, views, slices); between two phases, both have a share.

    The scan begins at a random moment of the heart cycle.
    """
    start_s = float(generator(seed, Stream.INSERTION_START).uniform(0, beat_s))
    view_s = Timing.of(protocol, position_mm, start_s).view_s
    distance = np.mod(view_s / beat_s * phases - np.arange(phases).reshape(-1, 1, 1, 1), phases)
    distance = np.minimum(distance, phases - distance)
    seen_in = np.clip(1 - distance, 0, 1) if phases > 1 else np.ones_like(distance)
    return np.asarray(seen_in.mean(axis=1), np.float32)


def _polar(fine: Geometry, views: int) -> tuple[Floats, Ints]:
    """Return the frequency per mm of each element of ``rfft2``, and the view that measures it."""
    down = np.fft.fftfreq(fine.shape[1], fine.spacing_mm[1])[:, None]
    across = np.fft.rfftfreq(fine.shape[2], fine.spacing_mm[2])[None, :]
    angle = np.mod(np.arctan2(down, across), np.pi)  # a view at angle a sees (r, c) at c cos(a) + r sin(a)
    return np.hypot(down, across), np.mod(np.rint(angle / np.pi * views).astype(np.int64), views)
