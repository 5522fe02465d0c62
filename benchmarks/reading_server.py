"""How fast the server of the reader's page answers, asked over HTTP on this computer: prints a line for each figure.

    python benchmarks/reading_server.py [PATH...]      default: the samples that ship with ctacal

Bars (issue 18): click to new score below 50 ms, next study below 0.3 s when it was prefetched, page to first slice
below 1 s. What the browser adds is measured by the tests that drive one.
"""

import http.client
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from ctacal.jobs.reading_cases import Accepted
from ctacal.jobs.reading_rooms import RoomJob, open_room
from ctacal.scores import SCCT_2016
from ctacal.web.app import Site, page_app
from ctacal.web.guard import Guard
from ctacal.web.signin import Proxy, SignIn

SECRET = "s" * 40
CLICKS = 200


class Browser:
    """One kept connection, as a browser has."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port)

    def ask(self, path: str, body: Any = None) -> tuple[bytes, float]:
        """Return an answer, and how long it took in seconds."""
        headers = {
            "X-Ctacal": "1", "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json", "X-User": "anna",
            "X-Ctacal-Proxy-Secret": SECRET,
        }  # fmt: skip
        start = time.perf_counter()
        if body is None:
            self.connection.request("GET", path, headers=headers)
        else:
            self.connection.request("POST", path, json.dumps(body), headers)
        answer = self.connection.getresponse()
        content = answer.read()
        assert answer.status < 300, content
        return content, time.perf_counter() - start


def served(folder: Path, paths: list[Path]) -> int:
    """Start the server in a thread, and return its port."""
    job = RoomJob(
        kind="annotate", paths=tuple(paths), readings=folder, accepted=Accepted(rule=SCCT_2016), readers=("anna",)
    )
    proxy = Proxy(addresses=frozenset(("127.0.0.1",)), user_header="x-user", secret=SECRET)
    site = Site(room=open_room(job), signin=SignIn(), proxy=proxy)
    config = uvicorn.Config(page_app(site), port=0, log_level="error", lifespan="off", http="h11")
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    port = int(server.servers[0].sockets[0].getsockname()[1])
    server.config.loaded_app = Guard(page_app(site), frozenset((f"127.0.0.1:{port}",)))
    return port


def clicks(browser: Browser, name: str, content: dict[str, Any]) -> list[float]:
    """Click through the candidates; return the seconds from each click to its new score."""
    candidates, seq, taken = content["candidates"]["items"], content["state"]["seq"], []
    for number in range(CLICKS):
        voxel = candidates[number % len(candidates)]["peak_voxel"]
        event = {"kind": "click", "voxel": voxel, "label": 1 + number % 6, "seq": seq, "event_id": f"e{number}"}
        answer, seconds = browser.ask(f"/api/readings/{name}/events", event)
        seq = json.loads(answer)["seq"]
        taken.append(seconds)
    return taken


def main(paths: list[Path]) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        browser = Browser(served(Path(folder), paths))
        names = [item["id"] for item in json.loads(browser.ask("/api/worklist")[0])["items"]]
        for number, name in enumerate(names):
            what = "first study" if number == 0 else "next study, prefetched"
            if number:
                browser.ask(f"/api/readings/{name}/prefetch", {})
                time.sleep(3)
            content, opened = browser.ask(f"/api/readings/{name}/open", {})
            heart, took = browser.ask(f"/api/readings/{name}/volume?part=heart")
            print(f"{what}: open {opened:.3f} s, voxels of the heart ({len(heart) / 1e6:.1f} MB) {took:.3f} s")
            whole, took = browser.ask(f"/api/readings/{name}/volume?part=all")
            print(f"  all voxels ({len(whole) / 1e6:.0f} MB) {took:.3f} s")
            milliseconds = np.array(clicks(browser, name, json.loads(content))) * 1000
            low, middle, high = np.percentile(milliseconds, [5, 50, 95])
            print(
                f"  click to new score, {CLICKS} clicks: median {middle:.1f} ms, 5 to 95 %: {low:.1f} to {high:.1f} ms"
            )


if __name__ == "__main__":
    from ctacal import sample

    main([Path(path) for path in sys.argv[1:]] or sorted(Path(next(iter(sample.__path__))).glob("*.zip")))
