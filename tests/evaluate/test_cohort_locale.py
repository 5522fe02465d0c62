"""``ctacal cohort`` writes what ``ctacal outcomes`` reads, whatever the clinical table is written in."""

import csv
import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from ctacal.cli.app import app
from ctacal.errors import UsageError
from ctacal.evaluate.linkage import Rules, link, read_results
from ctacal.evaluate.outcomes.read import read_patients
from ctacal.evaluate.readings import read_table
from tests.evaluate.outcomes.tables import config

N = 60
SCORES = [0.0 if row % 3 == 0 else round(1.5 * row**1.6, 1) for row in range(N)]
AGES = [50 + row / 4 for row in range(N)]
COSTS = [900.5 + 25 * row for row in range(N)]
SMOKING = ["None", "NA", "Former"]
CONFIG = config(
    {
        "identifier": "patient", "covariates": ["age", "cost", "smoking"], "categorical": ["smoking"],
        "outcome": {"time": "follow_up_days", "event": "mace"}, "model": {"name": "DL", "score": "agatston"},
    }
)  # fmt: skip


def number(value: float, locale: str) -> str:
    text = f"{value:,.2f}"
    if locale == "de":
        return text.replace(",", "_").replace(".", ",").replace("_", ".")
    return text.replace(",", {"us": ",", "fr": "\u202f", "ch": "’", "plain": ""}[locale])


@pytest.fixture
def results(tmp_path: Path) -> Path:
    lines = [f"1.2.3.{row},1.2.3.{row}.1,scored,,{score:g},0.4.0,20200101" for row, score in enumerate(SCORES)]
    head = "study_uid,series_uid,status,reason_codes,agatston,model_version,study_date"
    (tmp_path / "results.csv").write_text("\n".join([head, *lines]) + "\n")
    return tmp_path / "results.csv"


def clinical(path: Path, locale: str, separator: str, encoding: str) -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(["study_uid", "patient", "age", "cost", "smoking", "follow_up_days", "mace", "note"])
        for row in range(N):
            cells = [number(AGES[row], locale), number(COSTS[row], locale), SMOKING[row % 3]]
            writer.writerow([f"1.2.3.{row}", f"{row:03d}", *cells, 100 + 20 * row, row % 2, "=1+1; größer, 1-10"])
    return path


def run(*typed: object) -> Any:
    return CliRunner().invoke(app, ["cohort", *map(str, typed)], catch_exceptions=False)


@pytest.mark.parametrize("out", ["cohort.csv", "cohort.tsv", "cohort.xlsx", "cohort.parquet"])
@pytest.mark.parametrize(
    ("locale", "separator", "encoding"),
    [
        ("plain", ",", "utf-8"), ("us", ",", "utf-8-sig"), ("de", ";", "cp1252"), ("de", "\t", "utf-16"),
        ("fr", ";", "utf-8"), ("ch", ";", "utf-8"),
    ],
)  # fmt: skip
def test_any_locale(locale: str, separator: str, encoding: str, out: str, results: Path, tmp_path: Path) -> None:
    table = clinical(tmp_path / "clinical.csv", locale, separator, encoding)
    done = run(results, table, "-o", tmp_path / out)
    assert done.exit_code == 0, done.output
    found = read_patients(tmp_path / out, CONFIG)
    assert found.model.score is not None
    np.testing.assert_allclose(found.model.score, SCORES)
    np.testing.assert_allclose(found.covariate("age").values, AGES)
    np.testing.assert_allclose(found.covariate("cost").values, COSTS)
    assert found.covariate("smoking").levels == ("Former", "None", "NA")
    assert found.data.events == N // 2


@pytest.mark.parametrize(("locale", "separator"), [("plain", ","), ("de", ";")])
def test_cells_pass_unchanged(locale: str, separator: str, results: Path, tmp_path: Path) -> None:
    table = clinical(tmp_path / "clinical.csv", locale, separator, "utf-8")
    run(results, table, "-o", tmp_path / "cohort.csv")
    with (
        table.open(encoding="utf-8", newline="") as before,
        (tmp_path / "cohort.csv").open(encoding="utf-8-sig", newline="") as after,
    ):
        theirs, ours = list(csv.reader(before, delimiter=separator)), list(csv.reader(after, delimiter=separator))
    assert [row[:7] for row in theirs] == [row[:7] for row in ours]
    assert ours[1][7] == "'" + theirs[1][7].replace("; ", "; ")  # marked, so that no spreadsheet runs it
    assert ours[2][theirs[0].index("smoking")] == "NA"
    scores = [row[ours[0].index("agatston")] for row in ours[1:]]
    assert scores[1] == (f"{SCORES[1]:g}" if locale == "plain" else f"{SCORES[1]:g}".replace(".", ","))
    assert ours[1][ours[0].index("model_version")] == "0.4.0"


def test_thousands_that_may_be_decimals_are_not_passed_on(results: Path, tmp_path: Path) -> None:
    """Beside decimal points of the results, 1.695 would be read as a decimal."""
    table = tmp_path / "clinical.csv"
    lines = [f"1.2.3.{row};{row};{1 + row // 10}.{100 + row};{row % 2}" for row in range(N)]
    table.write_text("\n".join(["study_uid;patient;cost;mace", *lines]) + "\n")
    with pytest.raises(UsageError, match=r"column cost holds a number that may be .*--decimal . or --decimal ,"):
        run(results, table, "-o", tmp_path / "cohort.csv")
    assert not (tmp_path / "cohort.csv").exists()
    assert run(results, table, "-o", tmp_path / "cohort.csv", "--decimal", ",").exit_code == 0
    assert "1.2.3.1;1;1.101;1;" in (tmp_path / "cohort.csv").read_text()


def test_cells_of_a_workbook_keep_their_value(results: Path, tmp_path: Path) -> None:
    day = datetime.date(1955, 1, 31)
    frame = pd.DataFrame(
        {"study_uid": ["1.2.3.1", "1.2.3.2"], "patient": ["007", "008"], "age": [65.4, None], "born": [day, None],
         "smoking": ["None", None], "text": ["65,4", "1.50"], "mace": [True, False]}
    )  # fmt: skip
    frame.to_excel(tmp_path / "clinical.xlsx", index=False)
    run(results, tmp_path / "clinical.xlsx", "-o", tmp_path / "cohort.csv")
    first, second = (tmp_path / "cohort.csv").read_text().splitlines()[1:]
    assert first.startswith('1.2.3.1,007,65.4,1955-01-31,None,"65,4",TRUE,')
    assert second.startswith("1.2.3.2,008,,,,1.50,FALSE,")


def test_cells_of_several_kinds_in_one_column(results: Path, tmp_path: Path) -> None:
    mixed = [65.5, "n/a", datetime.date(2020, 1, 31)]
    pd.DataFrame({"study_uid": ["1.2.3.1", "1.2.3.2", "1.2.3.3"], "mixed": mixed}).to_excel(
        tmp_path / "clinical.xlsx", index=False
    )
    for ending in ("parquet", "xlsx", "csv"):
        run(results, tmp_path / "clinical.xlsx", "-o", tmp_path / f"cohort.{ending}")
        found = read_table(tmp_path / f"cohort.{ending}", text=["mixed"])
        assert found["mixed"].tolist() == ["65.5", "n/a", "2020-01-31"]


@pytest.mark.parametrize(
    ("in_key", "in_table"), [("007", "7"), ("7", "007"), ("7.0", "7"), ("p7", "P7"), ("P 7", "P7"), ("Ｐ7", "P7")]
)
def test_identifiers_that_only_look_alike_are_told_and_not_joined(
    in_key: str, in_table: str, results: Path, tmp_path: Path
) -> None:
    (tmp_path / "key.csv").write_text(f"study_uid,patient\n1.2.3.1,{in_key}\n1.2.3.2,other\n", encoding="utf-8")
    (tmp_path / "clinical.csv").write_text(f"patient,age\n{in_table},60\nother,61\n", encoding="utf-8")
    found = link(read_results([results]), tmp_path / "clinical.csv", Rules(key=tmp_path / "key.csv"))
    assert found.table["patient"].tolist() == ["other"]
    why = next(left.why for left in found.left_out if left.identifier == "1.2.3.1")
    assert f"row 2 has {in_table}: other capitals, blanks, or zeros lost" in why


def test_two_spellings_in_the_clinical_table_are_two_rows_of_one_patient(results: Path, tmp_path: Path) -> None:
    (tmp_path / "clinical.csv").write_text("study_uid,patient,age\n1.2.3.1,P1,60\n1.2.3.2,p1,60\n1.2.3.3,P2,60\n")
    found = link(read_results([results]), tmp_path / "clinical.csv", Rules())
    assert found.table["patient"].tolist() == ["P1", "p1", "P2"]  # joined by the study: rows of their own
    (tmp_path / "key.csv").write_text("study_uid,patient\n1.2.3.1,P1\n1.2.3.3,P2\n")
    found = link(read_results([results]), tmp_path / "clinical.csv", Rules(key=tmp_path / "key.csv"))
    assert found.table["patient"].tolist() == ["P2"]
    assert [left.why for left in found.left_out if left.side == "table"] == ["patient occurs more than once"] * 2


def test_damaged_identifiers_are_refused(results: Path, tmp_path: Path) -> None:
    (tmp_path / "clinical.csv").write_text("study_uid,age\n1.23457E+11,60\n1.2.3.1,60\n")
    with pytest.raises(UsageError, match="its digits are lost; store identifiers as text"):
        link(read_results([results]), tmp_path / "clinical.csv", Rules())
