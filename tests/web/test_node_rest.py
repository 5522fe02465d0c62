"""The REST interface, metrics and health of a node, as programs see them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ctacal.jobs.node.ledger import DeliveryState, StudyState
from ctacal.jobs.node.life import SILENT_S, Pulse, Watch, alive_folder
from ctacal.web.health import Health
from tests.web.node_scene import Scene, Visitor, scene


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Scene]:
    there = scene(tmp_path)
    yield there
    there.close()


@pytest.fixture
def program(node: Scene) -> Visitor:
    return Visitor(node).with_token()


def metrics(visitor: Visitor) -> dict[tuple[str, ...], float]:
    """Every number by its name and labels."""
    visitor.scene.site.overviews.forget()
    families = text_string_to_metric_families(visitor.get("/metrics").text)
    return {
        (sample.name.removeprefix("ctacal_node_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def post(program: Visitor, path: str, body: object = None) -> tuple[int, dict[str, object]]:
    answer = program.send("POST", path, content=b"" if body is None else json.dumps(body))
    return answer.status_code, answer.json()


def test_studies_page_by_page(node: Scene, program: Visitor) -> None:
    for number in range(1, 6):
        node.arrive(number)
    first = program.get("/api/studies?limit=2").json()
    second = program.get(f"/api/studies?limit=2&before={first['before']}").json()
    last = program.get(f"/api/studies?limit=2&before={second['before']}").json()
    uids = [study["study_uid"] for page in (first, second, last) for study in page["studies"]]
    assert uids == [node.uid(number) for number in (5, 4, 3, 2, 1)]
    assert last["before"] is None
    assert program.get("/api/studies?state=SCORED").json() == {"studies": [], "before": None}
    assert len(program.get(f"/api/studies?uid={node.uid(3)}").json()["studies"]) == 1
    assert program.get("/api/studies?limit=501").status_code == 422


def test_a_study_with_its_way(node: Scene, program: Visitor) -> None:
    uid = node.score(1)
    node.deliver()
    study = program.get(f"/api/studies/{uid}").json()
    assert (study["state"], study["agatston"], study["category"]) == ("SCORED", 234.5, "101-400")
    assert [delivery["state"] for delivery in study["deliveries"]] == ["DONE", "DONE"]
    steps = [step["what"] for step in study["steps"] if step["what"] != "newest object came"]  # if a moment later
    assert steps == ["first object came", "settled", "scored", "delivered", "delivered"]
    assert program.get("/api/studies/1.2.3").status_code == 404


def test_score_and_retry(node: Scene, program: Visitor) -> None:
    uid = node.arrive(2)
    assert post(program, f"/api/studies/{uid}/score")[0] == 202
    assert node.ledger.receiving()[0].asked_now
    done = node.score(1)
    node.hold("refused")
    held = program.get("/api/held").json()["held"]
    assert [item["reason"] for item in held] == ["refused", "refused"]
    assert program.get(f"/api/deliveries/{held[0]['id']}").json()["state"] == "HELD"
    assert post(program, f"/api/deliveries/{held[0]['id']}/retry") == (200, {"retried": 1})
    assert post(program, f"/api/deliveries/{held[0]['id']}/retry")[0] == 409
    assert post(program, "/api/held/retry", {"destination": "elsewhere"}) == (200, {"retried": 0})
    assert post(program, "/api/held/retry") == (200, {"retried": 1})
    assert [row.state for row in node.ledger.deliveries(done)] == [DeliveryState.WAITING] * 2
    assert post(program, f"/api/studies/{done}/score")[0] == 202
    study = node.ledger.study(done)
    assert study
    assert study.state is StudyState.SETTLED


def test_what_cannot_be_delivered_is_given_up_or_sent_elsewhere(node: Scene, program: Visitor) -> None:
    uid = node.score(1)
    seg, sr = node.ledger.deliveries(uid)
    call = "/api/deliveries/give-up"
    assert post(program, call, {"delivery": seg.id})[0] == 409, "it is sent by itself"
    assert post(program, call, {"destination": "PACS"}) == (200, {"given_up": 0})
    node.hold("refused", most=1)
    assert post(program, call, {"delivery": seg.id, "to": "nowhere"})[0] == 404
    assert post(program, call, {"delivery": seg.id}) == (200, {"given_up": 1})
    assert [row.state for row in node.ledger.deliveries(uid)] == [DeliveryState.SUPERSEDED, DeliveryState.WAITING]
    assert [post(program, call, body)[0] for body in ({}, {"to": "PACS"}, {"delivery": 99})] == [422, 422, 404]
    assert post(program, call, {"delivery": sr.id, "to": 5})[0] == 422
    (asked,) = [r.content for r in node.ledger.audit.records() if r.content.get("delivery") == str(seg.id)]
    assert (asked["what"], asked["wish"], asked["by"]) == ("asked", "give up", "REST")


def test_objects_set_aside_and_a_try_at_once(node: Scene, program: Visitor) -> None:
    node.set_aside(3)
    (one,) = program.get("/api/aside").json()["aside"]
    assert (one["study_uid"], one["first_bytes"], one["bytes"]) == (node.uid(3), None, 1)
    wish = {"study": one["study_uid"], "object": one["sop_instance_uid"], "digest": one["digest"]}
    assert post(program, "/api/aside", wish | {"decision": "take"})[0] == 409
    assert post(program, "/api/aside", wish | {"decision": "keep"})[0] == 200
    assert program.get("/api/aside").json() == {"aside": []}
    node.score(1)
    assert post(program, "/api/destinations/PACS/try") == (202, {"waiting": 2})
    assert post(program, "/api/destinations/elsewhere/try")[0] == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/studies/1.2.3/score", 404), ("/api/deliveries/99/retry", 404), ("/api/deliveries/x/retry", 422),
     ("/api/nothing", 404)],
)  # fmt: skip
def test_what_is_not_there(program: Visitor, path: str, status: int) -> None:
    assert post(program, path)[0] == status


@pytest.mark.parametrize("body", [b"[", b"\xff", b"[1]", b'"x"', b"[" * 100_000])
def test_bodies_that_are_no_wish(program: Visitor, body: bytes) -> None:
    answer = program.send("POST", "/api/held/retry", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "INVALID")


def test_the_overview(node: Scene, program: Visitor) -> None:
    node.live()
    node.quarantine(1)
    node.site.overviews.forget()
    content = program.get("/api/overview").json()
    assert (content["studies"]["QUARANTINED"], content["quarantined"]) == (1, [node.uid(1)])
    assert content["alarms"] == ["1 study is in quarantine: scoring failed too often. The page says why."]


def test_metrics_agree_with_the_ledger_and_hold_no_uid(node: Scene) -> None:
    node.live()
    visitor = Visitor(node)
    node.score(1)
    node.deliver()
    node.score(2)
    node.hold("refused: 1.2.840.10008")
    node.quarantine(3)
    node.settle(4)
    node.arrive(5, source="CAMERA@10.1.2.3")
    found = metrics(visitor)
    assert found["studies", "scored"] == 2
    assert found["studies_to_score",] == 1
    assert found["deliveries", "PACS", "held"] == 2
    assert found["deliveries", "PACS", "done"] == 2
    assert found["part_up", "receiver"] == 1
    assert found["alarms", "held"] == 1
    assert found["disk_free_bytes",] > 0
    text = visitor.get("/metrics").text
    for secret in ("1.2.8", "CAMERA", "10.1.2.3", "refused:"):
        assert secret not in text


def test_counters_count_what_happened_since_the_process_began(node: Scene) -> None:
    node.score(1)
    visitor = Visitor(node)
    assert not [name for name in metrics(visitor) if name[0] == "events_total"]
    node.score(2)
    node.deliver()
    found = metrics(visitor)
    assert (found["events_total", "scored"], found["events_total", "delivered"]) == (1, 4)
    node.refuse(3)
    later = metrics(visitor)
    assert (later["events_total", "scored"], later["events_total", "refused"]) == (1, 1)


def test_healthy_only_if_everything_was_seen_to_live(node: Scene) -> None:
    visitor = Visitor(node)
    before = visitor.get("/healthz")
    assert (before.status_code, before.json()["healthy"]) == (503, False)
    node.live()
    assert visitor.get("/healthz").json() == {"healthy": True, "problems": [], "inputs_failing": 0}
    assert visitor.get("/healthz").status_code == 200


def test_health_says_what_is_wrong(tmp_path: Path) -> None:
    now = [1000.0]
    node = scene(tmp_path)
    folder = alive_folder(node.config.store, node.config.receive.port)
    away = [False]

    def ask() -> None:
        if away[0]:
            from ctacal.jobs.database import DatabaseAway

            raise DatabaseAway("no answer")

    health = Health(Watch(folder, ["receiver", "sender"], lambda: now[0]), ask, node.config.store, lambda: now[0])
    receiver, sender = (Pulse(folder, part, lambda: now[0]) for part in ("receiver", "sender"))

    def go_on(seconds: float, *beating: Pulse) -> list[str]:
        for _ in range(int(seconds)):
            now[0] += 1.1
            for pulse in beating:
                pulse.beat()
            health.look()
            health.ask()
        return health.problems()

    assert health.problems() == ["nothing was looked at yet, or the watch itself hangs"]
    assert go_on(2, receiver, sender) == []
    assert go_on(SILENT_S + 1, receiver) == ["sender does not answer"]
    away[0] = True
    assert go_on(SILENT_S + 1, receiver, sender) == ["the ledger does not answer"]
    away[0] = False
    assert go_on(1, receiver, sender) == []
    now[0] += SILENT_S + 1
    assert health.problems() == ["nothing was looked at yet, or the watch itself hangs"]
    (node.config.store / "alive").rename(node.config.store / "moved")
    (node.config.store / "alive").write_text("no folder")
    assert "the store cannot be written" in " ".join(go_on(1, receiver, sender))
    node.close()
