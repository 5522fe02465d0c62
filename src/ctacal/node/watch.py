"""A watched folder: files that lie still in it are taken into the store."""

import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from logging import WARNING
from pathlib import Path

from ctacal.errors import UsageError, system_message
from ctacal.jobs.node.arrivals import Arrivals, Sending
from ctacal.jobs.node.config import Watch
from ctacal.jobs.node.events import tell
from ctacal.jobs.node.intake import Limits, Refused, Why, broken_off, keep_object
from ctacal.jobs.node.store import Store

_LOOK_S = 2.0
_WATCHED = "watched"
"""Folder of the store that says which files were taken before."""

State = tuple[int, int]
"""Size in bytes, and time of the last change in ns: a file with another state is another file."""


@dataclass(eq=False)
class WatchedFolder:
    """One folder, and what is known of the files in it."""

    watch: Watch
    store: Store
    limits: Limits
    arrivals: Arrivals
    clock: Callable[[], float] = time.monotonic
    _still: dict[Path, tuple[State, float]] = field(default_factory=dict, init=False)
    """State of each file that is not yet taken, and since when it is seen."""
    _done: dict[str, State] = field(init=False)
    """State of each file that was taken, or that cannot be."""

    def __post_init__(self) -> None:
        digest = sha256(str(self.watch.folder).encode()).hexdigest()[:16]
        self._list = self.store.folder / _WATCHED / f"{digest}.jsonl"
        self._list.parent.mkdir(exist_ok=True)
        self._done = self._remembered()

    def run(self, stopping: threading.Event) -> None:
        """Look again and again until ``stopping`` is set."""
        told = ""
        while not stopping.is_set():
            try:
                self.look()
                told = ""
            except (OSError, UsageError) as problem:
                said = system_message(problem) if isinstance(problem, OSError) else str(problem)
                if said != told:
                    tell("watched folder cannot be read", level=WARNING, folder=self.watch.folder, reason=said)
                told = said
            stopping.wait(min(_LOOK_S, self.watch.quiet_s / 2))

    def look(self) -> int:
        """Take the files that have lain still for long enough; returns how many there were."""
        now = self.clock()
        found = {path: state for path, state in _files(self.watch.folder) if self._done.get(self._name(path)) != state}
        self._still = {path: self._since(path, state, now) for path, state in found.items()}
        due = [path for path, (_, since) in self._still.items() if now - since >= self.watch.quiet_s]
        if due:
            with self.arrivals.sending(f"folder {self.watch.folder}") as sending:
                for path in sorted(due):
                    self._take(path, sending)
        return len(due)

    def _since(self, path: Path, state: State, now: float) -> tuple[State, float]:
        known = self._still.get(path)
        return known if known and known[0] == state else (state, now)

    def _take(self, path: Path, sending: Sending) -> None:
        state, _ = self._still[path]
        try:
            with path.open("rb") as file:
                if why := broken_off(file):
                    self._leave(path, state, f"{why}; it is taken once it is whole")
                    return
                outcome = keep_object(self.store, self.limits, file)
        except FileNotFoundError:
            return
        sending.note(outcome)
        if isinstance(outcome, Refused):
            self._leave(path, state if outcome.why is not Why.NO_ROOM else None, outcome.message)
        elif self.watch.then == "remove" and _state(path) == state:
            path.unlink(missing_ok=True)
        else:
            self._remember(path, state)

    def _leave(self, path: Path, state: State | None, reason: str) -> None:
        """Take a file no more while it stays in this state; None: try again. Its name may be that of a patient."""
        tell("file is not taken", level=WARNING, folder=self.watch.folder, bytes=path.stat().st_size, reason=reason)
        if state is not None:
            self._remember(path, state)

    def _name(self, path: Path) -> str:
        return os.fsencode(path.relative_to(self.watch.folder)).decode("utf-8", "backslashreplace")

    def _remember(self, path: Path, state: State) -> None:
        self._done[self._name(path)] = state
        with self._list.open("a", encoding="utf-8") as file:  # if it is lost, the file is read again, and is known
            file.write(json.dumps([self._name(path), *state]) + "\n")

    def _remembered(self) -> dict[str, State]:
        done: dict[str, State] = {}
        if self._list.exists():
            for line in self._list.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    name, size, changed = json.loads(line)
                except ValueError:  # the last line of a killed process
                    continue
                done[name] = (size, changed)
        return done


def _files(folder: Path) -> Iterator[tuple[Path, State]]:
    """Yield the regular files below a folder, never through links. Raises ``OSError`` if it cannot be read."""
    os.scandir(folder).close()  # os.walk would pass over it in silence
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if state := _state(path):
                yield path, state


def _state(path: Path) -> State | None:
    """Return the state of a regular file; None for anything else."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None
