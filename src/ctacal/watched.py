"""``Watched``: a child process that performs task after task, and is watched from outside.

A task that takes too much memory or time, or that ends its process, costs itself and no other. The child fetches the
next task while it performs one. It ends with its parent, and leaves Ctrl-C and SIGTERM to it.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from pickle import PicklingError
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from ctacal.cores import limit_cores
from ctacal.errors import CtacalError, UsageError, system_message, trace
from ctacal.workers import end_with_parent

Task = TypeVar("Task")
Answer = TypeVar("Answer")

START_S = 300.0
"""Time for a process to begin: to import its libraries and to load a model (own choice)."""
_EXIT_S = 5.0
"""Time for a process that has closed its pipe to end by itself."""
_FIRST_TO_GO = 500
"""Added to the child's badness, so that Linux ends it and not its parent if memory runs out (proc(5))."""
_SIGNALS = {signal.SIGINT, signal.SIGTERM}


class Why(StrEnum):
    """Why a task gave no answer."""

    ENDED = "ended"
    """Its process ended."""
    MEMORY = "memory"
    """It took too much memory."""
    TIME = "time"
    """It took too long."""
    REQUEST = "request"
    """It asks for what is impossible: a ``CtacalError``."""
    DEFECT = "defect"
    """It met a defect of ctacal."""
    SYSTEM = "system"
    """The disk failed or the like: an ``OSError``, which is no fault of the task."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A task without an answer, and why."""

    why: Why
    reason: str
    """A line for people to read."""
    traceback: str = ""
    problem: OSError | None = None
    """The error of the system, if ``why`` is ``SYSTEM``."""

    @property
    def is_of_task(self) -> bool:
        """False: the disk failed or the like, and the task may be tried again later."""
        return self.why is not Why.SYSTEM


@dataclass(frozen=True, slots=True)
class Limits:
    """What one task may take."""

    memory_mb: int = 4096
    time_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Duty(Generic[Task, Answer]):
    """What a watched process does with each task: ``perform`` is given what ``fetch`` returns."""

    perform: Callable[[Any], Answer]
    fetch: Callable[[Task], Any] = lambda task: task
    """Runs in a thread beside the task before. It may read ahead, and must need little of the processor."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """What the child says once it has begun; ``problem``: why it could not."""

    problem: str = ""


@dataclass(eq=False)
class Watched(Generic[Task, Answer]):
    """A child process and the pipe to it. ``began`` returns a new one; ``end`` it when it is not needed any more."""

    process: SpawnProcess
    pipe: Connection
    limits: Limits
    is_ready: bool = field(default=False, init=False)
    """Whether it has begun, and can be given a task."""
    open: int = field(default=0, init=False)
    """Number of tasks that it was given and has not answered."""
    _since: float = field(default_factory=time.monotonic, init=False)
    """When the task in hand began, or the process itself."""
    _outgoing: "SimpleQueue[memoryview | None]" = field(default_factory=SimpleQueue, init=False)

    @classmethod
    def started(
        cls, begin: Callable[[], Duty[Task, Answer]], limits: Limits, *, threads: int, name: str = "scoring"
    ) -> "Watched[Task, Answer]":
        """Start a process (spawn). It calls ``begin``, which must be picklable (``can_be_sent``), and may use so many
        cores."""
        first = ForkingPickler.dumps(begin)  # here: an error in the thread that sends would be lost
        context = get_context("spawn")
        pipe, remote = context.Pipe()
        process = context.Process(target=_serve, args=(remote, threads), name=name)
        with _signals_blocked():  # the child inherits it, and is not ended at its start
            process.start()
        remote.close()
        watched: Watched[Task, Answer] = cls(process, pipe, limits)
        threading.Thread(target=watched._send_all, daemon=True, name=f"to {name} {process.pid}").start()
        watched._outgoing.put(first)
        return watched

    def _send_all(self) -> None:
        """Send what is put in ``_outgoing``: a child that hangs reads nothing, and must not stop its parent."""
        with suppress(OSError):  # it has just died: ``answer`` says so
            while (message := self._outgoing.get()) is not None:
                self.pipe.send_bytes(message)

    def give(self, task: Task) -> None:
        """Give it a task. It performs one after the other, and fetches the next one meanwhile."""
        if not self.open:
            self._since = time.monotonic()
        self.open += 1
        self._outgoing.put(ForkingPickler.dumps(task))

    def answer(self, wait_s: float) -> Answer | Failed | None:
        """Return what came of the oldest open task; None if nothing has within so many seconds.

        A process that has taken too much is killed. Once a ``Failed`` says that it ended or was killed, ``is_fit`` is
        false. Raises ``UsageError`` if the process cannot begin.
        """
        try:
            if self.pipe.poll(wait_s):
                return self._received(self.pipe.recv())
        except (EOFError, OSError):
            return self._ended()
        if not self.process.is_alive() and not self.pipe.poll():
            return self._ended()
        return self._overstepped()

    def _received(self, message: Any) -> Answer | Failed | None:
        self._since = time.monotonic()
        if isinstance(message, _Begun):
            if message.problem:
                self.end()
                raise UsageError(f"the {self.process.name} process cannot start: {message.problem}")
            self.is_ready = True
            return None
        self.open -= 1
        answer: Answer | Failed = message
        return answer

    def _ended(self) -> Failed:
        self.process.join(_EXIT_S)
        self.end()
        code = self.process.exitcode or 0
        said = f"the {self.process.name} process ended with exit code {code}{_signal_hint(code)}"
        if not self.is_ready:
            raise UsageError(f"the {self.process.name} process cannot start: {said}")
        return Failed(Why.ENDED, said)

    def _overstepped(self) -> Failed | None:
        """Kill the process if it has taken too much, and say of what."""
        took_s = time.monotonic() - self._since
        if not self.is_ready:
            if took_s > START_S:
                self.end()
                raise UsageError(f"the {self.process.name} process cannot start: not ready within {START_S:g} s")
            return None
        if not self.open:
            return None
        memory_mb = self.memory_bytes() / 2**20
        if memory_mb > self.limits.memory_mb:
            took = f"it took {memory_mb:.0f} MB of memory, more than {self.limits.memory_mb} MB"
            return self._killed(Why.MEMORY, took)
        if took_s > self.limits.time_s:
            return self._killed(Why.TIME, f"it took longer than {self.limits.time_s:g} s")
        return None

    def _killed(self, why: Why, took: str) -> Failed:
        self.end()
        return Failed(why, f"the {self.process.name} process was killed: {took}")

    def is_fit(self) -> bool:
        """Whether it may be given another task: it lives, and memory that it keeps leaves room."""
        return self.process.is_alive() and self.memory_bytes() <= self.limits.memory_mb * 2**20 // 2

    def memory_bytes(self) -> int:
        """Return the resident memory of the process and of those that it has started; 0 where Linux does not tell."""
        return _resident_bytes(self.process.pid or 0)

    def end(self) -> None:
        """Kill the process: it holds nothing that is not on the disk, or made again."""
        self.process.kill()
        self.process.join()
        self._outgoing.put(None)
        self.pipe.close()


def can_be_sent(value: object) -> bool:
    """Whether a value can be pickled for another process; a function within a function cannot."""
    try:
        ForkingPickler.dumps(value)
    except (PicklingError, AttributeError, TypeError):
        return False
    return True


@contextmanager
def _signals_blocked() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _signal_hint(code: int) -> str:
    if code == -9:
        return " (killed from outside, usually because memory ran out)"
    with suppress(ValueError):
        return f" ({signal.Signals(-code).name}: a library crashed, or it was ended from outside)" if code < 0 else ""
    return ""


def _resident_bytes(number: int) -> int:
    """Return the resident memory of a process and its descendants (proc(5)); one that has just ended has none."""
    try:
        pages = int(Path(f"/proc/{number}/statm").read_text(encoding="ascii").split()[1])
        children = [
            int(child)
            for task in Path(f"/proc/{number}/task").iterdir()
            for child in (task / "children").read_text(encoding="ascii").split()
        ]
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(_resident_bytes, children))


def _serve(pipe: Connection, threads: int) -> None:
    """Run in the child: begin, then perform what comes through the pipe until it is closed."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # the parent ends its children
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    threading.Thread(target=end_with_parent, daemon=True, name="parent").start()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_GO), encoding="ascii")
    limit_cores(threads)
    try:
        duty: Duty[Any, Any] = pipe.recv()()
    except Exception as problem:
        pipe.send(_Begun(str(problem) or type(problem).__name__))
        return
    pipe.send(_Begun())
    fetched: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
    threading.Thread(target=_fetch_all, args=(pipe, duty, fetched), daemon=True, name="fetch").start()
    while (perform := fetched.get()) is not None:
        pipe.send(_attempt(perform))


def _fetch_all(pipe: Connection, duty: Duty[Any, Any], fetched: "SimpleQueue[Callable[[], Any] | None]") -> None:
    with suppress(EOFError, OSError):
        while True:
            fetched.put(_fetched(duty, pipe.recv()))
    fetched.put(None)


def _fetched(duty: Duty[Any, Any], task: Any) -> Callable[[], Any]:
    item = _attempt(lambda: duty.fetch(task))
    return lambda: item if isinstance(item, Failed) else duty.perform(item)


def _attempt(function: Callable[[], Any]) -> Any:
    """Return what the function does, or a ``Failed`` if it raises."""
    try:
        return function()
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        return Failed(Why.SYSTEM, where + system_message(problem), problem=problem)
    except MemoryError:
        return Failed(Why.MEMORY, "it does not fit into memory")
    except CtacalError as problem:
        return Failed(Why.REQUEST, str(problem))
    except Exception as problem:
        return Failed(Why.DEFECT, f"a defect ({type(problem).__name__}); please report it", trace(problem))
