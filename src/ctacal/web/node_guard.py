"""``NodeGuard``: what a request to a node must show: a program its token, a page the marks of this server's own page.

Calls of programs (REST, STOW-RS, metrics) carry the token in a header that no page of another site can send, so they
need none of the marks that ``guard.Guard`` asks of a page. ``/healthz`` is open: it names processes, nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ctacal.web.guard import CSP, MAX_BODY, App, Guard, Receive, Scope, Send, answer, limited, one, with_headers

HEALTH = "/healthz"
METRICS = "/metrics"
STOW = "/studies"
API = "/api/"

PAGE_CSP = CSP.replace("form-action 'none'", "form-action 'self'")
"""The search is a form that needs no script."""

REPORT_CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
"""Reports carry their style and pictures in themselves, and run nothing."""

_ASKS = (b"www-authenticate", b'Bearer realm="ctacal"')


@dataclass(frozen=True, slots=True)
class NodeGuard:
    """An ASGI application around that of the node."""

    app: App
    hosts: frozenset[str]
    """Values of the Host header that pages are served under."""
    is_token: Callable[[str], bool]
    open_metrics: bool = False
    """Whether metrics are shown without a token: they are numbers only."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is refused; pass on the rest."""
        path = scope.get("path", "")
        if scope["type"] != "http":
            await Guard(self.app, self.hosts)(scope, receive, send)
        elif path == HEALTH or (path == METRICS and self.open_metrics):
            await self.app(scope, limited(receive, 0), with_headers(send))
        elif is_for_programs(path):
            await self._program(scope, receive, send)
        elif "/files/" in path:
            await Guard(self.app, self.hosts, REPORT_CSP)(scope, receive, send)
        else:
            await Guard(self.app, self.hosts, PAGE_CSP)(scope, receive, send)

    async def _program(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]]
        scheme, _, token = one(headers, b"authorization").decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not self.is_token(token.strip()):
            message = "send the token of this node: Authorization: Bearer ..."
            await answer(send, 401, "UNAUTHENTICATED", message, [_ASKS])
        elif scope["method"] not in ("GET", "HEAD", "POST"):
            await answer(send, 405, "INVALID", f"{scope['method']} is not used here")
        else:
            own_limit = scope["path"].startswith(STOW)
            await self.app(scope, receive if own_limit else limited(receive, MAX_BODY), with_headers(send))


def is_for_programs(path: str) -> bool:
    """Whether programs call this path, and no page."""
    return path.startswith((API, f"{STOW}/")) or path in (METRICS, STOW)
