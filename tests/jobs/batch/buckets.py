"""An S3 server for tests: moto's, which knows conditional writes, and no code of ours."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from obstore.store import S3Store, from_url

_numbers = itertools.count()


@contextmanager
def bucket_server() -> Iterator[str]:
    """Yield the URL of a server with empty memory."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def environment(url: str) -> dict[str, str]:
    """Return the variables by which programs find the server."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }


@dataclass(frozen=True)
class Bucket:
    """A bucket of its own for a test."""

    address: str

    @classmethod
    def new(cls, url: str, monkeypatch: pytest.MonkeyPatch) -> "Bucket":
        import boto3

        for name, value in environment(url).items():
            monkeypatch.setenv(name, value)
        name = f"bucket-{next(_numbers)}"
        client = boto3.client("s3", endpoint_url=url)
        client.create_bucket(Bucket=name)
        client.close()
        return cls(f"s3://{name}")

    def store(self) -> S3Store:
        store = from_url(self.address)
        assert isinstance(store, S3Store)
        return store

    def put(self, folder: Path, prefix: str) -> None:
        """Put the files of a folder under a prefix."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.store().put(f"{prefix}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    def get(self, prefix: str) -> dict[str, bytes]:
        """Return the objects under a prefix."""
        store = self.store()
        found = [one["path"] for part in store.list(prefix) for one in part]
        return {name.removeprefix(f"{prefix}/"): bytes(store.get(name).bytes()) for name in sorted(found)}
