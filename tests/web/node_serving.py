"""The process of a node that answers HTTP, run in a thread on a free port over a scene; its other parts only beat."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection, socket
from threading import Event, Thread
from typing import Any

from ctacal.jobs.node.life import PARTS, Pulse, alive_folder
from ctacal.jobs.node.sign_in import sign_in_link
from ctacal.web import node_serve
from tests.web.node_scene import Scene, scene

WAIT_S = 60.0


class Served:
    """A node whose pages are served."""

    def __init__(self, node: Scene) -> None:
        self.node = node
        self.silent: set[str] = set()
        """Parts that do not beat."""

    @property
    def port(self) -> int:
        return self.node.config.http.port

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def link(self) -> str:
        return sign_in_link(self.node.config)

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.node.site.seal.token}"}

    def beat(self, stopping: Event) -> None:
        """Show that the other parts live, until it is over."""
        folder = alive_folder(self.node.config.store, self.node.config.receive.port)
        pulses = {part: Pulse(folder, part) for part in PARTS if part != "http"}
        while not stopping.wait(0.2):
            for part, pulse in pulses.items():
                if part not in self.silent:
                    pulse.beat()


@contextmanager
def served(folder: Path, **settings: Any) -> Iterator[Served]:
    """A node in a folder, served until the end of the block."""
    http = {"port": free_port(), **settings.pop("http", {})}
    there = Served(scene(folder, http=http, **settings))
    stopping, problems = Event(), list[BaseException]()

    def run() -> None:
        try:
            node_serve.run(there.node.config, stopping)
        except BaseException as problem:
            problems.append(problem)

    threads = [Thread(target=run), Thread(target=there.beat, args=(stopping,))]
    for thread in threads:
        thread.start()
    try:
        wait_for_port(there.port, problems)
        yield there
    finally:
        stopping.set()
        for thread in threads:
            thread.join(WAIT_S)
        there.node.close()
    assert not problems, problems
    assert not any(thread.is_alive() for thread in threads)


def free_port() -> int:
    """A port that nothing listens at."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for_port(port: int, problems: list[BaseException]) -> None:
    """Wait until something listens."""
    until = time.monotonic() + WAIT_S
    while True:
        assert not problems, problems
        try:
            create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.02)
        else:
            return


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
