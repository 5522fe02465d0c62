"""An association of pynetdicom that takes no more of the machine than it needs, however the peer behaves.

What pynetdicom 3.0.4 leaves open is closed here:

- a PDU of any length is read into memory: one longer than was agreed ends the connection;
- a data set is collected in memory: that of a C-STORE goes to the store piece by piece, the others are bounded;
- requests are read while others wait to be served: the next is read when the last was answered;
- both threads of an association look every millisecond whether there is something to do: they wait for it;
- an object passes from one thread to the other and back: the one that reads it stores it and answers.
"""

import queue
import select
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import BytesIO
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE, _config
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import PresentationContext
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.transport import AddressInformation, AssociationSocket

from ctacal.jobs.node.intake import IncomingObject
from ctacal.node.connections import Connection

_config.LOG_HANDLER_LEVEL = "none"  # the details of every message, for nobody

LARGEST_PDU_BYTES = 2**18
"""What peers may send at once. Larger than usual: fewer pieces take less time."""
_LONGEST_PDU_BYTES = 4 * LARGEST_PDU_BYTES
"""What is read at all, because some peers do not count exactly."""
_LONGEST_COMMAND_BYTES = 2**16
_LONGEST_OTHER_BYTES = 2**24
"""Largest data set of a message that is no C-STORE: a request for the storage commitment of 100,000 objects."""
_WAIT_S = 0.25
"""Longest wait of a thread before it looks around."""
_PAUSE_S = 0.01

Begin = Callable[[str, str, str], IncomingObject]
"""Begins to receive an object, from its SOP class, its SOP instance and its transfer syntax."""


class IncomingData(BytesIO):
    """Where pynetdicom writes the data set of a C-STORE: the store."""

    def __init__(self, incoming: IncomingObject | None) -> None:
        super().__init__()
        self.incoming = incoming
        """None: the request is for no context that was agreed."""

    def write(self, content: Any, /) -> int:
        """Pass a piece on."""
        return self.incoming.write(content) if self.incoming else len(content)


class _Signalling(queue.Queue[Any]):
    """A queue that wakes whoever waits for more than the queue."""

    def __init__(self, signal: Callable[[], None]) -> None:
        super().__init__()
        self._signal = signal

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._signal()


class _Messages(_Signalling):
    """What came, to be served by the association's thread, unless it is served at once."""

    def __init__(self, serve: Callable[[int, Any], bool], signal: Callable[[], None]) -> None:
        super().__init__(signal)
        self._serve = serve

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if not self._serve(*item):
            super().put(item, block, timeout)


class _Dimse(DIMSEServiceProvider):
    """Reads messages, the data sets of C-STORE into the store."""

    def __init__(self, assoc: "NodeAssociation", connection: Connection, begin: Begin) -> None:
        super().__init__(assoc)
        self._connection, self._begin = connection, begin
        self.news = threading.Event()
        self.msg_queue = _Messages(self._serve, self.news.set)

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Read one presentation data value after another, so that a data set has its place before it begins."""
        for value in primitive.presentation_data_value_list:
            single = P_DATA()
            single.presentation_data_value_list.append(value)
            try:
                super().receive_primitive(single)
                if self.message is not None:
                    self._look_at(self.message)
            except (
                Exception
            ):  # whatever a message made of noise leads to; pynetdicom would leave the association as it is
                self.dul.event_queue.put("Evt19")  # an invalid PDU: A-ABORT
                return
        self._connection.in_message = self.message is not None

    def get_msg(self, block: bool = False) -> Any:
        """Return the next message; where pynetdicom would look again and again, wait for news instead."""
        if block:
            answer = super().get_msg(block=True)
            self.served()
            return answer
        self.news.wait(_WAIT_S)
        self.news.clear()
        return super().get_msg(block=False)

    def served(self) -> None:
        """Let the peer go on."""
        self._connection.turn()
        self._connection.busy = False

    def close(self) -> None:
        """Drop what came only in part, or too late to be served."""
        messages: list[Any] = [self.message] if self.message else []
        with suppress(queue.Empty):
            while True:
                messages.append(self.msg_queue.get(block=False)[1])
        for message in messages:
            data = getattr(message, "data_set", None) or getattr(message, "DataSet", None)
            if isinstance(data, IncomingData) and data.incoming:
                data.incoming.close()

    def _serve(self, context_id: int, message: Any) -> bool:
        """Store an object and answer, in the thread that reads; False for anything else. From now on the peer waits.

        Every class whose context was accepted is stored, also one that pynetdicom does not know.
        """
        self._connection.busy = True
        context = self.assoc._accepted_cx.get(context_id)
        if not isinstance(message, C_STORE) or context is None or not message.is_valid_request:
            return False
        StorageServiceClass(self.assoc).SCP(message, context)
        self.served()
        return True

    def _look_at(self, message: DIMSEMessage) -> None:
        """Give the data set of a C-STORE its place; too much of anything else raises ``ValueError``: the end."""
        if isinstance(message, C_STORE_RQ):
            if not isinstance(message.data_set, IncomingData):
                message.data_set = IncomingData(self._begun(message))
        elif message.encoded_command_set.tell() > _LONGEST_COMMAND_BYTES:
            raise ValueError("a command is too long")
        elif message.data_set and message.data_set.tell() > _LONGEST_OTHER_BYTES:
            raise ValueError("a data set of no object is too long")

    def _begun(self, message: DIMSEMessage) -> IncomingObject | None:
        context = self.assoc._accepted_cx.get(message.context_id or 0)
        if context is None:
            return None
        command = message.command_set
        sop_class_uid, sop_instance_uid = command.get("AffectedSOPClassUID"), command.get("AffectedSOPInstanceUID")
        return self._begin(str(sop_class_uid), str(sop_instance_uid), str(context.transfer_syntax[0]))


class _Transport(AssociationSocket):
    """The connection, as pynetdicom uses it; what was read already comes first."""

    def __init__(self, assoc: "NodeAssociation", connection: Connection, ahead: bytes) -> None:
        super().__init__(assoc, client_socket=connection.socket)
        self._connection, self._ahead = connection, ahead
        self._awake, self._wake = socket.socketpair()
        self._wake.setblocking(False)

    def wake(self) -> None:
        """Let ``ready`` return at once, because there is something to send."""
        with suppress(OSError):  # it is full: enough to wake
            self._wake.send(b"x")

    @property
    def ready(self) -> bool:
        """Whether the peer sent something that is to be read now; waits for a moment if there is nothing else to do."""
        if self._ahead:
            return True
        if self.socket is None or not self._is_connected:
            _readable([self._awake], _PAUSE_S)  # its thread has nothing to do any more
            return False
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() and not self._connection.busy:
            return True
        wanted = [self._awake] if self._connection.busy else [self._awake, self.socket]
        try:
            found = _readable(wanted, _WAIT_S if self.event_queue.empty() else 0)
        except (OSError, ValueError):
            self.event_queue.put("Evt17")  # the connection is closed
            return False
        if self._awake in found:
            self._awake.recv(4096)
        return self.socket in found

    def recv(self, nr_bytes: int) -> bytearray:
        """Return so many bytes from the peer. Raises ``OSError``, which ends the association."""
        if nr_bytes > _LONGEST_PDU_BYTES:
            raise ConnectionAbortedError("a PDU is longer than was agreed")
        self._connection.in_message = True
        if self._ahead:
            content, self._ahead = self._ahead[:nr_bytes], self._ahead[nr_bytes:]
            return bytearray(content)
        return self._connection.receive(nr_bytes)

    def release(self) -> None:
        """Give back what ``wake`` needs."""
        self._awake.close()
        self._wake.close()


def _readable(sockets: Sequence[socket.socket], wait_s: float) -> list[socket.socket]:
    """Return the sockets that can be read, or have ended. ``select`` would fail beyond 1,023 open files.

    Raises ``OSError`` or ``ValueError`` if one is closed.
    """
    poll = select.poll()
    for one in sockets:
        poll.register(one, select.POLLIN)
    ready = {number for number, _ in poll.poll(wait_s * 1000)}
    return [one for one in sockets if one.fileno() in ready]


class NodeAssociation(Association):
    """An association that a peer asked for."""

    def __init__(self, ae: AE, connection: Connection, request: bytes, begin: Begin) -> None:
        """``request`` is the A-ASSOCIATE-RQ that was read from the connection."""
        super().__init__(ae, "acceptor")
        self.afterwards: Callable[[], None] | None = None
        """What to do once the request that is being served was answered, in the thread of the association."""
        self.dimse = self._dimse = _Dimse(self, connection, begin)
        self._transport = _Transport(self, connection, request)
        self.set_socket(self._transport)
        self.dul.to_provider_queue = _Signalling(self._transport.wake)
        self.dul.to_user_queue = _Signalling(self._dimse.news.set)
        self.dul._run_loop_delay = 0
        self.acceptor.maximum_length = ae.maximum_pdu_size
        self.acceptor.ae_title = ae.ae_title
        self.acceptor.implementation_class_uid = ae.implementation_class_uid
        self.acceptor.implementation_version_name = ae.implementation_version_name
        self.acceptor.address_info = AddressInformation.from_tuple(connection.socket.getsockname())
        self.requestor.address_info = AddressInformation.from_tuple(connection.socket.getpeername())

    def serve(self) -> None:
        """Run until the association has ended."""
        try:
            self.start()
            self.join()
            self.dul.kill_dul()
            self.dul.join()
        finally:
            self._dimse.close()
            self._transport.release()

    def _serve_request(self, msg: Any, context_id: int) -> None:
        """Serve a request other than C-STORE, and then do what is to be done ``afterwards``."""
        try:
            if not msg.is_valid_request:
                self.abort()
            else:
                super()._serve_request(msg, context_id)
        finally:
            self._dimse.served()
        afterwards, self.afterwards = self.afterwards, None
        if afterwards is not None and self.is_established:
            self._is_paused = True
            afterwards()
            self._is_paused = False

    def peer_leaves(self) -> bool:
        """Whether the peer releases or aborts the association; waits for a moment."""
        self._dimse.news.wait(_WAIT_S)
        return self.dul.peek_next_pdu() is not None


def presentation_context(
    abstract_syntax: str, transfer_syntaxes: tuple[str, ...], *, both_roles: bool = False
) -> PresentationContext:
    """Return a context; with ``both_roles``, the peer may be the one that serves, if it asks for that."""
    context = PresentationContext()
    if both_roles:
        context.scu_role = context.scp_role = True
    context.abstract_syntax = UID(abstract_syntax)
    context.transfer_syntax = [UID(syntax) for syntax in transfer_syntaxes]
    return context
