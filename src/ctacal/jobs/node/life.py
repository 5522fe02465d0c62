"""``Pulse`` and ``Watch``: whether the parts of a node really live, by a counter that each of them keeps moving.

A part is a process of the node: receiver, keeper, scorers, sender, http, alarms. Each beats in the very loop that does
its work, so that a part that hangs is told from one that works. No clock is compared between processes: who watches
remembers the last counter that it saw, and when, by its own monotonic clock.

The counters are small files in STORE/alive, one folder for each node: two nodes may share a store.
"""

import os
import platform
import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ALIVE = "alive"
"""Folder of the counters in the store."""

PARTS = ("receiver", "keeper", "scorer", "sender", "http", "alarms")
"""Parts that every node has. A node with several scorers names them scorer-1, scorer-2 ..."""

SILENT_S = 20.0
"""A part without a beat for so long counts as dead (own choice; parts beat every second or two)."""

BEAT_S = 1.0
"""Shortest time between two writes of a counter."""

RESTARTS_S = 600.0
"""Time over which the restarts of a part are counted."""

RESTARTS_TOO_MANY = 3
"""So many restarts within ``RESTARTS_S`` mean that a part keeps dying."""


def alive_folder(store: Path, port: int) -> Path:
    """Return the folder of a node's counters; ``port`` is its DICOM port, which no other node of the machine has."""
    machine = re.sub(r"[^A-Za-z0-9_-]", "_", platform.node()) or "node"
    return store / ALIVE / f"{machine}-{port}"


def forget(folder: Path) -> None:
    """Remove the counters of an earlier run: a part that no longer exists is not waited for."""
    for file in folder.glob("*"):
        file.unlink(missing_ok=True)


class Pulse:
    """The counter of one part. ``beat`` costs nothing when it is called too often, and never raises."""

    def __init__(self, folder: Path, part: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._clock = folder / part, clock
        self._count, self._due = 0, float("-inf")

    def beat(self) -> None:
        """Say that this part has just been through its loop."""
        now = self._clock()
        if now < self._due:
            return
        self._due, self._count = now + BEAT_S, self._count + 1
        with suppress(OSError):  # a full disk shows as a dead part, which is true enough: nothing can be stored
            for folder in (self._file.parent.parent, self._file.parent):  # never a store that is not mounted
                folder.mkdir(exist_ok=True)
            self._file.write_text(f"{os.getpid()} {self._count}\n", encoding="ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartLife:
    """What is known of one part."""

    name: str
    alive: bool
    silent_s: float
    """Seconds since its counter was last seen to move; since the watch began, if it never moved."""
    restarts: int
    """Within the last ``RESTARTS_S`` seconds."""

    @property
    def keeps_dying(self) -> bool:
        """Whether it is started again and again."""
        return self.restarts >= RESTARTS_TOO_MANY


@dataclass(slots=True)
class _Seen:
    """What a watch remembers of a part."""

    content: str
    moved_at: float
    moved: bool = False
    restarts: deque[float] = field(default_factory=deque)


class Watch:
    """Remembers the counters of a node's parts. ``look`` must be called every few seconds."""

    def __init__(
        self, folder: Path, expected: Iterable[str] = PARTS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder, self._expected, self._clock = folder, tuple(expected), clock
        self._seen: dict[str, _Seen] = {}
        self._began = clock()

    def look(self) -> tuple[PartLife, ...]:
        """Read the counters, and return what is known of each part, in the order in which data flow.

        A part is alive if its counter moved before the eyes of this watch within ``SILENT_S``.
        """
        now = self._clock()
        contents = {name: content for name, content in _contents(self._folder).items() if self._expects(name)}
        for name, content in contents.items():
            self._note(name, content, now)
        for name in self._seen.keys() - contents.keys():
            del self._seen[name]
        absent = [part for part in self._expected if not any(_is(name, part) for name in contents)]
        return tuple(self._life(name, now) for name in sorted([*contents, *absent], key=_place))

    def _expects(self, name: str) -> bool:
        """Whether it is a part of this node: a counter may be left from another configuration."""
        return any(_is(name, part) for part in self._expected)

    def _note(self, name: str, content: str, now: float) -> None:
        seen = self._seen.setdefault(name, _Seen(content, now))
        if content.endswith("\n") and content != seen.content:
            if seen.content and content.split(" ")[0] != seen.content.split(" ")[0]:
                seen.restarts.append(now)
            seen.content, seen.moved_at, seen.moved = content, now, True
        while seen.restarts and seen.restarts[0] < now - RESTARTS_S:
            seen.restarts.popleft()

    def _life(self, name: str, now: float) -> PartLife:
        seen = self._seen.get(name)
        if seen is None:
            return PartLife(name=name, alive=False, silent_s=now - self._began, restarts=0)
        silent_s = now - seen.moved_at
        alive = seen.moved and silent_s < SILENT_S
        return PartLife(name=name, alive=alive, silent_s=silent_s, restarts=len(seen.restarts))


def _contents(folder: Path) -> dict[str, str]:
    """Return the content of each counter; it is empty while it is being written."""
    found = {}
    for file in folder.glob("*"):
        with suppress(OSError, UnicodeDecodeError):
            found[file.name] = file.read_text(encoding="ascii")
    return found


def _is(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}-")


def _place(name: str) -> tuple[int, str]:
    return next((place for place, part in enumerate(PARTS) if _is(name, part)), len(PARTS)), name
