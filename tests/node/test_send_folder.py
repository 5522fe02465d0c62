"""Results into a folder: whole files, once, and never over something else."""

from pathlib import Path
from typing import Any

from tests.node.sending import Scene


def scene_of(tmp_path: Path, **fields: Any) -> Scene:
    archive = tmp_path / "archive"
    return Scene(tmp_path / "store", ({"name": "PACS", "kind": "folder", "folder": str(archive), "retry_s": 0.001,
                                       "longest_retry_s": 0.001, **fields},))  # fmt: skip


def test_objects_lie_by_study_and_instance(tmp_path: Path) -> None:
    scene = scene_of(tmp_path)
    (tmp_path / "archive").mkdir()
    study_uid = scene.scored()
    scene.line().turn()
    assert scene.states() == {"seg": "DONE", "sr": "DONE"}
    for row in scene.rows():
        copy = tmp_path / "archive" / study_uid / f"{row.sop_instance_uid}.dcm"
        assert copy.read_bytes() == (scene.folder / row.path).read_bytes()
    assert len(list((tmp_path / "archive").rglob("*.*"))) == 3, "a folder, two files"


def test_the_same_file_is_delivered_and_another_is_left_alone(tmp_path: Path) -> None:
    scene = scene_of(tmp_path)
    study_uid = scene.scored()
    seg, sr = scene.rows()
    folder = tmp_path / "archive" / study_uid
    folder.mkdir(parents=True)
    (folder / f"{seg.sop_instance_uid}.dcm").write_bytes((scene.folder / seg.path).read_bytes())
    (folder / f"{sr.sop_instance_uid}.dcm").write_text("of somebody else")
    scene.line().turn()
    assert scene.states() == {"seg": "DONE", "sr": "HELD"}
    assert "holds something else; move it away, then retry" in scene.reasons()["sr"]
    assert (folder / f"{sr.sop_instance_uid}.dcm").read_text() == "of somebody else"


def test_a_newer_report_replaces_an_older_one(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, send=["pdf"])
    (tmp_path / "archive").mkdir()
    for text in ("older", "newer", "older"):
        scene.report = text
        study_uid = scene.scored()
        scene.line().turn()
        assert (tmp_path / "archive" / study_uid / "report.pdf").read_text() == text
    assert {str(row.state) for row in scene.rows()} == {"DONE"}


def test_a_folder_that_is_not_mounted_is_waited_for(tmp_path: Path) -> None:
    scene = scene_of(tmp_path)
    scene.scored()
    line = scene.line()
    line.turn()
    assert scene.states() == {"seg": "WAITING", "sr": "WAITING"}
    assert "archive is not there; mount it, or make it" in scene.reasons()["seg"]
    assert not (tmp_path / "archive").exists()
    (tmp_path / "archive").mkdir()
    while "WAITING" in scene.states().values():
        line.turn()
    assert scene.states() == {"seg": "DONE", "sr": "DONE"}
