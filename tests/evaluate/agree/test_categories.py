"""``ctacal agree`` where categories are all there is, or some readers have scores and others categories."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ctacal.categories import CATEGORIES, FIVE_CATEGORIES, category_indices
from ctacal.cli.app import app
from ctacal.errors import UsageError
from ctacal.evaluate.agree import AgreeConfig, read_raters
from ctacal.statistics.agreement import cross_table, fleiss_kappa, weighted_kappa

RNG = np.random.default_rng(1)
READER = np.where(RNG.random(120) < 0.4, 0.0, np.exp(RNG.normal(4.6, 1.7, 120))).round(1)
MODEL = (READER * np.exp(RNG.normal(0, 0.5, 120))).round(1)
THIRD = (READER * np.exp(RNG.normal(0, 0.3, 120))).round(1)
OF_READER, OF_MODEL, OF_THIRD = (category_indices(scores) for scores in (READER, MODEL, THIRD))
FIVE = [0.0, 10.0, 100.0, 400.0]


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts are left blank, and there are fewer resamples."""
    monkeypatch.setattr("ctacal.evaluate.publication.write.draw_chart", lambda chart: (b"<svg></svg>", b""))
    monkeypatch.setattr("ctacal.statistics.bootstrap.RESAMPLES", 100)


def table(path: Path, **columns: Any) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["study_uid", *columns])
        writer.writerows([f"s{row}", *cells] for row, cells in enumerate(zip(*columns.values(), strict=True)))
    return path


def agree(out: Path, *typed: object) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["agree", *map(str, typed), "-o", str(out)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return dict(json.loads((out / "numbers.json").read_text(encoding="utf-8"))["numbers"])


def refused(*typed: object) -> str:
    done = CliRunner().invoke(app, ["agree", *map(str, typed), "-o", "OUT"])
    assert isinstance(done.exception, UsageError)
    return str(done.exception)


def linear(numbers: dict[str, Any], place: int = 0) -> float:
    return float(numbers["comparisons"][place]["four"]["kappas"]["linear"]["asymptotic"]["estimate"])


def expected(a: Any, b: Any) -> float:
    return float(weighted_kappa(cross_table(a, b), "linear").estimate or 0)


@pytest.mark.parametrize("kind", ["codes", "names", "dashes", "words", "bounds"])
def test_categories_alone_are_enough(kind: str, tmp_path: Path) -> None:
    words = ("none", "mild", "moderate", "severe")
    made: dict[str, Callable[[Any, Any], list[object]]] = {
        "codes": lambda places, scores: list(places),
        "names": lambda places, scores: [CATEGORIES[place] for place in places],
        "dashes": lambda places, scores: [CATEGORIES[place].replace("-", " – ") for place in places],
        "words": lambda places, scores: [words[place] for place in places],
        "bounds": lambda places, scores: [">1000" if score > 1000 else score for score in scores],
    }
    path = table(tmp_path / "t.csv", reader=made[kind](OF_READER, READER), model=made[kind](OF_MODEL, MODEL))
    options = [] if kind in ("names", "dashes") else ["--category", "reader", "--category", "model"]
    options += ["--words", ",".join(words)] if kind == "words" else []
    numbers = agree(tmp_path / "OUT", path, *options)
    assert linear(numbers) == pytest.approx(expected(OF_READER, OF_MODEL))
    (pair,) = numbers["comparisons"]
    assert [cut["cut"] for cut in pair["detection"]] == ["CAC > 0", "CAC > 400"]
    assert "limits" not in pair
    page = re.sub(r"<[^>]+>", " ", (tmp_path / "OUT" / "report.html").read_text(encoding="utf-8"))
    assert "only categories are known" in page
    assert "Bland-Altman" not in page
    assert "categories only" in page


def test_a_reader_of_categories_and_a_model_of_scores(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", reader_1=READER, reader_2=OF_THIRD, model=MODEL)
    assert "column reader_2 holds 0 to 3" in refused(path)
    numbers = agree(tmp_path / "OUT", path, "--category", "reader_2")
    pairs = {(pair["reference"], pair["other"]): pair for pair in numbers["comparisons"]}
    assert pairs["reader_1", "model"]["limits"]["bias"]["estimate"] == pytest.approx(float(np.mean(MODEL - READER)))
    assert "limits" not in pairs["reader_2", "model"]
    assert linear(numbers, 1) == pytest.approx(expected(OF_THIRD, OF_MODEL))


def test_five_categories_by_name_have_both_tables(tmp_path: Path) -> None:
    five = [np.searchsorted(FIVE, scores) for scores in (READER, MODEL)]
    names = [[FIVE_CATEGORIES[place] for place in places] for places in five]
    (pair,) = agree(tmp_path / "OUT", table(tmp_path / "t.csv", reader=names[0], model=names[1]))["comparisons"]
    assert pair["five"]["table"] == cross_table(five[0], five[1], classes=5).tolist()
    assert pair["four"]["table"] == cross_table(OF_READER, OF_MODEL).tolist()
    names = [[CATEGORIES[place] for place in places] for places in (OF_READER, OF_MODEL)]
    (pair,) = agree(tmp_path / "OUT2", table(tmp_path / "u.csv", reader=names[0], model=names[1]))["comparisons"]
    assert pair["five"] is None


def test_three_readers_of_categories_and_two_models(tmp_path: Path) -> None:
    path = table(
        tmp_path / "t.csv", reader_a=OF_READER, reader_b=OF_MODEL, reader_c=OF_THIRD, model_a=OF_THIRD,
        model_b=OF_MODEL, reader_a_second=[*OF_MODEL[:40], *[""] * 80],
    )  # fmt: skip
    columns = ("reader_a", "reader_b", "reader_c", "model_a", "model_b")
    options = [word for name in columns for word in ("--category", name)]
    numbers = agree(tmp_path / "OUT", path, *options)
    together = numbers["readers_together"]
    rated = np.column_stack([OF_READER, OF_MODEL, OF_THIRD])
    assert together["four"]["fleiss"]["estimate"] == pytest.approx(fleiss_kappa(rated).estimate)
    assert (together["raw"], together["spread"], together["five"]) == (None, None, None)
    (repeat,) = numbers["repeats"]
    assert repeat["raw"] is None
    assert repeat["comparison"]["n"] == 40
    statistics = [own["name"] for own in numbers["models"][0]["statistics"]]
    assert statistics[:3] == ["kappa, linear weights", "kappa, quadratic weights", "kappa, unweighted"]
    assert not any("ICC" in name or ">= 100" in name or "mean" in name for name in statistics)


def test_raters_have_the_names_that_they_are_given(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", reader_1=READER, model_a=MODEL)
    names = ["--name", "reader_1=Reader 1 (12 years)", "--name", "model_a=Deep learning"]
    (pair,) = agree(tmp_path / "OUT", path, *names)["comparisons"]
    assert (pair["reference"], pair["other"]) == ("Reader 1 (12 years)", "Deep learning")
    page = (tmp_path / "OUT" / "report.html").read_text(encoding="utf-8")
    assert "Deep learning against Reader 1 (12 years)" in page
    assert "has no column reader_9" in refused(path, "--name", "reader_9=R")
    assert "would have one name" in refused(path, "--name", "reader_1=R", "--name", "model_a=R")


EXTRA = {
    "reader_experience_years": [7] * 120, "reader_id": [3] * 120, "reference_year": [2019, 2020] * 60,
    "ai_probability": RNG.random(120).round(3), "model_version": [1.2] * 120,
    "model_confidence": RNG.integers(0, 100, 120), "reader_time_s": RNG.integers(10, 900, 120),
    "modelRuntime": RNG.random(120) * 90, "truth_date": [20200101] * 120, "dl_volume_mm3": MODEL * 0.8,
    "ai": RNG.random(120).round(3), "expert": [40] * 120, "model_runtime": RNG.random(120) * 9,
    "truth_label": RNG.integers(0, 2, 120), "ai_flag": RNG.integers(0, 2, 120), "reader_name": ["Ann"] * 120,
}  # fmt: skip


@pytest.mark.parametrize("name", EXTRA)
def test_columns_that_are_no_scores_are_not_taken_for_raters(name: str, tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", reader_1=READER, model_a=MODEL, **{name: EXTRA[name]})
    found = read_raters(AgreeConfig(table=path))
    assert [rater.name for rater in found.all] == ["reader_1", "model_a"]
    assert name in ("reader_name", "modelRuntime") or any(name in told for told in found.readings.told)


def test_several_studies_of_a_patient_without_a_name(tmp_path: Path) -> None:
    """The patient's column is no identifier of studies; a date beside it may make it one."""
    path = tmp_path / "t.csv"
    lines = [f"P{row // 2},{'2020' if row % 2 else '2021'}-01-01,{READER[row]},{MODEL[row]}" for row in range(120)]
    path.write_text("\n".join(["patient_id,date,reader_1,model_a", *lines]) + "\n")
    numbers = agree(tmp_path / "OUT", path)
    assert (numbers["studies"], numbers["patients"]) == (120, 60)
    assert "each row was taken for a study of its own" in numbers["told"][0]
    numbers = agree(tmp_path / "OUT", path, "--id", "patient_id", "--id", "date", "--patient", "patient_id")
    assert (numbers["studies"], numbers["patients"], numbers["told"]) == (120, 60, [])
    path.write_text("\n".join(["patient_id,date,reader_1,model_a", *lines, lines[0]]) + "\n")
    assert "P0, 2021-01-01 occurs more than once" in refused(path, "--id", "patient_id", "--id", "date")
    assert "P0 occurs more than once" in refused(path, "--id", "patient_id")


def test_what_categories_refuse(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", reader_category=OF_READER, model_category=OF_MODEL)
    assert "reader_category (categories? then name it with --category)" in refused(path)
    assert linear(agree(tmp_path / "OUT", path, "--category", "reader_category", "--category", "model_category"))
    path = table(tmp_path / "u.csv", reader=[">1000" if score > 1000 else score for score in READER], model=MODEL)
    assert "a bound, not a number. To compare categories alone, say --category reader" in refused(path)
    assert "has no column who" in refused(path, "--category", "who")
    path = table(tmp_path / "v.csv", reader=READER, model=MODEL, score=OF_MODEL)
    assert "name score also with --reader or --model" in refused(path, "--category", "score")
    assert "expected COLUMN=NAME" in refused(path, "--name", "reader")
