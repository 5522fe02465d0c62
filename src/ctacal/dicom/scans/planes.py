"""Which images lie in parallel planes of one matrix and pixel size, and how they lie along their common normal.

Converters and consoles write one value with several last digits: values are compared within tolerances, not rounded.
"""

from collections.abc import Sequence

import numpy as np

from ctacal.arrays import Floats
from ctacal.dicom.header import Slice
from ctacal.dicom.stack import DIRECTION_TOLERANCE

PIXEL_TOLERANCE_MM = 1e-3
"""Largest difference of pixel sizes that are one size, written with other last digits."""

SAME_PLACE_MM = 0.05
"""Images that lie less than this apart along the normal lie at one place: one of them is a copy, phase or pass."""


def by_plane(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Group images by modality, matrix, orientation and pixel size; those within tolerance, or linked so, are alike."""
    planes = [(s.header.modality, s.rows, s.columns, s.orientation, s.pixel_spacing_mm) for s in slices]
    distinct = list(dict.fromkeys(planes))
    numbers = _linked([(*(orientation or ()), *(spacing or ())) for *_, orientation, spacing in distinct])
    alike = {plane: (plane[:3], number) for plane, number in zip(distinct, numbers, strict=True)}
    groups: dict[object, list[Slice]] = {}
    for slice_, plane in zip(slices, planes, strict=True):
        groups.setdefault(alike[plane], []).append(slice_)
    return list(groups.values())


def _linked(written: Sequence[tuple[float, ...]]) -> list[tuple[int, ...]]:
    """Return a number for each value of each row; equal numbers in a column are within tolerance, or linked so."""
    if len(written) == 1:
        return [()]
    numbers: list[tuple[int, ...]] = [(-1, len(row)) for row in written]  # incomplete ones are alike if equally so
    whole = [index for index, row in enumerate(written) if len(row) == 8]
    values = np.array([written[index] for index in whole], np.float64).reshape(-1, 8)
    tolerance = np.array([DIRECTION_TOLERANCE] * 6 + [PIXEL_TOLERANCE_MM] * 2)
    order = np.argsort(values, axis=0)
    ranked = np.take_along_axis(values, order, axis=0)
    steps = np.cumsum(np.diff(ranked, axis=0, prepend=ranked[:1]) > tolerance, axis=0)
    placed = np.empty_like(steps)
    np.put_along_axis(placed, order, steps, axis=0)
    for index, row in zip(whole, placed.tolist(), strict=True):
        numbers[index] = tuple(row)
    return numbers


def normal_of(slice_: Slice) -> Floats:
    """Return the unit vector across the image, towards the head; its length is 0 if the orientation is meaningless."""
    across, down = np.reshape(slice_.orientation or (0.0,) * 6, (2, 3))
    normal = np.cross(across, down)
    length = float(np.linalg.norm(normal))
    towards_head = -1.0 if normal[2] < 0 else 1.0
    return np.asarray(normal * towards_head / (length or 1.0))


def depths_mm(slices: Sequence[Slice], normal: Floats | None = None) -> Floats:
    """Return how far each image lies along the normal of the first; NaN if its position is missing."""
    positions = np.array([s.position_mm or (np.nan,) * 3 for s in slices], np.float64)
    return positions @ (normal_of(slices[0]) if normal is None else normal)


def centre_mm(slice_: Slice) -> Floats:
    """Return the middle of an image in the patient; NaN if its position is missing."""
    across, down = np.reshape(slice_.orientation or (0.0,) * 6, (2, 3))
    row_mm, column_mm = slice_.pixel_spacing_mm or (0.0, 0.0)
    half = down * row_mm * (slice_.rows - 1) / 2 + across * column_mm * (slice_.columns - 1) / 2
    return np.asarray(np.array(slice_.position_mm or (np.nan,) * 3) + half)
