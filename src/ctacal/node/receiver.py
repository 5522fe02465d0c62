"""The receiver of the node: C-STORE, C-ECHO and storage commitment; as a process ``run``, inside one ``Receiver``.

0x0000 is sent when the object lies under its final name and both are on the disk; never before.
"""

import logging
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from typing import Self

from pydicom import Dataset
from pydicom.tag import Tag
from pynetdicom import AE, evt
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.presentation import PresentationContext

from ctacal import __version__
from ctacal.errors import UsageError, system_message
from ctacal.jobs.node.arrivals import Arrivals, Sending
from ctacal.jobs.node.committed import take_report
from ctacal.jobs.node.config import NodeConfig
from ctacal.jobs.node.events import tell
from ctacal.jobs.node.intake import (
    IMPLEMENTATION_CLASS_UID,
    IncomingObject,
    Limits,
    Refused,
    Request,
    Taken,
    Why,
    is_storage,
    transfer_syntaxes,
)
from ctacal.jobs.node.ledger import APPENDING_KIB, Ledger, ledger_of
from ctacal.jobs.node.life import Pulse, alive_folder
from ctacal.jobs.node.store import Placed, Store
from ctacal.node import admission
from ctacal.node.admission import Rejection, objection
from ctacal.node.associations import LARGEST_PDU_BYTES, IncomingData, NodeAssociation, presentation_context
from ctacal.node.commitment import COMMITMENT, SYNTAXES, Commitments
from ctacal.node.connections import Connection, ConnectionLost, Listener

DUPLICATE = 0xC111
"""Answer to other bytes under a SOP Instance UID that the store holds. PS3.7 knows "duplicate SOP Instance" (0111) for
N-CREATE only; of the failures of C-STORE (PS3.4 table B.2-1), "cannot understand" (Cxxx) is the one that no sender
takes for a matter of time (A7xx) or of the SOP class (A9xx)."""

STATUSES = {
    Why.NO_ROOM: 0xA700,
    Why.OTHER_CLASS: 0xA900,
    Why.INVALID_UID: 0x0117,
    Why.NOT_STORED: 0x0122,
    Why.OTHER_INSTANCE: 0xC118,
    Why.TOO_LARGE: 0xC113,
    Why.SYNTAX: 0xC122,
    Why.UNREADABLE: 0xC000,
}
"""Answers to objects that are not kept (PS3.4 table B.2-1, PS3.7 annex C). Of these only A700 passes by itself."""

_VERIFICATION = "1.2.840.10008.1.1"
_SOP_INSTANCE_UID = Tag("SOPInstanceUID")
_MOST_COMMENT = 64
"""Characters of an Error Comment (LO)."""
_LONGEST_REQUEST_BYTES = 2**18
"""Longest A-ASSOCIATE-RQ that is read: 128 contexts with all transfer syntaxes of DICOM need 200,000 bytes."""
_GOODBYE_S = 2.0
"""How long a rejected peer may take to close the connection, so that it can read why."""
_FINISH_S = 5.0
"""How long messages that are under way may take when the node stops."""


def run(config: NodeConfig, stopping: threading.Event) -> None:
    """Receive until ``stopping`` is set.

    Raises ``UsageError`` if the port, a certificate or the store cannot be used.
    """
    pulse = Pulse(alive_folder(config.store, config.receive.port), "receiver")
    with Receiver(config, pulse.beat) as receiver:
        tell("receiver listens", ae_title=config.receive.ae_title, host=config.receive.host, port=receiver.port)
        stopping.wait()


class Receiver:
    """Listens while its ``with`` block runs. At the end, messages that are under way may finish."""

    def __init__(self, config: NodeConfig, alive: Callable[[], None] = lambda: None) -> None:
        """``alive`` is called again and again while connections are accepted.

        Raises ``UsageError`` if the port, a certificate or the store cannot be used.
        """
        self._config = config
        self._store = Store(config.store)
        self._limits = limits_of(config)
        self._tls = admission.server_context(config.receive.tls)
        self._arrivals = Arrivals(self._store, self._connect_ledger, config.settle)
        self._commitments = Commitments(config, self._store, self._arrivals)
        self._knows_commitment = config.receive.commitment or any(to.commitment for to in config.destination)
        self._ae = _application_entity(config)
        self._stopping = False
        self._stack = ExitStack()
        try:
            self._listener = Listener(config.receive, self._serve, self._note_cut, alive)
        except OSError as problem:
            where = f"receive.port: {config.receive.host}:{config.receive.port}"
            raise UsageError(f"{where} cannot be listened at: {system_message(problem)}") from problem

    @property
    def port(self) -> int:
        """The port that it listens at."""
        return self._listener.port

    def __enter__(self) -> Self:
        self._store.sweep()
        for part in (self._arrivals, self._commitments, self._listener):
            self._stack.enter_context(part)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._listener.stop_accepting()
        until = time.monotonic() + _FINISH_S
        while time.monotonic() < until and any(self._is_under_way(each) for each in self._listener.connections()):
            time.sleep(0.05)
        self._stack.close()

    def _is_under_way(self, connection: Connection) -> bool:
        """Whether a message is; a connection without one is cut off, lest it begins another."""
        if connection.busy or connection.in_message:
            return True
        connection.cut("the node stops")
        return False

    def _connect_ledger(self) -> Ledger:
        complain = lambda words: tell("ledger is waited for", level=logging.WARNING, reason=words)  # noqa: E731
        return ledger_of(self._config, self._store, complain=complain, cache_kib=APPENDING_KIB)

    def _note_cut(self, why: str, address: str) -> None:
        self._arrivals.note_often("connection cut off", address, reason=why)

    def _serve(self, connection: Connection) -> None:
        """Serve a connection, in its own thread."""
        try:
            if self._tls:
                connection.secure(self._tls)
            content = _read_request(connection)
        except ConnectionLost:
            return
        except OSError as problem:
            if not connection.cut_because:
                self._arrivals.note_often("connection refused", connection.address, reason=_tls_words(problem))
            return
        rejection, request = self._judge(connection, content)
        caller = f"{request.calling_ae_title.strip()}@{connection.address}" if request else connection.address
        if rejection or request is None:
            self._reject(connection, rejection or admission.UNREADABLE, caller)
        else:
            self._associate(connection, content, request, caller)

    def _judge(self, connection: Connection, content: bytes) -> tuple[Rejection | None, A_ASSOCIATE_RQ | None]:
        request = A_ASSOCIATE_RQ()
        try:
            request.decode(content)
        except Exception:  # pynetdicom names none
            return admission.UNREADABLE, None
        secured = connection.socket
        certificate = secured.getpeercert() if isinstance(secured, ssl.SSLSocket) else None
        if found := objection(request, connection.address, certificate or {}, self._config):
            return found, request
        if self._stopping:
            return admission.STOPPING, request
        if no_room := self._no_room():
            return no_room, request
        return (None if self._listener.may_associate(connection) else admission.TOO_MANY), request

    def _no_room(self) -> Rejection | None:
        """Return why nothing can be stored now; None if it can."""
        try:
            return None if self._limits.has_room(self._store) else admission.DISK_FULL
        except OSError as problem:
            words = f"{admission.STORE_AWAY.words}: {system_message(problem)}"
            return replace(admission.STORE_AWAY, words=words)

    def _reject(self, connection: Connection, rejection: Rejection, caller: str) -> None:
        codes = f"{rejection.result}-{rejection.source}-{rejection.reason}"
        self._arrivals.note_often("association rejected", caller, reason=rejection.words, codes=codes)
        with suppress(OSError):
            connection.socket.sendall(rejection.pdu)
            connection.socket.settimeout(_GOODBYE_S)
            connection.receive(1)

    def _associate(self, connection: Connection, content: bytes, request: A_ASSOCIATE_RQ, caller: str) -> None:
        began_at = time.monotonic()
        with self._arrivals.sending(caller) as sending:
            association = NodeAssociation(self._ae, connection, content, self._begin)
            association.acceptor.supported_contexts = self._contexts(request)
            association.bind(evt.EVT_C_STORE, _on_store, [sending])
            association.bind(evt.EVT_C_ECHO, _on_echo, [sending])
            association.bind(evt.EVT_N_ACTION, self._commitments.on_action, [sending])
            association.bind(evt.EVT_N_EVENT_REPORT, self._on_report, [sending])
            tell("association accepted", source=caller)
            association.serve()
        counts = dict(sorted(sending.counts.items()))
        self._arrivals.note("association", source=caller, outcome=_outcome(association, connection), objects=counts,
                            studies=sorted(sending.studies), seconds=round(time.monotonic() - began_at, 3))  # fmt: skip

    def _on_report(self, event: evt.Event, sending: Sending) -> tuple[int, None]:
        """Take what a destination says about the storage commitment of results that it was sent."""
        sending.counts["commitment report"] += 1
        try:
            with closing(self._connect_ledger()) as ledger:
                return take_report(ledger, event.event_information), None
        except Exception as problem:  # the destination reports again
            tell("storage commitment report not taken", level=logging.ERROR, reason=problem)
            return 0x0110, None

    def _begin(self, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> IncomingObject:
        request = Request(
            sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid, transfer_syntax_uid=transfer_syntax_uid
        )
        return IncomingObject(self._store, self._limits, request)

    def _contexts(self, request: A_ASSOCIATE_RQ) -> list[PresentationContext]:
        """Return what is supported of what a peer proposes."""
        proposed = sorted({str(context.abstract_syntax) for context in request.presentation_context})
        may_send = not admission.reports_only(request.calling_ae_title, self._config)
        contexts = []
        for uid in proposed:
            if is_storage(uid) and may_send:
                contexts.append(presentation_context(uid, transfer_syntaxes(uid)))
            elif uid == _VERIFICATION:
                contexts.append(presentation_context(uid, SYNTAXES))
            elif uid == COMMITMENT and self._knows_commitment:
                contexts.append(presentation_context(uid, SYNTAXES, both_roles=True))
        return contexts


def limits_of(config: NodeConfig) -> Limits:
    """Return what a node takes in."""
    return Limits(
        largest_object_mb=config.receive.largest_object_mb,
        reserve_mb=config.disk.reserve_mb,
        reserve_percent=config.disk.reserve_percent,
    )


def status_of(outcome: Taken | Refused) -> Dataset:
    """Return the answer to a C-STORE."""
    status = Dataset()
    if isinstance(outcome, Refused):
        status.Status, status.ErrorComment = STATUSES[outcome.why], outcome.message[:_MOST_COMMENT]
    elif outcome.placed in (Placed.ASIDE, Placed.REJECTED):
        status.Status, status.ErrorComment = DUPLICATE, "other content is stored under this SOP Instance UID"
        status.OffendingElement = [_SOP_INSTANCE_UID]
    else:
        status.Status = 0x0000
    return status


def _on_store(event: evt.Event, sending: Sending) -> Dataset:
    data = getattr(event.request, "DataSet", None)
    if not isinstance(data, IncomingData) or data.incoming is None:
        outcome: Taken | Refused = Refused(Why.UNREADABLE, "the request has no data set")
    elif data.incoming.request.sop_class_uid != event.context.abstract_syntax:
        data.incoming.close()
        outcome = Refused(Why.OTHER_CLASS, "another SOP class than that of the presentation context")
    else:
        outcome = data.incoming.finish()
    sending.note(outcome)
    return status_of(outcome)


def _on_echo(event: evt.Event, sending: Sending) -> int:
    sending.counts["echo"] += 1
    return 0x0000


def _application_entity(config: NodeConfig) -> AE:
    """Return pynetdicom's view of this node; limits and times are those of ``connections``, not its own."""
    ae = AE(config.receive.ae_title)
    ae.maximum_pdu_size = LARGEST_PDU_BYTES
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = f"CTACAL_{__version__}"[:16]
    ae.maximum_associations = 10**6
    ae.network_timeout = None
    return ae


def _read_request(connection: Connection) -> bytes:
    """Return a whole A-ASSOCIATE-RQ. Raises ``OSError`` if something else comes."""
    head = connection.receive_whole(6)
    length = int.from_bytes(head[2:], "big")
    if head[0] != 1 or length > _LONGEST_REQUEST_BYTES:
        raise OSError("what was sent is no DICOM association request" + (", but TLS" if head[0] == 0x16 else ""))
    return bytes(head + connection.receive_whole(length))


def _tls_words(problem: OSError) -> str:
    """Say why a connection cannot be used."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        return f"certificate is not trusted: {problem.verify_message}"
    if isinstance(problem, ssl.SSLError):
        return f"TLS: {(problem.reason or str(problem)).lower().replace('_', ' ')}"
    return str(problem.strerror or problem)


def _outcome(association: NodeAssociation, connection: Connection) -> str:
    if connection.cut_because:
        return f"cut off: {connection.cut_because}"
    return "released" if association.is_released else "aborted"
