"""The heart is returned on the scan's own voxels, whatever their spacing."""

from dataclasses import replace

import numpy as np
import pytest

from ctacal.arrays import Floats32
from ctacal.errors import Code, Refusal
from ctacal.heart import HeartMask
from ctacal.nn import heart_stage
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


@pytest.mark.parametrize("length_mm", [500.0, 870.0, 1200.0])
def test_a_long_scan_is_seen_in_windows(length_mm: float) -> None:
    """For a network that looks at each slice alone, windows change nothing; each slice is in one, the last too."""
    volume, _ = ball((5.0, 4.0, 4.0), (length_mm, 200.0, 240.0))
    stage, seen = by_hand().heart, []

    def noting(x: Floats32) -> list[Floats32]:
        seen.append(len(x))
        return stage.run(x)

    watched = replace(stage, run=noting)
    whole, hearts = locate_heart(volume, stage), []
    for at_once in (96, 1000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(heart_stage, "MAX_SLICES_AT_ONCE", at_once)
            hearts.append(locate_heart(volume, watched))
    np.testing.assert_array_equal(hearts[0].mask, hearts[1].mask)
    np.testing.assert_array_equal(hearts[0].mask, whole.mask)
    assert set(seen[:-1]) == {heart_stage.WINDOW_SLICES}
    assert seen[-1] == volume.geometry.shape[0]
