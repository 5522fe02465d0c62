"""From HU to the networks' input: the same code in training and in scoring, so it needs no torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.anatomy import Anatomy
from ctacal.arrays import Bytes, Floats, Floats32, Ints
from ctacal.labels import NAMED_VESSELS
from ctacal.nn.config import NetworkConfig

HU_CHANNELS = 2
HEART_CHANNEL = 2
"""Index of the heart mask among the channels of ``calcium_input``."""

MASS_VESSELS = NAMED_VESSELS
"""The columns of a mass table."""

HEART_CENTRE_HU, HEART_HALF_WIDTH_HU, HEART_LIMIT = -150.0, 300.0, 2.5
"""Window of the networks that see the whole scan, halfway between lung and soft tissue; lung, bone and metal saturate.

The feasibility study used the same."""

SOFT_CENTRE_HU, SOFT_HALF_WIDTH_HU = 0.0, 200.0
"""Soft window: fat, blood, muscle and faint calcium (own choice)."""

CALCIUM_CENTRE_HU, CALCIUM_HALF_WIDTH_HU = 300.0, 300.0
"""Calcium window: the whole range of calcium, with the steps of the density factor at 130 to 400 HU (own choice)."""

SOFT_LIMIT = 3.0
"""Limit of the soft window: -600 to 600 HU (own choice)."""

CALCIUM_LIMITS = (-1.0, 3.0)
"""Limits of the calcium window: 0 to 1200 HU (own choice)."""

HEART_REACH_MM = 8.0
"""Distance from the heart mask within which calcium is searched: as large as the mask's error (own choice)."""

END_REACH_MM = 8.0
"""The same distance beyond the mask's lowest and highest slice: stage 1 sees slices of 5 mm and may miss one, and the
left main artery lies at the top (own choice)."""

POSITION_UNIT_MM = 60.0
"""Unit of positions, half the width of a heart: positions range from about -1 to 1 (own choice)."""

STRUCTURES: tuple[tuple[Anatomy, ...], ...] = (
    (Anatomy.LEFT_VENTRICLE,), (Anatomy.RIGHT_VENTRICLE,), (Anatomy.LEFT_ATRIUM,), (Anatomy.RIGHT_ATRIUM,),
    (Anatomy.PERICARDIAL_SPACE,), (Anatomy.ASCENDING_AORTA,), (Anatomy.PULMONARY_ARTERY,),
    (Anatomy.AORTA, Anatomy.VEIN),
)  # fmt: skip
"""The structures that are channels of the calcium network's input. The coronary arteries run in the grooves between the
chambers, and the calcium that is most often confused lies at the great vessels. The network sees lung and bone for
itself (own choice)."""

STRUCTURE_PIXELS = 4
"""Pixels of the calcium network in a pixel of its structures, which stage 1 knows no better (4 mm)."""

PUBLISHED_CENTRE_HU, PUBLISHED_HALF_WIDTH_HU, PUBLISHED_LIMITS = 100.0, 300.0, (-2.0, 3.0)
"""Window of the published system: -500 to 1000 HU. The published window is not known; this one is our choice."""


def channels_of(config: NetworkConfig) -> int:
    """Return the number of channels of ``network_input``."""
    if config.kind != "calcium":
        return 1
    return own_channels_of(config) + len(STRUCTURES) * config.structures


def own_channels_of(config: NetworkConfig) -> int:
    """Return the number of channels of ``network_input`` without the structures, which are the last."""
    if config.kind != "calcium":
        return 1
    return HU_CHANNELS + 1 + 3 * config.position + 2 * config.neighbours


def network_input(
    hu: NDArray[Any],
    heart: NDArray[Any],
    centre: Floats,
    spacing_mm: tuple[float, float, float],
    config: NetworkConfig,
    structures: Floats32 | None = None,
) -> Floats32:
    """(slices, rows, columns) HU and heart (0 to 1) -> (slices, channels, rows, columns).

    ``centre`` is the (slice, row, column) of the heart's centre; only the calcium network uses heart, centre and
    ``structures`` (slices, ``STRUCTURES``, rows / 4, columns / 4), whose channels are 0 if not known.
    """
    if config.sees_whole_scan:
        return heart_input(hu)
    if config.kind == "published":
        return published_input(hu)
    return calcium_input(hu, heart, centre, spacing_mm, config, structures)


def heart_input(hu: NDArray[Any]) -> Floats32:
    """(slices, rows, columns) HU -> (slices, 1, rows, columns)."""
    scaled = (hu.astype(np.float32) - HEART_CENTRE_HU) / HEART_HALF_WIDTH_HU
    return np.asarray(np.clip(scaled, -HEART_LIMIT, HEART_LIMIT)[:, None], np.float32)


def calcium_input(
    hu: NDArray[Any],
    heart: NDArray[Any],
    centre: Floats,
    spacing_mm: tuple[float, float, float],
    config: NetworkConfig,
    structures: Floats32 | None = None,
) -> Floats32:
    """The channels: soft window, calcium window, heart; position to the head, to posterior, to the left of the heart's
    centre; calcium window of the slice below and of the one above (at an end: the slice's own); the structures."""
    slices, rows, columns = hu.shape
    made = np.empty((slices, channels_of(config), rows, columns), np.float32)
    made[:, 0] = np.clip((hu - SOFT_CENTRE_HU) / np.float32(SOFT_HALF_WIDTH_HU), -SOFT_LIMIT, SOFT_LIMIT)
    calcium = np.clip((hu - CALCIUM_CENTRE_HU) / np.float32(CALCIUM_HALF_WIDTH_HU), *CALCIUM_LIMITS)
    made[:, 1] = calcium
    made[:, HEART_CHANNEL] = heart
    if config.position:
        _write_positions(made[:, HEART_CHANNEL + 1 : HEART_CHANNEL + 4], centre, spacing_mm)
    own = own_channels_of(config)
    if config.neighbours:
        made[1:, own - 2], made[0, own - 2] = calcium[:-1], calcium[0]
        made[:-1, own - 1], made[-1, own - 1] = calcium[1:], calcium[-1]
    if config.structures:
        made[:, own:] = 0.0 if structures is None else _in_large_pixels(structures)
    return made


def with_structures(x: Floats32, structures: Floats32) -> Floats32:
    """Return the own channels of ``network_input`` with the structures as further channels."""
    return np.concatenate([x, _in_large_pixels(structures)], axis=1)


def _in_large_pixels(structures: Floats32) -> Floats32:
    """Return (slices, structures, rows, columns): each value in ``STRUCTURE_PIXELS`` squared pixels."""
    return structures.repeat(STRUCTURE_PIXELS, axis=2).repeat(STRUCTURE_PIXELS, axis=3)


def true_structures(anatomy: Bytes) -> Floats32:
    """(slices, rows, columns) ``Anatomy`` -> (slices, ``STRUCTURES``, rows / 4, columns / 4): share of each pixel."""
    slices, rows, columns = anatomy.shape
    n = STRUCTURE_PIXELS
    blocks = anatomy.reshape(slices, rows // n, n, columns // n, n)
    return np.stack([np.isin(blocks, group).mean(axis=(2, 4), dtype=np.float32) for group in STRUCTURES], axis=1)


def _write_positions(into: Floats32, centre: Floats, spacing_mm: tuple[float, float, float]) -> None:
    """(slices, 3, rows, columns): signed distance along each axis, in units of ``POSITION_UNIT_MM``."""
    shape = (into.shape[0], *into.shape[2:])
    for axis, (n, mm, middle) in enumerate(zip(shape, spacing_mm, centre, strict=True)):
        along = ((np.arange(n) - middle) * mm / POSITION_UNIT_MM).astype(np.float32)
        into[:, axis] = along.reshape(tuple(n if other == axis else 1 for other in range(3)))


def published_input(hu: NDArray[Any]) -> Floats32:
    """(slices, rows, columns) HU -> (slices, 1, rows, columns)."""
    scaled = (hu.astype(np.float32) - PUBLISHED_CENTRE_HU) / PUBLISHED_HALF_WIDTH_HU
    return np.asarray(np.clip(scaled, *PUBLISHED_LIMITS)[:, None], np.float32)


def heart_centre_index(heart: NDArray[Any]) -> Floats:
    """Return (slice, row, column) of the centre of the heart; of the array, if there is no heart.

    It is the median along each axis: a stray voxel does not move it, and a scan that cuts the heart off moves it only a
    little.
    """
    inside = np.asarray(heart) > 0.5
    if not inside.any():
        return (np.asarray(heart.shape, np.float64) - 1) / 2
    return np.array([_median(inside.sum(axis=others)) for others in ((1, 2), (0, 2), (0, 1))])


def _median(counts: Ints) -> float:
    share = np.cumsum(counts) / counts.sum()
    return float(np.searchsorted(share, 0.5))
