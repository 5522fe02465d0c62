import numpy as np
import pytest

from ctacal.labels import NAMED_VESSELS, Calcium
from ctacal.scores import score_label_map
from ctacal.simulate.phantom.thorax import ARTERIES, DEFAULT_PLAQUES, Phantom, Plaque, artery_path, draw_thorax

HEART = (slice(18, 22), slice(95, 115), slice(130, 160))
"""Inside of the ventricles."""


@pytest.fixture(scope="module")
def noise_free() -> Phantom:
    return draw_thorax(noise_sd_hu=0.0)


def test_every_label_is_calcium_before_noise(noise_free: Phantom) -> None:
    assert noise_free.volume.hu[noise_free.labels.labels > 0].min() >= 130


def test_every_plaque_is_labelled(noise_free: Phantom) -> None:
    labels, geometry = noise_free.labels.labels, noise_free.labels.geometry
    for plaque in DEFAULT_PLAQUES:
        z, y, x = plaque.centre
        near = np.rint(np.linalg.inv(geometry.affine) @ [x, y, z, 1])[:3].astype(int)
        around = tuple(slice(i - 1, i + 2) for i in near)
        assert (labels[around] == plaque.label).any(), plaque


def test_vessels_and_confounders_score(noise_free: Phantom) -> None:
    _, scores = score_label_map(noise_free.volume, noise_free.labels)
    assert all(scores.agatston.per_vessel[vessel.name] > 0 for vessel in NAMED_VESSELS)
    assert scores.agatston.other > 0


@pytest.mark.slow
def test_without_plaques_nothing_is_labelled_and_the_heart_holds_no_calcium() -> None:
    phantom = draw_thorax(noise_sd_hu=0.0, plaques=())
    assert not phantom.labels.labels.any()
    assert phantom.volume.hu[8:34, 78:135, 100:175].max() < 130  # between sternum and spine


@pytest.mark.slow
def test_calcium_of_a_plaque_comes_near_its_drawn_volume() -> None:
    plaque = Plaque(Calcium.LAD, (-8.0, -40.0, 30.0), (8.0, 8.0, 8.0), 220.0)  # half way between blood and peak: 130 HU
    phantom = draw_thorax(noise_sd_hu=0.0, plaques=[plaque])
    volume_mm3 = float((phantom.labels.labels == Calcium.LAD).sum()) * phantom.volume.geometry.voxel_volume_mm3
    assert volume_mm3 == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.1)


@pytest.mark.slow
def test_same_seed_same_bytes_other_seed_other_noise() -> None:
    shape, spacing_mm = (12, 64, 64), (12.0, 6.4, 6.4)
    first, again, other = (draw_thorax(shape, spacing_mm, seed=seed).volume.hu for seed in (3, 3, 4))
    assert first.tobytes() == again.tobytes()
    assert (first != other).any()


@pytest.mark.slow
def test_noise_has_the_chosen_sd(noise_free: Phantom) -> None:
    noisy = draw_thorax(noise_sd_hu=25.0)
    noise = noisy.volume.hu[HEART].astype(float) - noise_free.volume.hu[HEART]
    assert noise.std() == pytest.approx(25, rel=0.1)


def test_is_a_canonical_int16_chest(noise_free: Phantom) -> None:
    volume = noise_free.volume
    assert volume.hu.dtype == np.int16
    assert volume.geometry.same_grid(volume.canonical().geometry)
    assert volume.geometry.to_patient_mm((23.5, 127.5, 127.5)) == pytest.approx([0, 0, 0])
    assert volume.hu[HEART].mean() == pytest.approx(43, abs=3)
    assert np.mean(volume.hu[24] < -500) > 0.4  # lungs and air


@pytest.mark.parametrize("vessel", ARTERIES)
def test_arteries_run_unbroken(vessel: Calcium) -> None:
    steps_mm = np.linalg.norm(np.diff(artery_path(vessel), axis=0), axis=1)
    assert steps_mm.max() < 3 and steps_mm.min() > 0.1
