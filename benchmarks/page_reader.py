"""The reader's page as a person meets it: a server in a process of its own, and a browser with mouse and keys.

The tests (tests/web) and the benchmark (reader_page.py) drive it.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

FLAGS = ["--disable-gpu", "--disable-software-rasterizer", "--disable-3d-apis", "--no-sandbox"]
"""As on a remote desktop without a graphics card: WebGL is absent."""
SAMPLES = Path(__file__).parents[1] / "src" / "ctacal" / "sample"
START_S = 120.0
"""Longest time that a server may take to start on a busy machine."""

WAIT_S = 60.0
"""Longest time that anything in the page may take on a busy machine."""


@contextlib.contextmanager
def chromium(executable: str) -> Iterator["Browser"]:
    """A browser without a graphics card, closed afterwards."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Room:
    """A running server: its process and the link of each reader."""

    arguments: Sequence[str]
    folder: Path
    process: "subprocess.Popen[str] | None" = None
    links: dict[str, str] = field(default_factory=dict)
    port: int = 0
    readers: int = 1
    """Links that the command prints."""

    def start(self) -> "Room":
        """Start the server and wait for its links; a second start uses the same port."""
        command = [sys.executable, "-m", "ctacal", *self.arguments, "--no-browser", "--port", str(self.port)]
        self.log = (self.folder / "server.log").open("a", encoding="utf-8")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True, env=os.environ)
        self.links = dict(self._printed())
        self.port = int(next(re.finditer(r":(\d+)/", next(iter(self.links.values()))))[1])
        return self

    def _printed(self) -> Iterator[tuple[str, str]]:
        """The links, one for each reader, as the command prints them."""
        assert self.process and self.process.stdout
        expected = self.readers
        deadline = time.monotonic() + START_S
        for line in self.process.stdout:
            if found := re.fullmatch(r"(\S+): (http\S+)\s*", line):
                yield found[1], found[2]
                expected -= 1
            if not expected:
                return
            assert time.monotonic() < deadline
        raise AssertionError((self.folder / "server.log").read_text(encoding="utf-8"))

    def kill(self) -> None:
        """Stop the server as a power failure would."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._close()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            self.kill()

    def _close(self) -> None:
        assert self.process and self.process.stdout
        self.process.stdout.close()
        self.log.close()


@contextlib.contextmanager
def room(folder: Path, *arguments: str, readers: int = 1) -> Iterator[Room]:
    """A server that is stopped afterwards; ``readers`` links are waited for."""
    running = Room(arguments, folder, readers=readers).start()
    try:
        yield running
    finally:
        running.stop()


def new_reader(browser: "Browser", link: str, size: tuple[int, int] = (1280, 800)) -> "Reader":
    """A person who opens a link in a browser of their own."""
    return Reader(browser.new_context(viewport={"width": size[0], "height": size[1]}), link)


class Reader:
    """A person at the page: real mouse and keys; what must never appear in the console is an error of a test."""

    def __init__(self, context: "BrowserContext", address: str) -> None:
        self.context, self.address = context, address
        self.page = context.new_page()
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.goto(address)
        self.wait_for_case()

    def another_tab(self) -> "Reader":
        """The same person, at the same case, in a second tab."""
        return Reader(self.context, self.page.url)

    def _note(self, kind: str, text: str) -> None:
        if kind == "error" and "Failed to load resource" not in text:
            self.faults.append(text)

    def wait_for_case(self) -> None:
        """Wait until a case is shown whole: its heart and its surroundings."""
        self.wait("window.ctacal?.station.reading?.isWhole")

    def wait(self, condition: str) -> None:
        """Wait for a condition in the page; the page's own policy forbids Playwright's way, which needs eval."""
        deadline = time.monotonic() + WAIT_S
        while not self.page.evaluate(f"() => !!({condition})"):
            assert time.monotonic() < deadline, condition
            self.page.wait_for_timeout(10)

    def js(self, expression: str, given: Any = None) -> Any:
        """The value of an expression of the page; ``station`` is its workstation."""
        return self.page.evaluate(f"(given) => {{ const {{ station }} = window.ctacal; return {expression}; }}", given)

    @property
    def score(self) -> dict[str, Any]:
        """What the page shows."""
        shown: dict[str, Any] = self.js("station.score")
        return shown

    @property
    def case_id(self) -> str:
        return str(self.js("station.reading.id"))

    def settle(self) -> None:
        """Wait until everything is stored and compared."""
        self.js("station.turn")
        self.wait("window.ctacal.station.outbox.queue.length === 0")
        self.js("Promise.all(station.comparisons)")

    def server_state(self) -> dict[str, Any]:
        """The reading as the server knows it."""
        answer = self.page.evaluate(f"fetch('/api/readings/{self.case_id}').then((answer) => answer.json())")
        return dict(answer["state"])

    def labels(self) -> "np.ndarray[Any, np.dtype[np.uint8]]":
        """The page's marks as a label map."""
        shape = self.js("station.reading.shape")
        marks = np.zeros(shape, np.uint8)
        for index, label in self.js("[...station.reading.labelled].map((i) => [i, station.reading.labels[i]])"):
            marks.flat[index] = label
        return marks

    def point(self, voxel: Sequence[float]) -> tuple[float, float]:
        """Where a voxel of the shown slice lies on the screen."""
        box = self.page.locator("#axial canvas").bounding_box()
        assert box
        x, y = self.js("station.axial.toCanvas(given)", [voxel[2], voxel[1]])
        return box["x"] + x, box["y"] + y

    def scroll_to(self, slice_index: int) -> int:
        """Turn the wheel until a slice is shown; returns the number of steps."""
        self.page.mouse.move(*self.point([0, *self.js("station.axial.middle.slice().reverse()")]))
        steps = slice_index - int(self.js("station.scene.position[0]"))
        for _ in range(abs(steps)):
            self.page.mouse.wheel(0, -100 if steps > 0 else 100)
            # each turn of the wheel is an event of its own
            self.page.wait_for_timeout(5)
        self.wait(f"window.ctacal.station.scene.position[0] === {slice_index}")
        return abs(steps)

    def click(self, voxel: Sequence[float]) -> None:
        """Click on a voxel of the shown slice."""
        self.page.mouse.click(*self.point(voxel))

    def drag(self, points: Sequence[Sequence[float]], button: Any = "left") -> None:
        """Drag the mouse through voxels (row, column) of the shown slice."""
        places = [self.point([0, *point]) for point in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down(button=button)
        for place in places[1:]:
            self.page.mouse.move(*place, steps=2)
        self.page.mouse.up(button=button)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def leave(self) -> None:
        """Close the tab; nothing must have gone wrong in it."""
        self.context.close()
        assert not self.faults, self.faults
