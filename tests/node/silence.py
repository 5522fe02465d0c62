"""A network that goes silent in the middle of a transfer: nothing gets through any more, and nobody is told."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

_POLL_S = 0.1


@dataclass(eq=False)
class Silence:
    """A way to a port of this machine, whose first connection goes silent; those that come later are passed on.

    Both its ends stay open until the block ends: no FIN, no RST. What the ends go on to send is not even read.
    """

    target: int
    there: int
    """Bytes that reach the target."""
    back: int
    """Bytes that come back from it."""
    port: int = 0
    connections: int = 0
    silent: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator["Silence"]:
        """Listen at ``port`` during the block."""
        listening = socket.create_server(("127.0.0.1", 0))
        listening.settimeout(_POLL_S)
        self.port = listening.getsockname()[1]
        thread = threading.Thread(target=self._serve, args=(listening,))
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def _serve(self, listening: socket.socket) -> None:
        threads: list[threading.Thread] = []
        with ExitStack() as stack:
            stack.enter_context(listening)
            while not self._over.is_set():
                with suppress(TimeoutError):
                    caller = stack.enter_context(listening.accept()[0])
                    target = stack.enter_context(socket.create_connection(("127.0.0.1", self.target)))
                    self.connections += 1
                    goes_silent = self.connections == 1
                    for ends in ((caller, target, self.there), (target, caller, self.back)):
                        threads.append(threading.Thread(target=self._pass_on, args=(*ends, goes_silent)))
                        threads[-1].start()
            for thread in threads:
                thread.join()

    def _pass_on(self, source: socket.socket, target: socket.socket, quota: int, goes_silent: bool) -> None:
        source.settimeout(_POLL_S)
        with suppress(OSError):
            while not self._over.is_set() and not (goes_silent and self.silent.is_set()):
                try:
                    content = source.recv(min(quota, 65536) if goes_silent else 65536)
                except TimeoutError:
                    continue
                if not content:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(content)
                quota -= len(content)
                if goes_silent and quota <= 0:
                    self.silent.set()
