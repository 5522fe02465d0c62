"""Nothing is lost and nothing is doubled: a PACS that is away, a sender that is killed, one destination that hangs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ctacal.errors import NotPossible
from ctacal.jobs.node import wishes
from ctacal.jobs.node.ledger import DeliveryState
from tests import places
from tests.node.orthanc import orthanc
from tests.node.peers import Peer, listening
from tests.node.running import free_port, wait_until
from tests.node.sending import Scene


@pytest.mark.slow
def test_orthanc_down_for_thirty_studies_and_back(tmp_path: Path) -> None:
    """All are delivered in order of age, each once, by senders that were started again in between."""
    folder = tmp_path / "orthanc"
    with orthanc(folder) as pacs:
        destination = pacs.destination(retry_s=0.1, longest_retry_s=0.4)
    scene = Scene(tmp_path / "store", (destination,), kinds=("seg", "sr"))
    studies = [scene.scored(str(number)) for number in range(30)]
    for attempts in (2, 4):
        with scene.sending():
            wait_until(lambda least=attempts: scene.rows()[0].attempts > least, "attempts")  # type: ignore[misc]
    assert {str(row.state) for row in scene.rows()} == {"WAITING"}
    assert "no connection: Connection refused" in scene.rows()[0].reason
    assert {row.attempts for row in scene.rows() if row.study_uid in studies[1:]} == {0}
    with orthanc(folder) as pacs, scene.sending():
        wait_until(lambda: scene.ledger.delivery_counts()["PACS"][DeliveryState.DONE] == 60, "all delivered")
        changes = pacs.json("/changes?limit=1000")["Changes"]
        places = [change["Path"] for change in changes if change["ChangeType"] == "NewStudy"]
        arrived = [pacs.json(place)["MainDicomTags"]["StudyInstanceUID"] for place in places]
        instances = pacs.json("/statistics")["CountInstances"]
    assert arrived == studies, "in order of age"
    assert instances == 60


@pytest.mark.slow
def test_killed_between_the_answer_and_the_ledger(tmp_path: Path) -> None:
    """The object is sent again, under the same UID, and ends as delivered."""
    with Peer().running() as peer:
        scene = Scene(tmp_path / "store", (peer.destination(),))
        scene.scored()
        config = tmp_path / "node.toml"
        lines = [f"{name} = {json.dumps(value)}" for name, value in peer.destination().items()]
        config.write_text(f"store = {json.dumps(str(scene.folder))}\n[[destination]]\n" + "\n".join(lines))
        command = [sys.executable, "-m", "tests.node.stopped_sender", str(config)]
        done = subprocess.run(command, cwd=places.ROOT, check=False, timeout=60)
        assert done.returncode == -9
        assert len(peer.received) == 1
        assert scene.states() == {"seg": "WAITING", "sr": "WAITING"}
        assert not scene.line().turn(), "the claim of the dead sender is still open"
        for claimed in scene.ledger.claims():
            assert scene.ledger.free(claimed)
        scene.line().turn()
    assert scene.states() == {"seg": "DONE", "sr": "DONE"}
    seg, sr = (row.sop_instance_uid for row in scene.rows())
    assert peer.uids == [seg, seg, sr]


def test_a_destination_that_hangs_never_holds_up_another(tmp_path: Path) -> None:
    with listening() as silent, Peer().running() as peer:
        hung = peer.destination("hung") | {"port": silent, "timeout_s": 2.0}
        scene = Scene(tmp_path, (hung, peer.destination()))
        scene.scored("first")
        with scene.sending():
            wait_until(lambda: all(row.state == "DONE" for row in scene.rows()), "first study")
            scene.scored("second")
            wait_until(lambda: all(row.state == "DONE" for row in scene.rows()), "second study")
            assert {str(row.state) for row in scene.rows("hung")} == {"WAITING"}
    assert len(set(peer.uids)) == len(peer.uids) == 4


def test_a_claim_beats_while_an_object_is_sent_and_is_given_back_at_the_end(tmp_path: Path) -> None:
    with listening() as silent:
        scene = Scene(tmp_path, (Peer(port=silent).destination(timeout_s=60.0),))
        scene.scored()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ctacal.node.sender._STOP_S", 0.1)
            patch.setattr("ctacal.node.sender.BEAT_S", 0.1)
            with scene.sending():
                wait_until(scene.ledger.claims, "claims")
                wait_until(lambda: min(claim.beat for claim in scene.ledger.claims()) > 3, "beats")
    assert scene.ledger.claims() == []
    assert scene.states() == {"seg": "WAITING", "sr": "WAITING"}


def test_a_person_can_have_a_destination_tried_at_once(tmp_path: Path) -> None:
    """While it is down for an hour by the node's own plan."""
    port = free_port()
    away = Peer(port=port).destination(retry_s=3600.0, longest_retry_s=3600.0)
    scene = Scene(tmp_path, (away,), kinds=("seg", "sr"))
    scene.scored()
    with scene.sending():
        wait_until(lambda: "no connection" in scene.rows()[0].reason, "a failed attempt")
        assert wishes.try_now(scene.ledger, "PACS", scene.config, by="anna") == 2
        wait_until(lambda: scene.rows()[0].attempts == 2, "another attempt, in vain")
        with Peer(port=port).running() as peer:
            wishes.try_now(scene.ledger, "PACS", scene.config, by="anna")
            wait_until(lambda: set(scene.states().values()) == {"DONE"}, "all delivered")
            assert len(peer.uids) == 2
    asked = [record.content for record in scene.ledger.audit.records() if record.content["what"] == "asked"]
    assert [(content["by"], content["wish"]) for content in asked] == [("anna", "try now")] * 2
    with pytest.raises(NotPossible, match="no destination 'elsewhere'"):
        wishes.try_now(scene.ledger, "elsewhere", scene.config, by="anna")
