"""``BucketPlace``: a run in an object store, and the objects of sources there, by obstore (S3, GCS, Azure).

Credentials and endpoint come from the environment, as for other programs (AWS_ACCESS_KEY_ID, AWS_REGION,
AWS_ENDPOINT_URL, AWS_SKIP_SIGNATURE=true for public buckets, GOOGLE_APPLICATION_CREDENTIALS, ...).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ctacal.errors import UsageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PART_BYTES = 2**16
"""An appended file is stored again each time that it has grown by so much: a bucket cannot append."""


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


class BucketPlace:
    """A part of a bucket. What is created is written with ``If-None-Match: *``."""

    def __init__(self, address: str) -> None:
        self.text = address.rstrip("/")
        self._store = open_store(self.text)
        self._lines: dict[str, bytearray] = {}
        self._stored_bytes: dict[str, int] = {}

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
        """Add a line; it is stored when the file has grown by ``PART_BYTES``, or by ``settle``."""
        lines = self._lines.setdefault(name, bytearray())
        lines += line
        if len(lines) - self._stored_bytes.get(name, 0) >= PART_BYTES:
            self._put_lines(name)

    def settle(self) -> None:
        """Store what has been appended."""
        for name, lines in self._lines.items():
            if len(lines) > self._stored_bytes.get(name, 0):
                self._put_lines(name)

    def _put_lines(self, name: str) -> None:
        self.replace(name, bytes(self._lines[name]))
        self._stored_bytes[name] = len(self._lines[name])

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
