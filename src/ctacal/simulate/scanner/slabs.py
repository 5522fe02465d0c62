"""Slices as slabs of the body: the slice-sensitivity profile, and maps of the two basis materials."""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats
from ctacal.geometry import CANONICAL_DIRECTIONS, Geometry
from ctacal.simulate.materials import Body, Tissue
from ctacal.simulate.scanner.attenuation import HYDROXYAPATITE_MG_PER_CM3
from ctacal.simulate.scanner.projector import Image
from ctacal.simulate.scanner.protocol import ScannerProtocol

HELICAL_FOOT, AXIAL_FOOT = 0.5, 0.4
"""Width of the profile's slopes over the slice thickness. A helical profile is rounder (assumed). The axial one is that
of the reference data's volume scan: an insert as high as a slice is thick adds a tenth to each neighbouring slice."""


@dataclass(frozen=True)
class Box:
    """A part of the body's grid in plane."""

    rows: slice
    columns: slice

    @classmethod
    def of_body(cls, body: Body) -> "Box":
        """Return the box around everything but air."""
        return cls.around((body.tissue.max(axis=0) != Tissue.AIR) | (body.hydroxyapatite_mg_cm3.max(axis=0) > 0))

    @classmethod
    def around(cls, filled: NDArray[np.bool_]) -> "Box":
        """Return the smallest box around what is true in (rows, columns); one pixel if nothing is."""
        if not filled.any():
            return cls(slice(0, 1), slice(0, 1))
        spans = [np.flatnonzero(filled.any(axis=axis)) for axis in (1, 0)]
        return cls(*(slice(int(span[0]), int(span[-1]) + 1) for span in spans))

    def middle_mm(self, geometry: Geometry, isocentre_mm: tuple[float, float]) -> tuple[float, float]:
        """Return the (row, column) distance of its centre from the isocentre, given as (left, posterior)."""
        index = (0, (self.rows.start + self.rows.stop - 1) / 2, (self.columns.start + self.columns.stop - 1) / 2)
        left, posterior, _ = geometry.to_patient_mm(index)
        return float(posterior - isocentre_mm[1]), float(left - isocentre_mm[0])


def check_grid(geometry: Geometry) -> None:
    """Raise ``ValueError`` if a grid is not canonical with square pixels, which the scanner needs."""
    columns = geometry.affine[:3, :3] / np.linalg.norm(geometry.affine[:3, :3], axis=0)
    _, row_mm, column_mm = geometry.spacing_mm
    if not np.allclose(columns, CANONICAL_DIRECTIONS.T, atol=1e-6) or abs(row_mm - column_mm) > 1e-6:
        raise ValueError(f"a body to be scanned needs a canonical grid with square pixels, got {geometry.affine!r}")


def slice_positions_mm(geometry: Geometry, protocol: ScannerProtocol, breathing_mm: float) -> Floats:
    """Return the centres of as many slices as fit into the body's grid at any depth of breath."""
    bottom_mm = geometry.to_patient_mm((-0.5, 0, 0))[2]
    height_mm = geometry.shape[0] * geometry.slice_spacing_mm - breathing_mm
    count = int(height_mm / protocol.spacing_mm + 1e-6)
    if count < 1:
        raise ValueError(f"a body of {height_mm:g} mm is thinner than one slice spacing of {protocol.name!r}")
    return np.asarray(bottom_mm + (np.arange(count) + 0.5) * protocol.spacing_mm)


def slab_weights(geometry: Geometry, position_mm: Floats, protocol: ScannerProtocol, slabs: int) -> NDArray[np.float32]:
    """Return (slices x slabs, slices of the body): weights of each slab; a slice's slabs have equal sensitivity.

    The profile is a trapezoid, ``thickness_mm`` wide at half its height. Beyond its ends the body continues unchanged.
    """
    step_mm = geometry.slice_spacing_mm
    edges_mm = geometry.to_patient_mm((-0.5, 0, 0))[2] + np.arange(geometry.shape[0] + 1) * step_mm
    below = _share_below(edges_mm - position_mm[:, None], protocol.thickness_mm, _foot_mm(protocol))
    below[:, 0], below[:, -1] = 0, 1
    part = np.clip(below[:, None, :] * slabs - np.arange(slabs)[:, None], 0, 1)
    return np.diff(part, axis=2).reshape(-1, geometry.shape[0]).astype(np.float32)


def shares_of_neighbours(protocol: ScannerProtocol) -> NDArray[np.float32]:
    """Return (odd,): a slice's share of the rays at each position around its own; the squares sum to 1."""
    foot_mm = _foot_mm(protocol)
    reach = max(0, int(np.ceil((protocol.thickness_mm + foot_mm) / 2 / protocol.spacing_mm - 0.5 - 1e-6)))
    edges_mm = np.asarray((np.arange(-reach, reach + 2) - 0.5) * protocol.spacing_mm, np.float64)
    shares = np.diff(_share_below(edges_mm, protocol.thickness_mm, foot_mm))
    return np.asarray(shares / np.sqrt(np.sum(shares**2)), np.float32)


def _foot_mm(protocol: ScannerProtocol) -> float:
    """Return the width of the profile's slopes."""
    return (HELICAL_FOOT if protocol.helical else AXIAL_FOOT) * protocol.thickness_mm


def _share_below(z_mm: Floats, width_mm: float, foot_mm: float) -> Floats:
    """Return the integral up to z of a unit trapezoid with slopes of ``foot_mm``, ``width_mm`` wide at half height."""
    outer, inner = (width_mm + foot_mm) / 2, (width_mm - foot_mm) / 2
    ramps = [np.maximum(z_mm + shift, 0) ** 2 / 2 for shift in (outer, inner, -inner, -outer)]
    return np.asarray((ramps[0] - ramps[1] - ramps[2] + ramps[3]) / (width_mm * foot_mm))


def basis_maps(body: Body, box: Box, basis: Floats, weights: NDArray[np.float32], less: Body | None = None) -> Image:
    """Return (rows, columns, 2 x slabs): g/cm3 of water, then of hydroxyapatite, of each slab (a row of ``weights``).

    The maps of ``less``, a body on the same grid, are subtracted if it is given.
    """
    shape = (box.rows.stop - box.rows.start, box.columns.stop - box.columns.start)
    maps = np.zeros((*shape, 2 * len(weights)), np.float32)
    for part, sign in ((body, 1), (less, -1)):
        if part is not None:
            tissue = part.tissue[:, box.rows, box.columns]
            added = part.hydroxyapatite_mg_cm3[:, box.rows, box.columns]
            _add_maps(tissue, added, basis.astype(np.float32), np.float32(sign) * weights, maps)
    return maps


_DISPLACED = np.float32(1 / HYDROXYAPATITE_MG_PER_CM3)


@numba.njit(parallel=True, fastmath=True, nogil=True, cache=True)
def _add_maps(tissue, added, basis, weights, maps):  # type: ignore[no-untyped-def]
    slabs, depth = weights.shape
    for j in numba.prange(tissue.shape[1]):
        row = np.empty((2, tissue.shape[2]), np.float32)
        total = np.zeros((2 * slabs, tissue.shape[2]), np.float32)  # planes outermost: sums lie in a row
        for z in range(depth):
            if not weights[:, z].any():
                continue
            for i in range(row.shape[1]):
                mg = added[z, j, i]
                left = np.float32(1) - mg * _DISPLACED
                row[0, i] = left * basis[tissue[z, j, i], 0]
                row[1, i] = left * basis[tissue[z, j, i], 1] + mg * np.float32(1e-3)
            for s in range(slabs):
                w = weights[s, z]
                if w != 0:
                    for i in range(row.shape[1]):
                        total[s, i] += w * row[0, i]
                        total[slabs + s, i] += w * row[1, i]
        for i in range(row.shape[1]):
            for s in range(2 * slabs):
                maps[j, i, s] += total[s, i]
