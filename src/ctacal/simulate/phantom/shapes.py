"""Analytic shapes, and the ``Canvas`` on which they are painted over each other with an edge of one pixel.

Points are (z, y, x) in mm, the order of the array axes: z to the head, y to the back, x to the patient's left.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctacal.arrays import Floats32
from ctacal.geometry import Geometry

Vector = NDArray[np.float64]
Corners = NDArray[np.float64]
"""(2, 3): the lower and the upper (z, y, x) of a box."""

EVERYWHERE: Corners = np.array([[-1e6] * 3, [1e6] * 3])


class Shape(Protocol):
    """A region of space."""

    def box_mm(self) -> Corners:
        """Return a box that contains the shape."""

    def distance_mm(self, z: Floats32, y: Floats32, x: Floats32) -> Floats32:
        """Return the distance to its surface, to first order, negative inside; z, y, x are an open grid."""


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """An ellipsoid; ``axes`` are the directions of its radii, unit vectors as rows."""

    centre: Vector
    radii_mm: Vector
    axes: Vector

    @classmethod
    def at(cls, centre: ArrayLike, radii_mm: ArrayLike, axes: Vector | None = None) -> "Ellipsoid":
        """Make an ellipsoid from plain numbers, upright unless ``axes`` are given."""
        return cls(np.array(centre, float), np.array(radii_mm, float), np.eye(3) if axes is None else axes)

    def box_mm(self) -> Corners:  # noqa: D102
        half = np.linalg.norm(self.axes * self.radii_mm[:, None], axis=0)
        return np.array([self.centre - half, self.centre + half])

    def distance_mm(self, z: Floats32, y: Floats32, x: Floats32) -> Floats32:  # noqa: D102
        offsets = [axis - np.float32(c) for axis, c in zip((z, y, x), self.centre, strict=True)]
        level: Any = np.float32(-1)
        slope: Any = np.float32(1e-9)
        for direction, radius in zip(self.axes, self.radii_mm, strict=True):
            part = _dot(direction / radius, offsets)
            level = level + part**2
            slope = slope + (part / np.float32(radius)) ** 2
        return np.asarray(level / (2 * np.sqrt(slope)), np.float32)


@dataclass(frozen=True)
class Column:
    """Superellipses stacked along z; each knot is (z, centre y, centre x, radius y, radius x) in mm."""

    knots: tuple[tuple[float, float, float, float, float], ...]
    power: float = 2.0

    def grown(self, mm: float) -> "Column":
        """Return the column with larger radii."""
        return Column(tuple((z, cy, cx, ry + mm, rx + mm) for z, cy, cx, ry, rx in self.knots), self.power)

    def box_mm(self) -> Corners:  # noqa: D102
        z, cy, cx, ry, rx = np.array(self.knots).T
        lower, upper = [z.min(), (cy - ry).min(), (cx - rx).min()], [z.max(), (cy + ry).max(), (cx + rx).max()]
        return np.array([lower, upper])

    def distance_mm(self, z: Floats32, y: Floats32, x: Floats32) -> Floats32:  # noqa: D102
        knots = np.array(self.knots)
        cy, cx, ry, rx = (np.interp(z, knots[:, 0], column).astype(np.float32) for column in knots.T[1:])
        v, u = np.abs(y - cy) / ry, np.abs(x - cx) / rx
        level = v**self.power + (u**self.power - 1)
        slope = (v ** (self.power - 1) / ry) ** 2 + ((u ** (self.power - 1) / rx) ** 2 + np.float32(1e-9))
        level /= np.sqrt(slope, out=slope)
        level /= self.power
        return np.asarray(level, np.float32)


@dataclass(frozen=True, eq=False)
class Capsule:
    """A straight tube with round ends."""

    start: Vector
    end: Vector
    radius_mm: float

    def box_mm(self) -> Corners:  # noqa: D102
        lower, upper = np.minimum(self.start, self.end), np.maximum(self.start, self.end)
        return np.array([lower - self.radius_mm, upper + self.radius_mm])

    def distance_mm(self, z: Floats32, y: Floats32, x: Floats32) -> Floats32:  # noqa: D102
        offsets = [axis - np.float32(c) for axis, c in zip((z, y, x), self.start, strict=True)]
        way = self.end - self.start
        along = np.clip(_dot(way / (way @ way), offsets), 0, 1)
        away: Any = sum((offset - np.float32(w) * along) ** 2 for offset, w in zip(offsets, way, strict=True))
        return np.asarray(np.sqrt(away) - np.float32(self.radius_mm), np.float32)


@dataclass(frozen=True, eq=False)
class HalfSpace:
    """The half of space behind a plane, against its unit normal."""

    point: Vector
    normal: Vector

    @classmethod
    def behind(cls, y: float) -> "HalfSpace":
        """Return the half space on the posterior side of ``y``."""
        return cls(np.array([0.0, y, 0.0]), np.array([0.0, -1.0, 0.0]))

    def box_mm(self) -> Corners:  # noqa: D102
        box = EVERYWHERE.copy()
        for axis in np.flatnonzero(np.abs(self.normal) == 1):
            box[int(self.normal[axis] > 0), axis] = self.point[axis]
        return box

    def distance_mm(self, z: Floats32, y: Floats32, x: Floats32) -> Floats32:  # noqa: D102
        offsets = [axis - np.float32(c) for axis, c in zip((z, y, x), self.point, strict=True)]
        return np.asarray(_dot(self.normal, offsets), np.float32)


@dataclass(frozen=True)
class Slabs:
    """A stack of slabs, one every ``period_mm``.

    They rise by ``rise`` mm with each mm towards the back, and fall by ``fall`` mm with each mm from the midline.
    """

    period_mm: float
    half_mm: float
    rise: float = 0.0
    fall: float = 0.0

    def box_mm(self) -> Corners:  # noqa: D102
        return EVERYWHERE

    def distance_mm(self, z: Floats32, y: Floats32, x: Floats32) -> Floats32:  # noqa: D102
        phase = z - np.float32(self.rise) * y + np.float32(self.fall) * np.abs(x)
        phase %= np.float32(self.period_mm)
        return np.asarray(np.abs(phase - np.float32(self.period_mm / 2)) - np.float32(self.half_mm), np.float32)


@dataclass(frozen=True)
class Layer:
    """The layer between ``inner_mm`` and ``outer_mm`` outside the surface of a column."""

    column: Column
    inner_mm: float
    outer_mm: float

    def box_mm(self) -> Corners:  # noqa: D102
        return self.column.grown(self.outer_mm).box_mm()

    def distance_mm(self, z: Floats32, y: Floats32, x: Floats32) -> Floats32:  # noqa: D102
        distance = self.column.distance_mm(z, y, x)
        return np.asarray(np.maximum(self.inner_mm - distance, distance - self.outer_mm), np.float32)


@dataclass(frozen=True)
class Both:
    """The intersection of two shapes."""

    first: Shape
    second: Shape

    def box_mm(self) -> Corners:  # noqa: D102
        boxes = self.first.box_mm(), self.second.box_mm()
        return np.array([np.maximum(boxes[0][0], boxes[1][0]), np.minimum(boxes[0][1], boxes[1][1])])

    def distance_mm(self, z: Floats32, y: Floats32, x: Floats32) -> Floats32:  # noqa: D102
        return np.maximum(self.first.distance_mm(z, y, x), self.second.distance_mm(z, y, x))


def tube(path: Vector, radius_mm: float, end_radius_mm: float | None = None) -> Iterator[Capsule]:
    """Yield capsules along the (points, 3) ``path``; the radius may change towards the end."""
    radii = np.linspace(radius_mm, radius_mm if end_radius_mm is None else end_radius_mm, len(path))
    for (start, end), radius in zip(pairwise(path), radii, strict=False):
        yield Capsule(start, end, float(radius))


def _dot(direction: Vector, offsets: Sequence[Floats32]) -> Any:
    return sum(offset * np.float32(part) for part, offset in zip(direction, offsets, strict=True) if part)


class Canvas:
    """A scan to be painted: float32 HU, (slices, rows, columns), with the positions of its voxels."""

    def __init__(self, geometry: Geometry, hu: float) -> None:
        self.geometry = geometry
        self.hu: Floats32 = np.full(geometry.shape, hu, np.float32)
        self._axes = [
            geometry.to_patient_mm((0, 0, 0))[2 - axis] + np.arange(n) * spacing
            for axis, (n, spacing) in enumerate(zip(geometry.shape, geometry.spacing_mm, strict=True))
        ]

    def box(self, shape: Shape, margin_mm: float) -> tuple[slice, slice, slice]:
        """Return the part of the scan with the shape and a margin around it; empty if the shape lies outside."""
        lower, upper = shape.box_mm()
        spans = [
            slice(*np.searchsorted(axis, (low - margin_mm, high + margin_mm)).tolist())
            for axis, low, high in zip(self._axes, lower, upper, strict=True)
        ]
        return spans[0], spans[1], spans[2]

    def distance_mm(self, shape: Shape, box: tuple[slice, slice, slice], shift_mm: float = 0.0) -> Floats32:
        """Return the distances to the shape within a box, sampled ``shift_mm`` above the middle of the slices."""
        z, y, x = (axis[span].astype(np.float32) for axis, span in zip(self._axes, box, strict=True))
        return shape.distance_mm(z[:, None, None] + np.float32(shift_mm), y[None, :, None], x[None, None, :])

    def paint(self, shape: Shape, hu: float, *, samples: int = 1) -> None:
        """Paint the shape over the canvas.

        ``samples`` heights within each slice are averaged; 1 is enough for shapes much larger than the slices.
        """
        edge_mm = self.geometry.spacing_mm[2]
        box = self.box(shape, edge_mm + self.geometry.slice_spacing_mm * (samples > 1) / 2)
        part = self.hu[box]
        if not part.size:
            return
        heights = ((np.arange(samples) + 0.5) / samples - 0.5) * self.geometry.slice_spacing_mm
        cover = np.zeros_like(part)
        for height in heights.tolist():
            inside = self.distance_mm(shape, box, height)
            inside *= -1 / edge_mm
            inside += 0.5
            cover += np.clip(inside, 0, 1, out=inside)
        cover /= samples
        part += cover * (np.float32(hu) - part)
