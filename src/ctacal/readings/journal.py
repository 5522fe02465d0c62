"""``Journal``: a file of records that only grows; a record is on the disk before its append returns.

Nothing in it is ever overwritten. A last line that a crash tore apart was never acknowledged: its bytes are moved to a
file beside it. If a record cannot be stored whole, the file is cut back to what it held before, and the caller learns.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from ctacal.errors import NotPossible, Problem, system_message
from ctacal.readings.chain import Record, chained, read_chain

if sys.platform != "win32":
    import fcntl

TORN = ".torn"
"""Ending of the file that holds the bytes of lines that were never finished."""


_MODE = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)  # Windows would write two bytes at the end of a line


@dataclass(slots=True)
class Journal:
    """A file of records, and what this program knows of it; several programs and threads may append to one file."""

    path: Path
    records: tuple[Record, ...] = ()
    size: int = 0
    """Bytes of the file that hold ``records``."""
    lock: Lock = field(default_factory=Lock, repr=False)

    @classmethod
    def read(cls, path: Path) -> "Journal":
        """Read a file, which need not exist yet; nothing is written. Raises ``NotPossible`` (``DAMAGED``)."""
        journal = cls(path)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return journal
        journal._take(content)
        return journal

    @property
    def last(self) -> Record | None:
        """The newest record; None if there is none."""
        return self.records[-1] if self.records else None

    def append(self, make: Callable[[Record | None], Mapping[str, Any]]) -> Record:
        """Store the event that ``make`` returns for the newest record of the file, and return it.

        Another program may have appended: then ``records`` holds its records when ``make`` is called, which may raise
        to refuse. Raises ``NotPossible``: ``DISK`` if the record could not be stored, and the file is as it was;
        ``DAMAGED``.
        """
        with self.lock, self._locked() as handle:
            if os.fstat(handle).st_size != self.size:
                self._catch_up(handle)
            record = chained(make(self.last), self.last)
            self._write(handle, record.line)
            self.records = (*self.records, record)
            self.size += len(record.line)
            return record

    @contextmanager
    def _locked(self) -> Iterator[int]:
        try:
            handle = self._opened()
        except OSError as problem:
            raise _not_stored(problem) from problem
        try:
            if sys.platform != "win32":
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        finally:
            os.close(handle)

    def _opened(self) -> int:
        """Open the file for appending; a new one gets its name on the disk before anything is written to it."""
        try:
            return os.open(self.path, _MODE)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, _MODE | os.O_CREAT, 0o644)
            for folder in (self.path.parent, self.path.parent.parent):
                _flush_folder(folder)
            return handle

    def _catch_up(self, handle: int) -> None:
        """Read what another program appended; move a torn last line aside."""
        content = _content(handle)
        torn = self._take(content)
        if not torn:
            return
        try:
            with self.path.with_name(self.path.name + TORN).open("ab") as aside:
                aside.write(torn + b"\n")
                aside.flush()
                os.fsync(aside.fileno())
            os.ftruncate(handle, self.size)
            os.fsync(handle)
        except OSError as problem:
            raise _not_stored(problem) from problem

    def _take(self, content: bytes) -> bytes:
        records, torn = read_chain(content, str(self.path))
        self.records, self.size = records, len(content) - len(torn)
        return torn

    def _write(self, handle: int, line: bytes) -> None:
        try:
            _write_all(handle, line)
            os.fsync(handle)
        except OSError as problem:
            with suppress(OSError):  # what cannot be cut off now is a torn line, which the next append moves aside
                os.ftruncate(handle, self.size)
                os.fsync(handle)
            raise _not_stored(problem) from problem


def _write_all(handle: int, line: bytes) -> None:
    while line:
        line = line[os.write(handle, line) :]


def _content(handle: int) -> bytes:
    os.lseek(handle, 0, os.SEEK_SET)
    blocks = []
    while block := os.read(handle, 2**20):
        blocks.append(block)
    return b"".join(blocks)


def _flush_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system that cannot flush a folder
            os.fsync(handle)
    finally:
        os.close(handle)


def _not_stored(problem: OSError) -> NotPossible:
    return NotPossible(Problem.DISK, f"the event was not stored: {system_message(problem)}")
