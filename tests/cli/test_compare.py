"""``ctacal compare`` as a user types it."""

import json
from pathlib import Path

import pytest

from ctacal.compare.limits import read_limits, write_limits
from tests.commands import SAMPLE, run
from tests.compare.scans import LIMITS
from tests.compare.second_scan import write_scan

PAIRS = "patient_id,agatston_1,agatston_2\n" + "".join(
    f"p{k},{(3 + k) ** 2},{(3 + k + (-1) ** k) ** 2}\n" for k in range(32)
)
"""Roots that differ by 1 in either direction."""


def test_two_scans_and_a_line_of_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    later = write_scan(tmp_path / "later", StudyDate="20260601", SeriesDate="20260601", AcquisitionDate="20260601")
    sample = SAMPLE.with_name("simulated_ctac.zip")
    options = ("--predictor", "threshold", "--write", "json", "--json")
    assert run("compare", later, sample, "-o", tmp_path / "out", *options, monkeypatch=monkeypatch) == 0
    printed = capsys.readouterr()
    content = json.loads(printed.out)
    assert content == json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert content["scans"][0]["date"] == "2024-01-02"
    assert "comparisons: 0 within, 0 beyond, 1 not comparable" in printed.err
    assert not (tmp_path / "out" / "comparison.html").exists()


def test_two_patients_end_with_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_scan(tmp_path / "other", PatientID="someone else")
    sample = SAMPLE.with_name("simulated_ctac.zip")
    assert run("compare", sample, other, "-o", tmp_path / "out", monkeypatch=monkeypatch) == 1
    assert "MIXED_PATIENTS: the two scans differ in patient ID" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_limits_are_made_and_judge_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pairs.csv").write_text(PAIRS)
    ours = tmp_path / "ours.json"
    arguments = ("compare", "--repeatability", tmp_path / "pairs.csv", "--name", "ours", "-o", ours)
    assert run(*arguments, monkeypatch=monkeypatch) == 0
    assert read_limits(ours).name == "ours"
    (tmp_path / "scans.csv").write_text("patient_id,date,agatston\na,2020-01-01,100\na,2022-01-01,400\n")
    out = tmp_path / "out"
    assert run("compare", tmp_path / "scans.csv", "--limits", ours, "-o", out, monkeypatch=monkeypatch) == 0
    printed = capsys.readouterr()
    assert "row 2 -> row 3  Agatston 100.0 -> 400.0  BEYOND" in printed.out
    assert "32 pairs give limits that are themselves unsure" in printed.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--accept", "NOTHING"), "--accept NOTHING: no such doubt"),
        (("--accept", "NO_LIMITS"), "--accept NO_LIMITS: no verdict is possible"),
        (("--bmi", "3"), "--bmi 3: expected kg/m2"),
        (("--limits", "none.json"), "--limits none.json: No such file"),
        (("--write", "doc"), "--write doc: known are"),
        (("--repeatability",), "--repeatability takes one table of pairs"),
    ],
)
def test_wrong_usage_ends_with_status_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    write_limits(LIMITS, tmp_path / "ours.json")
    paths = (tmp_path / "a", tmp_path / "b")
    assert run("compare", *paths, "-o", tmp_path / "out", *arguments, monkeypatch=monkeypatch) == 2
    assert said in capsys.readouterr().err


def test_a_scan_that_is_cut_off_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = SAMPLE.with_name("simulated_ctac.zip")
    (tmp_path / "cut.zip").write_bytes(sample.read_bytes()[:100_000])
    assert run("compare", sample, tmp_path / "cut.zip", "-o", tmp_path / "out", monkeypatch=monkeypatch) == 2
    assert "cut.zip: damaged or cut off" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
