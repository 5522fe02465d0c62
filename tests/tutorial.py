"""A tutorial as a reader follows it: its code runs block by block in one folder, and prints what the page shows."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SERVER = re.compile(r"ctacal (node node\.toml|review \S+)")
"""A block of this line alone is a server, which runs until the end of the page."""
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROMISES = re.compile(r"^## What you have now\n(.*?)(?:\n\n[A-Z]|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A piece of code, and what the page says that it prints."""

    language: str
    code: str
    printed: str = ""


def blocks(page: str) -> list[Block]:
    """Return the code of a page in its order. Text that follows no code is an example that does not run."""
    found: list[Block] = []
    end = 0
    for fence in _FENCE.finditer(page):
        language, code = fence[1], fence[2]
        if language in ("sh", "python"):
            found.append(Block(language, code))
        elif language == "text" and found and not page[end : fence.start()].strip():
            found[-1] = Block(found[-1].language, found[-1].code, code)
        end = fence.end()
    return found


def shows(page: str, printed: str) -> bool:
    """Whether what was printed begins as the page shows; ``...`` stands for any text, white space counts little."""
    shown = r"\s*.*?\s*".join(r"\s+".join(map(re.escape, part.split())) for part in page.split("..."))
    return re.match(shown, printed.lstrip(), re.DOTALL) is not None


def promises(page: str) -> list[str]:
    """Return the files that a page says are there at its end."""
    part = _PROMISES.search(page)
    if part is None:
        return []
    lines = [line for line in part[1].splitlines() if line.startswith("- ")]
    return [file for line in lines for file in re.findall(r"`([^`]+)`", line.partition(": ")[0])]


@dataclass
class Terminal:
    """Runs blocks in a folder. ``act`` is what a person does at a server that was started."""

    folder: Path
    act: Any = None
    names: dict[str, Any] = field(default_factory=dict)
    servers: list["subprocess.Popen[str]"] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        bin_folder = str(Path(sys.executable).parent)
        return {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}

    def run(self, block: Block) -> str:
        """Return what the block prints; fails if it does."""
        if block.language == "python":
            return self._python(block.code)
        if SERVER.fullmatch(block.code.strip()):
            return self._server(block.code.strip())
        return self._shell(block.code)

    def _shell(self, code: str) -> str:
        done = subprocess.run(
            ["bash", "-e", "-c", code],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def _python(self, code: str) -> str:
        printed = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(printed):
            exec(compile(code, "tutorial", "exec"), self.names)
        return printed.getvalue()

    def _server(self, line: str) -> str:
        if "review" in line:
            self.act(self.folder, line.split()[1:])
            return ""
        with (self.folder / "server.log").open("w") as log:
            self.servers.append(
                subprocess.Popen(line.split(), cwd=self.folder, env=self.environment, stdout=log, stderr=log, text=True)
            )
        return ""

    def stop(self) -> None:
        """Stop what runs, as Ctrl-C does."""
        for server in self.servers:
            server.send_signal(signal.SIGINT)
            server.wait(60)


@contextlib.contextmanager
def terminal(folder: Path, act: Any = None) -> Iterator[Terminal]:
    """A terminal whose servers are stopped afterwards."""
    opened = Terminal(folder, act)
    try:
        yield opened
    finally:
        opened.stop()


def follow(page: str, folder: Path, act: Any = None) -> None:
    """Run a page, hold what it prints against what it shows, and its files against those that it promises."""
    with terminal(folder, act) as opened:
        for block in blocks(page):
            begin = time.monotonic()
            printed = opened.run(block)
            print(f"{time.monotonic() - begin:6.1f} s  {block.code.splitlines()[0]}")
            assert not block.printed or shows(block.printed, printed), (
                f"{block.code}prints\n{printed}and the page shows\n{block.printed}"
            )
    missing = [file for file in promises(page) if not list(folder.glob(file))]
    assert not missing, f"promised, not there: {missing}"


def open_the_page(folder: Path, arguments: list[str]) -> None:
    """Start the server of a page, ask it once, and end there: what follows takes a browser and a person."""
    server = subprocess.Popen(
        [sys.executable, "-m", "ctacal", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert server.stdout
    address = next((found[0] for line in server.stdout if (found := re.search(r"http://\S+", line))), None)
    assert address, "the server names no address"
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert answer.status == 200
    server.send_signal(signal.SIGINT)
    server.wait(60)
    print(f"{address} answers; what follows takes a browser (tests/test_tutorials.py)")
    raise SystemExit(0)


if __name__ == "__main__":  # PAGE FOLDER: in a process of its own, with the ctacal that is installed there
    follow(Path(sys.argv[1]).read_text(encoding="utf-8"), Path(sys.argv[2]), act=open_the_page)
