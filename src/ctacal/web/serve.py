"""``serve``: run the page's server; it starts only where it is safe to."""

import logging
import socket
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from threading import Timer

import uvicorn

from ctacal.errors import UsageError
from ctacal.jobs.reading_room import ReadingRoom
from ctacal.loopback import is_loopback
from ctacal.web.app import Site, page_app
from ctacal.web.guard import Guard
from ctacal.web.signin import COOKIE, Proxy, SignIn

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")

SHORTEST_SECRET = 32
"""Fewest characters of the secret that a proxy shares with the server (own choice)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the server listens, and what protects it there."""

    host: str = "127.0.0.1"
    port: int = 0
    """0: any free one."""
    names: tuple[str, ...] = ()
    """Names, with ports if they have one, by which browsers call the server; needed away from loopback."""
    certificate: Path | None = None
    key: Path | None = None
    proxy: Proxy | None = None

    def __post_init__(self) -> None:
        """Raise ``UsageError`` if the server would be open to the network without protection."""
        if (self.certificate is None) != (self.key is None):
            raise UsageError("--tls-certificate and --tls-key belong together")
        if self.is_loopback:
            return
        if self.certificate is None and self.proxy is None:
            raise UsageError(
                f"--host {self.host}: away from this machine the page needs TLS (--tls-certificate, --tls-key) "
                "or a reverse proxy that signs readers in (--proxy ADDRESS)"
            )
        if not self.names:
            raise UsageError(f"--host {self.host}: say by which name browsers call the server (--host-name)")

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine reach the server."""
        return is_loopback(self.host)


def proxy_from_file(addresses: Sequence[str], user_header: str, secret_file: Path | None) -> Proxy:
    """Return the proxy whose secret lies in a file. Raises ``UsageError`` if the secret is missing or short."""
    if secret_file is None:
        raise UsageError("--proxy: give the secret that the proxy sends with each request (--proxy-secret FILE)")
    secret = secret_file.read_text(encoding="utf-8").strip()
    if len(secret) < SHORTEST_SECRET:
        raise UsageError(f"{secret_file}: the secret must have {SHORTEST_SECRET} characters or more")
    try:
        known = frozenset(str(ip_address(address)) for address in addresses)
    except ValueError as problem:
        raise UsageError(f"--proxy: {problem}; give IP addresses") from problem
    return Proxy(addresses=known, user_header=user_header.lower(), secret=secret)


def accepted_hosts(address: Address, port: int) -> frozenset[str]:
    """Return the values of the Host header that are accepted."""
    local = LOOPBACK_NAMES if address.is_loopback else ()
    return frozenset([*(f"{name}:{port}" for name in local), *(name.lower() for name in address.names)])


def serve(
    room: ReadingRoom,
    readers: Sequence[str],
    address: Address,
    *,
    browser: bool,
    say: Callable[[str], object],
) -> None:
    """Serve the page until the user stops it. ``say`` is told the link of each reader.

    Raises ``UsageError`` if the port cannot be had.
    """
    listening = _listening(address)
    listening.listen()  # a browser that is faster than the server waits instead of being refused
    port = int(listening.getsockname()[1])
    signin = SignIn()
    secure, cookie = address.certificate is not None, f"{COOKIE}_{port}"
    site = Site(room=room, signin=signin, proxy=address.proxy, secure=secure, cookie=cookie)
    app = Guard(page_app(site), accepted_hosts(address, port))
    room.warm(readers[:1])  # the first slice is there when the page asks for it
    if not address.proxy:
        links = [(reader, f"{_origin(address, port)}/start?token={signin.link(reader)}") for reader in readers]
        for reader, link in links:
            say(f"{reader}: {link}")
        if browser and links:
            Timer(0.3, webbrowser.open, [links[0][1]]).start()
    config = uvicorn.Config(
        app, log_level=logging.WARNING, access_log=False, server_header=False, date_header=False, lifespan="off",
        proxy_headers=False, ssl_certfile=address.certificate, ssl_keyfile=address.key, http="h11",
        timeout_graceful_shutdown=5,
    )  # fmt: skip
    try:
        with suppress(KeyboardInterrupt):  # uvicorn raises it again when all is closed
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        listening.close()
        room.close()


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket on which browsers that are faster than the server wait. Raises ``OSError``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening


def _listening(address: Address) -> socket.socket:
    try:
        return listening_socket(address.host, address.port)
    except OSError as problem:
        raise UsageError(f"--host {address.host} --port {address.port}: {problem.strerror}") from problem


def _origin(address: Address, port: int) -> str:
    scheme = "https" if address.certificate else "http"
    if address.names:
        return f"{scheme}://{address.names[0]}"
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{scheme}://{host}:{port}"
