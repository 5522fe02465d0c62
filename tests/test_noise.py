"""The noise of the blood pool is measured in a drawn thorax whose noise is known (real scans: ``test_heart.py``)."""

import numpy as np
import pytest

from ctacal.errors import Refusal
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask, find_heart
from ctacal.noise import blood_pool_noise_hu
from tests.thorax import LUNG, SHAPE, SPACING_MM, Thorax


@pytest.mark.parametrize("noise_hu", [8.0, 20.0, 40.0])
@pytest.mark.parametrize("smooth_px", [0.0, 0.8])
def test_noise_is_measured_whatever_its_grain(noise_hu: float, smooth_px: float) -> None:
    volume = Thorax().volume(noise_hu=noise_hu, smooth_px=smooth_px)
    assert blood_pool_noise_hu(volume, find_heart(volume)) == pytest.approx(noise_hu, rel=0.15)


def test_noise_of_a_mask_without_blood_is_unknown() -> None:
    volume = Thorax().volume()
    assert blood_pool_noise_hu(volume, HeartMask(np.zeros(SHAPE, bool), volume.geometry)) is None
    assert blood_pool_noise_hu(volume, HeartMask(volume.hu == LUNG, volume.geometry)) is None


def test_noise_needs_the_mask_of_this_scan() -> None:
    volume = Thorax().volume()
    elsewhere = Geometry.from_spacing(SHAPE, SPACING_MM, (5.0, 0.0, 0.0))
    with pytest.raises(Refusal, match="LABELS_MISMATCH"):
        blood_pool_noise_hu(volume, HeartMask(np.zeros(SHAPE, bool), elsewhere))
