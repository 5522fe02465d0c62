"""A DICOM peer made of bytes: quick, and free to misbehave. For the benchmark and the tests of the receiver."""

import socket
from collections.abc import Iterable
from typing import Self

ECHO, CT = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2"
_EXPLICIT = b"1.2.840.10008.1.2.1"
_LARGEST_VALUE_BYTES = 100_000


def associate_request(
    *sop_classes: str,
    calling: str = "RAW",
    called: str = "CTACAL",
    application_context: bytes = b"1.2.840.10008.3.1.1.1",
    version: int = 1,
) -> bytes:
    """A-ASSOCIATE-RQ (PS3.8 section 9.3.2) for classes in explicit VR; their contexts have the numbers 1, 3, 5 ..."""
    contexts = b"".join(
        _item(0x20, bytes((2 * number + 1, 0, 0, 0)) + _item(0x30, uid.encode()) + _item(0x40, _EXPLICIT))
        for number, uid in enumerate(sop_classes)
    )
    user = _item(0x50, _item(0x51, (16384).to_bytes(4, "big")) + _item(0x52, b"1.2.3.4"))
    titles = called.encode().ljust(16) + calling.encode().ljust(16)
    content = version.to_bytes(2, "big") + bytes(2) + titles + bytes(32)
    return _pdu(1, content + _item(0x10, application_context) + contexts + user)


def echo_request(context: int) -> bytes:
    """C-ECHO (PS3.7 section 9.3.5) as a P-DATA-TF."""
    return _values(context, 3, [_command(0x0030, ECHO, 0x0101)])


def store_request(context: int, sop_class_uid: str, sop_instance_uid: str, data_set: bytes) -> bytes:
    """C-STORE (PS3.7 section 9.3.1) as P-DATA-TFs."""
    others = (0x0700, (0).to_bytes(2, "little")), (0x1000, _uid(sop_instance_uid))
    command = _values(context, 3, [_command(0x0001, sop_class_uid, 0x0001, *others)])
    starts = range(0, len(data_set), _LARGEST_VALUE_BYTES)
    return command + _values(context, 2, [data_set[start : start + _LARGEST_VALUE_BYTES] for start in starts])


class RawPeer:
    """An association for classes, which must be accepted."""

    def __init__(self, port: int, *sop_classes: str, calling: str = "RAW") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer = self.ask(associate_request(*sop_classes, calling=calling))
        if answer[0] != 2:
            raise ConnectionError(f"the association was not accepted: {answer.hex()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Release the association."""
        try:
            self.ask(_pdu(5, bytes(4)))
        finally:
            self._socket.close()

    def ask(self, request: bytes) -> bytes:
        """Send PDUs, and return the one that is answered. Raises ``ConnectionError`` if the connection ends."""
        self._socket.sendall(request)
        head = self._received(6)
        return head + self._received(int.from_bytes(head[2:], "big"))

    def status(self, request: bytes) -> int:
        """Send a message, and return the status of its answer."""
        answer = self.ask(request)
        at = answer.index(b"\0\0\0\x09\2\0\0\0")  # Status (0000,0900)
        return int.from_bytes(answer[at + 8 : at + 10], "little")

    def _received(self, size: int) -> bytes:
        content = b""
        while len(content) < size:
            part = self._socket.recv(size - len(content))
            if not part:
                raise ConnectionError("the connection was closed")
            content += part
        return content


def _command(field: int, sop_class_uid: str, data_set: int, *others: tuple[int, bytes]) -> bytes:
    elements = (
        (0x0002, _uid(sop_class_uid)),
        (0x0100, field.to_bytes(2, "little")),
        (0x0110, (1).to_bytes(2, "little")),
        *((element, value) for element, value in others if element < 0x0800),
        (0x0800, data_set.to_bytes(2, "little")),
        *((element, value) for element, value in others if element > 0x0800),
    )
    content = b"".join(_element(*element) for element in elements)
    return _element(0x0000, len(content).to_bytes(4, "little")) + content


def _element(element: int, value: bytes) -> bytes:
    return b"\0\0" + element.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value


def _uid(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)


def _values(context: int, last: int, parts: Iterable[bytes]) -> bytes:
    """P-DATA-TFs with a presentation data value each; ``last`` is the header of the last (PS3.8 annex E.2)."""
    fragments = list(parts)
    headers = [last & 1] * (len(fragments) - 1) + [last]
    values = [bytes((context, header)) + part for header, part in zip(headers, fragments, strict=True)]
    return b"".join(_pdu(4, len(value).to_bytes(4, "big") + value) for value in values)


def _item(kind: int, content: bytes) -> bytes:
    return bytes((kind, 0)) + len(content).to_bytes(2, "big") + content


def _pdu(kind: int, content: bytes) -> bytes:
    return bytes((kind, 0)) + len(content).to_bytes(4, "big") + content
