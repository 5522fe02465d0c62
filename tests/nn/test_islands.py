"""One plaque, one decision: an island is cut only where it joins two things, along a border that pays."""

import numpy as np
import pytest

from ctacal.arrays import Floats32
from ctacal.geometry import Geometry
from ctacal.islands import find_islands
from ctacal.labels import Calcium
from ctacal.nn.classes import BY_VESSEL
from ctacal.nn.islands import Weighed, cut, weigh
from ctacal.scores import SCCT_2016
from ctacal.volume import Volume

LM, LAD, RCA, OTHER = (BY_VESSEL.index(label) for label in (Calcium.LM, Calcium.LAD, Calcium.RCA, Calcium.OTHER))


def drawn(*blocks: tuple[tuple[slice, slice, slice], int, float]) -> tuple[Volume, Floats32]:
    """Return a scan whose blocks are bright, and what the network says of each bright voxel: class and probability."""
    volume = Volume(np.full((4, 40, 40), 40.0, np.float32), Geometry.from_spacing((4, 40, 40), (3.0, 1.0, 1.0)))
    probability = np.zeros((*volume.hu.shape, len(BY_VESSEL)), np.float32)
    for place, index, chance in blocks:
        volume.hu[place] = 300.0
        probability[place] = (1 - chance) / (len(BY_VESSEL) - 1)
        probability[(*place, index)] = chance
    return volume, probability[volume.hu >= 130]


def weighed(*blocks: tuple[tuple[slice, slice, slice], int, float]) -> Weighed:
    volume, probability = drawn(*blocks)
    return weigh(volume, np.nonzero(volume.hu >= 130), probability, BY_VESSEL, SCCT_2016)


def block(
    rows: tuple[int, int], columns: tuple[int, int], slices: tuple[int, int] = (0, 2)
) -> tuple[slice, slice, slice]:
    return slice(*slices), slice(*rows), slice(*columns)


def test_a_plaque_with_a_few_voxels_of_another_opinion_is_one() -> None:
    """A voxel of annulus on the plaque's rim and one of LM in its middle: LAD all the same, and all of it counts."""
    found = weighed(
        (block((10, 14), (10, 20)), LAD, 0.9), (block((10, 11), (10, 11), (0, 1)), OTHER, 0.9),
        (block((12, 13), (14, 15), (1, 2)), LM, 0.9),
    )  # fmt: skip
    assert found.islands.count == 1
    assert found.agatston[0] == pytest.approx(2 * 40 * 3)
    counted = found.counted(0.5, 0.5)
    assert counted.tolist() == [True] and found.likeliest(counted).tolist() == [LAD]


def test_a_plaque_that_touches_the_annulus_is_cut_from_it() -> None:
    """A neck of 2 mm; each part gets its own decision and score."""
    found = weighed(
        (block((10, 16), (4, 12)), LAD, 0.9), (block((12, 14), (12, 13)), LAD, 0.6),
        (block((8, 18), (13, 21)), OTHER, 0.9),
    )  # fmt: skip
    counted = found.counted(0.5, 0.5)
    assert sorted(zip(counted.tolist(), found.likeliest(counted).tolist(), strict=True)) == [
        (False, OTHER), (True, LAD),
    ]  # fmt: skip
    assert found.agatston[counted] == pytest.approx(2 * (6 * 8 + 2) * 3)


def test_two_vessels_meet_in_one_island() -> None:
    found = weighed((block((10, 14), (4, 12)), LM, 0.9), (block((10, 14), (12, 24)), LAD, 0.9))
    counted = found.counted(0.5, 0.5)
    assert counted.all() and sorted(found.likeliest(counted).tolist()) == [LM, LAD]
    assert sorted(found.islands.voxels.tolist()) == [64, 96]


def test_a_part_in_doubt_stays_with_the_rest() -> None:
    found = weighed((block((10, 14), (4, 14)), LAD, 0.9), (block((10, 14), (14, 17)), RCA, 0.3))
    assert found.islands.count == 1


def test_bone_that_reaches_a_plaque_does_not_take_it_along() -> None:
    """A large island that is no calcium; a plaque of 36 mm2 stands on it, and a speck of noise."""
    found = weighed(
        (block((20, 38), (2, 38), (0, 4)), 0, 0.95), (block((14, 20), (10, 16)), RCA, 0.9),
        (block((19, 20), (30, 31), (0, 1)), RCA, 0.9),
    )  # fmt: skip
    counted = found.counted(0.5, 0.5)
    assert (counted.sum(), found.islands.count) == (1, 2)
    assert found.likeliest(counted)[counted].tolist() == [RCA]


def test_every_voxel_stays_in_one_part() -> None:
    """Random opinions in a large block: parts are connected and numbered without gaps; nothing is lost."""
    random = np.random.default_rng(1)
    volume, _ = drawn((block((0, 40), (0, 40), (0, 4)), 0, 0.5))
    probability = random.dirichlet(np.ones(6) * 0.3, volume.hu.size).astype(np.float32)
    islands = find_islands(volume, np.nonzero(volume.hu >= 130))
    found = cut(islands, probability)
    assert np.array_equal(found.voxel, islands.voxel)
    assert set(found.number.tolist()) == set(range(found.count))
    for number in range(found.count):
        part = np.zeros(found.count, bool)
        part[number] = True
        assert found.of(part).uncut().count == 1


def test_small_islands_need_more() -> None:
    found = weighed((block((10, 11), (10, 11), (0, 1)), LAD, 0.4), (block((20, 24), (10, 20)), LAD, 0.4))
    assert found.chance == pytest.approx([0.76, 0.76])
    assert found.counted(0.5, 0.9).tolist() == [False, True]
    assert found.counted(0.5, 0.5).tolist() == [True, True]


def test_nothing_to_weigh() -> None:
    found = weighed()
    assert (found.islands.count, found.chance.tolist(), found.counted(0.5, 0.9).tolist()) == (0, [], [])
