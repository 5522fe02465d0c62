"""Components compared with scipy's labelling, the oracle here, which is not needed at run time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ctacal.components import join, parts

STRUCTURES = {
    4: np.array([[[0] * 3] * 3, [[0, 1, 0], [1, 1, 1], [0, 1, 0]], [[0] * 3] * 3]),
    6: ndimage.generate_binary_structure(3, 1),
    8: np.array([[[0] * 3] * 3, [[1] * 3] * 3, [[0] * 3] * 3]),
}


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(*[st.integers(1, 8)] * 3), st.floats(0, 1), st.sampled_from([4, 6, 8]))
def test_parts_are_those_of_scipy(seed: int, shape: tuple[int, int, int], density: float, neighbours: int) -> None:
    mask = np.random.default_rng(seed).random(shape) < density
    expected, count = ndimage.label(mask, STRUCTURES[neighbours])
    found = parts(mask, neighbours)  # type: ignore[arg-type]
    assert found.count == count
    assert np.array_equal(found.number + 1, expected[mask])
    assert found.sizes.sum() == mask.sum()
    assert np.array_equal(found.mask_of(np.arange(count) == 0), expected == 1)


def test_a_single_slice_is_a_mask_too() -> None:
    mask = np.eye(5, dtype=bool)
    assert parts(mask, 8).count == 1
    assert parts(mask, 4).count == 5
    assert parts(mask, 4).mask_of(np.ones(5, bool)).shape == (5, 5)


@pytest.mark.parametrize("n", [1, 2, 1000, 4097])
def test_long_chains_join_whatever_their_order(n: int) -> None:
    """A chain in random order is the worst case of joining by the lowest neighbour."""
    order = np.random.default_rng(n).permutation(n)
    assert join(n, (order[:-1], order[1:])).tolist() == [0] * n
    assert join(n, (order[:0], order[:0])).tolist() == list(range(n))
