"""Stage 1 of scoring: locate the heart on the whole scan at 5 x 4 x 4 mm. No torch."""

import numpy as np

from ctacal.arrays import Floats32, Mask
from ctacal.components import parts
from ctacal.errors import Code, Refusal
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.morphology import grown
from ctacal.nn.grids import body_part, index_map, network_view, resampled, whole_grid
from ctacal.nn.inputs import heart_input
from ctacal.nn.runtime import Stage
from ctacal.volume import Volume

MIN_HEART_ML = 100.0
"""Smallest volume that is accepted as a heart, even if the scan cuts it off (own choice)."""

MAX_SLICES_AT_ONCE = 96
"""Largest number of slices that the network sees at once: 48 cm, more than a chest (own choice)."""

WINDOW_SLICES, WINDOW_RIM_SLICES = 64, 8
"""A longer scan, which would take too much memory, is seen in windows of 32 cm; the last 4 cm of each are seen again in
the next, with what follows them (own choice)."""


def locate_heart(volume: Volume, stage: Stage) -> HeartMask:
    """Return the heart on the scan's voxels: the largest connected part that the network finds.

    Raises ``Refusal`` (``HEART_NOT_FOUND``) if that part is too small.
    """
    probability, grid, _ = probabilities(volume, stage)
    return largest_heart(probability[:, 0], grid, volume.geometry)


def probabilities(volume: Volume, stage: Stage) -> tuple[Floats32, Geometry, Floats32]:
    """Run a network that sees the whole scan; returns (slices, classes, rows, columns), their grid, the body's, and the
    HU on it."""
    config = stage.config
    grid = whole_grid(volume.geometry, (config.slice_mm, config.pixel_mm, config.pixel_mm), config.multiple)
    hu = network_view(volume, grid)
    body = body_part(hu, config.multiple)
    return _in_windows(hu[body], stage), grid.crop(body), hu[body]


def largest_heart(probability: Floats32, grid: Geometry, scan: Geometry) -> HeartMask:
    """Return the largest connected part at a probability of at least one half, on the scan's voxels.

    Raises ``Refusal`` (``HEART_NOT_FOUND``) if that part is too small.
    """
    found = parts(probability >= 0.5, neighbours=6)
    largest = found.mask_of(np.arange(found.count) == (found.sizes.argmax() if found.count else 0))
    size_ml = float(np.count_nonzero(largest)) * grid.voxel_volume_mm3 / 1000.0
    if size_ml < MIN_HEART_ML:
        raise Refusal(
            Code.HEART_NOT_FOUND, f"the network finds {size_ml:.0f} mL of heart; score a CT that shows the heart"
        )
    return _on_scan(np.where(_with_rim(largest), probability, 0.0), grid, scan)


def _in_windows(hu: Floats32, stage: Stage) -> Floats32:
    """Return the probabilities, (slices, classes, rows, columns), by windows along the patient if the scan is long."""
    slices, window, rim = len(hu), WINDOW_SLICES, WINDOW_RIM_SLICES
    if slices <= MAX_SLICES_AT_ONCE:
        return stage.run(heart_input(hu))[0]
    classes = 1 if stage.config.kind == "heart" else len(stage.classes)
    probability = np.empty((slices, classes, *hu.shape[1:]), np.float32)
    known = 0
    while known < slices:
        first = max(0, min(known - rim, slices - window))
        stop = first + window
        probability[known:stop] = stage.run(heart_input(hu[first:stop]))[0][known - first :]
        known = stop if stop == slices else stop - rim
    return probability


def _with_rim(mask: Mask) -> Mask:
    """Grow the mask by one voxel in plane: the interpolated border lies between the last voxel inside and the first
    outside."""
    return grown(mask, 1.0, 1.0)


def _on_scan(probability: Floats32, grid: Geometry, scan: Geometry) -> HeartMask:
    """Interpolate to the part of the scan that holds the heart, and cut at a probability of one half."""
    mask = np.zeros(scan.shape, bool)
    start, step = index_map(scan, grid)
    box = []
    for axis, n in enumerate(scan.shape):
        others = tuple(other for other in range(3) if other != axis)
        at = np.flatnonzero((probability > 0).any(axis=others))
        low = start[axis] + step[axis] * (at[0] - 1)
        high = start[axis] + step[axis] * (at[-1] + 1)
        box.append(slice(max(0, int(np.floor(low))), min(n, int(np.ceil(high)) + 1)))
    part = (box[0], box[1], box[2])
    mask[part] = resampled(probability, grid, scan.crop(part), fill=0.0) >= 0.5
    return HeartMask(mask, scan)
