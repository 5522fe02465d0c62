"""Reconstruction kernels: a ramp filter, apodised so that scanner and kernel together have the stated MTF50."""

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.interpolate import CubicSpline

from ctacal.arrays import Floats

MOST_GAIN = 3.0
"""Largest gain with which a kernel compensates for blur; more would drown the image in noise (own choice)."""

_FWHM_PER_SD = float(np.sqrt(8 * np.log(2)))


def _hann(x: Floats) -> Floats:
    """Return a Hann window: 1/2 at x = 1, 0 from 2 upwards."""
    return np.where(x < 2, 0.5 + 0.5 * np.cos(np.pi * x / 2), 0.0)


def _cosine(x: Floats) -> Floats:
    """Return a cosine window: 1/2 at x = 1, 0 from 1.5 upwards; steeper than Hann."""
    return np.where(x < 1.5, np.cos(np.pi * x / 3), 0.0)


def _gauss(x: Floats) -> Floats:
    """Return a Gaussian: 1/2 at x = 1, with long tails and no overshoot."""
    return np.asarray(np.exp(-np.log(2) * x**2))


def _enhanced(x: Floats) -> Floats:
    """Return an enhanced window: 1/2 at x = 1, up to 1.2 below; edges overshoot as with lung and bone kernels."""
    return np.asarray(_hann(x) * (1 + 0.35 * np.sin(np.pi * np.minimum(x, 1)) ** 2))


_BODY = (1, 0.973, 0.913, 0.822, 0.681, 0.533, 0.440, 0.371, 0.280, 0.193, 0.145, 0.112, 0.071, 0.033, 0.013, 0)
_BODY_STEP = 0.05 / 0.2644


def _body(x: Floats) -> Floats:
    """Return a scanner's body kernel, with a long shoulder: Canon's FC12.

    Measured at the edge between lung and heart on the reference data's phantom, in steps of 0.05 per mm.
    """
    return _through(_BODY, _BODY_STEP, x)


_LUNG = (1, 1.09, 1.28, 1.55, 1.82, 2.04, 2.12, 2.03, 1.73, 1.26, 0.71, 0.22, 0)
_LUNG_STEP = 0.05 / 0.5214


def _lung(x: Floats) -> Floats:
    """Return a lung kernel, Philips' L: fine detail has twice the contrast, edges overshoot and noise is high.

    Measured as the noise of one patient's scan in kernel L over that in kernel B, taken as a Hann of MTF50 0.30, in
    steps of 0.05 per mm (Lung-PET-CT-Dx A0001, doi 10.7937/TCIA.2020.NNC2-0461).
    """
    return _through(_LUNG, _LUNG_STEP, x)


def _through(transfer: tuple[float, ...], step: float, x: Floats) -> Floats:
    """Return a smooth curve through measured values; flat at 0, because a cusp there would shade the whole image."""
    places = np.arange(len(transfer)) * step
    curve = CubicSpline(places, transfer, bc_type=("clamped", "clamped"))
    return np.where(x < places[-1], curve(np.minimum(x, places[-1])), 0.0)


FAMILIES: Mapping[str, Callable[[Floats], Floats]] = MappingProxyType(
    {"hann": _hann, "cosine": _cosine, "gauss": _gauss, "body": _body, "enhanced": _enhanced, "lung": _lung}
)
"""Modulation transfer of each family as a function of frequency / MTF50."""


@cache
def ramp_response(detectors: int, detector_mm: float, family: str, mtf50_per_mm: float, blur_mm: float) -> Floats:
    """Return the frequency response with which ``filtered`` filters a view.

    The ramp is the band-limited one (Kak and Slaney, Principles of Computerized Tomographic Imaging, 1988, eq. 3.61).
    """
    padded = fft.next_fast_len(2 * detectors, real=True)
    steps = np.fft.fftfreq(padded, 1 / padded).round()
    odd = steps % 2 == 1
    ramp = np.zeros(padded)
    ramp[0] = 1 / 4
    ramp[odd] = -1 / (np.pi * steps[odd]) ** 2
    frequency = np.asarray(np.fft.rfftfreq(padded, detector_mm), np.float64)
    target = FAMILIES[family](frequency / mtf50_per_mm)
    seen = _blur_transfer(frequency, blur_mm) * np.sinc(frequency * detector_mm) ** 2
    return np.asarray(np.fft.rfft(ramp).real / detector_mm * target / np.maximum(seen, 1 / MOST_GAIN))


def _blur_transfer(frequency_per_mm: Floats, fwhm_mm: float) -> Floats:
    """Return the modulation transfer of a Gaussian blur."""
    return np.asarray(np.exp(-2 * (np.pi * frequency_per_mm * fwhm_mm / _FWHM_PER_SD) ** 2))


def filtered(sinogram: NDArray[np.float32], response: Floats) -> NDArray[np.float32]:
    """Return the (views, detectors, planes) sinogram with each view filtered."""
    padded = fft.next_fast_len(2 * sinogram.shape[1], real=True)
    spectrum = fft.rfft(sinogram, padded, axis=1)
    spectrum *= response.astype(np.float32)[None, :, None]
    return np.ascontiguousarray(fft.irfft(spectrum, padded, axis=1)[:, : sinogram.shape[1]], np.float32)


def filtered_part(
    sinogram: NDArray[np.float32], response: Floats, first: NDArray[np.int64], reach: int, blur_sd: float = 0.0
) -> NDArray[np.float32]:
    """Return (views, ``reach``, planes): the result of ``filtered`` from each view's ``first`` ray, by matrices.

    Before, the views are blurred with an SD of ``blur_sd`` rays, as by ``detector_blur``.
    """
    from scipy import ndimage

    detectors = sinogram.shape[1]
    impulse = fft.irfft(response, fft.next_fast_len(2 * detectors, real=True)).astype(np.float32)
    matrix = impulse[np.subtract.outer(np.arange(detectors), np.arange(detectors))]
    if blur_sd:
        matrix = ndimage.gaussian_filter1d(matrix, blur_sd, axis=1, mode="constant", truncate=4)
    # One product of all rays: a small one for each view keeps the threads of OpenBLAS waiting for each other, which
    # took 50 times as long on a busy machine.
    rays = np.ascontiguousarray(sinogram.transpose(1, 0, 2)).reshape(detectors, -1)
    whole = (matrix @ rays).reshape(detectors, len(sinogram), -1)
    part = np.empty((len(sinogram), reach, sinogram.shape[2]), np.float32)
    for view, start in enumerate(first.tolist()):
        part[view] = whole[start : start + reach, view]
    return part


def blur_sd_rays(fwhm_mm: float, detector_mm: float) -> float:
    """Return the SD of the blur by focal spot and aperture, in rays."""
    return fwhm_mm / _FWHM_PER_SD / detector_mm


def detector_blur(signal: NDArray[np.float32], fwhm_mm: float, detector_mm: float) -> NDArray[np.float32]:
    """Return the (views, detectors, planes) signal blurred along the detector by focal spot and aperture."""
    from scipy import ndimage

    if not fwhm_mm:
        return signal.copy()
    sd = blur_sd_rays(fwhm_mm, detector_mm)
    return np.asarray(ndimage.gaussian_filter1d(signal, sd, axis=1, mode="nearest", truncate=4), np.float32)
