"""``Acquisition``: a body on a scanner's table; it yields what each slice's rays meet, and what they measure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctacal.simulate.materials import Body
from ctacal.simulate.scanner.attenuation import Floats, beam
from ctacal.simulate.scanner.centre import Centre
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
from ctacal.simulate.scanner.scatter import Rays
from ctacal.simulate.scanner.slabs import Box, basis_maps, slab_weights

NOISE_STREAM, MOTION_STREAM = 0, 1
"""Independent random numbers of one seed."""


@dataclass(frozen=True, eq=False)
class Acquisition:
    """One scan: which part of the body makes which slice, and when."""

    body: Body
    centre: Centre
    seed: int
    isocentre_mm: tuple[float, float]
    """(left, posterior)."""
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
        centre: Centre,
        position_mm: Floats,
        *,
        seed: int,
        motion: Motion,
        isocentre_mm: tuple[float, float],
        slabs: int,
    ) -> "Acquisition":
        """Plan a scan of the slices at ``position_mm``."""
        rng = np.random.default_rng((seed, MOTION_STREAM))
        timing = Timing.of(centre, position_mm, random_start_s(motion, rng))
        at_rest_mm = position_mm + breathing_shift_mm(motion, timing.middle_s)
        weights = slab_weights(body.geometry, at_rest_mm, centre, slabs)
        seen = phase_weights(motion, timing.view_s, rng)
        return cls(body, centre, seed, isocentre_mm, Box.of_body(body), slabs, weights, motion.phases, seen)

    def paths(self, slices: slice) -> Sinogram:
        """(views, detectors, 2 x slabs): mm of water, then of hydroxyapatite, at 1 g/cm3, that each ray meets."""
        weights = self._weights(slices)
        paths = np.zeros((self.centre.views, detectors_of(self.centre), 2 * len(weights)), np.float32)
        maps = basis_maps(self.body, self.box, self._basis, weights)
        self._project(paths, maps, self.box.middle_mm(self.body.geometry, self.isocentre_mm), None)
        for phase, seen in zip(self.phases, self.phase_weights, strict=True):
            self._add_difference(paths, phase, weights, seen[:, slices])
        return paths

    def measured(self, slices: slice) -> Rays:
        """(views, detectors, slices): path lengths of water that the scanner takes from its noisy signals."""
        detector = detector_of(self.centre)
        count = slices.stop - slices.start
        paths = self.paths(slices).reshape(self.centre.views, -1, 2, count, self.slabs)
        signal, variance = (np.zeros((*paths.shape[:2], count), np.float32) for _ in range(2))
        for slab in range(self.slabs):
            part = detector.primary(*(np.ascontiguousarray(paths[:, :, basis, :, slab]) for basis in (0, 1)))
            signal += part[0]
            variance += part[1]
        signal /= self.slabs
        variance /= self.slabs
        rngs = [np.random.default_rng((self.seed, NOISE_STREAM, k)) for k in range(slices.start, slices.stop)]
        return detector.water(detector.measure(signal, variance, rngs))

    @property
    def _basis(self) -> Floats:
        return beam(self.centre.kvp, self.centre.filter_mm_al, self.centre.filter_mm_cu).basis

    def _weights(self, slices: slice) -> NDArray[np.float32]:
        return self.weights[slices.start * self.slabs : slices.stop * self.slabs]

    def _add_difference(
        self, paths: Sinogram, phase: Body, weights: NDArray[np.float32], seen: NDArray[np.float32]
    ) -> None:
        """Add what the heart region in this phase changes, to the views that saw it."""
        part = weights[:, slices_of(self.body, phase.geometry)]
        if not part.any() or not seen.any():
            return
        still = still_region(self.body, phase.geometry)
        changed = (phase.tissue != still.tissue) | (phase.hydroxyapatite_mg_cm3 != still.hydroxyapatite_mg_cm3)
        box = Box.around(changed[part.any(axis=0)].any(axis=0))
        difference = basis_maps(phase, box, self._basis, part) - basis_maps(still, box, self._basis, part)
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
            detector_mm=self.centre.detector_mm,
            weights=weights,
        )
