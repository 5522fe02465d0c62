"""Associations that the node asks for: with what they offer, for how long they wait, and in words why there is none."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from threading import Event, Timer
from typing import Any

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from ctacal import __version__
from ctacal.jobs.node.config import Destination
from ctacal.jobs.node.deliveries import Answer, Means, no_connection
from ctacal.jobs.node.intake import IMPLEMENTATION_CLASS_UID
from ctacal.node.outgoing_tls import tls_context

_config.LOG_HANDLER_LEVEL = "none"  # the details of every message, for nobody

Report = Callable[[Any], int]
"""Takes the Event Information of an N-EVENT-REPORT, and returns the status to answer with."""

_REJECTIONS = {
    (1, 2): "it does not know the application context",
    (1, 3): "it does not know our AE title; enter it there with the address of this machine",
    (1, 7): "it does not know the AE title that we call; correct ae_title in the configuration",
    (2, 2): "it does not know the protocol version",
}
"""By source and reason (PS3.8 table 9-21)."""
_TRANSIENT, _PROVIDER_AT_A_LIMIT = 2, 3
"""Result, and source, of a rejection that passes."""


@dataclass(eq=False, slots=True)
class Outgoing:
    """An association with a destination."""

    association: Association
    reported: Event
    """Set once a report of storage commitment has come by it."""

    def accepts(self, sop_class_uid: str) -> bool:
        """Whether the destination takes objects of a class, or serves it."""
        return any(context.abstract_syntax == sop_class_uid for context in self.association.accepted_contexts)

    @contextmanager
    def within(self, limit_s: float) -> Iterator[None]:
        """Let the destination answer within a time. If even the end of the association takes too long, it is cut."""
        self.association.dimse_timeout = limit_s
        timer = Timer(2 * limit_s, _cut, [self.association])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


@contextmanager
def opened(
    destination: Destination,
    calling_ae_title: str,
    sop_class_uids: list[str],
    report: Report,
    *,
    served: Sequence[str] = (),
) -> Iterator[Outgoing | Answer]:
    """Yield an association in which these classes are proposed, or why there is none; released at the end.

    ``served`` are those in which the node, though it calls, is the one that serves.
    """
    course = _Course(destination, report, served)
    contexts = [context for uid in sop_class_uids for context in _contexts(uid)]
    try:
        association = course.ask(calling_ae_title, contexts)
    except OSError as problem:  # no such host, or no such certificate
        yield no_connection(problem)
        return
    if not association.is_established:
        yield course.why_not(association)
        return
    try:
        yield Outgoing(association, course.reported)
    finally:
        if association.is_established:
            association.release()


def _contexts(sop_class_uid: str) -> list[PresentationContext]:
    """One context for each syntax: the destination says of each whether it takes it (PS3.8 section 7.1.1.13)."""
    return [build_context(sop_class_uid, syntax) for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)]


@dataclass(eq=False, slots=True)
class _Course:
    """How far an association came."""

    destination: Destination
    report: Report
    served: Sequence[str]
    reported: Event = field(default_factory=Event)

    def ask(self, calling_ae_title: str, contexts: list[PresentationContext]) -> Association:
        """Ask for an association. Raises ``OSError`` if not even a connection can be tried."""
        destination = self.destination
        ae = _Entity(calling_ae_title)
        ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = destination.timeout_s
        ae.network_timeout = None  # it would also count while an answer is awaited
        ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        ae.implementation_version_name = f"CTACAL_{__version__}"[:16]
        name = destination.tls_name or destination.host
        return ae.associate(
            destination.host,
            destination.port,
            contexts,
            ae_title=destination.ae_title,
            ext_neg=[build_role(uid, scp_role=True) for uid in self.served],
            tls_args=(tls_context(destination), name) if destination.use_tls else None,
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._on_report)],
        )

    def _on_report(self, event: evt.Event) -> tuple[int, None]:
        status = self.report(event.event_information)
        self.reported.set()
        return status, None

    def why_not(self, association: Association) -> Answer:
        """Return why there is no association."""
        transport = association.dul.socket
        if not (isinstance(transport, _Transport) and transport.was_connected):
            return _tried(self.destination)
        # pynetdicom does not see a rejection that is quicker than its own thread
        said = association.acceptor.primitive if association.is_rejected else association.dul.receive_pdu()
        if isinstance(said, A_ASSOCIATE) and said.result:
            return _rejection(said.result, said.result_source or 0, said.diagnostic or 0)
        if association.rejected_contexts:  # and none accepted
            return Answer(Means.UNSUITABLE, "the destination accepts none of the presentation contexts")
        hint = "; does it trust our certificate?" if self.destination.use_tls else ""
        return Answer(
            Means.DOWN,
            f"the destination ended the connection, or did not answer within {self.destination.timeout_s:g} s, "
            f"when an association was asked for{hint}",
        )


def _rejection(result: int, source: int, reason: int) -> Answer:
    if result == _TRANSIENT or source == _PROVIDER_AT_A_LIMIT:
        return Answer(Means.DOWN, "the destination rejects associations for the moment")
    said = _REJECTIONS.get((source, reason), f"it gives no reason (source {source}, reason {reason})")
    return Answer(Means.HELD, f"the destination rejects our associations: {said}; then retry")


def _tried(destination: Destination) -> Answer:
    """Return why no connection comes about: pynetdicom only logs it."""
    try:
        with socket.create_connection((destination.host, destination.port), destination.timeout_s) as connection:
            if destination.use_tls:
                name = destination.tls_name or destination.host
                tls_context(destination).wrap_socket(connection, server_hostname=name).close()
    except OSError as problem:
        return no_connection(problem)
    return Answer(Means.DOWN, "the connection was lost before an association was asked for")


def _cut(association: Association) -> None:
    """End the connection of an association that does not end by itself."""
    if association.dul.socket:
        association.dul.socket._shutdown_socket()


class _Transport(AssociationSocket):
    """A connection that never blocks for ever, and is closed also if it did not come about."""

    was_connected = False

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect to the destination."""
        super().connect(primitive)
        if self.socket is not None:
            self.was_connected = True
            self.socket.settimeout(self.assoc.connection_timeout)

    def _shutdown_socket(self) -> None:
        super()._shutdown_socket()
        if self.socket is not None:
            self.socket.close()


class _Entity(AE):
    """An application entity that connects by ``_Transport``."""

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[SSLContext, str] | None
    ) -> AssociationSocket:
        assoc.dul.daemon = True  # a connection that hangs must not keep the process from ending
        transport = _Transport(assoc, address=address)
        transport.tls_args = tls_args
        return transport
