"""``Deposits``: a draw of calcium and metal, as the voxels of a body that it changes in each state of the heart."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats
from ctacal.geometry import Geometry
from ctacal.labels import Calcium
from ctacal.simulate.anatomy.calcium import NO_CALCIUM, CalciumDescription
from ctacal.simulate.anatomy.compiled import compiled
from ctacal.simulate.anatomy.description import Patient
from ctacal.simulate.anatomy.structures import AnatomyMaps
from ctacal.simulate.anatomy.truth import with_calcium
from ctacal.simulate.scanner.attenuation import HYDROXYAPATITE_MG_PER_CM3
from ctacal.simulate.scanner.projector import Sinogram, view_angles
from ctacal.simulate.truth import KIND_LABELS, VESSEL_LABELS, DepositFinder

ALWAYS = 255
"""State of a voxel outside of the heart region, which is the same in all states."""

_CALCIUM = np.full(256, Calcium.OTHER, np.uint8)
_CALCIUM[list(VESSEL_LABELS.values())] = [Calcium[vessel] for vessel in VESSEL_LABELS]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Deposits:
    """The changed voxels, one row each; places are indices in the body's grid."""

    place: NDArray[np.int16]
    """(voxels, 3): slice, row, column."""
    state: NDArray[np.uint8]
    """(voxels,): state of the heart, or ``ALWAYS``."""
    added: NDArray[np.float32]
    """(voxels, 2): g/cm3 of water and hydroxyapatite that the deposit adds (or removes)."""
    mg_cm3: NDArray[np.float32]
    """(voxels,): density of calcium's hydroxyapatite; 0 for metal and contrast."""
    label: NDArray[np.uint8]
    """(voxels,): value from ``VESSEL_LABELS`` or ``KIND_LABELS`` of ``simulate.truth``."""

    @classmethod
    def of(
        cls,
        patient: Patient,
        calcium: CalciumDescription,
        rest: AnatomyMaps,
        states: Sequence[AnatomyMaps],
        phases: Sequence[float],
        basis: Floats,
    ) -> "Deposits":
        """Find the voxels; ``rest`` is the body at the first phase, ``states`` its heart region at ``phases``."""
        if not calcium.deposits:
            return cls.joined([])
        heart = _corner(rest.body.geometry, states[0].body.geometry)
        still = _changed(rest, with_calcium(rest, patient, calcium, phase=phases[0])[0], basis, ALWAYS)
        outside = (still.place < heart) | (still.place >= heart + states[0].body.geometry.shape)
        parts = [still.rows(np.asarray(outside.any(axis=1), np.bool_))]
        for state, (maps, phase) in enumerate(zip(states, phases, strict=True)):
            beating = _changed(maps, with_calcium(maps, patient, calcium, phase=phase)[0], basis, state)
            parts.append(replace(beating, place=(beating.place + heart).astype(np.int16)))
        found = cls.joined(parts)
        finder = DepositFinder.of(patient, calcium, phases)
        if finder is not None and len(found.state):
            found.label[:] = finder.labels_at(found.points_mm(rest.body.geometry))
            found.mg_cm3[np.isin(found.label, [KIND_LABELS[kind] for kind in NO_CALCIUM])] = 0
        return found

    @classmethod
    def joined(cls, parts: Sequence["Deposits"]) -> "Deposits":
        """Return all voxels of several draws or states."""
        none = cls(
            place=np.zeros((0, 3), np.int16), state=np.zeros(0, np.uint8), added=np.zeros((0, 2), np.float32),
            mg_cm3=np.zeros(0, np.float32), label=np.zeros(0, np.uint8),
        )  # fmt: skip
        rows = (none, *parts)
        return cls(**{name: np.concatenate([getattr(part, name) for part in rows]) for name in cls.__slots__})

    def rows(self, chosen: NDArray[np.bool_]) -> "Deposits":
        """Return the chosen voxels."""
        return Deposits(**{name: getattr(self, name)[chosen] for name in self.__slots__})

    @property
    def calcium(self) -> NDArray[np.uint8]:
        """(voxels,) of ``Calcium``."""
        return _CALCIUM[self.label]

    def items(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yield names and arrays, to be stored."""
        for name in self.__slots__:
            yield name, getattr(self, name)

    def points_mm(self, geometry: Geometry) -> Floats:
        """Return (voxels, 3): (L, P, S) positions; ``geometry`` is the body's."""
        return np.asarray(self.place @ geometry.affine[:3, :3].T + geometry.affine[:3, 3])

    def row_column_mm(self, geometry: Geometry, isocentre_mm: tuple[float, float]) -> Floats:
        """Return (voxels, 2): (row, column) distances from the isocentre, given as (left, posterior)."""
        corner_mm = geometry.affine[[1, 0], 3] - np.array(isocentre_mm)[::-1]
        return np.asarray(self.place[:, 1:] * geometry.spacing_mm[2] + corner_mm)

    def paths(
        self,
        geometry: Geometry,
        isocentre_mm: tuple[float, float],
        weights: NDArray[np.float32],
        seen: NDArray[np.float32],
        shape: tuple[int, int],
        detector_mm: float,
    ) -> tuple[Sinogram, Sinogram]:
        """Return (views, detectors, slabs) of water and hydroxyapatite that the voxels add to ``Projections.paths``.

        ``geometry`` is the body's, ``shape`` is (views, detectors); each voxel lies in at least one slab. Paths are
        computed by Joseph's method, as in ``project_into``.
        """
        paths = np.zeros((2, *shape, len(weights)), np.float32)
        if not len(self.state):
            return paths[0], paths[1]
        pixel_mm = geometry.spacing_mm[2]
        state = np.where(self.state == ALWAYS, len(seen), self.state)
        seen = np.ascontiguousarray(
            np.concatenate([seen, np.ones((1, *seen.shape[1:]), np.float32)]).transpose(1, 0, 2)
        )
        among = weights.T[self.place[:, 0]][:, :, None] * self.added[:, None, :]
        column = np.column_stack([state, self.place[:, 1:]]).astype(np.int64) @ np.array([1 << 40, 1 << 20, 1])
        order = np.argsort(column, kind="stable")
        begin = np.flatnonzero(np.diff(column[order], prepend=-1))
        each = np.add.reduceat(among[order], begin, axis=0)
        filled = np.asarray(each.any(axis=2))
        span = np.stack([filled.argmax(axis=1), len(weights) - filled[:, ::-1].argmax(axis=1)], axis=1)
        first = order[begin]
        at_mm = self.row_column_mm(geometry, isocentre_mm)[first]
        _add_columns(paths, at_mm, state[first], each, span, seen, view_angles(shape[0]), pixel_mm, detector_mm)
        return paths[0], paths[1]


def _corner(body: Geometry, region: Geometry) -> NDArray[np.int64]:
    """Return the index of the region's first voxel in the body's grid."""
    return np.rint((region.affine[:3, 3] - body.affine[:3, 3])[::-1] / body.spacing_mm).astype(int)


def _changed(plain: AnatomyMaps, filled: AnatomyMaps, basis: Floats, state: int) -> Deposits:
    """Return the voxels that deposits fill, in the basis materials of ``slabs.basis_maps``."""
    mg = filled.body.hydroxyapatite_mg_cm3
    at = np.unravel_index(np.flatnonzero(mg > 0), mg.shape)  # many times faster than np.argwhere
    displaced = (1 - mg[at] / HYDROXYAPATITE_MG_PER_CM3)[:, None]
    added = basis[filled.body.tissue[at]] * displaced - basis[plain.body.tissue[at]]
    added[:, 1] += mg[at] * 1e-3
    return Deposits(
        place=np.stack(at, axis=1).astype(np.int16),
        state=np.full(len(at[0]), state, np.uint8),
        added=added.astype(np.float32),
        mg_cm3=mg[at],
        label=np.zeros(len(at[0]), np.uint8),
    )


@compiled
def _add_columns(
    paths: Any, at_mm: Any, state: Any, added: Any, span: Any, seen: Any, angles: Any, pixel_mm: float, ray_mm: float
) -> None:
    """Add the paths of voxels; those above each other in the same state share their rays."""
    detectors = paths.shape[2]
    for v in range(angles.size):
        c, s = math.cos(angles[v]), math.sin(angles[v])
        across = max(abs(c), abs(s))
        half = across * pixel_mm / ray_mm
        length = pixel_mm / across
        for n in range(len(state)):
            low, high = span[n]
            if not seen[v, state[n], low:high].any():
                continue
            middle = (at_mm[n, 1] * c + at_mm[n, 0] * s) / ray_mm + (detectors - 1) * 0.5
            for d in range(max(0, math.ceil(middle - half)), min(detectors - 1, math.floor(middle + half)) + 1):
                share = np.float32(length * (1 - abs(d - middle) / half))
                for k in range(low, high):
                    part = share * seen[v, state[n], k]
                    paths[0, v, d, k] += part * added[n, k, 0]
                    paths[1, v, d, k] += part * added[n, k, 1]
