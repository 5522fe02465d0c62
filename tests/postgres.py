"""A PostgreSQL server of its own for tests, reached by a socket in a folder; it can be stopped and started again."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

_OPTIONS = ("-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=60")
_USER = "postgres" if os.geteuid() == 0 else None
"""PostgreSQL does not run as root."""


@dataclass
class PostgresServer:
    """A server and its folder."""

    binaries: Path
    folder: Path
    server: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def url(self) -> str:
        """What the database is opened by."""
        return f"postgresql://reader@/postgres?host={self.folder}"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        command = [str(self.binaries / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), *_OPTIONS]
        with (self.folder / "log").open("a") as log:
            self.server = subprocess.Popen(command, user=_USER, cwd=self.folder, stdout=log, stderr=log)
        for _ in range(600):
            if self._answers():
                return
            time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: by its fast way, which ends connections, or at once (``SIGQUIT``), as a crash would."""
        if self.server is not None:
            self.server.send_signal(how)
            self.server.wait(60)
            self.server = None

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def new_server() -> Iterator[PostgresServer]:
    """Run a server until the block ends; skips the test where PostgreSQL is not installed."""
    pytest.importorskip("psycopg")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = shutil.which("initdb") or next((str(folder / "initdb") for folder in reversed(programs)), None)
    if found is None or not Path(found).exists():
        pytest.skip("PostgreSQL is not installed (make .tools; Debian: postgresql)")
    with TemporaryDirectory(prefix="pg") as name:  # pytest closes its own folders to other users, again and again
        folder = Path(name)
        if _USER:
            shutil.chown(folder, _USER)
        init = [found, "-D", str(folder / "data"), "-A", "trust", "-U", "reader"]
        made = subprocess.run(init, user=_USER, cwd=folder, capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"PostgreSQL cannot be set up here: {made.stderr.strip()[-200:]}")
        server = PostgresServer(Path(found).parent, folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()
