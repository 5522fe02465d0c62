"""kill -9 at random moments: whatever the server acknowledged is there afterwards, and nothing is there twice."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ctacal.jobs.reading_folder import verify
from ctacal.readings.journal import Journal
from tests import places

KILLS = 30

SERVER = """
import os, signal, socket, sys
from pathlib import Path
import uvicorn
from ctacal.web.app import Site, page_app
from ctacal.web.guard import Guard
from ctacal.web.signin import Proxy, SignIn
from tests.reading_scene import opened, case, room

folder, port = Path(sys.argv[1]), int(sys.argv[2])
opened(case())  # all is imported and compiled before the first child

def serve() -> None:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    proxy = Proxy(addresses=frozenset(("127.0.0.1",)), user_header="x-user", secret="s" * 40)
    site = Site(room=room(folder), signin=SignIn(), proxy=proxy)
    app = Guard(page_app(site), frozenset((f"127.0.0.1:{port}",)))
    uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off")).run(sockets=[listening])

for _ in sys.stdin:  # a line asks for a server; its process is told, and its end
    child = os.fork()
    if child == 0:
        serve()
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


class Tab:
    """The page's outbox: an event stays until it is acknowledged, and is sent again with the same name."""

    def __init__(self, port: int, name: str) -> None:
        self.port, self.name = port, name
        self.acknowledged: list[str] = []
        self.waiting: dict[str, Any] | None = None
        self.seq = 1
        self.number = 0

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {
            "X-Ctacal": "1", "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json", "X-User": "anna",
            "X-Ctacal-Proxy-Secret": "s" * 40,
        }  # fmt: skip
        try:
            connection.request(method, path, json.dumps(body or {}), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def send_one(self) -> None:
        if self.waiting is None:
            self.number += 1
            number = self.number
            voxel = [[3, 11, 11], [5, 21, 16], [7, 25, 29]][number % 3]
            fields = {"kind": "click", "voxel": voxel, "label": 1 + number % 6} if number % 5 else {"kind": "undo"}
            self.waiting = {**fields, "event_id": f"e{number}"}
        status, answer = self.ask("POST", f"/api/readings/{self.name}/events", {**self.waiting, "seq": self.seq})
        if status == 422:  # nothing to undo
            self.waiting = None
            return
        assert status == 200, answer
        self.acknowledged.append(self.waiting["event_id"])
        self.seq, self.waiting = answer["seq"], None


@pytest.mark.ci
@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.parametrize("part", range(10))
def test_three_hundred_kills_lose_nothing(part: int, tmp_path: Path) -> None:
    lose_nothing(tmp_path, KILLS, seed=part)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_few_kills_lose_nothing(tmp_path: Path) -> None:
    lose_nothing(tmp_path, 6, seed=99)


def lose_nothing(folder: Path, kills: int, seed: int) -> None:
    chance, port = random.Random(seed), _free_port()
    words = [sys.executable, "-c", SERVER, str(folder), str(port)]
    mother = subprocess.Popen(words, cwd=places.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert mother.stdin is not None
    assert mother.stdout is not None
    tab = None
    try:
        for _ in range(kills):
            mother.stdin.write("go\n")
            mother.stdin.flush()
            child = int(mother.stdout.readline())
            tab = tab or _opened(port)
            _wait_for(tab)
            end = time.monotonic() + chance.uniform(0.02, 0.4)
            while time.monotonic() < end:
                tab.send_one()
            _send_while_killed(tab, child, chance.uniform(0, 0.01))
            assert mother.stdout.readline() == "gone\n"
    finally:
        mother.kill()
        mother.communicate()
    file = next((folder / "cases").glob("*/*.jsonl"))
    assert tab is not None
    stored = [str(record.content.get("event_id", "")) for record in Journal.read(file).records]
    assert len(stored) == len(set(stored))
    assert len(tab.acknowledged) > kills
    in_order = [name for name in stored if name in set(tab.acknowledged)]
    assert in_order == tab.acknowledged
    assert len(stored) - 1 - len(in_order) <= 1  # the open event, and perhaps one whose answer never came
    assert verify(folder).faults == ()


def _send_while_killed(tab: Tab, child: int, after_s: float) -> None:
    """Send an event while another thread kills the server."""
    from threading import Timer

    timer = Timer(after_s, os.kill, (child, signal.SIGKILL))
    timer.start()
    try:
        while timer.is_alive():
            tab.send_one()
    except (OSError, http.client.HTTPException):
        pass  # the event stays in the outbox
    timer.join()


def _opened(port: int) -> Tab:
    tab = Tab(port, "")
    _wait_for(tab)
    tab.name = tab.ask("GET", "/api/worklist")[1]["items"][0]["id"]
    status, content = tab.ask("POST", f"/api/readings/{tab.name}/open")
    assert status == 200
    tab.seq = content["state"]["seq"]
    return tab


def _wait_for(tab: Tab) -> None:
    for _ in range(2000):
        try:
            assert tab.ask("GET", "/api/session")[0] == 200
            return
        except (OSError, http.client.HTTPException):
            time.sleep(0.01)
    raise AssertionError("the server did not start")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
