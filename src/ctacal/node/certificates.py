"""When certificates expire, found by the means of Python's own ``ssl``."""

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from ctacal.errors import UsageError, system_message


def expiry(certificate: Path, key: Path) -> datetime:
    """Return until when a certificate is valid; one that is expired already counts as valid until now.

    A handshake of this process with itself also proves that certificate and key belong together. Raises ``UsageError``
    if the files cannot be used.
    """
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        server.load_cert_chain(certificate, key)
        client.load_verify_locations(certificate)
    except ssl.SSLError as problem:
        message = f"{certificate}, {key}: not usable as certificate and key (PEM), or not a pair: {problem}"
        raise UsageError(message) from problem
    except OSError as problem:
        raise UsageError(f"{certificate}, {key}: {system_message(problem)}") from problem
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # its issuer need not be known here
    try:
        return _time(_handshake(server, client).getpeercert() or {})
    except ssl.SSLCertVerificationError as problem:
        if "expired" in problem.verify_message:
            return datetime.now(UTC)
        raise UsageError(f"{certificate}: {problem.verify_message}") from problem
    except ssl.SSLError as problem:
        raise UsageError(f"{certificate}: {problem}") from problem


def expiry_of_authorities(path: Path) -> datetime:
    """Return until when the last of the authorities in a file is valid. Raises ``UsageError`` if there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as problem:
        raise UsageError(f"{path}: holds no certificate (PEM): {problem}") from problem
    except OSError as problem:
        raise UsageError(f"{path}: {system_message(problem)}") from problem
    found = context.get_ca_certs()
    if not found:
        raise UsageError(f"{path}: none of its certificates is that of an authority")
    return max(map(_time, found))


def _time(certificate: Mapping[str, object]) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """Return the client's end of a connection in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True)]
    for _ in range(10):  # three messages are enough
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends[0]
