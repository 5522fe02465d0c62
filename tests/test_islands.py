"""Islands: voxels that touch are one, in plane by the rule's neighbours, from slice to slice also by a corner."""

import numpy as np
import pytest

from ctacal.geometry import Geometry
from ctacal.islands import find_islands, neighbours
from ctacal.labels import Calcium, LabelMap
from ctacal.lesion import find_lesions
from ctacal.scores import SCCT_2016, component_agatston
from ctacal.volume import Volume


def scan(*bright: tuple[int, int, int], hu: float = 300.0) -> tuple[Volume, tuple[np.ndarray, ...]]:
    """Return a scan of 4 x 6 x 6 voxels of 3 x 1 x 2 mm in which these voxels are bright, and their places."""
    volume = Volume(np.full((4, 6, 6), 40.0, np.float32), Geometry.from_spacing((4, 6, 6), (3.0, 1.0, 2.0)))
    for place in bright:
        volume.hu[place] = hu
    return volume, np.nonzero(volume.hu >= 130)


def test_what_touches_is_one_island() -> None:
    volume, at = scan((0, 0, 0), (0, 1, 1), (1, 2, 2), (2, 4, 4), (3, 5, 5), (0, 0, 5), (0, 1, 0))
    assert find_islands(volume, at).number.tolist() == [0, 1, 0, 0, 0, 2, 2]
    four = find_islands(volume, at, connectivity=4).number
    assert four.tolist() == [0, 1, 0, 0, 0, 2, 2], "the corner is bridged by its neighbour"
    corner, places = scan((0, 0, 0), (0, 1, 1))
    assert [find_islands(corner, places, connectivity=n).count for n in (4, 8)] == [2, 1]


def test_no_island_goes_round_the_edge_of_the_picture() -> None:
    volume, at = scan((0, 0, 5), (0, 1, 0), (0, 5, 3), (1, 0, 3))
    islands = find_islands(volume, at)
    assert islands.count == 4
    assert not neighbours(islands)[0].size


def test_nothing_bright_is_no_island() -> None:
    islands = find_islands(*scan())
    assert (islands.count, len(islands.lesions())) == (0, 0)


def test_another_connectivity_is_refused() -> None:
    with pytest.raises(ValueError, match="connectivity must be 4 or 8"):
        find_islands(*scan((0, 0, 0)), connectivity=6)


def test_neighbours_share_faces() -> None:
    volume, at = scan((1, 2, 2), (2, 2, 2), (1, 3, 2), (1, 2, 3), (2, 3, 3))
    a, b, area_mm2 = neighbours(find_islands(volume, at))
    pairs = {(int(i), int(j)): float(mm2) for i, j, mm2 in zip(a, b, area_mm2, strict=True)}
    assert pairs[0, 3] == 1.0 * 2.0, "from slice to slice"
    assert pairs[0, 2] == 3.0 * 2.0, "from row to row"
    assert pairs[0, 1] == 3.0 * 1.0, "from column to column"
    assert pairs[1, 2] == pairs[0, 4] == 0.0, "by an edge and by a corner"


def test_islands_score_as_lesions_do() -> None:
    """Random bright voxels; the components of an island that was cut in two score apart."""
    random = np.random.default_rng(4)
    volume = Volume(random.normal(100, 60, (5, 30, 30)).astype(np.float32),
                    Geometry.from_spacing((5, 30, 30), (3.0, 1.0, 1.0)))  # fmt: skip
    at = np.nonzero(volume.hu >= 130)
    found = find_islands(volume, at).lesions()
    labels = LabelMap(np.where(volume.hu >= 130, np.uint8(Calcium.OTHER), np.uint8(0)), volume.geometry)
    expected = find_lesions(volume, labels)
    for name in ("lesion", "label", "slice_index", "pixels", "peak_hu", "mean_hu", "centroid"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), err_msg=name)


def test_islands_that_are_chosen_and_cut() -> None:
    volume, at = scan((0, 0, 0), (0, 0, 1), (0, 0, 2), (2, 4, 4))
    islands = find_islands(volume, at)
    assert islands.of(np.array([False, True])).number.tolist() == [0]
    halves = type(islands)(islands.voxel, islands.hu, np.array([0, 1, 1, 2]), islands.geometry)
    lesions = halves.lesions()
    assert lesions.pixels.tolist() == [1, 2, 1]
    assert lesions.summed(component_agatston(lesions, SCCT_2016)).tolist() == [6.0, 12.0, 6.0]
    assert halves.uncut().number.tolist() == islands.number.tolist()
    assert halves.summed(np.array([[1.0], [2.0], [3.0], [4.0]])).tolist() == [[1.0], [5.0], [4.0]]
