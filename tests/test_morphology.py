"""Growing, opening and hulls of masks do what their definitions say."""

import numpy as np
from scipy import ndimage

from ctacal.arrays import Mask
from ctacal.morphology import convex_hulls, extent, grown, grown_along_slices, large_parts, largest_part, opened


def disc(radius: float, size: int = 41) -> Mask:
    rows, columns = np.mgrid[:size, :size] - size // 2
    return np.asarray(np.hypot(rows, columns)[None] <= radius)


def test_growing_a_point_makes_an_octagon_between_two_discs() -> None:
    point = disc(0)
    for radius in (3, 8, 15):
        octagon = grown(point, float(radius), 1.0)
        assert not (octagon & ~disc(1.12 * radius)).any()
        assert not (disc(radius) & ~octagon).any()


def test_opening_removes_what_is_thin_and_keeps_the_rest() -> None:
    mask = disc(12)
    mask[0, 20, :] = True  # a thread across the grid
    kept = opened(mask, 4.0, 1.0)
    assert not (kept & ~mask).any()
    assert not kept[0, 20, [0, 40]].any()
    assert (kept & disc(12)).sum() > 0.97 * disc(12).sum()


def test_opening_takes_the_outside_of_the_grid_for_no_mask() -> None:
    mask = np.ones((1, 5, 41), bool)
    assert not opened(mask, 4.0, 1.0).any()


def test_hull_is_convex_and_holds_the_mask() -> None:
    random = np.random.default_rng(0)
    mask = np.zeros((4, 30, 40), bool)
    mask[1:3] = random.random((2, 30, 40)) > 0.99
    hulls = convex_hulls(mask, (1.0, 2.0))
    assert not (mask & ~hulls).any()
    assert not hulls[[0, 3]].any()
    for plane in hulls[1:3]:
        assert ndimage.label(plane)[1] == 1
        for row in plane:
            assert np.count_nonzero(np.diff(row.astype(int))) <= 2  # no hole in any row
    assert not convex_hulls(np.zeros((2, 3, 4), bool), (1.0, 1.0)).any()


def test_hull_of_two_points_is_their_line() -> None:
    mask = np.zeros((1, 9, 9), bool)
    mask[0, 4, [1, 7]] = True
    assert np.array_equal(np.argwhere(convex_hulls(mask, (1.0, 1.0))[0]), [(4, column) for column in range(1, 8)])


def test_parts_extent_and_slices() -> None:
    mask = np.zeros((5, 10, 10), bool)
    mask[2, 1:3, 1:3], mask[2, 5:9, 5:9] = True, True
    assert largest_part(mask).sum() == 16
    assert large_parts(mask, 0.01, (1.0, 1.0, 1.0)).sum() == 16
    assert large_parts(mask, 0.004, (1.0, 1.0, 1.0)).sum() == 20
    assert (extent(mask, 0), extent(mask, 1), extent(~mask & mask, 2)) == (slice(2, 3), slice(1, 9), slice(0, 0))
    assert grown_along_slices(mask, 1).any(axis=(1, 2)).tolist() == [False, True, True, True, False]
    assert not largest_part(np.zeros((2, 3, 4), bool)).any()
