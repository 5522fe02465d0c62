"""Measurements, on pictures whose noise and blur are known by construction."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.geometry import Geometry
from ctacal.simulate.measure import (
    detrended,
    disc_centre,
    disc_hu,
    edge_response,
    mean_frequency_per_mm,
    measure_insert,
    noise_power_spectrum,
    noise_sd_hu,
    patches_in,
    quiet,
    slice_correlation,
)
from ctacal.volume import Volume

PIXEL_MM = 0.8


def volume_of(hu: np.ndarray, spacing_mm: tuple[float, float, float] = (3.0, PIXEL_MM, PIXEL_MM)) -> Volume:
    return Volume(hu.astype(np.float32), Geometry.from_spacing(hu.shape, spacing_mm))


def white(shape: tuple[int, int, int], sd_hu: float) -> np.ndarray:
    return np.random.default_rng(0).normal(40, sd_hu, shape)


def blurred_disc(fwhm_mm: float, *, radius_mm: float = 15.0, contrast_hu: float = 100.0) -> Volume:
    """A disc off the pixel grid, drawn on an eight times finer grid, blurred there, and sampled at pixel centres."""
    fine, count = 8, 96
    fine_mm = PIXEL_MM / fine
    at = (np.arange(count * fine) - count * fine / 2) * fine_mm
    inside = np.clip((radius_mm - np.hypot(at[:, None] - 0.33, at - 0.21)) / fine_mm + 0.5, 0, 1)
    soft = ndimage.gaussian_filter(inside * contrast_hu, fwhm_mm / 2.3548 / fine_mm)
    return volume_of(np.repeat(soft[None, fine // 2 :: fine, fine // 2 :: fine], 3, axis=0))


# the picture's middle, less half a pixel, plus the disc's own offset
TRUE_CENTRE = (47.5 + 0.33 / PIXEL_MM, 47.5 + 0.21 / PIXEL_MM)


def test_white_noise_has_its_sd_on_a_slope_and_beside_bright_spots() -> None:
    hu = white((6, 200, 200), 12.0) + np.arange(200) * 0.5
    hu[:, 20:24, 20:24] += 400
    mask = np.ones(hu.shape, bool)
    assert noise_sd_hu(volume_of(hu), mask) == pytest.approx(12.0, rel=0.02)


def test_noise_is_measured_within_the_mask_alone() -> None:
    hu = white((4, 200, 200), 5.0)
    hu[:, :, 100:] *= 4
    mask = np.zeros(hu.shape, bool)
    mask[:, :, :100] = True
    assert noise_sd_hu(volume_of(hu), mask) == pytest.approx(5.0, rel=0.03)
    assert np.isnan(noise_sd_hu(volume_of(hu), np.zeros(hu.shape, bool)))


def test_white_noise_has_a_flat_spectrum() -> None:
    patches = detrended(white((400, 32, 32), 10.0))
    frequency, power = noise_power_spectrum(patches, PIXEL_MM)
    np.testing.assert_allclose(power[1:], 10.0**2 * PIXEL_MM**2, rtol=0.1)  # the first ring lacks the plane
    assert frequency[-1] == pytest.approx(1 / (2 * PIXEL_MM), rel=0.02)
    # of a disc of radius R, the mean distance from the middle is 2/3 R
    assert mean_frequency_per_mm(frequency, power) == pytest.approx(2 / 3 / (2 * PIXEL_MM), rel=0.05)


@pytest.mark.slow
def test_spectrum_of_filtered_noise_is_that_of_the_filter_and_integrates_to_the_variance() -> None:
    sd_mm = 1.6
    hu = ndimage.gaussian_filter(white((8, 512, 512), 100.0), (0, sd_mm / PIXEL_MM, sd_mm / PIXEL_MM), mode="wrap")
    patches, _ = patches_in(volume_of(hu), np.ones(hu.shape, bool), 40.0)
    frequency, power = noise_power_spectrum(quiet(patches), PIXEL_MM)
    expected = (100.0 * PIXEL_MM) ** 2 * np.exp(-((2 * np.pi * frequency * sd_mm) ** 2))
    seen = (frequency > 0.04) & (frequency < 0.15)
    np.testing.assert_allclose(power[seen], expected[seen], rtol=0.12)
    step = 1 / (patches.shape[1] * PIXEL_MM)
    variance = np.sum(power * 2 * np.pi * frequency * step)
    assert variance == pytest.approx(patches.var(), rel=0.05)


def test_correlation_of_slices_is_that_of_a_running_mean() -> None:
    hu = white((12, 120, 120), 10.0)
    mask = np.ones((11, 120, 120), bool)
    assert slice_correlation(volume_of((hu[1:] + hu[:-1]) / 2), mask) == pytest.approx(0.5, abs=0.03)
    assert slice_correlation(volume_of(hu[1:]), mask) == pytest.approx(0.0, abs=0.03)


@pytest.mark.parametrize("fwhm_mm", [1.5, 2.0, 3.0])
def test_resolution_of_a_blurred_disc(fwhm_mm: float) -> None:
    volume = blurred_disc(fwhm_mm)
    edge = edge_response(volume, TRUE_CENTRE, 15.0, slice(0, 3))
    assert edge.mtf50_per_mm == pytest.approx(np.sqrt(np.log(2) / 2) / np.pi / (fwhm_mm / 2.3548), rel=0.03)
    assert edge.transfer()[1][0] == 1.0


def test_resolution_withstands_noise_and_a_wrong_first_guess() -> None:
    soft = blurred_disc(2.0, contrast_hu=300.0).hu[:1].repeat(20, axis=0)
    volume = volume_of(soft + np.random.default_rng(1).normal(0, 20, soft.shape))
    centre = disc_centre(volume, (46.0, 49.0), 15.0, slice(0, 20))
    assert centre == pytest.approx(TRUE_CENTRE, abs=0.1)
    edge = edge_response(volume, centre, 15.0, slice(0, 20))
    assert edge.mtf50_per_mm == pytest.approx(np.sqrt(np.log(2) / 2) / np.pi / (2.0 / 2.3548), rel=0.06)


def test_a_dark_disc_resolves_as_a_bright_one() -> None:
    bright, dark = (
        edge_response(blurred_disc(2.0, contrast_hu=contrast), TRUE_CENTRE, 15.0, slice(0, 1))
        for contrast in (100.0, -100.0)
    )
    assert bright.mtf50_per_mm == pytest.approx(dark.mtf50_per_mm, rel=1e-6)


def test_an_edge_beyond_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="exceeds the image"):
        edge_response(blurred_disc(2.0), (5.0, 48.0), 15.0, slice(0, 1))


def test_insert_of_known_size() -> None:
    hu = np.full((5, 40, 40), 50.0)
    hu[1:3, 18:22, 18:21] = 250.0
    hu[1, 18, 18] = 410.0
    insert = measure_insert(volume_of(hu), (19.5, 19.0), 6.0, slice(0, 5))
    assert insert.peak_hu == 410
    assert insert.area_mm2 == pytest.approx(12 * PIXEL_MM**2)
    assert insert.volume_mm3 == pytest.approx(24 * PIXEL_MM**2 * 3)
    assert insert.agatston == pytest.approx(12 * PIXEL_MM**2 * (4 + 2))
    assert insert.mean_hu == pytest.approx((23 * 250 + 410) / 24)


def test_an_insert_that_is_not_there() -> None:
    insert = measure_insert(volume_of(np.full((2, 40, 40), 50.0)), (20.0, 20.0), 5.0, slice(0, 2))
    assert (insert.agatston, insert.area_mm2, insert.peak_hu) == (0.0, 0.0, 50.0)
    assert np.isnan(insert.mean_hu)


def test_disc_holds_what_lies_within_its_radius() -> None:
    values = disc_hu(blurred_disc(1.5), TRUE_CENTRE, 10.0, slice(0, 2))
    assert len(values) == pytest.approx(2 * np.pi * 10.0**2 / PIXEL_MM**2, rel=0.02)
    np.testing.assert_allclose(values, 100.0, atol=0.5)


@pytest.mark.reference
def test_known_noise_of_the_real_phantom(reference_data: Path) -> None:
    """The published SD of the background is 21.57 HU."""
    study = read_studies([reference_data / "qrm_phantom_canon"]).studies[0]
    volume = read_volume(study.series[0])[0]
    mask = np.zeros(volume.hu.shape, bool)
    mask[18:27, 180:250, 235:330] = True
    assert noise_sd_hu(volume, mask) == pytest.approx(21.57, rel=0.15)
