"""``insert``: placed deposits become part of a scan, with the truth of what was put in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctacal.geometry import Geometry
from ctacal.labels import Calcium, LabelMap
from ctacal.scores import SCCT_2016, Scores, score_label_map
from ctacal.simulate.anatomy.truth import CalciumRow
from ctacal.simulate.insert.deposits import Maps, Placed, drawn, fine_grid, seen
from ctacal.simulate.insert.quality import ScanQuality
from ctacal.simulate.scanner.scan import HU_RANGE
from ctacal.simulate.truth import TRUTH_HU
from ctacal.volume import Volume


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Inserted:
    """A scan with calcium of known mass."""

    volume: Volume
    labels: LabelMap
    """What is scored: voxels that the calcium makes brighter by ``truth.TRUTH_HU`` or more."""
    table: tuple[CalciumRow, ...]
    """Each deposit's true volume, mass and density."""
    score: Scores
    """Of ``labels`` on the scan."""


def insert(
    volume: Volume, deposits: tuple[Placed, ...], quality: ScanQuality, *, heart_rate_bpm: float = 70.0, seed: int = 0
) -> Inserted:
    """Add deposits to a straight canonical scan, as it would have shown them; its own noise stays.

    The same arguments give the same bytes. Deposits beyond the scan's slices are not in the table.
    """
    added: dict[Calcium, Maps] = {}
    table: tuple[CalciumRow, ...] = ()
    region = (slice(0, 0),) * 3
    if deposits:
        fine, region = fine_grid(volume.geometry, np.vstack([_reached(deposit) for deposit in deposits]))
        added, table = _added(deposits, fine, volume.geometry.crop(region), quality, heart_rate_bpm, seed)
    hu, labels = volume.hu.copy(), np.zeros(volume.hu.shape, np.uint8)
    if added:
        total = np.sum(list(added.values()), axis=0)
        brighter = np.clip(volume.hu[region] + total, *HU_RANGE)
        hu[region] = np.rint(brighter) if hu.dtype == np.int16 else brighter
        labels[region] = _labels(added, total)
    whole, label_map = Volume(hu, volume.geometry), LabelMap(labels, volume.geometry)
    score = score_label_map(whole, label_map, SCCT_2016)[1]
    return Inserted(volume=whole, labels=label_map, table=table, score=score)


def _reached(deposit: Placed) -> NDArray[np.float64]:
    """(n, 3): the corners of all that the deposit fills in any phase."""
    centres = (deposit.balls.centres[None] + deposit.sway_mm[:, None]).reshape(-1, 3)
    reach = float(deposit.balls.radii_mm.max())
    return np.array([centres.min(axis=0) - reach, centres.max(axis=0) + reach])


def _added(
    deposits: tuple[Placed, ...], fine: Geometry, grid: Geometry, quality: ScanQuality, heart_rate_bpm: float, seed: int
) -> tuple[dict[Calcium, Maps], tuple[CalciumRow, ...]]:
    """What each label adds to the grid, and the table; both are means over the heart cycle where it moves."""
    phases = max(len(deposit.sway_mm) for deposit in deposits)
    cycle = [drawn(deposits, phase, fine, quality) for phase in range(phases)]
    volumes = np.mean([one.volume_mm3 for one in cycle], axis=0)
    table = tuple(_row(deposit, float(mm3)) for deposit, mm3 in zip(deposits, volumes, strict=True) if mm3 > 0)
    added = {
        label: seen(
            [one.excess_hu[label] for one in cycle], fine, grid, quality, heart_rate_bpm=heart_rate_bpm, seed=seed
        )
        for label in cycle[0].excess_hu
    }
    return added, table


def _row(deposit: Placed, volume_mm3: float) -> CalciumRow:
    left, posterior, up = deposit.balls.centres.mean(axis=0).tolist()
    density = deposit.density_mg_cm3
    centre_mm = (left, posterior, up)
    return CalciumRow(deposit.kind, deposit.vessel, centre_mm, volume_mm3, volume_mm3 * density / 1000, density)


def _labels(added: dict[Calcium, Maps], total: Maps) -> NDArray[np.uint8]:
    """Of each voxel, the label that adds most; 0 where all together add too little."""
    names = np.array([int(label) for label in added], np.uint8)
    most = names[np.argmax(np.stack(list(added.values())), axis=0)]
    return np.where(total >= TRUTH_HU, most, 0).astype(np.uint8)
