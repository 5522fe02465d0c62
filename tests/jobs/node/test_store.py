"""The store of the node: files appear whole under names that cannot lead outside, and nothing is ever overwritten."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from ctacal.atomic import flush
from ctacal.errors import UsageError
from ctacal.jobs.node import store as store_module
from ctacal.jobs.node.store import Placed, Store

STUDY, OBJECT = "1.2.3", "1.2.3.4"
HOSTILE = ["", "..", "../1.2", "1.2/../../3", "1.2\0.3", "a.b", "1", "01", "1..2", "1." * 40 + "1", "1.2\n", "١.٢"]
KILLED = """
import sys
from pathlib import Path
from ctacal.jobs.node.store import Store

with Store(Path(sys.argv[1])).incoming() as incoming:
    incoming.write_bytes(b"half of it")
    print("writing", flush=True)
    sys.stdin.read()
"""


def keep(store: Store, content: bytes, study_uid: str = STUDY, sop_uid: str = OBJECT) -> Placed:
    with store.incoming() as incoming:
        incoming.write_bytes(content)
        return store.keep(incoming, study_uid, sop_uid)


def everything(store: Store) -> dict[str, bytes]:
    """Return all files of objects by their path in the store."""
    return {
        str(path.relative_to(store.folder)): path.read_bytes() for path in store.folder.rglob("*") if path.is_file()
    } | {"id": b""}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_an_object_lies_under_its_uids(store: Store) -> None:
    assert keep(store, b"whole") is Placed.KEPT
    assert everything(store) == {"id": b"", "received/1.2.3/1.2.3.4.dcm": b"whole"}
    assert store.studies() == (STUDY,)
    assert store.received(STUDY) == (store.path(STUDY, OBJECT),)
    assert store.find({OBJECT, "1.2.9"}) == {OBJECT: (store.path(STUDY, OBJECT),)}


def test_the_same_bytes_again_change_nothing(store: Store) -> None:
    keep(store, b"whole")
    before = store.path(STUDY, OBJECT).stat()
    assert keep(store, b"whole") is Placed.KNOWN
    after = store.path(STUDY, OBJECT).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert len(everything(store)) == 2


def test_other_bytes_under_a_known_uid_are_set_aside(store: Store) -> None:
    keep(store, b"whole")
    assert keep(store, b"other") is Placed.ASIDE
    assert keep(store, b"other") is Placed.ASIDE
    assert keep(store, b"third") is Placed.ASIDE
    assert store.path(STUDY, OBJECT).read_bytes() == b"whole"
    aside = {path: content for path, content in everything(store).items() if path.startswith("aside/1.2.3/1.2.3.4.")}
    assert sorted(aside.values()) == [b"other", b"third"]
    assert store.aside() == {OBJECT}
    assert len(everything(store)) == 4


def test_one_object_may_belong_to_two_studies(store: Store) -> None:
    assert keep(store, b"a") is keep(store, b"b", "1.2.9") is Placed.KEPT
    assert store.find({OBJECT}) == {OBJECT: (store.path(STUDY, OBJECT), store.path("1.2.9", OBJECT))}


def test_a_store_that_is_not_there_or_is_another_one_is_told(store: Store) -> None:
    store.require()
    (store.folder / "id").write_text("another\n")
    with pytest.raises(FileNotFoundError, match="another store is there"):
        store.require()
    (store.folder / "id").unlink()
    with pytest.raises(FileNotFoundError, match="is its disk mounted"):
        store.require()


@pytest.mark.parametrize("uid", HOSTILE)
def test_a_uid_that_is_none_leads_nowhere(store: Store, uid: str) -> None:
    keep(store, b"whole")
    before = everything(store)
    with pytest.raises(ValueError, match=r"Study Instance UID .* is not a valid UID"):
        keep(store, b"x", study_uid=uid)
    with pytest.raises(ValueError, match=r"SOP Instance UID .* is not a valid UID"):
        keep(store, b"x", sop_uid=uid)
    assert everything(store) == before
    assert store.received(uid) == ()
    assert store.find({uid}) == {}


def test_many_senders_of_one_object_at_once(store: Store) -> None:
    """Exactly one is kept, whatever the order; those with the same bytes are known, the others are set aside."""
    contents = [b"one" * 1000, b"two" * 1000] * 20
    with ThreadPoolExecutor(16) as threads:
        placed = list(threads.map(lambda content: keep(store, content), contents))
    kept = store.path(STUDY, OBJECT).read_bytes()
    assert placed.count(Placed.KEPT) == 1
    assert contents[placed.index(Placed.KEPT)] == kept
    assert placed.count(Placed.ASIDE) == 20
    assert all((one is Placed.ASIDE) == (content != kept) for one, content in zip(placed, contents, strict=True))


def test_what_is_not_kept_leaves_nothing(store: Store) -> None:
    with store.incoming() as incoming:
        incoming.write_bytes(b"half")
    assert everything(store) == {"id": b""}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs locks of files")
def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_stays(store: Store) -> None:
    with (
        subprocess.Popen(
            [sys.executable, "-c", KILLED, store.folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as writer,
        store.incoming() as mine,
    ):
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        store.sweep()
        assert len(list((store.folder / "incoming").iterdir())) == 2
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        store.sweep()
        assert list((store.folder / "incoming").iterdir()) == [mine]


def discard(store: Store, objects: int) -> bool:
    """Discard the originals of a study of which so many were counted before; returns whether they are deleted."""
    going = store.discard_received(STUDY, objects)
    if going is None:
        return False
    is_old = len(going.files) <= going.objects
    store.delete(going) if is_old else store.put_back(going)
    return is_old


def test_originals_go_all_at_once(store: Store) -> None:
    keep(store, b"old", sop_uid="1.2.1")
    keep(store, b"old", sop_uid="1.2.2")
    going = store.discard_received(STUDY, 2)
    assert going is not None
    assert store.studies() == ()
    assert Store(store.folder).discarding() == (going,)  # what the next start finds
    assert [path.stem for path in going.files] == ["1.2.1", "1.2.2"]
    store.delete(going)
    assert store.discarding() == ()
    assert everything(store) == {"id": b""}
    assert store.discard_received(STUDY, 0) is None


def test_originals_that_arrive_while_a_study_is_discarded_stay(store: Store) -> None:
    keep(store, b"old", sop_uid="1.2.1")
    keep(store, b"old", sop_uid="1.2.2")
    counted = len(store.received(STUDY))
    keep(store, b"late", sop_uid="1.2.3")
    going = store.discard_received(STUDY, counted)
    assert going is not None
    assert keep(store, b"later", sop_uid="1.2.4") is Placed.KEPT
    store.put_back(going)
    assert [path.read_bytes() for path in store.received(STUDY)] == [b"old", b"old", b"late", b"later"]
    assert store.discarding() == ()
    assert discard(store, 4)
    assert store.studies() == ()
    assert keep(store, b"old", sop_uid="1.2.1") is Placed.KEPT


def test_other_bytes_that_arrive_while_originals_are_put_back_are_not_lost(store: Store) -> None:
    keep(store, b"old")
    going = store.discard_received(STUDY, 0)
    assert going is not None
    keep(store, b"other")
    store.put_back(going)
    assert store.path(STUDY, OBJECT).read_bytes() == b"other"
    assert store.aside() == {OBJECT}


def test_objects_arrive_while_their_study_is_discarded_again_and_again(store: Store) -> None:
    """The folder may vanish between any two steps of ``keep``; what it answers for is there, or was counted before."""

    def send(number: int) -> None:
        for _ in range(100):  # as a camera sends again what is answered by "out of resources"
            try:
                keep(store, b"x", sop_uid=f"1.2.{number}")
            except FileNotFoundError:
                continue
            return
        raise AssertionError(f"object {number} was never taken")

    def discard_again_and_again() -> Iterator[str]:
        while not all_sent.is_set():
            counted = store.received(STUDY)
            if discard(store, len(counted)):
                yield from (path.stem for path in counted)

    all_sent = Event()
    with ThreadPoolExecutor(1) as keeper, ThreadPoolExecutor(4) as senders:
        deleted = keeper.submit(lambda: set(discard_again_and_again()))
        try:
            list(senders.map(send, range(300)))
        finally:
            all_sent.set()
        gone = deleted.result()
    assert gone
    assert gone | {path.stem for path in store.received(STUDY)} == {f"1.2.{number}" for number in range(300)}
    assert store.discarding() == ()


def test_a_folder_that_was_made_anew_is_flushed_though_it_has_the_inode_of_an_old_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power may fail when an object was answered for: its folder's name must be on the disk then."""
    flushed: list[Path] = []

    def noted(path: Path) -> None:
        flushed.append(path)
        flush(path)

    keeper = Store(store.folder)
    inodes = set()
    for number in range(20):
        study_uid = f"1.2.{number % 3}"
        monkeypatch.setattr(store_module, "flush", noted)
        flushed.clear()
        assert keep(store, b"x", study_uid) is Placed.KEPT
        assert store.folder / "received" in flushed
        monkeypatch.undo()
        inodes.add((store.folder / "received" / study_uid).stat().st_ino)
        going = keeper.discard_received(study_uid, 1)
        assert going is not None
        keeper.delete(going)
    if len(inodes) == 20:
        pytest.skip("this file system gives no inode again")


def test_a_folder_is_flushed_once_while_none_comes_or_goes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(store, b"x")
    flushed: list[Path] = []
    monkeypatch.setattr(store_module, "flush", flushed.append)
    for number in range(3):
        keep(store, b"x", sop_uid=f"1.2.{number}")
    assert store.folder / "received" not in flushed


def test_a_store_keeps_its_name(store: Store) -> None:
    assert Store(store.folder).id == store.id
    assert len(store.id) == 32
    assert Store(store.folder.with_name("other")).id != store.id


def test_results_lie_by_study_and_revision(store: Store) -> None:
    assert store.results(STUDY, 3) == store.folder / "results" / STUDY / "3"


def test_a_folder_that_cannot_hold_a_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file: cannot hold the store of the node: .*choose another folder"):
        Store(tmp_path / "file")


def test_a_disk_without_hard_links_is_refused_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(source), None, str(target))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(UsageError, match="cannot hold the store of the node: Operation not permitted"):
        Store(tmp_path / "store")


def test_room_is_what_the_larger_reserve_leaves(store: Store) -> None:
    free = store.free_bytes()
    assert store.has_room(reserve_mb=0, reserve_percent=0)
    assert store.has_room(reserve_mb=free / 2e6, reserve_percent=0)
    assert not store.has_room(reserve_mb=free / 2e6, reserve_percent=0, more_bytes=free)
    assert not store.has_room(reserve_mb=free / 1e6 + 1e6, reserve_percent=0)
    assert not store.has_room(reserve_mb=0, reserve_percent=100)
