"""Any order of arrivals, claims, deaths and answers leaves the ledger as a simple model says, and nothing stuck."""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ctacal.errors import UsageError
from ctacal.jobs.node.ledger import (
    DeliveryClaim,
    DeliveryState,
    Ledger,
    NewDelivery,
    StudyClaim,
    StudyState,
    open_ledger,
)
from tests.jobs.node.ledgers import IN_MEMORY, Ledgers, no_ledger, outcome, report

STUDIES = st.sampled_from(["1.1", "1.2"])
DESTINATIONS = st.sampled_from(["pacs", "archive"])
MOST_ATTEMPTS = 3
FINISHED = (StudyState.SCORED, StudyState.REFUSED)
WAITS = (DeliveryState.WAITING, DeliveryState.HELD)


@dataclass
class Study:
    """A study as it should be."""

    state: StudyState = StudyState.RECEIVING
    revision: int = 1
    objects: int = 0
    attempts: int = 0
    claim: str = ""
    deleted: int = 0


@dataclass
class Delivery:
    """A delivery as it should be."""

    study: str
    revision: int
    state: DeliveryState = DeliveryState.WAITING
    claim: str = ""
    due: float = 0.0


@dataclass
class Model:
    """What the ledger should hold."""

    studies: dict[str, Study] = field(default_factory=dict)
    deliveries: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    delivered: list[tuple[str, str]] = field(default_factory=list)

    def supersede(self, uid: str) -> None:
        study = self.studies[uid]
        for one in self.deliveries.values():
            older = one.study == uid and study.state in FINISHED and one.revision < study.revision
            if older and one.state in WAITS and not one.claim:
                one.state = DeliveryState.SUPERSEDED


class Steps(RuleBasedStateMachine):
    """The ledger beside its model; workers keep their claims, and may die without a word."""

    where: Path | str = ""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory(dir=IN_MEMORY)
        self.ledgers = Ledgers(self.where or Path(self.folder.name) / "ledger.sqlite")
        self.model = Model()
        self.scorers: list[StudyClaim] = []
        self.senders: list[DeliveryClaim] = []

    @initialize()
    def begin(self) -> None:
        if isinstance(self.ledgers.where, str):
            no_ledger(self.ledgers.where)
        self.ledger: Ledger = self.ledgers()

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.finish_everything()
        self.ledgers.close()
        self.folder.cleanup()

    @rule(uid=STUDIES, objects=st.integers(1, 5))
    def arrive(self, uid: str, objects: int) -> None:
        self.ledger.arrived(uid, objects=objects, source="CAM@10.0.0.1")
        study = self.model.studies.setdefault(uid, Study())
        study.objects += objects
        is_late = study.state is StudyState.SCORED and study.objects < study.deleted
        if study.state is not StudyState.RECEIVING and not is_late:
            self._open_again(study, StudyState.RECEIVING)

    @rule(uid=STUDIES)
    def settle(self, uid: str) -> None:
        arriving = {one.study_uid: one for one in self.ledger.receiving()}
        expected = {key for key, study in self.model.studies.items() if study.state is StudyState.RECEIVING}
        assert set(arriving) == expected
        if uid in arriving:
            self.ledger.still_arriving(uid)
            assert not self.ledger.settle(uid, arriving[uid].activity)
            assert self.ledger.settle(uid, arriving[uid].activity + 1)
            self.model.studies[uid].state, self.model.studies[uid].attempts = StudyState.SETTLED, 0

    @rule()
    def delete_originals(self) -> None:
        open_ = {one.study for one in self.model.deliveries.values() if one.state in (*WAITS, DeliveryState.SENT)}
        expected = {
            uid for uid, study in self.model.studies.items()
            if study.state in FINISHED and study.objects and uid not in open_
        }  # fmt: skip
        removable = self.ledger.removable(last_before="9999")
        assert {one.study_uid for one in removable} == expected
        for one in removable:
            assert self.ledger.originals_deleted(one)
            study = self.model.studies[one.study_uid]
            study.deleted, study.objects = study.deleted or study.objects, 0

    @rule(uid=STUDIES)
    def rescore(self, uid: str) -> None:
        study = self.model.studies.get(uid)
        if study is not None and study.state is not StudyState.RECEIVING and not study.objects:
            with pytest.raises(UsageError, match="originals were deleted"):
                self.ledger.rescore(uid)
            return
        possible = study is not None and study.state is not StudyState.RECEIVING
        assert self.ledger.rescore(uid) == possible
        if study is not None and possible:
            self._open_again(study, StudyState.SETTLED)

    @rule()
    def claim_study(self) -> None:
        free = [one for one in self.model.studies.values() if one.state is StudyState.SETTLED and not one.claim]
        claim = self.ledger.claim_study("scorer")
        assert (claim is not None) == bool(free)
        if claim is not None:
            study = self.model.studies[claim.study_uid]
            study.attempts, study.claim = study.attempts + 1, claim.token
            assert study in free and (claim.revision, claim.attempts) == (study.revision, study.attempts)
            self.scorers.append(claim)

    @precondition(lambda self: self.scorers)
    @rule(data=st.data(), refused=st.booleans(), to=st.sets(DESTINATIONS))
    def score(self, data: st.DataObject, refused: bool, to: set[str]) -> None:
        claim = self._pick(data, self.scorers)
        study = self.model.studies[claim.study_uid]
        holds = study.claim == claim.token
        items = [item for name in sorted(to) for item in self._items(claim.study_uid, study.objects, name)]
        state = StudyState.REFUSED if refused else StudyState.SCORED
        assert self.ledger.scored(claim, outcome(state.value), items) == holds
        if holds:
            self._scored(claim.study_uid, state, items)

    @rule(uid=STUDIES, to=st.sets(DESTINATIONS, min_size=1))
    def come_to_another_result(self, uid: str, to: set[str]) -> None:
        """More objects arrive, and the study is scored without any trouble."""
        self.arrive(uid, 1)
        self.settle(uid)
        while self.model.studies[uid].state is StudyState.SETTLED:
            self.claim_study()
            claim = self.scorers.pop()
            study = self.model.studies[claim.study_uid]
            items = [item for name in sorted(to) for item in self._items(claim.study_uid, study.objects, name)]
            assert self.ledger.scored(claim, outcome(), items)
            self._scored(claim.study_uid, StudyState.SCORED, items)

    @precondition(lambda self: self.scorers)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        claim = self._pick(data, self.scorers)
        study = self.model.studies[claim.study_uid]
        holds = study.claim == claim.token
        assert self.ledger.scoring_failed(claim, "memory", most_attempts=MOST_ATTEMPTS) == holds
        if holds:
            study.claim = ""
            study.state = StudyState.QUARANTINED if claim.attempts >= MOST_ATTEMPTS else StudyState.SETTLED

    @rule(destination=DESTINATIONS)
    def claim_delivery(self, destination: str) -> None:
        due = [
            key
            for key, one in self.model.deliveries.items()
            if key[0] == destination and one.state is DeliveryState.WAITING and not one.claim
            and one.due <= self.ledgers.now and self.model.studies[one.study].state in FINISHED
        ]  # fmt: skip
        claim = self.ledger.claim_delivery("sender", destination)
        assert (claim is not None) == bool(due)
        if claim is not None:
            assert (destination, claim.sop_instance_uid) in due
            self.model.deliveries[destination, claim.sop_instance_uid].claim = claim.token
            self.senders.append(claim)

    @precondition(lambda self: self.senders)
    @rule(data=st.data(), answer=st.sampled_from(["done", "retry", "hold", "sent", "committed", "lost"]))
    def send(self, data: st.DataObject, answer: str) -> None:
        claim = self._pick(data, self.senders)
        one = self.model.deliveries[claim.destination, claim.sop_instance_uid]
        holds = one.claim == claim.token
        assert self._answer(claim, answer) == holds
        if not holds:
            return
        one.claim = ""
        one.state = {
            "done": DeliveryState.DONE, "retry": DeliveryState.WAITING, "hold": DeliveryState.HELD,
            "sent": DeliveryState.SENT, "committed": DeliveryState.SENT, "lost": DeliveryState.SENT,
        }[answer]  # fmt: skip
        if answer == "retry":
            one.due = self.ledgers.now + 30
        uids = [claim.sop_instance_uid]
        if answer == "committed":
            assert self.ledger.committed(claim.token, uids) == 1
            one.state = DeliveryState.DONE
        if answer == "lost":
            assert self.ledger.commitment_failed(claim.token, uids[0], "no such object", due_in_s=0)
            one.state, one.due = DeliveryState.WAITING, self.ledgers.now
        if one.state is DeliveryState.DONE:
            self.model.delivered.append((claim.destination, claim.sop_instance_uid))
        self.model.supersede(one.study)

    @rule()
    def find_the_dead(self) -> None:
        """All workers die without a word; whoever watches takes their claims away, once."""
        self.scorers.clear()
        self.senders.clear()
        for claimed in self.ledger.claims():
            assert self.ledger.free(claimed) and not self.ledger.free(claimed)
        for study in self.model.studies.values():
            study.claim = ""
        for one in self.model.deliveries.values():
            one.claim = ""
        for uid in self.model.studies:
            self.model.supersede(uid)

    @rule()
    def a_person_retries(self) -> None:
        held = [one for one in self.model.deliveries.values() if one.state is DeliveryState.HELD]
        assert self.ledger.retry_held() == len(held)
        for one in held:
            one.state, one.due = DeliveryState.WAITING, 0.0

    @rule(seconds=st.integers(0, 100))
    def time_passes(self, seconds: int) -> None:
        self.ledgers.now += seconds

    @rule()
    def open_again(self) -> None:
        """The node is started again."""
        self.ledger.close()
        open_ledger(self.ledgers.where, "store").close()
        self.ledger = self.ledgers()

    @invariant()
    def the_ledger_is_as_the_model(self) -> None:
        if not hasattr(self, "ledger"):
            return
        for uid, study in self.model.studies.items():
            row = self.ledger.study(uid)
            assert row is not None
            assert (row.state, row.revision, row.objects, row.attempts, row.deleted) == (
                study.state, study.revision, study.objects, study.attempts, study.deleted,
            )  # fmt: skip
            rows = {(one.destination, one.sop_instance_uid): one for one in self.ledger.deliveries(uid)}
            expected = {key: one for key, one in self.model.deliveries.items() if one.study == uid}
            assert {key: (one.state, one.revision) for key, one in rows.items()} == {
                key: (one.state, one.revision) for key, one in expected.items()
            }
        tokens = {one.claim for one in self.model.studies.values()} - {""}
        tokens |= {one.claim for one in self.model.deliveries.values()} - {""}
        assert {claimed.token for claimed in self.ledger.claims()} == tokens
        assert len(self.model.delivered) == len(set(self.model.delivered))

    def finish_everything(self) -> None:
        """Whatever happened, what is left can be finished."""
        self.find_the_dead()
        self.a_person_retries()
        for uid in sorted(self.model.studies):
            self.settle(uid)
            if self.model.studies[uid].state is StudyState.QUARANTINED:
                self.rescore(uid)
        while (claim := self.ledger.claim_study("last")) is not None:
            assert self.ledger.scored(claim, outcome(), self._items(claim.study_uid, 999, "pacs"))
        self.ledgers.now += 3600
        for destination in ("pacs", "archive"):
            while (delivery := self.ledger.claim_delivery("last", destination)) is not None:
                assert self.ledger.done(delivery)
        counts = self.ledger.study_counts()
        assert sum(counts[state] for state in FINISHED) == len(self.model.studies)
        for of_destination in self.ledger.delivery_counts().values():
            assert of_destination[DeliveryState.WAITING] == of_destination[DeliveryState.HELD] == 0
        self.ledger.check()

    def _scored(self, uid: str, state: StudyState, items: list[NewDelivery]) -> None:
        study = self.model.studies[uid]
        study.state, study.claim, study.deleted = state, "", 0
        for item in items:
            self._deliver(uid, study.revision, item)
        self.model.supersede(uid)

    @staticmethod
    def _open_again(study: Study, state: StudyState) -> None:
        study.state, study.revision, study.attempts, study.claim = state, study.revision + 1, 0, ""

    @staticmethod
    def _pick(data: st.DataObject, claims: list[Any]) -> Any:
        return claims.pop(data.draw(st.integers(0, len(claims) - 1)))

    @staticmethod
    def _items(uid: str, objects: int, destination: str) -> list[NewDelivery]:
        """The same content has the same UIDs."""
        return [report(f"{uid}/{objects}{kind}", destination, kind) for kind in ("sr", "seg")]

    def _deliver(self, uid: str, revision: int, item: NewDelivery) -> None:
        key = (item.destination, item.sop_instance_uid)
        one = self.model.deliveries.setdefault(key, Delivery(uid, revision))
        one.revision = revision
        if one.state is DeliveryState.SUPERSEDED:
            one.state, one.due = DeliveryState.WAITING, 0.0

    def _answer(self, claim: DeliveryClaim, answer: str) -> bool:
        if answer == "done":
            return self.ledger.done(claim)
        if answer == "retry":
            return self.ledger.retry(claim, "no answer", 30)
        if answer == "hold":
            return self.ledger.hold(claim, "not taken")
        return self.ledger.sent(claim, claim.token)


def run(where: Path | str, examples: int, steps: int) -> None:
    class Here(Steps):
        pass

    Here.where = where
    run_state_machine_as_test(
        Here, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None,
                                suppress_health_check=[HealthCheck.too_slow])
    )  # fmt: skip


@pytest.mark.slow
def test_any_order_of_steps_in_sqlite() -> None:
    run("", 60, 40)


@pytest.mark.slow
def test_any_order_of_steps_in_postgres(postgres: str) -> None:
    run(postgres, 10, 30)
