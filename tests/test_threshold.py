"""The baseline counts plaques in a drawn heart, but no bone, aorta, valves, rims or noise."""

from pathlib import Path

import numpy as np
import pytest

from ctacal.errors import Refusal
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask, find_heart
from ctacal.labels import Calcium
from ctacal.scores import score_label_map
from ctacal.threshold import threshold_labels
from ctacal.volume import Volume
from tests.thorax import AIR, SHAPE, Thorax, real_scan

ON_THE_HEART = ((10.0, -72.0, 20.0), (0.0, -30.0, -38.0), (-10.0, 15.0, 50.0))
"""In the anterior, right and left posterior groove (up, back, left in mm)."""

IN_THE_VALVE = (0.0, -25.0, 20.0)
IN_THE_AORTA = (0.0, 32.0, 26.0)
IN_A_RIB = (0.0, 0.0, 144.0)


def labelled(thorax: Thorax, **noise: float) -> tuple[Volume, np.ndarray]:
    volume = thorax.volume(**noise)
    return volume, threshold_labels(volume, find_heart(volume)).labels


def plaque(thorax: Thorax, at: tuple[float, float, float]) -> np.ndarray:
    return thorax.ellipsoid(at, (4, 3.5, 3.5))


@pytest.mark.parametrize("noise_hu", [0.0, 10.0, 37.0])
def test_plaques_on_the_heart_are_coronary(noise_hu: float) -> None:
    thorax = Thorax(plaques=ON_THE_HEART)
    _, labels = labelled(thorax, noise_hu=noise_hu)
    for at in ON_THE_HEART:
        assert (labels[plaque(thorax, at)] == Calcium.CORONARY).all(), at


def test_bone_aorta_and_valve_do_not_count() -> None:
    thorax = Thorax(plaques=(IN_THE_AORTA, IN_THE_VALVE, IN_A_RIB))
    _, labels = labelled(thorax, noise_hu=8.0)
    assert not (labels == Calcium.CORONARY).any()
    assert (labels[plaque(thorax, IN_THE_VALVE)] == Calcium.OTHER).all()
    assert not (labels[plaque(thorax, IN_A_RIB)]).any()


@pytest.mark.parametrize("noise_hu", [8.0, 20.0, 37.0])
def test_noise_alone_scores_nothing(noise_hu: float) -> None:
    thorax = Thorax()
    volume = thorax.volume(noise_hu=noise_hu)
    heart = find_heart(volume)
    _, scores = score_label_map(volume, threshold_labels(volume, heart))
    assert scores.agatston.total == 0
    everything = threshold_labels(volume, heart, threshold_hu=1e4)
    assert not everything.labels.any()


def test_one_pixel_is_noise_two_are_a_plaque() -> None:
    thorax = Thorax()
    groove = np.argwhere(thorax.ellipsoid(ON_THE_HEART[0], (4, 3.5, 3.5)))[0]
    for pixels in (1, 2):
        thorax.hu[groove[0], groove[1], groove[2] : groove[2] + pixels] = 300
        _, labels = labelled(thorax)
        assert np.count_nonzero(labels) == (pixels if pixels > 1 else 0)


def test_a_bright_rim_against_lung_is_no_plaque() -> None:
    thorax = Thorax()
    volume = thorax.volume()
    hu = volume.hu.copy()
    border = np.argwhere(thorax.heart[22, 60])[-1, 0]
    hu[22, 55:65, border] = 200
    assert hu[22, 60, border + 1] < -500
    volume = Volume(hu, volume.geometry)
    assert not threshold_labels(volume, find_heart(volume)).labels.any()


def test_the_threshold_is_the_callers() -> None:
    thorax = Thorax(plaques=ON_THE_HEART[:1])
    volume = thorax.volume()
    heart = find_heart(volume)
    assert threshold_labels(volume, heart, threshold_hu=400).labels.any()
    assert not threshold_labels(volume, heart, threshold_hu=401).labels.any()


def test_int16_and_float32_give_the_same() -> None:
    volume = Thorax(plaques=ON_THE_HEART).volume(noise_hu=30)
    as_float = Volume(volume.hu.astype(np.float32), volume.geometry)
    heart = find_heart(volume)
    assert np.array_equal(threshold_labels(volume, heart).labels, threshold_labels(as_float, heart).labels)


def test_an_empty_mask_gives_no_labels_and_another_grid_is_refused() -> None:
    volume = Volume(np.full(SHAPE, AIR, np.int16), Geometry.from_spacing(SHAPE, (5.0, 2.0, 2.0)))
    assert not threshold_labels(volume, HeartMask(np.zeros(SHAPE, bool), volume.geometry)).labels.any()
    elsewhere = Geometry.from_spacing(SHAPE, (5.0, 2.0, 2.1))
    with pytest.raises(Refusal, match="LABELS_MISMATCH"):
        threshold_labels(volume, HeartMask(np.zeros(SHAPE, bool), elsewhere))


@pytest.mark.reference
@pytest.mark.parametrize(
    ("folder", "most"),
    [("acrin_flt_breast_001_ctac", 0), ("lung_dx_A0001/kernel_B", 250), ("lung_dx_A0001/kernel_L", 600)],
)
def test_real_scans_without_calcium(reference_data: Path, folder: str, most: int) -> None:
    """The lung_dx scan has a streak above 130 HU at the apex, which a threshold cannot distinguish from calcium."""
    volume = real_scan(reference_data / folder)
    heart = find_heart(volume)
    labels = threshold_labels(volume, heart)
    assert score_label_map(volume, labels)[1].agatston.total <= most
    assert not labels.labels[38:].any()  # the calcified node in the aorto-pulmonary window
