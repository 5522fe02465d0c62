"""``ctacal score`` and ``info`` as typed: many studies at once, faulty studies among them, exit status, messages."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from ctacal.jobs.installation import SAMPLES
from tests import places
from tests.commands import LABELS, SAMPLE, results, run, table
from tests.dicom.objects.segmentations import seg, segment
from tests.dicom_series import MARKER_INDEX, ct_series, emission_image, uid, write
from tests.marker_study import SCHEMA, WIDE

TRUTH = json.loads((places.SAMPLE / "thorax_phantom.json").read_text())
THRESHOLD = ("--predictor", "threshold")
"""For tests in which the predictor does not matter."""


def study(folder: Path, name: str, **attributes: Any) -> Path:
    """A CTAC study of its own under ``folder``."""
    own = {"StudyInstanceUID": uid(name), **attributes}
    return write(folder / name, ct_series(WIDE, name=name, **own))


@pytest.mark.slow
def test_sample_by_its_true_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("score", SAMPLE, "-o", tmp_path, "--labels", LABELS, monkeypatch=monkeypatch) == 0
    (row,), (result,) = table(tmp_path), results(tmp_path)
    assert result["agatston"]["total"] == pytest.approx(TRUTH["agatston"]["total"], abs=1e-3)
    assert result["category"] == row["category"] == TRUTH["category"]
    assert float(row["agatston"]) == pytest.approx(TRUTH["agatston"]["total"], abs=1e-3)
    with Image.open(tmp_path / row["folder"] / "montage.png") as picture:
        assert picture.width >= 700
        assert picture.mode == "RGB"


@pytest.mark.slow
def test_labels_written_and_read_again_score_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("score", SAMPLE, "-o", tmp_path / "a", *THRESHOLD, "--write", "json,nifti", monkeypatch=monkeypatch) == 0
    written = next((tmp_path / "a").rglob("labels.nii.gz"))
    assert run("score", SAMPLE, "-o", tmp_path / "b", "--labels", written, monkeypatch=monkeypatch) == 0
    first, second = results(tmp_path / "a")[0], results(tmp_path / "b")[0]
    assert first["agatston"]["total"] > 0
    assert first["agatston"] == second["agatston"]
    assert first["lesions"] == second["lesions"]
    assert not list((tmp_path / "a").rglob("*.png"))


@pytest.mark.slow
def test_the_seg_of_a_study_scores_as_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default it lies beside the report, the SR and the page of all studies."""
    assert run("score", SAMPLE, "-o", tmp_path / "a", *THRESHOLD, monkeypatch=monkeypatch) == 0
    (result,) = results(tmp_path / "a")
    folder = tmp_path / "a" / result["study"]["study_uid"]
    assert {file.name for file in folder.iterdir()} == {
        "result.json", "report.html", "report.pdf", "montage.png", "seg.dcm", "sr.dcm",
    }  # fmt: skip
    assert {file.name for file in (tmp_path / "a").iterdir()} == {
        folder.name, "results.csv", "index.html", "inputs.json"
    }  # fmt: skip
    again = ("--labels", folder / "seg.dcm", "--write", "json")
    assert run("score", SAMPLE, "-o", tmp_path / "b", *again, monkeypatch=monkeypatch) == 0
    (scored,) = results(tmp_path / "b")
    assert all(scored[name] == result[name] for name in ("agatston", "volume_mm3", "category", "lesions"))
    assert scored["agatston"]["total"] > 0
    assert not (tmp_path / "b" / "index.html").exists()


@pytest.mark.slow
def test_one_bad_study_never_stops_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    shutil.copy(SAMPLE, mixed / "good.dat")
    study(mixed, "tilted", ImagePositionPatient=[0, 0, 0])
    gap = study(mixed, "gap")
    (gap / "IM0003").unlink()
    write(mixed / "no-ct", [emission_image(StudyInstanceUID=uid("no-ct"))])
    (mixed / "notes.txt").write_text("no image")
    (gap / "IM0005").write_bytes((gap / "IM0005").read_bytes()[:300])
    assert run("score", mixed, "-o", tmp_path / "out", *THRESHOLD, monkeypatch=monkeypatch) == 1
    rows = {row["study_uid"]: row for row in table(tmp_path / "out")}
    assert len(rows) == 4
    assert rows[uid("no-ct")]["reason_codes"] == "NO_CT_SERIES"
    assert rows[uid("tilted")]["reason_codes"] == "DUPLICATE_SLICE"
    assert rows[uid("gap")]["reason_codes"].split()[-1] == "MISSING_SLICE"
    assert sum(row["status"] != "refused" for row in rows.values()) == 1
    assert len(results(tmp_path / "out")) == 4
    assert all(row["agatston"] == "" for row in rows.values() if row["status"] == "refused")
    printed = capsys.readouterr()
    assert sum(line.startswith("study ") for line in printed.out.splitlines()) == 4
    assert "1 scored, 3 refused" in printed.err
    assert "IM0005" in (tmp_path / "out" / "skipped.csv").read_text()
    assert "Research use only" in printed.err


@pytest.mark.slow
def test_a_refusal_leaves_no_picture_of_an_earlier_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    run("score", SAMPLE, "-o", out, *THRESHOLD, "--write", "json,png,nifti", monkeypatch=monkeypatch)
    assert len(list(out.rglob("*.nii.gz"))) == len(list(out.rglob("*.png"))) + 1 == 2
    (tmp_path / "wrong.nii").write_text("no labels")
    assert run("score", SAMPLE, "-o", out, "--labels", tmp_path / "wrong.nii", monkeypatch=monkeypatch) == 1
    assert results(out)[0]["reasons"][0]["code"] == "LABELS_UNREADABLE"
    assert not [file for file in out.rglob("*") if file.suffix in (".png", ".gz")]


@pytest.mark.slow
def test_a_defect_in_drawing_costs_the_picture_not_the_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("no tiles")

    monkeypatch.setattr("ctacal.report.outputs.montage", broken)
    assert run("score", SAMPLE, "-o", tmp_path, "--labels", LABELS, monkeypatch=monkeypatch) == 0
    (result,), (row,) = results(tmp_path), table(tmp_path)
    assert result["status"] == row["status"] == "scored_with_warnings"
    assert row["reason_codes"] == "INTERNAL_ERROR"
    assert result["agatston"]["total"] == pytest.approx(TRUTH["agatston"]["total"], abs=1e-3)
    assert not [file for file in tmp_path.rglob("*") if file.suffix == ".png" or file.name.startswith(".writing")]


@pytest.mark.slow
def test_json_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    study(tmp_path / "in", "gap", ImagePositionPatient=[0, 0, 0])
    assert (
        run("score", tmp_path / "in", SAMPLE, "-o", tmp_path / "out", *THRESHOLD, "--json", monkeypatch=monkeypatch)
        == 1
    )
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for line in lines:
        jsonschema.validate(line, SCHEMA)
    assert {line["status"] for line in lines} >= {"refused"}
    assert len(lines) == 2


@pytest.mark.slow
def test_resume_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    run("score", SAMPLE, "-o", out, *THRESHOLD, monkeypatch=monkeypatch)
    file = next(out.rglob("result.json"))
    marked = json.loads(file.read_text()) | {"category": "101-400"}
    file.write_text(json.dumps(marked))
    assert run("score", SAMPLE, "-o", out, *THRESHOLD, "--resume", monkeypatch=monkeypatch) == 0
    assert table(out)[0]["category"] == "101-400"
    assert (
        run("score", SAMPLE, "-o", out, *THRESHOLD, "--resume", "--rule", "agatston1990", monkeypatch=monkeypatch) == 0
    )
    assert table(out)[0]["rule"] == "agatston1990"
    file.write_text('{"half": ')
    assert run("score", SAMPLE, "-o", out, *THRESHOLD, "--resume", monkeypatch=monkeypatch) == 0
    assert results(out)[0]["rule"]["name"] == "scct2016"


def test_each_series_gets_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_study = {"StudyInstanceUID": uid("both")}
    for name in ("rest", "stress"):
        write(tmp_path / "in" / name, ct_series(WIDE, name=name, **one_study))
    run("score", tmp_path / "in", "-o", tmp_path / "out", *THRESHOLD, "--series", "each", monkeypatch=monkeypatch)
    rows = table(tmp_path / "out")
    assert len({row["series_uid"] for row in rows}) == 2
    assert len({row["folder"] for row in rows}) == 2
    wanted = rows[1]["series_uid"]
    run("score", tmp_path / "in", "-o", tmp_path / "one", *THRESHOLD, "--series", wanted, monkeypatch=monkeypatch)
    assert [row["series_uid"] for row in table(tmp_path / "one")] == [wanted]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-folder"], "no-such-folder: no such file or folder"),
        ([SAMPLE, "--rule", "mine"], "no scoring rule is called 'mine'"),
        ([SAMPLE, "--predictor", "magic"], "no predictor is called 'magic'"),
        ([SAMPLE, "--model", "no-model"], "no-model holds no model"),
        ([SAMPLE, "--model", "no-model", "--predictor", "threshold"], "threshold has no weights"),
        ([SAMPLE, "--write", "docx"], "--write docx: known are"),
        ([SAMPLE, "--labels", "none.nii"], "none.nii: no such label file"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[object],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("score", *arguments, "-o", tmp_path / "out", monkeypatch=monkeypatch) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_seg_is_scored_on_the_series_it_was_drawn_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on the likelier CTAC; and another patient's scan of the same grid is refused."""
    one_study = {"StudyInstanceUID": uid("both")}
    likely, drawn_on = (ct_series(WIDE, name=name, **one_study) for name in ("likely", "drawn-on"))
    for image in drawn_on:
        image.SeriesDescription, image.ConvolutionKernel = "CHEST", "B70f"
    labels = np.zeros((len(drawn_on), WIDE.rows, WIDE.columns), np.uint8)
    labels[MARKER_INDEX] = 1
    seg(drawn_on, labels, [segment(1, "LAD")]).save_as(tmp_path / "seg.dcm")
    write(tmp_path / "in" / "likely", likely)
    write(tmp_path / "in" / "drawn-on", drawn_on)
    arguments = ("--labels", tmp_path / "seg.dcm", "-o", tmp_path / "out")
    assert run("score", tmp_path / "in", *arguments, monkeypatch=monkeypatch) == 0
    (row,) = table(tmp_path / "out")
    assert row["series_uid"] == drawn_on[0].SeriesInstanceUID
    assert float(row["agatston_lad"]) == pytest.approx(6.0)
    other = study(tmp_path, "another-patient")
    assert run("score", other, *arguments, monkeypatch=monkeypatch) == 1
    assert table(tmp_path / "out")[0]["reason_codes"] == "SERIES_NOT_FOUND"


def test_contrast_medium_is_scored_only_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = ct_series(WIDE, ContrastBolusAgent="IOMERON")
    labels = np.zeros((len(series), WIDE.rows, WIDE.columns), np.uint8)
    labels[MARKER_INDEX] = 1
    seg(series, labels, [segment(1, "LAD")]).save_as(tmp_path / "seg.dcm")
    arguments = (
        write(tmp_path / "in", series),
        "--labels",
        tmp_path / "seg.dcm",
        "--write",
        "json",
        "-o",
        tmp_path / "out",
    )
    assert run("score", *arguments, monkeypatch=monkeypatch) == 1
    assert table(tmp_path / "out")[0]["reason_codes"] == "CONTRAST_GIVEN"
    assert run("score", *arguments, "--allow-contrast", monkeypatch=monkeypatch) == 0
    (row,) = table(tmp_path / "out")
    assert (float(row["agatston_lad"]), row["status"]) == (pytest.approx(6.0), "scored_with_warnings")
    assert "CONTRAST_GIVEN" in row["reason_codes"]


def test_an_output_that_is_no_folder_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("in the way")
    assert run("score", SAMPLE, "-o", tmp_path / "out", monkeypatch=monkeypatch) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "out: File exists" in line


def test_labels_for_several_studies_are_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study(tmp_path, "another")
    arguments = (SAMPLE, tmp_path / "another", "-o", tmp_path / "out", "--labels", LABELS)
    assert run("score", *arguments, monkeypatch=monkeypatch) == 2
    assert "2 were found" in capsys.readouterr().err


def test_nothing_found_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("no image")
    assert run("score", tmp_path / "in", "-o", tmp_path / "out", monkeypatch=monkeypatch) == 1
    assert table(tmp_path / "out") == []
    assert "no DICOM image series there; found 1 text file" in capsys.readouterr().err


def test_info_lists_series_and_the_choice(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", SAMPLE, "--json", monkeypatch=monkeypatch) == 0
    (study,) = json.loads(capsys.readouterr().out)
    assert "attenuation-correction" in study["taken"]
    assert "48 images" in study["series"][0]


def test_info_of_nothing_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    assert run("info", tmp_path, monkeypatch=monkeypatch) == 1
    assert "no DICOM image series" in capsys.readouterr().err


def test_info_of_the_installation(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", monkeypatch=monkeypatch) == 0
    printed = capsys.readouterr().out
    assert "scct2016" in printed
    assert "JPEG-LS: True" in printed
    assert run("info", "--self-check", monkeypatch=monkeypatch) == 0
    assert "passed: True" in capsys.readouterr().out


def test_runtime_licences_are_permissive(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", "--licences", "--json", monkeypatch=monkeypatch) == 0
    licences = json.loads(capsys.readouterr().out)
    assert {"numpy", "scipy", "pydicom", "pillow", "python-gdcm"} <= set(licences)
    assert not [name for name, licence in licences.items() if "GPL" in licence.upper() or licence == "not stated"]


def test_self_check_can_fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("ctacal.scores.REFERENCE_SLICE_MM", 2.5)
    assert run("info", "--self-check", monkeypatch=monkeypatch) == 1
    assert "passed: False" in capsys.readouterr().out


@pytest.mark.slow
def test_demo_leaves_a_score_a_result_and_a_picture(tmp_path: Path) -> None:
    """As installed, in a process of its own."""
    program = Path(sys.executable).with_name("ctacal")
    done = subprocess.run([program, "demo", "-o", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "not a patient" in done.stdout
    for part in (tmp_path / name / way for name in SAMPLES for way in ("true-labels", "networks", "threshold")):
        assert table(part)[0]["status"].startswith("scored")
        assert len(results(part)) == 1
        with Image.open(next(part.rglob("montage.png"))) as picture:
            assert np.asarray(picture).std() > 10
    assert results(tmp_path / "simulated_ctac" / "networks")[0]["category"] != "0"


def test_help_names_every_kind_of_output(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from ctacal.report.outputs import DEFAULT_WRITERS, WRITERS

    assert run("score", "--help", monkeypatch=monkeypatch) == 0
    words = re.sub(r"\s+", " ", capsys.readouterr().out)
    (kinds, default) = re.findall(r"Files to write for each study: ([\w, ]+)\. \[default: ([\w,]+)\]", words)[0]
    assert set(kinds.split(", ")) == set(WRITERS)
    assert set(default.split(",")) == set(DEFAULT_WRITERS)
