"""DCMTK's storescp as the PACS of a test."""

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread

from ctacal.jobs.node.config import Tls
from tests.node.running import free_port, wait_until
from tests.tools import need

_PROFILE = """[[TransferSyntaxes]]
[Uncompressed]
TransferSyntax1 = LittleEndianExplicit
TransferSyntax2 = LittleEndianImplicit
[[PresentationContexts]]
[Some]
{contexts}
[[Profiles]]
[Default]
PresentationContexts = Some
"""


@dataclass(frozen=True)
class StoreScp:
    """A storescp that runs."""

    port: int
    folder: Path

    def destination(self, name: str = "PACS", **fields: Any) -> dict[str, object]:
        """Its entry in a configuration."""
        return {
            "name": name, "kind": "dicom", "ae_title": "STORESCP", "host": "127.0.0.1", "port": self.port,
            "timeout_s": 20, "retry_s": 0.05, "longest_retry_s": 0.2, **fields,
        }  # fmt: skip

    @property
    def stored(self) -> list[Dataset]:
        """What it has, in the order of arrival."""
        files = sorted(self.folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)
        return [dcmread(file) for file in files]


@contextmanager
def storescp(folder: Path, *options: str | Path, port: int = 0) -> Iterator[StoreScp]:
    """Run a storescp that writes to a folder."""
    program, port = need("storescp"), port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [program, "--output-directory", folder, *options, str(port)]
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(lambda: _listens(port) or running.poll() is not None, "storescp")
        assert running.poll() is None, (folder.parent / f"{folder.name}.log").read_text()
        yield StoreScp(port, folder)
    finally:
        running.terminate()
        running.wait(30)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def tls_options(tls: Tls) -> list[str | Path]:
    """Speak TLS, and demand a certificate of the authority."""
    assert tls.key and tls.certificate and tls.authority
    return ["+tls", tls.key, tls.certificate, "+cf", tls.authority]


def takes_only(file: Path, classes: Sequence[str]) -> list[str | Path]:
    """Take only these SOP classes, by a file of presentation contexts."""
    lines = [f"PresentationContext{number} = {uid}\\Uncompressed" for number, uid in enumerate(classes, 1)]
    file.write_text(_PROFILE.format(contexts="\n".join(lines)))
    return ["--config-file", file, "Default"]
