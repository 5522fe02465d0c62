"""Who may use the pages and the REST interface of a node: a token in a file, and links and cookies sealed with it.

The token is the one secret. Programs send it as a bearer token (RFC 6750). A person either types it into the page, or
opens a link that ``ctacal node link`` prints, which is good for ten minutes and once. The cookie that follows is sealed
with the token (HMAC-SHA256): it outlives a restart of the node, and ends when the token is changed.
"""

import base64
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from ctacal.errors import UsageError, system_message
from ctacal.jobs.node.config import NodeConfig

TOKEN_FILE = "http-token"
"""File of the store with the token, if the configuration names no other."""

SHORTEST_TOKEN = 32
"""Fewest characters of a token or secret (own choice)."""

LINK_S = 600.0
"""Seconds for which a link is good."""

SESSION_S = 12 * 3600.0
"""Seconds for which a cookie is good: a working day."""


def http_token(config: NodeConfig) -> str:
    """Return the token; it is made, readable by the node's own user only, if the configuration names no file.

    Raises ``UsageError`` if the file cannot be read, or its token is short.
    """
    if config.http.token_file:
        return read_secret(config.http.token_file, "http.token_file")
    path = config.store / TOKEN_FILE
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_secret(path, "http.token_file")
    except OSError as problem:
        raise UsageError(f"{path}: {system_message(problem)}") from problem
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
    return read_secret(path, "http.token_file")


def read_secret(path: Path, name: str) -> str:
    """Return the secret that a file holds; ``name`` is the field of the configuration, for messages.

    Raises ``UsageError`` if it cannot be read, or is short.
    """
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as problem:
        raise UsageError(f"{name}: {path}: {system_message(problem)}") from problem
    except UnicodeDecodeError as problem:
        raise UsageError(f"{name}: {path}: is no text") from problem
    if len(secret) < SHORTEST_TOKEN or not secret.isascii() or not secret.isprintable():
        raise UsageError(f"{name}: {path}: must hold {SHORTEST_TOKEN} or more printable ASCII characters")
    return secret


def page_address(config: NodeConfig) -> str:
    """Return the address of the pages as people call it; empty if there are none."""
    http = config.http
    if not http.port:
        return ""
    scheme = "https" if http.tls.used or http.proxy else "http"
    if http.names:
        return f"{scheme}://{http.names[0]}"
    host = f"[{http.host}]" if ":" in http.host else http.host
    return f"{scheme}://{host}:{http.port}"


def sign_in_link(config: NodeConfig) -> str:
    """Return a link that signs a person in, once. Raises ``UsageError`` if there are no pages."""
    if not config.http.port:
        raise UsageError("http.port is 0: this node has no pages")
    return f"{page_address(config)}/start?token={Seal(http_token(config)).link()}"


@dataclass(eq=False, slots=True)
class Seal:
    """Makes and reads links and cookies."""

    token: str
    clock: Callable[[], float] = time.time
    """Seconds since 1970: links and cookies outlive the process."""
    _used: dict[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def is_token(self, given: str) -> bool:
        """Whether it is the token; takes the same time for every wrong one."""
        return hmac.compare_digest(_digest(given), _digest(self.token))

    def link(self, user: str = "link") -> str:
        """Return what a link carries."""
        return self._sealed("link", user, LINK_S)

    def opened(self, link: str) -> str | None:
        """Return the user of a link the first time; None if it is used, too old or not ours."""
        user = self._user("link", link, LINK_S)
        if user is None:
            return None
        with self._lock:
            now = self.clock()
            self._used = {used: until for used, until in self._used.items() if until > now}
            if link in self._used:
                return None
            self._used[link] = now + LINK_S
        return user

    def cookie(self, user: str) -> str:
        """Return the cookie of a user who has just signed in."""
        return self._sealed("session", user, SESSION_S)

    def user(self, cookie: str) -> str | None:
        """Return whose cookie it is; None if it is too old or not ours."""
        return self._user("session", cookie, SESSION_S)

    def _sealed(self, purpose: str, user: str, for_s: float) -> str:
        name = base64.urlsafe_b64encode(user.encode()).decode().rstrip("=")
        content = f"{name}.{int(self.clock() + for_s)}.{secrets.token_urlsafe(12)}"
        return f"{content}.{self._mark(purpose, content)}"

    def _user(self, purpose: str, sealed: str, for_s: float) -> str | None:
        content, _, mark = sealed.rpartition(".")
        if not sealed.isascii() or not hmac.compare_digest(mark, self._mark(purpose, content)):
            return None
        name, until, _ = content.split(".")
        left_s = int(until) - self.clock()
        if not 0 < left_s <= for_s + 60:  # a clock that was set back makes nothing good for longer
            return None
        return base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()

    def _mark(self, purpose: str, content: str) -> str:
        return hmac.new(self.token.encode(), f"{purpose} {content}".encode(), hashlib.sha256).hexdigest()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
