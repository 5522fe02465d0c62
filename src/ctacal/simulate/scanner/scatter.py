"""Scatter: a smooth field computed from the primary signal (Ohnesorge B et al., Eur Radiol 1999;9:563-569)."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Rays = NDArray[np.float32]
"""(views, detectors, slices)."""

REACH_SD_MM = 80.0
"""SD of the field that the scatter of one ray makes (assumed)."""

STEP = 8
"""The field is computed for blocks of this many rays and views."""


def scatter_field(signal: Rays, air: NDArray[np.float32], detector_mm: float) -> Rays:
    """Return a field in proportion to the scatter on each ray: primary signal x its own logarithm, spread wide.

    ``signal`` is (views, detectors, slices), ``air`` (detectors,) the signal with nothing in the beam.
    """
    coarse = _block_means(_block_means(signal, 0), 1)
    coarse_air = _block_means(air[None, :, None], 1)
    share = np.clip(coarse / coarse_air, 1e-8, 1)
    source = coarse * -np.log(share)
    spread = ndimage.gaussian_filter1d(source, REACH_SD_MM / detector_mm / STEP, axis=1, mode="constant")
    return _enlarged(_enlarged(spread, signal.shape[0], 0), signal.shape[1], 1)


def _block_means(values: Rays, axis: int) -> Rays:
    """Return the means of blocks of ``STEP`` neighbours; the last block may be smaller."""
    starts = np.arange(0, values.shape[axis], STEP)
    sizes = np.diff(np.append(starts, values.shape[axis])).astype(np.float32)
    sums = np.add.reduceat(values, starts, axis=axis)
    return np.asarray(sums / np.expand_dims(sizes, tuple(a for a in range(3) if a != axis)), np.float32)


def _enlarged(coarse: Rays, count: int, axis: int) -> Rays:
    """Return ``_block_means`` interpolated linearly back to ``count`` values."""
    at = np.clip((np.arange(count) - (STEP - 1) / 2) / STEP, 0, coarse.shape[axis] - 1)
    low = np.minimum(at.astype(int), max(coarse.shape[axis] - 2, 0))
    high = np.minimum(low + 1, coarse.shape[axis] - 1)
    part = np.expand_dims((at - low).astype(np.float32), tuple(a for a in range(3) if a != axis))
    lower = coarse.take(low, axis)
    return np.asarray(lower + (coarse.take(high, axis) - lower) * part, np.float32)
