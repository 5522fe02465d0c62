"""``insert``: placed deposits added to a scan, with the truth of what was added."""

from dataclasses import dataclass

import numpy as np

from ctacal.arrays import Bytes, Floats32
from ctacal.geometry import Geometry
from ctacal.labels import Calcium, LabelMap
from ctacal.scores import SCCT_2016, Scores, score_label_map
from ctacal.simulate.anatomy.truth import CalciumRow
from ctacal.simulate.insert.deposits import Artery, Placed, drawn, fine_grid, reached, seen, slice_profile
from ctacal.simulate.insert.quality import ScanQuality
from ctacal.simulate.insert.tissue import blurred
from ctacal.simulate.scanner.scan import HU_RANGE
from ctacal.simulate.truth import TRUTH_HU
from ctacal.volume import Volume


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Inserted:
    """A scan with calcium of known mass."""

    volume: Volume
    labels: LabelMap
    """The calcium to be scored: voxels to which calcium adds ``truth.TRUTH_HU`` or more."""
    table: tuple[CalciumRow, ...]
    """True volume, mass and density of each deposit."""
    score: Scores
    """Score of ``labels`` on the scan."""


def insert(
    volume: Volume, deposits: tuple[Placed, ...], quality: ScanQuality, *, arteries: tuple[Artery, ...] = (),
    heart_rate_bpm: float = 70.0, seed: int = 0,
) -> Inserted:  # fmt: skip
    """Add deposits to a straight canonical scan, as the scan would have shown them; its own noise stays.

    ``arteries`` are drawn around the deposits, where the scan shows fat. The same arguments give the same bytes.
    Deposits beyond the slices of the scan are not in the table.
    """
    hu, labels = volume.hu.copy(), np.zeros(volume.hu.shape, np.uint8)
    table: tuple[CalciumRow, ...] = ()
    if deposits:
        parts: tuple[Placed | Artery, ...] = (*deposits, *arteries)
        fine, region = fine_grid(volume.geometry, np.vstack([reached(moving) for moving in parts]))
        part = Volume(volume.hu[region], volume.geometry.crop(region))
        added, table = _added(deposits, arteries, fine, part, quality, heart_rate_bpm, seed)
        brighter = np.clip(part.hu + added.soft_hu + added.total_hu, *HU_RANGE)
        hu[region] = np.rint(brighter) if hu.dtype == np.int16 else brighter
        labels[region] = added.labels()
    whole, label_map = Volume(hu, volume.geometry), LabelMap(labels, volume.geometry)
    score = score_label_map(whole, label_map, SCCT_2016)[1]
    return Inserted(volume=whole, labels=label_map, table=table, score=score)


@dataclass(frozen=True, eq=False, slots=True)
class _Added:
    """The HU that the inserted parts add to the scan, on its grid."""

    mineral_hu: dict[Calcium, Floats32]
    soft_hu: Floats32

    @property
    def total_hu(self) -> Floats32:
        """HU that all calcium adds."""
        return np.asarray(np.sum(list(self.mineral_hu.values()), axis=0), np.float32)

    def labels(self) -> Bytes:
        """Return, per voxel, the label that adds most; 0 where all calcium together adds too little."""
        names = np.array([int(label) for label in self.mineral_hu], np.uint8)
        most = names[np.argmax(np.stack(list(self.mineral_hu.values())), axis=0)]
        return np.where(self.total_hu >= TRUTH_HU, most, 0).astype(np.uint8)


def _added(
    deposits: tuple[Placed, ...], arteries: tuple[Artery, ...], fine: Geometry, part: Volume, quality: ScanQuality,
    heart_rate_bpm: float, seed: int,
) -> tuple[_Added, tuple[CalciumRow, ...]]:  # fmt: skip
    """Return the HU added to that part of the scan, and the table; volumes are means over the heart cycle."""
    parts: tuple[Placed | Artery, ...] = (*deposits, *arteries)
    phases = max(len(moving.sway_mm) for moving in parts)
    profile = slice_profile(fine, part.geometry, quality.protocol)
    there_hu = _nearest(blurred(part), fine)
    cycle = [
        drawn(deposits, arteries, phase, fine, there_hu, quality.calcium_hu_per_mg_cm3, profile)
        for phase in range(phases)
    ]

    def shown(maps: list[Floats32]) -> Floats32:
        return seen(maps, fine, part.geometry, quality, heart_rate_bpm=heart_rate_bpm, seed=seed)

    volumes = np.mean([moment.volume_mm3 for moment in cycle], axis=0)
    table = tuple(_row(deposit, float(mm3)) for deposit, mm3 in zip(deposits, volumes, strict=True) if mm3 > 0)
    mineral = {label: shown([moment.mineral_hu[label] for moment in cycle]) for label in cycle[0].mineral_hu}
    return _Added(mineral, shown([moment.soft_hu for moment in cycle])), table


def _nearest(hu: Floats32, fine: Geometry) -> Floats32:
    """Return the value of the nearest voxel on a fine grid that divides the voxels evenly (``deposits.fine_grid``)."""
    for axis, count in enumerate(fine.shape):
        factor = count // hu.shape[axis]
        at = (
            np.arange(count) // factor if axis == 0 else np.minimum(np.arange(count) + factor // 2, count - 1) // factor
        )
        hu = np.take(hu, at, axis)
    return hu


def _row(deposit: Placed, volume_mm3: float) -> CalciumRow:
    left, posterior, up = deposit.balls.centres.mean(axis=0).tolist()
    density = deposit.density_mg_cm3
    centre_mm = (left, posterior, up)
    return CalciumRow(deposit.kind, deposit.vessel, centre_mm, volume_mm3, volume_mm3 * density / 1000, density)
