"""``Projections``: path lengths of the rays through a body, slice by slice, at rest and as its heart contracts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats
from ctacal.simulate.materials import Body
from ctacal.simulate.scanner.motion import slices_of, still_region
from ctacal.simulate.scanner.projector import Sinogram, project_into
from ctacal.simulate.scanner.slabs import Box, basis_maps

STEP_MM = 0.02
"""Step of stored paths, in mm at 1 g/cm3: a hundredth of a ray's noise in a low-dose scan."""

BATCH = 24
"""Number of slices projected together; it affects memory, not results."""

_ODD = np.arange(1, 16, 2)
_WINDOWED = np.sinc(_ODD / 2) * (0.54 + 0.46 * np.cos(np.pi * _ODD / 17))
HALF_BAND = (_WINDOWED / _WINDOWED.sum() / 4).astype(np.float32)
"""Weights of a windowed sinc at odd distances; half the weight is in the centre."""

Stored = NDArray[np.int16]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Projections:
    """Path lengths of water and hydroxyapatite at 1 g/cm3, in ``STEP_MM``, through each slice of a body's grid."""

    rest: Stored
    """(2, views, slices, detectors): the heart at its first state."""
    differences: Stored
    """(further states, 2, views, slices of the heart region, reach): the change by each state of the heart."""
    first_detector: NDArray[np.int32]
    """(views,): first detector of the heart region's shadow, which is ``reach`` detectors wide."""
    first_slice: int
    """First slice of the heart region."""
    detector_mm: float
    isocentre_mm: tuple[float, float]
    """(left, posterior)."""

    @classmethod
    def of(
        cls,
        rest: Body,
        states: Sequence[Body],
        basis: Floats,
        *,
        views: int,
        detector_mm: float,
        detectors: int,
        isocentre_mm: tuple[float, float],
    ) -> "Projections":
        """Project a body; ``states`` are its heart region at increasing contraction, on parts of its grid."""
        shape = views, detectors
        still = _projected(rest, Box.of_body(rest), basis, shape, detector_mm, isocentre_mm)
        if not states:
            nothing = np.zeros((0, 2, views, 1, 1), np.int16)
            first = np.zeros(views, np.int32)
            return cls(
                rest=still, differences=nothing, first_detector=first, first_slice=0, detector_mm=detector_mm,
                isocentre_mm=isocentre_mm,
            )  # fmt: skip
        region = still_region(rest, states[0].geometry)
        changes = [
            _projected(state, _changed(state, region), basis, shape, detector_mm, isocentre_mm, less=region)
            for state in states
        ]
        first, reach = _shadow(np.any([change.any(axis=(0, 2)) for change in changes], axis=0))
        return cls(
            rest=still,
            differences=np.stack([_within(change, first, reach) for change in changes]),
            first_detector=first,
            first_slice=slices_of(rest, region.geometry).start,
            detector_mm=detector_mm,
            isocentre_mm=isocentre_mm,
        )

    @property
    def views(self) -> int:
        """Number of views over half a rotation."""
        return int(self.rest.shape[1])

    @property
    def detectors(self) -> int:
        """Number of rays in a view."""
        return int(self.rest.shape[3])

    @property
    def states(self) -> int:
        """Number of states of the heart, evenly spaced from end-diastole to end-systole."""
        return len(self.differences) + 1

    @property
    def nbytes(self) -> int:
        """Memory of the stored paths."""
        return self.rest.nbytes + self.differences.nbytes

    def paths(self, weights: NDArray[np.float32], seen: NDArray[np.float32]) -> tuple[Sinogram, Sinogram]:
        """Return (views, detectors, slabs) of water and of hydroxyapatite, in mm at 1 g/cm3.

        ``weights`` (slabs, slices of the body) define the slabs; ``seen`` (states, views, slabs) is the share of each
        state in each view.
        """
        paths = np.empty((2, self.views, self.detectors, len(weights)), np.float32)
        span = np.stack(
            [(weights > 0).argmax(axis=1), weights.shape[1] - (weights > 0)[:, ::-1].argmax(axis=1)], axis=1
        )
        _add_up(
            self.rest, self.differences, self.first_detector, self.first_slice, weights * np.float32(STEP_MM), span,
            seen, paths,
        )  # fmt: skip
        return paths[0], paths[1]


@numba.njit(fastmath=True)
def _add_line(total, line, weight):  # type: ignore[no-untyped-def]
    for d in range(total.size):
        total[d] += weight * np.float32(line[d])


@numba.njit(parallel=True, fastmath=True, cache=True)
def _add_up(rest, differences, first_detector, first_slice, weights, span, seen, paths):  # type: ignore[no-untyped-def]
    """Sum each slab from its few slices of the body and the states of the heart in each view."""
    _, views, detectors, slabs = paths.shape
    states, reach = differences.shape[0], differences.shape[4]
    for v in numba.prange(views):
        total = np.zeros((slabs, detectors), np.float32)  # rays lie in a row here, for speed
        first = first_detector[v]
        for basis in range(2):
            total[:] = 0
            for k in range(slabs):
                for z in range(span[k, 0], span[k, 1]):
                    _add_line(total[k], rest[basis, v, z], weights[k, z])
                    at = z - first_slice
                    for state in range(states if 0 <= at < differences.shape[3] else 0):
                        share = weights[k, z] * seen[state + 1, v, k]
                        if share != 0:
                            _add_line(total[k, first : first + reach], differences[state, basis, v, at], share)
            for d in range(detectors):
                for k in range(slabs):
                    paths[basis, v, d, k] = total[k, d]


def _changed(body: Body, other: Body) -> Box:
    """Return the box in which two bodies on the same grid differ."""
    different = (body.tissue != other.tissue) | (body.hydroxyapatite_mg_cm3 != other.hydroxyapatite_mg_cm3)
    return Box.around(np.asarray(different.any(axis=0)))


def _projected(
    body: Body,
    box: Box,
    basis: Floats,
    shape: tuple[int, int],
    detector_mm: float,
    isocentre_mm: tuple[float, float],
    less: Body | None = None,
) -> Stored:
    """Return (2, views, slices, detectors) of a body's own slices, from twice as many views; ``less`` is subtracted."""
    count, (views, detectors) = body.geometry.shape[0], shape
    stored = np.empty((2, views, count, detectors), np.int16)
    for start in range(0, count, BATCH):
        weights = np.eye(count, dtype=np.float32)[start : start + BATCH]
        sinogram = np.zeros((2 * views, detectors, 2 * len(weights)), np.float32)
        project_into(
            sinogram,
            basis_maps(body, box, basis, weights, less),
            pixel_mm=body.geometry.spacing_mm[2],
            middle_mm=box.middle_mm(body.geometry, isocentre_mm),
            detector_mm=detector_mm,
        )
        _store_every_other_view(sinogram, HALF_BAND, stored[:, :, start : start + BATCH])
    return stored


@numba.njit(parallel=True, fastmath=True, cache=True)
def _store_every_other_view(sinogram, half_band, stored):  # type: ignore[no-untyped-def]
    """Store every second view after a half-band filter over the angle.

    It removes what so few views cannot resolve: streaks of ribs and arms across the heart. After half a rotation, the
    same rays run backwards.
    """
    views, detectors, planes = sinogram.shape
    for v in numba.prange(stored.shape[1]):
        mean = np.float32(0.5) * sinogram[2 * v]
        for n in range(half_band.size):
            for side in (-1, 1):
                at = 2 * v + side * (2 * n + 1)
                line = sinogram[at % views]
                for d in range(detectors):
                    _add_line(mean[d], line[d if 0 <= at < views else detectors - 1 - d], half_band[n])
        for k in range(planes):
            for d in range(detectors):
                stored[k // (planes // 2), v, k % (planes // 2), d] = np.int16(round(mean[d, k] / STEP_MM))


def _shadow(changed: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Return the first detector of each view that sees a change (views, detectors), and the largest number that do."""
    detectors = changed.shape[1]
    low, high = changed.argmax(axis=1), detectors - changed[:, ::-1].argmax(axis=1)
    reach = max(1, int((high - low)[changed.any(axis=1)].max(initial=1)))
    return np.minimum(low, detectors - reach).astype(np.int32), reach


def _within(stored: Stored, first: NDArray[np.int32], reach: int) -> Stored:
    """Return (2, views, slices, reach): the part in the shadow."""
    return np.stack([stored[:, view, :, start : start + reach] for view, start in enumerate(first)], axis=1)
