"""``scan``: a body and a protocol make a CTAC.

Not modelled: fan and cone (rays are parallel: no windmill and no cone artefacts; the noise spectrum still agrees with
that of a real scanner, see ``benchmarks/qrm_simulated.py``), half scans, afterglow, crosstalk, dead detector
elements, iterative reconstruction, denoising of starved projections, metal artefact reduction, K-edges (iodine),
inconsistent views from breathing within one slice (it only blurs). Resolution is the same in the whole field.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from ctacal.simulate.materials import Body
from ctacal.simulate.scanner.acquisition import Acquisition
from ctacal.simulate.scanner.kernel import filtered, ramp_response
from ctacal.simulate.scanner.motion import Motion
from ctacal.simulate.scanner.projector import back_project
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.simulate.scanner.scatter import Rays
from ctacal.simulate.threads import side_by_side
from ctacal.volume import Volume

BATCH = 26
"""Number of slices computed together; it does not affect results."""

SLAB_MM = 4.0
"""Largest thickness of the slabs over which a slice's signal is averaged (own choice). Partial volume so acts on
intensities, not densities: long dense paths that end within a slice make dark streaks."""

HU_RANGE = (-1024, 3071)
"""12 bits with a rescale intercept of -1024."""

EDGE_RAYS = 6
"""Half the number of rays that give a view's value and slope at its end (own choice)."""


def scan(
    body: Body,
    protocol: ScannerProtocol,
    *,
    seed: int,
    motion: Motion | None = None,
    isocentre_mm: tuple[float, float] | None = None,
    slabs: int | None = None,
) -> Volume:
    """Scan a body: canonical int16 HU, with as many slices as fit into the body's grid at any depth of breath.

    The number of ``slabs`` in a slice follows by default from ``SLAB_MM``. ``isocentre_mm`` (left, posterior) is the
    centre of the image, by default that of the body's grid. The same arguments give the same bytes. Raises
    ``ValueError`` if the body's grid is not canonical with square pixels.
    """
    slabs = slabs or int(np.ceil(protocol.thickness_mm / SLAB_MM))
    acquisition = Acquisition.of(
        body, protocol, seed=seed, motion=motion or Motion(), isocentre_mm=isocentre_mm, slabs=slabs
    )
    count = len(acquisition.position_mm)
    batches = [slice(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]
    scanned = [partial(_scanned, acquisition, slices) for slices in batches]
    return Volume(np.concatenate(list(side_by_side(scanned))), acquisition.grid)


def _scanned(acquisition: Acquisition, slices: slice) -> NDArray[np.int16]:
    return reconstruct(acquisition.measured(slices), acquisition.protocol)


def reconstruct(paths: Rays, protocol: ScannerProtocol) -> NDArray[np.int16]:
    """Return (slices, rows, columns) of HU by filtered back-projection of path lengths of water in mm."""
    extended = _extended(paths, protocol)
    response = ramp_response(
        extended.shape[1], protocol.detector_mm, protocol.kernel, protocol.mtf50_per_mm, protocol.blur_mm
    )
    density = back_project(
        filtered(extended, response),
        (protocol.matrix,) * 2,
        pixel_mm=protocol.pixel_mm,
        detector_mm=protocol.detector_mm,
    )
    return np.clip(np.rint((density - 1) * 1000), *HU_RANGE).astype(np.int16).transpose(2, 0, 1)


def _extended(paths: Rays, protocol: ScannerProtocol) -> Rays:
    """Return views that reach the image's corners; beyond the scan field the body continues as a water cylinder."""
    wanted = int(np.ceil(protocol.fov_mm * np.sqrt(2) / protocol.detector_mm)) + 2
    extra = max(0, wanted - paths.shape[1] + 1) // 2
    first, last = (_continued(side, extra, protocol.detector_mm) for side in (paths[:, ::-1], paths))
    return np.concatenate([first[:, ::-1], paths, last], axis=1)


def _continued(paths: Rays, extra: int, ray_mm: float) -> Rays:
    """Continue the last ray by a circle with the same value and slope (Hsieh J et al., Med Phys 2004;31:2385)."""
    outer, inner = (
        part.mean(axis=1, keepdims=True) for part in (paths[:, -EDGE_RAYS:], paths[:, -2 * EDGE_RAYS : -EDGE_RAYS])
    )
    slope = (outer - inner) / (EDGE_RAYS * ray_mm)
    edge = np.maximum(outer + slope * (EDGE_RAYS / 2 * ray_mm), 0)
    middle_mm = np.maximum(-edge * slope / 4, 0)
    beyond_mm = (np.arange(extra, dtype=np.float32)[None, :, None] + 1) * np.float32(ray_mm)
    squared = middle_mm**2 + edge**2 / 4 - (middle_mm + beyond_mm) ** 2
    return np.asarray(2 * np.sqrt(np.maximum(squared, 0)), np.float32)
