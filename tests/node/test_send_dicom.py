"""C-STORE to a PACS: what each of its answers does to an object, and how associations are used."""

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import (
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)
from pynetdicom import evt

from tests.node.peers import Answer, Peer, listening
from tests.node.running import free_port
from tests.node.sending import CLASSES, Scene


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer().running() as running:
        yield running


def first_then(first: int, then: int = 0) -> Answer:
    """Answer the first object in another way than all others."""
    answers = iter([first])
    return lambda peer, event: next(answers, then)


def test_a_study_goes_through_one_association_the_seg_first(peer: Peer, tmp_path: Path) -> None:
    scene = Scene(tmp_path, (peer.destination(),))
    study_uid = scene.scored()
    assert scene.line().turn()
    assert scene.states() == {"seg": "DONE", "sr": "DONE"}
    assert [made.Modality for made in peer.received] == ["SEG", "SR"]
    assert peer.uids == [row.sop_instance_uid for row in scene.rows()]
    assert peer.associations == ["CTACAL"]
    for made, row in zip(peer.received, scene.rows(), strict=True):
        assert made == dcmread(tmp_path / row.path), "element by element"
    assert set(peer.used_syntaxes) == {ExplicitVRLittleEndian}, "that of the files"
    assert peer.received[0].StudyInstanceUID == study_uid
    assert not scene.line().turn(), "nothing is left"


def test_two_studies_go_through_two_associations_the_older_first(peer: Peer, tmp_path: Path) -> None:
    scene = Scene(tmp_path, (peer.destination(calling_ae_title="SCORER"),))
    older, newer = scene.scored("older"), scene.scored("newer")
    line = scene.line()
    assert line.turn()
    assert line.turn()
    assert [made.StudyInstanceUID for made in peer.received] == [older, older, newer, newer]
    assert peer.associations == ["SCORER", "SCORER"]


def test_a_pacs_that_takes_implicit_vr_only_gets_it(tmp_path: Path) -> None:
    with Peer(syntaxes=(ImplicitVRLittleEndian,)).running() as peer:
        scene = Scene(tmp_path, (peer.destination(),))
        scene.scored()
        scene.line().turn()
    assert set(peer.used_syntaxes) == {ImplicitVRLittleEndian}
    assert scene.states() == {"seg": "DONE", "sr": "DONE"}


def test_statuses_that_mean_it_is_there(tmp_path: Path) -> None:
    statuses = iter((0x0000, 0xB000, 0xB006, 0xB007, 0x0111, 0x0107))
    with Peer(lambda peer, event: next(statuses)).running() as peer:
        scene = Scene(tmp_path, (peer.destination(),))
        for name in "abc":
            scene.scored(name)
        line = scene.line()
        while line.turn():
            pass
    assert [str(row.state) for row in scene.rows()] == ["DONE"] * 6


def test_statuses_that_may_pass_are_tried_again(tmp_path: Path) -> None:
    for number, status in enumerate((0xA700, 0x0110, 0x0213)):
        with Peer(first_then(status)).running() as peer:
            scene = Scene(tmp_path / str(number), (peer.destination(retry_s=0.001),))
            scene.scored()
            line = scene.line()
            line.turn()
            assert scene.states() == {"seg": "WAITING", "sr": "DONE"}, "one never waits for the other"
            assert f"{status:04X}" in scene.reasons()["seg"]
            while scene.states()["seg"] == "WAITING":
                line.turn()
        assert scene.states() == {"seg": "DONE", "sr": "DONE"}
        assert len(set(peer.uids)) == len(peer.uids) == 2


def test_statuses_that_never_pass_are_held_until_a_person_acts(tmp_path: Path) -> None:
    statuses = (0xA900, 0xC000, 0xC123, 0x0117, 0x0124)
    answers = [status for held in statuses for status in (held, 0)]
    with Peer(lambda peer, event: answers.pop(0) if answers else 0).running() as peer:
        scene = Scene(tmp_path, (peer.destination(),))
        for status in statuses:
            scene.scored(f"{status:04X}")
        line = scene.line()
        while line.turn():
            pass
        assert [str(row.state) for row in scene.rows()] == ["HELD", "DONE"] * 5, "and not tried by itself"
        for row, status in zip(scene.rows()[::2], statuses, strict=True):
            assert f"status {status:04X}: " in row.reason
            assert "then retry" in row.reason
        assert scene.ledger.retry_held() == 5
        while line.turn():
            pass
    assert {str(row.state) for row in scene.rows()} == {"DONE"}
    assert len(set(peer.uids)) == len(peer.uids) == 10


def test_without_an_answer_it_is_tried_again(tmp_path: Path) -> None:
    def cut(peer: Peer, event: evt.Event) -> int:
        if len(peer.associations) == 1:
            event.assoc.abort()
        return 0

    with Peer(cut).running() as peer:
        scene = Scene(tmp_path, (peer.destination(retry_s=0.001),))
        scene.scored()
        line = scene.line()
        line.turn()
        assert scene.states() == {"seg": "WAITING", "sr": "WAITING"}
        assert "no answer to the object" in scene.reasons()["seg"]
        while "WAITING" in scene.states().values():
            line.turn()
    assert scene.states() == {"seg": "DONE", "sr": "DONE"}
    assert len(set(peer.uids)) == 2


def test_what_is_wrong_with_an_address_or_a_certificate_is_told(tmp_path: Path) -> None:
    peer = Peer(port=104)
    nobody = peer.destination() | {"host": "no.such.host.invalid"}
    secure = peer.destination("secure", use_tls=True, tls={"authority": str(tmp_path / "authority.pem")})
    scene = Scene(tmp_path / "store", (nobody, secure))
    scene.scored()
    scene.line().turn()
    scene.line("secure").turn()
    assert "no connection: " in scene.reasons()["seg"]
    assert f"{tmp_path / 'authority.pem'}: No such file" in scene.reasons("secure")["seg"]


def test_a_pacs_that_is_not_there_is_tried_with_the_oldest_only(tmp_path: Path) -> None:
    peer = Peer(port=free_port())
    scene = Scene(tmp_path, (peer.destination(retry_s=0.001, longest_retry_s=0.001),))
    older, newer = scene.scored("older"), scene.scored("newer")
    line = scene.line()
    for _ in range(3):
        while not line.turn():
            pass
    tried = {row.study_uid: row.attempts for row in scene.rows() if row.kind == "seg"}
    assert (tried[older], tried[newer]) == (3, 0)
    assert "no connection: Connection refused" in scene.rows()[0].reason
    with peer.running():
        while any(row.state == "WAITING" for row in scene.rows()):
            line.turn()
    assert [made.StudyInstanceUID for made in peer.received] == [older, older, newer, newer]


@pytest.mark.parametrize(
    ("reject", "state", "words"),
    [
        ((2, 1, 1), "WAITING", "for the moment"),
        ((2, 3, 1), "WAITING", "for the moment"),
        ((1, 3, 2), "WAITING", "for the moment"),
        ((1, 1, 3), "HELD", "does not know our AE title; enter it there"),
        ((1, 1, 7), "HELD", "correct ae_title in the configuration"),
        ((1, 1, 1), "HELD", "gives no reason"),
    ],
)
def test_rejected_associations(tmp_path: Path, reject: tuple[int, int, int], state: str, words: str) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(struct.pack(">BBIBBBB", 3, 0, 4, 0, *reject))  # A-ASSOCIATE-RJ, PS3.8 section 9.3.4
        connections.append(connection)

    connections: list[socket.socket] = []
    with listening(answer) as port:
        scene = Scene(tmp_path, (Peer(port=port).destination(),))
        scene.scored()
        scene.line().turn()
    assert scene.states() == {"seg": state, "sr": state}
    assert words in scene.reasons()["seg"]
    assert len(connections) == 1


FALLBACK = {"seg": "sc", "sr": "dicompdf"}


def test_where_seg_and_sr_are_not_taken_their_fallbacks_are_sent(tmp_path: Path) -> None:
    with Peer(takes=(SecondaryCaptureImageStorage, EncapsulatedPDFStorage)).running() as peer:
        scene = Scene(tmp_path, (peer.destination(fallback=FALLBACK),))
        scene.scored()
        line = scene.line()
        while line.turn():
            pass
        assert scene.states() == {"seg": "SUPERSEDED", "sr": "SUPERSEDED", "sc": "DONE", "dicompdf": "DONE"}
        assert "accepts none of the presentation contexts" in scene.reasons()["seg"]
        assert [made.Modality for made in peer.received] == ["OT", "DOC"]
        scene.scored()
        while line.turn():
            pass
    assert len(peer.received) == 2, "the same result again is not sent again"


def test_a_class_that_is_not_taken_does_not_hold_up_the_others(tmp_path: Path) -> None:
    with Peer(takes=(CLASSES["sr"], CLASSES["sc"])).running() as peer:
        scene = Scene(tmp_path, (peer.destination(fallback=FALLBACK),))
        scene.scored()
        line = scene.line()
        while line.turn():
            pass
    assert scene.states() == {"seg": "SUPERSEDED", "sr": "DONE", "sc": "DONE"}
    assert "no presentation context for Segmentation Storage" in scene.reasons()["seg"]


def test_a_class_may_also_be_refused_by_status(tmp_path: Path) -> None:
    def answer(peer: Peer, event: evt.Event) -> int:
        return 0x0122 if event.request.AffectedSOPClassUID == CLASSES["seg"] else 0

    with Peer(answer).running() as peer:
        scene = Scene(tmp_path, (peer.destination(fallback=FALLBACK),))
        scene.scored()
        line = scene.line()
        while line.turn():
            pass
    assert scene.states() == {"seg": "SUPERSEDED", "sr": "DONE", "sc": "DONE"}


def test_without_a_fallback_it_is_held_with_advice(tmp_path: Path) -> None:
    with Peer(takes=(CLASSES["sr"],)).running() as peer:
        scene = Scene(tmp_path, (peer.destination(),))
        scene.scored()
        scene.line().turn()
    assert scene.states() == {"seg": "HELD", "sr": "DONE"}
    assert "let it take seg, or name another kind under fallback" in scene.reasons()["seg"]


def test_a_pacs_that_never_answers_is_given_up_in_time_and_another_is_served(peer: Peer, tmp_path: Path) -> None:
    with listening() as silent:
        hung = peer.destination("hung") | {"port": silent, "timeout_s": 1}
        scene = Scene(tmp_path, (hung, peer.destination()))
        scene.scored()
        scene.line().turn()
        scene.line("hung").turn()
    assert scene.states("hung") == {"seg": "WAITING", "sr": "WAITING"}
    assert "did not answer within 1 s" in scene.reasons("hung")["seg"]
    assert scene.states() == {"seg": "DONE", "sr": "DONE"}


def test_a_pacs_that_stops_reading_is_given_up_in_time(tmp_path: Path) -> None:
    """It accepts the association, and never reads the object: the connection is full for ever."""

    def accept_and_sleep(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = connection.recv(65536)
        connection.sendall(accepting(request))

    with listening(accept_and_sleep) as port:
        scene = Scene(tmp_path, (Peer(port=port).destination(timeout_s=1, send=["dicompdf"]),))
        scene.scored(more=8_000_000)
        scene.line().turn()
    assert scene.states() == {"dicompdf": "WAITING"}
    assert "no answer to the object" in scene.reasons()["dicompdf"]


def accepting(request: bytes) -> bytes:
    """Return an A-ASSOCIATE-AC that accepts the first two contexts as they stand (PS3.8 section 9.3.3)."""
    header = request[6:74]
    name = b"1.2.840.10008.3.1.1.1"
    application = struct.pack(">BBH", 0x10, 0, len(name)) + name
    contexts = b""
    for context, syntax in ((1, b"1.2.840.10008.1.2.1"), (3, b"1.2.840.10008.1.2")):
        item = struct.pack(">BBH", 0x40, 0, len(syntax)) + syntax
        contexts += struct.pack(">BBHBBBB", 0x21, 0, 4 + len(item), context, 0, 0, 0) + item
    user = struct.pack(">BBHI", 0x51, 0, 4, 16384) + struct.pack(">BBH", 0x52, 0, 3) + b"1.2"
    variable = header + application + contexts + struct.pack(">BBH", 0x50, 0, len(user)) + user
    return struct.pack(">BBI", 2, 0, len(variable)) + variable


def test_a_file_that_is_gone_or_another_is_held(peer: Peer, tmp_path: Path) -> None:
    scene = Scene(tmp_path, (peer.destination(),))
    scene.scored()
    seg, sr = (tmp_path / row.path for row in scene.rows())
    sr.replace(seg)
    scene.line().turn()
    assert scene.states() == {"seg": "HELD", "sr": "HELD"}
    assert "holds another object" in scene.reasons()["seg"]
    assert "cannot be read" in scene.reasons()["sr"]
    assert peer.received == []


def test_a_newer_result_takes_the_place_of_one_that_was_not_sent(peer: Peer, tmp_path: Path) -> None:
    scene = Scene(tmp_path, (peer.destination(),))
    scene.scored()
    scene.scored(more=2)
    line = scene.line()
    while line.turn():
        pass
    assert [str(row.state) for row in scene.rows()] == ["SUPERSEDED", "SUPERSEDED", "DONE", "DONE"]
    assert len(peer.received) == 2
