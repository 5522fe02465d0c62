"""A DICOMweb server that takes STOW-RS requests and answers as a test wants it."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

from pydicom import dcmread


@dataclass(frozen=True)
class Posted:
    """A request."""

    path: str
    headers: dict[str, str]
    parts: tuple[bytes, ...]

    @property
    def uids(self) -> list[str]:
        """SOP Instance UIDs, in order."""
        return [str(dcmread(BytesIO(part)).SOPInstanceUID) for part in self.parts]


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int = 200
    body: Any = None
    """Sent as JSON."""
    headers: tuple[tuple[str, str], ...] = ()


def outcome(status: int, stored: Sequence[str] = (), failed: Sequence[tuple[str, int]] = ()) -> Reply:
    """Return an answer that names objects (PS3.18 section 10.5.3)."""
    body: dict[str, Any] = {}
    if stored:
        body["00081199"] = {"vr": "SQ", "Value": [_item(uid) for uid in stored]}
    if failed:
        body["00081198"] = {"vr": "SQ", "Value": [_item(uid, reason) for uid, reason in failed]}
    return Reply(status, body)


def _item(uid: str, reason: int | None = None) -> dict[str, Any]:
    item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    return item if reason is None else item | {"00081197": {"vr": "US", "Value": [reason]}}


def stores_all(posted: Posted) -> Reply:
    """Store everything."""
    return outcome(200, posted.uids)


@dataclass(eq=False)
class StowPeer:
    """The server."""

    answer: Callable[[Posted], Reply] = stores_all
    tls: ssl.SSLContext | None = None
    port: int = 0
    posted: list[Posted] = field(default_factory=list)

    def destination(self, name: str = "PACS", **fields: Any) -> dict[str, object]:
        """Its entry in a configuration."""
        url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/dicom-web"
        return {"name": name, "kind": "stow", "url": url, "timeout_s": 20, "retry_s": 0.001, "longest_retry_s": 0.001,
                **fields}  # fmt: skip

    @contextmanager
    def running(self) -> Iterator["StowPeer"]:
        """Serve during the block."""
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                posted = _posted(self.path, dict(self.headers), self.rfile.read(int(self.headers["Content-Length"])))
                peer.posted.append(posted)
                reply = peer.answer(posted)
                body = b"" if reply.body is None else json.dumps(reply.body).encode()
                self.send_response(reply.status)
                for header in (("Content-Length", str(len(body))), *reply.headers):
                    self.send_header(*header)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        if self.tls:
            server.socket = self.tls.wrap_socket(server.socket, server_side=True)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _posted(path: str, headers: dict[str, str], body: bytes) -> Posted:
    boundary = headers["Content-Type"].split("boundary=")[1].encode()
    *between, end = body.split(b"--" + boundary)[1:]
    assert end == b"--\r\n"
    parts = [part.partition(b"\r\n\r\n") for part in between]
    assert {head for head, _, _ in parts} == {b"\r\nContent-Type: application/dicom"}
    return Posted(path, headers, tuple(content.removesuffix(b"\r\n") for _, _, content in parts))
