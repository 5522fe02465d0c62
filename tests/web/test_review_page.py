"""Reviewing a model's results, and a study of blind readers with its adjudication, at the real page."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from page_reader import SAMPLES, Reader, Room, new_reader, room

from ctacal.cli import score
from tests.web.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

PLAN = """
name = "two readers"
seed = 3
readers = ["anna", "bo"]
adjudicators = ["chief"]
[[sessions]]
name = "first"
mode = "blind"
"""
HIDDEN_WORDS = ("Model", "AC_CT", "2024", "spect_ct_2slice", "Drawn phantom")
"""What the samples' headers and their results say, and a blind reader must not see."""


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both samples, scored by the baseline."""
    out = tmp_path_factory.mktemp("run") / "out"
    scans = sorted(SAMPLES.glob("*.zip"))
    assert len(scans) == 2
    assert score.run(scans, out, score.Options(predictor="threshold")) == 0
    return out


@pytest.fixture
def review_room(run: Path, tmp_path: Path) -> Iterator[Room]:
    with room(tmp_path, "review", str(run), "--readings", str(tmp_path / "readings"), "--reader", "anna") as running:
        yield running


@pytest.fixture
def study_room(run: Path, tmp_path: Path) -> Iterator[Room]:
    (tmp_path / "plan.toml").write_text(PLAN, encoding="utf-8")
    arguments = ("review", str(run), "--readings", str(tmp_path / "readings"), "--plan", str(tmp_path / "plan.toml"))
    with room(tmp_path, *arguments, readers=3) as running:
        yield running


def test_a_reader_corrects_the_model_and_signs_case_after_case(browser: "Browser", review_room: Room) -> None:
    reader = new_reader(browser, review_room.links["anna"])
    model = reader.js("station.reading.case.model.agatston")
    assert reader.score["agatston"]["total"] == model > 0
    assert "Model: " in reader.page.locator("#panel-score").inner_text()
    reader.press("n", "2")
    reader.settle()
    first = reader.server_state()
    assert first["score"]["agatston"] == reader.score["agatston"]
    assert first["score"]["agatston"]["per_vessel"]["LAD"] > 0
    differing = reader.page.locator("tr.differs").count()
    assert differing == 1
    one = reader.case_id
    reader.press("Enter")
    reader.wait(f"window.ctacal.station.reading.id !== '{one}' && window.ctacal.station.reading.isWhole")
    reader.press("Enter")
    reader.page.locator("#empty").wait_for()
    assert "All cases are signed" in reader.page.locator("#empty").inner_text()
    reader.page.locator("#empty .primary").click()
    reader.page.locator(".rows .state.signed").nth(1).wait_for()
    assert "2 of 2 signed" in reader.page.locator("#progress-words").inner_text()
    reader.page.locator(".rows li").first.click()
    reader.wait(f"window.ctacal.station.reading.id === '{one}'")
    assert reader.page.locator("#amend").is_visible()
    reader.leave()


def test_an_unreadable_scan_is_signed_with_its_reason(browser: "Browser", review_room: Room) -> None:
    reader = new_reader(browser, review_room.links["anna"])
    one = reader.case_id
    reader.page.locator("#unreadable").click()
    reader.page.locator("#ask textarea").fill("Metal hides the heart")
    reader.page.locator("#ask .primary").click()
    reader.wait(f"window.ctacal.station.reading.id !== '{one}'")
    reader.press("Shift+P")
    reader.wait(f"window.ctacal.station.reading.id === '{one}'")
    assert reader.server_state()["signed"]["verdict"] == "unreadable"
    assert "unreadable" in reader.page.locator("#panel-signature").inner_text()
    reader.leave()


def read_all(reader: Reader, label: str) -> None:
    """Label the first candidate of each case, and sign; nothing of model or patient is on the page."""
    for _ in range(2):
        reader.page.locator("#list-button").click()
        everything = reader.page.locator("body").inner_text() + reader.page.content()
        assert not [words for words in HIDDEN_WORDS if words in everything]
        reader.page.locator("#list-button").click()
        one = reader.case_id
        reader.press("n", label, "Enter")
        reader.wait(f"window.ctacal.station.reading.id !== '{one}' || document.querySelector('#empty:not([hidden])')")
        reader.settle()


def test_blind_readers_disagree_and_an_adjudicator_settles_it(browser: "Browser", study_room: Room) -> None:
    for name, label in (("anna", "2"), ("bo", "6")):
        reader = new_reader(browser, study_room.links[name])
        read_all(reader, label)
        reader.leave()
    chief = new_reader(browser, study_room.links["chief"])
    sides = chief.page.locator(".view.reader")
    sides.nth(1).wait_for()
    boxes = [sides.nth(i).bounding_box() for i in (0, 1)]
    assert boxes[0] and boxes[1] and boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] != boxes[1]["x"]
    chief.press("n")
    assert sorted(chief.page.locator("tr.chosen td.label").all_inner_texts()) == ["LAD", "Other", "–"]
    shown = [chief.js("[...new Set(given < 2 && station.small[given].otherLabels)]", side) for side in (0, 1)]
    assert sorted(map(sorted, shown)) == [[0, 2], [0, 6]]
    one = chief.case_id
    chief.page.get_by_text("Take over A").click()
    chief.settle()
    np.testing.assert_array_equal(np.unique(chief.labels()), sorted(shown[0]))
    assert chief.server_state()["score"]["agatston"] == chief.score["agatston"]
    chief.press("z")
    chief.settle()
    assert not chief.labels().any()
    chief.press("Shift+Z", "Enter")
    chief.wait(f"window.ctacal.station.reading.id !== '{one}' && window.ctacal.station.reading.isWhole")
    chief.page.locator(".view.reader").nth(1).wait_for()  # the case opens again
    assert chief.page.locator(".view.reader").count() == 2
    chief.leave()
