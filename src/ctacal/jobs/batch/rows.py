"""``Row``: what one piece of a batch reads, as a line of the manifest; and the shard that it belongs to."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ctacal.errors import UsageError

_ID_CHARACTERS = 32
"""Half of a SHA-256: among 10^6 rows two are alike by chance once in 10^26 plans."""
_SHARD_CHARACTERS = 8
"""Characters of the identity that decide about the shard."""


@dataclass(frozen=True, slots=True)
class Row:
    """The places of one study, as far as the plan knows: nothing is opened before the row is run.

    Usually a row holds one study. If it holds several, each gets a result; if two rows hold one study, it is told.
    """

    id: str
    """Follows from the sources alone."""
    sources: tuple[str, ...]
    """Folders, files, archives, or URIs of an object store; sorted."""
    size_bytes: int | None = None
    """Size of the sources, if the plan knows it."""


def row_of(sources: Sequence[str], size_bytes: int | None = None) -> Row:
    """Return the row that reads these sources.

    >>> row_of(["b", "a"]) == row_of(["a", "b"])
    True
    """
    ordered = tuple(sorted(sources))
    digest = hashlib.sha256("\n".join(ordered).encode("utf-8", "surrogateescape")).hexdigest()
    return Row(digest[:_ID_CHARACTERS], ordered, size_bytes)


def line_of(row: Row) -> bytes:
    """Return the line of a manifest; lines of one shard sort by the identities of their rows."""
    content: dict[str, object] = {"id": row.id, "sources": row.sources}
    if row.size_bytes is not None:
        content["bytes"] = row.size_bytes
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def shard_of(row_id: str, shards: int) -> int:
    """Return the number of a row's shard, from 0."""
    return int(row_id[:_SHARD_CHARACTERS], 16) % shards


def read_rows(content: bytes, name: str) -> tuple[Row, ...]:
    """Return the rows of a manifest. Raises ``UsageError`` if it is damaged."""
    try:
        return tuple(_row(json.loads(line)) for line in content.splitlines())
    except (ValueError, LookupError, TypeError) as problem:
        raise UsageError(f"{name} is damaged ({problem}); plan again into a new folder") from problem


def _row(content: dict[str, object]) -> Row:
    sources = content["sources"]
    assert isinstance(sources, list)
    size_bytes = content.get("bytes")
    return Row(str(content["id"]), tuple(map(str, sources)), int(str(size_bytes)) if size_bytes is not None else None)


def require_apart(sources: Iterable[str]) -> None:
    """Raise ``UsageError`` if a source is named by two rows, or lies inside another: its images would count twice."""
    before = ""
    for source in sorted(source if source.endswith("/") else f"{source}/" for source in sources):
        if before and source.startswith(before):
            raise UsageError(_twice(before.rstrip("/"), source.rstrip("/")))
        before = source


def _twice(outer: str, inner: str) -> str:
    if outer == inner:
        return f"{inner} stands in two rows, and its images would count twice; name it once"
    return f"{inner} lies inside {outer}, and both are rows: its images would count twice; leave one of them out"
