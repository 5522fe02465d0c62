"""Certificates for tests, made by OpenSSL: an authority, a node and peers; and an authority that nobody trusts."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from ctacal.jobs.node.config import Tls
from tests.tools import need

_EXTENSIONS = "subjectAltName=DNS:{name},DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True)
class Authority:
    """Signs certificates."""

    folder: Path
    name: str

    @property
    def certificate(self) -> Path:
        return self.folder / f"{self.name}.pem"

    def issue(self, name: str, days: int = 2) -> Tls:
        """Return a certificate for a name, its key, and this authority to know others by."""
        key, certificate, request = (self.folder / f"{name}.{suffix}" for suffix in ("key", "crt", "csr"))
        _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(_EXTENSIONS.format(name=name))
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.folder / f"{self.name}.key",
                 "-CAcreateserial", "-days", str(days), "-extfile", extensions, "-out", certificate)  # fmt: skip
        return Tls(certificate=certificate, key=key, authority=self.certificate)


def new_authority(folder: Path, name: str = "authority") -> Authority:
    """Return a new authority, whose files lie in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder, name)
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", "2",
             "-keyout", folder / f"{name}.key", "-out", authority.certificate)  # fmt: skip
    return authority


def _openssl(*arguments: str | Path) -> None:
    subprocess.run([need("openssl"), *arguments], check=True, capture_output=True)
