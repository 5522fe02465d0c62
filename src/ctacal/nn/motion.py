"""How far the beating heart's border is smeared or doubled, against a border in the same picture that rests."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ctacal.heart import HeartMask
from ctacal.volume import Volume

Floats = NDArray[np.float64]

LUNG_BELOW_HU, TISSUE_ABOVE_HU = -700.0, -250.0
"""A border lies between these: 15 and 65 % of the way from lung to soft tissue (own choice)."""

MIN_LUNG_MM = 12.0
"""Lung between heart and wall is at least this wide, so that the two borders do not touch (own choice)."""

MIN_ROWS = 60
"""Fewer rows that show both borders tell nothing (own choice)."""


def border_blur_mm(volume: Volume, heart: HeartMask) -> float | None:
    """What the heart's left border is wider than the left chest wall's, in quadrature; medians over rows crossing both.

    Kernel, pixels and slices blur both alike; only the heart beats. None where too few rows cross both.
    """
    mm = volume.geometry.spacing_mm[2]
    lines = (_line(volume, *at) for at in _rows_of(heart))
    pairs = [widths for line in lines if (widths := _widths(line, mm))]
    if len(pairs) < MIN_ROWS:
        return None
    of_heart, of_wall = np.median(np.asarray(pairs), axis=0)
    return float(np.sqrt(max(0.0, of_heart**2 - of_wall**2)))


def _rows_of(heart: HeartMask) -> Iterator[tuple[int, int, int]]:
    """(slice, row, column) to begin at: inside the heart, in the middle half of its rows."""
    for number in np.flatnonzero(heart.mask.any(axis=(1, 2))):
        rows = np.flatnonzero(heart.mask[number].any(axis=1))
        for row in rows[len(rows) // 4 : len(rows) - len(rows) // 4]:
            columns = np.flatnonzero(heart.mask[number, row])
            yield int(number), int(row), int((columns[0] + columns[-1]) // 2)


def _line(volume: Volume, number: int, row: int, column: int) -> Floats:
    """HU from there to the left, the mean of three rows: less noise, hardly another slant."""
    return np.asarray(volume.hu[number, max(0, row - 1) : row + 2, column:].mean(axis=0), np.float64)


def _widths(line: Floats, mm: float) -> tuple[float, float] | None:
    """Of the first border from tissue to lung, and of the next one back to tissue."""
    lung = np.flatnonzero(line < LUNG_BELOW_HU)
    if not lung.size:
        return None
    first = int(lung[0])
    back = np.flatnonzero(line[first:] > TISSUE_ABOVE_HU)
    if not back.size or back[0] * mm < MIN_LUNG_MM:
        return None
    wall = first + int(back[0])
    before, last = np.flatnonzero(line[:first] > TISSUE_ABOVE_HU), np.flatnonzero(line[:wall] < LUNG_BELOW_HU)
    if not before.size:
        return None
    at = int(before[-1])
    return mm * _between(line[at : first + 1][::-1]), mm * _between(line[int(last[-1]) : wall + 1])


def _between(rise: Floats) -> float:
    """Pixels between the two levels, the ends interpolated; ``rise`` begins in lung and ends in tissue."""
    start = (LUNG_BELOW_HU - rise[0]) / (rise[1] - rise[0])
    end = (rise[-1] - TISSUE_ABOVE_HU) / (rise[-1] - rise[-2])
    return float(len(rise) - 1 - start - end)
