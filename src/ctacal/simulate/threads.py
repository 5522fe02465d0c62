"""``side_by_side``, ``both``: pieces of work at a time in this process.

Kernels that numba runs in parallel leave cores idle between them; two streams of work do not. All kernels release
Python's lock.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numba

Result = TypeVar("Result")
Other = TypeVar("Other")

AT_A_TIME = 2
"""More would gain little on many cores, where kernels are parallel themselves, and take more memory (own choice)."""


def side_by_side(work: Sequence[Callable[[], Result]]) -> Iterator[Result]:
    """Yield what each piece of work returns, in order; two at a time share out the cores, where there are two."""
    if len(work) < AT_A_TIME or not _may_be_two():
        yield from (piece() for piece in work)
        return
    cores = numba.get_num_threads() // AT_A_TIME
    with ThreadPoolExecutor(AT_A_TIME, initializer=numba.set_num_threads, initargs=(cores,)) as pool:
        yield from pool.map(lambda piece: piece(), work)


def both(long: Callable[[], Result], short: Callable[[], Other]) -> tuple[Result, Other]:
    """What the two return; ``short`` is done beside ``long``, which may use all cores when it is left alone."""
    if not _may_be_two():
        return long(), short()
    with ThreadPoolExecutor(1, initializer=numba.set_num_threads, initargs=(1,)) as pool:
        beside: Any = pool.submit(short)
        return long(), beside.result()


def _may_be_two() -> bool:
    """Two cores at least, and a threading layer that more than one thread may use: workqueue would abort."""
    return numba.get_num_threads() >= AT_A_TIME and numba.threading_layer() != "workqueue"  # type: ignore[attr-defined]
