"""``Pages``: what browsers ask a node for, and the buttons that they press."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response

from ctacal import __version__
from ctacal.errors import CtacalError, NotPossible, Problem, system_message
from ctacal.jobs.node import wishes
from ctacal.jobs.node.aside import decide, shown_aside
from ctacal.jobs.node.events import tell
from ctacal.jobs.node.ledger import DeliveryRow, DeliveryState, StudyRow, StudyState
from ctacal.jobs.node.overview import MOST_HELD, late_before, way_of
from ctacal.jobs.node.shown_result import shown_file, shown_result
from ctacal.jobs.node.sign_in import SESSION_S
from ctacal.templates import render
from ctacal.web.node_requests import (
    STATUS,
    SignedOut,
    StudiesAsked,
    answer_of,
    aside_asked,
    bare_page,
    error,
    given_up,
    held_items,
)
from ctacal.web.node_show import Show, utc_now
from ctacal.web.node_site import NodeSite, alarms_now
from ctacal.web.signin import who

PAGE_ROWS = 50
"""Studies on one page of the list."""

_FILES = {".html": "text/html; charset=utf-8", ".png": "image/png", ".pdf": "application/pdf"}
_TABS = (
    ("All", None),
    ("Arriving", StudyState.RECEIVING),
    ("Waiting", StudyState.SETTLED),
    ("Scored", StudyState.SCORED),
    ("Refused", StudyState.REFUSED),
    ("In quarantine", StudyState.QUARANTINED),
)


@dataclass(frozen=True, slots=True)
class Pages:
    """What browsers ask for."""

    site: NodeSite

    def user(self, request: Request) -> str:
        """Return who sends a request. Raises ``SignedOut``."""
        site = self.site
        user = who(request, site.proxy, lambda: site.seal.user(request.cookies.get(site.cookie, "")))
        if not user:
            raise SignedOut
        return user

    def answered(self, page: Callable[[Request, str], Response]) -> Callable[[Request], Any]:
        """Return what answers a request by a page; who is not signed in is led to do so."""

        async def answer(request: Request) -> Response:
            try:
                user = self.user(request)
                return await run_in_threadpool(page, request, user)
            except SignedOut:
                if "x-ctacal" in request.headers:  # the page that is open asks for news
                    return Response(status_code=401)
                return RedirectResponse("/sign-in", 303)
            except (CtacalError, OSError) as problem:
                return await run_in_threadpool(self._problem, problem)

        return answer

    def posted(self, deed: Callable[[Request, str, Any], str]) -> Callable[[Request], Any]:
        """Return what answers the press of a button with a sentence."""

        async def answer(request: Request) -> Response:
            try:
                user = self.user(request)
                content = json.loads(await request.body() or b"{}")
                message = await run_in_threadpool(deed, request, user, content)
                self.site.overviews.forget()
                return JSONResponse({"message": message})
            except Exception as problem:
                return answer_of(problem)

        return answer

    def now(self, _: Request, user: str) -> Response:
        """Return the page of the queues."""
        seen = self.site.overviews.now()
        waiting = [since for since in seen.to_send_since.values() if since]
        return self._page(
            "now", "Now", user,
            to_send_since=min(waiting, default=""),
            most_by_hour=max(seen.scored_by_hour, default=0) or 1,
            configured={destination.name for destination in self.site.config.destination},
        )  # fmt: skip

    def list(self, request: Request, user: str) -> Response:
        """Return a page of studies."""
        site, asked = self.site, StudiesAsked.of(request, PAGE_ROWS)
        studies = asked.studies(site.ledger)
        seen, patients = site.overviews.now(), site.config.http.patients
        numbers = {state: seen.studies[state] if state else seen.total for _, state in _TABS}
        return self._page(
            "list", "Studies", user,
            studies=studies,
            tabs=[(word, state.value if state else "", numbers[state]) for word, state in _TABS],
            chosen=asked.state.value if asked.state else "",
            uid=asked.uid,
            query=urlencode(asked.filter),
            newest=asked.before is None,
            older=studies[-1].number if len(studies) == PAGE_ROWS else None,
            delivered=site.ledger.delivery_states([study.study_uid for study in studies]),
            patients=patients,
            names={study.study_uid: self._name(study) for study in studies} if patients else {},
            port=site.config.receive.port,
        )  # fmt: skip

    def held(self, _: Request, user: str) -> Response:
        """Return the page of what needs a person."""
        seen = self.site.overviews.now()
        return self._page(
            "held", "Needs attention", user,
            groups=sorted(seen.held, key=lambda group: group.destination),
            items=self.site.ledger.held(limit=MOST_HELD),
            held_count=seen.waiting(DeliveryState.HELD),
            late=self._late(),
            aside=shown_aside(self.site.store, self.site.ledger),
            gone=seen.gone(self.site.config),
            destinations=[destination.name for destination in self.site.config.destination],
        )  # fmt: skip

    def _late(self) -> Sequence[DeliveryRow]:
        """Return what was sent, and has had no report on storage commitment for too long."""
        config = self.site.config
        return self.site.ledger.uncommitted(late_before(config, utc_now())) if config.alarm.commitment_s else ()

    def study(self, request: Request, user: str) -> Response:
        """Return the page of a study. Raises ``NotPossible`` if it is unknown."""
        site = self.site
        way = way_of(site.ledger, request.path_params["study_uid"])
        if way is None:
            raise NotPossible(Problem.NOT_FOUND, "The node does not know this study.")
        result = shown_result(site.config.store, way.study, patients=site.config.http.patients)
        return self._page(
            "study", "Study", user, study=way.study, deliveries=way.deliveries, steps=way.steps, result=result,
            late={delivery.id for delivery in way.deliveries if self._is_late(delivery)},
        )  # fmt: skip

    def _is_late(self, delivery: DeliveryRow) -> bool:
        config = self.site.config
        sent_at = delivery.sent_at or delivery.created_at
        is_awaited = delivery.state is DeliveryState.SENT and config.alarm.commitment_s > 0
        return is_awaited and sent_at < late_before(config, utc_now())

    def file(self, request: Request, _: str) -> Response:
        """Return a file of the newest result. Raises ``NotPossible`` if there is none, or it may not be shown."""
        site, name = self.site, str(request.path_params["name"])
        study = site.ledger.study(request.path_params["study_uid"])
        path = shown_file(site.config.store, study, name, patients=site.config.http.patients) if study else None
        if path is None:
            raise NotPossible(Problem.NOT_FOUND, "There is no such file of this study.")
        ending = path.suffix
        saved = {"content-disposition": f'attachment; filename="{name}"'} if ending == ".pdf" else {}
        return FileResponse(path, media_type=_FILES[ending], headers=saved)

    def score(self, request: Request, user: str, _: Any) -> str:
        """Score a study now, or again."""
        return wishes.score(self.site.ledger, request.path_params["study_uid"], by=user)

    def retry(self, _: Request, user: str, content: Any) -> str:
        """Try again what is held."""
        return _retried(wishes.retry(self.site.ledger, **held_items(content), by=user))

    def give_up(self, _: Request, user: str, content: Any) -> str:
        """Give up what is held or for a destination that is gone, or send it to another one."""
        asked = given_up(content)
        number = wishes.give_up(self.site.ledger, self.site.config, **asked, by=user)
        what = f"{number} result is" if number == 1 else f"{number} results are"
        return f"{what} sent to {asked['to']}." if asked["to"] else f"{what} given up."

    def try_now(self, _: Request, user: str, content: Any) -> str:
        """Try a destination now that is down."""
        if not isinstance(content, Mapping) or not isinstance(name := content.get("destination"), str):
            raise NotPossible(Problem.INVALID, 'expected {"destination": NAME}')
        number = wishes.try_now(self.site.ledger, name, self.site.config, by=user)
        return f"{name} is tried now; {number} results wait for it." if number != 1 else f"{name} is tried now."

    def decide(self, _: Request, user: str, content: Any) -> str:
        """Do what was decided about an object that was set aside."""
        key, decision = aside_asked(content)
        return decide(self.site.store, self.site.ledger, key, decision, by=user)

    async def sign_in_page(self, _: Request) -> Response:
        """Return the page that asks for the token."""
        return self._signed_out()

    async def sign_in(self, request: Request) -> Response:
        """Change the token, typed by a person, for a cookie."""
        try:
            given = json.loads(await request.body()).get("token", "")
        except Exception as problem:
            return answer_of(problem)
        if self.site.proxy or not isinstance(given, str) or not self.site.seal.is_token(given):
            return error(403, "FORBIDDEN", "This is not the token of this node.")
        return self._signed_in("token", JSONResponse({"message": "signed in"}))

    async def sign_out(self, _: Request) -> Response:
        """Take the cookie back."""
        response = JSONResponse({"message": "signed out", "go": "/sign-in"})
        response.delete_cookie(self.site.cookie, path="/")
        return response

    async def start(self, request: Request) -> Response:
        """Change a link for a cookie, and go to the page: the link does not stay in the address."""
        link = request.query_params.get("token", "")
        user = self.site.seal.opened(link) if not self.site.proxy else None
        if user is None:
            return self._signed_out("This link was used or is too old. Ask the node for a new one.")
        return self._signed_in(user, RedirectResponse("/", 303))

    def _signed_in(self, user: str, response: Response) -> Response:
        site = self.site
        response.set_cookie(
            site.cookie, site.seal.cookie(user), httponly=True, samesite="strict", secure=site.secure, path="/",
            max_age=int(SESSION_S),
        )  # fmt: skip
        return response

    def _signed_out(self, problem: str = "") -> Response:
        page = render("ctacal.web", "node_page/sign_in.html.j2", problem=problem, by_proxy=bool(self.site.proxy))
        return HTMLResponse(page, 403 if problem else 200)

    def _page(self, template: str, title: str, user: str, *, status: int = 200, **values: Any) -> Response:
        site, seen = self.site, self.site.overviews.now()
        alarms = alarms_now(site, seen)
        gone = seen.gone(site.config)
        held = sum(counts[DeliveryState.HELD] for name, counts in seen.deliveries.items() if name not in gone)
        late = sum(number for name, number in seen.uncommitted.items() if name not in gone)
        needs = sum((*gone.values(), held, late, seen.studies[StudyState.QUARANTINED], len(seen.aside)))
        page = render(
            "ctacal.web", f"node_page/{template}.html.j2", page=template, title=title, user=user, seen=seen,
            alarms=alarms, needs=needs, now=utc_now(), show=Show, software=f"ctacal {__version__}",
            ae_title=site.config.receive.ae_title, **values,
        )  # fmt: skip
        return HTMLResponse(page, status)

    def _problem(self, problem: CtacalError | OSError) -> Response:
        """Return a page about what went wrong; without the ledger it is a bare one."""
        if isinstance(problem, NotPossible):
            title, status = "Not found", STATUS.get(problem.problem, 422)
            try:
                return self._page("message", title, "", status=status, message=str(problem))
            except (CtacalError, OSError) as further:
                problem = further
        said = system_message(problem) if isinstance(problem, OSError) else problem
        tell("page failed", level=logging.ERROR, reason=said)
        return bare_page(503, f"The node cannot show this now: {said}")

    def _name(self, study: StudyRow) -> str:
        result = shown_result(self.site.config.store, study, patients=True)
        return result.patient.get("Name", "") if result else ""


def _retried(number: int) -> str:
    if number == 1:
        return "It is tried again now."
    return f"{number} results are tried again now." if number else "Nothing is held any more."
