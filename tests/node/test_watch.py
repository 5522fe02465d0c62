"""A watched folder: files that lie still are taken once, whatever else lies there."""

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctacal.jobs.node.arrivals import Arrivals
from ctacal.jobs.node.config import NodeConfig, Watch
from ctacal.jobs.node.inputs import Trouble, input_name, troubles
from ctacal.jobs.node.intake import Limits
from ctacal.jobs.node.ledger import open_ledger
from ctacal.jobs.node.life import alive_folder
from ctacal.jobs.node.store import Store
from ctacal.node.watch import WatchedFolder
from tests.dicom_series import ct_series, encoded
from tests.node.running import wait_until
from tests.node.studies import NO_LIMITS, write

IMAGES = ct_series()[:4]
STUDY = str(IMAGES[0].StudyInstanceUID)


class Scene:
    """A folder that is looked at with a clock that the test moves."""

    def __init__(self, folder: Path, then: str = "keep", limits: Limits = NO_LIMITS) -> None:
        self.now = 1000.0
        self.folder = folder / "export"
        self.folder.mkdir(exist_ok=True)
        self.config = NodeConfig(store=folder / "store")
        self.store = Store(self.config.store)
        self.arrivals = Arrivals(self.store, lambda: open_ledger(self.config.ledger, self.store.id), self.config.settle)
        watch = Watch(folder=self.folder, quiet_s=10, then=then)  # type: ignore[arg-type]
        self.watched = WatchedFolder(watch, self.store, limits, self.arrivals, lambda: self.now)

    def after(self, seconds: float) -> int:
        """Look; returns how many objects the store has then."""
        self.now += seconds
        self.watched.look()
        return len(self.store.received(STUDY))

    def put(self, number: int, name: str) -> Path:
        return write(IMAGES[number], self.folder / name)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    with scene.arrivals:
        yield scene


def test_files_are_taken_when_they_lie_still_at_any_depth(scene: Scene) -> None:
    scene.put(0, "a.dcm")
    scene.put(1, "deep/er/IM0001")
    assert scene.after(0) == 0
    growing = scene.put(2, "growing.dcm")
    growing.write_bytes(growing.read_bytes()[:500])
    assert scene.after(9.9) == 0
    assert scene.after(0.1) == 2
    scene.put(2, "growing.dcm")
    assert scene.after(9) == 2
    assert scene.after(10) == 3
    ledger = open_ledger(scene.config.ledger, scene.store.id)
    wait_until(lambda: ledger.objects(STUDY) == 3, "the ledger's count")
    study = ledger.study(STUDY)
    assert study and study.sources == (f"folder {scene.folder}",)
    ledger.close()


def test_taken_files_are_not_read_again_by_the_next_process(scene: Scene, tmp_path: Path) -> None:
    file = scene.put(0, "a.dcm")
    scene.after(0)
    assert scene.after(10) == 1
    scene.store.discard_received(STUDY, len(scene.store.received(STUDY)))  # delivered, and old
    second = Scene(tmp_path)
    second.after(0)
    assert second.after(10) == 0
    os.utime(file, ns=(1, 1))  # it was written anew
    second.after(0)
    assert second.after(10) == 1


def test_files_that_are_safe_are_removed_if_that_is_wanted(tmp_path: Path) -> None:
    scene = Scene(tmp_path, then="remove")
    with scene.arrivals:
        file, text = scene.put(0, "a.dcm"), scene.folder / "notes.txt"
        text.write_text("no DICOM")
        scene.after(0)
        assert scene.after(10) == 1
        assert not file.exists()
        assert text.exists()
        scene.put(0, "again.dcm")
        scene.after(0)
        assert scene.after(10) == 1
        assert sorted(scene.folder.iterdir()) == [text]


def test_what_is_no_dicom_is_told_once_and_links_and_pipes_are_left_alone(
    scene: Scene, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (scene.folder / "notes.txt").write_text("no DICOM")
    outside = write(IMAGES[0], tmp_path / "outside.dcm")
    (scene.folder / "link.dcm").symlink_to(outside)
    (scene.folder / "links").symlink_to(tmp_path)
    os.mkfifo(scene.folder / "pipe")
    for _ in range(3):
        assert scene.after(10) == 0
    assert caplog.messages.count("file is not taken") == 1


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, -1])
def test_a_file_that_stands_still_half_written_is_taken_when_it_is_whole(
    scene: Scene, caplog: pytest.LogCaptureFixture, syntax: str, kept: float
) -> None:
    """Otherwise the whole one would be other bytes under a known UID."""
    whole = encoded(IMAGES[0], syntax)
    file = scene.folder / "a.dcm"
    file.write_bytes(whole[: int(kept * len(whole)) if kept > 0 else -1])
    for _ in range(3):
        assert scene.after(10) == 0
    assert caplog.messages.count("file is not taken") == 1
    file.write_bytes(whole)
    scene.after(0)
    assert scene.after(10) == 1
    assert not scene.store.aside()


def test_a_compressed_file_that_ends_within_a_frame_waits(scene: Scene) -> None:
    whole = encoded(IMAGES[0], "1.2.840.10008.1.2.4.90")
    (scene.folder / "a.dcm").write_bytes(whole[:-200])
    (scene.folder / "b.dcm").write_bytes(whole[:-8])
    scene.after(0)
    assert scene.after(10) == 0
    (scene.folder / "a.dcm").write_bytes(whole)
    scene.after(0)
    assert scene.after(10) == 1


def test_without_room_a_file_waits(tmp_path: Path) -> None:
    full = Limits(largest_object_mb=10, reserve_mb=10**9, reserve_percent=0)
    scene = Scene(tmp_path, then="remove", limits=full)
    with scene.arrivals:
        file = scene.put(0, "a.dcm")
        scene.after(0)
        assert scene.after(10) == 0
        assert file.exists()
        scene.watched.limits = NO_LIMITS
        assert scene.after(0) == 1
        assert not file.exists()


def unreadable(monkeypatch: pytest.MonkeyPatch, *names: str, problem: Exception | None = None) -> list[str]:
    """Let files of these names fail to open, also for the superuser; the list of names may be changed."""
    failing, really_open = list(names), Path.open

    def open_or_fail(path: Path, *arguments: object, **options: object) -> object:
        if path.name in failing:
            raise problem or PermissionError(errno.EACCES, "Permission denied", str(path))
        return really_open(path, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", open_or_fail)
    return failing


@pytest.mark.parametrize("problem", [None, OSError(errno.EIO, "Input/output error"), KeyError("a defect")])
def test_a_file_that_cannot_be_read_holds_up_no_other_and_is_taken_once_it_can(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, problem: Exception | None
) -> None:
    for number, name in enumerate(("a.dcm", "b.dcm", "c.dcm")):
        scene.put(number, name)
    failing = unreadable(monkeypatch, "a.dcm", problem=problem)
    scene.after(0)
    for _ in range(3):
        assert scene.after(10) == 2
    assert caplog.messages.count("file is not taken") == 1
    assert scene.watched.problem.startswith("1 of its files cannot be taken (")
    assert "a.dcm" not in scene.watched.problem
    failing.clear()
    assert scene.after(0) == 3
    assert scene.watched.problem == ""


def test_a_file_that_vanishes_between_two_looks_is_no_problem(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.put(1, "b.dcm")
    vanishing = scene.put(0, "a.dcm")
    really_open = Path.open

    def open_late(path: Path, *arguments: object, **options: object) -> object:
        vanishing.unlink(missing_ok=True)
        return really_open(path, *arguments, **options)  # type: ignore[call-overload]

    scene.after(0)
    monkeypatch.setattr(Path, "open", open_late)
    assert scene.after(10) == 1
    assert scene.watched.problem == ""


def test_a_file_that_cannot_be_removed_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path, then="remove")
    really_unlink = Path.unlink

    def unlink_or_fail(path: Path, missing_ok: bool = False) -> None:
        if path.name == "a.dcm":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        really_unlink(path, missing_ok)

    with scene.arrivals:
        scene.put(0, "a.dcm")
        scene.put(1, "b.dcm")
        scene.after(0)
        monkeypatch.setattr(Path, "unlink", unlink_or_fail)
        assert scene.after(10) == 2
        assert [path.name for path in scene.folder.iterdir()] == ["a.dcm"]
        assert "cannot be removed" in scene.watched.problem
        monkeypatch.undo()
        scene.after(0)
        assert list(scene.folder.iterdir()) == []


def test_a_folder_within_that_cannot_be_read_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    closed = scene.put(0, "closed/a.dcm").parent
    scene.put(1, "open/b.dcm")
    really_scan = os.scandir

    def scan_or_fail(path: str | Path = ".") -> object:
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return really_scan(path)

    monkeypatch.setattr(os, "scandir", scan_or_fail)
    scene.after(0)
    for _ in range(3):
        assert scene.after(10) == 1
    assert scene.watched.problem == "1 of its folders cannot be read"
    assert caplog.messages.count("folders within a watched folder cannot be read") == 1


def test_what_lasts_is_a_trouble_of_the_node_until_it_is_over(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.put(0, "a.dcm")
    failing = unreadable(monkeypatch, "a.dcm")
    config = NodeConfig(store=scene.config.store, watch=(scene.watched.watch,))
    alive = alive_folder(config.store, config.receive.port)
    alive.mkdir(parents=True)
    seconds = iter(range(0, 10**6, 30))
    trouble = Trouble(alive, input_name(scene.watched.watch), lambda: float(next(seconds)))
    scene.watched.clock = lambda: float(next(seconds))
    object.__setattr__(scene.watched.watch, "quiet_s", 0.01)
    stopping = threading.Event()
    thread = threading.Thread(target=scene.watched.run, args=(stopping, trouble))
    thread.start()
    try:
        (said,) = wait_until(lambda: troubles(config), "trouble").values()
        assert said.startswith("1 of its files cannot be taken (Permission denied")
        failing.clear()
        wait_until(lambda: not troubles(config), "end of it")
    finally:
        stopping.set()
        thread.join()


def test_a_folder_that_is_away_is_told(scene: Scene) -> None:
    scene.folder.rmdir()
    with pytest.raises(FileNotFoundError):
        scene.watched.look()
    scene.folder.mkdir()
    scene.put(0, "a.dcm")
    scene.after(0)
    assert scene.after(10) == 1
