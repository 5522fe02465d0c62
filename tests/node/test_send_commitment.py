"""Storage commitment: an object is delivered only when the PACS says that it has it for good."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_role, evt

from ctacal.jobs.node.committed import take_report
from ctacal.node.receiver import Receiver
from tests.node.peers import COMMITMENT, COMMITMENT_INSTANCE, Peer, report_here, report_of
from tests.node.running import free_port
from tests.node.sending import Scene

BOTH_SENT = {"seg": "SENT", "sr": "SENT"}
BOTH_DONE = {"seg": "DONE", "sr": "DONE"}


def committing(on_action: Callable[[Peer, evt.Event], None] = lambda peer, event: None, status: int = 0) -> Peer:
    return Peer(commitment=True, on_action=on_action, action_status=status)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let associations wait for reports on a slow machine too; they end as soon as the report is there."""
    monkeypatch.setattr("ctacal.node.dicom_out._REPORT_S", 30.0)


@pytest.mark.usefixtures("patience")
def test_reported_on_the_association_that_asked(tmp_path: Path) -> None:
    with committing(report_here()).running() as peer:
        scene = Scene(tmp_path, (peer.destination(commitment=True),))
        scene.scored()
        scene.line().turn()
        assert scene.states() == BOTH_DONE
    (request,) = peer.requests
    assert [item.ReferencedSOPInstanceUID for item in request.ReferencedSOPSequence] == peer.uids
    assert len(peer.associations) == 1


def test_until_the_report_it_is_only_sent(tmp_path: Path) -> None:
    with committing().running() as peer:
        scene = Scene(tmp_path, (peer.destination(commitment=True),))
        scene.scored()
        line = scene.line()
        line.turn()
        assert scene.states() == BOTH_SENT
        assert not line.turn(), "neither sent again nor asked again before the time"
    (request,) = peer.requests
    assert take_report(scene.ledger, report_of(request)) == 0x0000
    assert scene.states() == BOTH_DONE
    assert take_report(scene.ledger, report_of(request)) == 0x0000, "it may come twice"


def test_reported_to_our_receiver_on_an_association_of_its_own(tmp_path: Path) -> None:
    """As most PACS do: later, to the host and port that are entered there for our AE title."""
    receive = {"host": "127.0.0.1", "port": free_port(), "any_peer": True}
    with committing().running() as peer:
        scene = Scene(tmp_path, (peer.destination(commitment=True),), receive=receive)
        scene.scored()
        with Receiver(scene.config) as receiver:
            scene.line().turn()
            assert scene.states() == BOTH_SENT
            assert report_to(receiver.port, report_of(peer.requests[0])) == 0x0000
            assert scene.states() == BOTH_DONE


def report_to(port: int, report: Dataset, event_type: int = 1) -> int:
    ae = AE("PACS")
    ae.add_requested_context(COMMITMENT)
    association = ae.associate("127.0.0.1", port, ae_title="CTACAL", ext_neg=[build_role(COMMITMENT, scp_role=True)])
    assert association.is_established
    status, _ = association.send_n_event_report(report, event_type, COMMITMENT, COMMITMENT_INSTANCE)
    association.release()
    return int(status.Status)


@pytest.mark.usefixtures("patience")
def test_what_the_pacs_has_not_is_sent_again_under_the_same_uid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctacal.jobs.node.committed.SEND_AGAIN_S", 0.0)

    def lost_at_first(peer: Peer, event: evt.Event) -> None:
        report_here(*(peer.uids[:1] if len(peer.requests) == 1 else []))(peer, event)

    with committing(lost_at_first).running() as peer:
        scene = Scene(tmp_path, (peer.destination(commitment=True),))
        scene.scored()
        line = scene.line()
        line.turn()
        assert scene.states() == {"seg": "WAITING", "sr": "DONE"}
        assert "failure reason 0112: the destination does not have it" in scene.reasons()["seg"]
        line.turn()
        assert scene.states() == BOTH_DONE
    assert peer.uids == [scene.rows()[0].sop_instance_uid, scene.rows()[1].sop_instance_uid, peer.uids[0]]


def test_what_the_pacs_never_commits_is_held(tmp_path: Path) -> None:
    with committing().running() as peer:
        scene = Scene(tmp_path, (peer.destination(commitment=True),))
        scene.scored()
        scene.line().turn()
    take_report(scene.ledger, report_of(peer.requests[0], peer.uids[:1], 0x0122))
    assert scene.states() == {"seg": "HELD", "sr": "DONE"}
    assert "it gives no commitment for objects of this kind" in scene.reasons()["seg"]


def test_asked_again_after_a_time_under_another_transaction(tmp_path: Path) -> None:
    with committing().running() as peer:
        scene = Scene(tmp_path, (peer.destination(commitment=True, commitment_s=0.001),))
        scene.scored()
        line = scene.line()
        line.turn()
        line.turn()
        assert len(peer.requests) == 2
        assert len(peer.received) == 2, "the objects are not sent again"
        assert peer.requests[0].TransactionUID != peer.requests[1].TransactionUID
    take_report(scene.ledger, report_of(peer.requests[1]))
    assert scene.states() == BOTH_DONE


@pytest.mark.parametrize("offered", [False, True], ids=["no context", "status 0112"])
def test_a_pacs_without_commitment_is_told_to_a_person(tmp_path: Path, offered: bool) -> None:
    with (committing(status=0x0112) if offered else Peer()).running() as peer:
        scene = Scene(tmp_path, (peer.destination(commitment=True),))
        scene.scored()
        scene.line().turn()
    assert scene.states() == {"seg": "HELD", "sr": "HELD"}
    assert "offers no storage commitment; enable that there, or set commitment = false" in scene.reasons()["seg"]
    assert len(peer.received) == 2, "they are in the PACS all the same"


@pytest.mark.usefixtures("patience")
def test_a_question_that_fails_for_the_moment_is_asked_again(tmp_path: Path) -> None:
    with committing(status=0x0213).running() as peer:
        scene = Scene(tmp_path, (peer.destination(commitment=True, commitment_s=0.001),))
        scene.scored()
        line = scene.line()
        line.turn()
        assert scene.states() == BOTH_SENT
        peer.action_status, peer.on_action = 0, report_here()
        line.turn()
    assert scene.states() == BOTH_DONE


def test_reports_that_say_nothing_are_refused(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ())
    with closing(scene.ledger):
        assert take_report(scene.ledger, Dataset()) == 0x0115
    unknown = Dataset()
    unknown.TransactionUID = "1.2.3"
    assert take_report(scene.open(), unknown) == 0x0000


def test_what_waits_for_a_report_is_delivered_once_none_is_wanted_any_more(tmp_path: Path) -> None:
    """As docs/node.md advises where reports come late or never."""
    with committing().running() as peer:
        scene = Scene(tmp_path, (peer.destination(commitment=True),))
        scene.scored()
        scene.line().turn()
        assert scene.states() == BOTH_SENT
        scene.destinations = (peer.destination(commitment=False),)
        assert not scene.line().turn(), "nothing is sent again"
        assert scene.states() == BOTH_DONE
    assert len(peer.uids) == 2
