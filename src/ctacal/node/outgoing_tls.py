"""TLS towards destinations: the certificate that is shown, and the authorities that are trusted."""

import errno
import os
import ssl

from ctacal.jobs.node.config import Destination


def tls_context(destination: Destination) -> ssl.SSLContext:
    """Return the context of a destination: TLS 1.2 or newer, its certificate is checked against its name.

    Raises ``OSError`` if a file cannot be used.
    """
    tls = destination.tls
    for file in (tls.authority, tls.certificate, tls.key):
        if file and not file.is_file():  # OpenSSL does not say which
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    context = ssl.create_default_context(cafile=str(tls.authority) if tls.authority else None)
    if tls.certificate:
        context.load_cert_chain(tls.certificate, tls.key)
    return context
