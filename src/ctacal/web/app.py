"""``page_app``: HTTP to the calls of a ``ReadingRoom`` and back. What a request may do is decided there."""

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from ctacal.errors import CtacalError, NotPossible, Problem, Refusal
from ctacal.jobs.reading_index import STATES, Query
from ctacal.jobs.reading_report import report_json
from ctacal.jobs.reading_room import ReadingRoom
from ctacal.web.guard import TooLarge
from ctacal.web.signin import COOKIE, Proxy, SignIn, who

MAX_LISTED = 500

_STATUS = {
    Problem.NOT_FOUND: 404,
    Problem.INVALID: 422,
    Problem.STALE: 409,
    Problem.LOCKED: 409,
    Problem.WASHOUT: 403,
    Problem.FORBIDDEN: 403,
    Problem.DISK: 507,
    Problem.DAMAGED: 500,
}

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_ASSET = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")

_log = logging.getLogger("ctacal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the application serves, and to whom."""

    room: ReadingRoom
    signin: SignIn
    proxy: Proxy | None = None
    secure: bool = False
    """Whether the cookie is sent over TLS only."""
    cookie: str = COOKIE
    """Name of the cookie: two servers on one computer share the cookies of their ports."""


class _Unknown(Exception):
    """Nobody is signed in."""


def page_app(site: Site) -> Starlette:
    """Return the application; ``guard.Guard`` belongs around it."""
    calls = _Calls(site)
    routes = [
        Route("/", _page),
        Route("/page/{name}", _asset),
        Route("/start", calls.start),
        Route("/api/session", calls.answered(calls.session)),
        Route("/api/worklist", calls.answered(calls.worklist)),
        Route("/api/worklist/next", calls.answered(calls.next_reading)),
        Route("/api/worklist/previous", calls.answered(calls.previous_reading)),
        Route("/api/readings/{name}", calls.answered(calls.state)),
        Route("/api/readings/{name}/candidates", calls.answered(calls.candidates)),
        Route("/api/readings/{name}/volume", calls.volume),
        Route("/api/readings/{name}/open", calls.answered(calls.open), methods=["POST"]),
        Route("/api/readings/{name}/prefetch", calls.answered(calls.prefetch, status=202), methods=["POST"]),
        Route("/api/readings/{name}/events", calls.answered(calls.event), methods=["POST"]),
        Route("/api/adjudications", calls.answered(calls.adjudications)),
        Route("/api/adjudications/{name}", calls.answered(calls.adjudication)),
        Route("/api/report", calls.answered(calls.report)),
    ]
    return Starlette(routes=routes, exception_handlers={Exception: _failed, 404: _not_found, 405: _not_found})


@dataclass(frozen=True, slots=True)
class _Calls:
    """The calls of the room, with their arguments taken from requests."""

    site: Site

    def reader(self, request: Request) -> str:
        """Return who sends a request. Raises ``_Unknown``."""
        site = self.site
        reader = who(request, site.proxy, lambda: site.signin.reader(request.cookies.get(site.cookie, "")))
        if not reader:
            raise _Unknown
        return reader

    def answered(self, call: Callable[[str, Request, Any], Any], *, status: int = 200) -> Callable[[Request], Any]:
        """Return what answers a request by a call of the room, in a thread, and errors by their codes."""

        async def answer(request: Request) -> Response:
            body: Any = None
            try:
                reader = self.reader(request)
                if request.method == "POST":
                    body = json.loads(await request.body() or b"{}")
                return JSONResponse(await run_in_threadpool(call, reader, request, body), status)
            except Exception as problem:
                return await run_in_threadpool(self.problem, request, problem)

        return answer

    def problem(self, request: Request, problem: Exception) -> Response:
        """Return what is answered for an error."""
        if isinstance(problem, NotPossible) and problem.problem is Problem.STALE:
            state = self.site.room.state(self.reader(request), request.path_params["name"])
            return _error(409, "STALE", str(problem), state=state)
        return _answer_of(problem)

    async def start(self, request: Request) -> Response:
        """Change the token of a link for a cookie, and go to the page: the token does not stay in the address."""
        secret = self.site.signin.begin(request.query_params.get("token", "")) if not self.site.proxy else None
        if secret is None:
            return Response("This link was used or is too old. Start ctacal again for a new one.", 403)
        response = RedirectResponse("/", 303)
        response.set_cookie(
            self.site.cookie, secret, httponly=True, samesite="strict", secure=self.site.secure, path="/"
        )
        return response

    async def volume(self, request: Request) -> Response:
        """Send the voxels of a scan, slice by slice."""
        try:
            reader, part = self.reader(request), request.query_params.get("part", "all")
            size, planes = await run_in_threadpool(self.site.room.voxels, reader, request.path_params["name"], part)
        except Exception as problem:
            return _answer_of(problem)
        headers = {"content-length": str(size)}
        return StreamingResponse(planes, media_type="application/octet-stream", headers=headers)

    def session(self, reader: str, _: Request, __: Any) -> Any:
        return self.site.room.session(reader)

    def worklist(self, reader: str, request: Request, _: Any) -> Any:
        asked = request.query_params
        query = Query(
            offset=_number(asked.get("offset", "0"), "offset", 10**9),
            limit=_number(asked.get("limit", "100"), "limit", MAX_LISTED),
            state=_one_of(asked.get("state", "all"), ("all", *STATES), "state"),
            text=_short(asked.get("text", ""), "text"),
            session=_short(asked.get("session", ""), "session"),
        )
        return self.site.room.worklist(reader, query)

    def next_reading(self, reader: str, request: Request, _: Any) -> Any:
        return {"id": self.site.room.next_reading(reader, request.query_params.get("after", ""))}

    def previous_reading(self, reader: str, request: Request, _: Any) -> Any:
        return {"id": self.site.room.previous_reading(reader, request.query_params.get("before", ""))}

    def state(self, reader: str, request: Request, _: Any) -> Any:
        return {"state": self.site.room.state(reader, request.path_params["name"])}

    def candidates(self, reader: str, request: Request, _: Any) -> Any:
        return self.site.room.candidates(reader, request.path_params["name"])

    def open(self, reader: str, request: Request, _: Any) -> Any:
        return self.site.room.open(reader, request.path_params["name"])

    def prefetch(self, reader: str, request: Request, _: Any) -> Any:
        self.site.room.prefetch(reader, request.path_params["name"])
        return {}

    def event(self, reader: str, request: Request, body: Any) -> Any:
        return self.site.room.event(reader, request.path_params["name"], body)

    def adjudications(self, reader: str, _: Request, __: Any) -> Any:
        return self.site.room.adjudications(reader)

    def adjudication(self, reader: str, request: Request, _: Any) -> Any:
        session = _short(request.query_params.get("session", ""), "session")
        return self.site.room.adjudication(reader, request.path_params["name"], session)

    def report(self, reader: str, _: Request, __: Any) -> Any:
        room = self.site.room
        everyone = room.sees_everybody(reader)
        return report_json(room.index, None if everyone else reader, with_model=everyone)


async def _page(_: Request) -> Response:
    return _file("index.html")


async def _asset(request: Request) -> Response:
    return _file(request.path_params["name"])


def _file(name: str) -> Response:
    """Return a file of the page; only plain names in its one folder are looked at."""
    ending = name[name.rfind(".") :]
    file = resources.files("ctacal.web").joinpath("page", name)
    if not _ASSET.fullmatch(name) or ending not in _KINDS or not file.is_file():
        return _error(404, "NOT_FOUND", "there is no such file")
    return Response(file.read_bytes(), media_type=_KINDS[ending])


def _answer_of(problem: Exception) -> Response:
    match problem:
        case _Unknown():
            return _error(401, "UNAUTHENTICATED", "you are not signed in; open the link that ctacal printed")
        case NotPossible():
            return _error(_STATUS[problem.problem], str(problem.problem), str(problem))
        case Refusal():
            return _error(422, "REFUSED", str(problem))
        case TooLarge():
            return _error(413, "TOO_LARGE", "the request is too large")
        case json.JSONDecodeError() | UnicodeDecodeError() | RecursionError():
            return _error(422, "INVALID", "the body is no JSON")
        case CtacalError():
            return _error(422, "INVALID", str(problem))
    _log.error("a request failed", exc_info=problem)
    return _error(500, "INTERNAL", f"{type(problem).__name__}; the server's log says more")


def _error(status: int, code: str, message: str, **more: Any) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}, **more}, status)


async def _failed(_: Request, problem: Exception) -> Response:
    return _answer_of(problem)


async def _not_found(_: Request, __: Exception) -> Response:
    return _error(404, "NOT_FOUND", "there is nothing here")


def _number(text: str, name: str, most: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > most:
        raise NotPossible(Problem.INVALID, f"{name}: expected 0 to {most}, got {text[:20]!r}")
    return int(text)


def _one_of(text: str, known: tuple[str, ...], name: str) -> str:
    if text not in known:
        raise NotPossible(Problem.INVALID, f"{name}: expected one of {', '.join(known)}, got {text[:20]!r}")
    return text


def _short(text: str, name: str) -> str:
    if len(text) > 200 or "\0" in text:
        raise NotPossible(Problem.INVALID, f"{name}: expected up to 200 characters")
    return text
