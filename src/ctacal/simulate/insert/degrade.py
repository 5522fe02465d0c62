"""``degrade``: a real scan as a poorer protocol would have shown it: thicker slices, more blur, correlated noise."""

from dataclasses import replace

import numpy as np
from scipy import fft, ndimage

from ctacal.arrays import Floats32, Mask
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.simulate.insert.quality import ScanQuality, soft_tissue
from ctacal.simulate.measure import noise_power_spectrum, patches_in, quiet
from ctacal.simulate.scanner.detector import detector_of, detectors_of
from ctacal.simulate.scanner.kernel import FAMILIES, filtered, ramp_response
from ctacal.simulate.scanner.projector import back_project, project_into
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.simulate.scanner.scan import BATCH, HU_RANGE
from ctacal.simulate.scanner.slabs import slab_weights
from ctacal.simulate.streams import Stream, generator
from ctacal.volume import Volume

FINE_SLICE_MM = 1.0
"""Slice spacing to which the scan is interpolated before thicker slices are made (own choice)."""

THINNEST_MM = 0.5
"""Smallest width of the profile that makes slices thicker, if they are hardly thicker."""


def degraded_quality(quality: ScanQuality, protocol: ScannerProtocol) -> ScanQuality:
    """Return the quality after ``degrade``: the protocol, with the lower resolution and thicker slices of the two."""
    own = quality.protocol
    sharper = protocol.mtf50_per_mm >= own.mtf50_per_mm
    kernel, mtf50_per_mm = (own.kernel, own.mtf50_per_mm) if sharper else (protocol.kernel, protocol.mtf50_per_mm)
    mixed = replace(
        protocol,
        kernel=kernel,
        mtf50_per_mm=mtf50_per_mm,
        thickness_mm=max(protocol.thickness_mm, own.thickness_mm),
        kvp=own.kvp,
    )
    return replace(quality, protocol=mixed)


def degrade(volume: Volume, heart: HeartMask, protocol: ScannerProtocol, quality: ScanQuality, *, seed: int) -> Volume:
    """Return a straight canonical scan on the grid of the protocol, with its resolution and noise, as int16.

    Resolution and dose only become worse: a scan is not improved. The noise is that of the body of the scan, as water,
    with the detector and kernel of the protocol; at each frequency, only the noise that the scan itself lacks is added.
    The tissues keep the contrast of the tube voltage of the scan.
    """
    blurred = _blurred(volume, degraded_quality(quality, protocol).protocol, quality.protocol)
    thick = _on_slices(blurred, protocol, quality.protocol)
    target = _in_plane(thick, protocol)
    hu = thick.resample(target, order=3).hu
    own = Volume(hu, target)
    noise_hu = protocol_noise_hu(own, protocol, seed)
    tissue = soft_tissue(own, None) & _within(heart, target)
    noise_hu = _missing_noise(noise_hu, own, tissue)
    return Volume(np.clip(np.rint(hu + noise_hu), *HU_RANGE).astype(np.int16), target)


def _blurred(volume: Volume, wanted: ScannerProtocol, own: ScannerProtocol) -> Volume:
    """Blur in plane from the transfer function of the scan to the wanted one, at frequencies where that is lower."""
    _, rows, columns = volume.hu.shape
    pixel_mm = volume.geometry.spacing_mm[1]
    frequency = np.hypot(np.fft.fftfreq(rows, pixel_mm)[:, None], np.fft.rfftfreq(columns, pixel_mm))
    want, have = (FAMILIES[kind.kernel](frequency / kind.mtf50_per_mm) for kind in (wanted, own))
    gain = np.clip(want / np.maximum(have, 1e-3), 0, 1)
    planes = [fft.irfft2(fft.rfft2(plane.astype(np.float32)) * gain, plane.shape) for plane in volume.hu]
    return Volume(np.asarray(planes, np.float32), volume.geometry)


def _on_slices(volume: Volume, protocol: ScannerProtocol, own: ScannerProtocol) -> Volume:
    """Return slices with the spacing of the protocol, and with its thickness if the scan's slices are thinner."""
    grid = volume.geometry
    bottom_mm = grid.to_patient_mm((-0.5, 0, 0))[2]
    count = max(1, int(grid.shape[0] * grid.slice_spacing_mm / protocol.spacing_mm + 1e-6))
    position_mm = bottom_mm + (np.arange(count) + 0.5) * protocol.spacing_mm
    fine = grid.with_spacing((FINE_SLICE_MM, *grid.spacing_mm[1:]))
    thinner_mm = max(protocol.thickness_mm**2 - own.thickness_mm**2, THINNEST_MM**2) ** 0.5
    weights = slab_weights(fine, position_mm, replace(protocol, thickness_mm=thinner_mm), 1)
    fine_mm = fine.to_patient_mm((0, 0, 0))[2] + np.arange(fine.shape[0]) * FINE_SLICE_MM
    at = np.clip((fine_mm - grid.to_patient_mm((0, 0, 0))[2]) / grid.slice_spacing_mm, 0, grid.shape[0] - 1)
    linear = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(grid.shape[0])))
    hu = np.tensordot((weights @ linear).astype(np.float32), volume.hu, 1)
    origin = grid.to_patient_mm((0, 0, 0))
    origin[2] = position_mm[0]
    spacing_mm = (protocol.spacing_mm, *grid.spacing_mm[1:])
    return Volume(np.asarray(hu, np.float32), Geometry.from_spacing(hu.shape, spacing_mm, origin.tolist()))


def _in_plane(volume: Volume, protocol: ScannerProtocol) -> Geometry:
    """Return a grid with the pixels of the protocol about the middle of the image of the scan."""
    slices, rows, columns = volume.hu.shape
    middle = volume.geometry.to_patient_mm((0, (rows - 1) / 2, (columns - 1) / 2))
    corner_mm = (protocol.matrix - 1) / 2 * protocol.pixel_mm
    origin = (middle[0] - corner_mm, middle[1] - corner_mm, middle[2])
    spacing_mm = (volume.geometry.slice_spacing_mm, protocol.pixel_mm, protocol.pixel_mm)
    return Geometry.from_spacing((slices, protocol.matrix, protocol.matrix), spacing_mm, origin)


def protocol_noise_hu(volume: Volume, protocol: ScannerProtocol, seed: int) -> Floats32:
    """Return noise alone: the difference of two noisy scans of the body as water, over the root of 2."""
    noise = np.empty(volume.hu.shape, np.float32)
    for start in range(0, len(noise), BATCH):
        part = slice(start, min(start + BATCH, len(noise)))
        water = np.maximum(volume.hu[part].astype(np.float32) / 1000 + 1, 0).transpose(1, 2, 0)
        noise[part] = _noise(np.ascontiguousarray(water), protocol, seed, start)
    return noise


def _noise(water: Floats32, protocol: ScannerProtocol, seed: int, first: int) -> Floats32:
    """Return noise, (slices, rows, columns), from the density of water, (rows, columns, slices)."""
    detector = detector_of(protocol)
    slices = water.shape[2]
    paths = np.zeros((protocol.views, detectors_of(protocol), slices), np.float32)
    project_into(paths, water, pixel_mm=protocol.pixel_mm, middle_mm=(0.0, 0.0), detector_mm=protocol.detector_mm)
    signal, variance = detector.primary(paths, np.zeros_like(paths))
    first_scan, second_scan = (
        detector.water(
            detector.measure(
                signal, variance, [generator(seed, Stream.DEGRADING, which, first + k) for k in range(slices)]
            )
        )
        for which in (0, 1)
    )
    response = ramp_response(
        paths.shape[1], protocol.detector_mm, protocol.kernel, protocol.mtf50_per_mm, protocol.blur_mm
    )
    image = back_project(
        filtered((first_scan - second_scan) / np.float32(np.sqrt(2)), response),
        (protocol.matrix, protocol.matrix),
        pixel_mm=protocol.pixel_mm,
        detector_mm=protocol.detector_mm,
    )
    return np.asarray(1000 * image.transpose(2, 0, 1), np.float32)


def _within(heart: HeartMask, grid: Geometry) -> Mask:
    """Return the slices of the heart, (slices, 1, 1)."""
    z_mm = grid.to_patient_mm((0, 0, 0))[2] + np.arange(grid.shape[0]) * grid.slice_spacing_mm
    first, last = (
        heart.geometry.to_patient_mm((k, 0, 0))[2]
        for k in (heart.bounding_box[0].start, heart.bounding_box[0].stop - 1)
    )
    return np.asarray((z_mm >= first) & (z_mm <= last))[:, None, None]


def _missing_noise(noise_hu: Floats32, own: Volume, tissue: Mask) -> Floats32:
    """Reduce the noise at each frequency by the noise that the scan itself still has."""
    pixel_mm = own.geometry.spacing_mm[1]
    left, full = (quiet(patches_in(Volume(hu, own.geometry), tissue)[0]) for hu in (own.hu, noise_hu))
    if not len(left) or not len(full):
        return noise_hu
    frequency, have = noise_power_spectrum(left, pixel_mm)
    _, want = noise_power_spectrum(full, pixel_mm)
    gain = np.sqrt(np.clip(1 - have / np.maximum(want, 1e-6), 0, 1))
    rows, columns = noise_hu.shape[1:]
    at = np.hypot(np.fft.fftfreq(rows, pixel_mm)[:, None], np.fft.rfftfreq(columns, pixel_mm))
    response = np.interp(at, frequency, ndimage.gaussian_filter1d(gain, 0.7, mode="nearest"))
    return np.asarray([fft.irfft2(fft.rfft2(plane) * response, plane.shape) for plane in noise_hu], np.float32)
