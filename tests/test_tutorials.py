"""Every tutorial and how-to runs as it stands on the page, and ends with what it promises."""

from pathlib import Path

import page_reader
import pytest

from tests import places, tutorial
from tests.web.browser import chromium

MINUTES = pytest.mark.ci
SECONDS = pytest.mark.slow
PAGES = {
    "tutorials/first-study.md": SECONDS,
    "tutorials/read-and-correct.md": MINUTES,
    "tutorials/compare-readers.md": MINUTES,
    "tutorials/prognosis.md": MINUTES,
    "tutorials/simulate-your-scanner.md": MINUTES,
    "tutorials/train-and-finetune.md": MINUTES,
    "tutorials/run-a-node.md": MINUTES,
    "tutorials/million-studies.md": MINUTES,
    "tutorials/has-it-grown.md": SECONDS,
    "how-to/own-predictor.md": SECONDS,
    "how-to/own-rule.md": SECONDS,
    "how-to/own-output.md": SECONDS,
    "how-to/own-scanner.md": SECONDS,
    "concepts.md": SECONDS,
}
RUN_BY_ANOTHER = {"how-to/behind-a-pacs.md"}
"""It needs a PACS and a camera: tests/node/test_behind_a_pacs.py has both."""


def sign_a_reading(folder: Path, arguments: list[str]) -> None:
    """Do at the page what the tutorial says: go to a candidate, label it, sign."""
    with (
        chromium() as browser,
        page_reader.room(folder, arguments[0], str(folder / arguments[1])) as room,
    ):
        reader = page_reader.new_reader(browser, next(iter(room.links.values())))
        reader.press("n", "2")
        reader.settle()
        reader.press("Enter")
        reader.page.locator("#empty").wait_for()
        reader.leave()


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("page", [pytest.param(name, marks=mark) for name, mark in PAGES.items()])
def test_a_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    tutorial.follow((places.DOCS / page).read_text(encoding="utf-8"), tmp_path, act=sign_a_reading)


def test_every_tutorial_runs() -> None:
    folders = ("tutorials", "how-to")
    there = {page.relative_to(places.DOCS).as_posix() for name in folders for page in places.DOCS.glob(f"{name}/*.md")}
    assert there - RUN_BY_ANOTHER == set(PAGES) - {"concepts.md"}


def test_a_page_that_breaks_its_promise_is_seen(tmp_path: Path) -> None:
    page = "```sh\necho one\n```\n\n```text\ntwo\n```\n\n## What you have now\n\n- `nothing.csv`: nothing\n"
    with pytest.raises(AssertionError, match="the page shows"):
        tutorial.follow(page, tmp_path)
    with pytest.raises(AssertionError, match=r"nothing\.csv"):
        tutorial.follow(page.replace("two", "o..."), tmp_path)
