"""The pages of a node in a real browser: buttons, refreshing by itself, signing in, and a phone's width."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.web.browser import chromium
from tests.web.node_serving import Served, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as there:
        yield there


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as browser:
        yield browser


class Person:
    """Somebody at the pages; what the browser complains of is an error of the test."""

    def __init__(self, browser: "Browser", there: Served, width: int = 1280) -> None:
        self.there, self.faults = there, list[str]()
        self.context = browser.new_context(viewport={"width": width, "height": 800})
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self._note(message.type, message.text))

    def _note(self, kind: str, text: str) -> None:
        if kind == "error" and "Failed to load resource" not in text:
            self.faults.append(text)

    def sign_in(self) -> "Person":
        self.page.goto(self.there.link)
        return self

    def open(self, path: str) -> "Person":
        self.page.goto(self.there.address + path)
        return self

    def sees(self, text: str) -> None:
        """Wait until the page shows a text."""
        self.page.get_by_text(text).first.wait_for()

    def leave(self) -> None:
        self.context.close()
        assert not self.faults, self.faults


def test_a_person_signs_in_with_the_token_and_out(browser: "Browser", there: Served) -> None:
    person = Person(browser, there).open("/")
    person.page.get_by_label("Token of this node").fill("wrong")
    person.page.get_by_role("button", name="Sign in").click()
    person.sees("This is not the token of this node.")
    person.page.get_by_label("Token of this node").fill(there.node.site.seal.token)
    person.page.get_by_role("button", name="Sign in").click()
    person.sees("Waiting to be scored")
    person.page.get_by_role("button", name="sign out").click()
    person.page.get_by_label("Token of this node").wait_for()
    person.leave()


def test_retry_takes_an_item_from_the_list_of_held_ones(browser: "Browser", there: Served) -> None:
    node = there.node
    first, second = node.score(1), node.score(2)
    node.hold("PACS refuses it: status A900")
    person = Person(browser, there).sign_in().open("/held")
    person.sees("PACS refuses it: status A900")
    rows = person.page.locator("#items tbody tr")
    assert rows.count() == 4
    held = node.ledger.held()
    person.page.locator(f'[data-key="retry-{held[0].id}"]').click()
    person.sees("It is tried again now.")
    rows.nth(3).wait_for(state="detached")
    assert rows.count() == 3
    assert len(node.ledger.held()) == 3
    person.page.get_by_role("button", name="Retry all for PACS").click()
    person.sees("Nothing is held.")
    assert node.ledger.held() == []
    states = [delivery.state for uid in (first, second) for delivery in node.ledger.deliveries(uid)]
    assert states == ["WAITING"] * 4
    node.deliver()
    person.leave()


def test_quarantine_and_score_again(browser: "Browser", there: Served) -> None:
    uid = there.node.quarantine(10)
    person = Person(browser, there).sign_in().open("/held")
    person.page.locator(f'[data-key="score-{uid}"]').click()
    person.sees("No study is in quarantine.")
    person.open(f"/study/{uid}")
    person.sees("waiting")
    study = there.node.ledger.study(uid)
    assert study and study.state == "SETTLED"
    person.leave()


def test_a_study_is_scored_again_after_a_question(browser: "Browser", there: Served) -> None:
    node = there.node
    uid = node.score(20)
    person = Person(browser, there).sign_in().open(f"/study/{uid}")
    answers = ["dismiss", "accept"]
    person.page.on("dialog", lambda dialog: getattr(dialog, answers.pop(0))())
    person.page.get_by_role("button", name="Score again").click()
    study = node.ledger.study(uid)
    assert study
    assert study.revision == 1
    person.page.get_by_role("button", name="Score again").click()
    person.sees("It is scored again.")
    study = node.ledger.study(uid)
    assert study
    assert study.revision == 2
    person.sees("a new one is coming")
    person.leave()


def test_the_page_refreshes_only_what_changed(browser: "Browser", there: Served) -> None:
    """An element that did not change is the same element afterwards: nothing flickers, and no place is lost."""
    person = Person(browser, there).sign_in().open("/")
    page = person.page
    page.evaluate("for (const part of document.querySelectorAll('[data-live]')) part.same = true")
    before = page.locator("#flow b").first.inner_text()
    there.node.arrive(30)
    page.evaluate("refresh(true)")
    page.locator("#flow b").first.filter(has_text=re.compile(rf"^(?!{before}$)")).wait_for()
    assert page.evaluate("[document.getElementById('destinations').same, document.getElementById('flow').same]") == [
        True, None,
    ]  # fmt: skip
    person.leave()


def test_the_page_says_when_the_node_does_not_answer(browser: "Browser", there: Served) -> None:
    person = Person(browser, there).sign_in().open("/")
    person.page.route("**/*", lambda route: route.abort())
    person.page.evaluate("refresh(true)")
    person.sees("No answer from the node since")
    person.page.unroute("**/*")
    person.page.evaluate("refresh(true)")
    person.page.locator("#offline").wait_for(state="hidden")
    person.leave()


def test_the_report_is_shown_and_runs_nothing(browser: "Browser", there: Served) -> None:
    uid = there.node.score(40)
    person = Person(browser, there).sign_in().open(f"/study/{uid}/files/report.html")
    person.sees("Report of None")
    assert person.page.evaluate("getComputedStyle(document.querySelector('p')).color") == "rgb(255, 0, 0)"
    person.leave()


def test_a_phone_shows_every_page_without_scrolling_sideways(browser: "Browser", there: Served) -> None:
    node = there.node
    uid = node.score(50)
    node.hold("refused: " + "a very long reason without an end " * 5 + "x" * 200)
    node.quarantine(51, "y" * 300)
    node.set_aside(52)
    person = Person(browser, there, width=375).sign_in()
    for path in ("/", "/list", "/held", f"/study/{uid}"):
        person.open(path)
        assert person.page.evaluate("document.documentElement.scrollWidth") <= 375, path
    person.leave()


def test_the_list_is_paged_and_searched(browser: "Browser", there: Served) -> None:
    for number in range(100, 160):
        there.node.arrive(number)
    person = Person(browser, there).sign_in().open("/list")
    person.page.get_by_role("link", name="Older").click()
    person.page.get_by_role("link", name="Newest").wait_for()
    person.page.get_by_label("Study Instance UID, or its beginning").fill(there.node.uid(120))
    person.page.get_by_role("button", name="Find").click()
    person.page.wait_for_url("**/list?uid=*")
    assert person.page.locator("#studies tbody tr").count() == 1
    person.leave()
