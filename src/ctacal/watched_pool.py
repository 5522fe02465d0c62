"""``WatchedPool``: tasks performed by several watched processes; results come as they finish.

A task that ends its process, or takes too much memory or time, is tried three times, then it is a ``Failed`` with the
reason. Each process fetches its next task while it performs one. Tasks are taken from an iterator only when a process
is free for them, so that there may be a million.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import connection
from typing import Generic, Self

from ctacal.cores import cores
from ctacal.cores import processes as most_processes
from ctacal.errors import UsageError
from ctacal.watched import Answer, Duty, Failed, Limits, Task, Watched, Why

DEFAULT_LIMITS = Limits()

ATTEMPTS = 3
"""A task that has ended its process this often is given up."""
STOP_S = 8.0
"""Time that ``stop`` leaves for the tasks in hand (own choice: schedulers may kill a job 10 s after SIGTERM)."""
_USUAL_MB = 700
"""Memory of a process that scores, at most, but for unusual scans (docs/speed.md)."""
_LOOK_S = 0.2
"""How often the memory and the time of the processes are looked at."""
_AHEAD = 2
"""Tasks that a process is given: one to perform and one to fetch."""
_STRIKES = (Why.ENDED, Why.MEMORY, Why.TIME)

_log = logging.getLogger("ctacal")


@dataclass(frozen=True, slots=True)
class Finished(Generic[Task, Answer]):
    """What came of a task."""

    number: int
    """Place of the task in the order in which tasks were given, from 0."""
    task: Task
    answer: Answer | Failed
    strikes: tuple[Failed, ...] = ()
    """Earlier attempts that ended their process."""


@dataclass(eq=False, slots=True)
class _Open(Generic[Task]):
    """A task that has no answer yet."""

    number: int
    task: Task
    strikes: tuple[Failed, ...] = ()


@dataclass(eq=False, slots=True)
class _Seat(Generic[Task, Answer]):
    """The place of a process, and its open tasks, the one in hand first."""

    worker: Watched[Task, Answer] | None = None
    open: deque[_Open[Task]] = field(default_factory=deque)
    failed_starts: int = 0

    def may_have(self, one: _Open[Task]) -> bool:
        """Whether the process can be given a task now; one that has ended a process stays alone."""
        if not self.worker or not self.worker.is_ready or not self.worker.is_fit():
            return False
        return not self.open or not (one.strikes or self.open[0].strikes)

    def give(self, one: _Open[Task]) -> None:
        """Give the process a task."""
        assert self.worker is not None
        self.open.append(one)
        self.worker.give(one.task)

    def end(self) -> list[_Open[Task]]:
        """Kill the process, if there is one; return the tasks that it had."""
        if self.worker:
            self.worker.end()
            self.worker = None
        left = list(self.open)
        self.open.clear()
        return left


class WatchedPool(Generic[Task, Answer]):
    """Watched processes, which start with the first task. A context manager: they end with its block."""

    def __init__(
        self,
        begin: Callable[[], Duty[Task, Answer]],
        *,
        processes: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
        attempts: int = ATTEMPTS,
        on_strike: Callable[[Task, Failed], object] = lambda _task, _failed: None,
    ) -> None:
        """``begin`` runs in each process (spawn) and must be picklable; ``processes`` defaults to one for each core,
        as far as the memory suffices.

        ``on_strike`` is called after each attempt that ended its process, before the task is tried again.
        """
        self.processes = processes or most_processes(_USUAL_MB)
        self._begin, self._limits, self._attempts, self._on_strike = begin, limits, attempts, on_strike
        self._threads = max(1, cores() // self.processes)
        self._seats: list[_Seat[Task, Answer]] = [_Seat() for _ in range(self.processes)]
        self._waiting: deque[_Open[Task]] = deque()
        self._stop_at: float | None = None
        self._why_none = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill all processes."""
        for seat in self._seats:
            self._waiting.extend(seat.end())

    def stop(self, within_s: float = STOP_S) -> None:
        """Give no more tasks, and let ``results`` end within so many seconds; a signal handler may call it."""
        self._stop_at = time.monotonic() + within_s

    @property
    def unfinished(self) -> list[Task]:
        """The tasks that were taken and gave no result, once ``results`` has ended or the pool is closed."""
        return [one.task for one in sorted(self._waiting, key=lambda one: one.number)]

    def results(self, tasks: Iterable[Task]) -> Iterator[Finished[Task, Answer]]:
        """Yield what comes of each task, as they finish (``in_order`` sorts them).

        Raises ``UsageError`` if no process can begin, as when there is no model.
        """
        numbered = (_Open(number, task) for number, task in enumerate(tasks))
        look_at = 0.0
        while self._goes_on(numbered):
            if self._stop_at is None:
                self._start_processes()
                self._give_out()
            yield from self._answered(self._with_message())
            if time.monotonic() >= look_at:
                yield from self._answered(self._seats)
                look_at = time.monotonic() + _LOOK_S
        if self._stop_at is not None:
            self.close()

    def _goes_on(self, numbered: Iterator[_Open[Task]]) -> bool:
        """Take tasks so that every process finds one waiting; return False if all are done, or the pool is to stop."""
        some_open = any(seat.open for seat in self._seats)
        if self._stop_at is not None:
            return some_open and time.monotonic() < self._stop_at
        if not self._seats:
            raise UsageError(self._why_none)
        self._waiting.extend(islice(numbered, max(0, _AHEAD * self.processes - len(self._waiting))))
        return some_open or bool(self._waiting)

    def _start_processes(self) -> None:
        """Start as many processes as there are tasks waiting, and end those that keep too much memory."""
        for seat in self._seats:
            if seat.worker and not seat.open and not seat.worker.is_fit():
                seat.end()
        idle = sum(1 for seat in self._seats if seat.worker and not seat.open)
        for seat in self._seats:
            if not seat.worker and idle < len(self._waiting):
                seat.worker = Watched.started(self._begin, self._limits, threads=self._threads)
                idle += 1

    def _give_out(self) -> None:
        """Give a task to each process that has none; once all have one, give one ahead."""
        for ahead in range(_AHEAD):
            for seat in self._seats:
                if self._waiting and len(seat.open) == ahead and seat.may_have(self._waiting[0]):
                    seat.give(self._waiting.popleft())
            if not all(seat.open for seat in self._seats):  # one is starting: it shall find a task
                return

    def _with_message(self) -> list[_Seat[Task, Answer]]:
        """Wait until a process says something, or it is time to look at all; return the places of those that do."""
        by_pipe: dict[object, _Seat[Task, Answer]] = {seat.worker.pipe: seat for seat in self._seats if seat.worker}
        pipes = [seat.worker.pipe for seat in self._seats if seat.worker]
        return [by_pipe[pipe] for pipe in connection.wait(pipes, _LOOK_S)]

    def _answered(self, seats: Iterable[_Seat[Task, Answer]]) -> Iterator[Finished[Task, Answer]]:
        for seat in list(seats):
            if (finished := self._finished(seat)) is not None:
                yield finished

    def _finished(self, seat: _Seat[Task, Answer]) -> Finished[Task, Answer] | None:
        """Return what came of the task that a process has in hand, if it is done."""
        if not seat.worker:
            return None
        try:
            answer = seat.worker.answer(0)
        except UsageError as problem:
            self._start_failed(seat, problem)
            return None
        if answer is None:
            seat.failed_starts = 0 if seat.worker.is_ready else seat.failed_starts
            return None
        if not seat.open:  # it ended without a task
            seat.end()
            return None
        one = seat.open.popleft()
        if isinstance(answer, Failed) and answer.why in _STRIKES:
            return self._struck(seat, one, answer)
        return Finished(one.number, one.task, answer, one.strikes)

    def _struck(self, seat: _Seat[Task, Answer], one: _Open[Task], failed: Failed) -> Finished[Task, Answer] | None:
        """End the process and let its other tasks wait again; give the task up if this was the last attempt."""
        self._waiting.extendleft(reversed(seat.end()))
        self._on_strike(one.task, failed)
        if len(one.strikes) + 1 >= self._attempts:
            return Finished(one.number, one.task, failed, one.strikes)
        self._waiting.appendleft(_Open(one.number, one.task, (*one.strikes, failed)))
        return None

    def _start_failed(self, seat: _Seat[Task, Answer], problem: UsageError) -> None:
        """Go on with fewer processes if one cannot start, as when memory does not suffice for all."""
        seat.end()
        seat.failed_starts += 1
        if seat.failed_starts >= ATTEMPTS:
            _log.warning("%s; %d processes go on", problem, len(self._seats) - 1)
            self._seats.remove(seat)
            self._why_none = str(problem)


def in_order(finished: Iterable[Finished[Task, Answer]]) -> Iterator[Finished[Task, Answer]]:
    """Yield results in the order of their tasks; those that come before their turn are kept."""
    early: dict[int, Finished[Task, Answer]] = {}
    due = 0
    for one in finished:
        early[one.number] = one
        while due in early:
            yield early.pop(due)
            due += 1
