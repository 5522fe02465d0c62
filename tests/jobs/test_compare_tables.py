"""Scores that are there already: courses from tables and results folders, and a site's own limits from pairs."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctacal.compare.comparison import Terms
from ctacal.compare.limits import read_limits, write_limits
from ctacal.compare.reasons import Doubt
from ctacal.errors import UsageError
from ctacal.evaluate.readings import TableForm
from ctacal.jobs.compare import COMPARISONS, CONSECUTIVE
from ctacal.jobs.compare_tables import TableTerms, compare_table, declared, limits_of_table
from tests.compare.scans import LIMITS

PROTOCOL = {"manufacturer": "SIEMENS", "scanner_model": "Symbia T16", "kvp": 130, "slice_thickness_mm": 5,
            "slice_spacing_mm": 5, "kernel": "B30s", "rule": "scct2016"}  # fmt: skip
OURS = Terms(limits=LIMITS)
PLAIN = TableTerms()


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as table:
        return list(csv.DictReader(table))


def scan(patient: str, day: str, agatston: float | str, **more: Any) -> dict[str, Any]:
    return {"patient_id": patient, "study_date": day, "agatston": agatston, **PROTOCOL, **more}


def test_the_courses_of_a_table(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", [
        scan("p1", "2022-03-01", 168), scan("p1", "2020-03-01", 100), scan("p1", "2024-03-01", 400),
        scan("p2", "2020-03-01", 5), scan("p3", "2020-03-01", 100), scan("p3", "2021-03-01", 102),
    ])  # fmt: skip
    done = compare_table(table, tmp_path / "out", OURS, PLAIN)
    assert done.left_out == ("1 patients with one scan only",)
    whole = rows(tmp_path / "out" / COMPARISONS)
    assert [(row["patient_id"], row["agatston_before"], row["agatston_after"], row["verdict"]) for row in whole] == [
        ("p1", "100", "400", "beyond"), ("p3", "100", "102", "within")
    ]  # fmt: skip
    assert len(rows(tmp_path / "out" / CONSECUTIVE)) == 3
    assert all("SCORED_EARLIER" in row["reason_codes"] for row in whole)


def test_columns_of_other_names_and_dates_are_declared(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", [{"who": "a", "when": "03/04/2020", "points": 10},
                                       {"who": "a", "when": "03/04/2022", "points": 20}])  # fmt: skip
    how = TableTerms(columns=declared(["patient=who", "date=when", "agatston=points"]), form=TableForm(dates="DMY"))
    content = compare_table(table, tmp_path / "out", OURS, how).compared[0].content
    assert [one["date"] for one in content["scans"]] == ["2020-04-03", "2022-04-03"]
    assert [one["label"] for one in content["scans"]] == ["row 2", "row 3"]
    with pytest.raises(UsageError, match="no column found for the Agatston score"):
        compare_table(table, tmp_path / "out", OURS, TableTerms(columns=declared(["patient=who", "date=when"])))


@pytest.mark.parametrize("option", ["agatston", "weight=W", "agatston="])
def test_a_wrong_declaration_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match="--column"):
        declared([option])


def test_warnings_vessels_and_refusals_of_results_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "scored"
    folder.mkdir()
    more = {"agatston_lad": 60, "agatston_rca": 40, "status": "scored", "reason_codes": "", "reasons": ""}
    write(folder / "results.csv", [
        scan("p1", "2020-03-01", 100, **more),
        scan("p1", "2022-03-01", 120, **more | {"status": "scored_with_warnings", "reason_codes": "METAL_SEEN"}),
        scan("p2", "2020-03-01", 100, **more),
        scan("p2", "2022-03-01", "", **more | {"status": "refused", "reason_codes": "HEART_NOT_FOUND",
                                               "reasons": "no heart"}),
    ])  # fmt: skip
    metal, refused = (one.content for one in compare_table(folder, tmp_path / "out", OURS, PLAIN).compared)
    assert metal["verdict"] == "not comparable"
    assert Doubt.METAL in {reason["code"] for reason in metal["reasons"]}
    assert metal["changes"]["agatston"]["per_vessel"]["RCA"]["before"] == 40.0
    assert refused["scans"][1]["status"] == "refused"
    assert refused["scans"][1]["reasons"] == [{"code": "HEART_NOT_FOUND", "message": "no heart"}]


def test_a_table_is_read_as_strictly_as_others(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", [scan("p1", "2020-03-01", -5), scan("p1", "2022-03-01", 5)])
    with pytest.raises(UsageError, match="row 2: agatston is -5"):
        compare_table(table, tmp_path / "out", OURS, PLAIN)


def pairs(n: int = 40, *, seed: int = 1, **more: Any) -> list[dict[str, Any]]:
    """Return rows with two scores of one patient each."""
    random = np.random.default_rng(seed)
    root = random.uniform(3, 30, n)
    both = [(root + random.normal(0, 1.5, n)) ** 2 for _ in range(2)]
    return [
        {"patient_id": f"p{k}", "agatston_1": round(both[0][k], 2), "agatston_2": round(both[1][k], 2),
         "study_date": f"2024-01-{1 + k % 28:02}", **PROTOCOL, **more}
        for k in range(n)
    ]  # fmt: skip


def test_limits_from_two_scores_in_a_row_are_a_file_that_is_read_again(tmp_path: Path) -> None:
    limits = limits_of_table(write(tmp_path / "pairs.csv", pairs()), "ours", "agatston", PLAIN)
    assert (limits.pairs, limits.patients, limits.first_day, limits.last_day) == (40, 40, "2024-01-01", "2024-01-28")
    assert limits.protocol.kvp == 130.0
    ends = limits.bands["agatston"].at(225.0, 225.0)
    assert ends is not None
    assert ends[1] == pytest.approx(1.96 * np.sqrt(2) * 1.5, rel=0.35)
    write_limits(limits, tmp_path / "ours.json")
    assert read_limits(tmp_path / "ours.json") == limits


def test_limits_from_a_results_folder_with_two_series_of_each_study(tmp_path: Path) -> None:
    wide = pairs(35)
    long = [
        {"study_uid": f"1.2.{k}", "series_uid": f"1.2.{k}.{s}", "status": "scored", "study_date": "20240101",
         "agatston": row[f"agatston_{s}"], **PROTOCOL}
        for k, row in enumerate(wide) for s in (1, 2)
    ]  # fmt: skip
    long += [{**long[0], "study_uid": "1.9", "series_uid": f"1.9.{s}"} for s in range(3)]
    long += [
        {**long[0], "study_uid": "1.8", "series_uid": f"1.8.{s}", "kernel": k} for s, k in ((1, "B30s"), (2, "B70s"))
    ]
    folder = tmp_path / "scored"
    folder.mkdir()
    write(folder / "results.csv", long)
    limits = limits_of_table(folder, "ours", "agatston", PLAIN)
    same = limits_of_table(write(tmp_path / "pairs.csv", wide), "ours", "agatston", PLAIN)
    assert limits.bands == same.bands
    assert "1 pairs whose scans differ in protocol were left out" in limits.notes
    assert "1 studies or days with more than two scans were left out" in limits.notes


def test_studies_of_rest_and_stress_in_a_results_folder_are_pairs(tmp_path: Path) -> None:
    wide = pairs(40)
    scored = [
        {"study_uid": f"1.2.{k}", "status": "scored", "reason_codes": "SECOND_CTAC", "study_date": "20240101",
         "agatston": row["agatston_1"], "second_agatston": row["agatston_2"], **PROTOCOL}
        for k, row in enumerate(wide)
    ]  # fmt: skip
    alone = {**scored[0], "study_uid": "1.7", "second_agatston": ""}
    metal = {**scored[0], "study_uid": "1.8", "reason_codes": "SECOND_CTAC METAL_SEEN"}
    refused = {**scored[0], "study_uid": "1.9", "status": "refused", "agatston": "", "second_agatston": ""}
    folder = tmp_path / "scored"
    folder.mkdir()
    write(folder / "results.csv", [*scored, alone, metal, refused])
    limits = limits_of_table(folder, "ours", "agatston", PLAIN)
    assert (limits.pairs, limits.patients) == (40, 40)
    same = limits_of_table(write(tmp_path / "pairs.csv", wide), "ours", "agatston", PLAIN)
    assert limits.bands == same.bands
    assert "1 pairs with metal, contrast medium or part of the heart missing were left out" in limits.notes


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ([*pairs(20), *pairs(20, seed=2, scanner_model="Intevo")], "more than one scanner or protocol"),
        ([*pairs(20), *pairs(20, seed=2, rule="agatston1990")], "more than one scoring rule"),
        (pairs(29), "29 pairs; limits need 30"),
        ([{**row, "date_1": "2023-01-01", "date_2": "2024-01-01"} for row in pairs()], "row 2: .*7 days apart"),
        ([{"patient_id": f"p{k}", "study_date": "2024-01-01", "agatston": 5} for k in range(50)], "no pairs"),
    ],
)
def test_pairs_that_are_none_are_refused(tmp_path: Path, table: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        limits_of_table(write(tmp_path / "pairs.csv", table), "ours", "agatston", PLAIN)


def test_comparisons_go_into_outcomes_as_covariates(tmp_path: Path) -> None:
    from ctacal.evaluate.outcomes import example_csv, example_toml, read_config, read_patients

    example = list(csv.DictReader(example_csv().splitlines()))[:200]
    random = np.random.default_rng(1)
    scans = [
        scan(row["patient"], day, round(float(row["model_agatston"]) * factor, 1))
        for row in example
        for day, factor in (("2020-03-01", 1.0), ("2022-03-01", float(random.uniform(0.8, 1.6))))
    ]
    compare_table(write(tmp_path / "scans.csv", scans), tmp_path / "out", Terms(), PLAIN)
    change = {row["patient_id"]: row for row in rows(tmp_path / "out" / COMPARISONS)}
    name = "agatston_square_root_per_year"
    table = write(tmp_path / "follow_up.csv", [row | {name: change[row["patient"]][name]} for row in example])
    toml = example_toml().replace('covariates = ["age",', f'covariates = ["{name}", "age",')
    (tmp_path / "follow_up.toml").write_text(toml)
    patients = read_patients(table, read_config(tmp_path / "follow_up.toml"))
    (covariate,) = (one for one in patients.covariates if one.column == name)
    assert covariate.missing == 0
    assert covariate.values.max() > 0
