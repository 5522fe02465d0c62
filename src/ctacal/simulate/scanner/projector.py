"""Parallel-beam projection and back-projection in numba, many slices at once.

Images are (rows, columns, planes), sinograms (views, detectors, planes), float32: the planes (slices x basis materials)
lie innermost, so that a ray's weights are computed once for all of them. Positions are (row, column) distances in mm
from the isocentre, with rows increasing to posterior and columns to the left. A view at angle a sees the point (r, c)
at c cos(a) + r sin(a) on the detector, whose centre faces the isocentre.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import cast

import numba
import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats

Image = NDArray[np.float32]
"""(rows, columns, planes)."""
Sinogram = NDArray[np.float32]
"""(views, detectors, planes)."""

_TOGETHER = 4
"""Number of lines of pixels added at a time."""

_VIEWS, _LINES, _RAYS = 16, 16, 64
"""Views projected together, and lines and rays in a tile, which so stays in fast memory."""

_PROJECTED = (8, 24, 40, 56)
"""Numbers of planes projected together: known to the compiler, they are a fifth faster than any number. More than the
largest do not stay in fast memory."""

_PLANES = (8, 24, 32)
"""Numbers of planes back-projected together: known to the compiler, they are twice as fast as any number."""

_TILE = 64
"""Side of a tile of pixels back-projected together: it and the rays it needs stay in fast memory."""

_NEXT = np.uint32(1)

_MARGIN = 6
"""Empty pixels around an image: a ray that meets a filled pixel moves no further in ``_TOGETHER`` lines."""


def view_angles(views: int) -> Floats:
    """Return angles over half a rotation, in radians."""
    return np.asarray(np.arange(views) * (math.pi / views), np.float64)


def project_into(
    sinogram: Sinogram,
    image: Image,
    *,
    pixel_mm: float,
    middle_mm: tuple[float, float],
    detector_mm: float,
    weights: NDArray[np.float32] | None = None,
) -> None:
    """Add the image's line integrals (value x mm) to a sinogram of ``view_angles``.

    ``middle_mm`` is the position of the image's centre. ``weights`` (views, planes) multiply what is added; views whose
    weights are all zero cost nothing, nor do empty planes. Lines are summed by Joseph's method (IEEE Trans Med
    Imaging 1982;1:192-196).
    """
    views, _, planes = sinogram.shape
    if image.shape[2] != planes:
        raise ValueError(f"the image has {image.shape[2]} planes, the sinogram {planes}")
    if weights is None:
        weights = np.ones((views, planes), np.float32)
    filled = np.flatnonzero(image.any(axis=(0, 1)) & weights.any(axis=0))
    for part in np.array_split(filled, math.ceil(len(filled) / _PROJECTED[-1])) if len(filled) else ():
        together = next(number for number in _PROJECTED if number >= len(part))
        padded = np.zeros((image.shape[0] + 2 * _MARGIN, image.shape[1] + 2 * _MARGIN, together), np.float32)
        _take_planes(image, part, padded[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN])
        body = np.asarray(padded.any(axis=2))
        _projector(together)(
            sinogram, padded, np.ascontiguousarray(padded.swapaxes(0, 1)), _extents(body), _extents(body.T), pixel_mm,
            middle_mm, view_angles(views), detector_mm, np.ascontiguousarray(weights[:, part], np.float32), part,
        )  # fmt: skip


@numba.njit(nogil=True, cache=True)
def _take_planes(image, planes, taken):  # type: ignore[no-untyped-def]
    """``image[:, :, planes]``, five times faster than by NumPy."""
    for j in range(image.shape[0]):
        for i in range(image.shape[1]):
            for k in range(planes.size):
                taken[j, i, k] = image[j, i, planes[k]]


def _extents(filled: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return (groups, 2): first and last filled place in each ``_TOGETHER`` lines; last < first if there is none."""
    groups = [np.asarray(filled[start : start + _TOGETHER].any(axis=0)) for start in range(0, len(filled), _TOGETHER)]
    first = [int(group.argmax()) if group.any() else len(group) for group in groups]
    last = [len(group) - 1 - int(group[::-1].argmax()) if group.any() else -1 for group in groups]
    return np.array([first, last], np.int64).T


def back_project(
    sinogram: Sinogram,
    shape: tuple[int, int],
    *,
    pixel_mm: float,
    detector_mm: float,
    middle_mm: tuple[float, float] = (0.0, 0.0),
    first_mm: Floats | None = None,
) -> Image:
    """Sum a filtered sinogram of ``view_angles`` into a (rows, columns, planes) image, scaled for an inverse Radon.

    ``middle_mm`` is the position of the image's centre; ``first_mm`` (views,) that of each view's first ray, by default
    such that the view's centre faces the isocentre.
    """
    views, detectors, planes = sinogram.shape
    if first_mm is None:
        first_mm = np.full(views, -(detectors - 1) / 2 * detector_mm)
    angles = view_angles(views)
    half_mm = np.array(shape)[:, None] * pixel_mm / 2  # with half a pixel to spare
    whole = _sees_all(np.asarray(middle_mm)[:, None], half_mm, angles, first_mm, detectors, detector_mm)
    image = np.empty((*shape, planes), np.float32)
    for start in range(0, planes, _PLANES[-1]):
        part = sinogram[:, :, start : start + _PLANES[-1]]
        together = next(number for number in _PLANES if number >= part.shape[2])
        filled = np.zeros((views, detectors, together), np.float32)
        filled[:, :, : part.shape[2]] = part
        found = _KERNELS[together, whole](filled, shape, pixel_mm, middle_mm, angles, detector_mm, first_mm)
        image[:, :, start : start + together] = found[:, :, : part.shape[2]]
    return image


def _sees_all(
    middle_mm: Floats, half_mm: Floats, angles: Floats, first_mm: Floats, detectors: int, detector_mm: float
) -> bool:
    """Return whether each view is wide enough for the whole image, so that pixels need no test."""
    along = np.stack([np.sin(angles), np.cos(angles)])  # of rows and columns, (2, views)
    middle, reach = (middle_mm * along).sum(axis=0), (half_mm * np.abs(along)).sum(axis=0)
    last_mm = first_mm + (detectors - 1) * detector_mm
    return bool((middle - reach >= first_mm).all() and (middle + reach < last_mm).all())


@numba.njit(fastmath=True)
def _place(at):  # type: ignore[no-untyped-def]
    """Return the integer part of a number that is not negative.

    For signed types, numba tests for negative indices, which costs more than the sums.
    """
    return np.uint32(np.int32(at))


@numba.njit(fastmath=True, forceinline=True)
def _add_lines(total, view, pixels, lines, rays, start, step, slide, planes):  # type: ignore[no-untyped-def]
    """Add ``_TOGETHER`` lines of pixels to the rays of a view, which meet the first one at ``start + step * ray``.

    A ray's sums are thus read and written a quarter as often. ``total`` and ``pixels`` are flat; ``view`` and ``lines``
    are where a row begins in them: fewer checks per ray than with arrays of three axes.
    """
    size = np.uint64(planes)
    first, second, third, fourth = lines
    for d in range(rays[0], rays[1]):
        p0 = start + step * d
        p1, p2, p3 = p0 + slide, p0 + 2 * slide, p0 + 3 * slide
        j0, j1, j2, j3 = _place(p0), _place(p1), _place(p2), _place(p3)
        a0, a1, a2, a3 = np.float32(p0 - j0), np.float32(p1 - j1), np.float32(p2 - j2), np.float32(p3 - j3)
        b0, b1, b2, b3 = np.float32(1) - a0, np.float32(1) - a1, np.float32(1) - a2, np.float32(1) - a3
        ray = (view + np.uint64(d)) * size
        i0, i1, i2, i3 = (first + j0) * size, (second + j1) * size, (third + j2) * size, (fourth + j3) * size
        for plane in range(planes):
            k = np.uint64(plane)
            total[ray + k] += (
                b0 * pixels[i0 + k]
                + a0 * pixels[i0 + size + k]
                + b1 * pixels[i1 + k]
                + a1 * pixels[i1 + size + k]
                + b2 * pixels[i2 + k]
                + a2 * pixels[i2 + size + k]
                + b3 * pixels[i3 + k]
                + a3 * pixels[i3 + size + k]
            )


@numba.njit(fastmath=True, forceinline=True)
def _add_tile(total, view, image, lines, rays, extents, start, step, slide, planes):  # type: ignore[no-untyped-def]
    """Add some lines to those rays that meet something in them.

    Rays stay on the image with its margin, because they move by at most one place from line to line.
    """
    places = image.shape[1]
    for i in range(lines[0], lines[1], _TOGETHER):
        nearest, furthest = extents[i // _TOGETHER]
        if furthest < nearest:
            continue
        here = start + i * slide
        enters = (nearest - 1 - here - max(0.0, 3 * slide)) / step
        leaves = (furthest + 1 - here - min(0.0, 3 * slide)) / step
        met = max(rays[0], math.ceil(min(enters, leaves))), min(rays[1], math.floor(max(enters, leaves)) + 1)
        at = (
            np.uint64(i * places),
            np.uint64((i + 1) * places),
            np.uint64((i + 2) * places),
            np.uint64((i + 3) * places),
        )
        _add_lines(total, view, image.reshape(-1), at, met, here, step, slide, planes)


@numba.njit(fastmath=True, forceinline=True)
def _add_image(  # type: ignore[no-untyped-def]
    total, image, extents, pixel_mm, line_mm, place_mm, angles, by_rows, weights, detector_mm, planes
):
    """Add the lines of an image to the wanted views, which see a point at ``along line + across place``."""
    count, places = image.shape[:2]
    detectors = total.size // (_VIEWS * planes)
    for first_line in range(0, count - 3, _LINES):
        lines = first_line, min(first_line + _LINES, count - 3)
        for first_ray in range(0, detectors, _RAYS):
            rays = first_ray, min(first_ray + _RAYS, detectors)
            for v in range(angles.size):
                c, s = math.cos(angles[v]), math.sin(angles[v])
                if (abs(c) >= abs(s)) == by_rows and weights[v].any():
                    across, along = (c, s) if by_rows else (s, c)
                    step = detector_mm / across / pixel_mm
                    slide = -along / across  # from line to line, in places
                    start = (line_mm / pixel_mm - (count - 1) * 0.5) * slide - place_mm / pixel_mm
                    start += (places - 1) * 0.5 - (detectors - 1) * 0.5 * step
                    view = np.uint64(v * detectors)
                    _add_tile(total, view, image, lines, rays, extents, start, step, slide, planes)


@numba.njit(fastmath=True, forceinline=True)
def _add_views(  # type: ignore[no-untyped-def]
    sinogram, image, turned, row_extents, column_extents, pixel_mm, middle_mm, angles, detector_mm, weights, filled,
    planes,
):  # fmt: skip
    """Project rays that run closer to the columns through the image row by row, the others through its transpose."""
    detectors = sinogram.shape[1]
    row_mm, column_mm = middle_mm
    total = np.zeros(_VIEWS * detectors * planes, np.float32)
    for by_rows in (True, False):
        lines, extents = (image, row_extents) if by_rows else (turned, column_extents)
        line_mm, place_mm = (row_mm, column_mm) if by_rows else (column_mm, row_mm)
        _add_image(total, lines, extents, pixel_mm, line_mm, place_mm, angles, by_rows, weights, detector_mm, planes)
    for v in range(angles.size):
        length_mm = np.float32(pixel_mm / max(abs(math.cos(angles[v])), abs(math.sin(angles[v]))))
        for d in range(detectors):
            for k in range(filled.size):
                sinogram[v, d, filled[k]] += length_mm * weights[v, k] * total[(v * detectors + d) * planes + k]


@lru_cache
def _projector(planes: int) -> Callable[..., None]:
    """Return a kernel for this number of planes."""

    @numba.njit(parallel=True, fastmath=True, nogil=True, cache=True)
    def projected(  # type: ignore[no-untyped-def]
        sinogram, image, turned, row_extents, column_extents, pixel_mm, middle_mm, angles, detector_mm, weights, filled
    ):
        for block in numba.prange((angles.size + _VIEWS - 1) // _VIEWS):
            first, last = block * _VIEWS, min(angles.size, (block + 1) * _VIEWS)
            _add_views(
                sinogram[first:last], image, turned, row_extents, column_extents, pixel_mm, middle_mm,
                angles[first:last], detector_mm, weights[first:last], filled, planes,
            )  # fmt: skip

    return cast(Callable[..., None], projected)


def _back_projector(planes: int, sees_all: bool) -> Callable[..., Image]:
    """Return a kernel for this number of planes, and for views that see every pixel or for any views."""

    @numba.njit(parallel=True, fastmath=True, nogil=True, cache=True)
    def back_projected(sinogram, shape, pixel_mm, middle_mm, angles, detector_mm, first_mm):  # type: ignore[no-untyped-def]
        """Add two views to each pixel at a time, which so is read and written half as often.

        A view that does not see a pixel adds its ray 0 with weight 0.
        """
        detectors = sinogram.shape[1]
        rows, columns = shape
        image = np.zeros((rows, columns, planes), np.float32)
        left_mm = middle_mm[1] - pixel_mm * (columns - 1) * 0.5
        scale = np.float32(math.pi / angles.size)
        across = (columns + _TILE - 1) // _TILE
        for tile in numba.prange((rows + _TILE - 1) // _TILE * across):
            first_row, first_column = tile // across * _TILE, tile % across * _TILE
            for v in range(0, angles.size, 2):
                w = min(v + 1, angles.size - 1)
                weight, other_weight = scale, scale if w > v else np.float32(0)
                c, s = math.cos(angles[v]) / detector_mm, math.sin(angles[v]) / detector_mm
                e, f = math.cos(angles[w]) / detector_mm, math.sin(angles[w]) / detector_mm
                for j in range(first_row, min(rows, first_row + _TILE)):
                    y = middle_mm[0] + pixel_mm * (j - (rows - 1) * 0.5)
                    start = y * s + left_mm * c - first_mm[v] / detector_mm
                    other_start = y * f + left_mm * e - first_mm[w] / detector_mm
                    for i in range(first_column, min(columns, first_column + _TILE)):
                        at, other_at = start + i * pixel_mm * c, other_start + i * pixel_mm * e
                        if not sees_all:
                            weight = scale if 0 <= at < detectors - 1 else np.float32(0)
                            other_weight = scale if w > v and 0 <= other_at < detectors - 1 else np.float32(0)
                            at, other_at = at if weight else 0.0, other_at if other_weight else 0.0
                        d, g = _place(at), _place(other_at)
                        above, other_above = np.float32(at - d) * weight, np.float32(other_at - g) * other_weight
                        below, other_below = weight - above, other_weight - other_above
                        for k in range(planes):
                            image[j, i, k] += (
                                below * sinogram[v, d, k]
                                + above * sinogram[v, d + _NEXT, k]
                                + other_below * sinogram[w, g, k]
                                + other_above * sinogram[w, g + _NEXT, k]
                            )
        return image

    return cast(Callable[..., Image], back_projected)


_KERNELS = {(planes, sees_all): _back_projector(planes, sees_all) for planes in _PLANES for sees_all in (False, True)}
