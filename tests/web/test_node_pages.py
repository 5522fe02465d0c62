"""The pages of a node: what they show in each state, and what their buttons do."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctacal.jobs.node.ledger import DeliveryState, StudyState
from tests.web.node_scene import PATIENT, Scene, Visitor, remove_results, scene, texts


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Scene]:
    there = scene(tmp_path)
    there.live()
    yield there
    there.close()


@pytest.fixture
def anna(node: Scene) -> Visitor:
    return Visitor(node).sign_in()


def shown(visitor: Visitor, path: str) -> str:
    """The text of a page as it is now."""
    visitor.scene.site.overviews.forget()
    answer = visitor.get(path)
    assert answer.status_code == 200, answer.text
    return texts(answer.text)


def test_an_empty_node(anna: Visitor) -> None:
    page = shown(anna, "/")
    assert "Nothing needs attention." in page
    assert "Research use only, not a medical device" in page
    assert "AE title CTACAL, port 11112" in shown(anna, "/list")
    assert "Nothing is held." in shown(anna, "/held")


def test_the_queues(node: Scene, anna: Visitor) -> None:
    node.score(1)
    node.settle(2)
    node.arrive(3)
    page = shown(anna, "/")
    for step in ("Arriving 1", "Waiting to be scored 1", "Being scored 0", "Waiting to be sent 2", "Held 0"):
        assert step in page
    assert re.search(r"PACS 2 \d+ s 0 0 0", page)  # the destination: two wait, none was delivered
    node.deliver()
    node.ledger.claim_study("scorer-1")
    page = shown(anna, "/")
    assert "Being scored 1" in page
    assert "scorer-1" in page
    assert "2 results delivered in the last hour" in re.sub(
        r"results delivered in the last hour (\d+)", r"\1 results delivered in the last hour", page
    )


def test_what_needs_attention_is_on_every_page(node: Scene, anna: Visitor) -> None:
    node.score(1)
    node.hold("refused: status A900")
    node.quarantine(2)
    node.set_aside(3)
    page = shown(anna, "/")
    assert "2 results are held: PACS refuses them" in page
    assert "1 study is in quarantine" in page
    for path in ("/", "/list", "/held", f"/study/{node.uid(1)}"):
        assert "Needs attention 4" in shown(anna, path)
    held = shown(anna, "/held")
    assert "refused: status A900" in held
    assert "its process was killed: memory" in held
    assert f"{node.uid(3)}.1" in held


def test_a_dead_process_and_a_full_disk_are_told(tmp_path: Path) -> None:
    node = scene(tmp_path, disk={"reserve_mb": 10**9, "reserve_percent": 0.0})
    node.live()
    page = shown(Visitor(node).sign_in(), "/")
    assert "Nothing more is received" in page
    node.close()


def test_retry_of_one_of_a_destination_and_of_all(node: Scene, anna: Visitor) -> None:
    for number in range(1, 4):
        node.score(number)
    node.hold("refused")
    page = anna.get("/held").text
    one = re.search(r'data-post="/do/retry" data-key="retry-\d+" data-body="([^"]*)"', page)
    assert one
    body = json.loads(one[1].replace("&#34;", '"'))
    answer = anna.press("/do/retry", body)
    assert (answer.status_code, answer.json()["message"]) == (200, "It is tried again now.")
    assert [row.state for row in node.ledger.deliveries(node.uid(1))].count(DeliveryState.WAITING) == 1
    again = anna.press("/do/retry", body)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "STALE")
    assert anna.press("/do/retry", {"destination": "PACS"}).json()["message"] == "5 results are tried again now."
    assert anna.press("/do/retry").json()["message"] == "Nothing is held any more."
    asked = [record.content["by"] for record in node.ledger.audit.records() if record.content["what"] == "asked"]
    assert asked == ["anna"] * 3


@pytest.mark.parametrize(
    "body",
    [[], {"delivery": "5"}, {"delivery": True}, {"delivery": 1, "destination": "x"}, {"all": 1}, {"destination": 5},
     {"delivery": 2**70}],
)  # fmt: skip
def test_a_button_that_asks_for_nonsense(anna: Visitor, body: object) -> None:
    answer = anna.send("POST", "/do/retry", _OWN, content=json.dumps(body))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "INVALID")


_OWN = {"X-Ctacal": "1", "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}


def test_score_now_and_score_again(node: Scene, anna: Visitor) -> None:
    arriving, done, killed = node.arrive(3), node.score(1), node.quarantine(2)
    assert "Score now" in shown(anna, f"/study/{arriving}")
    assert "now" in anna.press(f"/do/score/{arriving}").json()["message"]
    assert node.ledger.receiving()[0].asked_now
    for uid in (done, killed):
        assert "Score again" in shown(anna, f"/study/{uid}")
        assert anna.press(f"/do/score/{uid}").status_code == 200
        study = node.ledger.study(uid)
        assert study
        assert study.state is StudyState.SETTLED
    assert anna.press("/do/score/1.2.3").status_code == 404


def test_a_study_and_its_result(node: Scene, anna: Visitor) -> None:
    uid = node.score(1, 234.5)
    node.hold("refused: status A900", most=1)
    node.deliver()
    page = shown(anna, f"/study/{uid}")
    for text in (uid, "234.5 Agatston score", "CAC-DRS A2/N1", "HIGH_NOISE", "MAKER Camera 5", "CAMERA@10.1.2.3",
                 "Settled", "Held", "Delivered", "refused: status A900", "networks 0.5.0"):  # fmt: skip
        assert text in page
    report = anna.get(f"/study/{uid}/files/report.html")
    assert (report.status_code, report.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = report.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "script" not in policy
    assert anna.get(f"/study/{uid}/files/montage.png").headers["content-type"] == "image/png"


def test_a_refused_study_says_why(node: Scene, anna: Visitor) -> None:
    uid = node.refuse(1, "MISSING_SLICE", "slices missing: 1, the first between 103 and 109 mm")
    page = shown(anna, f"/study/{uid}")
    assert "MISSING_SLICE. slices missing: 1" in page
    assert "MISSING_SLICE" in shown(anna, "/list?state=REFUSED")


def test_results_whose_files_are_gone(node: Scene, anna: Visitor) -> None:
    uid = node.score(1)
    remove_results(node)
    assert "The files of the result were deleted." in shown(anna, f"/study/{uid}")
    assert anna.get(f"/study/{uid}/files/report.html").status_code == 404


def test_no_page_names_a_patient_unless_the_configuration_says_so(tmp_path: Path) -> None:
    node = scene(tmp_path)
    uid = node.score(1, phi=True)
    anna, program = Visitor(node).sign_in(), Visitor(node).with_token()
    paths = (
        "/",
        "/list",
        "/held",
        f"/study/{uid}",
        f"/study/{uid}/files/report.html",
        f"/study/{uid}/files/result.json",
    )
    for path in paths:
        assert "Canary" not in anna.get(path).text
    for path in ("/api/overview", "/api/studies", f"/api/studies/{uid}", "/api/held", "/metrics"):
        assert "Canary" not in program.get(path).text
    assert anna.get(f"/study/{uid}/files/report.html").status_code == 404
    assert "The report names the patient" in shown(anna, f"/study/{uid}")
    node.close()
    named = scene(tmp_path, http={"patients": True})
    ben = Visitor(named).sign_in()
    assert PATIENT in shown(ben, f"/study/{uid}")
    assert PATIENT in shown(ben, "/list")
    assert PATIENT in ben.get(f"/study/{uid}/files/report.html").text
    named.close()


def test_text_of_others_is_never_markup(node: Scene, anna: Visitor) -> None:
    attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    node.arrive(1, source=f"{attack}@10.0.0.1")
    node.score(2)
    node.hold(attack)
    node.quarantine(3, reason=attack)
    for path in ("/", "/list", "/held", f"/study/{node.uid(1)}", f"/study/{node.uid(2)}", f"/study/{node.uid(3)}"):
        page = anna.get(path).text
        assert "<script>alert" not in page
        assert "<img" not in page
        assert "&lt;script&gt;" in page or path == "/"


def test_the_list_is_paged_filtered_and_searched(node: Scene, anna: Visitor) -> None:
    for number in range(1, 121):
        node.arrive(number)
    node.refuse(200)
    page = anna.get("/list").text
    assert page.count('class="uid-cell"') == 50
    assert node.uid(200) in page
    older = re.search(r'href="(/list\?before=\d+)">Older', page)
    assert older
    second = anna.get(older[1]).text
    assert (second.count('class="uid-cell"'), "Newest" in second) == (50, True)
    assert (node.uid(71) in second, node.uid(72) in second, node.uid(21) in second) == (True, False, False)
    refused = anna.get("/list?state=REFUSED").text
    assert refused.count('class="uid-cell"') == 1
    found = anna.get(f"/list?uid={node.uid(7)}").text
    assert found.count('class="uid-cell"') == 1
    assert "No study has a UID that begins so." in texts(anna.get("/list?uid=9.9").text)


@pytest.mark.parametrize("query", ["state=LOST", "uid=x", "uid=" + "1" * 65, "before=-1", "before=x", "uid=%00"])
def test_queries_that_cannot_be(anna: Visitor, query: str) -> None:
    assert anna.get(f"/list?{query}").status_code == 422


def test_a_study_that_is_unknown(anna: Visitor) -> None:
    answer = anna.get("/study/1.2.3")
    assert (answer.status_code, "does not know this study" in answer.text) == (404, True)


def test_a_ledger_that_does_not_answer_is_a_page_that_says_so(
    node: Scene, anna: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ctacal.jobs.database import DatabaseAway

    def away(*_: object) -> None:
        raise DatabaseAway("the database was away for 5 s")

    monkeypatch.setattr(node.ledger, "study_counts", away)
    node.site.overviews.forget()
    for path in ("/", "/list", "/held", "/study/1.2.3"):
        answer = anna.get(path)
        assert answer.status_code == 503
        assert "was away for 5 s" in answer.text
    program = Visitor(node).with_token()
    assert program.get("/api/overview").status_code == 503
    assert program.get("/metrics").status_code == 503
    assert anna.press("/do/retry").status_code == 200  # what does not need the overview goes on


def test_who_looks_at_objects_set_aside_decides_by_a_button(node: Scene, anna: Visitor) -> None:
    node.set_aside(3)
    page = shown(anna, "/held")
    assert "the first one was deleted after delivery" in page
    assert "Keep the first" in page and "Take the new one" not in page
    body = {"study": node.uid(3), "object": f"{node.uid(3)}.1", "digest": "ab" * 8}
    assert anna.press("/do/aside", body | {"decision": "take"}).status_code == 409
    assert anna.press("/do/aside", body | {"decision": "burn"}).status_code == 422
    assert anna.press("/do/aside", body | {"decision": 1}).status_code == 422
    assert "It was deleted" in anna.press("/do/aside", body | {"decision": "delete"}).json()["message"]
    assert anna.press("/do/aside", body | {"decision": "delete"}).status_code == 404
    assert "Nothing is set aside." in shown(anna, "/held")


def test_a_destination_can_be_tried_now(node: Scene, anna: Visitor) -> None:
    assert "Try now" not in shown(anna, "/")
    node.score(1)
    assert "Try now" in shown(anna, "/")
    said = anna.press("/do/try", {"destination": "PACS"}).json()["message"]
    assert said == "PACS is tried now; 2 results wait for it."
    assert node.ledger.asked_to_try("PACS")
    assert anna.press("/do/try", {"destination": "elsewhere"}).status_code == 404
    assert anna.press("/do/try", {}).status_code == 422


def test_results_of_a_destination_that_is_gone_are_sent_elsewhere_or_given_up_by_a_button(tmp_path: Path) -> None:
    before = scene(tmp_path)
    uids = [before.score(number) for number in (1, 2)]
    before.close()
    node = scene(tmp_path, destination=[{"name": "new", "kind": "folder", "folder": str(tmp_path)}])
    node.live()
    anna = Visitor(node).sign_in()
    assert "4 results are for PACS, which the configuration does not hold any more" in shown(anna, "/")
    assert "Try now" not in shown(anna, "/")
    page = anna.get("/held").text
    buttons = re.findall(r'data-post="/do/give-up" data-key="([^"]*)" data-body="([^"]*)"', page)
    bodies = {key: json.loads(body.replace("&#34;", '"')) for key, body in buttons}
    assert bodies == {
        "to-new-from-PACS": {"destination": "PACS", "to": "new"}, "give-up-PACS": {"destination": "PACS"},
    }  # fmt: skip
    first = node.ledger.deliveries(uids[0])[0]
    one = anna.press("/do/give-up", {"delivery": first.id, "to": "new"})
    assert one.json()["message"] == "1 result is sent to new."
    assert anna.press("/do/give-up", bodies["give-up-PACS"]).json()["message"] == "3 results are given up."
    assert "does not hold any more" not in shown(anna, "/")
    assert [row.destination for row in node.ledger.waiting("new")] == ["new"]
    node.close()


def test_a_held_result_is_given_up_by_a_button(node: Scene, anna: Visitor) -> None:
    node.score(1)
    assert node.hold("refused", most=1) == 1
    (body,) = re.findall(r'data-post="/do/give-up" data-key="[^"]*" data-body="([^"]*)"', anna.get("/held").text)
    answer = anna.press("/do/give-up", json.loads(body.replace("&#34;", '"')))
    assert answer.json()["message"] == "1 result is given up."
    assert "Nothing is held." in shown(anna, "/held")


def test_storage_commitment_that_is_late_is_an_alarm_and_is_shown(tmp_path: Path) -> None:
    node = scene(tmp_path, alarm={"commitment_s": 1e-9})
    node.live()
    anna = Visitor(node).sign_in()
    uid = node.score(1)
    claim = node.ledger.claim_delivery("sender", "PACS")
    assert claim is not None
    assert "None is late." in shown(anna, "/held")
    node.ledger.sent(claim, "1.2.9")
    assert "1 result was sent to PACS, which has not reported on storage commitment" in shown(anna, "/")
    assert "1, 1 late" in shown(anna, "/")
    assert "commitment late" in shown(anna, f"/study/{uid}")
    assert "None is late." not in shown(anna, "/held")
    node.close()


def test_a_study_tells_of_objects_that_came_after_its_originals_were_deleted(node: Scene, anna: Visitor) -> None:
    uid = node.score(1)
    node.deliver()
    (removable,) = node.ledger.removable(last_before="9")
    assert node.ledger.originals_deleted(removable)
    assert "came since" not in shown(anna, f"/study/{uid}")
    node.arrive(1, objects=1)
    page = shown(anna, f"/study/{uid}")
    assert "1 object came since, too few for a new result" in page
    assert "Score again" in page
