"""Scoring networks that are Python functions, and a scan whose heart is a ball."""

from collections.abc import Callable

import numpy as np

from ctacal.arrays import Floats32
from ctacal.geometry import Geometry
from ctacal.labels import Calcium
from ctacal.nn.classes import BY_VESSEL
from ctacal.nn.predict import Model
from ctacal.nn.runtime import Stage
from ctacal.prediction import ModelInfo
from ctacal.volume import Volume
from tests.nn.random_networks import HEART
from tests.nn.toys import TINY


def fake_heart(x: Floats32) -> list[Floats32]:
    """Return the share of tissue (40 HU) in each voxel, everything else being lung (-800 HU), as the heart."""
    hu = x * 300.0 - 150.0
    return [np.clip((hu + 800.0) / 840.0, 0.0, 1.0).astype(np.float32)]


def by_side(x: Floats32) -> list[Floats32]:
    """Return LAD to the left of the heart's centre and RCA to the right; mass 1 mg per slice for each."""
    probability = np.zeros((len(x), len(BY_VESSEL), *x.shape[2:]), np.float32)
    to_left = x[:, 5] > 0
    probability[:, BY_VESSEL.index(Calcium.LAD)] = 0.9 * to_left
    probability[:, BY_VESSEL.index(Calcium.RCA)] = 0.9 * ~to_left
    return [probability, np.ones((len(x), 4), np.float32)]


def by_hand(calcium: Callable[[Floats32], list[Floats32]] = by_side) -> Model:
    return Model(
        ModelInfo("hand", "1", "0" * 64), Stage(fake_heart, HEART, (0, 1)), Stage(calcium, TINY, BY_VESSEL), {}
    )


def ball(
    spacing_mm: tuple[float, float, float], size_mm: tuple[float, float, float] = (120.0, 200.0, 240.0)
) -> tuple[Volume, np.ndarray]:
    """Return a scan of lung with a heart of 45 mm radius in the middle and a ball of 20 mm beside it; its mask."""
    shape = tuple(round(mm / step) for mm, step in zip(size_mm, spacing_mm, strict=True))
    scan = Geometry.from_spacing((shape[0], shape[1], shape[2]), spacing_mm, (-300.0, 20.0, 100.0))
    mm = [(i - (n - 1) / 2) * step for i, n, step in zip(np.indices(shape), shape, spacing_mm, strict=True)]
    inside = mm[0] ** 2 + mm[1] ** 2 + mm[2] ** 2 < 45**2
    island = mm[0] ** 2 + (mm[1] - 40) ** 2 + (mm[2] - 85) ** 2 < 20**2
    return Volume(np.where(inside | island, 40, -800).astype(np.int16), scan), inside
