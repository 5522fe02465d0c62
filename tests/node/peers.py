"""Peers that receive by DICOM, made by pynetdicom: each answers as a test wants it."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.transport import ThreadedAssociationServer

from tests.node.sending import CLASSES

COMMITMENT = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"

Answer = Callable[["Peer", evt.Event], int]
"""Says the status of a C-STORE."""


def always(status: int) -> Answer:
    """Answer every object alike."""
    return lambda peer, event: status


@dataclass(eq=False)
class Peer:
    """A PACS as a test wants it."""

    answer: Answer = lambda peer, event: 0
    takes: Sequence[str] = tuple(CLASSES.values())
    syntaxes: Sequence[str] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    commitment: bool = False
    action_status: int = 0
    received: list[Dataset] = field(default_factory=list)
    """What it took, in order."""
    used_syntaxes: list[str] = field(default_factory=list)
    """Transfer syntax of each."""
    requests: list[Dataset] = field(default_factory=list)
    """Requests for storage commitment."""
    associations: list[str] = field(default_factory=list)
    """Calling AE titles."""
    on_action: Callable[["Peer", evt.Event], None] = lambda peer, event: None
    port: int = 0

    @property
    def uids(self) -> list[str]:
        return [str(made.SOPInstanceUID) for made in self.received]

    def destination(self, name: str = "PACS", **fields: Any) -> dict[str, object]:
        """Its entry in a configuration."""
        return {
            "name": name, "kind": "dicom", "ae_title": "PACS", "host": "127.0.0.1", "port": self.port,
            "timeout_s": 20, "retry_s": 0.1, "longest_retry_s": 0.4, **fields,
        }  # fmt: skip

    @contextmanager
    def running(self) -> Iterator["Peer"]:
        """Listen during the block, on the port of before if there is one."""
        server = self._start()
        try:
            yield self
        finally:
            server.shutdown()

    def _start(self) -> ThreadedAssociationServer:
        ae = AE("PACS")
        for sop_class in self.takes:
            ae.add_supported_context(sop_class, list(self.syntaxes))
        if self.commitment:
            ae.add_supported_context(COMMITMENT)
        server = ae.start_server(
            ("127.0.0.1", self.port),
            block=False,
            evt_handlers=[
                (evt.EVT_REQUESTED, self._on_requested),
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_N_ACTION, self._on_action),
            ],
        )
        assert server is not None
        self.port = server.server_address[1]
        return server

    def _on_requested(self, event: evt.Event) -> None:
        request = event.assoc.requestor.primitive
        assert request is not None
        self.associations.append(request.calling_ae_title)

    def _on_store(self, event: evt.Event) -> int:
        status = self.answer(self, event)
        if status == 0 or status >> 12 == 0xB:
            self.received.append(event.dataset)
            self.used_syntaxes.append(str(event.context.transfer_syntax))
        return status

    def _on_action(self, event: evt.Event) -> tuple[int, None]:
        self.requests.append(event.action_information)
        if self.action_status == 0:
            self.on_action(self, event)
        return self.action_status, None


def report_of(request: Dataset, failed: Sequence[str] = (), reason: int = 0x0112) -> Dataset:
    """Return the Event Information that answers a request for storage commitment."""
    report = Dataset()
    report.TransactionUID = request.TransactionUID
    items: dict[bool, list[Dataset]] = {True: [], False: []}
    for asked in request.ReferencedSOPSequence:
        item = Dataset()
        item.ReferencedSOPClassUID = asked.ReferencedSOPClassUID
        item.ReferencedSOPInstanceUID = asked.ReferencedSOPInstanceUID
        is_failed = asked.ReferencedSOPInstanceUID in failed
        if is_failed:
            item.FailureReason = reason
        items[is_failed].append(item)
    if items[False]:
        report.ReferencedSOPSequence = items[False]
    if items[True]:
        report.FailedSOPSequence = items[True]
    return report


def report_here(*failed: str) -> Callable[[Peer, evt.Event], None]:
    """Report on the association that asked, once the request is answered."""

    def on_action(_: Peer, event: evt.Event) -> None:
        report = report_of(event.action_information, failed)
        event_type = 2 if failed else 1

        def send() -> None:
            event.assoc.send_n_event_report(report, event_type, COMMITMENT, COMMITMENT_INSTANCE)

        threading.Timer(0.1, send).start()

    return on_action


@contextmanager
def listening(serve: Callable[[socket.socket], Any] | None = None) -> Iterator[int]:
    """A port that takes connections and says nothing; with ``serve`` each is handed over instead."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connections.append(connection)
                if serve:
                    serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in connections:
                connection.close()
