"""Results to a DICOMweb server by STOW-RS (PS3.18 section 10.5): the objects of a study in one request."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from secrets import token_hex
from typing import Any

import httpx
from pydicom.filereader import read_file_meta_info

from ctacal.dicom.header import READING_ERRORS
from ctacal.jobs.node.config import Destination, NodeConfig
from ctacal.jobs.node.deliveries import DONE, ITS_LOG, LEAST_BYTES_PER_S, Answer, Means, no_connection, status_answer
from ctacal.jobs.node.ledger import DeliveryClaim
from ctacal.node.outgoing_tls import tls_context

Answers = Iterator[tuple[DeliveryClaim, Answer]]

_MOST_ANSWER_BYTES = 16 * 2**20
_FAILED, _STORED = "00081198", "00081199"
"""Failed SOP Sequence, Referenced SOP Sequence."""
_INSTANCE, _REASON = "00081155", "00081197"
"""Referenced SOP Instance UID, Failure Reason."""
_WITH_DETAILS = {200, 202, 400, 409}
"""Statuses of HTTP whose body may say what became of each object."""
_DOWN = {429, 502, 503, 504, 511}
_NEVER = {501, 505, 506, 508, 510}
_LONGEST_PATIENCE_S = 86400.0


@dataclass(frozen=True, slots=True)
class StowOut:
    """The way to one DICOMweb server."""

    config: NodeConfig
    destination: Destination

    def send(self, claims: Sequence[DeliveryClaim], transaction_uid: str = "") -> Answers:
        """Send objects, and yield the answer to each; it ends early if nothing gets through."""
        contents: list[tuple[DeliveryClaim, bytes]] = []
        for claim in claims:
            content = self._content(claim)
            if isinstance(content, Answer):
                yield claim, content
            else:
                contents.append((claim, content))
        if contents:
            yield from self._send(contents)

    def _content(self, claim: DeliveryClaim) -> bytes | Answer:
        file = self.config.store / claim.path
        try:
            if read_file_meta_info(file).MediaStorageSOPInstanceUID != claim.sop_instance_uid:
                return Answer(Means.HELD, f"{claim.path} holds another object; score the study again")
            return file.read_bytes()
        except READING_ERRORS as problem:
            return Answer(Means.HELD, f"{claim.path} cannot be read ({problem}); score the study again")

    def _send(self, contents: Sequence[tuple[DeliveryClaim, bytes]]) -> Answers:
        answer, by_uid = self._ask([content for _, content in contents])
        if answer.means is Means.DOWN:
            yield contents[0][0], answer
        elif answer.means is Means.HELD and not by_uid and len(contents) > 1:
            for single in contents:  # one of them may be at fault, or all together are too large
                yield from self._send([single])
        else:
            yield from ((claim, by_uid.get(claim.sop_instance_uid, answer)) for claim, _ in contents)

    def _ask(self, contents: Sequence[bytes]) -> tuple[Answer, Mapping[str, Answer]]:
        """Post the objects; return the answer to the request, and to each object that the answer names."""
        try:
            response, body = self._post(contents)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL) as problem:
            return Answer(Means.DOWN, f"no connection: {problem or type(problem).__name__}"), {}
        except httpx.HTTPError as problem:
            return Answer(Means.AGAIN, f"no answer, or the connection was lost: {type(problem).__name__}"), {}
        except OSError as problem:  # a file of a token, password or certificate
            return no_connection(problem), {}
        answer = http_answer(response.status_code, response.headers.get("Retry-After", ""))
        return answer, _named(body) if response.status_code in _WITH_DETAILS else {}

    def _post(self, contents: Sequence[bytes]) -> tuple[httpx.Response, bytes]:
        """Send a request, and read its answer within the time. Raises ``OSError`` and what httpx raises."""
        destination, boundary = self.destination, token_hex(16)
        body = b"".join(_part(content, boundary) for content in contents) + f"--{boundary}--\r\n".encode()
        limit_s = destination.timeout_s + len(body) / LEAST_BYTES_PER_S
        until = time.monotonic() + 2 * limit_s
        url = f"{destination.url.rstrip('/')}/studies"
        secure = url.startswith("https:")
        with (
            httpx.Client(
                verify=tls_context(destination) if secure else True,
                timeout=httpx.Timeout(destination.timeout_s, read=limit_s),
                auth=self._auth(),
                trust_env=False,  # no proxy of the environment gets to see patients
            ) as client,
            client.stream(
                "POST",
                url,
                content=body,
                headers=self._headers(boundary),
                extensions={"sni_hostname": destination.tls_name} if secure and destination.tls_name else {},
            ) as response,
        ):
            received = bytearray()
            for piece in response.iter_bytes():
                received += piece
                if len(received) > _MOST_ANSWER_BYTES or time.monotonic() > until:
                    raise httpx.ReadTimeout("the answer is too long, or takes too long")
            return response, bytes(received)

    def _headers(self, boundary: str) -> dict[str, str]:
        destination = self.destination
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": "application/dicom+json",
        }
        if destination.token_file:
            headers["Authorization"] = f"Bearer {destination.token_file.read_text(encoding='utf-8').strip()}"
        return headers

    def _auth(self) -> httpx.BasicAuth | None:
        file = self.destination.password_file
        return httpx.BasicAuth(self.destination.user, file.read_text(encoding="utf-8").strip("\r\n")) if file else None


def http_answer(status: int, retry_after: str = "") -> Answer:
    """Return what a status of HTTP means for the objects that the answer does not name (PS3.18 table 10.5.3-1).

    >>> http_answer(200).means.name, http_answer(503, "120").after_s, http_answer(413).means.name
    ('DONE', 120.0, 'HELD')
    """
    code = f"HTTP status {status}"
    if status in (200, 201, 204):
        return DONE
    if status in _DOWN:
        return Answer(Means.DOWN, f"{code}: the destination takes nothing at the moment", _patience_s(retry_after))
    if status in (401, 407):
        return Answer(Means.DOWN, f"{code}: it does not accept our token or password; renew the file that holds it")
    if status in (202, 408, 425) or (status >= 500 and status not in _NEVER):
        return Answer(Means.AGAIN, f"{code}: it could not store the object", _patience_s(retry_after))
    said = {
        403: "it does not allow us to store; let its administrator allow it, then retry",
        413: "the object is too large for it; raise its limit, then retry",
    }.get(status)
    if 300 <= status < 400 or status in (404, 405, 410, *_NEVER):
        said = "there is no STOW-RS service at this address; correct url in the configuration, then retry"
    return Answer(Means.HELD, f"{code}: {said or f'it refuses the object; {ITS_LOG}'}")


def _patience_s(retry_after: str) -> float:
    """Return the time that Retry-After asks for, in seconds or until a date (RFC 9110 section 10.2.3)."""
    try:
        wait_s = float(retry_after)
    except ValueError:
        try:
            wait_s = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return min(max(0.0, wait_s), _LONGEST_PATIENCE_S)


def _named(body: bytes) -> dict[str, Answer]:
    """Return the answer to each object that the body of a response names (PS3.18 section 10.5.3)."""
    try:
        content: Any = json.loads(body)
        content = content[0] if isinstance(content, list) else content
        stored = {_text(item, _INSTANCE): DONE for item in _items(content, _STORED)}
        failed = {
            _text(item, _INSTANCE): status_answer(int(_value(item, _REASON, 0x0110)))
            for item in _items(content, _FAILED)
        }
    except (ValueError, TypeError, LookupError, AttributeError):
        return {}
    return {uid: answer for uid, answer in (stored | failed).items() if uid}


def _items(content: Any, tag: str) -> list[Any]:
    return content.get(tag, {}).get("Value") or []


def _value(item: Any, tag: str, absent: Any) -> Any:
    values = item.get(tag, {}).get("Value") or [absent]
    return values[0]


def _text(item: Any, tag: str) -> str:
    return str(_value(item, tag, ""))


def _part(content: bytes, boundary: str) -> bytes:
    return f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode() + content + b"\r\n"
