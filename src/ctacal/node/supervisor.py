"""``supervise``: starts the processes of a node, starts those again that end, and stops all in good order.

A part of the node is a module with ``run(config: NodeConfig, stopping: Event) -> None``, which works until ``stopping``
is set and then returns as soon as what it has begun is finished or can be left. Each part runs in a process of its own
(spawn), which ends at once if the supervisor is killed: the next start then finds no stray process.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing import connection, get_context
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from threading import Event, Thread

from ctacal.errors import UsageError, system_message
from ctacal.jobs.node.config import NodeConfig
from ctacal.jobs.node.events import start_logging, tell
from ctacal.jobs.node.life import alive_folder, forget
from ctacal.jobs.node.occupancy import forget_processes, only_node, write_processes
from ctacal.jobs.node.store import Store, require_store
from ctacal.workers import end_with_parent

STOP_S = 30.0
"""How long parts may take to stop, before they are killed (own choice; a longer stop annoys systemd)."""
HEALTHY_S = 10.0
"""A part that ran for this long is started again at once."""
_PAUSES_S = (0.2, 10.0)
"""First and longest pause before a part starts again that ended sooner."""
_LOOK_S = 0.5
_STOP_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]


@dataclass(eq=False, slots=True)
class _Part:
    """A part and its process."""

    name: str
    module: str
    process: SpawnProcess | None = None
    started_at: float = 0.0
    failures: int = 0
    due_at: float = 0.0
    """When it is started again, by the monotonic clock."""

    @property
    def pause_s(self) -> float:
        return 0.0 if not self.failures else min(_PAUSES_S[0] * 2.0 ** (self.failures - 1), _PAUSES_S[1])


def supervise(config: NodeConfig, parts: Mapping[str, str]) -> None:
    """Run a node until SIGTERM or SIGINT comes; ``parts`` gives the module of each part, imported in its own process.

    Raises ``UsageError`` if another node uses the store, or it cannot be made.
    """
    start_logging(config.log, "supervisor")
    with only_node(config.store):
        Store(config.store)
        forget(alive_folder(config.store, config.receive.port))
        _Supervisor(config, parts).run(stop_signal())


def stop_signal() -> Event:
    """Return an event that SIGTERM, SIGINT and SIGHUP set from now on; the second one ends the process at once."""
    stopping, asked = Event(), SimpleQueue[int]()

    def wait() -> None:
        asked.get()
        stopping.set()
        asked.get()
        os._exit(1)

    for number in _STOP_SIGNALS:
        signal.signal(number, lambda sent, _: asked.put(sent))  # setting the event here could wait for its own lock
    Thread(target=wait, daemon=True, name="signals").start()
    return stopping


@dataclass(eq=False)
class _Supervisor:
    config: NodeConfig
    modules: Mapping[str, str]
    parts: list[_Part] = field(init=False)

    def __post_init__(self) -> None:
        self.parts = [_Part(name, module) for name, module in self.modules.items()]

    def run(self, stopping: Event) -> None:
        tell("node starts", store=self.config.store, process=os.getpid())
        while not stopping.is_set():
            self._start_due()
            self._await(_LOOK_S)
            self._note_ended()
        tell("node stops")
        self._stop()
        tell("node stopped")

    def _start_due(self) -> None:
        now = time.monotonic()
        due = [part for part in self.parts if part.process is None and part.due_at <= now]
        for part in due:
            self._start(part, now)
        if due:
            self._write_processes()

    def _start(self, part: _Part, now: float) -> None:
        process = get_context("spawn").Process(
            target=_run_part, args=(part.name, part.module, self.config), name=part.name
        )
        part.started_at = now
        try:
            process.start()
        except OSError as problem:  # no memory, no process number
            self._failed(part, now, f"cannot be started: {system_message(problem)}")
        else:
            part.process = process
            tell("part starts", started=part.name, process=process.pid)

    def _await(self, most_s: float) -> None:
        """Wait until a process ends, but no longer than ``most_s`` or than a part waits to be started."""
        now = time.monotonic()
        waits = [part.due_at - now for part in self.parts if part.process is None]
        connection.wait([part.process.sentinel for part in self.parts if part.process], max(0.0, min([most_s, *waits])))
        if not any(part.process for part in self.parts):  # nothing to wait for: the line above returned at once
            time.sleep(max(0.0, min([most_s, *waits])))

    def _note_ended(self) -> None:
        for part in self.parts:
            if part.process is None or part.process.is_alive():
                continue
            self._failed(part, time.monotonic(), f"exit code {part.process.exitcode}")
            part.process.close()
            part.process = None

    def _failed(self, part: _Part, now: float, reason: str) -> None:
        part.failures = 0 if now - part.started_at >= HEALTHY_S else part.failures + 1
        part.due_at = now + part.pause_s
        tell("part ended", level=logging.ERROR, ended=part.name, reason=reason,
             starts_again_in_s=round(part.pause_s, 1))  # fmt: skip

    def _stop(self) -> None:
        """Ask all parts to stop, wait for them, and kill those that do not."""
        running = [part.process for part in self.parts if part.process]
        for process in running:
            process.terminate()
        until = time.monotonic() + STOP_S
        for process in running:
            process.join(max(0.0, until - time.monotonic()))
        for part in self.parts:
            if part.process and part.process.is_alive():
                tell("part killed, because it did not stop", level=logging.WARNING, killed=part.name)
                part.process.kill()
                part.process.join()
        with suppress(OSError):
            forget_processes(self.config.store)

    def _write_processes(self) -> None:
        numbers = {part.name: part.process.pid for part in self.parts if part.process and part.process.pid}
        try:
            require_store(self.config.store)
            write_processes(self.config.store, {"supervisor": os.getpid(), **numbers})
        except OSError as problem:  # a full disk must not end the node; people do without the list
            tell("list of processes cannot be written", level=logging.WARNING, reason=system_message(problem))


def _run_part(name: str, module: str, config: NodeConfig) -> None:
    """Run in the process of a part. A user's mistake ends it with one line, a defect with its traceback."""
    stopping = stop_signal()
    for number in _STOP_SIGNALS:  # a terminal sends SIGINT and SIGHUP to all processes; the supervisor stops its parts
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    Thread(target=end_with_parent, daemon=True, name="parent").start()
    start_logging(config.log, name)
    try:
        require_store(config.store)  # which the supervisor made: never another one, where a disk is not mounted
    except OSError as problem:
        tell("cannot work", level=logging.ERROR, reason=f"{config.store}: {system_message(problem)}")
        sys.exit(2)
    try:
        import_module(module).run(config, stopping)
    except UsageError as problem:
        tell("cannot work", level=logging.ERROR, reason=problem)
        sys.exit(2)
    except Exception:
        logging.getLogger("ctacal").exception("failed")
        sys.exit(1)
