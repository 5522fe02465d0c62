"""``ordered``: the same function of many tasks, in processes that may die; results in the tasks' order.

``concurrent.futures`` gives up everything where one process is killed (for memory); here that costs one task.
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
"""Results that a worker may be ahead of the slowest (own choice: it bounds the memory of those that wait)."""


def _read_only(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)


ForkingPickler.register(MappingProxyType, lambda mapping: (_read_only, (dict(mapping),)))  # scores hold some


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task gave no result."""

    reason: str
    traceback: str = ""


def ordered(
    function: Callable[[Task], Result], tasks: Iterable[Task], *, workers: int = 1
) -> Iterator[Result | Failure]:
    """Yield ``function(task)`` for each task, in order; a ``Failure`` where it raised or its process died.

    One worker is this process. More are processes of their own, started afresh (spawn), so ``function`` and tasks must
    be picklable, and a script must call this under ``if __name__ == "__main__"``. They end when this process does.
    """
    if workers == 1:
        yield from (_attempt(function, task) for task in tasks)
        return
    crew = _Crew(function, workers)
    try:
        yield from crew.results(iter(tasks))
    finally:
        crew.dismiss()


def _attempt(function: Callable[[Task], Result], task: Task) -> Result | Failure:
    try:
        return function(task)
    except Exception as problem:
        return Failure(f"{type(problem).__name__}: {problem}", traceback.format_exc())


class _Worker:
    """A process and its pipe."""

    def __init__(self, function: Callable[[Any], Any], threads: int) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, function, threads), daemon=True)
        self.process.start()
        theirs.close()

    def result(self) -> Any:
        """What came back; a ``Failure`` where the process died."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return Failure(f"its process ended with exit code {self.process.exitcode} (-9: killed, mostly for memory)")


class _Crew(Generic[Task, Result]):
    """The workers, and what each is doing."""

    def __init__(self, function: Callable[[Task], Result], workers: int) -> None:
        self.function, self.threads = function, max(1, (os.cpu_count() or 1) // workers)
        self.idle = [_Worker(function, self.threads) for _ in range(workers)]
        self.busy: dict[object, tuple[int, _Worker]] = {}  # by the worker's pipe
        self.most_open = AHEAD * workers

    def results(self, tasks: Iterator[Task]) -> Iterator[Result | Failure]:
        """Hand out tasks before a result is given away, so that nobody waits for who takes it."""
        ready: dict[int, Result | Failure] = {}
        given = due = 0
        more = True
        while True:
            while more and self.idle and given - due < self.most_open:
                more = self._give(given, tasks)
                given += more
            if due in ready:
                yield ready.pop(due)
                due += 1
            elif due == given:
                return
            else:
                ready |= dict(self._returned())

    def _give(self, number: int, tasks: Iterator[Task]) -> bool:
        """Whether there was a task left to give."""
        for task in tasks:
            worker = self.idle.pop()
            if not worker.process.is_alive():
                worker = _Worker(self.function, self.threads)
            with suppress(OSError):  # it has just died: its result will tell
                worker.pipe.send(task)
            self.busy[worker.pipe] = (number, worker)
            return True
        return False

    def _returned(self) -> Iterator[tuple[int, Result | Failure]]:
        """Wait for a result; take all that are there."""
        for pipe in connection.wait([worker.pipe for _, worker in self.busy.values()]):
            number, worker = self.busy.pop(pipe)
            self.idle.append(worker)
            yield number, worker.result()

    def dismiss(self) -> None:
        """End all processes, whatever they do."""
        for worker in (*self.idle, *(worker for _, worker in self.busy.values())):
            worker.process.terminate()
            worker.process.join()
            worker.pipe.close()


def _work(pipe: Connection, function: Callable[[Any], Any], threads: int) -> None:
    """In the worker: tasks in, results out, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _share_cores(threads)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        pipe.send(_attempt(function, task))


def _end_with_parent() -> None:
    """A killed parent cannot end its workers; half-made studies would go on beside those of the next run."""
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _share_cores(threads: int) -> None:
    """Leave the other workers their cores, where numba's kernels are installed at all."""
    try:
        import numba
    except ImportError:
        return
    numba.set_num_threads(min(threads, numba.get_num_threads()))
