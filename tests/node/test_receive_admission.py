"""Who is not meant to send is turned away with the reason that DICOM has for it, and leaves a record."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from raw_peer import ECHO, associate_request

from ctacal.errors import UsageError
from ctacal.jobs.node.config import Peer, Tls
from ctacal.jobs.node.store import Store
from ctacal.node.admission import server_context
from tests.node.certificates import Authority, new_authority
from tests.node.receiving import (
    EXPLICIT,
    Receiving,
    associated,
    call,
    receiving,
    said,
    same_data_sets,
    study,
    study_folder,
    wait_until,
)

pytestmark = pytest.mark.slow
CAMERA = Peer(ae_title="CAMERA", addresses=("127.0.0.1", "10.0.0.0/8"))


def rejected(node: Receiving, calling: str, called: str, words: str, reason: str) -> dict[str, object]:
    """Let a peer call, and return the record of its rejection."""
    done = call("echoscu", node.port, "-aet", calling, called=called)
    assert done.returncode != 0
    assert f"Result: {words}" in said(done), said(done)
    assert f"Reason: {reason}" in said(done), said(done)
    return node.await_audit("association rejected")[-1]


def test_a_peer_that_is_listed_may_send(tmp_path: Path) -> None:
    sent = study_folder(tmp_path / "sent", study(3))
    with receiving(tmp_path / "store", peers=[CAMERA]) as node:
        assert call("storescu", node.port, "-aet", "CAMERA", sent).returncode == 0
        assert same_data_sets(sent, node.store)


@pytest.mark.parametrize(
    ("calling", "called", "reason", "why", "codes"),
    [
        ("CAMERA", "OTHER", "Called AE Title Not Recognized", "called AE title", "1-1-7"),
        ("STRANGER", "CTACAL", "Calling AE Title Not Recognized", "calling AE title", "1-1-3"),
        ("ELSEWHERE", "CTACAL", "Calling AE Title Not Recognized", "address", "1-1-3"),
        ("WITHTLS", "CTACAL", "Calling AE Title Not Recognized", "certificate", "1-1-3"),
    ],
)
def test_a_wrong_title_or_address_is_rejected_for_good(
    tmp_path: Path, calling: str, called: str, reason: str, why: str, codes: str
) -> None:
    peers = [
        CAMERA,
        Peer(ae_title="ELSEWHERE", addresses=("10.1.2.3", "192.168.0.0/16")),
        Peer(ae_title="WITHTLS", tls_subject="camera.example"),
    ]
    with receiving(tmp_path / "store", peers=peers) as node:
        record = rejected(node, calling, called, "Rejected Permanent", reason)
        assert why in str(record["reason"])
        assert (record["codes"], record["source"]) == (codes, f"{calling}@127.0.0.1")


def test_below_the_reserve_all_are_rejected_for_the_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(tmp_path / "store") as node:
        monkeypatch.setattr(Store, "has_room", lambda *_, **__: False)
        record = rejected(node, "CAMERA", "CTACAL", "Rejected Transient", "Local Limit Exceeded")
        assert record["codes"] == "2-3-2"
        monkeypatch.undo()
        assert call("echoscu", node.port).returncode == 0


def test_while_the_store_is_away_all_is_refused_for_the_moment(tmp_path: Path) -> None:
    sent = study_folder(tmp_path / "sent", study(2))
    first, second = map(dcmread, sorted(sent.iterdir()))
    with receiving(tmp_path / "store") as node:
        with associated(node.port, (first.SOPClassUID, EXPLICIT)) as association:
            assert association.send_c_store(first).Status == 0x0000
            (tmp_path / "store").rename(tmp_path / "away")
            assert association.send_c_store(second).Status == 0xA700
        done = call("echoscu", node.port)
        assert "Rejected Transient" in said(done) and "Local Limit Exceeded" in said(done)
        assert not (tmp_path / "store").exists(), "a new store where the old one is not mounted"
        (tmp_path / "away").rename(tmp_path / "store")
        assert call("storescu", node.port, sent).returncode == 0
        assert same_data_sets(sent, node.store)
        (record,) = node.await_audit("association rejected")
        assert (record["codes"], "the store cannot be reached" in record["reason"]) == ("2-3-2", True)


@pytest.mark.parametrize(("in_all", "per_address"), [(64, 2), (2, 16)])
def test_too_many_associations_are_rejected_for_the_moment(tmp_path: Path, in_all: int, per_address: int) -> None:
    with receiving(tmp_path / "store", most_associations=in_all, most_per_address=per_address) as node:
        with open_associations(node, 2):
            record = rejected(node, "CAMERA", "CTACAL", "Rejected Transient", "Local Limit Exceeded")
            assert (record["reason"], record["codes"]) == ("too many associations", "2-3-2")
        wait_until(lambda: call("echoscu", node.port).returncode == 0, "a free place")


@contextmanager
def open_associations(node: Receiving, number: int) -> Iterator[None]:
    """Hold associations open."""
    sockets = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(number)]
    try:
        for each in sockets:
            each.sendall(associate_request(ECHO))
            assert each.recv(1) == b"\2"  # accepted
        yield
    finally:
        for each in sockets:
            each.close()


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (associate_request(ECHO, application_context=b"1.2.3"), b"\3\0\0\0\0\4\0\1\1\2"),
        (associate_request(ECHO, version=2), b"\3\0\0\0\0\4\0\1\2\2"),
        (b"\1\0\0\0\0\x50" + b"\xff" * 80, b"\3\0\0\0\0\4\0\1\2\1"),
        (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", b""),
        (b"\1\0\xff\xff\xff\xff" + bytes(1000), b""),
        (b"\4\0\0\0\0\4" + bytes(4), b""),
    ],
)
def test_what_is_no_request_of_dicom_is_turned_away(tmp_path: Path, request_: bytes, answer: bytes) -> None:
    with receiving(tmp_path / "store") as node:
        with socket.create_connection(("127.0.0.1", node.port)) as peer:
            got = b""
            try:
                peer.sendall(request_)
                peer.shutdown(socket.SHUT_WR)
                while part := peer.recv(100):
                    got += part
            except OSError:  # what was not read went with the connection
                assert not answer
        assert got == answer
        assert call("echoscu", node.port).returncode == 0


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return new_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def node_tls(authority: Authority) -> Tls:
    return authority.issue("node.example")


@pytest.fixture(scope="module")
def camera_tls(authority: Authority) -> Tls:
    return authority.issue("camera.example")


def with_tls(tls: Tls) -> list[str]:
    return ["+tls", str(tls.key), str(tls.certificate), "+cf", str(tls.authority)]


def test_a_peer_with_a_certificate_may_send(tmp_path: Path, node_tls: Tls, camera_tls: Tls) -> None:
    sent = study_folder(tmp_path / "sent", study(3))
    peer = Peer(ae_title="CAMERA", tls_subject="Camera.example")
    with receiving(tmp_path / "store", peers=[peer], tls=node_tls) as node:
        done = call("storescu", node.port, "-aet", "CAMERA", *with_tls(camera_tls), sent)
        assert done.returncode == 0, said(done)
        assert same_data_sets(sent, node.store)


def test_without_tls_nothing_is_said(tmp_path: Path, node_tls: Tls) -> None:
    with receiving(tmp_path / "store", tls=node_tls) as node:
        assert call("echoscu", node.port, "-ta", "5").returncode != 0
        (record,) = node.await_audit("connection refused")
        assert str(record["reason"]).startswith("TLS: ")
        assert record["source"] == "127.0.0.1"


def test_tls_where_none_is_spoken(tmp_path: Path, camera_tls: Tls) -> None:
    with receiving(tmp_path / "store") as node:
        assert call("echoscu", node.port, "-ta", "5", *with_tls(camera_tls)).returncode != 0
        (record,) = node.await_audit("connection refused")
        assert record["reason"] == "what was sent is no DICOM association request, but TLS"


def test_no_certificate_or_that_of_a_strange_authority(tmp_path: Path, authority: Authority, node_tls: Tls) -> None:
    strange = new_authority(tmp_path / "strange", "strange").issue("camera.example")
    with receiving(tmp_path / "store", tls=node_tls) as node:
        trusting = ["+cf", str(authority.certificate)]
        done = call("echoscu", node.port, "-ta", "5", "+tls", str(strange.key), str(strange.certificate), *trusting)
        assert done.returncode != 0
        assert call("echoscu", node.port, "-ta", "5", "+tla", *trusting).returncode != 0
        reasons = [str(record["reason"]) for record in node.await_audit("connection refused")]
        assert reasons[0].startswith("certificate is not trusted: ")


def test_the_certificate_of_another_peer(tmp_path: Path, authority: Authority, node_tls: Tls) -> None:
    peer = Peer(ae_title="CAMERA", tls_subject="camera.example")
    other = authority.issue("other.example")
    with receiving(tmp_path / "store", peers=[peer], tls=node_tls) as node:
        done = call("echoscu", node.port, "-aet", "CAMERA", *with_tls(other))
        assert "Calling AE Title Not Recognized" in said(done)
        assert node.await_audit("association rejected")[0]["reason"] == "certificate is not that of this peer"


def test_a_handshake_that_does_not_go_on_is_cut_off(tmp_path: Path, node_tls: Tls, camera_tls: Tls) -> None:
    with receiving(tmp_path / "store", tls=node_tls, association_s=0.5) as node:
        with socket.create_connection(("127.0.0.1", node.port)) as peer:
            peer.sendall(b"\x16\3\1")  # the begin of a handshake
            assert call("echoscu", node.port, *with_tls(camera_tls)).returncode == 0
            assert peer.recv(100) == b""
        (record,) = node.await_audit("connection cut off")
        assert record["reason"] == "asked for no association"


def test_certificates_that_cannot_be_used_are_named(tmp_path: Path, node_tls: Tls) -> None:
    assert node_tls.key is not None
    with pytest.raises(UsageError, match=r"receive.tls: .*node.example.key.*: not usable as certificate"):
        server_context(Tls(certificate=node_tls.key, key=node_tls.key))
    with pytest.raises(UsageError, match=r"receive.tls: .*: No such file or directory"):
        server_context(Tls(certificate=tmp_path / "absent", key=node_tls.key))
