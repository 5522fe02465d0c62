"""Registration finds how the patient has moved, from the heart alone, and refuses what does not fit."""

import numpy as np
import pytest

from ctacal.compare.registration import register
from ctacal.dicom.choose import choose_series
from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.errors import Code, Refusal
from ctacal.heart import HeartMask, find_heart
from ctacal.volume import Volume
from tests import places
from tests.compare.moved import error_mm, moved, movement


def scan(name: str) -> tuple[Volume, HeartMask]:
    (study,) = read_studies([places.SAMPLE / f"{name}.zip"]).studies
    volume, _ = read_volume(choose_series(study).series)
    return volume, find_heart(volume)


@pytest.fixture(scope="module")
def patient() -> tuple[Volume, HeartMask]:
    return scan("simulated_ctac")


def points_mm(heart: HeartMask) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    affine = heart.geometry.affine
    return np.asarray(np.argwhere(heart.mask)[::997] @ affine[:3, :3].T + affine[:3, 3])


@pytest.mark.parametrize(
    ("shift_mm", "turn_deg"),
    [
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((12.0, -12.0, 10.0), (0.0, 0.0, 10.0)),
        ((-10.0, 14.0, -10.0), (7.0, -7.0, 0.0)),
    ],
)
def test_finds_shift_and_turn(
    patient: tuple[Volume, HeartMask], shift_mm: tuple[float, float, float], turn_deg: tuple[float, float, float]
) -> None:
    volume, heart = patient
    true = movement(volume, shift_mm=shift_mm, turn_deg=turn_deg)
    second = moved(volume, true)
    found = register(volume, heart, second, find_heart(second))
    assert error_mm(found, true, points_mm(heart)) < 2.0
    assert found.fit > 0.9
    assert found.turn_deg == pytest.approx(true.turn_deg, abs=1.0)
    there = found.apply(points_mm(heart))
    assert found.inverse().apply(there) == pytest.approx(points_mm(heart), abs=1e-9)


def test_a_scan_that_shows_less_of_the_heart_is_laid_on_the_same_place(patient: tuple[Volume, HeartMask]) -> None:
    volume, heart = patient
    box = heart.bounding_box
    part = (slice(box[0].start + 8, len(volume.hu)), slice(None), slice(None))
    short = volume.crop(part)
    found = register(volume, heart, short, HeartMask(heart.mask[part], short.geometry))
    still = movement(volume, shift_mm=(0, 0, 0), turn_deg=(0, 0, 0))
    assert error_mm(found, still, points_mm(heart)) < 4.0


def test_refuses_another_body(patient: tuple[Volume, HeartMask]) -> None:
    volume, heart = patient
    noise = np.random.default_rng(1).normal(0, 150, volume.hu.shape).astype(np.float32)
    with pytest.raises(Refusal, match="do not fit upon each other") as refused:
        register(volume, heart, Volume(noise, volume.geometry), heart)
    assert refused.value.reason.code is Code.SCANS_NOT_ALIGNED
