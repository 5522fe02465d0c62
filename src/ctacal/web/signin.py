"""Who sends a request: one-time links and the cookies that they are changed for, or a proxy that has asked already."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from threading import Lock

from starlette.requests import Request

COOKIE = "ctacal_session"

TOKEN_S = 600.0
"""Seconds for which a link is good: time to copy it into another browser (own choice)."""

SESSION_S = 12 * 3600.0
"""Seconds for which a cookie is good: a long day of reading (own choice)."""

SECRET_HEADER = "x-ctacal-proxy-secret"
"""The proxy proves by it that it is the proxy, and not another program on its machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A reverse proxy that knows who the user is."""

    addresses: frozenset[str]
    """IP addresses from which its requests come."""
    user_header: str
    """Lower case."""
    secret: str

    def reader(self, address: str, headers: Mapping[str, str]) -> str | None:
        """Return the reader that the proxy names; None if the request is not the proxy's."""
        secret = headers.get(SECRET_HEADER, "")
        known = _plain(address) in self.addresses and hmac.compare_digest(secret.encode(), self.secret.encode())
        return headers.get(self.user_header) if known else None


def who(request: Request, proxy: Proxy | None, of_cookie: Callable[[], str | None]) -> str | None:
    """Return who sends a request: whom the proxy names, or without one whose cookie it is; None if it is nobody."""
    if proxy is None:
        return of_cookie()
    return proxy.reader(request.client.host if request.client else "", request.headers)


@dataclass(eq=False, slots=True)
class SignIn:
    """Links that are good once, and the sessions that they began. Secrets are kept as digests only."""

    clock: Callable[[], float] = time.monotonic
    _links: dict[bytes, tuple[str, float]] = field(default_factory=dict)
    _sessions: dict[bytes, tuple[str, float]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def link(self, reader: str) -> str:
        """Return a token for a reader that is good once."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._links[_digest(token)] = (reader, self.clock() + TOKEN_S)
        return token

    def begin(self, token: str) -> str | None:
        """Change a token for the secret of a cookie; None if the token is unknown, used or too old."""
        with self._lock:
            reader, until = self._links.pop(_digest(token), ("", 0.0))
            if not reader or self.clock() > until:
                return None
            secret = secrets.token_urlsafe(32)
            self._sessions[_digest(secret)] = (reader, self.clock() + SESSION_S)
            return secret

    def reader(self, secret: str) -> str | None:
        """Return whose cookie it is; None if it is nobody's, or too old."""
        with self._lock:
            reader, until = self._sessions.get(_digest(secret), ("", 0.0))
        return reader if reader and self.clock() <= until else None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _plain(address: str) -> str:
    """Return an IP address in its usual form: an IPv4 address may come as ``::ffff:10.0.0.1``."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)
