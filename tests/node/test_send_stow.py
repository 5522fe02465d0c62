"""STOW-RS to a DICOMweb server: what each of its answers does to each object."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.node.certificates import new_authority
from tests.node.running import free_port
from tests.node.sending import Scene
from tests.node.stow_peer import Posted, Reply, StowPeer, outcome, stores_all


def sent_to(peer: StowPeer, folder: Path, turns: int = 1, **fields: Any) -> Scene:
    """Score a study, and send it in so many turns."""
    scene = Scene(folder, (peer.destination(**fields),))
    scene.scored()
    line = scene.line()
    for _ in range(turns):
        assert line.turn()
    return scene


def test_the_objects_of_a_study_go_in_one_request_byte_by_byte(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("open sesame\n")
    with StowPeer().running() as peer:
        scene = sent_to(peer, tmp_path / "store", token_file=str(tmp_path / "token"))
    assert scene.states() == {"seg": "DONE", "sr": "DONE"}
    (posted,) = peer.posted
    assert posted.path == "/dicom-web/studies"
    assert posted.headers["Content-Type"].startswith('multipart/related; type="application/dicom"; boundary=')
    assert posted.headers["Accept"] == "application/dicom+json"
    assert posted.headers["Authorization"] == "Bearer open sesame"
    assert posted.parts == tuple((scene.folder / row.path).read_bytes() for row in scene.rows())


def test_a_user_with_a_password(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("sesame\n")
    with StowPeer().running() as peer:
        sent_to(peer, tmp_path / "store", user="ctacal", password_file=str(tmp_path / "password"))
    assert peer.posted[0].headers["Authorization"] == "Basic Y3RhY2FsOnNlc2FtZQ=="


def first_fails(status: int, reason: int) -> Callable[[Posted], Reply]:
    """Answer the first request so that its first object has failed; then store everything."""

    def some_fail(posted: Posted) -> Reply:
        return outcome(status, posted.uids[1:], [(posted.uids[0], reason)])

    answers = [some_fail]
    return lambda posted: (answers.pop() if answers else stores_all)(posted)


def test_each_object_has_its_own_answer(tmp_path: Path) -> None:
    for status, reason, state in ((200, 0xA700, "WAITING"), (202, 0xC000, "HELD"), (409, 0x0110, "WAITING")):
        with StowPeer(first_fails(status, reason)).running() as peer:
            scene = sent_to(peer, tmp_path / str(status))
            assert scene.states() == {"seg": state, "sr": "DONE"}
            assert f"status {reason:04X}" in scene.reasons()["seg"]
            scene.ledger.retry_held()
            while not scene.line().turn():
                pass
        assert scene.states() == {"seg": "DONE", "sr": "DONE"}
        assert [len(posted.parts) for posted in peer.posted] == [2, 1]


def test_a_class_that_is_not_taken_falls_back(tmp_path: Path) -> None:
    with StowPeer(first_fails(202, 0x0122)).running() as peer:
        scene = sent_to(peer, tmp_path, turns=2, fallback={"seg": "sc"})
    assert scene.states() == {"seg": "SUPERSEDED", "sr": "DONE", "sc": "DONE"}


def test_an_answer_that_names_no_object_is_asked_for_each_alone(tmp_path: Path) -> None:
    """Too much at once, or one that is refused: the other must not suffer."""

    def limited(posted: Posted) -> Reply:
        return Reply(413) if len(posted.parts) > 1 else Reply(200)

    with StowPeer(limited).running() as peer:
        scene = sent_to(peer, tmp_path / "large")
    assert scene.states() == {"seg": "DONE", "sr": "DONE"}
    assert [len(posted.parts) for posted in peer.posted] == [2, 1, 1]

    def refuses_one(posted: Posted) -> Reply:
        return Reply(400 if refused in posted.uids else 200)

    with StowPeer(refuses_one).running() as peer:
        scene = Scene(tmp_path / "one", (peer.destination(),))
        scene.scored()
        refused = scene.rows()[0].sop_instance_uid
        scene.line().turn()
    assert scene.states() == {"seg": "HELD", "sr": "DONE"}
    assert "HTTP status 400: it refuses the object; see why in the log" in scene.reasons()["seg"]


def test_what_only_a_person_can_mend_is_held(tmp_path: Path) -> None:
    status = 0
    with StowPeer(lambda posted: Reply(status)).running() as peer:
        scene = Scene(tmp_path, (peer.destination(),))
        for status, words in ((403, "does not allow us"), (404, "correct url"), (301, "correct url")):
            scene.scored(str(status))
            scene.line().turn()
            seg, sr = scene.rows()[-2:]
            assert (seg.state, sr.state) == ("HELD", "HELD")
            assert words in seg.reason


def test_what_passes_is_sent_again(tmp_path: Path) -> None:
    replies: list[Reply] = []
    with StowPeer(lambda posted: replies.pop() if replies else Reply(200)).running() as peer:
        scene = Scene(tmp_path, (peer.destination(),))
        line = scene.line()
        for status in (500, 502, 503, 504, 429, 408, 507):
            replies.append(Reply(status))
            scene.scored(str(status))
            line.turn()
            seg, sr = scene.rows()[-2:]
            assert (seg.state, sr.state) == ("WAITING", "WAITING")
            assert f"HTTP status {status}" in seg.reason
            while scene.rows()[-1].state == "WAITING":
                line.turn()
    assert {str(row.state) for row in scene.rows()} == {"DONE"}


def test_a_token_that_ran_out_may_be_renewed(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")

    def answer(posted: Posted) -> Reply:
        return Reply(200 if posted.headers["Authorization"] == "Bearer new" else 401)

    with StowPeer(answer).running() as peer:
        scene = sent_to(peer, tmp_path / "store", token_file=str(token))
        assert scene.states() == {"seg": "WAITING", "sr": "WAITING"}
        assert "renew the file that holds it" in scene.reasons()["seg"]
        token.unlink()
        scene.line().turn()
        assert f"{token}: No such file" in scene.reasons()["seg"]
        token.write_text("new")
        scene.line().turn()
    assert scene.states() == {"seg": "DONE", "sr": "DONE"}


def test_a_server_that_is_not_there_and_one_that_hangs_up(tmp_path: Path) -> None:
    scene = sent_to(StowPeer(port=free_port()), tmp_path / "nobody")
    assert scene.states() == {"seg": "WAITING", "sr": "WAITING"}
    assert "no connection: [Errno 111] Connection refused" in scene.reasons()["seg"]

    def hang_up(posted: Posted) -> Reply:
        raise ConnectionAbortedError

    with StowPeer(hang_up).running() as peer, pytest.MonkeyPatch.context() as patch:
        patch.setattr("socketserver.BaseServer.handle_error", lambda *_: None)
        scene = sent_to(peer, tmp_path / "rude")
    assert scene.states() == {"seg": "WAITING", "sr": "WAITING"}
    assert "the connection was lost: RemoteProtocolError" in scene.reasons()["seg"]


def test_tls_with_certificates_of_both_ends(tmp_path: Path) -> None:
    authority = new_authority(tmp_path / "certificates")
    client, server = authority.issue("ctacal"), authority.issue("server")
    tls = {name: str(getattr(client, name)) for name in ("authority", "certificate", "key")}
    assert server.certificate is not None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(server.authority))
    context.load_cert_chain(server.certificate, server.key)
    context.verify_mode = ssl.CERT_REQUIRED
    with StowPeer(tls=context).running() as peer:
        assert sent_to(peer, tmp_path / "good", tls=tls).states() == {"seg": "DONE", "sr": "DONE"}
        named = sent_to(peer, tmp_path / "named", tls=tls, tls_name="pacs.example")
        assert "CERTIFICATE_VERIFY_FAILED" in named.reasons()["seg"]
        assert "Hostname mismatch" in named.reasons()["seg"]
        stranger = sent_to(peer, tmp_path / "stranger")
        assert "CERTIFICATE_VERIFY_FAILED" in stranger.reasons()["seg"]
    assert len(peer.posted) == 1
