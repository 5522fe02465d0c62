"""``StowIn``: objects that come by STOW-RS (PS3.18 section 10.5), to the store, part by part.

A request may hold a whole study: nothing of it is kept in memory but the part that is coming in, and that only up to a
few megabytes. An object is answered as stored when it lies on the disk under its final name.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from pydicom import Dataset
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from ctacal.dicom.uids import is_used_uid
from ctacal.errors import system_message
from ctacal.jobs.node.arrivals import Arrivals, Sending
from ctacal.jobs.node.intake import Limits, Refused, Taken, Why, keep_object
from ctacal.jobs.node.store import Placed, Store
from ctacal.web.multipart import Begin, Event, MultipartRelated, NotMultipart, Piece, media_type

DICOM = "application/dicom"

IN_MEMORY_BYTES = 4 * 2**20
"""Larger objects are written to the disk as they come; a CT image has half a megabyte."""

_CHUNK_BYTES = 2**20
_WRITERS = 4
_MB = 10**6
_RETRY_AFTER_S = 60

FAILURES = {
    Why.NO_ROOM: 0xA700,
    Why.TOO_LARGE: 0xC113,
    Why.OTHER_CLASS: 0xA900,
    Why.OTHER_INSTANCE: 0xA900,
    Why.OTHER_STUDY: 0xA901,
    Why.INVALID_UID: 0xC000,
    Why.UNREADABLE: 0xC000,
    Why.NOT_STORED: 0x0122,
    Why.SYNTAX: 0xC122,
}
"""Failure Reason (0008,1197) of each reason, by PS3.18 table I.2.2-1. Of these only A700 passes by itself: what is too
large is so again, and is answered as by C-STORE."""

DUPLICATE = 0x0111
"""Failure Reason of other bytes under a known SOP Instance UID (PS3.7 annex C.5.7)."""


_DUPLICATES = (Placed.ASIDE, Placed.REJECTED)


class _Wrong(Exception):
    """The request as a whole cannot be answered."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class StowIn:
    """Where objects go, and what senders may use."""

    store: Store
    arrivals: Arrivals
    """Tells the ledger."""
    limits: Limits
    largest_request_mb: float
    idle_s: float
    """A sender that says nothing for so long is given up."""
    least_bytes_per_s: float
    """A sender that is slower than this, on average after ``idle_s``, is given up."""
    at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(16))
    """Requests that are received at the same time."""

    async def answer(self, request: Request) -> Response:
        """Store what a request holds."""
        if self.at_once.locked():
            return _error(503, "too many requests at once; send it again later")
        source = f"STOW-RS@{request.client.host if request.client else ''}"
        async with self.at_once:
            with self.arrivals.sending(source) as sending:
                try:
                    return await self._stored(request, sending)
                except _Wrong as problem:
                    return _error(problem.status, str(problem))
                except NotMultipart as problem:
                    return _error(400, str(problem))
                except ClientDisconnect:
                    return _error(400, "the connection was closed before the end")
                finally:
                    if sending.counts:
                        counts = dict(sorted(sending.counts.items()))
                        self.arrivals.note("STOW-RS request", source=source, objects=counts)

    async def _stored(self, request: Request, sending: Sending) -> Response:
        body, study_uid = MultipartRelated(_boundary(request)), _study_uid(request)
        reception = _Reception(self, study_uid, sending)
        try:
            await self._receive(request, body, reception)
        finally:
            await run_in_threadpool(reception.close)
        return reception.answer()

    async def _receive(self, request: Request, body: MultipartRelated, reception: "_Reception") -> None:
        try:
            has_room = await run_in_threadpool(self.limits.has_room, self.store)
        except OSError as problem:
            raise _Wrong(
                503, f"the store cannot be reached: {system_message(problem)}; send it again later"
            ) from problem
        if not has_room:
            raise _Wrong(503, "the disk is below its reserve; send it again later")
        async for chunk in self._chunks(request):
            await run_in_threadpool(reception.take, body.feed(chunk))
        await run_in_threadpool(reception.finish)
        if not body.begun:
            raise _Wrong(400, "the body is empty")
        if not body.finished:
            raise _Wrong(400, "the body ends before its last boundary; what came before the end was kept")
        if not reception.parts:
            raise _Wrong(400, "the body holds no object")

    async def _chunks(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the body in pieces of a megabyte. Raises ``_Wrong`` if it is too large, too slow or stalls."""
        began, size, waiting = time.monotonic(), 0, bytearray()
        stream = aiter(request.stream())
        while True:
            try:
                piece = await asyncio.wait_for(anext(stream), self.idle_s)
            except StopAsyncIteration:
                break
            except TimeoutError as problem:
                raise _Wrong(408, f"nothing came for {self.idle_s:g} s") from problem
            size += len(piece)
            waiting += piece
            took_s = time.monotonic() - began
            if size > self.largest_request_mb * _MB:
                raise _Wrong(413, f"the request is larger than {self.largest_request_mb:g} MB; send it in parts")
            if took_s > self.idle_s and size < self.least_bytes_per_s * took_s:
                raise _Wrong(408, "the request comes too slowly")
            if len(waiting) >= _CHUNK_BYTES:
                yield bytes(waiting)
                waiting.clear()
        yield bytes(waiting)


class _Reception:
    """What has come of one request. Its methods run in threads, one at a time.

    While parts come in, those before them are put on the disk: it serves several writers in the time of one.
    """

    def __init__(self, stow: StowIn, study_uid: str, sending: Sending) -> None:
        self._stow, self._study_uid, self._sending = stow, study_uid, sending
        self._part: SpooledTemporaryFile[bytes] | None = None
        self._problem: Refused | None = None
        self.parts = 0
        self._threads = ThreadPoolExecutor(_WRITERS)
        self._being_kept: deque[Future[Taken | Refused]] = deque()
        self._taken: list[Taken] = []
        self._refused: list[Refused] = []

    def close(self) -> None:
        """Forget a part that did not come to its end, and note what became of the others."""
        if self._part:
            self._part.close()
        self.finish()
        self._threads.shutdown()

    def finish(self) -> None:
        """Wait until every whole part is kept or refused."""
        while self._being_kept:
            self._note(self._being_kept.popleft().result())

    def take(self, events: Iterable[Event]) -> None:
        """Take what has come."""
        for event in events:
            if isinstance(event, Begin):
                self._begin(event.content_type)
            elif isinstance(event, Piece):
                self._write(event.content)
            else:
                self._end()

    def answer(self) -> Response:
        """Return the answer of PS3.18 section 10.5.3 (Store Instances Response Module, annex I.2)."""
        answer = Dataset()
        answer.RetrieveURL = ""
        stored = [one for one in self._taken if one.placed not in _DUPLICATES]
        failed = [
            *(_failed(one, DUPLICATE) for one in self._taken if one.placed in _DUPLICATES),
            *(_failed(one, FAILURES[one.why]) for one in self._refused if one.sop_instance_uid),
        ]
        others = [_failure(FAILURES[one.why]) for one in self._refused if not one.sop_instance_uid]
        if stored:
            answer.ReferencedSOPSequence = [_reference(one) for one in stored]
        if failed:
            answer.FailedSOPSequence = failed
        if others:
            answer.OtherFailuresSequence = others
        status = 409 if not stored else 202 if failed or others else 200
        return Response(answer.to_json(), status, media_type="application/dicom+json")

    def _begin(self, content_type: str) -> None:
        self.parts += 1
        folder = str(self._stow.store.folder / "incoming")
        self._part = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES, dir=folder)  # noqa: SIM115 (closed by _end or close)
        self._problem = None
        if content_type not in ("", DICOM):
            self._problem = Refused(Why.UNREADABLE, f"a part is {content_type[:80]}, expected {DICOM}")

    def _write(self, content: bytes) -> None:
        limit_mb = self._stow.limits.largest_object_mb
        if self._part is None or self._problem:
            return
        if self._part.tell() + len(content) > limit_mb * _MB:
            self._problem = Refused(Why.TOO_LARGE, f"larger than {limit_mb:g} MB")
            return
        try:
            self._part.write(content)
        except OSError as problem:
            self._problem = Refused(Why.NO_ROOM, f"the store cannot take it: {system_message(problem)}")

    def _end(self) -> None:
        assert self._part is not None
        self._being_kept.append(self._threads.submit(self._keep, self._part, self._problem))
        self._part = None
        if len(self._being_kept) > 2 * _WRITERS:
            self._note(self._being_kept.popleft().result())

    def _keep(self, whole: "SpooledTemporaryFile[bytes]", problem: Refused | None) -> Taken | Refused:
        stow = self._stow
        with whole as part:
            part.seek(0)
            return problem or keep_object(stow.store, stow.limits, cast(BinaryIO, part), study_uid=self._study_uid)

    def _note(self, outcome: Taken | Refused) -> None:
        self._sending.note(outcome)
        if isinstance(outcome, Refused):
            self._refused.append(outcome)
        else:
            self._taken.append(outcome)


def _boundary(request: Request) -> str:
    """Return the boundary of the body. Raises ``_Wrong`` if the request is not one of DICOM objects."""
    kind, parameters = media_type(request.headers.get("content-type", ""))
    if kind != "multipart/related" or parameters.get("type", DICOM).lower() != DICOM:
        raise _Wrong(415, f'expected Content-Type: multipart/related; type="{DICOM}"; boundary=...')
    accepted = request.headers.get("accept", "*/*")
    if not any(known in accepted for known in ("json", "*/*", "application/*")):
        raise _Wrong(406, "the answer is application/dicom+json")
    if "boundary" not in parameters:
        raise _Wrong(400, "Content-Type names no boundary")
    return parameters["boundary"]


def _study_uid(request: Request) -> str:
    study_uid = str(request.path_params.get("study_uid", ""))
    if study_uid and not is_used_uid(study_uid):
        raise _Wrong(400, f"{study_uid[:64]!r} is not a valid UID (PS3.5 section 9.1)")
    return study_uid


def _reference(one: Taken) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
    item.RetrieveURL = ""
    return item


def _failed(one: Taken | Refused, reason: int) -> Dataset:
    item = _failure(reason)
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
    return item


def _failure(reason: int) -> Dataset:
    item = Dataset()
    item.FailureReason = reason
    return item


def _error(status: int, message: str) -> Response:
    again = {"retry-after": str(_RETRY_AFTER_S)} if status == 503 else {}
    content: dict[str, Any] = {"error": {"code": "STOW", "message": message}}
    return JSONResponse(content, status, again)
