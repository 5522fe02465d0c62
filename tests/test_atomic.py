"""Files and folders appear whole or not at all, also when their writer is killed; nothing unfinished stays behind."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ctacal import atomic
from ctacal.atomic import ABANDONED_DAYS, PREFIX, sweep, whole_file, whole_folder, write_text

PARTS = 20
WRITER = f"""
import sys
from pathlib import Path
from ctacal import atomic

out = Path(sys.argv[1])
if sys.argv[2] == "two steps":
    atomic._exchange = lambda first, second: False
print("ready", flush=True)
for turn in range(int(sys.argv[3]), 10**9):
    atomic.write_text(out / "result.json", f"{{turn}}\\n" * 5000)
    with atomic.whole_folder(out / "study") as folder:
        for part in range({PARTS}):
            (folder / f"{{part}}.txt").write_text(str(turn))
"""
"""Writes a file and a folder again and again until it is killed."""


def kill_a_writer(out: Path, how: str, turn: int, seconds: float) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, out, how, str(turn)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(seconds)
        writer.send_signal(signal.SIGKILL)


def run_python(line: str) -> None:
    """Run a line in another process, as the next run of a program."""
    program = f"from pathlib import Path; from ctacal.atomic import sweep, write_text; {line}"
    subprocess.run([sys.executable, "-c", program], check=True)


def unfinished(out: Path) -> list[Path]:
    return list(out.rglob(f"{PREFIX}*"))


def check_whole(out: Path) -> None:
    lines = (out / "result.json").read_text().splitlines()
    assert len(lines) == 5000
    assert len(set(lines)) == 1
    turns = [file.read_text() for file in (out / "study").iterdir()]
    assert len(turns) == PARTS
    assert len(set(turns)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", ["exchange", "two steps"])
def test_a_killed_writer_leaves_the_old_or_the_new_and_the_next_run_cleans_up(tmp_path: Path, how: str) -> None:
    write_text(tmp_path / "result.json", "0\n" * 5000)
    with whole_folder(tmp_path / "study") as folder:
        for part in range(PARTS):
            (folder / f"{part}.txt").write_text("0")
    seconds, left = random.Random(7), 0
    for turn in range(20):
        kill_a_writer(tmp_path, how, turn * 10000, seconds.uniform(0.0, 0.04))
        left += bool(unfinished(tmp_path))
        if how == "two steps":  # the next run puts in place what was between two names
            sweep(tmp_path)
        check_whole(tmp_path)
    assert left > 0  # or the test shows nothing
    sweep(tmp_path)
    assert unfinished(tmp_path) == []
    check_whole(tmp_path)


def test_the_new_folder_is_put_in_place_if_the_old_one_was_set_aside(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "study") as folder:
        (folder / "a.txt").write_text("old")
    killed = f"""
import os, signal
from pathlib import Path
from ctacal import atomic
atomic._exchange = lambda first, second: False
original = Path.rename
def rename(path, target):
    done = original(path, target)
    if target.parent.name == "old":
        os.kill(os.getpid(), signal.SIGKILL)
    return done
Path.rename = rename
with atomic.whole_folder(Path({str(tmp_path / "study")!r})) as folder:
    (folder / "a.txt").write_text("new")
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "study").exists()
    sweep(tmp_path)
    assert (tmp_path / "study" / "a.txt").read_text() == "new"
    assert unfinished(tmp_path) == []


def test_the_next_run_sweeps_where_it_writes(tmp_path: Path) -> None:
    kill_a_writer(tmp_path, "exchange", 0, 0.02)
    (tmp_path / f"{atomic._prefix()}dead.json").touch()
    run_python(f"write_text(Path({str(tmp_path)!r}) / 'a.txt', '')")
    assert unfinished(tmp_path) == []


def test_what_a_living_program_writes_is_not_swept(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a.json") as file, whole_folder(tmp_path / "b") as folder:
        file.write_text("a")
        (folder / "b.txt").write_text("b")
        run_python(f"sweep(Path({str(tmp_path)!r}))")
        sweep(tmp_path)
    assert (tmp_path / "a.json").read_text() == "a"
    assert (tmp_path / "b" / "b.txt").read_text() == "b"
    assert unfinished(tmp_path) == []


def test_what_another_machine_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    file, folder = tmp_path / f"{PREFIX}0-0-x.json", tmp_path / f"{PREFIX}0-0-y"
    file.touch()
    folder.mkdir()
    sweep(tmp_path)
    assert file.exists()
    assert folder.exists()
    old = time.time() - (ABANDONED_DAYS + 1) * 86400
    for path in (file, *folder.iterdir(), folder):
        os.utime(path, (old, old))
    sweep(tmp_path)
    assert unfinished(tmp_path) == []


def test_without_locks_only_what_is_old_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "_lock", lambda handle: None)
    with whole_file(tmp_path / "a.json") as file:
        file.write_text("a")
        sweep(tmp_path)
    assert (tmp_path / "a.json").read_text() == "a"


def test_sweeping_goes_two_levels_deep_and_spares_all_else(tmp_path: Path) -> None:
    near, far = tmp_path / "1" / "2", tmp_path / "1" / "2" / "3"
    far.mkdir(parents=True)
    for folder in (near, far):
        (folder / f"{atomic._prefix()}dead").touch()
        (folder / "result.json").touch()
    sweep(tmp_path)
    assert [file.parent for file in unfinished(tmp_path)] == [far]
    assert (near / "result.json").exists()
    sweep(tmp_path / "not there")


def test_a_failed_block_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "result.json"
    write_text(path, "first")
    with pytest.raises(RuntimeError, match="cut"), whole_file(path) as temporary:
        temporary.write_text("half of the sec")
        raise RuntimeError("cut")
    assert path.read_text() == "first"
    with pytest.raises(RuntimeError, match="cut"), whole_folder(path.parent) as folder:
        (folder / "new").touch()
        raise RuntimeError("cut")
    assert [file.name for file in path.parent.iterdir()] == ["result.json"]
    assert unfinished(tmp_path) == []


def test_a_folder_does_not_take_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(NotADirectoryError), whole_folder(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_text() == "a file"


def test_two_steps_that_fail_put_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with whole_folder(tmp_path / "a") as folder:
        (folder / "old").touch()
    rename = Path.rename

    def fails(path: Path, target: Path) -> Path:
        if path.parent.name == "new" and not target.exists():
            raise OSError(errno.EIO, "broken disk")
        return rename(path, target)

    monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)
    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="broken disk"), whole_folder(tmp_path / "a") as folder:
        (folder / "new").touch()
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["old"]
