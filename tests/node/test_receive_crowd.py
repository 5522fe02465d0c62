"""Peers that do nothing, too little or too much hold up nobody else, and cost little."""

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import raw_peer
from pydicom import Dataset
from raw_peer import RawPeer, echo_request, store_request

from ctacal.jobs.node import arrivals
from ctacal.node import associations
from ctacal.node.receiver import Receiver
from tests.dicom_series import encoded
from tests.node.receiving import (
    STUDY,
    WAIT_S,
    Receiving,
    associated,
    call,
    config_of,
    receiving,
    said,
    same_data_sets,
    sender,
    study,
    study_folder,
    wait_until,
)

pytestmark = pytest.mark.slow
ECHO = ("1.2.840.10008.1.1", "1.2.840.10008.1.2")
CT = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")


def test_fifty_senders_at_once(tmp_path: Path) -> None:
    folders = [
        study_folder(tmp_path / f"sent {number}", study(2, study_uid=f"{STUDY}.{number}", name=f"study {number}"))
        for number in range(50)
    ]
    with receiving(tmp_path / "store", most_per_address=64) as node, ExitStack() as running:
        senders = [
            running.enter_context(subprocess.Popen(sender("storescu", node.port, folder), stderr=subprocess.DEVNULL))
            for folder in folders
        ]
        assert [each.wait(WAIT_S) for each in senders] == [0] * 50
        assert len(node.store.studies()) == 50
        for number, folder in enumerate(folders):
            assert same_data_sets(folder, node.store, f"{STUDY}.{number}")
        wait_until(lambda: all(node.ledger.objects(f"{STUDY}.{number}") == 2 for number in range(50)), "the ledger")


def test_many_senders_of_one_study_at_once(tmp_path: Path) -> None:
    sent = study_folder(tmp_path / "sent", study(6))
    with receiving(tmp_path / "store") as node, ExitStack() as running:
        senders = [
            running.enter_context(subprocess.Popen(sender("storescu", node.port, sent), stderr=subprocess.DEVNULL))
            for _ in range(8)
        ]
        assert [each.wait(WAIT_S) for each in senders] == [0] * 8
        assert same_data_sets(sent, node.store)
        objects = [record["objects"] for record in node.await_audit("association", 8)]
        assert sum(each.get("kept", 0) for each in objects) == 6
        assert sum(each.get("known", 0) for each in objects) == 42
        assert node.ledger.objects(STUDY) == 6


@contextmanager
def idle_connections(node: Receiving, number: int) -> Iterator[list[socket.socket]]:
    """Connect and say nothing."""
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", node.port))) for _ in range(number)]


def test_two_hundred_idle_connections_hold_up_nobody(tmp_path: Path) -> None:
    sent = study_folder(tmp_path / "sent", study(3))
    with receiving(tmp_path / "store") as node, idle_connections(node, 200) as idle:
        done = call("storescu", node.port, "-ta", "5", sent)
        assert done.returncode == 0, said(done)
        assert same_data_sets(sent, node.store)
        cut = [each for each in idle if is_closed(each)]
        assert 100 <= len(cut) < 200
        assert cut == idle[: len(cut)]  # those that waited longest
        assert threading.active_count() < 100
        (record,) = node.await_audit("connection cut off")
        assert (record["source"], record["reason"]) == ("127.0.0.1", "others of its address came")


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_what_strangers_do_again_and_again_is_noted_once_in_a_while(tmp_path: Path) -> None:
    with receiving(tmp_path / "store", most_per_address=1) as node:
        for _ in range(20):
            with idle_connections(node, 5):
                pass
        call("echoscu", node.port)
        node.await_audit("association")
        assert len(node.audited("connection cut off")) <= 1


def test_a_connection_that_asks_for_nothing_is_cut_off(tmp_path: Path) -> None:
    with receiving(tmp_path / "store", association_s=0.5) as node, idle_connections(node, 3) as idle:
        idle[0].sendall(b"\1\0\0\0")
        began = time.monotonic()
        wait_until(lambda: all(map(is_closed, idle)), "the end of the connections")
        assert time.monotonic() - began > 0.3
        assert node.await_audit("connection cut off")[0]["reason"] == "asked for no association"


def test_an_association_that_goes_quiet_is_cut_off(tmp_path: Path) -> None:
    with receiving(tmp_path / "store", idle_s=0.5) as node, associated(node.port, ECHO) as association:
        assert association.send_c_echo().Status == 0x0000
        wait_until(lambda: not association.is_alive(), "the end of the association")
        assert node.await_audit("association")[0]["outcome"] == "cut off: was silent for too long"


@contextmanager
def slowed(node: Receiving, after_bytes: int, pause_s: float | None) -> Iterator[int]:
    """Yield the port of a proxy that passes so many bytes on, then one byte at a time, or drops both ends (None)."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(WAIT_S)

    def pass_on(source: socket.socket, target: socket.socket, quota: int | None) -> None:
        with suppress(OSError):
            while content := source.recv(100 if quota is None or quota > 0 else 1):
                if quota is not None:
                    quota -= len(content)
                    if quota <= 0 and pause_s is None:
                        break
                    if quota <= 0 and pause_s:
                        time.sleep(pause_s)
                target.sendall(content)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with suppress(OSError):
            peer, _ = listening.accept()
            with peer, socket.create_connection(("127.0.0.1", node.port)) as node_side:
                back = threading.Thread(target=pass_on, args=(node_side, peer, None))
                back.start()
                pass_on(peer, node_side, after_bytes)
                back.join()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.close()
        thread.join()


def test_a_peer_that_sends_a_byte_now_and_then_is_cut_off_and_holds_up_nobody(tmp_path: Path) -> None:
    slow = study_folder(tmp_path / "slow", study(1, study_uid=f"{STUDY}.1"))
    good = study_folder(tmp_path / "good", study(3))
    with receiving(tmp_path / "store", idle_s=1.0) as node, slowed(node, 3000, 0.1) as port:
        with subprocess.Popen(sender("storescu", port, "-R", slow), stderr=subprocess.DEVNULL) as sending:
            assert call("storescu", node.port, good).returncode == 0
            assert sending.wait(WAIT_S) != 0
        outcomes = {record["outcome"] for record in node.await_audit("association", 2)}
        assert outcomes == {"released", "cut off: sent an object too slowly"}
        assert node.store.studies() == (STUDY,)
        assert list((node.store.folder / "incoming").iterdir()) == []


@pytest.mark.parametrize("after_bytes", [20, 500, 3000, 6500])
def test_a_connection_that_breaks_leaves_nothing_half_written(tmp_path: Path, after_bytes: int) -> None:
    """It breaks in the request, in a command, in a data set, and between two objects; the next try succeeds."""
    sent = study_folder(tmp_path / "sent", study(3))
    with receiving(tmp_path / "store") as node:
        with slowed(node, after_bytes, None) as port:
            assert call("storescu", port, "-R", sent).returncode != 0
        wait_until(lambda: not node.receiver._listener.connections(), "the end of the connection")
        stored = node.store.received(STUDY)
        assert len(stored) < 3
        assert list((node.store.folder / "incoming").iterdir()) == []
        assert call("storescu", node.port, sent).returncode == 0
        assert same_data_sets(sent, node.store)
        wait_until(lambda: node.ledger.objects(STUDY) == 3, "the ledger")


def test_a_pdu_longer_than_agreed_ends_the_association_before_it_is_read(tmp_path: Path) -> None:
    with receiving(tmp_path / "store") as node:
        with associated(node.port, CT) as association:
            raw = association.dul.socket
            assert raw is not None
            assert raw.socket is not None
            raw.socket.sendall(b"\4\0" + (2**31).to_bytes(4, "big") + bytes(1000))
            wait_until(lambda: not association.is_alive(), "the end of the association")
        assert node.await_audit("association")[0]["outcome"] == "aborted"
        assert call("echoscu", node.port).returncode == 0


@pytest.mark.parametrize(("header", "limit"), [(1, "_LONGEST_COMMAND_BYTES"), (0, "_LONGEST_OTHER_BYTES")])
def test_a_message_without_end_ends_the_association(
    tmp_path: Path, header: int, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that goes on and on, or a data set of something that is no object, would fill the memory."""
    monkeypatch.setattr(associations, limit, 50_000)
    fragment = bytes((1, header)) + bytes(10_000)
    value = len(fragment).to_bytes(4, "big") + fragment
    with receiving(tmp_path / "store") as node:
        with associated(node.port, CT) as association:
            raw = association.dul.socket
            assert raw is not None
            peer = raw.socket  # kept: the association forgets it as soon as it ends
            assert peer is not None
            with suppress(OSError):
                for _ in range(50):
                    peer.sendall(b"\4\0" + len(value).to_bytes(4, "big") + value)
            wait_until(lambda: not association.is_alive(), "the end of the association")
        assert node.await_audit("association")[0]["outcome"] == "aborted"


def test_requests_that_do_not_wait_for_their_answers_are_served_one_after_another(tmp_path: Path) -> None:
    """The next is read only when the last was answered, so that none piles up."""
    image = study(1)[0]
    request = store_request(3, CT[0], image.SOPInstanceUID, encoded_data_set(image))
    with receiving(tmp_path / "store") as node, RawPeer(node.port, raw_peer.ECHO, CT[0]) as peer:
        statuses = [peer.status((echo_request(1) + request) * 50), *(peer.status(b"") for _ in range(99))]
        assert statuses == [0] * 100
        assert len(node.store.received(STUDY)) == 1


def encoded_data_set(image: Dataset) -> bytes:
    content = encoded(image)
    return content[144 + int.from_bytes(content[140:144], "little") :]


def test_the_loop_that_accepts_says_that_it_is_alive(tmp_path: Path) -> None:
    beats: list[float] = []
    with Receiver(config_of(tmp_path / "store"), lambda: beats.append(time.monotonic())):
        wait_until(lambda: len(beats) >= 3, "beats without a connection")


def test_associations_end_without_a_trace(tmp_path: Path) -> None:
    """Threads and sockets of many associations are given back."""
    with receiving(tmp_path / "store") as node:
        call("echoscu", node.port)
        node.await_audit("association")
        threads, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(8):
            call("echoscu", node.port)
        node.await_audit("association", 9)
        wait_until(lambda: threading.active_count() <= threads, "the end of all threads")
        assert len(list(Path("/proc/self/fd").iterdir())) <= files


def test_the_node_stops_while_an_object_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is under way may finish, for a time; what is idle is closed."""
    monkeypatch.setattr("ctacal.node.receiver._FINISH_S", 0.5)
    monkeypatch.setattr(arrivals, "TELL_S", 0.05)
    slow = study_folder(tmp_path / "slow", study(1))
    with receiving(tmp_path / "store") as node, slowed(node, 3000, 0.05) as port, idle_connections(node, 2):
        with subprocess.Popen(sender("storescu", port, "-R", slow), stderr=subprocess.DEVNULL) as sending:
            wait_until(lambda: list((node.store.folder / "incoming").iterdir()), "the begin of the object")
            node.receiver.__exit__()
            assert sending.wait(WAIT_S) != 0
        assert list((node.store.folder / "incoming").iterdir()) == []
        assert node.audited("association")[0]["outcome"] == "cut off: the node stops"
