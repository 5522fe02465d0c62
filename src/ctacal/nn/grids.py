"""The grids of the networks' input, and linear interpolation between grids with parallel axes. No torch."""

import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats, Floats32
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask, coarsened
from ctacal.nn.inputs import END_REACH_MM
from ctacal.volume import Volume

Label = TypeVar("Label", bound=np.generic)
"""What a label map holds."""

CROP_MARGIN_MM = 8.0
"""Margin added to the heart's box on all four sides in plane, to show what lies beside it (own choice)."""

BODY_ABOVE_HU = -300.0
"""Lowest HU of the body: fat and soft tissue, but not lung (own choice)."""

BODY_SHARE = 0.1
"""Share of the fullest row or column that makes a row or column part of the body; ``body_part`` (own choice)."""


def whole_grid(scan: Geometry, spacing_mm: tuple[float, float, float], multiple: int) -> Geometry:
    """Return the grid of the whole scan at another spacing; rows and columns are a multiple of ``multiple``."""
    grid = scan.with_spacing(spacing_mm)
    slices, rows, columns = grid.shape
    return Geometry((slices, -(-rows // multiple) * multiple, -(-columns // multiple) * multiple), grid.affine)


def crop_grid(heart: HeartMask, pixel_mm: float, multiple: int, *, margin_mm: float = CROP_MARGIN_MM) -> Geometry:
    """Return the grid around the heart: its slices and ``END_REACH_MM`` at either end; ``pixel_mm`` in plane.

    Rows and columns are extended to a multiple of ``multiple``, so that large hearts fit and small hearts cost less.
    """
    slices, *plane = heart.bounding_box
    last = heart.geometry.shape[0] - 1
    beyond = end_slices(heart.geometry)
    first, stop = max(0, slices.start - beyond), min(last, slices.stop - 1 + beyond) + 1
    counts, starts, steps = [stop - first], [float(first)], [1.0]
    for extent, mm in zip(plane, heart.geometry.spacing_mm[1:], strict=True):
        length_mm = (extent.stop - extent.start) * mm + 2 * margin_mm
        count = multiple * math.ceil(length_mm / pixel_mm / multiple)
        step = pixel_mm / mm
        counts.append(count)
        steps.append(step)
        starts.append((extent.start + extent.stop - 1) / 2 - step * (count - 1) / 2)
    affine = heart.geometry.affine.copy()
    affine[:3, 3] = heart.geometry.to_patient_mm(starts)
    affine[:3, :3] *= steps
    return Geometry((counts[0], counts[1], counts[2]), affine)


def end_slices(geometry: Geometry) -> int:
    """Return the number of slices beyond the heart mask's ends that are searched."""
    return math.ceil(END_REACH_MM / geometry.slice_spacing_mm)


def network_view(volume: Volume, grid: Geometry) -> Floats32:
    """Return the whole scan on a coarse grid, averaged over blocks first: noise and pixel size have no effect."""
    scan = coarsened(volume)
    blocks = np.asarray(scan.block, np.float64)
    affine = volume.geometry.affine.copy()
    affine[:3, 3] = volume.geometry.to_patient_mm((blocks - 1) / 2)
    affine[:3, :3] *= blocks
    coarse = Geometry((scan.hu.shape[0], scan.hu.shape[1], scan.hu.shape[2]), affine)
    return resampled(scan.hu, coarse, grid, fill=None)


def body_part(hu: Floats32, multiple: int) -> tuple[slice, slice, slice]:
    """Return the rows and columns that hold the body, widened to a multiple of ``multiple``; all slices.

    A row or column belongs to the body if it holds ``BODY_SHARE`` of what the fullest row or column holds: the thin
    table and mattress are wider than the body. A wide field of view holds more air than body.
    """
    tissue = hu > BODY_ABOVE_HU
    spans = []
    for others, n in (((0, 2), hu.shape[1]), ((0, 1), hu.shape[2])):
        counts = np.count_nonzero(tissue, axis=others)
        full = np.flatnonzero(counts >= max(1.0, BODY_SHARE * counts.max()))
        first, stop = (int(full[0]), int(full[-1]) + 1) if full.size else (0, n)
        width = min(n, multiple * math.ceil((stop - first) / multiple))
        start = min(max(0, (first + stop - width) // 2), n - width)
        spans.append(slice(start, start + width))
    return slice(None), spans[0], spans[1]


def index_map(source: Geometry, grid: Geometry) -> tuple[Floats, Floats]:
    """Return (start, step) of the voxels of ``grid`` on ``source``: index = start + step x number, along each axis.

    Raises ``ValueError`` if the axes are not parallel.
    """
    change = np.linalg.inv(source.affine) @ grid.affine
    step = np.diag(change)[:3]
    if not np.allclose(change[:3, :3], np.diag(step), atol=1e-6):
        raise ValueError("the axes of the two grids are not parallel")
    return change[:3, 3], step


def resampled(array: NDArray[Any], source: Geometry, grid: Geometry, *, fill: float | None) -> Floats32:
    """Interpolate (slices, rows, columns) linearly at the voxels of ``grid``; further axes, such as classes, stay.

    Beyond the sides the value is ``fill``; with None the last voxels repeat, as always beyond the first and last slice:
    the scan ends there, the patient does not. For speed, axis by axis and only on the part that is needed.
    """
    start, step = index_map(source, grid)
    result: NDArray[Any] = array
    places = [first + by * np.arange(n) for first, by, n in zip(start, step, grid.shape, strict=True)]
    for axis, at in enumerate(places):  # first cut out the part that is needed
        last = array.shape[axis] - 1
        low, high = (int(np.clip(edge, 0, last)) for edge in (math.floor(at.min()), math.ceil(at.max())))
        result = result[(slice(None),) * axis + (slice(low, high + 1),)]
        places[axis] = at - low
    for axis, at in enumerate(places):
        result = _along(result, axis, at, fill)
    return np.ascontiguousarray(result, np.float32)


def nearest(labels: NDArray[Label], source: Geometry, grid: Geometry) -> NDArray[Label]:
    """Return the label of the nearest voxel at each voxel of ``grid``, 0 beyond the sides."""
    start, step = index_map(source, grid)
    places = [
        np.rint(first + by * np.arange(n)).astype(np.int64)
        for first, by, n in zip(start, step, grid.shape, strict=True)
    ]
    found: NDArray[Label] = labels[np.ix_(*(np.clip(at, 0, n - 1) for at, n in zip(places, labels.shape, strict=True)))]
    for axis, (at, n) in enumerate(zip(places, labels.shape, strict=True)):
        np.moveaxis(found, axis, 0)[(at < 0) | (at >= n)] = 0
    return found


def _along(array: NDArray[Any], axis: int, at: Floats, fill: float | None) -> Floats32:
    last = array.shape[axis] - 1
    inside = (at >= -0.5 - 1e-6) & (at <= last + 0.5 + 1e-6)
    place = np.clip(at, 0, last)
    below = np.minimum(np.floor(place + 1e-6).astype(np.int64), last)
    part = np.maximum(place - below, 0.0).astype(np.float32)
    values = np.asarray(array.take(below, axis), np.float32)
    if part.max(initial=0.0) > 1e-5:
        shape = [1] * array.ndim
        shape[axis] = -1
        above = array.take(np.minimum(below + 1, last), axis)
        values += (above - values) * part.reshape(shape)
    if axis > 0 and fill is not None and not inside.all():
        np.moveaxis(values, axis, 0)[~inside] = fill
    return values
