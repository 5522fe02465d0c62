"""``Health``: whether the node really works, looked at every second, so that an answer never waits for it.

Each process keeps a counter moving in the loop that does its work (``jobs.node.life``); the ledger is asked, and the
store is written to. What did not happen before the eyes of this watch for a time is held for dead.
"""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock, Thread

from ctacal.errors import CtacalError
from ctacal.jobs.node.life import SILENT_S, PartLife, Watch
from ctacal.jobs.node.store import require_store

LOOK_S = 1.0
"""Time between two looks."""


class Health:
    """Looks at a node in a thread of its own, until ``close``."""

    def __init__(
        self,
        watch: Watch,
        ask_ledger: Callable[[], object],
        store: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``ask_ledger`` raises ``CtacalError`` if the ledger does not answer."""
        self._watch, self._ask_ledger, self._store, self._clock = watch, ask_ledger, store, clock
        self._lock, self._closing = Lock(), Event()
        self._parts: tuple[PartLife, ...] = ()
        self._ledger_at, self._looked_at = float("-inf"), float("-inf")
        self._store_problem = ""
        self._threads = [Thread(target=self._each, args=(look,), daemon=True) for look in (self.look, self.ask)]

    def start(self) -> None:
        """Begin to look. The ledger has a thread of its own: while it hangs, processes are still watched."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closing.set()

    def look(self) -> None:
        """Look at the processes and the store once."""
        parts, problem = self._watch.look(), _store_problem(self._store)
        with self._lock:
            self._parts, self._store_problem, self._looked_at = parts, problem, self._clock()

    def ask(self) -> None:
        """Ask the ledger once."""
        try:
            self._ask_ledger()
        except CtacalError:
            return
        with self._lock:
            self._ledger_at = self._clock()

    def parts(self) -> tuple[PartLife, ...]:
        """Return what is known of each process."""
        with self._lock:
            return self._parts

    def problems(self) -> list[str]:
        """Return what does not work, in words; empty if the node works."""
        with self._lock:
            now = self._clock()
            if now - self._looked_at > SILENT_S:
                return ["nothing was looked at yet, or the watch itself hangs"]
            ledger = [] if now - self._ledger_at < SILENT_S else ["the ledger does not answer"]
            if self._store_problem:  # where nobody can write, nobody can show that it lives
                return [self._store_problem, *ledger]
            return [*(f"{part.name} does not answer" for part in self._parts if not part.alive), *ledger]

    def _each(self, look: Callable[[], None]) -> None:
        while not self._closing.is_set():
            look()
            self._closing.wait(LOOK_S)


def _store_problem(store: Path) -> str:
    """Write a few bytes to the store; returns what is wrong with it."""
    file = store / "alive" / ".written"
    try:
        require_store(store)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"1")
        file.unlink(missing_ok=True)  # another process of the machine may have just done the same
    except OSError as problem:
        return f"the store cannot be written: {problem.strerror}"
    return ""
