"""``Rest``: what programs ask a node for, in JSON; ``docs/node-http.md`` describes it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ctacal.errors import NotPossible, Problem
from ctacal.jobs.node import wishes
from ctacal.jobs.node.aside import aside_json, decide, shown_aside
from ctacal.jobs.node.overview import delivery_json, overview_json, study_json, way_json, way_of
from ctacal.web.node_requests import (
    MOST_LISTED,
    StudiesAsked,
    answer_of,
    aside_asked,
    delivery_number,
    given_up,
    held_items,
    number,
)
from ctacal.web.node_site import NodeSite, alarms_now


@dataclass(frozen=True, slots=True)
class Rest:
    """What programs ask for."""

    site: NodeSite

    def answered(self, call: Callable[[Request, Any], Any], *, status: int = 200) -> Callable[[Request], Any]:
        """Return what answers a request by a call, in a thread, and errors by their codes."""

        async def answer(request: Request) -> Response:
            try:
                body = json.loads(await request.body() or b"{}") if request.method == "POST" else None
                content = await run_in_threadpool(call, request, body)
                if request.method == "POST":
                    self.site.overviews.forget()
                return JSONResponse(content, status)
            except Exception as problem:
                return answer_of(problem)

        return answer

    def overview(self, _: Request, __: Any) -> Any:
        """Return how things stand."""
        alarms = alarms_now(self.site)
        return overview_json(self.site.overviews.now()) | {"alarms": [alarm.text for alarm in alarms]}

    def studies(self, request: Request, _: Any) -> Any:
        """Return a page of studies, the newest first; ``before`` of the answer asks for the next page."""
        asked = StudiesAsked.of(request, 100)
        studies = asked.studies(self.site.ledger)
        following = studies[-1].number if len(studies) == asked.limit else None
        return {"studies": [study_json(study) for study in studies], "before": following}

    def study(self, request: Request, _: Any) -> Any:
        """Return a study, its deliveries and its way."""
        way = way_of(self.site.ledger, request.path_params["study_uid"])
        if way is None:
            raise NotPossible(Problem.NOT_FOUND, "the node does not know this study")
        return way_json(way)

    def score(self, request: Request, _: Any) -> Any:
        """Score a study now, or again."""
        study_uid = request.path_params["study_uid"]
        return {"study_uid": study_uid, "message": wishes.score(self.site.ledger, study_uid, by="REST")}

    def delivery(self, request: Request, _: Any) -> Any:
        """Return a delivery."""
        delivery = self.site.ledger.delivery(delivery_number(request))
        if delivery is None:
            raise NotPossible(Problem.NOT_FOUND, "there is no such delivery")
        return delivery_json(delivery)

    def retry_one(self, request: Request, _: Any) -> Any:
        """Try one held delivery again."""
        return {"retried": wishes.retry(self.site.ledger, delivery_id=delivery_number(request), by="REST")}

    def give_up(self, _: Request, body: Any) -> Any:
        """Give up what is held or for a destination that is gone, or send it to another one."""
        return {"given_up": wishes.give_up(self.site.ledger, self.site.config, **given_up(body), by="REST")}

    def try_now(self, request: Request, _: Any) -> Any:
        """Try a destination now that is down."""
        site = self.site
        return {"waiting": wishes.try_now(site.ledger, request.path_params["name"], site.config, by="REST")}

    def aside(self, request: Request, _: Any) -> Any:
        """Return what was set aside."""
        limit = number(request.query_params.get("limit", "100"), "limit", MOST_LISTED)
        return {"aside": [aside_json(one) for one in shown_aside(self.site.store, self.site.ledger, limit)]}

    def decide(self, _: Request, body: Any) -> Any:
        """Do what was decided about an object that was set aside."""
        key, decision = aside_asked(body)
        return {"message": decide(self.site.store, self.site.ledger, key, decision, by="REST")}

    def held(self, request: Request, _: Any) -> Any:
        """Return what is held, the oldest study of each destination first."""
        limit = number(request.query_params.get("limit", "100"), "limit", MOST_LISTED)
        return {"held": [delivery_json(delivery) for delivery in self.site.ledger.held(limit=limit)]}

    def retry(self, _: Request, body: Any) -> Any:
        """Try again what is held: all, of a destination, or one."""
        return {"retried": wishes.retry(self.site.ledger, **held_items(body), by="REST")}
