"""Figures of image quality on scans with known noise, grain, blood, metal and borders; warnings outside a range."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from ctacal.errors import Code
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.nn.fitness import MIN_SCANS, doubts_about, figures_of, training_range
from ctacal.prediction import ScanFigures
from ctacal.volume import Volume

SHAPE, SPACING_MM = (16, 150, 240), (3.0, 0.8, 0.8)
HEART_MM, MIDDLE_MM, LUNG_END_MM = 48.0, (60.0, 64.0), 160.0
ROWS_MM, COLUMNS_MM = (np.arange(n)[shape] * 0.8 for n, shape in ((150, np.s_[:, None]), (240, np.s_[None, :])))
RADIUS_MM = np.hypot(ROWS_MM - MIDDLE_MM[0], COLUMNS_MM - MIDDLE_MM[1])


def chest(*radii_mm: float, blood_hu: float = 40.0) -> np.ndarray:
    """Return a heart with lung to its left and a wall beyond, blurred; several radii: the heart at several moments."""
    hu = np.zeros(RADIUS_MM.shape)
    for radius_mm in radii_mm or (HEART_MM,):
        tissue = np.where(radius_mm > RADIUS_MM, blood_hu, np.where(COLUMNS_MM > LUNG_END_MM, 40.0, -850.0))
        hu += tissue / max(1, len(radii_mm))
    return np.broadcast_to(ndimage.gaussian_filter(hu, 1.0), SHAPE)


def scan_of(hu: np.ndarray) -> tuple[Volume, HeartMask]:
    geometry = Geometry.from_spacing(SHAPE, SPACING_MM)
    mask = np.broadcast_to(RADIUS_MM < HEART_MM + 3, SHAPE).copy()
    return Volume(np.asarray(hu, np.float32), geometry), HeartMask(mask, geometry)


def noise(sd_hu: float, grain_pixels: float = 0.0) -> np.ndarray:
    field = np.random.default_rng(1).normal(size=SHAPE)
    if grain_pixels:
        field = ndimage.gaussian_filter(field, (0, grain_pixels, grain_pixels))
    return np.asarray(field * (sd_hu / field.std()))


@pytest.mark.parametrize("sd_hu", [8.0, 45.0])
def test_white_noise(sd_hu: float) -> None:
    figures = figures_of(*scan_of(chest() + noise(sd_hu)))
    assert figures.noise_sd_hu == pytest.approx(sd_hu, rel=0.03)
    assert figures.noise_grain_mm == pytest.approx(0.5 * 0.8, rel=0.05), "white: it falls from 1 to 0 in a pixel"
    assert figures.slice_correlation == pytest.approx(0.0, abs=0.02)
    assert figures.blood_hu == pytest.approx(40.0, abs=1.0)
    assert (figures.slice_spacing_mm, figures.pixel_mm) == pytest.approx((3.0, 0.8))
    assert figures.field_mm == pytest.approx(150 * 0.8)
    assert figures.metal_mm3 == 0.0


@pytest.mark.parametrize("grain_pixels", [0.8, 1.3])
def test_grain_of_smooth_noise(grain_pixels: float) -> None:
    """White noise under a Gaussian of s: autocorrelation exp(-d2 / 4 s2), one half at d = 2 s sqrt(ln 2).

    A patch's plane takes a little of coarse grain with it.
    """
    figures = figures_of(*scan_of(chest() + noise(20.0, grain_pixels)))
    assert figures.noise_grain_mm == pytest.approx(2 * grain_pixels * np.sqrt(np.log(2)) * 0.8, rel=0.12)


def test_slices_that_overlap_by_half() -> None:
    noise_hu = np.random.default_rng(2).normal(size=(SHAPE[0] + 1, *SHAPE[1:])) * 20
    figures = figures_of(*scan_of(chest() + (noise_hu[1:] + noise_hu[:-1]) / 2))
    assert figures.slice_correlation == pytest.approx(0.5, abs=0.03)


def test_a_drawing_without_noise_has_no_grain() -> None:
    figures = figures_of(*scan_of(chest()))
    assert figures.noise_sd_hu == pytest.approx(0.0, abs=0.1)
    assert figures.noise_grain_mm is figures.slice_correlation is None


def blur_mm(hu: np.ndarray) -> float:
    found = figures_of(*scan_of(hu + noise(15.0, 1.0))).border_blur_mm
    assert found is not None
    return found


@pytest.mark.parametrize("kernel_pixels", [0.3, 1.0])
def test_a_heart_that_moves_has_a_wide_border(kernel_pixels: float) -> None:
    """If a border lies 4 mm further out half of the time, the middle half of its rise is 4 mm wider."""
    kernel = (0, kernel_pixels, kernel_pixels)
    moving = ndimage.gaussian_filter(chest(HEART_MM - 2, HEART_MM + 2), kernel)
    assert blur_mm(ndimage.gaussian_filter(chest(), kernel)) < 1.3, "the row cuts the round heart at a slant"
    assert blur_mm(moving) == pytest.approx(4.0, rel=0.3)


def test_without_lung_beside_the_heart_motion_is_not_measured() -> None:
    assert figures_of(*scan_of(np.full(SHAPE, 40.0) + noise(15.0))).border_blur_mm is None


def test_enhanced_blood() -> None:
    figures = figures_of(*scan_of(chest(blood_hu=180.0) + noise(15.0)))
    assert figures.blood_hu == pytest.approx(180.0, abs=1.0)
    assert [reason.code for reason in doubts_about(figures, {"blood_hu": (30.0, 60.0)})] == [Code.BLOOD_UNLIKE_TRAINING]


@pytest.mark.parametrize(("distance_mm", "seen"), [(0.0, True), (HEART_MM + 10, True), (HEART_MM + 40, False)])
def test_metal_in_or_beside_the_heart(distance_mm: float, seen: bool) -> None:
    volume, heart = scan_of(chest())
    column = round((MIDDLE_MM[1] + distance_mm) / 0.8)
    volume.hu[7, 75, column : column + 2] = 3000.0
    figures = figures_of(volume, heart)
    assert figures.metal_mm3 == pytest.approx(2 * 3.0 * 0.8 * 0.8 if seen else 0.0)
    assert [reason.code for reason in doubts_about(figures, {})] == [Code.METAL_SEEN] * seen


FIGURES = ScanFigures(
    noise_sd_hu=20.0, noise_grain_mm=1.0, slice_correlation=0.1, slice_spacing_mm=3.0, pixel_mm=1.0, field_mm=500.0,
    blood_hu=40.0, border_blur_mm=2.0, metal_mm3=0.0,
)  # fmt: skip


def known() -> dict[str, tuple[float, float]]:
    """101 scans whose figures run evenly from 0.5 to 1.5 times those of ``FIGURES``."""
    return training_range(
        replace(FIGURES, noise_sd_hu=20 * share, field_mm=500 * share, border_blur_mm=2 * share, slice_correlation=None)
        for share in np.linspace(0.5, 1.5, 101)
    )


def test_range_is_the_first_to_the_99th_percentile() -> None:
    assert known()["noise_sd_hu"] == pytest.approx((10.2, 29.8))
    assert known()["pixel_mm"] == (1.0, 1.0)
    assert "slice_correlation" not in known(), "never measured, so it has no range"
    assert training_range([FIGURES] * (MIN_SCANS - 1)) == {}


@pytest.mark.parametrize(
    ("unlike", "code"),
    [
        ({"noise_sd_hu": 33.0}, Code.NOISE_UNLIKE_TRAINING),
        ({"noise_sd_hu": 7.0}, Code.NOISE_UNLIKE_TRAINING),
        ({"noise_grain_mm": 0.4}, Code.KERNEL_UNLIKE_TRAINING),
        ({"slice_spacing_mm": 5.0}, Code.SLICES_UNLIKE_TRAINING),
        ({"pixel_mm": 2.0}, Code.PIXELS_UNLIKE_TRAINING),
        ({"field_mm": 180.0}, Code.FIELD_UNLIKE_TRAINING),
        ({"blood_hu": 0.0}, Code.BLOOD_UNLIKE_TRAINING),
        ({"border_blur_mm": 4.0}, Code.MOTION_SEEN),
    ],
)
def test_each_figure_has_its_reason(unlike: dict[str, float], code: Code) -> None:
    (reason,) = doubts_about(replace(FIGURES, **unlike), known())
    assert reason.code == code


def test_figures_inside_or_not_measured_give_no_warning() -> None:
    assert not list(doubts_about(FIGURES, known()))
    assert not list(doubts_about(replace(FIGURES, noise_sd_hu=31.0), known())), "within the slack of a tenth"
    assert not list(doubts_about(replace(FIGURES, noise_sd_hu=None, border_blur_mm=0.5), known())), "none is too still"
    assert not list(doubts_about(replace(FIGURES, noise_sd_hu=99.0), {})), "no range, no doubt"
