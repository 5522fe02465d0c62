"""Who may associate: TLS, the titles that are called and that call, addresses, certificates, and room on the disk."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from pynetdicom.pdu import A_ASSOCIATE_RQ

from ctacal.errors import UsageError, system_message
from ctacal.jobs.node.config import NodeConfig, Peer, Tls

_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
"""The only application context of DICOM (PS3.7 annex A.2.1)."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an association is rejected, and the codes of the answer (PS3.8 table 9-21)."""

    words: str
    result: int
    """1: for good; 2: for the moment, it may be tried again."""
    source: int
    """1: the application; 2 and 3: the provider of the service."""
    reason: int

    @property
    def pdu(self) -> bytes:
        """A-ASSOCIATE-RJ (PS3.8 section 9.3.4)."""
        return bytes((3, 0, 0, 0, 0, 4, 0, self.result, self.source, self.reason))


UNREADABLE = Rejection("the request cannot be read", 1, 2, 1)
NO_CONTEXT = Rejection("application context is not DICOM's", 1, 1, 2)
NO_VERSION = Rejection("protocol version is not supported", 1, 2, 2)
NOT_CALLED = Rejection("called AE title is not that of this node", 1, 1, 7)
UNKNOWN_CALLER = Rejection("calling AE title is not in the list of peers", 1, 1, 3)
WRONG_ADDRESS = Rejection("address is not one of this peer", 1, 1, 3)
WRONG_CERTIFICATE = Rejection("certificate is not that of this peer", 1, 1, 3)
TOO_MANY = Rejection("too many associations", 2, 3, 2)
DISK_FULL = Rejection("the disk is below its reserve", 2, 3, 2)
STORE_AWAY = Rejection("the store cannot be reached", 2, 3, 2)
STOPPING = Rejection("the node stops", 2, 3, 1)


def objection(
    request: A_ASSOCIATE_RQ, address: str, certificate: Mapping[str, Any], config: NodeConfig
) -> Rejection | None:
    """Return why this peer may not associate; None if it may.

    ``certificate`` is as ``SSLSocket.getpeercert`` gives it.
    """
    if not request.protocol_version & 1:
        return NO_VERSION
    if str(request.application_context_name) != _APPLICATION_CONTEXT:
        return NO_CONTEXT
    if request.called_ae_title.strip() != config.receive.ae_title:
        return NOT_CALLED
    peer = peer_named(request.calling_ae_title, config)
    if peer is None:
        is_known = config.receive.any_peer or reports_only(request.calling_ae_title, config)
        return None if is_known else UNKNOWN_CALLER
    if peer.addresses and not any(_holds(network, address) for network in peer.addresses):
        return WRONG_ADDRESS
    if peer.tls_subject and peer.tls_subject.lower() not in _names(certificate):
        return WRONG_CERTIFICATE
    return None


def peer_named(ae_title: str, config: NodeConfig) -> Peer | None:
    """Return the peer with this AE title, whose outer spaces do not count (PS3.5 section 6.2)."""
    return next((peer for peer in config.peer if peer.ae_title == ae_title.strip()), None)


def reports_only(ae_title: str, config: NodeConfig) -> bool:
    """Whether this is no peer, but a destination that calls to report on storage commitment, and may do only that."""
    destinations = {destination.ae_title for destination in config.destination if destination.commitment}
    is_free = config.receive.any_peer or peer_named(ae_title, config) is not None
    return not is_free and ae_title.strip() in destinations


def server_context(tls: Tls) -> ssl.SSLContext | None:
    """Return how the port speaks TLS (1.2 or newer, PS3.15 annex B); None if it does not.

    Raises ``UsageError`` if a certificate or key cannot be used.
    """
    if tls.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.authority:
            context.load_verify_locations(tls.authority)
            context.verify_mode = ssl.CERT_REQUIRED
    except ssl.SSLError as problem:
        names = ", ".join(str(path) for path in (tls.certificate, tls.key, tls.authority) if path)
        message = f"receive.tls: {names}: not usable as certificate, key or authority (PEM): {problem}"
        raise UsageError(message) from problem
    except OSError as problem:
        raise UsageError(f"receive.tls: {problem.filename or tls.certificate}: {system_message(problem)}") from problem
    return context


def _holds(network: str, address: str) -> bool:
    return ip_address(address) in ip_network(network, strict=False)


def _names(certificate: Mapping[str, Any]) -> set[str]:
    """Return the common name and the DNS names of a certificate, lower case."""
    subject = (pair for part in certificate.get("subject", ()) for pair in part)
    found = [value for key, value in (*subject, *certificate.get("subjectAltName", ())) if key in ("commonName", "DNS")]
    return {str(name).lower() for name in found}
