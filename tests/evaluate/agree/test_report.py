"""``ctacal agree`` from the table to the report: R's numbers, the options, and degenerate tables in words."""

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
from ctacal.evaluate.agree import AgreeConfig, compare, example_csv, read_raters
from ctacal.evaluate.publication import Chart
from ctacal.evaluate.publication.figures import drawn
from tests import places

DATA = places.DATA / "agreement"
SCORE_OF_CATEGORY = (0, 50, 200, 900)


def oracle(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def table(path: Path, rows: Any, head: str = "study_uid,reader,model") -> Path:
    lines = [",".join(map(str, (f"s{number}", *row))) for number, row in enumerate(rows)]
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def agree(out: Path, *typed: str) -> dict[str, Any]:
    """The numbers of a run."""
    done = CliRunner().invoke(app, ["agree", *typed, "-o", str(out)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert str(out / "report.html") in done.output
    content: dict[str, Any] = json.loads((out / "numbers.json").read_text(encoding="utf-8"))
    return content


def refused(*typed: str) -> str:
    done = CliRunner().invoke(app, ["agree", *typed])
    assert isinstance(done.exception, UsageError)
    return str(done.exception)


BLANK = b'<svg xmlns="http://www.w3.org/2000/svg"></svg>'


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts are left blank, where they are not what is tested: each takes half a second. Fewer resamples as well."""
    monkeypatch.setattr("ctacal.evaluate.publication.write.draw_chart", lambda chart: (BLANK, b""))
    monkeypatch.setattr("ctacal.statistics.bootstrap.RESAMPLES", 300)


@pytest.fixture
def laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts are drawn and laid out, but no file is made of them."""

    def draw(chart: Chart) -> tuple[bytes, bytes]:
        with drawn(chart):
            return BLANK, b""

    monkeypatch.setattr("ctacal.evaluate.publication.write.draw_chart", draw)
    monkeypatch.setattr("ctacal.statistics.bootstrap.RESAMPLES", 300)


@pytest.fixture(scope="module")
def of_r(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The report of the data that R was given."""
    out = tmp_path_factory.mktemp("of_r") / "OUT"
    return out, agree(out, str(DATA / "agree_cont.csv"))


def test_scores_are_compared_as_r_does(of_r: tuple[Path, dict[str, Any]]) -> None:
    (found,) = of_r[1]["numbers"]["comparisons"]
    icc, correlation, altman = oracle("icc"), oracle("correlation"), oracle("bland_altman")
    lines = oracle("method_comparison")
    assert (found["reference"], found["other"], found["n"]) == ("expert", "dl", 300)
    expected = {
        ("raw", "spearman"): correlation["spearman"]["rho"],
        ("raw", "pearson"): correlation["pearson"]["r"],
        ("raw", "lin_concordance"): altman["epi_ccc"]["rho"],
        ("raw", "icc_agreement"): icc["agree_cont"]["psych"]["ICC2"]["icc"],
        ("raw", "icc_consistency"): icc["agree_cont"]["psych"]["ICC3"]["icc"],
        ("logarithmic", "icc_agreement"): icc["agree_cont_log1p"]["psych"]["ICC2"]["icc"],
        ("logarithmic", "pearson"): correlation["log1p_pearson"],
        ("limits", "bias"): altman["bias"],
        ("limits", "lower"): altman["loa"][0],
        ("limits", "upper"): altman["loa"][1],
        ("passing_bablok", "slope"): lines["passing_bablok_analytical"]["slope"]["EST"],
        ("deming", "slope"): lines["deming_jackknife"]["slope"]["EST"],
        ("weighted_deming", "intercept"): lines["wdeming_jackknife"]["intercept"]["EST"],
    }
    for (part, figure), value in expected.items():
        assert found[part][figure]["estimate"] == pytest.approx(value, rel=1e-6), (part, figure)
    assert found["both_above_0"] == lines["n"]


def test_report_says_what_numbers_say(of_r: tuple[Path, dict[str, Any]]) -> None:
    out, content = of_r
    page = re.sub(r"<[^>]+>", " ", (out / "report.html").read_text(encoding="utf-8")).replace("\u00a0", " ")
    (found,) = content["numbers"]["comparisons"]
    kappa = found["four"]["kappas"]["linear"]["bootstrap"]
    assert f"{kappa['estimate']:.3f}" in page
    assert f"({kappa['low']:.3f} to {kappa['high']:.3f})" in page
    assert "300 studies (readers: expert; models: dl). All 300 rows were used." in page
    assert "No identifier column was found" in page
    assert "not a medical device" in page
    with (out / "tables" / "dl_against_expert_four_categories.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))
    counts = [[int(cell.split(" ")[0]) for cell in row[1:5]] for row in rows[1:5]]
    assert counts == found["four"]["table"]
    assert np.sum(counts) == 300
    assert "nan" not in page.lower().replace("finan", "").split()


@pytest.mark.slow
@pytest.mark.parametrize("row", [0, 1, 2])
@pytest.mark.usefixtures("undrawn")
def test_kappas_of_printed_tables(row: int, tmp_path: Path) -> None:
    """Published 4x4 tables, and that of R, as scores through the command."""
    expected = [*oracle("published_tables"), oracle("kappa")["tables"]["cac4"]][row]
    counts = np.array(expected["table"])
    rows = [
        (SCORE_OF_CATEGORY[i], SCORE_OF_CATEGORY[j])
        for (i, j), count in np.ndenumerate(counts)
        for _ in range(int(count))
    ]
    (found,) = agree(tmp_path / "OUT", str(table(tmp_path / "t.csv", rows)))["numbers"]["comparisons"]
    assert found["four"]["table"] == counts.tolist()
    linear = found["four"]["kappas"]["linear"]["asymptotic"]["estimate"]
    if row < 2:
        assert linear == pytest.approx(expected["linear_weighted_kappa"], abs=5e-5 if row == 0 else 5e-4)
        return
    for weights in ("linear", "quadratic", "unweighted"):
        asymptotic = found["four"]["kappas"][weights]["asymptotic"]
        assert asymptotic["estimate"] == pytest.approx(expected[f"vcd_{weights}"]["kappa"], rel=1e-12)
        error = (asymptotic["high"] - asymptotic["low"]) / (2 * 1.959963984540054)
        assert error == pytest.approx(expected[f"vcd_{weights}"]["ase"], rel=1e-10)
    assert found["four"]["stuart_maxwell"]["p"] == pytest.approx(expected["stuart_maxwell"]["p"][0][0], rel=1e-9)
    assert found["four"]["bowker"]["p"] == pytest.approx(expected["bowker"]["p"], rel=1e-9)


DEGENERATE = {
    "n = 1": [(0, 5)],
    "n = 3": [(0, 5), (10, 20), (500, 300)],
    "all 0": [(0, 0)] * 12,
    "all equal": [(50, 50)] * 12,
    "no positives": [(0, 13)] * 4 + [(0, 0)] * 8,
    "one category empty": [(0, 0), (0, 1), (5, 7), (50, 30), (700, 600), (900, 1000), (500, 390)] * 2,
    "one side constant": [(50, number) for number in range(12)],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.usefixtures("laid_out")
def test_degenerate_tables_end_in_words(name: str, tmp_path: Path) -> None:
    out = tmp_path / "OUT"
    content = agree(out, str(table(tmp_path / "t.csv", DEGENERATE[name])))
    page = (out / "report.html").read_text(encoding="utf-8")
    written = "".join(file.read_text(encoding="utf-8") for file in (out / "tables").glob("*.csv"))
    assert not re.search(r"\b(nan|inf|None)\b", written)
    for reason in nothing_but_reasons(content["numbers"]):
        assert reason
    if name != "one category empty":
        assert "not defined: " in page


def nothing_but_reasons(value: Any) -> list[str]:
    """The reason beside each estimate that is None."""
    if isinstance(value, list):
        return [reason for item in value for reason in nothing_but_reasons(item)]
    if not isinstance(value, dict):
        return []
    own = [value["reason"]] if "estimate" in value and value["estimate"] is None else []
    return own + [reason for item in value.values() for reason in nothing_but_reasons(item)]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("example") / "readings.csv"
    done = CliRunner().invoke(app, ["agree", str(path), "--example", "--seed", "2"])
    assert done.exit_code == 0
    return path


def test_example_comes_from_its_seed(example: Path) -> None:
    assert example.read_text() == example_csv(2) != example_csv(3)
    assert "does not exist yet" in refused(str(example), "--example")


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_readers_models_vessels_patients(example: Path, tmp_path: Path) -> None:
    numbers = agree(tmp_path / "OUT", str(example), "--patient", "patient_id")["numbers"]
    pairs = [(pair["reference"], pair["other"]) for pair in numbers["comparisons"]]
    assert pairs == [
        *((f"reader_{number}", f"model_{model}") for number in (1, 2, 3) for model in "ab"),
        ("reader_1", "reader_2"), ("reader_1", "reader_3"), ("reader_2", "reader_3"),
    ]  # fmt: skip
    assert [list(pair["vessels"]) for pair in numbers["comparisons"]] == [["LM", "LAD", "LCX", "RCA"], *[[]] * 8]
    assert [model["model"] for model in numbers["readers_together"]["models"]] == ["model_a", "model_b"]
    assert [own["comparison"]["n"] for own in numbers["repeats"]] == [134]
    assert numbers["patients"] < numbers["studies"] == 400
    kappa = numbers["comparisons"][0]["four"]["kappas"]["linear"]["bootstrap"]
    assert f"{numbers['patients']} patients" in kappa["method"]
    (contest,) = numbers["models"]
    assert (contest["model"], contest["other"]) == ("model_a", "model_b")
    linear = next(figure for figure in contest["statistics"] if figure["name"] == "kappa, linear weights")
    assert linear["model"] == pytest.approx(kappa["estimate"], rel=1e-12)
    assert linear["difference"]["low"] > 0  # the second was drawn with more noise
    page = (tmp_path / "OUT" / "report.html").read_text(encoding="utf-8")
    assert "Comparison of 3 readers in this report. Repeat readings by reader_1." in page
    assert page.count("<svg") == 29


HEAD = (
    "study_uid,series_uid,status,reason_codes,agatston,agatston_lm,agatston_lad,agatston_lcx,agatston_rca,"
    "model,model_version"
)


def results(path: Path, scores: dict[str, float | None], model: str = "net") -> Path:
    lines = [
        f"{uid},{uid}.1,{'refused' if score is None else 'scored'},{'NO_CT_SERIES' if score is None else ''},"
        f"{'' if score is None else score},0,{'' if score is None else score},0,0,{model},0.1.0"
        for uid, score in scores.items()
    ]
    path.mkdir()
    (path / "results.csv").write_text("\n".join([HEAD, *lines]) + "\n")
    return path


@pytest.mark.usefixtures("undrawn")
def test_results_of_ctacal_score_are_joined(tmp_path: Path) -> None:
    readings = tmp_path / "readings.csv"
    lines = [f"1.2.{number},{10 * number},{10 * number}" for number in range(12)]
    readings.write_text("\n".join(["study_uid,expert,expert_lad", *lines]) + "\n")
    scores: dict[str, float | None] = {f"1.2.{number}": 11.0 * number for number in range(12)}
    first = results(tmp_path / "first", scores | {"1.2.3": None, "9.9": 5})
    second = results(tmp_path / "second", {uid: (score or 0) / 2 for uid, score in scores.items()})
    out = tmp_path / "OUT"
    numbers = agree(out, str(readings), "--results", str(first), "--results", str(second / "results.csv"))["numbers"]
    assert [(found["other"], found["n"]) for found in numbers["comparisons"]] == [
        ("net 0.1.0", 11),
        ("net 0.1.0 second", 11),
    ]
    assert numbers["comparisons"][0]["limits"]["bias"]["estimate"] == pytest.approx(
        np.mean([k for k in range(12) if k != 3])
    )
    assert list(numbers["comparisons"][0]["vessels"]) == ["LAD"]
    assert numbers["refused_by_model"] == {"net 0.1.0": 1, "net 0.1.0 second": 0}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "net 0.1.0 refused 1 further study, which this report leaves out." in page
    assert "If the 1 study that net 0.1.0 refused counts as wrong" in page


@pytest.mark.usefixtures("undrawn")
def test_a_reading_without_a_result_is_missing(tmp_path: Path) -> None:
    readings = table(tmp_path / "t.csv", [(5 + number, 5) for number in range(12)], head="study_uid,expert,x")
    scored = results(tmp_path / "first", {f"s{number}": 5.0 for number in range(11)})
    message = refused(str(readings), "--results", str(scored), "-o", str(tmp_path / "OUT"))
    assert "row 13 (s11): net 0.1.0 is missing" in message
    numbers = agree(tmp_path / "OUT", str(readings), "--results", str(scored), "--drop", "missing")["numbers"]
    assert (numbers["studies"], numbers["rows_dropped"]) == (11, {"missing": 1})


@pytest.mark.usefixtures("undrawn")
def test_rows_at_fault_are_refused_or_counted(tmp_path: Path) -> None:
    rows = [(0, 0), (-1, 5), (10, ""), (20, "x"), (30, 31), (120, 90), (800, 600)]
    path = table(tmp_path / "t.csv", rows)
    message = refused(str(path), "-o", str(tmp_path / "OUT"))
    assert "row 3 (s1): reader is -1, expected 0 or more" in message
    assert "row 4 (s2): model is missing" in message
    assert "row 5 (s3): model is 'x', not a number" in message
    assert not (tmp_path / "OUT").exists()
    numbers = agree(tmp_path / "OUT", str(path), "--drop", "missing,not-a-number,out-of-range")["numbers"]
    assert (numbers["studies"], numbers["rows_read"]) == (4, 7)
    page = (tmp_path / "OUT" / "report.html").read_text(encoding="utf-8")
    assert "4 of 7 rows were used; 3 dropped on request: 1 out of range, 1 missing, 1 not a number." in page


def test_other_refusals(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", [(0, 1), (2, 3)])
    out = str(tmp_path / "OUT")
    assert "name the folder" in refused(str(path))
    assert "known are missing" in refused(str(path), "-o", out, "--drop", "bad")
    assert "has no column nobody" in refused(str(path), "-o", out, "--reader", "nobody")
    assert "model is named twice" in refused(str(path), "-o", out, "--reader", "model", "--model", "model")
    assert "found: model model" in refused(str(table(tmp_path / "u.csv", [(1, 2)], "study_uid,x,model")), "-o", out)
    assert "has no column who" in refused(str(path), "-o", out, "--patient", "who")
    patients = table(tmp_path / "p.csv", [(0, 1, "a"), (2, 3, "")], "study_uid,reader,model,patient_id")
    assert "row 3: patient_id is missing" in refused(str(patients), "-o", out, "--patient", "patient_id")
    (tmp_path / "OUT").mkdir()
    (tmp_path / "OUT" / "mine.txt").write_text("x")
    assert "holds mine.txt" in refused(str(path), "-o", out)


def test_vessels_are_unknown_where_calcium_has_none(tmp_path: Path) -> None:
    """What a baseline without vessels calls coronary must not count as a vessel's 0."""
    path = tmp_path / "t.csv"
    path.write_text(
        "study_uid,expert,expert_lad,agatston,agatston_lad,agatston_coronary\n1,6,6,5,0,5\n2,60,60,50,50,0\n3,0,,7,7,0\n"
    )
    expert, model = read_raters(AgreeConfig(table=path)).all
    assert np.isfinite(model.vessels["LAD"]).tolist() == [False, True, True]
    assert compare(expert, model).vessels["LAD"].n == 1
    path.write_text(
        "study_uid,expert,expert_lad,agatston,agatston_lad,agatston_coronary\n1,6,6,5,0,5\n2,60,60,50,0,50\n"
    )
    assert not read_raters(AgreeConfig(table=path)).all[1].vessels


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    """In a results.csv with a reader's column, columns of text, versions and vessels are not taken for raters."""
    path = tmp_path / "t.csv"
    path.write_text(
        "study_uid,status,agatston,agatston_lad,agatston_coronary,model,model_version,Expert,reader_name\n"
        "1,scored,5,5,0,net,0.1.0,6,Anna\n2,scored,50,50,0,net,0.1.0,60,Bert\n"
    )
    found = read_raters(AgreeConfig(table=path))
    assert [(rater.name, rater.kind, list(rater.vessels)) for rater in found.all] == [
        ("Expert", "reader", []), ("agatston", "model", ["LAD"])
    ]  # fmt: skip
    assert found.identifier == "study_uid"


def test_documentation_runs(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The Python of the page; its figures are those of the commands that it names."""
    page = places.ROOT / "docs" / "agreement.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, str(page), "exec"), {})
    assert capsys.readouterr().out.count(" to ") == 3
    options = set(re.findall(r"--[a-z]+", page.read_text(encoding="utf-8")))
    cli = (page.parent / "cli.md").read_text(encoding="utf-8")
    assert not [option for option in options if option not in cli]
