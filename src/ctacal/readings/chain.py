"""``Record``: one event as a line of JSON, chained to the line before it by SHA-256.

A record names the digest of its predecessor and carries its own, so that a changed, removed or inserted line shows. The
last lines of a file can be cut off without a trace in it: the signatures of a folder (``ctacal.readings.journal``) are
chained as well, and name the digest of each reading that was signed. Whoever can rewrite all files of a folder can
forge it; against that helps only a copy of the last digest elsewhere, which ``ctacal readings verify`` prints.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ctacal.errors import NotPossible, Problem

FIRST = "0" * 64
"""Digest of the predecessor of a first record, which has none."""

_OWN = ("n", "previous", "digest")


@dataclass(frozen=True, slots=True)
class Record:
    """An event and its place in the chain."""

    n: int
    """Number in the file, from 0."""
    previous: str
    """Digest of the record before."""
    content: Mapping[str, Any]
    """Who, when, what: plain values."""
    digest: str

    @property
    def line(self) -> bytes:
        """The line of the file."""
        return _canonical(_chained(self.n, self.previous, self.content) | {"digest": self.digest}) + b"\n"


def chained(content: Mapping[str, Any], before: Record | None) -> Record:
    """Return the record that follows ``before``; the first one for None.

    Raises ``ValueError`` if the content uses a name of the chain itself.
    """
    if own := set(_OWN) & set(content):
        raise ValueError(f"{min(own)} belongs to the chain; give the field another name")
    n, previous = (before.n + 1, before.digest) if before else (0, FIRST)
    digest = hashlib.sha256(_canonical(_chained(n, previous, content))).hexdigest()
    return Record(n, previous, MappingProxyType(dict(content)), digest)


def read_chain(content: bytes, name: str) -> tuple[tuple[Record, ...], bytes]:
    """Return the records of a file, and the rest of a last line that was never finished (empty if there is none).

    ``name`` is the file's in messages. Raises ``NotPossible`` (``DAMAGED``) naming the first line that is wrong.
    """
    whole, _, torn = content.rpartition(b"\n")
    lines = whole.split(b"\n") if whole else []
    return tuple(_checked(lines, name)), torn


def _checked(lines: list[bytes], name: str) -> Iterator[Record]:
    before: Record | None = None
    for number, line in enumerate(lines, 1):
        try:
            fields = json.loads(line)
            content = {key: value for key, value in fields.items() if key not in _OWN}
            before = chained(content, before)
        except (ValueError, AttributeError, RecursionError) as problem:
            raise _damaged(name, number, "is no record") from problem
        if before.line != line + b"\n":
            raise _damaged(name, number, "was altered, or a line before it was removed or inserted")
        yield before


def _damaged(name: str, number: int, what: str) -> NotPossible:
    message = f"{name}: line {number} {what}; restore the file from a backup"
    return NotPossible(Problem.DAMAGED, message)


def _chained(n: int, previous: str, content: Mapping[str, Any]) -> dict[str, Any]:
    return {**content, "n": n, "previous": previous}


def _canonical(fields: Mapping[str, Any]) -> bytes:
    """Return the one way in which these fields are written."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()
