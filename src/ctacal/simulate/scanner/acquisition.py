"""``Acquisition``: one scan of a body; it computes the rays' path lengths in each slice, and the measurements."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats
from ctacal.geometry import Geometry
from ctacal.simulate.materials import Body
from ctacal.simulate.scanner.attenuation import beam_of
from ctacal.simulate.scanner.detector import detector_of, detectors_of
from ctacal.simulate.scanner.motion import (
    Motion,
    Timing,
    breathing_shift_mm,
    phase_weights,
    random_start_s,
    slices_of,
    still_region,
)
from ctacal.simulate.scanner.projector import Sinogram, project_into
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.simulate.scanner.scatter import Rays
from ctacal.simulate.scanner.slabs import (
    Box,
    basis_maps,
    check_grid,
    shares_of_neighbours,
    slab_weights,
    slice_positions_mm,
)
from ctacal.simulate.streams import Stream, generator


@dataclass(frozen=True, eq=False)
class Acquisition:
    """One scan: which part of the body makes each slice, and when."""

    body: Body
    protocol: ScannerProtocol
    seed: int
    isocentre_mm: tuple[float, float]
    """(left, posterior)."""
    position_mm: Floats
    """(slices,): centres of the slices along the patient."""
    box: Box
    slabs: int
    weights: NDArray[np.float32]
    """(slices x slabs, slices of the body)."""
    phases: tuple[Body, ...]
    phase_weights: NDArray[np.float32]
    """(phases, views, slices)."""

    @classmethod
    def of(
        cls,
        body: Body,
        protocol: ScannerProtocol,
        *,
        seed: int,
        motion: Motion,
        isocentre_mm: tuple[float, float] | None,
        slabs: int,
    ) -> "Acquisition":
        """Plan a scan of as many slices as fit into the body's grid, by default with the isocentre at its centre.

        Raises ``ValueError`` if the grid is not canonical with square pixels, or is thinner than a slice.
        """
        check_grid(body.geometry)
        left, posterior, _ = body.geometry.to_patient_mm((np.array(body.geometry.shape) - 1) / 2)
        isocentre_mm = isocentre_mm or (float(left), float(posterior))
        position_mm = slice_positions_mm(body.geometry, protocol, motion.breathing_mm)
        rng = generator(seed, Stream.SCAN_MOTION)
        timing = Timing.of(protocol, position_mm, random_start_s(motion, rng))
        at_rest_mm = position_mm + breathing_shift_mm(motion, timing.breathing_s)
        weights = np.mean([slab_weights(body.geometry, mm, protocol, slabs) for mm in at_rest_mm], axis=0)
        seen = phase_weights(motion, timing.view_s, rng)
        return cls(
            body, protocol, seed, isocentre_mm, position_mm, Box.of_body(body), slabs, weights, motion.phases, seen
        )

    def paths(self, slices: slice) -> Sinogram:
        """Return (views, detectors, 2 x slabs): each ray's path in mm of water, then of hydroxyapatite, at 1 g/cm3."""
        weights = self._weights(slices)
        paths = np.zeros((self.protocol.views, detectors_of(self.protocol), 2 * len(weights)), np.float32)
        maps = basis_maps(self.body, self.box, self._basis, weights)
        self._project(paths, maps, self.box.middle_mm(self.body.geometry, self.isocentre_mm), None)
        for phase, seen in zip(self.phases, self.phase_weights, strict=True):
            self._add_difference(paths, phase, weights, seen[:, slices])
        return paths

    def water_mm(self, index: int, views: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return (views, detectors): path in mm of water at 1 g/cm3 of these views' rays, with the body at rest."""
        weights = self._weights(slice(index, index + 1))
        paths = np.zeros((self.protocol.views, detectors_of(self.protocol), 2 * len(weights)), np.float32)
        wanted = np.zeros((self.protocol.views, 2 * len(weights)), np.float32)
        wanted[views, : len(weights)] = 1 / len(weights)
        maps = basis_maps(self.body, self.box, self._basis, weights)
        self._project(paths, maps, self.box.middle_mm(self.body.geometry, self.isocentre_mm), wanted)
        return np.asarray(paths[views].sum(axis=2), np.float32)

    def measured(self, slices: slice) -> Rays:
        """Return (views, detectors, slices): path lengths of water that the scanner derives from its noisy signals."""
        detector = detector_of(self.protocol)
        paths = self.paths(slices).reshape(self.protocol.views, -1, 2, slices.stop - slices.start, self.slabs)
        water, hydroxyapatite = (np.moveaxis(paths[:, :, basis], 3, 0) for basis in (0, 1))
        slabs = [(np.ascontiguousarray(w), np.ascontiguousarray(h)) for w, h in zip(water, hydroxyapatite, strict=True)]
        signal, variance = detector.primary(*slabs[0])
        variance /= signal  # the mean energy of a photon's signal: almost the same in all slabs
        for slab in slabs[1:]:
            signal += detector.signal(*slab)
        signal /= self.slabs
        variance *= signal
        noise = noise_of(self.protocol, self.seed, slices, signal.shape[1])
        measured = detector.measure_with(signal, variance, noise)
        return detector.water(measured * gains_of(self.protocol, self.seed, signal.shape[1])[:, None])

    @property
    def grid(self) -> Geometry:
        """Geometry of the image in the patient."""
        protocol = self.protocol
        corner_mm = (protocol.matrix - 1) / 2 * protocol.pixel_mm
        left, posterior = (middle - corner_mm for middle in self.isocentre_mm)
        shape = len(self.position_mm), protocol.matrix, protocol.matrix
        spacing_mm = protocol.spacing_mm, protocol.pixel_mm, protocol.pixel_mm
        return Geometry.from_spacing(shape, spacing_mm, (left, posterior, float(self.position_mm[0])))

    @property
    def _basis(self) -> Floats:
        return beam_of(self.protocol).basis

    def _weights(self, slices: slice) -> NDArray[np.float32]:
        return self.weights[slices.start * self.slabs : slices.stop * self.slabs]

    def _add_difference(
        self, paths: Sinogram, phase: Body, weights: NDArray[np.float32], seen: NDArray[np.float32]
    ) -> None:
        """Add what the heart region in this phase changes to the views that saw it."""
        part = weights[:, slices_of(self.body, phase.geometry)]
        if not part.any() or not seen.any():
            return
        still = still_region(self.body, phase.geometry)
        changed = (phase.tissue != still.tissue) | (phase.hydroxyapatite_mg_cm3 != still.hydroxyapatite_mg_cm3)
        box = Box.around(changed[part.any(axis=0)].any(axis=0))
        difference = basis_maps(phase, box, self._basis, part, less=still)
        per_slab = np.tile(np.repeat(seen, self.slabs, axis=1), 2)
        self._project(paths, difference, box.middle_mm(phase.geometry, self.isocentre_mm), per_slab)

    def _project(
        self, paths: Sinogram, maps: Sinogram, middle_mm: tuple[float, float], weights: NDArray[np.float32] | None
    ) -> None:
        project_into(
            paths,
            maps,
            pixel_mm=self.body.geometry.spacing_mm[2],
            middle_mm=middle_mm,
            detector_mm=self.protocol.detector_mm,
            weights=weights,
        )


def noise_of(protocol: ScannerProtocol, seed: int, slices: slice, detectors: int) -> Rays:
    """Return noise of unit variance (views, detectors, slices); slices whose profiles overlap share photons."""
    shares = shares_of_neighbours(protocol)
    reach = len(shares) // 2
    shape = protocol.views, detectors
    noise = np.zeros((slices.stop - slices.start, *shape), np.float32)
    for k in range(slices.start - reach, slices.stop + reach):
        drawn = generator(seed, Stream.SCAN_NOISE, k + reach).standard_normal(shape, np.float32)
        for index in range(max(k - reach, slices.start), min(k + reach + 1, slices.stop)):
            noise[index - slices.start] += shares[k - index + reach] * drawn
    return np.ascontiguousarray(noise.transpose(1, 2, 0))


def gains_of(protocol: ScannerProtocol, seed: int, detectors: int) -> NDArray[np.float32]:
    """Return (detectors,): the sensitivity of each element that calibration leaves, which makes rings in the image.

    In a full rotation, two elements measure each ray, one on each side of the centre.
    """
    error = protocol.gain_error * generator(seed, Stream.DETECTOR_GAIN).standard_normal(detectors)
    return np.asarray(1 + (error + error[::-1]) / 2, np.float32)
