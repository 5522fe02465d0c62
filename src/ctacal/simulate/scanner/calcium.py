"""``calcium_hu``: the HU that calcium alone adds to a scan, without noise."""

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import interp1d

from ctacal.simulate.materials import Body, Tissue
from ctacal.simulate.scanner.acquisition import Acquisition
from ctacal.simulate.scanner.attenuation import beam_of, hydroxyapatite_hu
from ctacal.simulate.scanner.detector import WATER_MM, detector_of
from ctacal.simulate.scanner.kernel import detector_blur, filtered, ramp_response
from ctacal.simulate.scanner.motion import Motion
from ctacal.simulate.scanner.projector import Sinogram, back_project
from ctacal.simulate.scanner.protocol import ScannerProtocol

Region = tuple[slice, slice, slice]
"""Slices, rows and columns of a scan's grid."""

BATCH = 16
"""Number of slices that share the water paths of their middle slice (own choice)."""

EVERY = 8
"""The water paths are computed in every so-many-th view and interpolated in between (own choice: 2 degrees)."""


def calcium_hu(
    body: Body,
    protocol: ScannerProtocol,
    *,
    seed: int,
    region: Region,
    motion: Motion | None = None,
    isocentre_mm: tuple[float, float] | None = None,
) -> NDArray[np.float32]:
    """Return the HU that hydroxyapatite adds to a ``scan`` with the same arguments, in a region of its grid.

    Calcium counts in proportion to its mass, with the brightness it has behind each ray's water in the middle slice of
    a batch, and with the scan's motion, slice profile, blur and kernel. Noise, scatter, photon starvation and hardening
    by the calcium itself are left out. ``region`` must lie within the scan's grid, with explicit starts and stops.
    """
    motion = motion or Motion()
    still, moving = replace(motion, phases=()), replace(motion, phases=tuple(map(_alone, motion.phases)))
    plan = partial(Acquisition.of, protocol=protocol, seed=seed, isocentre_mm=isocentre_mm, slabs=1)
    whole, calcium = plan(body, motion=still), plan(_alone(body), motion=moving)
    slices, rows, columns = region
    hu = np.zeros((slices.stop - slices.start, rows.stop - rows.start, columns.stop - columns.start), np.float32)
    for start in range(slices.start, slices.stop, BATCH):
        stop = min(start + BATCH, slices.stop)
        paths = calcium.paths(slice(start, stop))[:, :, stop - start :]
        if paths.any():
            paths *= _brightness(whole, (start + stop) // 2)
            hu[start - slices.start : stop - slices.start] = _reconstruct(paths, protocol, rows, columns)
    return hu


def _alone(body: Body) -> Body:
    """Return the calcium without the body, in air."""
    return Body(np.full_like(body.tissue, Tissue.AIR), body.hydroxyapatite_mg_cm3, body.geometry)


def _brightness(whole: Acquisition, index: int) -> NDArray[np.float32]:
    """Return (views, detectors, 1): HU of 1 g/cm3 of hydroxyapatite on each ray through a slice."""
    protocol = whole.protocol
    views = np.unique(np.append(np.arange(0, protocol.views, EVERY), protocol.views - 1))
    water_mm = whole.water_mm(index, views) + detector_of(protocol).bow_tie_mm
    table = [hydroxyapatite_hu(beam_of(protocol), mm) for mm in WATER_MM]
    seen = interp1d(views, np.interp(water_mm, WATER_MM, table), axis=0, assume_sorted=True)
    return np.asarray(seen(np.arange(protocol.views))[:, :, None], np.float32)


def _reconstruct(paths: Sinogram, protocol: ScannerProtocol, rows: slice, columns: slice) -> NDArray[np.float32]:
    """Return (slices, rows, columns) of a part of the image."""
    blurred = detector_blur(paths, protocol.blur_mm, protocol.detector_mm)
    response = ramp_response(
        paths.shape[1], protocol.detector_mm, protocol.kernel, protocol.mtf50_per_mm, protocol.blur_mm
    )
    middle = (protocol.matrix - 1) / 2
    row_mm, column_mm = (((part.start + part.stop - 1) / 2 - middle) * protocol.pixel_mm for part in (rows, columns))
    image = back_project(
        filtered(blurred, response),
        (rows.stop - rows.start, columns.stop - columns.start),
        pixel_mm=protocol.pixel_mm,
        detector_mm=protocol.detector_mm,
        middle_mm=(row_mm, column_mm),
    )
    return image.transpose(2, 0, 1)
