"""``Detector``: measurements with noise and scatter from path lengths, and path lengths of water from these."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numba
import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats
from ctacal.simulate.scanner.attenuation import Beam, beam_of
from ctacal.simulate.scanner.kernel import detector_blur
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.simulate.scanner.scatter import Rays, scatter_field

_FIRST_WATER_MM, _WATER_STEP_MM = -152.0, 4.0
_FIRST_HYDROXYAPATITE_MM = -60.0
WATER_MM = np.arange(_FIRST_WATER_MM, 753.0, _WATER_STEP_MM)
HYDROXYAPATITE_MM = np.arange(_FIRST_HYDROXYAPATITE_MM, 401.0)
"""Positions in the lookup table, in mm at 1 g/cm3; the logarithm is interpolated within 2e-4."""

LOG_STEPS = 4096
"""Length of the table from -log(signal) to path length of water."""

CYLINDER_MM = 320.0
"""Diameter of the water cylinder that defines bow tie, scatter and current modulation: the CTDI body phantom's."""

BOW_TIE_REACH_MM = 150.0
"""Distance from the centre beyond which the bow tie gets no thicker (assumed)."""

STARVED_SD = 0.25
"""Signals are raised to at least this part of the electronic noise's SD before the logarithm (assumed)."""

CURRENT_RANGE = (0.3, 3.0)
"""Lowest and highest current over the nominal current under current modulation (assumed)."""


@dataclass(frozen=True, eq=False)
class Detector:
    """A protocol's detector; signals are keV per unit of exposure (mm2 x mAs at 1 m)."""

    protocol: ScannerProtocol
    log_signal: NDArray[np.float32]
    """(water, hydroxyapatite): logarithm of the mean signal."""
    log_variance: NDArray[np.float32]
    """(water, hydroxyapatite): logarithm of the quantum variance, a compound Poisson process of absorbed energies."""
    bow_tie_mm: NDArray[np.float32]
    """(detectors,): water equivalent of the bow tie."""
    air: NDArray[np.float32]
    """(detectors,): signal with nothing in the beam."""
    water_mm: NDArray[np.float32]
    """Path length of water, with the bow tie, in even steps of -log(signal)."""
    log_span: tuple[float, float]
    """-log(signal) at the first and last of ``water_mm``."""
    cylinder_share: float = 1.0
    """Signal in the centre behind ``CYLINDER_MM`` of water, over that in air."""
    scatter: float = 0.0
    """Scatter over ``scatter_field``."""

    @property
    def exposure(self) -> float:
        """Exposure of one ray in one view, in mm2 x mAs at 1 m."""
        protocol = self.protocol
        at_isocentre = (1000 / protocol.focus_mm) ** 2 * protocol.dose_efficiency
        return at_isocentre * protocol.detector_mm * protocol.thickness_mm * protocol.mas / protocol.views

    def primary(self, water_mm: Rays, hydroxyapatite_mm: Rays) -> tuple[Rays, Rays]:
        """Return mean signal and quantum variance, at unit exposure, behind path lengths at 1 g/cm3."""
        paths = water_mm, hydroxyapatite_mm
        return self._looked_up(*paths, self.log_signal), self._looked_up(*paths, self.log_variance)

    def signal(self, water_mm: Rays, hydroxyapatite_mm: Rays) -> Rays:
        """Return only the mean signal of ``primary``."""
        return self._looked_up(water_mm, hydroxyapatite_mm, self.log_signal)

    def _looked_up(self, water_mm: Rays, hydroxyapatite_mm: Rays, log_values: NDArray[np.float32]) -> Rays:
        values = np.empty_like(water_mm)
        _look_up(water_mm, hydroxyapatite_mm, self.bow_tie_mm, log_values, values)
        return np.exp(values, out=values)

    def measure(self, signal: Rays, variance: Rays, rngs: Sequence[np.random.Generator]) -> Rays:
        """Return a scatter-corrected measurement of the expected ``signal``, with a generator for each slice."""
        drawn = np.stack([rng.standard_normal(signal.shape[:2], np.float32) for rng in rngs], axis=2)
        return self.measure_with(signal, variance, drawn)

    def measure_with(self, signal: Rays, variance: Rays, noise: Rays) -> Rays:
        """Return the same with noise of unit variance that was already drawn."""
        protocol = self.protocol
        energy_kev = variance / signal
        measured = detector_blur(signal, protocol.blur_mm, protocol.detector_mm)
        exposure = self.exposure * self._current(measured)
        if self.scatter:
            measured += self._scattered(measured)
        electronic = protocol.electronic_noise_kev / exposure
        measured += noise * np.sqrt(measured * energy_kev / exposure + electronic**2)
        if self.scatter:
            measured -= np.float32(protocol.scatter_corrected) * self._scattered(measured)
        return np.asarray(np.maximum(measured, STARVED_SD * electronic), np.float32)

    def water(self, measured: Rays) -> Rays:
        """Return the path lengths of water that give this signal: logarithm, air calibration, hardening by water."""
        paths = np.log(measured)
        _to_water(paths, self.bow_tie_mm, self.water_mm, *self.log_span)
        return paths

    def _scattered(self, signal: Rays) -> Rays:
        return np.float32(self.scatter) * scatter_field(signal, self.air, self.protocol.detector_mm)

    def _current(self, signal: Rays) -> Rays:
        """Return (views, 1, slices): tube current over the nominal one, from the strongest attenuation of each view."""
        if not self.protocol.current_modulation:
            return np.ones((signal.shape[0], 1, signal.shape[2]), np.float32)
        least = (signal / self.air[:, None]).min(axis=1, keepdims=True)
        share = self.cylinder_share / np.maximum(least, 1e-8)
        return np.asarray(np.clip(share**self.protocol.current_modulation, *CURRENT_RANGE), np.float32)


def detectors_of(protocol: ScannerProtocol) -> int:
    """Return the number of rays in a view."""
    return round(protocol.scan_field_mm / protocol.detector_mm)


def ray_positions_mm(detectors: int, detector_mm: float) -> Floats:
    """Return the distance of each ray from the isocentre."""
    return np.asarray((np.arange(detectors) - (detectors - 1) / 2) * detector_mm)


@cache
def detector_of(protocol: ScannerProtocol) -> Detector:
    """Make the tables of a protocol; a second call returns the same."""
    rays = beam_of(protocol)
    position_mm = ray_positions_mm(detectors_of(protocol), protocol.detector_mm)
    bow_tie_mm = protocol.bow_tie * (CYLINDER_MM - _chord_mm(np.minimum(np.abs(position_mm), BOW_TIE_REACH_MM)))
    log_signal, log_variance = (_log_table(rays, power) for power in (1, 2))
    water = -log_signal[:, np.flatnonzero(HYDROXYAPATITE_MM == 0)[0]].astype(float)
    span = float(water[0]), float(water[-1])
    plain = Detector(
        protocol=protocol,
        log_signal=log_signal,
        log_variance=log_variance,
        bow_tie_mm=bow_tie_mm.astype(np.float32),
        air=np.exp(-np.interp(bow_tie_mm, WATER_MM, water)).astype(np.float32),
        water_mm=np.interp(np.linspace(*span, LOG_STEPS), water, WATER_MM).astype(np.float32),
        log_span=span,
    )
    return _scaled(plain, position_mm)


def _scaled(detector: Detector, position_mm: Floats) -> Detector:
    """Return the detector with the attenuation of the water cylinder, and the protocol's scatter."""
    chord = _chord_mm(position_mm).astype(np.float32)[None, :, None]
    signal, _ = detector.primary(chord, np.zeros_like(chord))
    field = scatter_field(signal, detector.air, detector.protocol.detector_mm)
    middle = len(position_mm) // 2
    primary = float(signal[0, middle, 0])
    scatter = detector.protocol.scatter * primary / float(field[0, middle, 0])
    return replace(detector, cylinder_share=primary / float(detector.air[middle]), scatter=scatter)


def _chord_mm(position_mm: Floats) -> Floats:
    """Return the path length through the reference cylinder."""
    return np.asarray(2 * np.sqrt(np.maximum((CYLINDER_MM / 2) ** 2 - position_mm**2, 0)))


def _log_table(rays: Beam, power: int) -> NDArray[np.float32]:
    """Return (water, hydroxyapatite): log of the sum over energies of photons x energy ** power behind the path."""
    exponent = -WATER_MM[:, None, None] * rays.water_per_mm - HYDROXYAPATITE_MM[:, None] * rays.hydroxyapatite_per_mm
    return np.log(np.exp(exponent) @ (rays.photons_per_mm2_mas * rays.energy_kev**power)).astype(np.float32)


@numba.njit(parallel=True, fastmath=True, nogil=True, cache=True)
def _look_up(water_mm, hydroxyapatite_mm, bow_tie_mm, log_values, out):  # type: ignore[no-untyped-def]
    """Interpolate the table bilinearly, in single precision for speed; paths beyond it count as at its end."""
    views, detectors, slices = out.shape
    last_w, last_h = np.float32(log_values.shape[0] - 1.001), np.float32(log_values.shape[1] - 1.001)
    zero, unit, steps_per_mm = np.float32(0), np.float32(1), np.float32(1 / _WATER_STEP_MM)
    first_h = np.float32(_FIRST_HYDROXYAPATITE_MM)
    for v in numba.prange(views):
        for d in range(detectors):
            bow_tie = bow_tie_mm[d] - np.float32(_FIRST_WATER_MM)
            for k in range(slices):
                w = min(max((water_mm[v, d, k] + bow_tie) * steps_per_mm, zero), last_w)
                h = min(max(hydroxyapatite_mm[v, d, k] - first_h, zero), last_h)
                i, j = int(w), int(h)
                a, b = w - np.float32(i), h - np.float32(j)
                low = (unit - b) * log_values[i, j] + b * log_values[i, j + 1]
                high = (unit - b) * log_values[i + 1, j] + b * log_values[i + 1, j + 1]
                out[v, d, k] = (unit - a) * low + a * high


@numba.njit(parallel=True, fastmath=True, nogil=True, cache=True)
def _to_water(paths, bow_tie_mm, water_mm, first_log, last_log):  # type: ignore[no-untyped-def]
    """Convert logarithms of signals to path lengths of water, in place."""
    views, detectors, slices = paths.shape
    scale = np.float32((len(water_mm) - 1) / (last_log - first_log))
    start, last = np.float32(first_log), np.float32(len(water_mm) - 1.001)
    zero, unit = np.float32(0), np.float32(1)
    for v in numba.prange(views):
        for d in range(detectors):
            for k in range(slices):
                at = min(max((-paths[v, d, k] - start) * scale, zero), last)
                i = int(at)
                a = at - np.float32(i)
                paths[v, d, k] = (unit - a) * water_mm[i] + a * water_mm[i + 1] - bow_tie_mm[d]
