"""``side_by_side``, ``both``: two pieces of work at the same time in this process.

Kernels that numba runs in parallel leave cores idle between them; two streams of work use them. All kernels release
the global interpreter lock.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numba

Result = TypeVar("Result")
Other = TypeVar("Other")

AT_A_TIME = 2
"""Number of threads. More would gain little, because the kernels are parallel themselves, and take more memory (own
choice)."""


def side_by_side(work: Sequence[Callable[[], Result]]) -> Iterator[Result]:
    """Yield the result of each piece of work, in order; two run at a time and share the cores, if there are two."""
    if len(work) < AT_A_TIME or not _may_be_two():
        yield from (piece() for piece in work)
        return
    cores = numba.get_num_threads() // AT_A_TIME
    with ThreadPoolExecutor(AT_A_TIME, initializer=numba.set_num_threads, initargs=(cores,)) as pool:
        yield from pool.map(lambda piece: piece(), work)


def both(long: Callable[[], Result], short: Callable[[], Other]) -> tuple[Result, Other]:
    """Return both results; ``short`` runs beside ``long``, which uses all cores after ``short`` has ended."""
    if not _may_be_two():
        return long(), short()
    with ThreadPoolExecutor(1, initializer=numba.set_num_threads, initargs=(1,)) as pool:
        beside: Any = pool.submit(short)
        return long(), beside.result()


def _may_be_two() -> bool:
    """Whether there are two cores and a threading layer that several threads may use: workqueue would abort."""
    return numba.get_num_threads() >= AT_A_TIME and numba.threading_layer() != "workqueue"  # type: ignore[attr-defined]
