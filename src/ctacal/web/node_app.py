"""``node_app``: the pages of a node, its REST interface, STOW-RS, metrics and health, over HTTP.

What happens is decided in ``jobs.node``; ``node_guard.NodeGuard`` belongs around the application.
"""

import logging
import re
from collections.abc import Callable
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ctacal.errors import CtacalError
from ctacal.jobs.node.inputs import troubles
from ctacal.web.metrics import CONTENT_TYPE, EventCounts, NodeMetrics
from ctacal.web.node_guard import HEALTH, METRICS, STOW
from ctacal.web.node_pages import Pages
from ctacal.web.node_requests import answer_of, bare_page, error
from ctacal.web.node_rest import Rest
from ctacal.web.node_site import NodeSite, alarms_now

_KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_ASSET = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\.(css|js|svg)")

_log = logging.getLogger("ctacal")


def node_app(site: NodeSite) -> Starlette:
    """Return the application."""
    pages, rest = Pages(site), Rest(site)
    events = EventCounts(site.ledger.audit)
    metrics = NodeMetrics(site.overviews.now, events.now, lambda: [alarm.cause.value for alarm in alarms_now(site)])
    routes: list[BaseRoute] = [
        Route("/", pages.answered(pages.now)),
        Route("/list", pages.answered(pages.list)),
        Route("/held", pages.answered(pages.held)),
        Route("/study/{study_uid}", pages.answered(pages.study)),
        Route("/study/{study_uid}/files/{name}", pages.answered(pages.file)),
        Route("/do/score/{study_uid}", pages.posted(pages.score), methods=["POST"]),
        Route("/do/retry", pages.posted(pages.retry), methods=["POST"]),
        Route("/do/give-up", pages.posted(pages.give_up), methods=["POST"]),
        Route("/do/try", pages.posted(pages.try_now), methods=["POST"]),
        Route("/do/aside", pages.posted(pages.decide), methods=["POST"]),
        Route("/sign-in", pages.sign_in_page),
        Route("/sign-in", pages.sign_in, methods=["POST"]),
        Route("/sign-out", pages.sign_out, methods=["POST"]),
        Route("/start", pages.start),
        Route("/node_page/{name}", _asset),
        Route("/api/overview", rest.answered(rest.overview)),
        Route("/api/studies", rest.answered(rest.studies)),
        Route("/api/studies/{study_uid}", rest.answered(rest.study)),
        Route("/api/studies/{study_uid}/score", rest.answered(rest.score, status=202), methods=["POST"]),
        Route("/api/deliveries/give-up", rest.answered(rest.give_up), methods=["POST"]),
        Route("/api/deliveries/{delivery_id}", rest.answered(rest.delivery)),
        Route("/api/deliveries/{delivery_id}/retry", rest.answered(rest.retry_one), methods=["POST"]),
        Route("/api/destinations/{name}/try", rest.answered(rest.try_now, status=202), methods=["POST"]),
        Route("/api/aside", rest.answered(rest.aside)),
        Route("/api/aside", rest.answered(rest.decide), methods=["POST"]),
        Route("/api/held", rest.answered(rest.held)),
        Route("/api/held/retry", rest.answered(rest.retry), methods=["POST"]),
        Route(HEALTH, _health(site)),
        Route(METRICS, _metrics(metrics)),
    ]
    if site.stow:
        routes += [
            Route(STOW, site.stow.answer, methods=["POST"]),
            Route(f"{STOW}/{{study_uid}}", site.stow.answer, methods=["POST"]),
        ]
    return Starlette(routes=routes, exception_handlers={Exception: _failed, 404: _not_found, 405: _not_found})


def _health(site: NodeSite) -> Callable[[Request], Any]:
    async def answer(_: Request) -> Response:
        problems = site.health.problems()
        failing = len(await run_in_threadpool(troubles, site.config))  # of others, often: this node works all the same
        content = {"healthy": not problems, "problems": problems, "inputs_failing": failing}
        return JSONResponse(content, 503 if problems else 200)

    return answer


def _metrics(metrics: NodeMetrics) -> Callable[[Request], Any]:
    async def answer(_: Request) -> Response:
        try:
            return Response(await run_in_threadpool(metrics.text), media_type=CONTENT_TYPE)
        except (CtacalError, OSError) as problem:
            return answer_of(problem)

    return answer


async def _asset(request: Request) -> Response:
    """Return a file of the pages; only plain names in their one folder are looked at."""
    name = str(request.path_params["name"])
    file = resources.files("ctacal.web").joinpath("node_page", name)
    if not _ASSET.fullmatch(name) or not file.is_file():
        return error(404, "NOT_FOUND", "there is no such file")
    return Response(file.read_bytes(), media_type=_KINDS[name[name.rfind(".") :]])


async def _failed(request: Request, problem: Exception) -> Response:
    _log.error("a request failed", exc_info=problem)
    if request.url.path.startswith("/api/"):
        return error(500, "INTERNAL", f"{type(problem).__name__}; the log of the node says more")
    return bare_page(500, "Something is wrong with this page; the log of the node says more.")


async def _not_found(_: Request, __: Exception) -> Response:
    return error(404, "NOT_FOUND", "there is nothing here")
