"""Parallel-beam projection and back-projection in numba, many slices at once.

Images are (rows, columns, planes), sinograms (views, detectors, planes), float32: the planes (slices x basis materials)
lie innermost, so that a ray's weights are computed once for all of them. Positions are (row, column) distances in mm
from the isocentre, rows growing to posterior, columns to the left. A view at angle a sees the point (r, c) at
c cos(a) + r sin(a) on the detector, whose middle faces the isocentre.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
"""(rows, columns, planes)."""
Sinogram = NDArray[np.float32]
"""(views, detectors, planes)."""
Floats = NDArray[np.float64]


def view_angles(views: int) -> Floats:
    """Angles over half a turn, in radians."""
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

    ``middle_mm`` is where the image's middle lies; ``weights`` (views, planes) multiply what is added, and a view whose
    weights are all zero costs nothing; nor does an empty plane. Lines are summed by Joseph's method (IEEE Trans Med
    Imaging 1982;1:192-196).
    """
    views, _, planes = sinogram.shape
    if image.shape[2] != planes:
        raise ValueError(f"the image has {image.shape[2]} planes, the sinogram {planes}")
    if weights is None:
        weights = np.ones((views, planes), np.float32)
    filled = image.any(axis=(0, 1)) & weights.any(axis=0)
    weights = np.ascontiguousarray(weights[:, filled], np.float32)
    padded = np.pad(image[:, :, filled], ((1, 5), (1, 5), (0, 0)))  # so that four lines at a time reach all
    middle = middle_mm[0] + 2 * pixel_mm, middle_mm[1] + 2 * pixel_mm
    turned = np.ascontiguousarray(padded.swapaxes(0, 1))
    _project(
        sinogram, padded, turned, pixel_mm, middle, view_angles(views), detector_mm, weights, np.flatnonzero(filled)
    )


def back_project(
    sinogram: Sinogram,
    shape: tuple[int, int],
    *,
    pixel_mm: float,
    detector_mm: float,
    middle_mm: tuple[float, float] = (0.0, 0.0),
) -> Image:
    """Sum a filtered sinogram of ``view_angles`` into a (rows, columns, planes) image, scaled for an inverse Radon.

    ``middle_mm`` is where the image's middle lies.
    """
    angles = view_angles(len(sinogram))
    return np.asarray(_back_project(sinogram, shape, pixel_mm, middle_mm, angles, detector_mm), np.float32)


@numba.njit(parallel=True, fastmath=True, cache=True)
def _project(sinogram, image, turned, pixel_mm, middle_mm, angles, detector_mm, weights, filled):  # type: ignore[no-untyped-def]
    """Rays that run nearer to the columns' direction cross the image row by row, the others its transpose."""
    for v in numba.prange(angles.size):
        if weights[v].any():
            c, s = math.cos(angles[v]), math.sin(angles[v])
            if abs(c) >= abs(s):
                _add_view(
                    sinogram[v], image, pixel_mm, middle_mm[0], middle_mm[1], s, c, detector_mm, weights[v], filled
                )
            else:
                _add_view(
                    sinogram[v], turned, pixel_mm, middle_mm[1], middle_mm[0], c, s, detector_mm, weights[v], filled
                )


@numba.njit(fastmath=True)
def _add_view(view, lines, pixel_mm, line_mm, place_mm, along, across, detector_mm, weights, filled):  # type: ignore[no-untyped-def]
    """Add the lines of pixels, (lines, places, planes), to the detectors that see them: t = along line + across place.

    Four lines at a time: a detector's sums are then read and written a quarter as often, which is what takes the time.
    The image's border is zero: what a ray meets outside counts as the border.
    """
    count, places, planes = lines.shape
    detectors = view.shape[0]
    total = np.zeros((detectors, planes), np.float32)
    step = detector_mm / across / pixel_mm
    slide = -along / across  # from line to line, in places
    last_place = places - 1.001
    for i in range(0, count - 3, 4):
        start = (i - (count - 1) * 0.5 + line_mm / pixel_mm) * slide - place_mm / pixel_mm
        start += (places - 1) * 0.5 - (detectors - 1) * 0.5 * step
        low, high = min(0.0, 3 * slide), max(0.0, 3 * slide)
        one, other = (-start - high) / step, (last_place - start - low) / step
        first = max(0, math.ceil(min(one, other)))
        last = min(detectors - 1, math.floor(max(one, other)))
        for d in range(first, last + 1):
            at = start + step * d
            p0 = min(max(at, 0.0), last_place)
            p1 = min(max(at + slide, 0.0), last_place)
            p2 = min(max(at + 2 * slide, 0.0), last_place)
            p3 = min(max(at + 3 * slide, 0.0), last_place)
            j0, j1, j2, j3 = int(p0), int(p1), int(p2), int(p3)
            a0, a1, a2, a3 = np.float32(p0 - j0), np.float32(p1 - j1), np.float32(p2 - j2), np.float32(p3 - j3)
            b0, b1, b2, b3 = np.float32(1) - a0, np.float32(1) - a1, np.float32(1) - a2, np.float32(1) - a3
            for k in range(planes):
                total[d, k] += (
                    b0 * lines[i, j0, k]
                    + a0 * lines[i, j0 + 1, k]
                    + b1 * lines[i + 1, j1, k]
                    + a1 * lines[i + 1, j1 + 1, k]
                    + b2 * lines[i + 2, j2, k]
                    + a2 * lines[i + 2, j2 + 1, k]
                    + b3 * lines[i + 3, j3, k]
                    + a3 * lines[i + 3, j3 + 1, k]
                )
    length_mm = np.float32(pixel_mm / abs(across))
    for d in range(detectors):
        for k in range(planes):
            view[d, filled[k]] += length_mm * weights[k] * total[d, k]


@numba.njit(parallel=True, fastmath=True, cache=True)
def _back_project(sinogram, shape, pixel_mm, middle_mm, angles, detector_mm):  # type: ignore[no-untyped-def]
    views, detectors, planes = sinogram.shape
    rows, columns = shape
    image = np.zeros((rows, columns, planes), np.float32)
    block = 16
    scale = np.float32(math.pi / views)
    for b in numba.prange((rows + block - 1) // block):
        for v in range(views):
            c, s = math.cos(angles[v]) / detector_mm, math.sin(angles[v]) / detector_mm
            corner = middle_mm[1] - pixel_mm * (columns - 1) * 0.5
            for j in range(b * block, min(rows, b * block + block)):
                y = middle_mm[0] + pixel_mm * (j - (rows - 1) * 0.5)
                start = y * s + corner * c + (detectors - 1) * 0.5
                for i in range(columns):
                    at = start + i * pixel_mm * c
                    if at < 0 or at >= detectors - 1:
                        continue
                    d = int(at)
                    above = np.float32(at - d) * scale
                    below = scale - above
                    for k in range(planes):
                        image[j, i, k] += below * sinogram[v, d, k] + above * sinogram[v, d + 1, k]
    return image
