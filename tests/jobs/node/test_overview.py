"""What an overview and the way of a study say of a ledger in every state."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctacal.errors import NotPossible, Problem
from ctacal.jobs.database import DatabaseAway
from ctacal.jobs.node import wishes
from ctacal.jobs.node.ledger import DeliveryState, StudyState
from ctacal.jobs.node.overview import (
    Overviews,
    aside_objects,
    overview,
    overview_json,
    way_json,
    way_of,
)
from ctacal.jobs.node.shown_result import shown_file, shown_result
from ctacal.jobs.node.status import node_status
from tests.web.node_scene import PATIENT, Scene, remove_results, scene


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Scene]:
    there = scene(tmp_path)
    yield there
    there.close()


def test_a_new_node_is_empty(node: Scene) -> None:
    seen = overview(node.ledger, node.config)
    assert (seen.total, seen.to_score, len(seen.being_scored)) == (0, 0, 0)
    assert seen.deliveries == {"PACS": dict.fromkeys(DeliveryState, 0)}  # it is configured, nothing is sent yet
    assert (seen.to_score_since, seen.to_send_since, seen.newest_scored) == ("", {"PACS": ""}, "")
    assert seen.scored_by_hour == (0,) * 24


def test_every_state_is_counted(node: Scene) -> None:
    node.score(1)
    node.deliver()
    node.score(2)
    node.hold("refused: A900", most=1)
    node.refuse(3)
    node.quarantine(4)
    node.settle(5)
    node.settle(6)
    node.ledger.claim_study("scorer-1")
    node.arrive(7)
    seen = overview(node.ledger, node.config)
    assert seen.studies == {
        StudyState.RECEIVING: 1, StudyState.SETTLED: 2, StudyState.SCORED: 2, StudyState.REFUSED: 1,
        StudyState.QUARANTINED: 1,
    }  # fmt: skip
    assert (seen.to_score, [study.study_uid for study in seen.being_scored]) == (1, [node.uid(5)])
    counts = seen.deliveries["PACS"]
    assert (counts[DeliveryState.DONE], counts[DeliveryState.HELD], counts[DeliveryState.WAITING]) == (2, 1, 1)
    assert [(group.destination, group.reason, group.items) for group in seen.held] == [("PACS", "refused: A900", 1)]
    assert [study.study_uid for study in seen.quarantined] == [node.uid(4)]
    assert (seen.hour.received, seen.hour.scored, seen.hour.delivered) == (7, 3, 2)
    assert (sum(seen.scored_by_hour), seen.scored_by_hour[-1] + seen.scored_by_hour[-2]) == (3, 3)
    study = node.ledger.study(node.uid(6))
    assert study
    assert seen.to_score_since == study.last_at
    assert seen.to_send_since["PACS"] == node.ledger.waiting("PACS")[0].created_at
    assert json.loads(json.dumps(overview_json(seen)))["studies"]["SCORED"] == 2


def test_why_results_wait(node: Scene) -> None:
    node.score(1)
    claim = node.ledger.claim_delivery("sender", "PACS")
    assert claim
    assert overview(node.ledger, node.config).to_send_problem == {"PACS": ""}
    assert node.ledger.retry(claim, "no connection: Connection refused", 30)
    assert overview(node.ledger, node.config).to_send_problem == {"PACS": "no connection: Connection refused"}


def test_a_destination_that_left_the_configuration_is_still_shown(node: Scene, tmp_path: Path) -> None:
    node.score(1)
    without = scene(tmp_path, destination=[])
    assert overview(node.ledger, without.config).waiting(DeliveryState.WAITING) == 2


def test_held_items_are_grouped_by_reason_the_largest_group_first(node: Scene) -> None:
    for number in range(1, 4):
        node.score(number)
    node.hold("no context", most=1)
    node.hold("refused: A900")
    groups = overview(node.ledger, node.config).held
    assert [(group.reason, group.items) for group in groups] == [("refused: A900", 5), ("no context", 1)]


def test_the_disk(node: Scene, tmp_path: Path) -> None:
    disk = overview(node.ledger, node.config).disk
    assert disk.accepts
    assert not disk.is_low
    total_mb = disk.total_bytes // 10**6
    full = overview(node.ledger, scene(tmp_path, disk={"reserve_mb": total_mb, "reserve_percent": 0.0}).config).disk
    assert not full.accepts
    free_mb = int(disk.free_bytes / 10**6 * 0.7)
    low = overview(node.ledger, scene(tmp_path, disk={"reserve_mb": free_mb, "reserve_percent": 0.0}).config).disk
    assert (low.accepts, low.is_low) == (True, True)


def test_objects_set_aside(node: Scene) -> None:
    node.set_aside(3)
    node.set_aside(4)
    assert aside_objects(node.config.store) == ((node.uid(3), f"{node.uid(3)}.1"), (node.uid(4), f"{node.uid(4)}.1"))
    assert len(aside_objects(node.config.store, limit=1)) == 1


def test_an_overview_is_kept_for_a_moment_until_something_is_done(node: Scene) -> None:
    now = [0.0]
    overviews = Overviews(node.ledger, node.config, lambda: (), clock=lambda: now[0])
    assert overviews.now().total == 0
    node.arrive(1)
    assert overviews.now().total == 0
    overviews.forget()
    assert overviews.now().total == 1
    node.arrive(2)
    now[0] += 2.5
    assert overviews.now().total == 2


def test_a_ledger_that_is_away_is_waited_for_once_not_by_everybody(
    node: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, asked = [0.0], [0]

    def away(*_: object) -> None:
        asked[0] += 1
        raise DatabaseAway("no answer")

    overviews = Overviews(node.ledger, node.config, lambda: (), clock=lambda: now[0])
    with monkeypatch.context() as patched:
        patched.setattr(node.ledger, "study_counts", away)
        for _ in range(5):
            with pytest.raises(DatabaseAway):
                overviews.now()
    assert asked == [1]
    now[0] += 2.5
    assert overviews.now().total == 0


def test_the_way_of_a_study(node: Scene) -> None:
    uid = node.score(1)
    node.hold("refused: A900", most=1)
    node.deliver()
    way = way_of(node.ledger, uid)
    assert way
    steps = [step.what for step in way.steps if step.what != "newest object came"]  # if a moment after the first
    assert steps == ["first object came", "settled", "scored", "held", "delivered"]
    assert [step.at for step in way.steps] == sorted(step.at for step in way.steps)
    assert [delivery.state for delivery in way.deliveries] == [DeliveryState.HELD, DeliveryState.DONE]
    content = json.loads(json.dumps(way_json(way)))
    assert content["steps"][0]["from"] == "CAMERA@10.1.2.3"
    assert [step.get("reason") for step in content["steps"] if step["what"] == "held"] == ["refused: A900"]
    assert way_of(node.ledger, "1.2.3") is None


def test_studies_are_paged_and_found_by_the_beginning_of_their_uid(node: Scene) -> None:
    for number in range(1, 8):
        node.arrive(number)
    first = node.ledger.studies(limit=3)
    second = node.ledger.studies(limit=3, before=first[-1].number)
    assert [study.study_uid for study in (*first, *second)] == [node.uid(number) for number in (7, 6, 5, 4, 3, 2)]
    assert [study.study_uid for study in node.ledger.studies(uid_begins=node.uid(3))] == [node.uid(3)]
    assert node.ledger.studies(states=(StudyState.SCORED,)) == []


def test_delivery_states_of_a_page(node: Scene) -> None:
    first, second = node.score(1), node.score(2)
    node.ledger.hold(claim, "no") if (claim := node.ledger.claim_delivery("s", "PACS")) else None
    found = node.ledger.delivery_states([first, second, "1.2.3"])
    assert found[first] == {DeliveryState.HELD: 1, DeliveryState.WAITING: 1}
    assert (found[second], "1.2.3" in found) == ({DeliveryState.WAITING: 2}, False)
    assert node.ledger.delivery_states([]) == {}


def test_scoring_by_wish(node: Scene) -> None:
    arriving, done, waiting = node.arrive(3), node.score(1), node.settle(2)
    assert "now" in wishes.score(node.ledger, arriving, by="anna")
    assert node.ledger.receiving()[0].asked_now
    assert wishes.score(node.ledger, done, by="anna") == "It is scored again."
    study = node.ledger.study(done)
    assert study
    assert (study.state, study.revision) == (StudyState.SETTLED, 2)
    assert wishes.score(node.ledger, waiting, by="anna") == "It waits to be scored."
    asked = [record.content for record in node.ledger.audit.records() if record.content["what"] == "asked"]
    assert [(content["by"], content["study_uid"]) for content in asked] == [("anna", done), ("anna", arriving)]
    with pytest.raises(NotPossible) as unknown:
        wishes.score(node.ledger, "1.2.3", by="anna")
    assert unknown.value.problem is Problem.NOT_FOUND


def test_a_study_without_originals_is_not_scored_again(node: Scene) -> None:
    uid = node.score(1)
    node.deliver()
    (removable,) = node.ledger.removable(last_before="9")
    assert node.ledger.originals_deleted(removable)
    with pytest.raises(NotPossible, match="send the study again"):
        wishes.score(node.ledger, uid, by="anna")


def test_objects_that_came_after_the_originals_were_deleted_are_told_and_scored_if_somebody_asks(node: Scene) -> None:
    uid = node.score(1)
    node.deliver()
    (removable,) = node.ledger.removable(last_before="9")
    assert node.ledger.originals_deleted(removable)
    node.arrive(1, objects=2)
    node.ledger.arrived(node.uid(2), objects=2, source="CAM@10.0.0.1")
    seen = overview(node.ledger, node.config)
    assert [study.study_uid for study in seen.late] == overview_json(seen)["late"] == [uid]
    (line,) = [line for line in node_status(node.config).lines if line.startswith(uid)]
    assert f"The {removable.objects} objects that this result was made from were deleted" in line
    assert "2 objects came since" in line
    assert wishes.score(node.ledger, uid, by="anna") == "It is scored again."
    assert overview(node.ledger, node.config).late == ()


def test_retry_by_wish(node: Scene) -> None:
    node.score(1)
    node.score(2)
    node.hold("refused: A900")
    first = node.ledger.held()[0].id
    assert wishes.retry(node.ledger, delivery_id=first, by="anna") == 1
    with pytest.raises(NotPossible) as stale:
        wishes.retry(node.ledger, delivery_id=first, by="anna")
    assert stale.value.problem is Problem.STALE
    with pytest.raises(NotPossible, match="no delivery"):
        wishes.retry(node.ledger, delivery_id=999, by="anna")
    assert wishes.retry(node.ledger, destination="elsewhere", by="anna") == 0
    assert wishes.retry(node.ledger, destination="PACS", by="anna") == 3
    assert wishes.retry(node.ledger, by="anna") == 0


def test_a_shown_result_names_nobody_unless_that_is_wanted(node: Scene) -> None:
    uid = node.score(1, phi=True)
    study = node.ledger.study(uid)
    assert study
    bare = shown_result(node.config.store, study, patients=False)
    named = shown_result(node.config.store, study, patients=True)
    assert bare
    assert named
    assert (bare.withheld, named.withheld) == (True, False)
    assert PATIENT not in repr(bare)
    assert (bare.agatston, bare.links) == (234.5, {"montage.png": "Pictures"})
    assert named.patient == {"Name": PATIENT, "Patient ID": "4711"}
    assert shown_file(node.config.store, study, "report.html", patients=False) is None
    assert shown_file(node.config.store, study, "report.html", patients=True)
    for name in ("result.json", "../report.html", "/etc/passwd", ""):
        assert shown_file(node.config.store, study, name, patients=True) is None


def test_a_result_whose_files_are_gone_is_none(node: Scene) -> None:
    uid = node.score(1)
    remove_results(node)
    study = node.ledger.study(uid)
    assert study
    assert shown_result(node.config.store, study, patients=True) is None
