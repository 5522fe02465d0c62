"""``BucketPlace``: a run in an object store, and the objects of sources there, by obstore (S3, GCS, Azure).

Credentials and endpoint come from the environment, as for other programs (AWS_ACCESS_KEY_ID, AWS_REGION,
AWS_ENDPOINT_URL, AWS_SKIP_SIGNATURE=true for public buckets, GOOGLE_APPLICATION_CREDENTIALS, ...).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from ctacal.errors import UsageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PART_BYTES = 2**16
"""A bucket cannot append: lines are put again with those before them, up to so many bytes in one object."""
MOST_PARTS = 64
"""Objects of lines that may still grow: one for each shard of which rows were in hand lately (own choice)."""


def open_store(address: str) -> ObjectStore:
    """Return the objects under a URI. Raises ``UsageError`` if obstore is not installed or the URI is none."""
    if find_spec("obstore") is None:
        raise UsageError(f"{address}: object stores need obstore; install ctacal[batch]")
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    try:
        return from_url(address)
    except (BaseError, ValueError) as problem:
        raise UsageError(f"{address}: {_said(problem)}") from problem


@cache
def store_of(address: str) -> ObjectStore:
    """Return the store of a bucket as ``open_store`` does, made once in each process."""
    return open_store(address)


def bucket_and_path(address: str) -> tuple[str, str]:
    """Return the bucket of a URI and the path in it.

    >>> bucket_and_path("s3://idc-open-data/uuid/"), bucket_and_path("gs://bucket")
    (('s3://idc-open-data', 'uuid/'), ('gs://bucket', ''))
    """
    scheme, _, rest = address.partition("://")
    bucket, _, path = rest.partition("/")
    return f"{scheme}://{bucket}", path


@contextmanager
def as_os_error(address: str) -> Iterator[None]:
    """Turn the errors of the object store into ``OSError``; what is not there stays ``FileNotFoundError``."""
    from obstore.exceptions import AlreadyExistsError, BaseError

    try:
        yield
    except AlreadyExistsError:
        raise
    except BaseError as problem:
        raise OSError(None, _said(problem), address) from problem


def _said(problem: Exception) -> str:
    return " ".join(str(problem).split())[:300]


@dataclass(eq=False, slots=True)
class _Part:
    """The lines of an object that may still grow."""

    name: str
    lines: bytearray = field(default_factory=bytearray)
    stored_bytes: int = 0


def _part_name(name: str, number: int) -> str:
    """Return the name of the object that holds a part of a file of lines.

    >>> _part_name("ledger/0007/host-12.jsonl", 0), _part_name("ledger/0007/host-12.jsonl", 3)
    ('ledger/0007/host-12.jsonl', 'ledger/0007/host-12.3.jsonl')
    """
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.{number}.{suffix}" if number else name


class BucketPlace:
    """A part of a bucket. What is created is written with ``If-None-Match: *``."""

    def __init__(self, address: str) -> None:
        self.text = address.rstrip("/")
        self._store = open_store(self.text)
        self._lock = Lock()
        self._parts: dict[str, _Part] = {}
        """By the names of files; the one that grew last stands last."""
        self._full: Counter[str] = Counter()

    def read(self, name: str) -> bytes:
        """Return the content of an object."""
        with as_os_error(f"{self.text}/{name}"):
            return bytes(self._store.get(name).bytes())

    def exists(self, name: str) -> bool:
        """Whether there is an object of this name."""
        try:
            with as_os_error(f"{self.text}/{name}"):
                self._store.head(name)
        except FileNotFoundError:
            return False
        return True

    def create(self, name: str, content: bytes) -> bool:
        """Put an object under the condition that there is none; the store decides between two that try at once."""
        from obstore.exceptions import AlreadyExistsError

        try:
            with as_os_error(f"{self.text}/{name}"):
                self._store.put(name, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        return True

    def replace(self, name: str, content: bytes) -> None:
        """Put an object."""
        with as_os_error(f"{self.text}/{name}"):
            self._store.put(name, content, use_multipart=False)

    def tell(self, name: str, content: bytes) -> None:
        """Put an object."""
        self.replace(name, content)

    def append(self, name: str, line: bytes) -> None:
        """Add a line; it is stored by ``settle``, or when an object is full. The file grows by further objects."""
        with self._lock:
            part = self._parts.pop(name, None) or _Part(_part_name(name, self._full[name]))
            self._parts[name] = part
            part.lines += line
            if len(part.lines) >= PART_BYTES:
                self._close(name)
            elif len(self._parts) > MOST_PARTS:
                self._close(next(iter(self._parts)))

    def settle(self) -> None:
        """Store what has been appended; another thread may call it."""
        with self._lock:
            for part in self._parts.values():
                self._put(part)

    def _close(self, name: str) -> None:
        self._put(self._parts[name])
        del self._parts[name]
        self._full[name] += 1

    def _put(self, part: _Part) -> None:
        if len(part.lines) > part.stored_bytes:
            self.replace(part.name, bytes(part.lines))
            part.stored_bytes = len(part.lines)

    def names(self, folder: str) -> Iterator[str]:
        """Yield the names of the objects directly under a prefix."""
        with as_os_error(f"{self.text}/{folder}"):
            for objects in self._store.list(f"{folder}/"):
                yield from (one["path"].rpartition("/")[2] for one in objects)

    def keep(self, files: Path, folder: str) -> bool:
        """Put the files of a study; ``result.json`` last and on condition, so that its presence means all are there.

        A second writer of the same study puts the same bytes.
        """
        if self.exists(f"{folder}/result.json"):
            return False
        for file in sorted(files.rglob("*")):
            if file.is_file() and file.name != "result.json":
                self.replace(f"{folder}/{file.relative_to(files).as_posix()}", file.read_bytes())
        return self.create(f"{folder}/result.json", (files / "result.json").read_bytes())

    def remove(self, name: str) -> None:
        """Remove an object if it is there."""
        with as_os_error(f"{self.text}/{name}"):
            self._store.delete(name)

    def age_s(self, name: str) -> float:
        """Return the time since an object was put."""
        try:
            with as_os_error(f"{self.text}/{name}"):
                put_at = self._store.head(name)["last_modified"]
        except FileNotFoundError:
            return 0.0
        return (datetime.now(UTC) - put_at).total_seconds()
