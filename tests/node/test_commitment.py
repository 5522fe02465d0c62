"""Whoever asks for storage commitment is told what is stored, and what is not; also after the node was stopped."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association

from ctacal.jobs.node.commitments import CommitmentRequest, answer_to, remember, remembered
from ctacal.jobs.node.config import Destination, Peer
from ctacal.jobs.node.store import Store
from ctacal.node import commitment, receiver
from tests.node.orthanc import orthanc
from tests.node.receiving import (
    STUDY,
    WAIT_S,
    Receiving,
    associated,
    call,
    receiving,
    study,
    study_folder,
    wait_until,
)

pytestmark = pytest.mark.slow
CT, COMMITMENT, INSTANCE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
IMPLICIT = "1.2.840.10008.1.2"
TRANSACTION = "1.2.3.99"
PACS = Destination(name="PACS", kind="dicom", ae_title="PACS", host="127.0.0.1", port=104, commitment=True)


@dataclass
class Camera:
    """A peer that asks, and is told."""

    port: int = 0
    reports: list[tuple[int, Dataset]] = field(default_factory=list)
    told: threading.Event = field(default_factory=threading.Event)
    status: int = 0x0000

    def on_report(self, event: evt.Event) -> tuple[int, Dataset | None]:
        self.reports.append((event.event_type or 0, event.event_information))
        self.told.set()
        return self.status, None

    @property
    def peer(self) -> Peer:
        return Peer(ae_title="CAMERA", host="127.0.0.1", port=self.port)

    @contextmanager
    def listening(self) -> Iterator[None]:
        ae = AE("CAMERA")
        ae.add_supported_context(COMMITMENT, scu_role=True, scp_role=True)
        handlers = [(evt.EVT_N_EVENT_REPORT, self.on_report)]
        server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
        assert server is not None
        self.port = server.server_address[1]
        try:
            yield
        finally:
            server.shutdown()

    @property
    def answer(self) -> tuple[int, list[str], dict[str, int]]:
        """Event type, objects that are stored, and reasons why others are not."""
        assert self.told.wait(WAIT_S)
        ((event_type, information),) = self.reports
        assert information.TransactionUID == TRANSACTION
        stored = [item.ReferencedSOPInstanceUID for item in information.get("ReferencedSOPSequence", [])]
        failed = {
            item.ReferencedSOPInstanceUID: item.FailureReason for item in information.get("FailedSOPSequence", [])
        }
        return event_type, stored, failed


def question(*uids: str, sop_class: str = CT) -> Dataset:
    asked = Dataset()
    asked.TransactionUID, asked.ReferencedSOPSequence = TRANSACTION, []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        asked.ReferencedSOPSequence.append(item)
    return asked


def ask(association: Association, asked: Dataset, action: int = 1) -> int:
    status, _ = association.send_n_action(asked, action, COMMITMENT, INSTANCE)
    return int(status.Status)


def with_study(node: Receiving, folder: Path) -> list[str]:
    """Send a study, and return the UIDs of its objects."""
    images = study(3)
    assert call("storescu", node.port, "-aet", "CAMERA", study_folder(folder, images)).returncode == 0
    return [str(image.SOPInstanceUID) for image in images]


def test_all_that_is_stored_is_reported_on_an_association_of_its_own(tmp_path: Path) -> None:
    camera = Camera()
    with camera.listening(), receiving(tmp_path / "store", peers=[camera.peer]) as node:
        uids = with_study(node, tmp_path / "sent")
        with associated(node.port, (COMMITMENT, IMPLICIT), calling="CAMERA") as association:
            assert ask(association, question(*uids)) == 0x0000
        assert camera.answer == (1, uids, {})
        (record,) = node.await_audit("storage commitment answered")
        assert (record["stored"], record["failed"], record["peer"]) == (3, 0, "CAMERA")
        assert remembered(node.store) == []


@pytest.mark.filterwarnings("ignore:.* UI:UserWarning")  # pydicom warns of such UIDs
def test_what_is_not_stored_is_reported_as_failed(tmp_path: Path) -> None:
    camera = Camera()
    with camera.listening(), receiving(tmp_path / "store", peers=[camera.peer]) as node:
        uids = with_study(node, tmp_path / "sent")
        other = study(1)[0]
        other.PatientID = "other"
        call("storescu", node.port, "-aet", "CAMERA", study_folder(tmp_path / "other", [other]))
        with associated(node.port, (COMMITMENT, IMPLICIT), calling="CAMERA") as association:
            ask(association, question(*uids, "1.2.3.4", "../../id"))
        assert camera.answer == (2, uids[1:], {uids[0]: 0x0110, "1.2.3.4": 0x0112, "../../id": 0x0112})


def test_an_object_of_another_class_is_not_the_one_that_is_meant(tmp_path: Path) -> None:
    camera = Camera()
    with camera.listening(), receiving(tmp_path / "store", peers=[camera.peer]) as node:
        uids = with_study(node, tmp_path / "sent")
        with associated(node.port, (COMMITMENT, IMPLICIT), calling="CAMERA") as association:
            ask(association, question(uids[0], sop_class="1.2.840.10008.5.1.4.1.1.20"))
        assert camera.answer == (2, [], {uids[0]: 0x0119})


def test_a_peer_without_a_host_is_told_on_the_same_association(tmp_path: Path) -> None:
    camera = Camera()
    with receiving(tmp_path / "store") as node:
        uids = with_study(node, tmp_path / "sent")
        with associated(node.port, (COMMITMENT, IMPLICIT), calling="CAMERA") as association:
            association.bind(evt.EVT_N_EVENT_REPORT, camera.on_report)
            assert ask(association, question(*uids)) == 0x0000
            assert camera.answer == (1, uids, {})
            assert association.send_n_action(question(), 7, COMMITMENT, INSTANCE)[0].Status == 0x0123  # it goes on
        node.await_audit("storage commitment answered")


def test_a_peer_without_a_host_that_leaves_cannot_be_told(tmp_path: Path) -> None:
    with receiving(tmp_path / "store") as node:
        with associated(node.port, (COMMITMENT, IMPLICIT), calling="CAMERA") as association:
            assert ask(association, question("1.2.3")) == 0x0000
        (record,) = node.await_audit("storage commitment given up")
        assert "give the peer a host and port" in str(record["reason"])
        assert node.await_audit("association")[0]["outcome"] == "released"
        assert remembered(node.store) == []


def test_a_peer_that_is_away_is_told_when_it_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitment, "_PAUSES_S", (0.1, 0.1))
    camera = Camera()
    with camera.listening():
        pass
    with receiving(tmp_path / "store", peers=[camera.peer]) as node:
        uids = with_study(node, tmp_path / "sent")
        with associated(node.port, (COMMITMENT, IMPLICIT), calling="CAMERA") as association:
            ask(association, question(*uids))
        wait_until(lambda: remembered(node.store), "the request")
    assert len(remembered(Store(tmp_path / "store"))) == 1
    with camera.listening(), receiving(tmp_path / "store", peers=[camera.peer]) as node:  # the node was started again
        assert camera.answer == (1, uids, {})
        wait_until(lambda: not remembered(node.store), "the end of the request")


def test_while_the_store_is_away_nothing_is_called_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitment, "_PAUSES_S", (0.1, 0.1))
    monkeypatch.setattr(commitment, "_FIRST_S", 0.0)
    camera, store, away = Camera(), tmp_path / "store", tmp_path / "away"
    with camera.listening(), receiving(store, peers=[camera.peer]) as node:
        uids = with_study(node, tmp_path / "sent")
        with associated(node.port, (COMMITMENT, IMPLICIT), calling="CAMERA") as association:
            store.rename(away)
            assert ask(association, question(*uids)) == 0x0213  # no resources: ask again later
            away.rename(store)
            monkeypatch.setattr(commitment, "answer_to", fails_once(answer_to))
            assert ask(association, question(*uids)) == 0x0000
        assert camera.answer == (1, uids, {})


def test_a_request_that_meets_a_defect_is_tried_again_and_others_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commitment, "_PAUSES_S", (0.1, 0.1))
    monkeypatch.setattr(commitment, "_FIRST_S", 0.0)
    monkeypatch.setattr(commitment, "answer_to", fails_once(answer_to, KeyError("a defect")))
    camera = Camera()
    with camera.listening(), receiving(tmp_path / "store", peers=[camera.peer]) as node:
        uids = with_study(node, tmp_path / "sent")
        with associated(node.port, (COMMITMENT, IMPLICIT), calling="CAMERA") as association:
            ask(association, question(*uids))
        assert camera.answer == (1, uids, {})


def fails_once(work: Callable[..., Any], problem: Exception | None = None) -> Callable[..., Any]:
    """Return a function that first finds no store, or meets another problem."""
    problems = [problem or FileNotFoundError(2, "the store is not there")]

    def answer(*arguments: Any) -> Any:
        if problems:
            raise problems.pop()
        return work(*arguments)

    return answer


def test_a_peer_that_never_comes_back_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitment, "_PAUSES_S", (0.01, 0.01))
    monkeypatch.setattr(commitment, "_MOST_ATTEMPTS", 2)
    camera = Camera()
    with camera.listening():
        pass
    store = Store(tmp_path / "store")
    remember(store, CommitmentRequest(transaction_uid=TRANSACTION, peer="CAMERA", references=((CT, "1.2.3"),)))
    with receiving(tmp_path / "store", peers=[camera.peer]) as node:
        assert node.await_audit("storage commitment given up")[0]["transaction_uid"] == TRANSACTION
        assert remembered(node.store) == []


def test_a_peer_without_a_host_is_given_up_when_the_node_is_killed_before_the_answer(tmp_path: Path) -> None:
    """The association that asked is gone, and there is no other way to it."""
    store = Store(tmp_path / "store")
    remember(store, CommitmentRequest(transaction_uid=TRANSACTION, peer="CAMERA", references=((CT, "1.2.3"),)))
    with receiving(tmp_path / "store") as node:
        (record,) = node.await_audit("storage commitment given up")
        assert (record["peer"], record["transaction_uid"]) == ("CAMERA", TRANSACTION)
        assert "give the peer a host and port" in str(record["reason"])
        assert remembered(node.store) == []


def test_questions_that_cannot_be_answered(tmp_path: Path) -> None:
    with receiving(tmp_path / "store") as node:
        with associated(node.port, (COMMITMENT, IMPLICIT)) as association:
            without_uid, without_objects = question("1.2.3"), question()
            del without_uid.TransactionUID
            assert ask(association, without_uid) == 0x0114
            assert ask(association, without_objects) == 0x0115
            assert ask(association, question("1.2.3"), action=2) == 0x0123
        assert remembered(node.store) == []
    with (
        receiving(tmp_path / "store", commitment=False, destinations=[PACS]) as node,
        associated(node.port, (COMMITMENT, IMPLICIT)) as association,
    ):
        assert ask(association, question("1.2.3")) == 0x0124


def test_a_destination_may_report_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PACS that commits to results calls by itself; it need not be listed as a peer for that."""
    taken: list[str] = []

    def take_report(ledger: object, information: Dataset) -> int:
        taken.append(str(information.TransactionUID))
        return 0x0000

    monkeypatch.setattr(receiver, "take_report", take_report)
    other = Peer(ae_title="CAMERA")
    with receiving(tmp_path / "store", peers=[other], destinations=[PACS]) as node:
        ae = AE("PACS")
        ae.add_requested_context(COMMITMENT)
        ae.add_requested_context(CT)
        role = build_role(COMMITMENT, scp_role=True)
        association = ae.associate("127.0.0.1", node.port, ae_title="CTACAL", ext_neg=[role])
        assert [str(context.abstract_syntax) for context in association.accepted_contexts] == [COMMITMENT]
        status, _ = association.send_n_event_report(question("1.2.3"), 1, COMMITMENT, INSTANCE)
        association.release()
        assert status.Status == 0x0000
        assert taken == [TRANSACTION]
        assert "Calling AE Title Not Recognized" in call("echoscu", node.port, "-aet", "STRANGER").stderr


def test_orthanc_is_told_that_the_node_has_what_it_sent(tmp_path: Path) -> None:
    """Orthanc sends, asks on an association of its own, and waits for the report at its own port."""
    with orthanc(tmp_path / "pacs") as pacs:
        peer = Peer(ae_title="PACS", host="127.0.0.1", port=pacs.dicom_port)
        with receiving(tmp_path / "store", peers=[peer]) as node:
            modality = {"AET": "CTACAL", "Host": "127.0.0.1", "Port": node.port, "AllowEventReport": True}
            pacs.client.put("/modalities/node", json=modality).raise_for_status()
            for file in study_folder(tmp_path / "sent", study(3)).iterdir():
                pacs.store(file)
            order = {"Resources": pacs.json("/instances"), "StorageCommitment": True, "Synchronous": True}
            job = pacs.client.post("/modalities/node/store", json=order).raise_for_status().json()
            transaction = job["StorageCommitmentTransactionUID"]
            wait_until(
                lambda: pacs.json(f"/storage-commitment/{transaction}")["Status"] != "Pending", "Orthanc's knowledge"
            )
            told = pacs.json(f"/storage-commitment/{transaction}")
            assert (told["Status"], len(told["Success"]), told["Failures"]) == ("Success", 3, [])
            assert len(node.store.received(STUDY)) == 3
