"""A site over a synthetic reading room, asked over HTTP without a network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from ctacal.jobs.reading_room import ReadingRoom
from ctacal.web.app import Site, page_app
from ctacal.web.guard import Guard
from ctacal.web.signin import Proxy, SignIn
from tests.reading_scene import room

HOST = "127.0.0.1:8000"
OWN = {"X-Ctacal": "1", "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}


class Browser:
    """Sends requests as a browser would, with the cookies that it was given."""

    def __init__(
        self, site: Site, address: tuple[str, int] = ("127.0.0.1", 50000), headers: Mapping[str, str] | None = None
    ) -> None:
        self.site = site
        self.app = Guard(page_app(site), frozenset((HOST,)))
        self.address = address
        self.cookies: dict[str, str] = {}
        self.headers = dict(headers or {})

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=self.address, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}", cookies=self.cookies) as client:
            return await client.request(method, path, **options)

    def send(self, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any) -> httpx.Response:
        import asyncio

        return asyncio.run(self._send(method, path, headers={**self.headers, **(headers or {})}, **options))

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.send("GET", path, headers)

    def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.send("POST", path, OWN if headers is None else headers, content=json.dumps(body or {}))

    def sign_in(self, reader: str = "anna") -> "Browser":
        answer = self.get(f"/start?token={self.site.signin.link(reader)}")
        assert answer.status_code == 303
        self.cookies = dict(answer.cookies)
        return self


def site(folder: Path, *, proxy: Proxy | None = None, where: ReadingRoom | None = None, **options: Any) -> Site:
    return Site(room=where or room(folder, **options), signin=SignIn(), proxy=proxy)
