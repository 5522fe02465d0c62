"""``MultipartRelated``: the parts of a multipart/related body (RFC 2387), piece by piece as the bytes come."""

from dataclasses import dataclass
from typing import TypeAlias

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

MOST_PARTS = 100_000
"""Parts of one body: more than any study has objects."""


@dataclass(frozen=True, slots=True)
class Begin:
    """A part begins."""

    content_type: str
    """Media type in lower case, without parameters; empty if the part names none."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the part that has begun."""

    content: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The part is whole."""


Event: TypeAlias = Begin | Piece | End


class NotMultipart(Exception):
    """The body is not what its Content-Type says."""


def media_type(value: str) -> tuple[str, dict[str, str]]:
    """Return the media type of a Content-Type header in lower case, and its parameters.

    >>> media_type('Multipart/Related; type="application/dicom"; boundary=x')
    ('multipart/related', {'type': 'application/dicom', 'boundary': 'x'})
    """
    kind, parameters = parse_options_header(value)
    named = {name.decode("latin-1").lower(): text.decode("latin-1") for name, text in parameters.items()}
    return kind.decode("latin-1"), named


class MultipartRelated:
    """Takes the bytes of a body in any pieces, and says what they are."""

    def __init__(self, boundary: str) -> None:
        """Raises ``NotMultipart`` if there can be no such boundary (RFC 2046 section 5.1.1)."""
        if not 1 <= len(boundary) <= 70 or not boundary.isascii() or not boundary.isprintable():
            raise NotMultipart("the boundary must have 1 to 70 printable characters")
        self.begun = False
        """Whether anything has come."""
        self.finished = False
        """Whether the last boundary has come; what follows it means nothing."""
        self._events: list[Event] = []
        self._parts = 0
        self._header = [bytearray(), bytearray()]
        self._content_type = ""
        self._parser = MultipartParser(boundary.encode("ascii"), {
            "on_part_begin": self._part_begins,
            "on_header_begin": self._header_begins,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._header_ends,
            "on_headers_finished": lambda: self._events.append(Begin(self._content_type)),
            "on_part_data": lambda data, start, end: self._events.append(Piece(data[start:end])),
            "on_part_end": lambda: self._events.append(End()),
            "on_end": self._ends,
        })  # fmt: skip

    def feed(self, content: bytes) -> list[Event]:
        """Return what these bytes, after those before, have begun or ended. Raises ``NotMultipart``."""
        self.begun = self.begun or bool(content)
        try:
            if not self.finished:
                self._parser.write(content)
        except FormParserError as problem:
            raise NotMultipart(f"the body is no multipart with this boundary ({problem})") from problem
        events, self._events = self._events, []
        return events

    def _part_begins(self) -> None:
        self._parts += 1
        self._content_type = ""
        if self._parts > MOST_PARTS:
            raise NotMultipart(f"the body has more than {MOST_PARTS} parts")

    def _header_begins(self) -> None:
        self._header = [bytearray(), bytearray()]

    def _header_ends(self) -> None:
        name, value = (bytes(part).decode("latin-1") for part in self._header)
        if name.lower() == "content-type":
            self._content_type = media_type(value)[0]

    def _ends(self) -> None:
        self.finished = True
