"""What ``ctacal score`` says of files: names that no terminal shows, paths without a scan, disks that fail."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ctacal.errors import system_message
from tests.commands import run, table
from tests.dicom_series import ct_series, encoded, uid, write

THRESHOLD = ("--predictor", "threshold", "--write", "json")
"""The scans here show no heart: they are refused, which is quick."""

WORDS = "no DICOM image series there; found"


def refused_study(folder: Path, name: str = "study") -> Path:
    return write(folder, ct_series(StudyInstanceUID=uid(name)))


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        ({}, "nothing"),
        (
            {"a.nii": bytes(344) + b"n+1\0", "b.nii": bytes(344) + b"n+1\0", "c.pdf": b"%PDF-1.4"},
            "2 NIfTI files, 1 PDF",
        ),
        ({"scan.7z": b"7z\xbc\xaf\x27\x1c" + bytes(9)}, "1 file that could not be read"),
        ({"IM1.dcm": b""}, "1 file that could not be read"),
        ({"x/y/z.txt": b"text"}, "1 text file"),
    ],
    ids=["empty folder", "other formats", "archive", "empty file", "folders"],
)
def test_no_study_found_says_what_lies_there(
    contents: dict[str, bytes],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, content in contents.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    (tmp_path / "in").mkdir(exist_ok=True)
    assert run("score", tmp_path / "in", "-o", tmp_path / "out", *THRESHOLD, monkeypatch=monkeypatch) == 1
    assert f"{tmp_path / 'in'}: {WORDS} {words}" in capsys.readouterr().err
    assert (tmp_path / "out" / "results.csv").read_text().startswith("study_uid,")
    assert table(tmp_path / "out") == []


def test_a_single_file_without_a_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letter").write_text("Dear colleague")
    assert run("score", tmp_path / "letter", "-o", tmp_path / "out", *THRESHOLD, monkeypatch=monkeypatch) == 1
    assert f"letter: {WORDS} 1 text file" in capsys.readouterr().err


def test_each_given_folder_without_a_scan_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """But not a single file of another kind, which ``score FOLDER/*`` may give."""
    refused_study(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "README").write_text("text")
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 cut")
    paths = [tmp_path / name for name in ("a", "b", "README", "a.zip")]
    assert run("score", *paths, "-o", tmp_path / "out", *THRESHOLD, monkeypatch=monkeypatch) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if WORDS in line]
    assert [line.partition(":")[0] for line in lines] == [str(tmp_path / "b"), str(tmp_path / "a.zip")]


def test_overlapping_paths_are_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = refused_study(tmp_path / "a")
    paths = (tmp_path / "a", tmp_path, folder / "IM0003")
    run("score", *paths, "-o", tmp_path / "out", *THRESHOLD, monkeypatch=monkeypatch)
    assert WORDS not in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.slow
def test_names_that_the_terminal_cannot_show(tmp_path: Path, encoding: str) -> None:
    """In a process of its own: the streams of this one are pytest's."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xe4rz \xe6\x97\xa5"))
    refused_study(folder)
    (folder / "IM0005").write_bytes(encoded(ct_series()[5])[:600])
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/out\xfc\n"))
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "ctacal",
        "score",
        folder,
        "-o",
        out,
        *THRESHOLD[:2],
        "--write",
        "json,html",
    ]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"M\\xe4rz" in done.stderr
    with (out / "skipped.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["file"].endswith("日/IM0005")
    (result,) = out.rglob("result.json")
    assert "M\\xe4rz" in json.loads(result.read_text(encoding="utf-8"))["reasons"][0]["message"]
    assert (out / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (OSError(28, "No space left on device"), "No space left on device; free the disk or choose another folder"),
        (OSError(30, "Read-only file system", "/out"), "/out: Read-only file system; choose another folder"),
        (PermissionError(13, "Permission denied", "/in/x"), "/in/x: Permission denied; ask for the right to use it"),
        (
            OSError(5, "Input/output error", "/in/\udce4"),
            "/in/\\xe4: Input/output error; the disk or the network failed",
        ),
        (FileNotFoundError(2, "No such file or directory", "/in/x"), "/in/x: No such file or directory"),
        (OSError("without a number"), "without a number"),
    ],
)
def test_errors_of_the_system_are_one_line_that_says_what_to_do(
    problem: OSError,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Only a full disk is to be freed."""

    def fail(*_: object) -> None:
        raise problem

    monkeypatch.setattr("ctacal.jobs.score.score_and_write", fail)
    refused_study(tmp_path / "in")
    assert run("score", tmp_path / "in", "-o", tmp_path / "out", *THRESHOLD, monkeypatch=monkeypatch) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ctacal: {words}")
    assert ("free the disk" in line) == (problem.errno == 28)


def test_system_message_without_words() -> None:
    assert system_message(OSError()) == "OSError"
