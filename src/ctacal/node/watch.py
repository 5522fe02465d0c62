"""A watched folder: files that lie still in it are taken into the store."""

import json
import logging
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
from ctacal.jobs.node.inputs import Trouble, input_name
from ctacal.jobs.node.intake import Limits, Refused, Why, broken_off, keep_object
from ctacal.jobs.node.store import Store

_LOOK_S = 2.0
_WATCHED = "watched"
"""Folder of the store that says which files were taken before."""

_log = logging.getLogger("ctacal")

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
    _waiting: dict[Path, str] = field(default_factory=dict, init=False)
    """Why each file that is due could not be taken at the last look; it is tried again at the next."""
    _closed: int = field(default=0, init=False)
    """Folders below this one that could not be read at the last look."""

    def __post_init__(self) -> None:
        digest = sha256(str(self.watch.folder).encode()).hexdigest()[:16]
        self._list = self.store.folder / _WATCHED / f"{digest}.jsonl"
        self._list.parent.mkdir(exist_ok=True)
        self._done = self._remembered()

    def run(self, stopping: threading.Event, trouble: Trouble) -> None:
        """Look again and again until ``stopping`` is set; ``trouble`` notes each problem."""
        told = ""
        while not stopping.is_set():
            try:
                self.look()
                told = ""
                trouble.note(self.problem)
            except (OSError, UsageError) as problem:
                said = system_message(problem) if isinstance(problem, OSError) else str(problem)
                if said != told:
                    tell("watched folder cannot be read", level=WARNING, folder=self.watch.folder, reason=said)
                told = said
                trouble.note(said)
            stopping.wait(min(_LOOK_S, self.watch.quiet_s / 2))

    def look(self) -> int:
        """Take the files that have lain still for long enough; returns how many there were.

        A file that cannot be read holds up no other. Raises ``OSError`` if the folder or the store is away.
        """
        now = self.clock()
        found = {path: state for path, state in self._files() if self._done.get(self._name(path)) != state}
        self._still = {path: self._since(path, state, now) for path, state in found.items()}
        due = [path for path, (_, since) in self._still.items() if now - since >= self.watch.quiet_s]
        self._waiting = {path: reason for path, reason in self._waiting.items() if path in due}
        if due:
            with self.arrivals.sending(input_name(self.watch)) as sending:
                for path in sorted(due, key=lambda path: (path in self._waiting, path)):
                    self._attempt(path, sending)
        return len(due)

    @property
    def problem(self) -> str:
        """What could not be read at the last look, in words without names; empty: nothing."""
        reasons = list(self._waiting.values())
        files = [f"{len(reasons)} of its files cannot be taken ({reasons[0]})"] if reasons else []
        return ", ".join([*files, *([f"{self._closed} of its folders cannot be read"] if self._closed else [])])

    def _since(self, path: Path, state: State, now: float) -> tuple[State, float]:
        known = self._still.get(path)
        return known if known and known[0] == state else (state, now)

    def _attempt(self, path: Path, sending: Sending) -> None:
        """Take a file. Raises ``OSError`` only if the folder or the store is away."""
        try:
            self._take(path, sending)
        except Exception as problem:  # one file must not hold up all that come after it
            self.store.require()
            os.scandir(self.watch.folder).close()
            if _state(path) is None:  # it was taken away meanwhile
                return
            if isinstance(problem, OSError):
                self._wait(path, system_message(problem))
            elif self._wait(path, f"{type(problem).__name__}; please report this"):
                _log.exception("a file cannot be taken")

    def _take(self, path: Path, sending: Sending) -> None:
        state, _ = self._still[path]
        with path.open("rb") as file:
            if why := broken_off(file):
                self._leave(path, state, f"{why}; it is taken once it is whole")
                return
            outcome = keep_object(self.store, self.limits, file)
        sending.note(outcome)
        if isinstance(outcome, Refused) and outcome.why is Why.NO_ROOM:
            self._wait(path, outcome.message)
            return
        if isinstance(outcome, Refused):
            self._leave(path, state, outcome.message)
        elif self.watch.then == "remove" and _state(path) == state:
            _remove(path)
        else:
            self._remember(path, state)
        self._waiting.pop(path, None)

    def _wait(self, path: Path, reason: str) -> bool:
        """Try a file again at the next look; returns whether this is news, and was told."""
        if self._waiting.get(path) == reason:
            return False
        self._waiting[path] = reason
        self._tell(path, f"{reason}; it is tried again")
        return True

    def _leave(self, path: Path, state: State, reason: str) -> None:
        """Take a file no more while it stays in this state."""
        self._tell(path, reason)
        self._remember(path, state)

    def _tell(self, path: Path, reason: str) -> None:
        """Say that a file is not taken, without its name, which may be that of a patient."""
        state, _ = self._still[path]
        tell("file is not taken", level=WARNING, folder=self.watch.folder, bytes=state[0], reason=reason)

    def _files(self) -> Iterator[tuple[Path, State]]:
        """Yield the regular files below the folder, never through links. Raises ``OSError`` if it cannot be read."""
        os.scandir(self.watch.folder).close()  # os.walk would pass over it in silence
        closed: list[OSError] = []
        for parent, _, names in os.walk(self.watch.folder, onerror=closed.append):
            for name in names:
                path = Path(parent, name)
                if state := _state(path):
                    yield path, state
        closed = [problem for problem in closed if not isinstance(problem, FileNotFoundError)]  # just removed
        if len(closed) > self._closed:
            tell("folders within a watched folder cannot be read", level=WARNING, folder=self.watch.folder,
                 folders=len(closed), reason=system_message(closed[0]))  # fmt: skip
        self._closed = len(closed)

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


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as problem:
        said = f"it is safe in the store, and cannot be removed: {problem.strerror}"
        raise OSError(problem.errno, said) from problem


def _state(path: Path) -> State | None:
    """Return the state of a regular file; None for anything else."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None
