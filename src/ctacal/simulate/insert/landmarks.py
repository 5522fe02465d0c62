"""Landmarks of a real chest beside which calcium may lie: the descending aorta and the trachea, if they are found."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ctacal.arrays import Floats
from ctacal.heart import HeartMask
from ctacal.simulate.anatomy.structures import Points
from ctacal.volume import Volume

AORTA_HU = (15.0, 75.0)
"""Mean HU of the blood in the aorta."""

AORTA_RADIUS_MM = (8.0, 19.0)
AORTA_BORDER_HU = 50.0
"""The surroundings of the aorta, lung or fat, are darker by at least this (own choice)."""

AORTA_CLEAR = 0.42
"""Smallest share of the circumference with darker surroundings (own choice)."""

AORTA_STEP_MM = 8.0
"""Largest shift of the aorta from slice to slice (own choice)."""

MIN_AORTA_MM = 40.0
"""Shortest aorta that is accepted (own choice)."""

WINDPIPE_HU = -750.0
"""HU below which there is air in the trachea."""

WINDPIPE_MM2 = (80.0, 500.0)
"""Cross-section of the air in the trachea: 10 to 25 mm wide."""


@dataclass(frozen=True, eq=False, slots=True)
class Tube:
    """A centre line and the radius along it, from the top down."""

    points: Points
    radius_mm: Floats


def find_descending_aorta(volume: Volume, heart: HeartMask) -> Tube | None:
    """Follow the circle of blood left of the spine, behind the heart, from slice to slice; None if it is not found."""
    slices, rows, columns = heart.bounding_box
    row_mm = volume.geometry.spacing_mm[1]
    middle = np.array([rows.stop + 8 / row_mm, (columns.start + columns.stop) / 2])
    reach_mm = 32.0
    found: list[tuple[float, ...]] = []
    order = range(min(slices.stop + 2, len(volume.hu) - 1), slices.start - 1, -1)
    for index in order:
        circle = _best_circle(volume, index, middle, reach_mm)
        if circle is None:
            if found:
                break
            continue
        middle, radius_mm = circle
        reach_mm = AORTA_STEP_MM
        found.append((index, *middle, radius_mm))
    if len(found) * volume.geometry.slice_spacing_mm < MIN_AORTA_MM:
        return None
    line = ndimage.gaussian_filter1d(np.array(found, float), 1.0, axis=0, mode="nearest")
    line[:, 0] = [place[0] for place in found]
    return Tube(_points(volume, line[:, :3]), line[:, 3])


def _best_circle(volume: Volume, index: int, near: Floats, reach_mm: float) -> tuple[Floats, float] | None:
    """Return the (row, column) and radius of the circle with blood inside and the darkest surroundings."""
    row_mm, column_mm = volume.geometry.spacing_mm[1:]
    plane = ndimage.gaussian_filter(volume.hu[index].astype(np.float32), 1.5 / column_mm)
    blood_hu = ndimage.gaussian_filter(plane, 3.0 / column_mm)
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    circle = np.stack([np.sin(angle) / row_mm, np.cos(angle) / column_mm])
    steps = np.arange(-reach_mm, reach_mm + 1, 2.0)
    best: tuple[float, Floats, float] = (AORTA_CLEAR, near, 0.0)
    for down in steps / row_mm:
        for across in steps / column_mm:
            at = near + (down, across)
            inside_hu = float(ndimage.map_coordinates(blood_hu, at[:, None], order=1)[0])
            if not AORTA_HU[0] < inside_hu < AORTA_HU[1]:
                continue
            for radius_mm in np.arange(*AORTA_RADIUS_MM, 1.0):
                inner, outer = (
                    ndimage.map_coordinates(plane, at[:, None] + circle * (radius_mm + by), order=1, mode="nearest")
                    for by in (-2.5, 2.5)
                )
                clear = float(np.mean((inner > AORTA_HU[0] - 15) & (inner < 100) & (outer < inner - AORTA_BORDER_HU)))
                if clear > best[0]:
                    best = (clear, at, float(radius_mm))
    return (best[1], best[2]) if best[2] else None


def find_windpipe(volume: Volume, heart: HeartMask) -> Tube | None:
    """Follow the trachea above the heart down to its bifurcation; None if the scan does not reach it."""
    slices, _, columns = heart.bounding_box
    pixel_mm2 = volume.geometry.pixel_area_mm2
    middle = columns.start + 0.4 * (columns.stop - columns.start)
    found: list[tuple[float, float, float]] = []
    for index in range(len(volume.hu) - 1, slices.stop - 4, -1):
        label, count = ndimage.label(ndimage.binary_opening(volume.hu[index] < WINDPIPE_HU))
        sizes = np.bincount(label.ravel(), minlength=count + 1)[1:] * pixel_mm2
        likely = np.flatnonzero((sizes > WINDPIPE_MM2[0]) & (sizes < WINDPIPE_MM2[1])) + 1
        centres = np.array(ndimage.center_of_mass(label > 0, label, likely)).reshape(-1, 2)
        at = (found[-1][1], found[-1][2]) if found else (heart.bounding_box[1].stop - 10.0, middle)
        near = 12.0 if found else 40.0
        away_mm = np.hypot(*((centres - at) * volume.geometry.spacing_mm[1:]).T) if len(centres) else np.array([])
        if not len(away_mm) or away_mm.min() > near:
            if len(found) > 2:
                break
            found = []
            continue
        row, column = centres[int(away_mm.argmin())]
        found.append((float(index), float(row), float(column)))
    if len(found) < 3:
        return None
    return Tube(_points(volume, np.array(found)), np.full(len(found), 9.0))


def _points(volume: Volume, index: Floats) -> Points:
    return np.asarray(index @ volume.geometry.affine[:3, :3].T + volume.geometry.affine[:3, 3])
