"""Motion blur of the beating heart's border, compared with a border in the same image that does not move."""

import numpy as np

from ctacal.arrays import Floats, Ints, Mask
from ctacal.heart import HeartMask
from ctacal.volume import Volume

LUNG_BELOW_HU, TISSUE_ABOVE_HU = -700.0, -250.0
"""HU between which a border lies: 15 and 65 % of the way from lung to soft tissue (own choice)."""

MIN_LUNG_MM = 12.0
"""Least width of lung between heart and chest wall, so that the two borders do not touch (own choice)."""

ROWS_AT_ONCE = 3
"""Number of rows that are averaged to a line: less noise, hardly any change of the border's slant (own choice)."""

LINE_MM = 200.0
"""Length of a line, from the heart's centre to beyond the chest wall (own choice)."""

MIN_LINES = 20
"""Smallest number of lines across both borders (own choice)."""


def border_blur_mm(volume: Volume, heart: HeartMask) -> float | None:
    """Return how much wider the heart's left border is than the left chest wall's: medians, subtracted in quadrature.

    Kernel, pixels and slices blur both alike; only the heart moves. None if too few lines cross both.
    """
    mm = volume.geometry.spacing_mm[2]
    of_heart, of_wall = _border_pixels(_lines(volume, heart), MIN_LUNG_MM / mm)
    if of_heart.size < MIN_LINES:
        return None
    return float(mm * np.sqrt(max(0.0, np.median(of_heart) ** 2 - np.median(of_wall) ** 2)))


def _lines(volume: Volume, heart: HeartMask) -> Floats:
    """Return (lines, pixels): HU from the heart's centre to the left, in the middle half of its rows in each slice."""
    slices, rows, columns = heart.bounding_box
    inside = heart.mask[slices, rows, columns]
    in_row = inside.any(axis=2)
    rank, count = np.cumsum(in_row, axis=1) - 1, in_row.sum(axis=1, keepdims=True)
    middle_half = in_row & (rank >= count // 4) & (rank < count - count // 4) & (rank % ROWS_AT_ONCE == 0)
    number, row = np.nonzero(middle_half)
    line = inside[number, row]
    begin = columns.start + (_first(line) + _last(line)) // 2
    length = round(LINE_MM / volume.geometry.spacing_mm[2])
    _, n_rows, n_columns = volume.hu.shape
    at_row = np.minimum(rows.start + row[:, None] + np.arange(ROWS_AT_ONCE), n_rows - 1)
    at_column = np.minimum(begin[:, None] + np.arange(length), n_columns - 1)  # beyond the image the last pixel repeats
    hu = volume.hu[(slices.start + number)[:, None, None], at_row[:, :, None], at_column[:, None, :]]
    return np.asarray(hu.mean(axis=1, dtype=np.float64))


def _border_pixels(lines: Floats, min_lung: float) -> tuple[Floats, Floats]:
    """Return the widths of the first border from tissue to lung and of the next back to tissue, for lines with both."""
    lung, tissue, at = lines < LUNG_BELOW_HU, lines > TISSUE_ABOVE_HU, np.arange(lines.shape[1])
    first = _first(lung)[:, None]
    heart, beyond = tissue & (at < first), tissue & (at > first)
    wall = _first(beyond)[:, None]
    crosses = lung.any(axis=1) & heart.any(axis=1) & beyond.any(axis=1) & ((wall - first)[:, 0] >= min_lung)
    last_lung = _last(lung & (at < wall))
    return (
        _rise(lines[crosses], first[crosses, 0], _last(heart)[crosses], -1),
        _rise(lines[crosses], last_lung[crosses], wall[crosses, 0], 1),
    )


def _rise(lines: Floats, lung: Ints, tissue: Ints, step: int) -> Floats:
    """Return the pixels between the two levels of HU on the way from lung to tissue; the ends are interpolated."""
    line = np.arange(len(lines))
    start = (LUNG_BELOW_HU - lines[line, lung]) / (lines[line, lung + step] - lines[line, lung])
    end = (lines[line, tissue] - TISSUE_ABOVE_HU) / (lines[line, tissue] - lines[line, tissue - step])
    return np.asarray(np.abs(tissue - lung) - start - end)


def _first(mask: Mask) -> Ints:
    """Return (lines,): the index of each line's first True; 0 if there is none."""
    return np.asarray(mask.argmax(axis=1), np.int64)


def _last(mask: Mask) -> Ints:
    return np.asarray(mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1), np.int64)
