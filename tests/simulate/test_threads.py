"""Two pieces of work in threads: results in order, cores shared, errors raised."""

import threading
from functools import partial

import numba
import pytest

from ctacal.simulate.threads import both, side_by_side

CORES = numba.get_num_threads()


def threads_and_id() -> tuple[int, int]:
    """Return the number of numba threads and the id of this thread."""
    return numba.get_num_threads(), threading.get_ident()


def raised() -> None:
    raise ValueError("no heart")


def test_results_come_in_order() -> None:
    assert list(side_by_side([partial(pow, n, 2) for n in range(7)])) == [0, 1, 4, 9, 16, 25, 36]
    assert list(side_by_side([])) == []
    assert both(partial(pow, 2, 3), partial(str, 5)) == (8, "5")


@pytest.mark.skipif(CORES < 2, reason="needs two cores")
def test_two_at_a_time_share_the_cores() -> None:
    assert {threads for threads, _ in side_by_side([threads_and_id] * 4)} == {CORES // 2}
    assert both(threads_and_id, threads_and_id)[0] == (CORES, threading.get_ident()), (
        "the long one stays in this thread"
    )
    assert numba.get_num_threads() == CORES


def test_one_core_does_the_work_in_turn() -> None:
    numba.set_num_threads(1)
    try:
        here = (1, threading.get_ident())
        assert [*side_by_side([threads_and_id] * 3), *both(threads_and_id, threads_and_id)] == [here] * 5
    finally:
        numba.set_num_threads(CORES)


def test_an_error_comes_through() -> None:
    with pytest.raises(ValueError, match="no heart"):
        list(side_by_side([raised, raised]))
    with pytest.raises(ValueError, match="no heart"):
        both(partial(pow, 2, 3), raised)
