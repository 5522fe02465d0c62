"""The calls of the page over HTTP: what it asks for, what it gets, and what errors look like."""

import errno
import json
from pathlib import Path

import pytest

from tests.jobs.reader_plans import planned
from tests.reading_scene import CANARY, Clock, names
from tests.web.serving import Browser, site


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    return Browser(site(tmp_path)).sign_in()


def click(content: dict[str, object], number: int, seq: int, **fields: object) -> dict[str, object]:
    voxel = content["candidates"]["items"][number]["peak_voxel"]  # type: ignore[index]
    return {"kind": "click", "voxel": voxel, "label": 2, "seq": seq, "event_id": f"e{seq}", **fields}


def test_a_reading_over_http(browser: Browser) -> None:
    listed = browser.get("/api/worklist?limit=1").json()
    assert (listed["total"], len(listed["items"])) == (2, 1)
    name = listed["items"][0]["id"]
    assert browser.post(f"/api/readings/{name}/prefetch").status_code == 202
    assert browser.get(f"/api/readings/{name}").status_code == 404  # not begun
    content = browser.post(f"/api/readings/{name}/open").json()
    heart = browser.get(f"/api/readings/{name}/volume?part=heart")
    assert heart.headers["content-type"] == "application/octet-stream"
    assert int(heart.headers["content-length"]) == len(heart.content)
    assert len(browser.get(f"/api/readings/{name}/volume").content) == 12 * 40 * 48 * 2
    answer = browser.post(f"/api/readings/{name}/events", click(content, 0, 1)).json()
    assert browser.get(f"/api/readings/{name}").json()["state"]["score"] == answer["score"]
    assert browser.get(f"/api/readings/{name}/candidates").json() == content["candidates"]
    following = browser.get(f"/api/worklist/next?after={name}").json()["id"]
    assert browser.get(f"/api/worklist/previous?before={following}").json()["id"] == name
    assert browser.get("/api/report").json()["readers"][0]["started"] == 1


def test_errors_carry_a_code_a_message_and_the_newer_state(browser: Browser) -> None:
    name = names(browser.site.room)[0]
    content = browser.post(f"/api/readings/{name}/open").json()
    browser.post(f"/api/readings/{name}/events", click(content, 0, 1))
    stale = browser.post(f"/api/readings/{name}/events", click(content, 1, 1, event_id="other"))
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "STALE")
    assert stale.json()["state"]["seq"] == 2
    browser.post(f"/api/readings/{name}/events", {"kind": "sign", "all_marked": True, "seq": 2, "event_id": "s"})
    locked = browser.post(f"/api/readings/{name}/events", click(content, 1, 3))
    assert (locked.status_code, locked.json()["error"]["code"]) == (409, "LOCKED")
    assert browser.get("/api/readings/nothing.annotate").json()["error"]["code"] == "NOT_FOUND"


def test_a_full_disk_is_told(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    name = names(browser.site.room)[0]
    content = browser.post(f"/api/readings/{name}/open").json()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.write", full)
        answer = browser.post(f"/api/readings/{name}/events", click(content, 0, 1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "DISK")
    assert browser.post(f"/api/readings/{name}/events", click(content, 0, 1)).status_code == 200


def test_a_defect_is_an_answer_and_a_line_in_the_log(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ctacal.jobs.reading_room.ReadingRoom.session", lambda *_: 1 / 0)
    answer = browser.get("/api/session")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL")
    assert "ZeroDivisionError" in caplog.text


def test_the_page_is_served(browser: Browser) -> None:
    assert browser.get("/").headers["content-type"] == "text/html; charset=utf-8"
    assert browser.get("/page/main.js").headers["content-type"] == "text/javascript; charset=utf-8"


@pytest.mark.slow
def test_no_answer_to_a_blind_reader_holds_a_canary(tmp_path: Path) -> None:
    """Every call of the server, for a blind reading: bodies and headers are searched for what must not be known."""
    where = planned(tmp_path, Clock())
    there = site(tmp_path, where=where)
    browser = Browser(there).sign_in("anna")
    ben = Browser(there).sign_in("ben")
    name = next(item for item in names(where, "anna") if item.endswith(".first"))
    content = ben.post(f"/api/readings/{name}/open").json()
    ben.post(f"/api/readings/{name}/events", click(content, 1, 1, label=4))
    ben.post(f"/api/readings/{name}/events", {"kind": "sign", "all_marked": True, "seq": 2, "event_id": "s"})
    case = name.split(".")[0]
    opened = browser.post(f"/api/readings/{name}/open")
    answers = [
        opened,
        browser.post(f"/api/readings/{name}/prefetch"),
        browser.post(f"/api/readings/{name}/events", click(opened.json(), 0, 1)),
        browser.post(f"/api/readings/{name}/events", click(opened.json(), 0, 1, event_id="stale")),
        browser.post(f"/api/readings/{name}/events", {"kind": "take", "reader": "A", "seq": 2, "event_id": "t"}),
        browser.post(f"/api/readings/{case}.second/open"),
        browser.post(f"/api/readings/{case}.adjudication-first/open"),
        *(
            browser.get(path)
            for path in (
                "/", "/api/session", "/api/report", "/api/worklist",
                "/api/worklist?text=canary",
                f"/api/worklist/next?after={name}", f"/api/worklist/previous?before={name}", f"/api/readings/{name}",
                f"/api/readings/{name}/candidates", f"/api/readings/{name}/volume?part=heart",
                f"/api/readings/{name}/volume", "/api/adjudications", f"/api/adjudications/{case}?session=first",
            )
        ),
    ]  # fmt: skip
    for answer in answers:
        sent = answer.content + json.dumps(dict(answer.headers)).encode()
        for secret in (CANARY, "1999-09", "199909", "123.25", '"ben"', "model_label", "1.2.9.", "1.2.3."):
            assert secret.encode() not in sent, (answer.request.url, secret)
