"""``OpenCases``: the few scans that are decoded at the moment; what was used longest ago makes room for the next."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from ctacal.jobs.reading_cases import Case, OpenCase, open_case

MAX_BYTES = 150_000_000
"""Memory for decoded scans: three of the largest usual ones (512 x 512 x 90), or twenty small ones."""

FEWEST = 2
"""This many stay, however large they are: the scan that is read and the next one."""


class OpenCases:
    """Decoded scans by the name of their case; several threads may ask for one, and it is decoded once."""

    def __init__(self, opener: Callable[[Case], OpenCase] = open_case, max_bytes: int = MAX_BYTES) -> None:
        self._opener, self._max_bytes = opener, max_bytes
        self._found: dict[str, Future[OpenCase]] = {}
        self._lock = Lock()
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="prefetch")

    def get(self, case: Case) -> OpenCase:
        """Return the decoded scan. Raises ``Refusal`` if it cannot be read."""
        with self._lock:
            future = self._found.pop(case.id, None)
            mine = future is None
            if future is None:
                future = Future()
            self._found[case.id] = future  # the newest is last
        if mine:
            self._fill(case, future)
        return future.result()

    def prefetch(self, case: Case) -> None:
        """Decode a scan in the background."""
        self._ahead.submit(self.get, case)

    def close(self) -> None:
        """Wait for what is being decoded."""
        self._ahead.shutdown(cancel_futures=True)

    def _fill(self, case: Case, future: "Future[OpenCase]") -> None:
        try:
            future.set_result(self._opener(case))
        except BaseException as problem:
            with self._lock:
                self._found.pop(case.id, None)  # a file that was put back is tried again
            future.set_exception(problem)
            return
        with self._lock:
            self._make_room()

    def _make_room(self) -> None:
        done = {name: future.result().bytes for name, future in self._found.items() if _is_open(future)}
        for name in list(done)[:-FEWEST]:
            if sum(done.values()) <= self._max_bytes:
                return
            del self._found[name], done[name]


def _is_open(future: "Future[OpenCase]") -> bool:
    return future.done() and future.exception() is None
