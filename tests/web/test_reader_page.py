"""The reader's page, driven as a person drives it: real mouse, real keys, a real server, no graphics card."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from page_reader import SAMPLES, Reader, Room, new_reader, room

from ctacal.dicom.series import read_studies
from ctacal.labels import LabelMap
from ctacal.result import ScoredStudy
from ctacal.scores import Scores, score_label_map
from ctacal.study import predict_from_file, score_study
from tests.web.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

SAMPLE = "simulated_ctac"


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def truth() -> ScoredStudy:
    """The sample, scored by its true labels."""
    study = read_studies([SAMPLES / f"{SAMPLE}.zip"]).studies[0]
    scored = score_study(study, predict_from_file(SAMPLES / f"{SAMPLE}_labels.nii.gz"))
    assert isinstance(scored, ScoredStudy)
    return scored


@pytest.fixture(scope="module")
def scratch_room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """The sample, to be annotated by several readers; a link opens the page once."""
    folder = tmp_path_factory.mktemp("scratch")
    names = [
        word
        for name in ("anna", "bo", "cy", "di", "ed", "flo", "gus", "hal", "ivy", "joy")
        for word in ("--reader", name)
    ]
    scan = str(SAMPLES / f"{SAMPLE}.zip")
    readings = ("--readings", str(folder / "readings"))
    with room(folder, "annotate", scan, *readings, *names, readers=len(names) // 2) as running:
        yield running


def scored(truth: ScoredStudy, labels: "np.ndarray[Any, np.dtype[np.uint8]]") -> Scores:
    """What ctacal scores for marks on the sample."""
    volume = truth.scan.volume
    return score_label_map(volume, LabelMap(labels, volume.geometry), truth.rule)[1]


def assert_agree(reader: Reader, truth: ScoredStudy) -> None:
    """Page, server and ctacal give the same score for the same marks, to the last digit."""
    reader.settle()
    server, labels, page = reader.server_state(), reader.labels(), reader.score
    expected = scored(truth, labels)
    for quantity, tally in (("agatston", expected.agatston), ("volume_mm3", expected.volume_mm3)):
        values = {"total": tally.total, "per_vessel": dict(tally.per_vessel), "other": tally.other}
        assert page[quantity] == values
        assert server["score"][quantity] == values
    assert page["category"] == server["score"]["category"] == expected.category
    assert page["cac_drs"] == server["score"]["cac_drs"] == expected.cac_drs
    assert reader.page.locator("#banner").is_hidden(), reader.page.locator("#banner").inner_text()


def true_label(truth: ScoredStudy, runs: list[int]) -> int:
    """The true label of most of a candidate's labelled voxels; 0 if it is no calcium."""
    labels = truth.scan.labels.labels.ravel()
    voxels = np.concatenate([np.arange(a, a + n) for a, n in zip(runs[::2], runs[1::2], strict=True)])
    votes = np.bincount(labels[voxels], minlength=7)
    return int(votes[1:].argmax() + 1) if votes[1:].any() else 0


def test_a_reader_annotates_the_sample_with_the_mouse_and_signs(
    browser: "Browser", scratch_room: Room, truth: ScoredStudy
) -> None:
    reader = new_reader(browser, scratch_room.links["anna"])
    assert reader.page.evaluate("document.createElement('canvas').getContext('webgl2')") is None
    assert reader.score["agatston"]["total"] == 0
    for candidate in reader.js("station.listed"):
        if label := true_label(truth, candidate["runs"]):
            reader.scroll_to(candidate["peak_voxel"][0])
            reader.press(str(label))
            reader.click(candidate["peak_voxel"])
    assert_agree(reader, truth)
    assert reader.score["agatston"]["total"] == pytest.approx(truth.scores.agatston.total, rel=0.02)
    assert reader.page.locator("#agatston").inner_text() == f"{reader.score['agatston']['total']:.0f}"
    reader.page.locator("#all-marked").check()
    reader.press("Enter")
    reader.page.wait_for_selector("#empty:not([hidden])")
    state = reader.server_state()
    assert state["locked"] and state["signed"]["all_marked"]
    reader.leave()


def test_a_reader_annotates_with_keys_alone(browser: "Browser", scratch_room: Room, truth: ScoredStudy) -> None:
    reader = new_reader(browser, scratch_room.links["bo"])
    for candidate in reader.js("station.listed"):
        reader.press("n")
        if label := true_label(truth, candidate["runs"]):
            reader.press(str(label))
    assert_agree(reader, truth)
    assert reader.score["agatston"]["total"] == pytest.approx(truth.scores.agatston.total, rel=0.02)
    marked = reader.labels()
    undone = reader.js("station.reading.undo")
    reader.press(*["z"] * undone)
    assert_agree(reader, truth)
    assert not reader.labels().any()
    reader.press(*["Shift+Z"] * undone)
    assert_agree(reader, truth)
    np.testing.assert_array_equal(reader.labels(), marked)
    reader.leave()


class Hand:
    """A hand that does anything a reader can do to marks, at random."""

    def __init__(self, reader: Reader, seed: int) -> None:
        self.reader, self.rng = reader, np.random.default_rng(seed)
        self.actions = [self.label, self.click, self.click, self.lasso, self.brush, self.erase, self.cut]
        self.actions += [self.undo, self.undo, self.redo, self.depth, self.noise, self.choose]

    def act(self) -> None:
        self.actions[int(self.rng.integers(len(self.actions)))]()

    def candidate(self) -> Any:
        """A candidate that is listed when all is done that was begun; its slice is shown."""
        self.reader.js("station.turn")
        listed = self.reader.js("station.listed")
        chosen = listed[int(self.rng.integers(len(listed)))]
        self.reader.press("Escape")
        self.reader.js("station.choose(station.reading.candidates.get(given))", chosen["number"])
        self.reader.js("station.dropFocus()")
        return chosen

    def around(self, candidate: Any, reach: float, corners: int) -> list[list[float]]:
        _, row, column = candidate["peak_voxel"]
        turn = self.rng.uniform(0, 2 * np.pi) + np.linspace(0, 2 * np.pi, corners, endpoint=False)
        radius = self.rng.uniform(0.6, reach, corners)
        return [[row + r * np.sin(a), column + r * np.cos(a)] for r, a in zip(radius, turn, strict=True)]

    def label(self) -> None:
        self.reader.press("Escape", str(self.rng.integers(7)))

    def click(self) -> None:
        candidate = self.candidate()
        self.reader.press("v")
        self.reader.click(candidate["peak_voxel"])

    def lasso(self) -> None:
        candidate = self.candidate()
        self.reader.press("a")
        self.reader.drag(self.around(candidate, 6, 9))

    def brush(self) -> None:
        candidate = self.candidate()
        self.reader.press("b", "-" if self.rng.random() < 0.5 else "+")
        self.reader.drag(self.around(candidate, 4, 3))

    def erase(self) -> None:
        candidate = self.candidate()
        self.reader.press("e")
        self.reader.drag(self.around(candidate, 3, 3))

    def cut(self) -> None:
        candidate = self.candidate()
        _, row, column = candidate["peak_voxel"]
        away = self.rng.uniform(-4, 4, 2)
        self.reader.press("x")
        self.reader.drag([[row - away[0], column - away[1]], [row + away[0], column + away[1]]])
        self.reader.settle()
        self.reader.press("Escape")  # a line that divides nothing is answered with words

    def undo(self) -> None:
        self.reader.press(*["z"] * int(self.rng.integers(1, 5)))

    def redo(self) -> None:
        self.reader.press(*["Shift+Z"] * int(self.rng.integers(1, 4)))

    def depth(self) -> None:
        self.reader.press(*[str(self.rng.choice(["[", "]"]))] * int(self.rng.integers(1, 7)))

    def noise(self) -> None:
        self.reader.press("k")

    def choose(self) -> None:
        self.reader.press("n" if self.rng.random() < 0.5 else "p", str(self.rng.integers(7)))


def test_random_edits_keep_page_server_and_ctacal_alike(
    browser: "Browser", scratch_room: Room, truth: ScoredStudy
) -> None:
    reader = new_reader(browser, scratch_room.links["cy"])
    for seed in range(6):
        hand = Hand(reader, seed)
        for _ in range(12):
            hand.act()
        assert_agree(reader, truth)
        if seed % 3 == 2:  # what was undone before can be undone after the case is opened anew, too
            reader.page.reload()
            reader.wait_for_case()
            assert_agree(reader, truth)
    assert reader.server_state()["edits"] > 20
    reader.press(*["z"] * int(reader.js("station.reading.undo")))
    reader.settle()
    assert_agree(reader, truth)
    assert not reader.labels().any()
    reader.leave()


def test_two_readers_mark_one_case_and_neither_changes_the_other(
    browser: "Browser", scratch_room: Room, truth: ScoredStudy
) -> None:
    one, two = new_reader(browser, scratch_room.links["di"]), new_reader(browser, scratch_room.links["ed"])
    for label, reader in ((2, one), (4, two), (1, two), (3, one)):
        reader.press("n", str(label))
    for reader in (one, two):
        assert_agree(reader, truth)
    assert set(np.unique(one.labels())) == {0, 2, 3}
    assert set(np.unique(two.labels())) == {0, 1, 4}
    one.leave()
    two.leave()


def test_a_second_tab_of_the_same_reader_takes_over_what_the_first_did(
    browser: "Browser", scratch_room: Room, truth: ScoredStudy
) -> None:
    first = new_reader(browser, scratch_room.links["flo"])
    second = first.another_tab()
    first.press("n", "2")
    first.settle()
    second.press("n", "4")
    second.settle()
    assert "another tab" in second.page.locator("#banner").inner_text()
    second.press("Escape")
    assert_agree(second, truth)
    np.testing.assert_array_equal(second.labels(), first.labels())
    first.leave()


@pytest.fixture
def own_room(tmp_path: Path) -> Iterator[Room]:
    """A server that the test may kill."""
    scan = str(SAMPLES / f"{SAMPLE}.zip")
    with room(tmp_path, "annotate", scan, "--readings", str(tmp_path / "readings"), "--reader", "anna") as running:
        yield running


def test_neither_a_killed_server_nor_a_closed_tab_loses_a_mark(
    browser: "Browser", own_room: Room, truth: ScoredStudy
) -> None:
    reader = new_reader(browser, own_room.links["anna"])
    reader.press("n", "2", "n", "3")
    reader.settle()
    own_room.kill()
    reader.press("n", "4", "n", "6", "z", "n", "1")
    reader.js("station.turn")
    marks = reader.labels()
    assert set(np.unique(marks)) == {0, 1, 3}
    banner = reader.page.locator("#banner")
    banner.wait_for()
    assert "Nothing is lost: 4 marks wait" in banner.inner_text()
    assert reader.page.locator("#saved").inner_text() == "Server away"
    reader.page.close()  # the tab is closed while the server is away
    own_room.start()
    again = Reader(reader.context, own_room.links["anna"])
    np.testing.assert_array_equal(again.labels(), marks)
    assert_agree(again, truth)
    again.leave()


def test_the_page_goes_on_by_itself_when_the_server_is_back(
    browser: "Browser", own_room: Room, truth: ScoredStudy
) -> None:
    reader = new_reader(browser, own_room.links["anna"])
    own_room.kill()
    reader.press("n", "2", "n", "3")
    reader.page.locator("#banner").wait_for()
    own_room.start()
    other = Reader(reader.context, own_room.links["anna"])  # the new link signs the browser in again
    reader.settle()
    reader.page.locator("#banner").wait_for(state="hidden")
    assert_agree(reader, truth)
    assert set(np.unique(reader.labels())) == {0, 2, 3}
    other.page.close()
    reader.leave()


def test_looking_changes_the_view_and_no_mark(browser: "Browser", scratch_room: Room) -> None:
    reader = new_reader(browser, scratch_room.links["gus"])
    _, rows, columns = reader.js("station.reading.shape")
    for key, level, width in (("8", 40, 400), ("9", -600, 1500), ("7", 140, 600)):
        reader.press(key)
        assert reader.js("[station.scene.level, station.scene.width]") == [level, width]
        assert f"W {width} L {level}" in reader.page.locator("#axial-window").inner_text()
    middle = [rows / 2, columns / 2]
    reader.drag([middle, [middle[0] + 10, middle[1] + 20]], button="right")
    level, width = reader.js("[station.scene.level, station.scene.width]")
    assert level > 140 and width > 600
    reader.press("7", "End", "ArrowUp", "ArrowUp", "PageDown")
    heart = reader.js("station.reading.case.volume.heart")
    assert reader.js("station.scene.position[0]") == heart["origin"][0] + 1
    before = reader.js("station.axial.pixelsPerMm")
    reader.page.mouse.move(*reader.point([0, *middle]))
    reader.page.keyboard.down("Control")
    reader.page.mouse.wheel(0, -100)
    reader.page.keyboard.up("Control")
    reader.wait(f"window.ctacal.station.axial.pixelsPerMm > {before}")
    held = reader.point([0, *middle])
    reader.drag([middle, [middle[0] + 5, middle[1] + 5]], button="middle")
    assert np.hypot(*np.subtract(reader.point([0, *middle]), held)) > 20
    reader.press("f")
    assert reader.js("station.axial.pixelsPerMm") == pytest.approx(before)
    assert not reader.labels().any() and reader.js("station.reading.undo") == 0
    reader.leave()


def test_a_distance_is_measured_in_mm(browser: "Browser", scratch_room: Room) -> None:
    reader = new_reader(browser, scratch_room.links["hal"])
    _, row_mm, column_mm = reader.js("station.reading.case.volume.spacing_mm")
    start = [100.0, 110.0]
    reader.press("m")
    reader.drag([start, [start[0] + 20, start[1] + 15]])
    (line,) = reader.js("station.measurements")
    length_mm = np.hypot(*((np.array(line["to"]) - line["from"]) * (row_mm, column_mm)))
    assert length_mm == pytest.approx(np.hypot(20 * row_mm, 15 * column_mm), abs=0.5)
    reader.press("Escape")
    assert reader.js("station.measurements.length") == 0
    reader.leave()


def test_help_lists_every_key_and_each_key_does_something(browser: "Browser", scratch_room: Room) -> None:
    reader = new_reader(browser, scratch_room.links["ivy"])
    reader.press("?")
    shown = reader.page.locator("#help").inner_text()
    actions = reader.page.evaluate("""async () => {
      const { GROUPS } = await import("/page/keys.js");
      return GROUPS.flatMap(({ keys }) => keys).map(({ does, action }) => [does, action]);
    }""")
    assert all(does in shown for does, _ in actions)
    known = reader.page.evaluate("Object.keys(window.ctacal.actions)")
    assert {action for _, action in actions} - {"label"} <= set(known)
    reader.press("Escape")
    assert not reader.page.locator("#help").is_visible()
    reader.leave()


def test_a_signed_reading_is_locked_until_it_is_amended_with_a_reason(
    browser: "Browser", scratch_room: Room, truth: ScoredStudy
) -> None:
    reader = new_reader(browser, scratch_room.links["joy"])
    reader.press("n", "2", "Enter")
    reader.page.locator("#empty").wait_for()
    signed = reader.server_state()
    reader.page.reload()
    reader.wait_for_case()
    reader.press("n", "4")
    assert "amend it first" in reader.page.locator("#banner").inner_text()
    assert reader.score["agatston"] == signed["score"]["agatston"]
    reader.page.locator("#amend").click()
    reader.page.locator("#ask textarea").fill("This plaque is in the right coronary artery")
    reader.page.locator("#ask .primary").click()
    reader.page.locator("#sign").wait_for()
    reader.press("n", "4")
    assert_agree(reader, truth)
    state = reader.server_state()
    assert (state["version"], state["locked"]) == (2, False)
    assert "Version 1: " in reader.page.locator(".versions").inner_text()
    assert state["score"]["agatston"]["per_vessel"]["RCA"] == signed["score"]["agatston"]["per_vessel"]["LAD"] > 0
    reader.leave()
