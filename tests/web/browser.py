"""Debian's Chromium, driven by Playwright: no graphics card, no WebGL, no download."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import page_reader
import pytest

from tests.tools import need

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

PAGE_FOLDER = Path(__file__).parents[2] / "src" / "ctacal" / "web" / "page"
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A browser that is closed afterwards; skips the test if Playwright or Chromium is missing."""
    pytest.importorskip("playwright.sync_api")
    with page_reader.chromium(need("chromium")) as browser:
        yield browser


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
