"""What the calcium network sees: thin slices averaged, most scans as they are; labels go back to the scan's slices."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ctacal
from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.nn.fitness import figures_of
from ctacal.nn.predict import load_model
from ctacal.nn.view import View, bright_voxels, faded, slices_together, view_of
from ctacal.scores import SCCT_2016, score_label_map
from ctacal.volume import Volume
from tests.nn.model_by_hand import ball, by_hand

SAMPLE = Path(ctacal.__file__).parent / "sample" / "simulated_ctac.zip"


def seen(volume: Volume, heart: HeartMask) -> View:
    return view_of(volume, heart, figures_of(volume, heart))


def thin_of(volume: Volume, times: int = 3) -> Volume:
    """The same scan with each slice cut into ``times``."""
    affine = volume.geometry.affine.copy()
    affine[:3, 3] = volume.geometry.to_patient_mm(((1 / times - 1) / 2, 0, 0))
    affine[:3, 0] /= times
    hu = np.asarray(np.repeat(volume.hu, times, axis=0), np.int16)
    return Volume(hu, Geometry((hu.shape[0], *hu.shape[1:]), affine))


@pytest.fixture
def plaque() -> tuple[Volume, HeartMask]:
    """3 x 3 pixels of 300 HU in two slices: 2 x 9 mm2 x 3 = 54."""
    volume, heart = ball((3.0, 1.0, 1.0), (150.0, 200.0, 240.0))
    middle = [n // 2 for n in volume.hu.shape]
    volume.hu[middle[0] : middle[0] + 2, middle[1] : middle[1] + 3, middle[2] + 20 : middle[2] + 23] = 300
    return volume, HeartMask(heart, volume.geometry)


def test_most_scans_are_seen_as_they_are(plaque: tuple[Volume, HeartMask]) -> None:
    volume, heart = plaque
    view = seen(volume, heart)
    assert view.volume is volume and view.heart is heart and view.slices == 1
    at = bright_voxels(volume, view, 130.0)
    assert view.of(at)[0].tolist() == at[0].tolist()


def test_thin_slices_are_seen_as_thick_ones(plaque: tuple[Volume, HeartMask]) -> None:
    volume, heart = plaque
    thin = thin_of(volume)
    view = seen(thin, HeartMask(np.repeat(heart.mask, 3, axis=0), thin.geometry))
    first, stop = view.first // 3, view.first // 3 + len(view.volume.hu)
    around = volume.crop((slice(first, stop), slice(None), slice(None)))
    assert view.volume.geometry.same_grid(around.geometry)
    np.testing.assert_array_equal(view.volume.hu, around.hu)
    np.testing.assert_array_equal(view.heart.mask, heart.mask[first:stop])
    assert not heart.mask[:first].any() and not heart.mask[stop:].any()
    assert first > 0 and stop < len(volume.hu), "not all of the scan is averaged"
    assert view.figures.slice_spacing_mm == pytest.approx(3.0)


def test_labels_and_score_are_those_of_the_thick_slices(plaque: tuple[Volume, HeartMask]) -> None:
    volume, _ = plaque
    thick, thin = by_hand()(volume, SCCT_2016), by_hand()(thin_of(volume), SCCT_2016)
    np.testing.assert_array_equal(thin.labels.labels, np.repeat(thick.labels.labels, 3, axis=0))
    scores = [
        score_label_map(scan, found.labels, SCCT_2016)[1].agatston.total
        for scan, found in ((volume, thick), (thin_of(volume), thin))
    ]
    assert scores == pytest.approx([54.0, 54.0])
    assert thick.uncertainty is not None and thin.uncertainty is not None
    assert thin.uncertainty.excess_mass_mg == thick.uncertainty.excess_mass_mg


def test_a_bright_voxel_counts_only_where_the_average_is_bright(plaque: tuple[Volume, HeartMask]) -> None:
    """Noise of one thin slice at 200 HU averages to 93 and is no candidate; in scan order, islands need that."""
    volume, heart = plaque
    thin = thin_of(volume)
    middle = [n // 2 for n in thin.hu.shape]
    thin.hu[middle[0] + 3, middle[1] + 10, middle[2]] = 200
    view = seen(thin, HeartMask(np.repeat(heart.mask, 3, axis=0), thin.geometry))
    at = bright_voxels(thin, view, 130.0)
    assert len(at[0]) == 2 * 3 * 9
    flat = np.ravel_multi_index(at, thin.hu.shape)
    assert (np.diff(flat) > 0).all()
    assert (thin.hu[at] == 300).all()
    assert (view.volume.hu[view.of(at)] == 300).all()
    hidden = faded(thin, HeartMask(np.repeat(heart.mask, 3, axis=0), thin.geometry), view, at, SCCT_2016)
    assert hidden is not None and hidden.islands.hu.tolist() == [200] and not hidden.rim.any()
    assert hidden.smoothed_hu == pytest.approx([(200 + 2 * 40) / 3], abs=0.5)
    found = by_hand()(thin, SCCT_2016).uncounted
    assert found is not None and found.faded is not None and found.faded.islands.count == 1


def test_the_rim_of_what_is_weighed_is_told_from_a_speck_of_its_own(plaque: tuple[Volume, HeartMask]) -> None:
    volume, heart = plaque
    thin = thin_of(volume)
    mask = HeartMask(np.repeat(heart.mask, 3, axis=0), thin.geometry)
    middle = [n // 2 for n in volume.hu.shape]
    thin.hu[3 * middle[0] - 1, middle[1], middle[2] + 20] = 200  # below the plaque, in the group of slices before
    thin.hu[3 * middle[0] - 1, middle[1], middle[2] - 20] = 200
    view = seen(thin, mask)
    hidden = faded(thin, mask, view, bright_voxels(thin, view, 130.0), SCCT_2016)
    assert hidden is not None and hidden.rim.tolist() == [False, True]


def test_a_scan_that_is_seen_as_it_is_hides_nothing(plaque: tuple[Volume, HeartMask]) -> None:
    volume, mask = plaque
    view = seen(volume, mask)
    assert faded(volume, mask, view, bright_voxels(volume, view, 130.0), SCCT_2016) is None


def test_slices_left_over_make_a_group_of_their_own(plaque: tuple[Volume, HeartMask]) -> None:
    """The scan ends within the heart, after a slice of the last group."""
    volume, heart = plaque
    middle = len(volume.hu) // 2
    part = thin_of(volume).crop((slice(0, 3 * middle + 1), slice(None), slice(None)))
    mask = np.repeat(heart.mask, 3, axis=0)[: 3 * middle + 1]
    view = seen(Volume(part.hu.copy(), part.geometry), HeartMask(mask, part.geometry))
    assert view.first // 3 + len(view.volume.hu) == middle + 1
    np.testing.assert_array_equal(view.volume.hu[-1], volume.hu[middle])
    at = bright_voxels(part, view, 130.0)
    assert at[0].max() == 3 * middle, "the last slice of the scan, and none beyond it"


def test_what_is_measured_of_the_view(plaque: tuple[Volume, HeartMask]) -> None:
    """Averaging three slices divides the noise by the root of three; metal in one slice stays known."""
    volume, heart = plaque
    thin = thin_of(volume)
    hu = thin.hu + np.random.default_rng(0).normal(scale=30, size=thin.hu.shape)
    middle = [n // 2 for n in thin.hu.shape]
    hu[middle[0], middle[1], middle[2] - 20] = 3000
    noisy = Volume(hu.astype(np.float32), thin.geometry)
    mask = HeartMask(np.repeat(heart.mask, 3, axis=0), thin.geometry)
    figures = figures_of(noisy, mask)
    view = view_of(noisy, mask, figures)
    assert figures.noise_sd_hu is not None and view.figures.noise_sd_hu is not None
    assert view.figures.noise_sd_hu == pytest.approx(figures.noise_sd_hu / np.sqrt(3), rel=0.05)
    assert view.figures.metal_mm3 == figures.metal_mm3 == pytest.approx(1.0)


def test_a_sharp_kernel_is_told_on_the_averaged_slices(plaque: tuple[Volume, HeartMask]) -> None:
    """White noise of 60 HU is still loud after averaging and is smoothed; of 35 HU it is not."""
    volume, heart = plaque
    thin = thin_of(volume)
    mask = HeartMask(np.repeat(heart.mask, 3, axis=0), thin.geometry)
    white = np.random.default_rng(0).normal(size=thin.hu.shape)
    for sd_hu, smoothed in ((60.0, True), (35.0, False)):
        noisy = Volume((thin.hu + sd_hu * white).astype(np.float32), thin.geometry)
        noise_hu = seen(noisy, mask).figures.noise_sd_hu
        assert noise_hu is not None
        assert bool(noise_hu < 0.6 * sd_hu / np.sqrt(3)) is smoothed


@pytest.mark.slow
def test_the_shipped_model_scores_1_mm_as_3_mm() -> None:
    """The sample, 5 mm, brought to 1 mm with noise of its own in each slice, and the same averaged to 3 mm."""
    scan = read_volume(read_studies([SAMPLE]).studies[0].series[0])[0]
    grid = scan.geometry.with_spacing((1.0, *scan.geometry.spacing_mm[1:]))
    grid = grid.crop((slice(3, grid.shape[0] - 3 - (grid.shape[0] - 6) % 3), slice(None), slice(None)))
    thin = scan.resample(grid)
    noise = np.random.default_rng(0).normal(scale=10, size=thin.hu.shape)
    thin = Volume(np.rint(thin.hu + noise).astype(np.int16), grid)
    assert slices_together(grid) == 3
    thick = seen(thin, HeartMask(np.ones(grid.shape, bool), grid)).volume
    model = load_model()
    scores = []
    for volume in (thin, thick):
        found = model(volume, SCCT_2016)
        scores.append(score_label_map(volume, found.labels, SCCT_2016)[1].agatston.total)
        assert found.reasons == (), "pixels of 2 mm are known"
    assert scores[0] > 300
    assert scores[0] == pytest.approx(scores[1], rel=0.1)
    unlike = replace(model, training_range={"slice_spacing_mm": (4.0, 5.0)})(thin, SCCT_2016).reasons
    assert "slice spacing in mm: 3;" in unlike[0].message, "the warning speaks of what the network saw"
