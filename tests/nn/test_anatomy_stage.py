"""The anatomy of a scan, from a network that is a Python function: a ball of heart in lung."""

import numpy as np
import pytest

from ctacal.anatomy import HEART, Anatomy
from ctacal.arrays import Floats32
from ctacal.errors import Code, Refusal
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.nn.anatomy_stage import AnatomyMap, find_anatomy
from ctacal.nn.config import NetworkConfig
from ctacal.nn.grids import crop_grid, resampled
from ctacal.nn.inputs import STRUCTURES, true_structures
from ctacal.nn.runtime import Stage
from ctacal.volume import Volume
from tests.nn.model_by_hand import ball, by_hand, fake_heart


def upper_half_atrium(x: Floats32) -> list[Floats32]:
    """Return tissue as left ventricle, in the rows of the front half, or left atrium, behind; the rest is lung."""
    tissue = fake_heart(x)[0][:, 0]
    probability = np.zeros((len(x), len(Anatomy), *x.shape[2:]), np.float32)
    front = np.arange(x.shape[2])[:, None] < x.shape[2] // 2
    probability[:, Anatomy.LEFT_VENTRICLE] = tissue * front
    probability[:, Anatomy.LEFT_ATRIUM] = tissue * ~front
    probability[:, Anatomy.LUNG] = 1 - tissue
    return [probability]


STAGE = Stage(upper_half_atrium, NetworkConfig.anatomy(), tuple(Anatomy))


def test_volumes_are_those_of_the_scan() -> None:
    volume, _ = ball((3.0, 1.0, 1.0))
    found = find_anatomy(volume, STAGE)
    ml = found.volumes_ml
    both = ml[Anatomy.LEFT_VENTRICLE] + ml[Anatomy.LEFT_ATRIUM]
    assert both == pytest.approx(np.count_nonzero(volume.hu > -300) * 3 / 1000, rel=0.05)
    assert ml[Anatomy.RIGHT_VENTRICLE] == 0
    assert sum(ml.values()) == pytest.approx(found.likeliest.size * found.geometry.voxel_volume_mm3 / 1000)


def test_the_heart_is_the_largest_part_of_all_that_lies_in_the_pericardium() -> None:
    """Both chambers are one heart; the ball beside it is left out."""
    volume, inside = ball((3.0, 1.0, 1.0))
    heart = find_anatomy(volume, STAGE).heart_on(volume.geometry)
    assert 2 * (heart.mask & inside).sum() / (heart.mask.sum() + inside.sum()) > 0.95


def test_the_calcium_network_is_told_the_structures_where_they_lie() -> None:
    """On a crop in pixels of 1 mm, the structures of 4 mm pixels lie where the coarse map has them."""
    volume, inside = ball((3.0, 1.0, 1.0))
    found = find_anatomy(volume, STAGE)
    crop = crop_grid(HeartMask(inside, volume.geometry), 1.0, 16)
    told = found.structures_around(crop)
    assert told.shape == (crop.shape[0], len(STRUCTURES), crop.shape[1] // 4, crop.shape[2] // 4)
    both = told[:, STRUCTURES.index((Anatomy.LEFT_VENTRICLE,))] + told[:, STRUCTURES.index((Anatomy.LEFT_ATRIUM,))]
    true = true_structures(np.where(resampled(inside, volume.geometry, crop, fill=0.0) >= 0.5, 1, 0).astype(np.uint8))
    assert np.abs(both - true[:, 0]).mean() < 0.03, "within the blur of the coarse grid"
    apart = np.average(np.arange(both.shape[1]), weights=both.sum(axis=(0, 2))) - np.average(
        np.arange(both.shape[1]), weights=true[:, 0].sum(axis=(0, 2))
    )
    assert abs(apart) < 0.15, "pixels of 4 mm: no shift"


def test_the_likeliest_structure_is_the_first_with_the_highest_probability() -> None:
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.full(len(Anatomy), 0.3), size=(3, 8, 9)).astype(np.float32)
    probability[0, 0, 0] = probability[0, 0, 1] = 0
    probability[0, 0, 0, [4, 7]] = 0.5
    probability[0, 0, 1, :] = 1 / len(Anatomy)
    classes_second = np.ascontiguousarray(np.moveaxis(probability, -1, 1))
    found = AnatomyMap(classes_second, Geometry.from_spacing((3, 8, 9), (5.0, 4.0, 4.0))).likeliest
    np.testing.assert_array_equal(found, classes_second.argmax(axis=1))
    assert found[0, 0, :2].tolist() == [4, 0]


def test_a_scan_without_a_heart_has_none() -> None:
    volume, _ = ball((3.0, 1.0, 1.0))
    empty = Volume(np.full_like(volume.hu, -800), volume.geometry)
    found = find_anatomy(empty, STAGE)
    assert all(found.volumes_ml[structure] == 0 for structure in HEART)
    with pytest.raises(Refusal) as refusal:
        found.heart_on(volume.geometry)
    assert refusal.value.reason.code == Code.HEART_NOT_FOUND


def test_another_network_is_refused() -> None:
    volume, _ = ball((3.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="expected an anatomy network, got 'heart'"):
        find_anatomy(volume, by_hand().heart)
