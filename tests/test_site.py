"""The site builds without a warning, asks nobody for anything, and its search works from disk."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import places
from tests.web.browser import chromium

pytestmark = pytest.mark.ci


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    pytest.importorskip("mkdocs")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(out)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=places.ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    yield out


def test_every_page_is_there(site: Path) -> None:
    pages = {page.relative_to(places.DOCS).with_suffix(".html").as_posix() for page in places.DOCS.rglob("*.md")}
    made = {page.relative_to(site).as_posix() for page in site.rglob("*.html")}
    assert {page.replace("README.html", "index.html") for page in pages} <= made


def test_examples_are_code(site: Path) -> None:
    """Markdown takes ``>>>`` for a quotation in a quotation in a quotation."""
    for page in (site / "api").glob("*.html"):
        assert not re.search(r"<blockquote>\s*<blockquote>", page.read_text(encoding="utf-8")), page.name
    assert '<span class="gp">' in (site / "api" / "ctacal.html").read_text(encoding="utf-8")


def test_every_public_name_is_documented(site: Path) -> None:
    import ctacal

    page = (site / "api" / "ctacal.html").read_text(encoding="utf-8")
    assert not [name for name in ctacal.__all__ if name != "__version__" and f'id="ctacal.{name}"' not in page]


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    fetched = re.compile(r"<(?:script|img|iframe|source)[^>]+src=\"(https?:[^\"]+)|<link[^>]+href=\"(https?:[^\"]+)")
    assert not {found for page in site.rglob("*.html") for found in fetched.findall(page.read_text(encoding="utf-8"))}


def test_the_search_works_from_disk(site: Path) -> None:
    with chromium() as browser:
        page = browser.new_page()
        foreign: list[str] = []
        page.on("request", lambda request: foreign.append(request.url) if request.url[:5] != "file:" else None)
        page.goto((site / "index.html").as_uri())
        page.locator("input.md-search__input").click()
        page.keyboard.type("gated equivalent")
        page.locator(".md-search-result__item").first.wait_for()
        assert not foreign
