"""Calcium painted into a body, and the table of what was painted, measured in the painted map."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ctacal.geometry import Geometry
from ctacal.labels import Calcium
from ctacal.simulate.anatomy.calcium import NO_CALCIUM, CalciumDescription, Deposit, Kind
from ctacal.simulate.anatomy.compiled import count_marked, mark_balls
from ctacal.simulate.anatomy.description import Patient
from ctacal.simulate.anatomy.sites import Anatomy, Balls
from ctacal.simulate.anatomy.structures import AnatomyMaps, Structure
from ctacal.simulate.materials import Body

GRAIN_MM = 0.25
"""Largest size of sub-voxels (own choice: half the thinnest plaque)."""

PIECE = 128
"""Largest number of balls that are painted together: long or hollow shapes are split into small boxes."""

_VESSELS = {
    Structure.LM: Calcium.LM, Structure.LAD: Calcium.LAD, Structure.LCX: Calcium.LCX, Structure.RCA: Calcium.RCA
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CalciumRow:
    """One deposit as painted in the map, without the parts that an earlier deposit occupies."""

    kind: Kind
    vessel: str
    """LM, LAD, LCX or RCA for coronary calcium; the site for other calcium."""
    centre_mm: tuple[float, float, float]
    """Centre of mass, (L, P, S)."""
    volume_mm3: float
    mass_mg: float
    """Mass of hydroxyapatite; 0 for metal and contrast."""
    mean_mg_cm3: float
    """Density of hydroxyapatite; for metal and contrast, the density that attenuates alike."""
    equivalent_mg: float = 0.0
    """Mass of hydroxyapatite that attenuates like this metal or contrast; 0 for calcium."""


@dataclass(frozen=True, eq=False, slots=True)
class CalciumMaps:
    """Calcium added to a body: concentration, the deposit of each voxel, and the table of deposits."""

    hydroxyapatite_mg_cm3: NDArray[np.float32]
    labels: NDArray[np.uint8]
    """(slices, rows, columns) of ``ctacal.labels.Calcium``; if two deposits share a voxel, the label of the denser."""
    table: tuple[CalciumRow, ...]


def calcium_maps(
    patient: Patient, calcium: CalciumDescription, geometry: Geometry, *, phase: float = 0.0, breath_mm: float = 0.0
) -> CalciumMaps:
    """Paint only calcium, metal and contrast onto a canonical axial grid; deposits outside of it have no volume."""
    anatomy = Anatomy.of(patient, phase=phase, breath_mm=breath_mm)
    painter = _Painter(geometry)
    rows = tuple(painter.paint(deposit, anatomy) for deposit in calcium.deposits)
    return CalciumMaps(painter.concentration, painter.labels, rows)


def with_calcium(
    maps: AnatomyMaps, patient: Patient, calcium: CalciumDescription, *, phase: float = 0.0, breath_mm: float = 0.0
) -> tuple[AnatomyMaps, CalciumMaps]:
    """Return the body with its calcium, metal and contrast; ``maps`` must have the same phase and breath."""
    added = calcium_maps(patient, calcium, maps.body.geometry, phase=phase, breath_mm=breath_mm)
    before, mg_cm3 = maps.body.hydroxyapatite_mg_cm3, added.hydroxyapatite_mg_cm3
    body = Body(maps.body.tissue, mg_cm3 + before if before.any() else mg_cm3, maps.body.geometry)
    return replace(maps, body=body), added


def _axes(geometry: Geometry) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    origin = geometry.to_patient_mm((0, 0, 0))
    steps = zip(geometry.shape, geometry.spacing_mm, strict=True)
    zs, ys, xs = (np.asarray(origin[2 - axis] + np.arange(n) * mm) for axis, (n, mm) in enumerate(steps))
    return zs, ys, xs


def _point(at: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(at[0]), float(at[1]), float(at[2])


def _pieces(balls: Balls) -> list[Balls]:
    """Return pieces of neighbouring balls, split across the longest side."""
    if len(balls.centres) <= PIECE:
        return [balls]
    order = balls.centres[:, np.ptp(balls.centres, axis=0).argmax()].argsort(kind="stable")
    halves = np.array_split(order, 2)
    return [piece for half in halves for piece in _pieces(Balls(balls.centres[half], balls.radii_mm[half]))]


class _Painter:
    """The map being painted, and the sub-voxels that are taken."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.concentration = np.zeros(geometry.shape, np.float32)
        self.labels = np.zeros(geometry.shape, np.uint8)
        self.axes = _axes(geometry)
        self.parts = np.array([max(1, int(np.ceil(mm / GRAIN_MM))) for mm in geometry.spacing_mm])
        self.taken: list[NDArray[np.bool_]] = []
        self.begins, self.ends = np.zeros((0, 3), np.int64), np.zeros((0, 3), np.int64)

    def paint(self, deposit: Deposit, anatomy: Anatomy) -> CalciumRow:
        """Add a deposit to the sub-voxels that are free."""
        vessel, label = deposit.site, Calcium.OTHER
        if deposit.kind is Kind.CORONARY:
            label = _VESSELS[anatomy.segment(deposit.site).vessel]
            vessel = label.name
        balls, density = anatomy.balls(deposit), deposit.density_mg_cm3
        volume, moment = 0.0, np.zeros(3)
        for piece in _pieces(balls):
            part, where = self._piece(piece, density, label)
            volume, moment = volume + part, moment + part * where
        centre = _point(moment / volume if volume else balls.centres.mean(axis=0))
        mg = volume * density / 1000
        calcium_mg, other_mg = (0.0, mg) if deposit.kind in NO_CALCIUM else (mg, 0.0)
        return CalciumRow(deposit.kind, vessel, centre, volume, calcium_mg, density if volume else 0.0, other_mg)

    def _piece(self, balls: Balls, density: float, label: Calcium) -> tuple[float, NDArray[np.float64]]:
        """Return the added volume in mm3, and its centre."""
        low, high = self._box(balls)
        if (high <= low).any():
            return 0.0, np.zeros(3)
        share = self._add(self._claimed(balls, low, high), low, high, density, label)
        if not share.any():
            return 0.0, np.zeros(3)
        return float(share.sum()) * self.geometry.voxel_volume_mm3, self._centre(share, low, high)

    def _box(self, balls: Balls) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the voxels [low, high) that contain the balls, within the grid."""
        origin, spacing = np.array([axis[0] for axis in self.axes]), np.array(self.geometry.spacing_mm)
        reach = balls.radii_mm[:, None]
        centres = balls.centres[:, ::-1]
        low = np.floor(((centres - reach).min(axis=0) - origin) / spacing + 0.5).astype(int)
        high = np.ceil(((centres + reach).max(axis=0) - origin) / spacing + 0.5).astype(int)
        return np.maximum(low, 0), np.minimum(high, self.geometry.shape)

    def _claimed(self, balls: Balls, low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return the sub-voxels of the box that lie in the balls but in no earlier deposit."""
        mask = np.zeros((high - low) * self.parts, np.bool_)
        step = np.array(self.geometry.spacing_mm) / self.parts
        first = np.array([axis[k] for axis, k in zip(self.axes, low, strict=True)])
        first += step / 2 - np.array(self.geometry.spacing_mm) / 2
        mark_balls(mask, first, step, balls.centres, balls.radii_mm)
        whole = low * self.parts
        for n in np.flatnonzero(((self.begins < whole + mask.shape) & (self.ends > whole)).all(axis=1)).tolist():
            begin, other = self.begins[n], self.taken[n]
            inner, outer = np.maximum(whole, begin), np.minimum(whole + mask.shape, begin + other.shape)
            here = tuple(slice(a, b) for a, b in zip(inner - whole, outer - whole, strict=True))
            there = tuple(slice(a, b) for a, b in zip(inner - begin, outer - begin, strict=True))
            mask[here] &= ~other[there]
        self.taken.append(mask)
        self.begins = np.vstack([self.begins, whole])
        self.ends = np.vstack([self.ends, whole + mask.shape])
        return mask

    def _add(
        self, mask: NDArray[np.bool_], low: NDArray[np.int64], high: NDArray[np.int64], density: float, label: Calcium
    ) -> NDArray[np.float64]:
        """Return the share of each voxel that the deposit fills."""
        share = np.zeros(high - low)
        count_marked(mask, self.parts, share)
        share /= self.parts.prod()
        box = tuple(slice(x, y) for x, y in zip(low, high, strict=True))
        more = share * density > self.concentration[box]  # the label of the deposit that adds most
        self.labels[box][more & (share > 0)] = label
        self.concentration[box] += (share * density).astype(np.float32)
        return share

    def _centre(
        self, share: NDArray[np.float64], low: NDArray[np.int64], high: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        middle = []
        for axis in (2, 1, 0):
            weight = share.sum(axis=tuple(other for other in range(3) if other != axis))
            middle.append(float(weight @ self.axes[axis][low[axis] : high[axis]] / weight.sum()))
        return np.array(middle)
