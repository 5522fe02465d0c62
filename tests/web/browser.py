"""Debian's Chromium, driven by Playwright: no graphics card, no WebGL, no download."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tools import need

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

PAGE_FOLDER = Path(__file__).parents[2] / "src" / "ctacal" / "web" / "page"
FLAGS = ["--disable-gpu", "--disable-software-rasterizer", "--disable-3d-apis", "--no-sandbox"]
"""As on a remote desktop without a graphics card: WebGL is absent."""
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


@contextmanager
def chromium(*more_flags: str) -> Iterator["Browser"]:
    """A browser that is closed afterwards; skips the test if Playwright or Chromium is missing."""
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need("chromium"), args=[*FLAGS, *more_flags])
        try:
            yield browser
        finally:
            browser.close()


def page_of_modules(browser: "Browser") -> "Page":
    """An empty page that can import the page's modules, without a server: ``await import("/page/scoring.js")``."""

    def fulfil(route: "Route") -> None:
        file = PAGE_FOLDER / route.request.url.rpartition("/")[2]
        if not file.is_file():
            route.fulfill(body="<!doctype html><title>modules</title>", content_type="text/html")
            return
        route.fulfill(body=file.read_bytes(), content_type=MEDIA_TYPES[file.suffix])

    page = browser.new_page()
    page.route("**/*", fulfil)
    page.goto("http://127.0.0.1/")
    return page
