"""``Geometry``: the position of voxels in the patient.

Array axes are (slice, row, column); the patient frame is DICOM's LPS in mm (PS3.3 C.7.6.2.1.1: x to the patient's
Left, y to Posterior, z to the head). ``docs/conventions.md`` states this once for the whole package.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ctacal.arrays import Box, Floats

Affine = Floats
"""(4, 4): maps (slice, row, column, 1) to (L, P, S, 1) in mm."""

CANONICAL_DIRECTIONS = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
"""Unit vectors of a canonical axial volume: slices to the head, rows to posterior, columns to the left."""

GRID_TOLERANCE_MM = 0.01
"""Largest distance between corner voxels of equal grids (DICOM decimal strings are rounded near 1e-3)."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """A grid of voxels in the patient frame; sheared grids (gantry tilt) are represented exactly."""

    shape: tuple[int, int, int]
    """(slices, rows, columns)."""
    affine: Affine

    def __post_init__(self) -> None:
        if self.affine.shape != (4, 4) or not np.isfinite(self.affine).all():
            raise ValueError(f"affine must be a finite (4, 4) matrix, got {self.affine!r}")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"shape must be three positive integers, got {self.shape!r}")
        if abs(np.linalg.det(self.affine[:3, :3])) < 1e-9:
            raise ValueError("affine is singular: two axes are parallel or a spacing is zero")

    @classmethod
    def from_spacing(
        cls,
        shape: tuple[int, int, int],
        spacing_mm: Sequence[float],
        origin_mm: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> "Geometry":
        """Make a canonical axial grid: slices to the head, rows to posterior, columns to the left."""
        affine = np.eye(4)
        affine[:3, :3] = CANONICAL_DIRECTIONS.T * np.asarray(spacing_mm, float)
        affine[:3, 3] = origin_mm
        return cls(shape, affine)

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbours along (slice, row, column); between slices it is taken along their normal."""
        row, column = (float(np.linalg.norm(self.affine[:3, axis])) for axis in (1, 2))
        return self.voxel_volume_mm3 / self.pixel_area_mm2, row, column

    @property
    def slice_spacing_mm(self) -> float:
        """Distance between slice planes, from their positions; it is never the slice thickness."""
        return self.spacing_mm[0]

    @cached_property
    def pixel_area_mm2(self) -> float:
        """Area of a pixel in the slice plane."""
        return float(np.linalg.norm(np.cross(self.affine[:3, 1], self.affine[:3, 2])))

    @cached_property
    def voxel_volume_mm3(self) -> float:
        """Volume of a voxel: the determinant of the affine."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def to_patient_mm(self, index: ArrayLike) -> Floats:
        """Return the patient position (L, P, S) in mm of a (slice, row, column) index.

        >>> Geometry.from_spacing((2, 2, 2), (3.0, 1.0, 1.0)).to_patient_mm((1, 0, 1))
        array([1., 0., 3.])
        """
        return np.asarray(self.affine[:3, :3] @ np.asarray(index, np.float64) + self.affine[:3, 3])

    def same_grid(self, other: "Geometry") -> bool:
        """Whether both describe the same voxels, to within ``GRID_TOLERANCE_MM`` at every corner."""
        if self.shape != other.shape:
            return False
        gaps = (self.affine - other.affine)[:3] @ _corners(self.shape)
        return bool(np.abs(gaps).max() <= GRID_TOLERANCE_MM)

    def crop(self, slices: Box) -> "Geometry":
        """Return the grid of ``array[slices]``; steps are allowed, also negative ones."""
        spans = [s.indices(n) for s, n in zip(slices, self.shape, strict=True)]
        shape = tuple(len(range(*span)) for span in spans)
        affine = self.affine.copy()
        affine[:3, 3] = self.to_patient_mm([start for start, _, _ in spans])
        affine[:3, :3] *= [step for _, _, step in spans]
        return Geometry((shape[0], shape[1], shape[2]), affine)

    def transpose(self, axes: tuple[int, int, int]) -> "Geometry":
        """Return the grid of ``array.transpose(axes)``."""
        shape = tuple(self.shape[axis] for axis in axes)
        return Geometry((shape[0], shape[1], shape[2]), self.affine[:, [*axes, 3]].copy())

    def with_spacing(self, spacing_mm: Sequence[float]) -> "Geometry":
        """Return a grid over the same extent (outer voxel faces) with another spacing; the last voxel may be cut."""
        scale = np.asarray(spacing_mm, float) / self.spacing_mm
        shape = np.maximum(1, np.round(np.asarray(self.shape) / scale)).astype(int)
        affine = self.affine.copy()
        affine[:3, :3] *= scale
        affine[:3, 3] = self.to_patient_mm((scale - 1) / 2)
        return Geometry((int(shape[0]), int(shape[1]), int(shape[2])), affine)

    def axes_to(self, directions: Floats) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Return the transposition and the signs that bring the axes nearest to ``directions`` (3 rows, unit vectors).

        Raises ``ValueError`` if the axes lie at 45 degrees to them.
        """
        columns = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        alignment = directions @ columns
        order = [int(np.abs(row).argmax()) for row in alignment]
        if sorted(order) != [0, 1, 2]:
            raise ValueError("the axes lie at 45 degrees to the wanted axes: no flip or transposition matches")
        signs = [1 if alignment[i, axis] > 0 else -1 for i, axis in enumerate(order)]
        return (order[0], order[1], order[2]), (signs[0], signs[1], signs[2])


def _corners(shape: tuple[int, int, int]) -> Floats:
    """Return the homogeneous indices of the eight corner voxels, (4, 8)."""
    last = np.asarray(shape) - 1
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * last
    return np.vstack([corners.T, np.ones(8)])
