"""``side_by_side``: several pieces of work at a time in this process, the cores shared out among them.

Kernels that numba runs in parallel leave cores idle between them; two streams of work do not. All kernels release
Python's lock.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numba

Result = TypeVar("Result")

AT_A_TIME = 2
"""More would gain little on many cores, where kernels are parallel themselves, and take more memory (own choice)."""


def side_by_side(work: Sequence[Callable[[], Result]]) -> Iterator[Result]:
    """Yield what each piece of work returns, in order; one after the other where numba has but one core or thread."""
    cores = numba.get_num_threads()
    for_one_alone = numba.threading_layer() == "workqueue"  # type: ignore[attr-defined]  # two threads would abort
    if min(cores, len(work)) < AT_A_TIME or for_one_alone:
        yield from (piece() for piece in work)
        return
    with ThreadPoolExecutor(AT_A_TIME, initializer=numba.set_num_threads, initargs=(cores // AT_A_TIME,)) as pool:
        yield from pool.map(lambda piece: piece(), work)
