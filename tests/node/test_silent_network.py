"""A network that goes silent in the middle of a transfer, without a FIN or RST: no end hears of it."""

import time
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.node.peers import Peer
from tests.node.receiving import STUDY, call, receiving, said, same_data_sets, study, study_folder
from tests.node.running import wait_until
from tests.node.sending import Scene
from tests.node.silence import Silence
from tests.node.stow_peer import StowPeer

pytestmark = pytest.mark.slow
WHOLE = 10**9
"""More than is ever sent."""
OBJECT_BYTES = 2 * 256 * 256
"""Pixels of an image that the tests send; its header has less than 2000 bytes."""


@pytest.mark.parametrize(
    ("there", "back", "kept"),
    [
        (50, WHOLE, 0),  # in the request for the association
        (OBJECT_BYTES // 2, WHOLE, 0),  # in the first object
        (OBJECT_BYTES * 5 // 2, WHOLE, 2),  # in the third
        (WHOLE, 600, 2),  # in an answer, of which each has 170 bytes
    ],
)
def test_what_was_acknowledged_is_kept_the_peer_is_cut_off_and_its_second_try_succeeds(
    tmp_path: Path, there: int, back: int, kept: int
) -> None:
    sent = study_folder(tmp_path / "sent", study(4, side=256))
    with receiving(tmp_path / "store", idle_s=1.0, association_s=1.0) as node:
        with Silence(node.port, there, back).running() as way:
            done = call("storescu", way.port, "-v", "-R", "-ta", "2", "-td", "2", "-ts", "2", sent)
            assert done.returncode != 0
            assert way.silent.is_set()
            wait_until(lambda: not node.receiver._listener.connections(), "the end of the connection", 20.0)
        acknowledged = said_to_be_stored(said(done))
        stored = {path.stem for path in node.store.received(STUDY)}
        assert acknowledged <= stored
        assert len(stored) >= kept
        assert len(stored) < 4
        assert list((node.store.folder / "incoming").iterdir()) == []
        assert call("storescu", node.port, sent).returncode == 0
        assert same_data_sets(sent, node.store)
        assert not node.store.aside()
        wait_until(lambda: node.ledger.objects(STUDY) == 4, "the ledger")


def said_to_be_stored(printed: str) -> set[str]:
    """Return the SOP Instance UIDs of what storescu was told that it is stored."""
    stored, file = set(), ""
    for line in printed.splitlines():
        if "Sending file: " in line:
            file = line.partition("Sending file: ")[2]
        elif "Received Store Response (Success)" in line:
            stored.add(str(dcmread(file).SOPInstanceUID))
    return stored


@pytest.mark.parametrize(
    ("more", "there", "back"),
    [
        (10_000, 50, WHOLE),  # in the request for the association
        (200_000, 100_000, WHOLE),  # in the first object
        (20_000_000, 100_000, WHOLE),  # in the first object, which no buffer of the system holds
        (200_000, 300_000, WHOLE),  # in the second
        (200_000, WHOLE, 400),  # in the answer
    ],
)
def test_a_pacs_that_goes_silent_is_tried_again_and_has_each_object_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int, there: int, back: int
) -> None:
    monkeypatch.setattr("ctacal.node.dicom_out.LEAST_BYTES_PER_S", 1e8)
    with Peer().running() as peer, Silence(peer.port, there, back).running() as way:
        scene = Scene(tmp_path, (peer.destination(timeout_s=1.0) | {"port": way.port},))
        scene.scored(more=more)
        line, began = scene.line(), time.monotonic()
        line.turn()
        assert time.monotonic() - began < 15.0
        assert way.silent.is_set()
        assert "WAITING" in scene.states().values()
        assert scene.ledger.claims() == []
        wait_until(lambda: line.turn() is not None and set(scene.states().values()) == {"DONE"}, "delivery")
    assert set(peer.uids) == {row.sop_instance_uid for row in scene.rows()}
    assert len(peer.uids) <= 3, "what was not answered goes out again, under the same UID; the PACS stores it once"


@pytest.mark.parametrize(
    ("more", "there", "back"), [(200_000, 100_000, WHOLE), (20_000_000, 100_000, WHOLE), (200_000, WHOLE, 10)]
)
def test_a_dicomweb_server_that_goes_silent_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int, there: int, back: int
) -> None:
    monkeypatch.setattr("ctacal.node.stow_out.LEAST_BYTES_PER_S", 1e8)
    with StowPeer().running() as peer, Silence(peer.port, there, back).running() as way:
        destination = peer.destination(timeout_s=1.0) | {"url": f"http://127.0.0.1:{way.port}/dicom-web"}
        scene = Scene(tmp_path, (destination,))
        scene.scored(more=more)
        line, began = scene.line(), time.monotonic()
        line.turn()
        assert time.monotonic() - began < 15.0
        assert set(scene.states().values()) == {"WAITING"}
        wait_until(lambda: line.turn() is not None and set(scene.states().values()) == {"DONE"}, "delivery")
    uids = [row.sop_instance_uid for row in scene.rows()]
    assert all(posted.uids == uids for posted in peer.posted if posted.uids)
