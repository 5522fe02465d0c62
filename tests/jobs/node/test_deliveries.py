"""Which files of a result go where, what answers mean, and when a destination is tried again."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from ctacal.errors import UsageError
from ctacal.fields import from_fields
from ctacal.jobs.finders import Finder
from ctacal.jobs.node.config import Destination, NodeConfig
from ctacal.jobs.node.deliveries import (
    DONE,
    Answer,
    Circuit,
    Means,
    backoff_s,
    fallback,
    new_deliveries,
    status_answer,
)
from ctacal.jobs.node.ledger import DeliveryClaim, NewDelivery
from ctacal.jobs.score import Outcome, ScoreJob, score_and_write, tasks_of
from ctacal.study import model_without_file
from tests.dicom_series import ct_series, study_of, write
from tests.jobs.node.ledgers import Ledgers, report
from tests.jobs.node.ledgers import scored as bring_to_its_result
from tests.report.results import LOW_RULE, drawing

KINDS = ("json", "seg", "sr", "sc", "dicompdf", "pdf", "nifti")
PACS = {"name": "PACS", "kind": "dicom", "ae_title": "PACS", "host": "pacs", "port": 104}


def config_of(store: Path, *destinations: Mapping[str, object]) -> NodeConfig:
    return from_fields(NodeConfig, {"store": str(store), "destination": destinations})


def result_in(store: Path, *, gap: bool = False, kinds: tuple[str, ...] = KINDS) -> tuple[Outcome, Path]:
    """Score a study as the node does, into a folder of the store; with a gap it is refused."""
    series = ct_series()
    if gap:
        del series[6]
    job = ScoreJob(finder=Finder(drawing(), model_without_file("drawing")), rule=LOW_RULE, outputs=kinds)
    (task,) = tasks_of(study_of(write(store / "ct", series)), job)
    outcome = score_and_write(task, store / "results" / "1", job)
    return outcome, store / "results" / "1" / outcome.folder


def kinds(deliveries: tuple[NewDelivery, ...]) -> list[str]:
    return [delivery.kind for delivery in deliveries]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome, Path]:
    store = tmp_path_factory.mktemp("store")
    return store, *result_in(store)


def test_each_destination_gets_what_it_is_to_be_sent_and_the_seg_first(scored: tuple[Path, Outcome, Path]) -> None:
    store, outcome, folder = scored
    archive = {"name": "archive", "kind": "folder", "folder": str(store / "archive"), "send": ["pdf", "nifti"]}
    config = config_of(store, PACS | {"send": ["sr", "seg"]}, archive)
    deliveries = new_deliveries(config, outcome, folder)
    assert [(one.destination, one.kind) for one in deliveries] == [
        ("PACS", "seg"), ("PACS", "sr"), ("archive", "nifti"), ("archive", "nifti"), ("archive", "pdf"),
    ]  # fmt: skip
    assert all((store / one.path).is_file() for one in deliveries)
    assert len({one.sop_instance_uid for one in deliveries}) == 5
    assert [bool(one.sop_class_uid) for one in deliveries] == [True, True, False, False, False]
    assert deliveries == new_deliveries(config, outcome, folder.relative_to(store))


def test_a_kind_that_could_not_be_made_gives_way_to_its_fallback(scored: tuple[Path, Outcome, Path]) -> None:
    store, outcome, folder = scored
    wanted = {"send": ["labelmap", "sr"], "fallback": {"labelmap": "seg"}}
    assert kinds(new_deliveries(config_of(store, PACS | wanted), outcome, folder)) == ["seg", "sr"]
    assert kinds(new_deliveries(config_of(store, PACS | {"send": ["labelmap"]}), outcome, folder)) == []


def test_a_refused_study_is_sent_as_a_report_only_where_that_is_wanted(tmp_path: Path) -> None:
    outcome, folder = result_in(tmp_path, gap=True)
    assert outcome.content["status"] == "refused"
    quiet, told = PACS, PACS | {"name": "told", "refusals": ["sc", "dicompdf"]}
    deliveries = new_deliveries(config_of(tmp_path, quiet, told), outcome, folder)
    assert {one.destination for one in deliveries} == {"told"}
    assert {one.sop_class_uid for one in deliveries} == {SecondaryCaptureImageStorage, EncapsulatedPDFStorage}


def claim_of(new: NewDelivery) -> DeliveryClaim:
    fields = {name: getattr(new, name) for name in ("destination", "kind", "path", "sop_class_uid", "sop_instance_uid")}
    return DeliveryClaim(id=1, token="t", study_uid="1.2", revision=1, attempts=1, transaction_uid="", **fields)


def test_a_fallback_is_another_file_of_the_same_result(scored: tuple[Path, Outcome, Path]) -> None:
    store, outcome, folder = scored
    config = config_of(store, PACS | {"fallback": {"seg": "labelmap", "labelmap": "sc", "sr": "dicompdf"}})
    (destination,) = config.destination
    claims = {one.kind: claim_of(one) for one in new_deliveries(config, outcome, folder)}
    instead = fallback(config, destination, claims["seg"])
    assert instead is not None
    assert instead.kind == "sc", "there is no label map"
    assert instead.sop_class_uid == SecondaryCaptureImageStorage
    assert fallback(config, destination, claim_of(instead)) is None


def test_fallbacks_that_lead_back_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'seg' leads back to 'seg'"):
        config_of(tmp_path, PACS | {"fallback": {"seg": "sc", "sc": "seg"}})


@pytest.mark.parametrize(
    ("means", "statuses"),
    [
        (Means.DONE, (0x0000, 0x0111, 0x0001, 0x0107, 0x0116, 0xB000, 0xB006, 0xB007, 0xBFFF)),
        (Means.AGAIN, (0xA700, 0xA7FF, 0x0110, 0x0213)),
        (Means.UNSUITABLE, (0x0122, 0x0118, 0xA800)),
        (Means.HELD, (0xA900, 0xA9FF, 0xC000, 0xCFFF, 0x0117, 0x0124, 0x0210, 0x0211, 0x0212, 0x0106, 0xFE00, 0xFF00)),
    ],
)
def test_what_a_status_means(means: Means, statuses: tuple[int, ...]) -> None:
    for status in statuses:
        answer = status_answer(status)
        assert answer.means is means, f"{status:04X}"
        assert status == 0 or f"status {status:04X}: " in answer.reason
    assert means is not Means.HELD or all("then retry" in status_answer(status).reason for status in statuses)


def destination_of(**fields: object) -> Destination:
    return from_fields(Destination, PACS | fields)


def longest(least: float, most: float) -> float:
    return most


def test_the_wait_doubles_up_to_the_longest_and_never_ends() -> None:
    destination = destination_of(retry_s=30, longest_retry_s=3600)
    waits = [backoff_s(attempts, destination, longest) for attempts in range(1, 10)]
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert backoff_s(10**6, destination, longest) == 3600
    waits = [backoff_s(3, destination) for _ in range(100)]
    assert len(set(waits)) > 90, "jitter"
    assert 90 <= min(waits) <= max(waits) <= 120


class Time:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def circuit(time: Callable[[], float] | None = None) -> Circuit:
    return Circuit(destination_of(retry_s=30, longest_retry_s=100), time or Time(), longest)


AGAIN, DOWN, HELD = (Answer(means) for means in (Means.AGAIN, Means.DOWN, Means.HELD))


def test_while_a_destination_is_down_all_wait_and_the_oldest_stays_due() -> None:
    time = Time()
    state = circuit(time)
    assert (state.down, state.wait_s) == (False, 0)
    for wait_s in (30, 60, 100, 100):
        state.note(DOWN)
        assert (state.down, state.wait_s, state.due_in_s(DOWN, attempts=7)) == (True, wait_s, 0)
        time.now_s += wait_s
        assert state.wait_s == 0
    state.note(DONE)
    assert (state.down, state.wait_s) == (False, 0)
    state.note(DOWN)
    assert state.wait_s == 30


@pytest.mark.parametrize("answer", [DONE, HELD, Answer(Means.UNSUITABLE)])
def test_any_answer_shows_that_it_is_back(answer: Answer) -> None:
    state = circuit()
    state.note(DOWN)
    state.note(answer)
    assert not state.down


def test_one_object_that_does_not_get_through_waits_alone() -> None:
    state = circuit()
    for attempts in (1, 2, 3):
        state.note(AGAIN)
        assert not state.down
        assert state.due_in_s(AGAIN, attempts) == (30, 60, 100)[attempts - 1]
        state.note(DONE)


def test_several_in_a_row_mean_that_the_destination_is_down() -> None:
    state = circuit()
    for _ in range(3):
        assert not state.down
        state.note(AGAIN)
    assert (state.down, state.wait_s) == (True, 30)


def test_a_destination_may_ask_for_more_patience() -> None:
    state = circuit()
    state.note(replace(DOWN, after_s=500))
    assert state.wait_s == 500
    assert state.due_in_s(replace(AGAIN, after_s=500), attempts=1) == 500


def test_what_is_due_of_one_study_can_be_claimed_alone(ledgers: Ledgers) -> None:
    """So that one association takes the objects of one study, in both databases."""
    ledger = ledgers()
    for name in ("1.2", "1.3"):
        bring_to_its_result(ledger, name, report(f"seg {name}", kind="seg"), report(f"sr {name}"))
    first = ledger.claim_delivery("sender", "pacs")
    assert first is not None
    assert first.study_uid == "1.2"
    second = ledger.claim_delivery("sender", "pacs", study_uid="1.2")
    assert second is not None
    assert (second.study_uid, second.kind) == ("1.2", "sr")
    assert ledger.claim_delivery("sender", "pacs", study_uid="1.2") is None
    other = ledger.claim_delivery("sender", "pacs")
    assert other is not None
    assert other.study_uid == "1.3"
