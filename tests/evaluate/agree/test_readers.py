"""``ctacal agree`` beyond pairs: several readers, repeat readings, lesions, readers of a part of the studies."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ctacal.cli.app import app
from ctacal.errors import UsageError
from ctacal.evaluate.agree import AgreeConfig, read_raters
from ctacal.evaluate.agree.label_files import find_label_files
from ctacal.geometry import Geometry
from ctacal.labels import Calcium, LabelMap
from tests import places

DATA = places.DATA / "agreement"
R: dict[str, Any] = json.loads((DATA / "several_readers.json").read_text(encoding="utf-8"))


def run(out: Path, *typed: str) -> dict[str, Any]:
    """The numbers of a run."""
    done = CliRunner().invoke(app, ["agree", *typed, "-o", str(out)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    content: dict[str, Any] = json.loads((out / "numbers.json").read_text(encoding="utf-8"))
    return dict(content["numbers"])


def refused(*typed: str) -> str:
    done = CliRunner().invoke(app, ["agree", *typed])
    assert isinstance(done.exception, UsageError)
    return str(done.exception)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts are left blank, and there are fewer resamples."""
    monkeypatch.setattr("ctacal.evaluate.publication.write.draw_chart", lambda chart: (b"<svg></svg>", b""))
    monkeypatch.setattr("ctacal.statistics.bootstrap.RESAMPLES", 100)


def page(out: Path) -> str:
    text = re.sub(r"<[^>]+>", " ", (out / "report.html").read_text(encoding="utf-8"))
    return " ".join(text.replace("\u00a0", " ").split())


def rows(out: Path, name: str) -> list[list[str]]:
    with (out / "tables" / f"{name}.csv").open(encoding="utf-8-sig") as file:
        return list(csv.reader(file))


def test_readings_of_the_page_are_taken_as_they_are(tmp_path: Path) -> None:
    """The columns of the reader's page: case, reader_ID, its vessels, its second reading, which most studies lack."""
    table = tmp_path / "readings.csv"
    with (DATA / "several_readers.csv").open(encoding="utf-8") as file:
        head, *lines = list(csv.reader(file))
    names = [name.replace("study", "case") for name in head if name not in ("patient", "model")]
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, *(f"reader_a_{vessel}" for vessel in ("lm", "lad", "lcx", "rca"))])
        for line in lines:
            kept = [cell for name, cell in zip(head, line, strict=True) if name not in ("patient", "model")]
            writer.writerow([*kept, "0", line[head.index("reader_a")], "0", "0"])
    out = tmp_path / "OUT"
    numbers = run(out, str(table))
    together, (repeat,) = numbers["readers_together"], numbers["repeats"]
    assert together["readers"] == ["reader_a", "reader_b", "reader_c", "reader_d"]
    assert together["raw"]["agreement"]["estimate"] == pytest.approx(R["icc"]["agreement"]["icc"], rel=1e-9)
    assert together["logarithmic"]["one_way"]["low"] == pytest.approx(R["icc_log"]["one_way"]["lo"], rel=1e-9)
    assert together["spread"]["coefficient"]["high"] == pytest.approx(R["reproducibility"]["coefficient"][2], rel=1e-9)
    assert together["four"]["fleiss"]["estimate"] == pytest.approx(R["fleiss"]["kappa"], rel=1e-12)
    assert together["four"]["light"]["linear"]["estimate"] == pytest.approx(R["light"]["linear"], rel=1e-12)
    assert together["four"]["alpha"]["estimate"] == pytest.approx(R["alpha"], rel=1e-12)
    assert not together["models"]
    assert (repeat["reader"], repeat["comparison"]["n"]) == ("reader_a", 30)
    assert repeat["spread"]["coefficient"]["estimate"] == pytest.approx(R["repeatability"]["coefficient"][0], rel=1e-9)
    assert repeat["raw"]["estimate"] == pytest.approx(R["icc_repeats"]["one_way"]["icc"], rel=1e-9)
    assert not (out / "tables" / "models_readers.csv").exists()
    text = page(out)
    assert f"{R['fleiss']['kappa']:.3f} ({R['fleiss']['ci'][0]:.3f} to {R['fleiss']['ci'][1]:.3f})" in text
    assert "Comparison of 4 readers in this report. Repeat readings by reader_a." in text
    assert rows(out, "repeats")[1] == ["Studies read twice", "30"]
    assert "nan" not in text.lower().replace("finan", "").split()


def test_models_stand_against_readers_in_general(tmp_path: Path) -> None:
    out = tmp_path / "OUT"
    numbers = run(out, str(DATA / "several_readers.csv"), "--patient", "patient")
    (model,) = numbers["readers_together"]["models"]
    expected = R["over_readers"]["linear_kappa_by_patient"]
    kappa = model["linear_kappa"]
    assert [kappa["estimate"], kappa["low"], kappa["high"]] == pytest.approx([expected["mean"], *expected["ci"]])
    assert model["exact"]["estimate"] == pytest.approx(R["over_readers"]["exact"]["mean"])
    assert model["beyond_readers"]["estimate"] == pytest.approx(R["beyond"])
    assert rows(out, "models_readers")[1][2].startswith(f"{expected['mean']:.3f} (")
    assert "Obuchowski and Rockette" in page(out)


def test_two_readers_without_repeats_have_no_new_part(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("study,reader_a,reader_b\n" + "\n".join(f"{n},{n * n},{n * n + 5}" for n in range(30)) + "\n")
    numbers = run(tmp_path / "OUT", str(path))
    assert not {"readers_together", "repeats", "lesions"} & set(numbers)
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", (tmp_path / "OUT" / "report.html").read_text(encoding="utf-8"))
    assert titles[:4] == ["Summary", "reader_b against reader_a", "What was read", "Statistical methods"]


def test_readers_of_a_part(tmp_path: Path) -> None:
    """Each of four readers reads two thirds of the studies; the sets differ."""
    path = tmp_path / "t.csv"
    scores = [[n * n, n * n + n, 0.9 * n * n, n * n + 3] for n in range(36)]
    cells = [
        ["" if (row // 3 + reader) % 3 == 0 and row >= 9 else f"{score:g}" for reader, score in enumerate(line)]
        for row, line in enumerate(scores)
    ]
    lines = [
        f"s{row},p{row // 2},{','.join(line)},{scores[row][0] + 1 if row != 35 else ''}"
        for row, line in enumerate(cells)
    ]
    path.write_text("\n".join(["case,patient,reader_a,reader_b,reader_c,reader_d,model", *lines]) + "\n")
    assert "with --incomplete" in refused(str(path), "-o", str(tmp_path / "OUT"))
    numbers = run(tmp_path / "OUT", str(path), "--incomplete", "--patient", "patient")
    counts = {(found["reference"], found["other"]): found["n"] for found in numbers["comparisons"]}
    read = [sum(bool(line[reader]) for line in cells) for reader in range(4)]
    assert read == [27] * 4
    assert counts[("reader_a", "model")] == 27 - bool(cells[35][0])
    assert counts[("reader_a", "reader_b")] == sum(bool(line[0] and line[1]) for line in cells) == 18
    assert counts[("reader_a", "reader_d")] == 27
    together = numbers["readers_together"]
    assert together["n"] == 9
    assert together["four"]["alpha"]["n"] == 36
    text = page(tmp_path / "OUT")
    assert "Not everybody scored every study: reader_a 27, reader_b 27, reader_c 27, reader_d 27 and model 35." in text
    assert "Alpha also has the 27 studies that two readers or more scored, but not all." in text


def test_readers_who_share_no_study(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("study,reader_a,reader_b\n1,5,\n2,,7\n")
    assert "no study was scored by two raters" in refused(str(path), "--incomplete", "-o", str(tmp_path / "OUT"))
    path.write_text("study,reader_a,reader_b,model\n1,5,,6\n2,,7,8\n3,1,,4\n")
    numbers = run(tmp_path / "OUT", str(path), "--incomplete")
    assert [(found["reference"], found["n"]) for found in numbers["comparisons"]] == [("reader_a", 2), ("reader_b", 1)]


DEGENERATE = {
    "one study": [(0, 5, 7, 11, 0)],
    "no calcium": [(0, 0, 0, 0, 0)] * 12,
    "all alike": [(50, 50, 50, 50, 50), (500, 500, 500, 500, 500)] * 6,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_tables_end_in_words(name: str, tmp_path: Path) -> None:
    path, out = tmp_path / "t.csv", tmp_path / "OUT"
    lines = [f"s{row},{','.join(map(str, line))}" for row, line in enumerate(DEGENERATE[name])]
    path.write_text("\n".join(["study,reader_a,reader_b,reader_c,model,reader_a_second", *lines]) + "\n")
    numbers = run(out, str(path))
    assert numbers["readers_together"]["models"]
    assert numbers["repeats"]
    written = "".join(file.read_text(encoding="utf-8") for file in (out / "tables").glob("*.csv"))
    assert not re.search(r"\b(nan|inf|None)\b", written)
    assert "not defined: " in written or "interval has no width" in json.dumps(numbers)


GRID = Geometry.from_spacing((6, 12, 12), (3.0, 0.7, 0.7))


def draw(path: Path, *boxes: tuple[Any, Any, Any, Calcium]) -> None:
    labels = np.zeros(GRID.shape, np.uint8)
    for place in boxes:
        labels[place[:3]] = place[3]
    path.parent.mkdir(parents=True, exist_ok=True)
    LabelMap(labels, GRID).save_nifti(path)


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Two readers and a model on 12 studies; label maps of the reader and the model, of 10 and 11 of them."""
    path = tmp_path / "t.csv"
    path.write_text("study_uid,reader_a,reader_b,model\n" + "".join(f"1.{n},{n},{n},{n}\n" for n in range(12)))
    lad, rca = (0, slice(0, 2), slice(0, 3), Calcium.LAD), (4, 8, slice(8, 10), Calcium.RCA)
    for n in range(10):
        draw(tmp_path / "labels" / "reader_a" / f"1.{n}.nii.gz", lad, rca)
    for n in range(11):
        found = (lad, rca) if n % 2 else (lad,)
        draw(tmp_path / "labels" / "model" / f"1.{n}.nii.gz", *found, (2, 5, 5, Calcium.LCX))
    return path


def test_lesions_of_a_folder_and_of_a_table(drawn: Path, tmp_path: Path) -> None:
    out = tmp_path / "OUT"
    numbers = run(out, str(drawn), "--labels", str(tmp_path / "labels"))
    (pair,) = numbers["lesions"]
    found = pair["found"]
    assert (pair["reference"], pair["other"], found["studies"]) == ("reader_a", "model", 10)
    assert (found["all"]["lesions"], found["all"]["found"]["estimate"]) == (20, 0.75)
    assert found["all"]["false_per_scan"]["estimate"] == 1
    assert found["vessels"]["RCA"]["found"]["estimate"] == 0.5
    assert found["vessels"]["LAD"]["dice"]["estimate"] == 1
    assert found["all"]["dice"]["estimate"] == pytest.approx(2 * 70 / (80 + 80))
    assert rows(out, "model_against_reader_a_lesions")[1][:2] == ["All coronary", "20"]
    assert rows(out, "model_against_reader_a_lesion_vessels")[4][:5] == ["RCA", "0", "0", "0", "5"]
    table = tmp_path / "labels.csv"
    lines = [f"1.{n},labels/reader_a/1.{n}.nii.gz,labels/model/1.{n}.nii.gz" for n in range(4)]
    table.write_text("\n".join(["study_uid,reader_a,model", *lines, "1.4,labels/reader_a/1.4.nii.gz,"]) + "\n")
    (again,) = run(tmp_path / "OUT2", str(drawn), "--labels", str(table))["lesions"]
    assert again["found"]["studies"] == 4


def test_label_files_of_results(drawn: Path, tmp_path: Path) -> None:
    """Label maps that ``ctacal score`` wrote are found by the folder that results.csv names."""
    head = "study_uid,series_uid,status,reason_codes,agatston,model,model_version,folder"
    lines = [f"1.{n},1.{n}.1,scored,,{n},net,1,studies/{n}" for n in range(12)]
    scored = tmp_path / "scored"
    draw(scored / "studies" / "3" / "labels.nii.gz", (0, 0, 0, Calcium.LAD))
    (scored / "results.csv").write_text("\n".join([head, *lines]) + "\n")
    config = AgreeConfig(
        table=drawn, readers=["reader_a"], results=[scored], labels=tmp_path / "labels", models=["model"]
    )
    raters = {rater.name: rater for rater in read_raters(config).all}
    assert [row for row, file in enumerate(raters["net 1"].labels) if file] == [3]
    assert not read_raters(AgreeConfig(table=drawn, readers=["reader_a"], results=[scored])).all[1].labels


def test_label_files_at_fault_are_named(drawn: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "OUT")
    (tmp_path / "none").mkdir()
    assert "no label file of reader_a" in refused(str(drawn), "-o", out, "--labels", str(tmp_path / "none"))
    broken = tmp_path / "labels" / "model" / "1.0.nii.gz"
    broken.write_bytes(b"x" * 400)
    assert str(broken) in refused(str(drawn), "-o", out, "--labels", str(tmp_path / "labels"))
    LabelMap(np.zeros((5, 12, 12), np.uint8), Geometry.from_spacing((5, 12, 12), (2.0, 0.7, 0.7))).save_nifti(broken)
    assert "draw all of them on one series" in refused(str(drawn), "-o", out, "--labels", str(tmp_path / "labels"))
    table = tmp_path / "labels.csv"
    table.write_text("study_uid,reader_a\n1.0,gone.nii.gz\n")
    assert "row 2: reader_a is gone.nii.gz, which is not a file" in refused(
        str(drawn), "-o", out, "--labels", str(table)
    )
    nameless = tmp_path / "n.csv"
    nameless.write_text("reader_a,model\n1,2\n30,40\n")
    assert "name it with --id" in refused(str(nameless), "-o", out, "--labels", str(tmp_path / "labels"))


def test_compressed_nifti_comes_first(tmp_path: Path) -> None:
    for name in ("a.dcm", "a.nii", "a.nii.gz", "b.dcm", "c.txt"):
        (tmp_path / "reader").mkdir(exist_ok=True)
        (tmp_path / "reader" / name).write_bytes(b"")
    found = find_label_files(tmp_path, ["reader"], None)["reader"]
    assert {study: file.name for study, file in found.items()} == {"a": "a.nii.gz", "b": "b.dcm"}
