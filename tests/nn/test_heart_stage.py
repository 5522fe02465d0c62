"""The heart is returned on the scan's own voxels, whatever their spacing."""

import numpy as np
import pytest

from ctacal.errors import Code, Refusal
from ctacal.heart import HeartMask
from ctacal.nn.heart_stage import locate_heart
from ctacal.volume import Volume
from tests.nn.model_by_hand import ball, by_hand

SPACINGS = [(3.0, 1.0, 1.0), (5.0, 1.95, 1.95), (1.25, 1.4, 1.1), (2.5, 0.7, 0.7)]


@pytest.mark.parametrize("spacing_mm", SPACINGS)
def test_heart_comes_back_on_the_scan(spacing_mm: tuple[float, float, float]) -> None:
    volume, inside = ball(spacing_mm)
    heart = locate_heart(volume, by_hand().heart)
    dice = 2 * (heart.mask & inside).sum() / (heart.mask.sum() + inside.sum())
    assert dice > 0.95
    assert not heart.touches_first_slice | heart.touches_last_slice


def test_heart_cut_off_by_the_scan() -> None:
    volume, inside = ball((3.0, 1.0, 1.0))
    cut = volume.crop((slice(20, None), slice(None), slice(60, 150)))
    heart = locate_heart(cut, by_hand().heart)
    assert heart.touches_first_slice
    expected = inside[20:, :, 60:150]
    assert 2 * (heart.mask & expected).sum() / (heart.mask.sum() + expected.sum()) > 0.93


def test_no_heart() -> None:
    volume, _ = ball((3.0, 1.0, 1.0))
    with pytest.raises(Refusal) as refusal:
        locate_heart(Volume(np.full_like(volume.hu, -800), volume.geometry), by_hand().heart)
    assert refusal.value.reason.code == Code.HEART_NOT_FOUND


def test_mask_is_a_heart_mask() -> None:
    volume, _ = ball((3.0, 1.0, 1.0))
    assert isinstance(locate_heart(volume, by_hand().heart), HeartMask)
