"""``ctacal simulate`` on the command line."""

import csv
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from ctacal.cli.app import main
from ctacal.simulate.output.folder import RECORD
from ctacal.simulate.output.simulated import WORDS
from ctacal.simulate.study import StudyDescription, draw_study
from tests.dicom_series import ct_series, write
from tests.simulate.studies import drawn_by_hand, tiny_protocol

TINY = "\n".join(
    f"{name} = {json.dumps(getattr(tiny_protocol(), name))}"
    for name in (
        "kvp", "tube_current_ma", "rotation_s", "thickness_mm", "spacing_mm", "matrix", "fov_mm", "kernel",
        "mtf50_per_mm", "noise_target_hu", "collimation_mm", "views", "detector_mm",
    )
)  # fmt: skip


@pytest.fixture
def without_scanner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make studies by hand, in this process."""
    from ctacal.simulate import cohort

    monkeypatch.setattr(cohort, "make_cohort", partial(cohort.make_cohort, simulate=drawn_by_hand))


def run(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["ctacal", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


@pytest.mark.slow
@pytest.mark.usefixtures("without_scanner")
def test_a_cohort_is_scored_as_its_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ("simulate", "--centre", "hawkeye_slow", "--centre", "pet_ct_140kvp", "-n", 3, "--seed", 7, "-o", out)
    assert run(*arguments, monkeypatch=monkeypatch) == 0
    printed = capsys.readouterr()
    rows = table(out / "manifest.csv")
    assert [row["study"] for row in rows] == ["hawkeye_slow-7000000", "pet_ct_140kvp-7000001", "hawkeye_slow-7000002"]
    assert len(printed.out.splitlines()) == 3
    assert "3 made" in printed.err
    study = out / rows[1]["study"]
    labels = study / "truth" / "labels.nii.gz"
    assert run("score", study / "dicom", "--labels", labels, "-o", tmp_path / "s", monkeypatch=monkeypatch) == 0
    true_score = json.loads((study / RECORD).read_text())["ctac_score"]["agatston"]
    assert true_score > 0
    assert float(table(tmp_path / "s" / "results.csv")[0]["agatston"]) == pytest.approx(true_score, abs=1e-3)
    capsys.readouterr()
    assert run("info", study / "dicom", "--json", monkeypatch=monkeypatch) == 0
    assert "attenuation-correction" in json.loads(capsys.readouterr().out)[0]["taken"]


@pytest.mark.usefixtures("without_scanner")
def test_replay_makes_the_same_study_and_resume_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ("simulate", "--centre", "spect_ct_2slice", "--write", "nifti", "-o", tmp_path / "first")
    assert run(*first, monkeypatch=monkeypatch) == 0
    record = next((tmp_path / "first").glob("*/" + RECORD))
    again = ("simulate", "--replay", record, "--write", "nifti", "-o", tmp_path / "again")
    assert run(*again, monkeypatch=monkeypatch) == 0
    assert next((tmp_path / "again").glob("*/" + RECORD)).read_bytes() == record.read_bytes()
    assert run(*first, "--resume", monkeypatch=monkeypatch) == 0
    assert table(tmp_path / "first" / "manifest.csv")[0]["status"] == "kept"


def test_a_failing_study_is_reported_and_gives_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ctacal.simulate import cohort

    def broken(_: StudyDescription) -> NoReturn:
        raise ValueError("no heart")

    monkeypatch.setattr(cohort, "make_cohort", partial(cohort.make_cohort, simulate=broken))
    assert run("simulate", "-n", 2, "-o", tmp_path, monkeypatch=monkeypatch) == 1
    printed = capsys.readouterr()
    assert printed.out.count("FAILED  ValueError: no heart") == 2
    assert "2 failed" in printed.err


def test_describe_prints_what_would_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ours.toml").write_text(TINY)
    options = ("--centre", tmp_path / "ours.toml", "-n", 2, "--sex", "F", "--age", 71, "--bmi", 24, "--no-calcium")
    assert run("simulate", *options, "--describe", monkeypatch=monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    described = [StudyDescription.from_json(json.loads(line)) for line in lines]
    assert described == [
        draw_study(seed, tiny_protocol("ours"), sex="F", age_years=71, bmi=24, with_deposits=False) for seed in (0, 1)
    ]


def test_protocols_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("simulate", "--list-centres", monkeypatch=monkeypatch) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in WORDS)
    assert "140 kVp" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--centre", "nowhere"], "no protocol 'nowhere'"),
        (["--centre", "negative.toml"], "tube_current_ma is -3.0"),
        (["-n", "0"], "-n is 0"),
        (["--workers", "0"], "--workers is 0"),
        (["--seed", "-1"], "--seed is -1"),
        (["--sex", "X"], "--sex is X"),
        (["--age", "7"], "--age is 7.0"),
        (["--bmi", "3"], "--bmi is 3.0"),
        (["--write", "docx"], "--write is docx"),
        (["--replay", "none.json"], "--replay none.json: No such file"),
        (["--replay", "empty.json"], "--replay empty.json: no study description"),
        (["--replay", "list.json"], "--replay list.json: no study description"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "negative.toml").write_text(TINY.replace("tube_current_ma = 80.0", "tube_current_ma = -3"))
    (tmp_path / "empty.json").write_text('{"description": {}}')
    (tmp_path / "list.json").write_text("[1]")
    assert run("simulate", *arguments, "-o", "out", monkeypatch=monkeypatch) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_must_be_given(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("simulate", monkeypatch=monkeypatch) == 2
    assert "-o OUT" in capsys.readouterr().err


def test_says_what_to_install_if_the_extra_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ctacal.cli.simulate.NEEDED", ("numba", "no_such_library"))
    assert run("simulate", "--list-centres", monkeypatch=monkeypatch) == 2
    assert "no_such_library: pip install 'ctacal[simulate]'" in capsys.readouterr().err


def test_help_imports_no_simulator() -> None:
    code = "import sys, ctacal.cli.simulate; print('numba' in sys.modules, 'ctacal.simulate' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"


def test_realism_without_reference_scans_says_where_to_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CTACAL_REFERENCE_DATA", str(tmp_path))
    assert run("simulate", "--realism", "-o", tmp_path / "out", monkeypatch=monkeypatch) == 2
    assert "CTACAL_REFERENCE_DATA" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_realism_takes_a_scan_and_its_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ctacal.simulate.realism import report

    call: dict[str, object] = {}
    monkeypatch.setattr(report, "write_realism", lambda out, **options: call.update(options, out=out))
    arguments = ("--realism", "--real", tmp_path / "scan", "--centre", "hawkeye_slow", "-o", tmp_path)
    assert run("simulate", *arguments, monkeypatch=monkeypatch) == 0
    assert (call["path"], call["protocol"], call["out"]) == (tmp_path / "scan", "hawkeye_slow", tmp_path)
    assert "realism.html" in capsys.readouterr().out
    assert run("simulate", *arguments, "--centre", "pet_ct_140kvp", monkeypatch=monkeypatch) == 2


def test_insert_takes_scan_protocol_and_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ctacal.jobs import simulate

    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(simulate, "insert_study", lambda paths, **options: calls.append({"paths": paths, **options}))
    monkeypatch.setattr(simulate, "write_inserted", lambda *_, **__: {"ctac_score": {"agatston": 12.3}})
    arguments = ("--insert", "scan", "--protocol", "hawkeye_slow", "--lines", "l.json", "-n", 2, "--seed", 3)
    assert run("simulate", *arguments, "-o", tmp_path, monkeypatch=monkeypatch) == 0
    assert [call["seed"] for call in calls] == [3000000, 3000001]
    assert (calls[0]["paths"], calls[0]["lines"], calls[0]["protocol"].name) == (
        [Path("scan")],
        Path("l.json"),
        "hawkeye_slow",
    )
    assert "inserted-3000001  made  CTAC 12.3" in capsys.readouterr().out


def test_a_scan_that_cannot_take_calcium_is_reported_and_gives_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "gap", ct_series()[:2])
    assert run("simulate", "--insert", tmp_path / "gap", "-o", tmp_path / "out", monkeypatch=monkeypatch) == 1
    assert "REFUSED" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.ci
def test_the_whole_way(tmp_path: Path) -> None:
    """As installed: anatomy, scanner, files; in two processes and, again, in one; scored and listed."""
    program = Path(sys.executable).with_name("ctacal")
    (tmp_path / "tiny.toml").write_text(TINY)
    for name, count in (("compiling", "1"), ("first", "2"), ("again", "1")):  # the run that compiles rounds differently
        command: list[str | Path] = [program, "simulate", "--centre", "tiny.toml", "-n", count]
        command += ["--workers", "2", "-o", name]
        subprocess.run(command, cwd=tmp_path, check=True)
    first, again = (table(tmp_path / name / "manifest.csv") for name in ("first", "again"))
    assert first[0]["digest"] == again[0]["digest"]
    for row in first:
        study = tmp_path / "first" / row["study"]
        record = json.loads((study / RECORD).read_text())
        for labels in ("labels.nii.gz", "labels.dcm"):
            command = [program, "score", study / "dicom", "--labels", study / "truth" / labels, "-o", study / "scored"]
            subprocess.run(command, check=True)
            (scored,) = table(study / "scored" / "results.csv")
            assert float(scored["agatston"]) == pytest.approx(record["ctac_score"]["agatston"], abs=1e-3)
            assert scored["study_uid"] == record["study_uid"]
