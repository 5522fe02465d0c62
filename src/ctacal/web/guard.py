"""``Guard``: what every request must pass before anything else sees it, and the headers of every answer.

A server on one's own machine is open to every page that its browser shows. Against a page that posts to it: a header
that other sites cannot send, and the browser's word that the request comes from this site. Against a site that takes on
this server's name (DNS rebinding): a list of the names by which it may be called. Against other users of the machine:
the cookie. No answer allows another site to read it (no CORS), and no answer is kept by a cache.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CSP = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The page runs its own scripts only, and nothing may frame it."""

OWN_HEADER = (b"x-ctacal", b"1")
"""A header that makes a browser ask first before another site may send it; nothing here answers that question."""

MAX_BODY = 8 * 2**20
"""Largest body of a request, in bytes: a stroke of a million voxels takes less."""

_SAFE = ("GET", "HEAD")
_KNOWN = (*_SAFE, "POST")

_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


@dataclass(frozen=True, slots=True)
class Guard:
    """An ASGI application around another one."""

    app: App
    hosts: frozenset[str]
    """Values of the Host header that are accepted, in lower case, with the port if it is not the usual one."""
    csp: str = CSP
    """Content-Security-Policy of the answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is refused; pass on the rest."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no web sockets here
        refused = self._refused(scope)
        if refused:
            await answer(send, *refused)
            return
        await self.app(scope, limited(receive), with_headers(send, self.csp))

    def _refused(self, scope: Scope) -> tuple[int, str, str] | None:
        headers = [(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]]
        if one(headers, b"host").decode("latin-1").lower() not in self.hosts:
            message = "this server is not called so; use the link that it printed, or tell it this name (--host-name; "
            return 403, "FORBIDDEN", f"{message}names in [http] of a node)"
        if scope["method"] not in _KNOWN:
            return 405, "INVALID", f"{scope['method']} is not used here"
        length = one(headers, b"content-length")
        if length and (not length.isdigit() or int(length) > MAX_BODY):
            return 413, "TOO_LARGE", f"the request is larger than {MAX_BODY} bytes"
        if scope["method"] in _SAFE:
            return None
        if OWN_HEADER not in headers or one(headers, b"sec-fetch-site") != b"same-origin":
            return 403, "FORBIDDEN", "the request does not come from this server's own page"
        if one(headers, b"content-type").split(b";")[0].strip() != b"application/json":
            return 415, "INVALID", "expected application/json"
        return None


class TooLarge(Exception):
    """The body of a request goes on beyond the limit."""


def limited(receive: Receive, most_bytes: int = MAX_BODY) -> Receive:
    """Count the bytes of a body that comes in pieces without its length; raises ``TooLarge``."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most_bytes:
            raise TooLarge
        return message

    return counted


def one(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    """Return the value of a header; empty if it is missing or stands twice, so that no one reads another of them."""
    values = [value for known, value in headers if known == name]
    return values[0] if len(values) == 1 else b""


def with_headers(send: Send, csp: str = CSP) -> Send:
    """Add the headers of every answer; those of the same name that the application gave go."""
    fixed = tuple((name, csp.encode() if name == b"content-security-policy" else value) for name, value in _HEADERS)

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name for name, _ in _HEADERS}
            own = [pair for pair in message.get("headers", ()) if pair[0].lower() not in names]
            message = {**message, "headers": [*own, *fixed]}
        await send(message)

    return sent


async def answer(send: Send, status: int, code: str, text: str, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Answer with an error in JSON."""
    body = json.dumps({"error": {"code": code, "message": text}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *more]
    sent = with_headers(send)
    await sent({"type": "http.response.start", "status": status, "headers": headers})
    await sent({"type": "http.response.body", "body": body})
