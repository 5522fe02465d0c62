"""What requests to a node ask for, as values, and what is answered for errors."""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from ctacal.errors import CtacalError, NotPossible, Problem, system_message
from ctacal.jobs.database import DatabaseAway
from ctacal.jobs.node.aside import Decision
from ctacal.jobs.node.ledger import Ledger, StudyRow, StudyState
from ctacal.templates import render
from ctacal.web.guard import TooLarge

MOST_LISTED = 500
"""Rows of one answer."""

STATUS = {Problem.NOT_FOUND: 404, Problem.INVALID: 422, Problem.STALE: 409, Problem.LOCKED: 409}
_UID = re.compile(r"[0-9.]{0,64}")

_log = logging.getLogger("ctacal")


class SignedOut(Exception):
    """Nobody is signed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudiesAsked:
    """Which studies a request asks for, the newest first."""

    state: StudyState | None
    uid: str
    before: int | None
    limit: int

    @classmethod
    def of(cls, request: Request, limit: int) -> "StudiesAsked":
        """Return what a request asks for. Raises ``NotPossible`` naming the field that is impossible."""
        asked = request.query_params
        state, uid, before = asked.get("state", ""), asked.get("uid", "").strip(), asked.get("before", "")
        if state and state not in list(StudyState):
            raise invalid("state", f"one of {', '.join(StudyState)}", state)
        if not _UID.fullmatch(uid):
            raise invalid("uid", "digits and dots, up to 64", uid)
        return cls(
            state=StudyState(state) if state else None,
            uid=uid,
            before=number(before, "before", 10**15) if before else None,
            limit=number(asked.get("limit", str(limit)), "limit", MOST_LISTED),
        )

    @property
    def filter(self) -> dict[str, str]:
        """What of it stays the same on the next page."""
        return {name: value for name, value in (("state", self.state or ""), ("uid", self.uid)) if value}

    def studies(self, ledger: Ledger) -> list[StudyRow]:
        """Ask the ledger."""
        states = (self.state,) if self.state else ()
        return ledger.studies(before=self.before, limit=self.limit, states=states, uid_begins=self.uid)


def given_up(content: Any) -> dict[str, Any]:
    """Return what a request gives up, as ``held_items`` but never all, and where it goes instead, if anywhere."""
    to = content.get("to", "") if isinstance(content, Mapping) else ""
    if not isinstance(to, str):
        raise invalid("to", "a name", str(to))
    if isinstance(content, Mapping):
        content = {name: value for name, value in content.items() if name != "to"}
    return held_items(content) | {"to": to}


def held_items(content: Any) -> dict[str, Any]:
    """Return which held items a request means: ``{"delivery": 5}``, ``{"destination": "PACS"}``, or ``{}`` for all."""
    if not isinstance(content, Mapping) or set(content) - {"delivery", "destination"} or len(content) > 1:
        raise NotPossible(Problem.INVALID, 'expected {"delivery": NUMBER}, {"destination": NAME} or {}')
    delivery, destination = content.get("delivery"), content.get("destination")
    if delivery is not None and (not isinstance(delivery, int) or isinstance(delivery, bool) or delivery > 2**62):
        raise invalid("delivery", "a number", str(delivery))
    if destination is not None and not isinstance(destination, str):
        raise invalid("destination", "a name", str(destination))
    return {"delivery_id": delivery, "destination": destination}


def aside_asked(content: Any) -> tuple[tuple[str, str, str], Decision]:
    """Return which object that was set aside a request means, and what is done with it. Raises ``NotPossible``."""
    names = {"study", "object", "digest", "decision"}
    if not isinstance(content, Mapping) or set(content) != names or {*map(type, content.values())} != {str}:
        raise NotPossible(Problem.INVALID, 'expected {"study": UID, "object": UID, "digest": TEXT, "decision": WORD}')
    if content["decision"] not in list(Decision):
        raise invalid("decision", f"one of {', '.join(Decision)}", content["decision"])
    return (content["study"], content["object"], content["digest"]), Decision(content["decision"])


def delivery_number(request: Request) -> int:
    """Return the number of the delivery in the path. Raises ``NotPossible``."""
    return number(request.path_params["delivery_id"], "delivery", 2**62)


def answer_of(problem: Exception) -> Response:
    """Return what a program, or a button, is answered for an error."""
    match problem:
        case SignedOut():
            return error(401, "UNAUTHENTICATED", "You are not signed in.")
        case NotPossible():
            return error(STATUS.get(problem.problem, 422), str(problem.problem), str(problem))
        case TooLarge():
            return error(413, "TOO_LARGE", "the request is too large")
        case DatabaseAway():
            return error(503, "AWAY", f"the ledger does not answer: {problem}")
        case OSError():
            return error(503, "AWAY", f"the store cannot be reached: {system_message(problem)}")
        case json.JSONDecodeError() | UnicodeDecodeError() | RecursionError() | AttributeError():
            return error(422, "INVALID", "the body is no JSON object")
        case CtacalError():
            return error(422, "INVALID", str(problem))
    _log.error("a request failed", exc_info=problem)
    return error(500, "INTERNAL", f"{type(problem).__name__}; the log of the node says more")


def error(status: int, code: str, message: str) -> Response:
    """Return an error in JSON."""
    return JSONResponse({"error": {"code": code, "message": message}}, status)


def bare_page(status: int, message: str) -> Response:
    """Return a page that needs no ledger."""
    return HTMLResponse(render("ctacal.web", "node_page/bare.html.j2", message=message), status)


def number(text: str, name: str, most: int) -> int:
    """Return a whole number. Raises ``NotPossible`` naming the field."""
    if not text.isascii() or not text.isdigit() or len(text) > 20 or int(text) > most:
        raise invalid(name, f"0 to {most}", text)
    return int(text)


def invalid(name: str, expected: str, got: str) -> NotPossible:
    """Return the error for a field that is impossible."""
    return NotPossible(Problem.INVALID, f"{name}: expected {expected}, got {got[:40]!r}")
