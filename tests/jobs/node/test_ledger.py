"""The ledger: studies from their first object to their result, deliveries to the answer, the same in both databases."""

from dataclasses import replace

import pytest

from ctacal.errors import UsageError
from ctacal.jobs.database import Database
from ctacal.jobs.node.ledger import UNDELIVERED, DeliveryState, Ledger, StudyState, open_ledger
from tests.jobs.node.ledgers import Ledgers, claimed, outcome, report, scored, settled


def test_a_study_from_its_first_object_to_the_destination(ledgers: Ledgers) -> None:
    ledger = ledgers()
    ledger.arrived("1.2", objects=40, source="CAM@10.0.0.1")
    ledger.arrived("1.2", objects=24, source="PACS@10.0.0.2")
    (arriving,) = ledger.receiving()
    assert (arriving.study_uid, arriving.objects, arriving.asked_now) == ("1.2", 64, False)
    ledger.still_arriving("1.2")
    assert not ledger.settle("1.2", arriving.activity)
    (arriving,) = ledger.receiving()
    assert ledger.settle("1.2", arriving.activity)
    assert ledger.receiving() == []
    claim = claimed(ledger, "scorer-1")
    assert (claim.study_uid, claim.revision, claim.attempts, claim.predecessor) == ("1.2", 1, 1, "")
    assert ledger.claim_study("scorer-2") is None
    assert ledger.beat(claim)
    came_to = outcome(category="1-100", agatston=12.5, facts={"slices": 64})
    assert ledger.scored(claim, came_to, [report("sr"), report("seg", kind="seg")])
    assert not ledger.beat(claim)
    study = ledger.study("1.2")
    assert study is not None
    assert (study.state, study.agatston, study.category, study.facts) == ("SCORED", 12.5, "1-100", {"slices": 64})
    assert study.sources == ("CAM@10.0.0.1", "PACS@10.0.0.2")
    assert study.settled_at == study.scored_at == "2027-01-15T08:00:00.000+00:00"
    first = ledger.claim_delivery("sender", "pacs")
    second = ledger.claim_delivery("sender", "pacs")
    assert first and second and {first.kind, second.kind} == {"sr", "seg"}
    assert ledger.claim_delivery("sender", "pacs") is None
    assert ledger.done(first) and not ledger.done(first)
    assert ledger.sent(second, "9.9")
    assert ledger.committed("9.9", [second.sop_instance_uid, "1.1"]) == 1
    assert ledger.committed("9.9", [second.sop_instance_uid]) == 0
    assert ledger.delivery_counts()["pacs"][DeliveryState.DONE] == 2
    events = [record.content["what"] for record in ledger.audit.records(study_uid="1.2")]
    assert events == ["delivered", "sent", "delivered", "scored", "settled"]
    assert ledger.audit.verify() == ledger.audit.head()


def test_new_objects_open_a_study_again_and_take_the_claim_away(ledgers: Ledgers) -> None:
    ledger, other = ledgers(), ledgers()
    settled(ledger)
    claim = claimed(ledger)
    other.arrived("1.2", objects=1, source="CAM@10.0.0.1")
    assert not ledger.beat(claim)
    assert not ledger.scored(claim, outcome(), [report("sr")])
    assert not ledger.scoring_failed(claim, "too slow", most_attempts=1)
    (arriving,) = ledger.receiving()
    assert (arriving.objects, ledger.objects("1.2"), ledger.objects("1.9")) == (4, 4, 0)
    assert ledger.settle("1.2", arriving.activity)
    again = claimed(ledger)
    assert (again.revision, again.attempts) == (2, 1)
    assert ledger.deliveries("1.2") == []


def test_a_newer_result_supersedes_what_was_not_sent_and_names_what_was(ledgers: Ledgers) -> None:
    ledger = ledgers()
    scored(ledger, "1.2", report("sr1"), report("sr1", "archive"), report("seg1", kind="seg"))
    first = ledger.claim_delivery("sender", "pacs")
    assert first is not None and first.kind == "sr"
    ledger.arrived("1.2", objects=1, source="")
    assert ledger.claim_delivery("sender", "archive") is None  # a newer result is coming
    assert ledger.done(first)  # what was on its way goes on
    (arriving,) = ledger.receiving()
    ledger.settle("1.2", arriving.activity)
    claim = claimed(ledger)
    assert claim.predecessor == "results/sr1"
    assert ledger.scored(claim, outcome(), [report("sr2"), report("sr2", "archive")])
    states = {(row.path, row.destination): row.state for row in ledger.deliveries("1.2")}
    assert states == {
        ("results/sr1", "pacs"): DeliveryState.DONE,
        ("results/sr1", "archive"): DeliveryState.SUPERSEDED,
        ("results/seg1", "pacs"): DeliveryState.SUPERSEDED,
        ("results/sr2", "pacs"): DeliveryState.WAITING,
        ("results/sr2", "archive"): DeliveryState.WAITING,
    }


def test_the_same_object_is_never_sent_twice(ledgers: Ledgers) -> None:
    ledger = ledgers()
    scored(ledger, "1.2", report("sr"), report("seg", kind="seg"))
    sent = ledger.claim_delivery("sender", "pacs")
    assert sent is not None and ledger.done(sent)
    assert ledger.rescore("1.2")
    claim = claimed(ledger)
    assert claim.revision == 2
    assert ledger.scored(claim, outcome(), [report("sr"), report("seg", kind="seg")])
    states = {row.kind: (row.state, row.revision) for row in ledger.deliveries("1.2")}
    assert states == {"sr": (DeliveryState.DONE, 2), "seg": (DeliveryState.WAITING, 2)}
    assert ledger.send_again("1.2") == 1
    assert {row.state for row in ledger.deliveries("1.2")} == {DeliveryState.WAITING}


def test_an_old_result_that_is_on_its_way_is_given_up_when_it_comes_back(ledgers: Ledgers) -> None:
    ledger = ledgers()
    scored(ledger, "1.2", report("sr1"))
    flying = ledger.claim_delivery("sender", "pacs")
    assert flying is not None
    assert ledger.rescore("1.2")
    assert ledger.scored(claimed(ledger), outcome(), [report("sr2")])
    assert ledger.retry(flying, "no answer", 30)
    assert [row.state for row in ledger.deliveries("1.2")] == [DeliveryState.SUPERSEDED, DeliveryState.WAITING]


def test_a_dead_sender_brings_no_old_result_back(ledgers: Ledgers) -> None:
    ledger = ledgers()
    scored(ledger, "1.2", report("sr1"))
    assert ledger.claim_delivery("sender", "pacs") is not None
    ledger.arrived("1.2", objects=1, source="")
    scored(ledger, "1.2", report("sr2"))
    assert [row.state for row in ledger.deliveries("1.2")] == [DeliveryState.WAITING, DeliveryState.WAITING]
    (dead,) = ledger.claims()
    assert ledger.free(dead)
    assert [row.state for row in ledger.deliveries("1.2")] == [DeliveryState.SUPERSEDED, DeliveryState.WAITING]


def test_a_study_that_fails_too_often_is_put_in_quarantine(ledgers: Ledgers) -> None:
    ledger = ledgers()
    settled(ledger)
    assert ledger.scoring_failed(claimed(ledger), "memory", most_attempts=2)
    (dead,) = ledger.claims() if ledger.claim_study("w") else []
    assert ledger.free(dead)
    claim = claimed(ledger)
    assert claim.attempts == 3  # a death counts
    assert ledger.scoring_failed(claim, "memory again\0", most_attempts=2)
    assert ledger.claim_study("w") is None
    study = ledger.study("1.2")
    assert study is not None and (study.state, study.reason) == (StudyState.QUARANTINED, "memory again")
    assert ledger.rescore("1.2")
    assert claimed(ledger).attempts == 1


def test_only_a_claim_that_does_not_beat_is_taken_away(ledgers: Ledgers) -> None:
    ledger, keeper = ledgers(), ledgers()
    scored(ledger, "1.2", report("sr"))
    settled(ledger, "1.3")
    study, delivery = claimed(ledger, "scorer"), ledger.claim_delivery("sender", "pacs")
    assert delivery is not None
    seen = {claim.what: claim for claim in keeper.claims()}
    assert {what: claim.worker for what, claim in seen.items()} == {"study": "scorer", "delivery": "sender"}
    assert ledger.beat(study) and ledger.beat(delivery)
    assert not keeper.free(seen["study"]) and not keeper.free(seen["delivery"])
    seen = {claim.what: claim for claim in keeper.claims()}
    assert keeper.free(seen["study"], counts=False) and keeper.free(seen["delivery"])
    assert not keeper.free(seen["study"])
    assert not ledger.beat(study) and not ledger.done(delivery)
    assert claimed(ledger).attempts == 1
    again = ledger.claim_delivery("sender", "pacs")
    assert again is not None and again.attempts == 2


def test_deliveries_wait_for_their_time_oldest_study_first(ledgers: Ledgers) -> None:
    ledger = ledgers()
    for study_uid in ("1.2", "1.3"):
        scored(ledger, study_uid, report(f"sr{study_uid}"))
    first = ledger.claim_delivery("sender", "pacs")
    assert first is not None and first.study_uid == "1.2" and ledger.retry(first, "no answer", 30)
    second = ledger.claim_delivery("sender", "pacs")
    assert second is not None and second.study_uid == "1.3" and ledger.retry(second, "no answer", 60)
    assert ledger.claim_delivery("sender", "pacs") is None
    assert ledger.next_due_s("pacs") == 30
    ledgers.now += 31
    again = ledger.claim_delivery("sender", "pacs")
    assert again is not None and (again.study_uid, again.attempts) == ("1.2", 2)
    assert ledger.claim_delivery("sender", "pacs") is None
    ledgers.now += 30
    assert ledger.next_due_s("pacs") == 0
    assert ledger.next_due_s("archive") is None


def test_a_clock_that_was_set_back_delays_nothing(ledgers: Ledgers) -> None:
    ledger = ledgers()
    scored(ledger, "1.2", report("sr"))
    claim = ledger.claim_delivery("sender", "pacs")
    assert claim is not None and ledger.retry(claim, "no answer", 3600)
    ledgers.now -= 1800
    assert ledger.claim_delivery("sender", "pacs") is None
    ledgers.now -= 86400
    assert ledger.claim_delivery("sender", "pacs") is not None


def test_what_is_held_waits_for_a_person(ledgers: Ledgers) -> None:
    ledger = ledgers()
    scored(ledger, "1.2", report("sr"), report("sr", "archive"))
    for destination in ("pacs", "archive"):
        claim = ledger.claim_delivery("sender", destination)
        assert claim is not None and ledger.hold(claim, "SOP class not supported")
    assert [(row.destination, row.reason) for row in ledger.held()] == [
        ("archive", "SOP class not supported"), ("pacs", "SOP class not supported"),
    ]  # fmt: skip
    ledgers.now += 10 * 86400
    assert ledger.claim_delivery("sender", "pacs") is None
    assert ledger.retry_held(destination="archive") == 1
    assert ledger.claim_delivery("sender", "archive") is not None
    assert ledger.retry_held(delivery_id=ledger.held()[0].id) == 1
    assert ledger.retry_held() == 0


def test_what_is_held_is_sent_again_from_the_file_of_a_new_result(ledgers: Ledgers) -> None:
    """Its file could not be read, and the advice was to score the study again."""
    ledger = ledgers()
    scored(ledger, "1.2", report("sr"))
    claim = ledger.claim_delivery("sender", "pacs")
    assert claim is not None and ledger.hold(claim, "results/sr cannot be read; score the study again")
    assert ledger.rescore("1.2")
    again = claimed(ledger)
    assert ledger.scored(again, outcome(), [replace(report("sr"), path="results/2/sr")])
    (row,) = ledger.deliveries("1.2")
    assert (row.state, row.path, row.revision, row.reason) == ("WAITING", "results/2/sr", again.revision, "")
    assert ledger.claim_delivery("sender", "pacs") is not None


def test_what_was_sent_counts_as_delivered_where_no_commitment_is_awaited_any_more(ledgers: Ledgers) -> None:
    ledger = ledgers()
    scored(ledger, "1.2", report("sr"), report("seg", kind="seg"), report("sr", "archive"))
    for destination in ("pacs", "archive"):
        claim = ledger.claim_delivery("sender", destination)
        assert claim is not None and ledger.sent(claim, "9.1", ask_again_in_s=600)
    ledgers.now += 601
    assert ledger.claim_uncommitted("a sender that was killed", "pacs") is not None
    assert ledger.await_no_commitment("pacs") == 1
    assert ledger.await_no_commitment("pacs") == 0
    states = {(row.destination, row.kind): row.state for row in ledger.deliveries("1.2")}
    assert states == {("pacs", "sr"): "DONE", ("pacs", "seg"): "WAITING", ("archive", "sr"): "SENT"}
    (record,) = [r.content for r in ledger.audit.records() if r.content["what"].startswith("delivered without")]
    assert (record["destination"], record["deliveries"]) == ("pacs", 1)
    assert ledger.claims() == []


def test_what_is_given_up_keeps_nothing_and_is_sent_again_only_if_scored_again(ledgers: Ledgers) -> None:
    ledger = ledgers()
    scored(ledger, "1.2", report("sr"), report("seg", kind="seg"))
    claim = ledger.claim_delivery("sender", "pacs")
    assert claim is not None and ledger.hold(claim, "refused")
    assert ledger.give_up([DeliveryState.HELD], destination="pacs") == 1
    assert ledger.give_up([DeliveryState.HELD], destination="pacs") == 0
    assert {row.kind: (row.state, row.reason) for row in ledger.deliveries("1.2")} == {
        "sr": ("SUPERSEDED", "given up by a person"), "seg": ("WAITING", ""),
    }  # fmt: skip
    assert not ledger.removable(last_before="2100")
    (waiting,) = ledger.waiting("pacs")
    assert ledger.give_up(list(DeliveryState), delivery_id=waiting.id) == 1
    assert [study.study_uid for study in ledger.removable(last_before="2100")] == ["1.2"]
    assert [r.content["deliveries"] for r in ledger.audit.records() if r.content["what"] == "given up"] == [1, 1]


def test_what_is_sent_elsewhere_waits_there_and_nothing_is_sent_twice(ledgers: Ledgers) -> None:
    """A file that is no DICOM object goes only to where files may go."""
    ledger = ledgers()
    text = replace(report("pdf", "old", "pdf"), sop_class_uid="")
    scored(ledger, "1.2", report("sr", "old"), report("seg", "old", "seg"), report("sr", "new"), text)
    claim = ledger.claim_delivery("sender that was killed", "old")
    assert claim is not None
    assert ledger.redirect(UNDELIVERED, "new", takes_files=False, destination="old") == 2
    rows = {(row.destination, row.kind): row.state for row in ledger.deliveries("1.2")}
    assert rows == {
        ("old", "sr"): "SUPERSEDED", ("new", "seg"): "WAITING", ("new", "sr"): "WAITING", ("old", "pdf"): "WAITING",
    }  # fmt: skip
    assert not ledger.done(claim), "the claim is lost"
    assert ledger.redirect(UNDELIVERED, "new", takes_files=True, destination="old") == 1
    sent = []
    while found := ledger.claim_delivery("sender", "new"):
        sent.append(found.kind)
        assert ledger.done(found)
    assert sorted(sent) == ["pdf", "seg", "sr"]
    assert [study.study_uid for study in ledger.removable(last_before="2100")] == ["1.2"]


def test_another_kind_takes_the_place_of_one_that_is_not_taken(ledgers: Ledgers) -> None:
    ledger = ledgers()
    scored(ledger, "1.2", report("seg", kind="seg"))
    claim = ledger.claim_delivery("sender", "pacs")
    assert claim is not None and ledger.replace(claim, report("sc", kind="sc"), "no SEG")
    assert not ledger.replace(claim, report("sc", kind="sc"), "no SEG")
    assert [(row.kind, row.state) for row in ledger.deliveries("1.2")] == [("seg", "SUPERSEDED"), ("sc", "WAITING")]


def test_commitment_is_asked_for_again_and_may_fail(ledgers: Ledgers) -> None:
    ledger = ledgers()
    scored(ledger, "1.2", report("sr"))
    claim = ledger.claim_delivery("sender", "pacs")
    assert claim is not None and ledger.sent(claim, "9.1", ask_again_in_s=600)
    assert ledger.claim_uncommitted("sender", "pacs") is None
    ledgers.now += 601
    again = ledger.claim_uncommitted("sender", "pacs")
    assert again is not None and again.transaction_uid == "9.1" and ledger.sent(again, "9.2")
    assert ledger.committed("9.1", [claim.sop_instance_uid]) == 0
    assert ledger.commitment_failed("9.2", claim.sop_instance_uid, "0112: no such object", due_in_s=30)
    assert ledger.deliveries("1.2")[0].state == DeliveryState.WAITING
    ledgers.now += 31
    third = ledger.claim_delivery("sender", "pacs")
    assert third is not None and ledger.sent(third, "9.3")
    assert ledger.commitment_failed("9.3", claim.sop_instance_uid, "0122: class not supported", due_in_s=None)
    assert [row.reason for row in ledger.held()] == ["0122: class not supported"]
    assert ledger.committed("", [claim.sop_instance_uid]) == 0


def test_originals_go_only_when_everything_was_delivered(ledgers: Ledgers) -> None:
    ledger = ledgers()
    scored(ledger, "1.2", report("sr"))
    settled(ledger, "1.3")
    later = "2028"
    assert ledger.removable(last_before=later) == []
    claim = ledger.claim_delivery("sender", "pacs")
    assert claim is not None and ledger.done(claim)
    assert ledger.removable(last_before="2026") == []
    (study,) = ledger.removable(last_before=later)
    assert (study.study_uid, study.objects) == ("1.2", 3)
    ledger.arrived("1.2", objects=1, source="")
    assert not ledger.originals_deleted(study)
    (arriving,) = ledger.receiving()
    ledger.settle("1.2", arriving.activity)
    assert ledger.scored(claimed(ledger), outcome(), [])
    (study,) = ledger.removable(last_before=later)
    assert ledger.originals_deleted(study)
    assert ledger.removable(last_before=later) == []
    with pytest.raises(UsageError, match="originals were deleted"):
        ledger.rescore("1.2")


def delete_originals(ledger: Ledger) -> None:
    (study,) = ledger.removable(last_before="2028")
    assert ledger.originals_deleted(study)


def test_a_score_whose_originals_were_deleted_stays_until_as_many_objects_are_there_again(ledgers: Ledgers) -> None:
    ledger = ledgers()
    scored(ledger, "1.2")  # of three objects
    delete_originals(ledger)
    before = ledger.study("1.2")
    assert before is not None and (before.deleted, before.late_objects) == (3, 0)
    ledger.arrived("1.2", objects=1, source="PACS@10.0.0.2")
    assert ledger.found("1.2", objects=2) == 1
    late = ledger.study("1.2")
    assert late is not None and (late.state, late.revision, late.late_objects) == ("SCORED", 1, 2)
    assert [row.study_uid for row in ledger.late()] == ["1.2"]
    assert ledger.receiving() == []
    ledger.arrived("1.2", objects=1, source="PACS@10.0.0.2")
    whole = ledger.study("1.2")
    assert whole is not None and (whole.state, whole.revision, whole.objects) == ("RECEIVING", 2, 3)
    assert ledger.late() == []
    (arriving,) = ledger.receiving()
    assert ledger.settle("1.2", arriving.activity) and ledger.scored(claimed(ledger), outcome(), [])
    ledger.arrived("1.2", objects=1, source="PACS@10.0.0.2")  # nothing was deleted of the new result
    assert ledger.receiving()


def test_late_objects_are_scored_when_a_person_asks_and_go_without_changing_what_the_result_is_of(
    ledgers: Ledgers,
) -> None:
    ledger = ledgers()
    scored(ledger, "1.2")
    delete_originals(ledger)
    ledger.arrived("1.2", objects=1, source="PACS@10.0.0.2")
    delete_originals(ledger)
    ledger.arrived("1.2", objects=2, source="PACS@10.0.0.2")
    late = ledger.study("1.2")
    assert late is not None and (late.state, late.late_objects, late.deleted) == ("SCORED", 2, 3)
    assert ledger.rescore("1.2")
    assert ledger.scored(claimed(ledger), outcome(), [])
    again = ledger.study("1.2")
    assert again is not None and (again.revision, again.deleted, again.late_objects) == (2, 0, 0)


def test_a_refused_study_is_looked_at_again_whatever_comes_after_its_originals_were_deleted(ledgers: Ledgers) -> None:
    ledger = ledgers()
    settled(ledger, "1.2")
    assert ledger.scored(claimed(ledger), outcome("REFUSED"), [])
    delete_originals(ledger)
    ledger.arrived("1.2", objects=1, source="PACS@10.0.0.2")
    assert [one.study_uid for one in ledger.receiving()] == ["1.2"]


def test_somebody_asks_to_score_now(ledgers: Ledgers) -> None:
    ledger = ledgers()
    assert not ledger.score_now("1.2") and not ledger.rescore("1.2")
    ledger.arrived("1.2", objects=1, source="")
    assert ledger.score_now("1.2") and not ledger.rescore("1.2")
    (arriving,) = ledger.receiving()
    assert arriving.asked_now
    assert ledger.settle("1.2", arriving.activity)
    study = ledger.study("1.2")
    assert study is not None and not study.asked_now


def test_two_stores_in_one_database_know_nothing_of_each_other(ledgers: Ledgers) -> None:
    one, other = ledgers("one"), ledgers("other")
    scored(one, "1.2", report("sr"))
    assert other.study("1.2") is None and other.claims() == [] and other.audit.head() is None
    assert other.claim_delivery("sender", "pacs") is None
    scored(other, "1.2", report("sr"))
    assert one.study_counts()[StudyState.SCORED] == other.study_counts()[StudyState.SCORED] == 1


def test_a_ledger_of_a_newer_version_is_refused(ledgers: Ledgers) -> None:
    ledgers().close()
    database = Database(ledgers.where)
    database.write(lambda rows: rows.run("UPDATE node_facts SET value = '99' WHERE name = 'schema'"))
    database.close()
    with pytest.raises(UsageError, match=r"version 99.*update ctacal"):
        open_ledger(ledgers.where, "store")


def test_a_ledger_of_an_older_version_goes_on(ledgers: Ledgers) -> None:
    scored(ledgers(), "1.2", report("sr"))
    database = Database(ledgers.where)
    database.write(lambda rows: rows.run("ALTER TABLE node_deliveries DROP COLUMN sent_at"))
    database.write(lambda rows: rows.run("ALTER TABLE node_studies DROP COLUMN deleted"))
    database.write(lambda rows: rows.run("UPDATE node_facts SET value = '1' WHERE name = 'schema'"))
    database.close()
    ledger = ledgers()
    claim = ledger.claim_delivery("sender", "pacs")
    assert claim is not None
    assert ledger.sent(claim, "1.2.9")
    assert ledger.delivery(claim.id).sent_at == ledger.now()  # type: ignore[union-attr]
    assert ledger.study("1.2").deleted == 0  # type: ignore[union-attr]


def test_what_is_sent_and_not_reported_on_is_late_after_a_time_that_asking_again_does_not_prolong(
    ledgers: Ledgers,
) -> None:
    ledger = ledgers()
    scored(ledger, "1.2", report("sr"))
    claim = ledger.claim_delivery("sender", "pacs")
    assert claim is not None
    assert ledger.sent(claim, "1.2.9", ask_again_in_s=100)
    sent_at = ledger.now()
    ledgers.now += 200
    again = ledger.claim_uncommitted("sender", "pacs")
    assert again is not None
    assert ledger.sent(again, "1.2.10", ask_again_in_s=100)
    assert ledger.uncommitted(sent_at) == [] and ledger.uncommitted_counts(sent_at) == {}
    assert [row.sent_at for row in ledger.uncommitted(ledger.now())] == [sent_at]
    assert ledger.uncommitted_counts(ledger.now()) == {"pacs": 1}
    assert ledger.committed("1.2.10", [again.sop_instance_uid]) == 1
    assert ledger.uncommitted_counts(ledger.now()) == {}


def test_a_study_whose_scorer_died_waits_again_until_it_was_tried_too_often(ledgers: Ledgers) -> None:
    ledger = ledgers()
    settled(ledger)
    for attempt in (1, 2):
        assert claimed(ledger).attempts == attempt
        (seen,) = ledger.claims()
        assert ledger.scorer_died(seen, "it died", most_attempts=2)
        assert not ledger.scorer_died(seen, "it died", most_attempts=2)
    study = ledger.study("1.2")
    assert study and (study.state, study.reason, study.claimed_by) == (StudyState.QUARANTINED, "it died", "")
    events = [record.content["what"] for record in ledger.audit.records(study_uid="1.2")]
    assert events == ["quarantined", "scoring failed", "settled"]


def test_a_worker_that_beat_meanwhile_is_not_dead(ledgers: Ledgers) -> None:
    ledger = ledgers()
    settled(ledger)
    claim = claimed(ledger)
    (seen,) = ledger.claims()
    assert ledger.beat(claim)
    assert not ledger.scorer_died(seen, "it died", most_attempts=1)
    assert ledger.beat(claim)
