"""``ordered``: one function applied to many tasks in several processes; results in the order of the tasks.

If a process is killed (out of memory), ``concurrent.futures`` gives up all tasks; here only one task is lost.
"""

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from types import MappingProxyType
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

AHEAD = 2
"""Open tasks per worker: started, or done and waiting for an earlier one (own choice; it bounds their memory)."""


def _read_only(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)


ForkingPickler.register(MappingProxyType, lambda mapping: (_read_only, (dict(mapping),)))  # scores hold such mappings


@dataclass(frozen=True, slots=True)
class Failure:
    """A task that gave no result, and the reason."""

    reason: str
    traceback: str = ""


def ordered(
    function: Callable[[Task], Result], tasks: Iterable[Task], *, workers: int = 1
) -> Iterator[Result | Failure]:
    """Yield ``function(task)`` for each task, in order, or a ``Failure`` if it raised or its process died.

    With one worker, the tasks run in this process. With more, each worker is a new process (spawn): ``function`` and
    tasks must be picklable, and a script must call this under ``if __name__ == "__main__"``. Workers end when this
    process ends.
    """
    if workers == 1:
        yield from (_attempt(function, task) for task in tasks)
        return
    pool = _Pool(function, workers)
    try:
        yield from pool.results(iter(tasks))
    finally:
        pool.terminate()


def _attempt(function: Callable[[Task], Result], task: Task) -> Result | Failure:
    try:
        return function(task)
    except Exception as problem:
        return Failure(f"{type(problem).__name__}: {problem}", traceback.format_exc())


class _Worker:
    """A worker process and the pipe to it."""

    def __init__(self, function: Callable[[Any], Any], threads: int) -> None:
        context = get_context("spawn")
        self.pipe, remote = context.Pipe()
        self.process = context.Process(target=_work, args=(remote, function, threads), daemon=True)
        self.process.start()
        remote.close()

    def result(self) -> Any:
        """Return the result of the task, or a ``Failure`` if the process died."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return Failure(
                f"its process ended with exit code {self.process.exitcode} (-9: killed, usually out of memory)"
            )


class _Pool(Generic[Task, Result]):
    """The workers and their tasks."""

    def __init__(self, function: Callable[[Task], Result], workers: int) -> None:
        self.function, self.threads = function, max(1, (os.cpu_count() or 1) // workers)
        self.idle = [_Worker(function, self.threads) for _ in range(workers)]
        self.busy: dict[object, tuple[int, _Worker]] = {}  # by pipe: number of the task, worker
        self.most_open = AHEAD * workers

    def results(self, tasks: Iterator[Task]) -> Iterator[Result | Failure]:
        """Yield results in order; new tasks start before each result is yielded, so that workers need not wait."""
        ready: dict[int, Result | Failure] = {}
        started = due = 0
        more = True
        while True:
            while more and self.idle and started - due < self.most_open:
                more = self._start(started, tasks)
                started += more
            if due in ready:
                yield ready.pop(due)
                due += 1
            elif due == started:
                return
            else:
                ready |= dict(self._finished())

    def _start(self, number: int, tasks: Iterator[Task]) -> bool:
        """Send the next task to an idle worker; return False if there is none."""
        for task in tasks:
            worker = self.idle.pop()
            if not worker.process.is_alive():
                worker = _Worker(self.function, self.threads)
            with suppress(OSError):  # it has just died: ``result`` will say so
                worker.pipe.send(task)
            self.busy[worker.pipe] = (number, worker)
            return True
        return False

    def _finished(self) -> Iterator[tuple[int, Result | Failure]]:
        """Wait for a result, and yield all that are ready."""
        for pipe in connection.wait([worker.pipe for _, worker in self.busy.values()]):
            number, worker = self.busy.pop(pipe)
            self.idle.append(worker)
            yield number, worker.result()

    def terminate(self) -> None:
        """End all processes, idle or busy."""
        for worker in (*self.idle, *(worker for _, worker in self.busy.values())):
            worker.process.terminate()
            worker.process.join()
            worker.pipe.close()


def _work(pipe: Connection, function: Callable[[Any], Any], threads: int) -> None:
    """Run in the worker: receive tasks and send results until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    threading.Thread(target=end_with_parent, daemon=True).start()
    _share_cores(threads)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        pipe.send(_attempt(function, task))


def end_with_parent() -> None:
    """End this worker with its parent; a killed parent cannot end it, and its task would run on beside the next run."""
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _share_cores(threads: int) -> None:
    """Limit the threads of numba's kernels, if numba is installed, so that all workers get their share of the cores."""
    try:
        import numba
    except ImportError:
        return
    numba.set_num_threads(min(threads, numba.get_num_threads()))
