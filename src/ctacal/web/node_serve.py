"""``run``: the process of a node that answers HTTP. It starts only where it is safe to."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from ipaddress import ip_address
from threading import Event

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ctacal.errors import UsageError, system_message
from ctacal.jobs.node.arrivals import Arrivals
from ctacal.jobs.node.config import Http, NodeConfig
from ctacal.jobs.node.events import tell
from ctacal.jobs.node.intake import Limits
from ctacal.jobs.node.ledger import APPENDING_KIB, Ledger, ledger_of
from ctacal.jobs.node.life import Pulse, Watch, alive_folder
from ctacal.jobs.node.overview import Overviews
from ctacal.jobs.node.sign_in import Seal, http_token, page_address, read_secret
from ctacal.jobs.node.store import Store
from ctacal.web.guard import App
from ctacal.web.health import Health
from ctacal.web.node_app import node_app
from ctacal.web.node_guard import NodeGuard
from ctacal.web.node_site import NodeSite
from ctacal.web.serve import LOOPBACK_NAMES, listening_socket
from ctacal.web.signin import Proxy
from ctacal.web.stow_in import StowIn

LEDGER_WAIT_S = 5.0
"""How long an answer waits for the database; then it says that the ledger does not answer."""

HEAD_S = 20.0
"""Time that a connection has to send a request's head; then it is closed, so that idle ones do not pile up."""

MOST_CONNECTIONS = 500
"""Connections and requests at once; further ones are answered 503."""

_STOP_S = 5
_TICK_S = 0.5


def run(config: NodeConfig, stopping: Event) -> None:
    """Serve until ``stopping`` is set. Raises ``UsageError`` if the port cannot be had or a secret cannot be read."""
    store, seal = Store(config.store), Seal(http_token(config))
    watch = Watch(alive_folder(config.store, config.receive.port))
    with ExitStack() as stack:
        ledger, asked = (
            stack.enter_context(closing(ledger_of(config, store, wait_s=LEDGER_WAIT_S))) for _ in range(2)
        )  # the second one for health alone: a query of a page must not look like a ledger that does not answer
        health = stack.enter_context(closing(Health(watch, asked.newest_scored, config.store)))
        arrivals = stack.enter_context(_arrivals(config, store))
        site = node_site(config, store, ledger, health, seal, arrivals)
        port = stack.enter_context(closing(_listening(config.http)))
        health.start()
        tell("pages are served", address=page_address(config))
        asyncio.run(_serve(guarded(site), config, port, stopping))


def node_site(
    config: NodeConfig, store: Store, ledger: Ledger, health: Health, seal: Seal, arrivals: Arrivals
) -> NodeSite:
    """Return what is served. Raises ``UsageError`` if the proxy's secret cannot be read."""
    http = config.http
    return NodeSite(
        config=config,
        store=store,
        ledger=ledger,
        seal=seal,
        health=health,
        overviews=Overviews(ledger, config, health.parts),
        stow=stow_in(config, store, arrivals) if http.stow else None,
        proxy=_proxy(http),
        cookie=f"ctacal_node_{http.port}",
    )


def guarded(site: NodeSite) -> App:
    """Return the application behind its guard."""
    http = site.config.http
    open_metrics = http.is_loopback and not http.proxy
    return NodeGuard(node_app(site), accepted_hosts(http), site.seal.is_token, open_metrics=open_metrics)


def stow_in(config: NodeConfig, store: Store, arrivals: Arrivals) -> StowIn:
    """Return the receiver of STOW-RS requests."""
    receive, disk = config.receive, config.disk
    limits = Limits(
        largest_object_mb=receive.largest_object_mb, reserve_mb=disk.reserve_mb, reserve_percent=disk.reserve_percent
    )
    return StowIn(
        store=store, arrivals=arrivals, limits=limits, largest_request_mb=config.http.largest_request_mb,
        idle_s=receive.idle_s, least_bytes_per_s=receive.least_bytes_per_s,
    )  # fmt: skip


def accepted_hosts(http: Http) -> frozenset[str]:
    """Return the values of the Host header that pages are served under, in lower case."""
    local = LOOPBACK_NAMES if http.is_loopback else ()
    return frozenset([*(f"{name}:{http.port}" for name in local), *(name.lower() for name in http.names)])


class _Server(uvicorn.Server):
    """A server that leaves the signals to the process, which tells it when to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _PromptConnection(H11Protocol):
    """A connection that is closed if it brings no whole head of a request in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(HEAD_S, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:  # a request is being answered
            self.loop.call_later(HEAD_S, self._close_if_idle)


async def _serve(app: App, config: NodeConfig, port: socket.socket, stopping: Event) -> None:
    tls = config.http.tls
    server = _Server(uvicorn.Config(
        app, log_config=None, log_level=logging.ERROR, access_log=False, server_header=False, date_header=False,
        lifespan="off", proxy_headers=False, ssl_certfile=tls.certificate, ssl_keyfile=tls.key, http=_PromptConnection,
        ws="none", limit_concurrency=MOST_CONNECTIONS, timeout_graceful_shutdown=_STOP_S,
    ))  # fmt: skip
    pulse = Pulse(alive_folder(config.store, config.receive.port), "http")
    serving = asyncio.create_task(server.serve(sockets=[port]))
    while not serving.done():
        pulse.beat()  # in the loop that answers: if that hangs, this does
        server.should_exit = server.should_exit or stopping.is_set()
        await asyncio.wait([serving], timeout=_TICK_S)
    await serving


def _arrivals(config: NodeConfig, store: Store) -> Arrivals:
    return Arrivals(
        store, lambda: ledger_of(config, store, wait_s=LEDGER_WAIT_S, cache_kib=APPENDING_KIB), config.settle
    )


def _proxy(http: Http) -> Proxy | None:
    if not http.proxy or http.proxy_secret_file is None:
        return None
    secret = read_secret(http.proxy_secret_file, "http.proxy_secret_file")
    try:
        addresses = frozenset(str(ip_address(address)) for address in http.proxy)
    except ValueError as problem:
        raise UsageError(f"http.proxy: {problem}; give IP addresses") from problem
    return Proxy(addresses=addresses, user_header=http.user_header.lower(), secret=secret)


def _listening(http: Http) -> socket.socket:
    try:
        return listening_socket(http.host, http.port)
    except OSError as problem:
        raise UsageError(f"http: {http.host}:{http.port}: {system_message(problem)}") from problem
