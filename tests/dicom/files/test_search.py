"""Folders as they are: links, names of other character sets, pipes, locked folders, copies that failed."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctacal.dicom.files.search import Seen, find_sources
from ctacal.dicom.files.source import Source
from ctacal.errors import Code, UsageError
from ctacal.report.outputs import known_writers, write_outputs
from ctacal.study import score_study
from tests.dicom_series import (
    Grid,
    assert_truth,
    by_number,
    chest_hu,
    ct_series,
    encoded,
    intake_of,
    volume_of,
    write,
)
from tests.marker_study import WIDE, predict_marker

ALL_HU = chest_hu(Grid())


def assert_read(*paths: Path, notes: list[Code] | None = None, files: int | None = None) -> None:
    volume, found = volume_of(*paths)
    np.testing.assert_array_equal(volume.hu, ALL_HU)
    assert_truth(volume)
    assert found == (notes or [])
    if files is not None:
        assert intake_of(*paths).files == files


def test_linked_folder_is_followed(tmp_path: Path) -> None:
    write(tmp_path / "store", ct_series())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "study").symlink_to(tmp_path / "store")
    assert_read(tmp_path / "in", files=14)


def test_links_to_single_files(tmp_path: Path) -> None:
    write(tmp_path / "store", ct_series())
    (tmp_path / "in").mkdir()
    for file in sorted((tmp_path / "store").iterdir()):
        (tmp_path / "in" / f"link-{file.name}").symlink_to(os.path.relpath(file, tmp_path / "in"))
    assert_read(tmp_path / "in", files=14)


@pytest.mark.parametrize("target", [".", "a/b", "a"])
def test_links_in_a_circle_end(tmp_path: Path, target: str) -> None:
    folder = write(tmp_path / "a" / "b", ct_series())
    (folder / "loop").symlink_to(tmp_path / target)
    (tmp_path / "a" / "again").symlink_to(folder)
    assert_read(tmp_path, files=14)


def test_hard_links_are_one_file(tmp_path: Path) -> None:
    """As backups keep what did not change."""
    folder = write(tmp_path / "daily.0", ct_series())
    (tmp_path / "daily.1").mkdir()
    for file in folder.iterdir():
        os.link(file, tmp_path / "daily.1" / file.name)
    assert_read(tmp_path, files=14)


@pytest.mark.parametrize("target", ["/", ".."])
def test_link_to_a_folder_above_is_named_and_not_followed(tmp_path: Path, target: str) -> None:
    """Such as the z: of Wine, through which a viewer sees the whole machine."""
    folder = write(tmp_path / "in", ct_series())
    write(tmp_path / "other", ct_series(name="other", StudyInstanceUID="1.2.3"))
    (folder / "z:").symlink_to(target)
    assert_read(folder, notes=[Code.SERIES_UNREADABLE])
    (skipped,) = intake_of(folder).skipped
    assert "above the given one, which is not followed" in skipped.reason.message


def test_each_file_once_however_many_ways_lead_to_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "store", ct_series())
    for name in ("x", "y"):
        (tmp_path / name).symlink_to(folder)
    (tmp_path / "one").symlink_to(folder / "IM0003")
    assert_read(tmp_path, tmp_path / "x", folder / ".." / "y", folder / "IM0002", files=14)


def test_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    write(tmp_path, ct_series())
    (tmp_path / "IM0099").symlink_to("/nowhere/IM0099")
    (tmp_path / "self").symlink_to("self")
    assert_read(tmp_path, notes=[Code.SERIES_UNREADABLE])
    first, second = intake_of(tmp_path).skipped
    assert "a link that leads nowhere: No such file" in first.reason.message
    assert "its links lead in a circle" in second.reason.message


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/M\xe4rz"
    write(Path(os.fsdecode(folder)), ct_series(), name=lambda index: os.fsdecode(b"Sch\xe4del %d" % index))
    Path(os.fsdecode(folder + b"/Sch\xe4del 99")).write_bytes(b"")
    assert_read(tmp_path, notes=[Code.SERIES_UNREADABLE])
    (skipped,) = intake_of(tmp_path).skipped
    assert skipped.name.endswith("/M\\xe4rz/Sch\\xe4del 99")
    (note,) = intake_of(tmp_path).studies[0].notes
    note.message.encode()


def test_names_of_all_kinds(tmp_path: Path) -> None:
    """Such as with line ends, marks of our own messages, dashes and the longest that a file system takes."""
    names = ["a\nb", "\x1b[31m", "x!y", "-o", "--help", "=1+1", "'", '"', "<b>", "%s", "{0}", "z" * 255, "CON", " "]
    write(tmp_path, ct_series(), name=lambda index: names[index])
    (tmp_path / "x!y").write_bytes((tmp_path / "x!y").read_bytes()[:700])
    (skipped,) = intake_of(tmp_path).skipped
    assert skipped.name == str(tmp_path / "x!y")
    (study,) = intake_of(tmp_path).studies
    assert [note.code for note in study.notes] == [Code.SERIES_UNREADABLE]


@pytest.mark.parametrize("mark", ["!", "!!", "a!b.zip!c"])
def test_folder_with_the_mark_of_archives(tmp_path: Path, mark: str) -> None:
    """An unreadable file counts for the study in its own folder, not for that beside."""
    for folder, study_uid in ((f"{mark}1", "1.2.3"), (f"{mark}2", "1.2.4")):
        write(tmp_path / folder, ct_series(StudyInstanceUID=study_uid))
    (tmp_path / f"{mark}1" / "IM0005").write_bytes(b"")
    notes = {study.uid: [note.code for note in study.notes] for study in intake_of(tmp_path).studies}
    assert notes == {"1.2.3": [Code.SERIES_UNREADABLE], "1.2.4": []}


@pytest.fixture
def with_socket(tmp_path: Path) -> Iterator[Path]:
    server = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(tmp_path)  # the path of a socket has at most 108 bytes
    server.bind("socket")
    os.chdir(here)
    yield tmp_path
    server.close()


def test_pipes_and_sockets_are_not_opened(with_socket: Path) -> None:
    write(with_socket, ct_series())
    os.mkfifo(with_socket / "IM0099")
    (with_socket / "null").symlink_to("/dev/null")
    assert_read(with_socket, files=17)
    assert intake_of(with_socket).others == {"pipe": 1, "socket": 1, "device": 1}


def test_pipe_as_the_path(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (line,) = intake_of(tmp_path / "pipe").empty
    assert "found 1 pipe" in line


def locked(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Folders and files of this name cannot be opened; tests may run as root, whom no right stops."""
    scandir, head = os.scandir, Source.head

    def denied(path: Any) -> None:
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))

    def scan(path: Any) -> Any:
        denied(path)
        return scandir(path)

    def read(source: Source) -> bytes:
        denied(source.path)
        return head(source)

    monkeypatch.setattr("ctacal.dicom.files.search.os.scandir", scan)
    monkeypatch.setattr(Source, "head", read)


@pytest.mark.parametrize("name", ["folder", "IM0005.dcm"])
def test_what_is_locked_is_named_and_the_rest_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write(tmp_path, ct_series())
    (tmp_path / "folder").mkdir()
    (tmp_path / "IM0005.dcm").write_bytes(b"")
    if name == "folder":
        (tmp_path / "IM0005.dcm").unlink()
    locked(monkeypatch, name)
    assert_read(tmp_path, notes=[Code.SERIES_UNREADABLE])
    (skipped,) = intake_of(tmp_path).skipped
    assert Path(skipped.name).name == name
    assert "Permission denied; ask for the right to use it" in skipped.reason.message


def test_locked_folder_as_the_only_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked(monkeypatch, tmp_path.name)
    intake = intake_of(tmp_path)
    assert intake.studies == ()
    assert intake.empty == (f"{tmp_path}: no DICOM image series there; found 1 file that could not be read",)


def test_file_that_vanishes_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, ct_series())
    head = Source.head

    def vanish(source: Source) -> bytes:
        content = head(source)
        if source.name == "IM0013":
            source.path.unlink()
        return content

    monkeypatch.setattr(Source, "head", vanish)
    intake = intake_of(tmp_path)
    assert [Path(file.name).name for file in intake.skipped] == ["IM0013"]
    assert [note.code for note in intake.studies[0].notes] == [Code.SERIES_UNREADABLE]


def test_file_that_grew_to_a_terabyte(tmp_path: Path) -> None:
    """A sparse file takes no room on the disk."""
    write(tmp_path, ct_series())
    for name in ("swap", "IM0003"):
        with (tmp_path / name).open("ab") as file:
            file.truncate(2**40)
    assert_read(tmp_path, files=15)


def test_files_of_the_system_that_have_no_size(tmp_path: Path) -> None:
    assert intake_of(Path("/proc/self/status")).studies == ()


def test_unfinished_outputs_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, ct_series())
    unfinished = tmp_path / ".writing-1-2-abc" / "new"
    unfinished.mkdir(parents=True)
    (unfinished / "seg.dcm").write_bytes(encoded(ct_series()[0])[:500])
    assert_read(tmp_path, files=14)


def test_unreadable_file_counts_for_the_study_that_it_names(tmp_path: Path) -> None:
    """Not for the other one in its folder; and wherever it lies."""
    for name, study_uid in (("a", "1.2.3"), ("b", "1.2.4")):
        write(tmp_path, ct_series(StudyInstanceUID=study_uid), name=f"{name}{{}}".format)
    broken = encoded(ct_series(StudyInstanceUID="1.2.4")[13])
    (tmp_path / "elsewhere").mkdir()
    for path in (tmp_path / "b13", tmp_path / "elsewhere" / "x"):
        path.write_bytes(broken[: broken.index(b"\x28\x00\x10\x00US")])
    notes = {study.uid: [note.message for note in study.notes] for study in intake_of(tmp_path).studies}
    assert notes["1.2.3"] == []
    (message,) = notes["1.2.4"]
    assert message.startswith("2 files of this study, or in its folder, could not be read, the first: ")


FAILED_COPIES = {
    "empty": b"",
    "zeros": bytes(4096),
    "noise": bytes(range(1, 256)) * 9,
    "web page": b"<!DOCTYPE html><title>Log in</title>",
    "text": b"version https://git-lfs.github.com/spec/v1\n",
}


@pytest.mark.parametrize("name", ["IM0099", "IM0003.dcm", "other.IMA"])
@pytest.mark.parametrize("content", FAILED_COPIES.values(), ids=FAILED_COPIES)
def test_copy_that_failed_is_no_other_file(tmp_path: Path, name: str, content: bytes) -> None:
    """Named like the images beside it, or by its ending; else the last slice is lost without a word."""
    write(tmp_path, ct_series())
    (tmp_path / name).write_bytes(content)
    assert_read(tmp_path, notes=[Code.SERIES_UNREADABLE])
    (skipped,) = intake_of(tmp_path).skipped
    assert Path(skipped.name).name == name
    assert "copy it again" in skipped.reason.message


@pytest.mark.parametrize("name", ["study.zip", "study.tar.gz", "a.TGZ"])
def test_archive_that_is_empty_is_named(tmp_path: Path, name: str) -> None:
    """A download that failed, among the archives of a cohort."""
    write(tmp_path / "a", ct_series())
    write(tmp_path / "b", ct_series(StudyInstanceUID="1.2.3"))
    (tmp_path / name).write_bytes(b"")
    (skipped,) = intake_of(tmp_path).skipped
    assert "but it is an empty file; copy it again" in skipped.reason.message


def test_file_that_is_still_in_a_cloud(tmp_path: Path) -> None:
    write(tmp_path, ct_series())
    (tmp_path / "IM0013").unlink()
    (tmp_path / ".IM0013.icloud").write_bytes(b"bplist00\xd3\x01")
    (tmp_path / ".report.pdf.icloud").write_bytes(b"bplist00\xd3\x01")
    (skipped,) = intake_of(tmp_path).skipped
    assert "download it first" in skipped.reason.message


@pytest.mark.parametrize("name", ["README", "IM0003.txt", "IM0003.jpg", "index", "IM0003_thumb", "DIR", ".nomedia"])
def test_other_files_are_no_failed_copies(tmp_path: Path, name: str) -> None:
    write(tmp_path, ct_series())
    (tmp_path / name).write_bytes(b"text")
    assert_read(tmp_path, files=15)


@pytest.mark.parametrize("name", ["._IM0003", "._IM0003.dcm"])
def test_shadow_files_of_macos_are_no_failed_copies(tmp_path: Path, name: str) -> None:
    write(tmp_path, ct_series())
    (tmp_path / name).write_bytes(b"\0\x05\x16\x07\0\x02\0\0Mac OS X" + bytes(200))
    assert_read(tmp_path, files=15)


def test_failed_copy_among_files_named_by_uid(tmp_path: Path) -> None:
    series = ct_series()
    write(tmp_path, series, name=lambda index: f"CT.{series[index].SOPInstanceUID}")
    (tmp_path / "CT.1.2.840.4711").write_bytes(b"")
    assert_read(tmp_path, notes=[Code.SERIES_UNREADABLE])


def test_order_is_stable(tmp_path: Path) -> None:
    write(tmp_path, ct_series(), name=lambda index: f"{index % 3}/{by_number(index)}")
    found = [source for source in find_sources(tmp_path, Seen()) if isinstance(source, Source)]
    assert [source.path for source in found] == sorted(tmp_path.rglob("IM*"))


@pytest.mark.parametrize("name", ["nowhere", "file/below", "x" * 300])
def test_path_that_cannot_exist(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("no folder")
    write(tmp_path / "in", ct_series())
    with pytest.raises(UsageError, match=r"no such file|too long"):
        intake_of(tmp_path / "in", tmp_path / name)


@pytest.mark.slow
def test_outputs_of_an_earlier_run_are_no_input(tmp_path: Path) -> None:
    """They lie in the folder of the scan; the next run finds the same series, and nothing to complain of."""
    write(tmp_path, ct_series(WIDE))
    (before,) = intake_of(tmp_path).studies
    kinds = known_writers("json,html,png,seg,sr,labelmap,sc,nifti")
    write_outputs(score_study(before, predict_marker), tmp_path / "out", kinds)
    intake = intake_of(tmp_path)
    assert len(list(tmp_path.rglob("*.dcm"))) == 4
    assert intake.skipped == ()
    assert intake.others["DICOM segmentation"] == 2
    (after,) = intake.studies
    assert [series.uid for series in after.series] == [series.uid for series in before.series]
