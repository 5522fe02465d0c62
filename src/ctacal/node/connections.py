"""``Listener``: takes connections, and keeps those that do nothing, or too little, from holding up the others.

Each connection has a thread of ours that waits in a system call. DICOM begins only when a whole A-ASSOCIATE request is
there: what connects and stays silent costs a thread and a socket for a few seconds, never an association. Time is
measured by the monotonic clock, so that a clock that is set cuts nobody off.
"""

import logging
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

from ctacal.jobs.node.config import Receive
from ctacal.jobs.node.events import tell

_WAITING_PER_ASSOCIATION = 4
"""Connections that have not yet asked for an association, for each that may have one: room for many senders at once."""
_BACKLOG = 512
"""Connections that the system holds until they are accepted."""
_WATCH_S = 0.25
_PAUSE_S = 0.2
"""Pause after the system had no socket left."""


class ConnectionLost(OSError):
    """The peer closed the connection, or it was cut off."""


@dataclass(eq=False, slots=True)
class Connection:
    """A connection from a peer, and what it did so far. Its own thread uses it; others may only look and cut it."""

    socket: socket.socket
    address: str
    began_at: float = field(default_factory=time.monotonic)
    associated: bool = False
    """Its A-ASSOCIATE request was accepted."""
    busy: bool = False
    """A request of the peer is being served, so that it is the peer's turn to wait."""
    in_message: bool = False
    """Part of a message was received."""
    cut_because: str = ""
    """Why this end cut it off; empty: it did not."""
    _heard_at: float = 0.0
    _window_at: float = 0.0
    _window_bytes: int = 0

    def receive(self, size: int) -> bytearray:
        """Return so many bytes; fewer only if the connection ended. Raises ``OSError``."""
        content = bytearray(size)
        view, got = memoryview(content), 0
        while got < size:
            read = self.socket.recv_into(view[got:])
            if not read:
                break
            got += read
            self._heard_at = time.monotonic()
            self._window_bytes += read
        view.release()
        del content[got:]
        return content

    def receive_whole(self, size: int) -> bytearray:
        """Return so many bytes. Raises ``ConnectionLost`` if the connection ends before, and ``OSError``."""
        content = self.receive(size)
        if len(content) < size:
            raise ConnectionLost("the connection was closed")
        return content

    def turn(self) -> None:
        """Begin to expect something of the peer: what was before does not count."""
        self._heard_at = self._window_at = time.monotonic()
        self._window_bytes = 0

    def secure(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on. Raises ``OSError`` if the peer does not, or shows no certificate that is trusted."""
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.socket.do_handshake()

    def cut(self, why: str) -> None:
        """End the connection from any thread; whoever waits for it goes on at once."""
        self.cut_because = self.cut_because or why
        with suppress(OSError):  # it has ended itself. SSLSocket.shutdown would touch what its own thread uses
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back; only its own thread may."""
        self.cut("")
        with suppress(OSError):
            self.socket.close()

    def overdue(self, limits: Receive) -> str:
        """Return why the peer has to be cut off now; empty: it has not."""
        now = time.monotonic()
        if not self.associated:
            return "asked for no association" if now - self.began_at > limits.association_s else ""
        if self.busy:
            self.turn()
        elif not self.in_message:
            return "was silent for too long" if now - self._heard_at > limits.idle_s else ""
        elif now - self._window_at > limits.idle_s:
            too_slow = self._window_bytes < limits.least_bytes_per_s * (now - self._window_at)
            self._window_at, self._window_bytes = now, 0
            return "sent an object too slowly" if too_slow else ""
        return ""


class Listener:
    """The listening socket and its connections. To be used in a ``with`` block, at whose end all are cut off."""

    def __init__(
        self,
        limits: Receive,
        serve: Callable[[Connection], None],
        note: Callable[[str, str], None],
        alive: Callable[[], None],
    ) -> None:
        """``serve`` runs in the thread of each connection; ``note`` is told why which address was cut off.

        ``alive`` is called at each turn of the loop that accepts.

        Raises ``OSError`` if the address cannot be listened at.
        """
        self._limits, self._serve, self._note, self._alive = limits, serve, note, alive
        family = socket.AF_INET6 if ":" in limits.host else socket.AF_INET
        both = limits.host == "::" and socket.has_dualstack_ipv6()
        where = (limits.host, limits.port)
        self._socket = socket.create_server(where, family=family, backlog=_BACKLOG, dualstack_ipv6=both)
        self._socket.settimeout(_WATCH_S)
        self.port: int = self._socket.getsockname()[1]
        self._lock, self._stopping, self._closed = threading.Lock(), threading.Event(), threading.Event()
        self._threads: dict[Connection, threading.Thread] = {}
        self._own = [threading.Thread(target=work, daemon=True) for work in (self._accept, self._watch)]

    def __enter__(self) -> "Listener":
        for thread in self._own:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_accepting()
        self._stopping.set()
        for connection in self.connections():
            connection.cut("the node stops")
        for thread in (*self._own, *self._threads.copy().values()):
            thread.join()

    def stop_accepting(self) -> None:
        """Take no connection any more."""
        self._closed.set()
        self._own[0].join()
        self._socket.close()

    def connections(self) -> list[Connection]:
        """Return the open connections, the oldest first."""
        with self._lock:
            return list(self._threads)

    def may_associate(self, connection: Connection) -> bool:
        """Count a connection as an association, unless there are too many of its address or in all."""
        with self._lock:
            taken = Counter(other.address for other in self._threads if other.associated)
            if taken[connection.address] >= self._limits.most_per_address:
                return False
            if taken.total() >= self._limits.most_associations:
                return False
            connection.turn()
            connection.associated = True
        return True

    def _accept(self) -> None:
        while not self._closed.is_set():
            self._alive()
            try:
                accepted, (host, *_) = self._socket.accept()
            except TimeoutError:
                continue
            except OSError as problem:
                tell("connections cannot be accepted", level=logging.ERROR, reason=problem)
                self._closed.wait(_PAUSE_S)
                continue
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._begin(Connection(accepted, _plain(host)))

    def _begin(self, connection: Connection) -> None:
        thread = threading.Thread(target=self._run, args=(connection,), name=f"peer {connection.address}", daemon=True)
        with self._lock:
            self._make_room(connection.address)
            self._threads[connection] = thread
        thread.start()

    def _make_room(self, address: str) -> None:
        """Cut off the connection that has waited longest without a request: of the same address, or of the crowd."""
        waiting = [other for other in self._threads if not other.associated and not other.cut_because]
        here = [other for other in waiting if other.address == address]
        if len(here) >= _WAITING_PER_ASSOCIATION * self._limits.most_per_address:
            self._cut(here[0], "others of its address came")
        elif len(waiting) >= _WAITING_PER_ASSOCIATION * self._limits.most_associations:
            ((crowded, _),) = Counter(other.address for other in waiting).most_common(1)
            self._cut(next(other for other in waiting if other.address == crowded), "others came")

    def _run(self, connection: Connection) -> None:
        try:
            self._serve(connection)
        except Exception:  # a defect in one connection must not show in others
            logging.getLogger("ctacal").exception("a connection failed")
        finally:
            connection.close()
            with self._lock:
                del self._threads[connection]

    def _watch(self) -> None:
        while not self._stopping.wait(_WATCH_S):
            for connection in self.connections():
                if connection.cut_because:
                    connection.cut("")  # again, in case it began to speak TLS at that very moment
                elif why := connection.overdue(self._limits):
                    self._cut(connection, why)

    def _cut(self, connection: Connection, why: str) -> None:
        connection.cut(why)
        self._note(why, connection.address)


def _plain(host: str) -> str:
    """Return an address without scope, and an IPv4 address as such.

    >>> _plain("::ffff:10.1.2.3"), _plain("fe80::1%eth0")
    ('10.1.2.3', 'fe80::1')
    """
    address = ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
