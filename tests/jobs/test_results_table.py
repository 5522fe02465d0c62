"""results.csv: what the report knows, who the patient is if that is wanted, and the same table from a resumed run."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ctacal.dicom.series import read_studies
from ctacal.evaluate.linkage import Rules, link, read_results
from ctacal.jobs.finders import Finder, baseline
from ctacal.jobs.score import Privacy, ScoreJob, ScoreRun, rebuilt_rows, score_intake
from ctacal.prediction import Interval, Prediction, Uncertainty
from ctacal.report.pseudonyms import Pseudonymiser
from ctacal.results_table import COLUMNS, IDENTITY
from ctacal.scores import SCCT_2016, ScoringRule
from ctacal.volume import Volume
from tests.dicom_series import ct_series, emission_image, uid, write
from tests.marker_study import SCHEMA, WIDE, predict_marker

KNOWN = Uncertainty(
    rule=SCCT_2016,
    category_probabilities=(0.01, 0.9, 0.06, 0.03),
    interval=Interval(4.5, 30.25, 0.9),
    gated_equivalent_agatston=12.5,
    coronary_certainty=0.75,
    excess_mass_mg={"LM": 0.0, "LAD": 1.5, "LCX": 0.25, "RCA": 0.0, "CORONARY": 0.0},
)
NAMED = {
    "PatientName": "Zyxwvut^Qwertz",
    "PatientID": "ID-0047",
    "AccessionNumber": "=A1",
    "PatientAge": "062Y",
    "PatientSex": "M",
}


class Predictor:
    """Finds the marker, knows how sure it is, and counts its calls."""

    calls = 0

    def __call__(self, volume: Volume, rule: ScoringRule) -> Prediction:
        self.calls += 1
        return replace(predict_marker(volume, rule), uncertainty=KNOWN)


@pytest.fixture
def job() -> ScoreJob:
    return ScoreJob(finder=Finder(Predictor(), baseline().model), outputs=("json", "html"), resume=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A study that is scored, one that is refused, and one without a CT."""
    write(tmp_path / "in" / "a", ct_series(WIDE, SeriesDescription="CTAC 5.0 B30f", **NAMED))
    write(tmp_path / "in" / "b", ct_series(WIDE, name="b", StudyInstanceUID=uid("b"), **NAMED)[:3])
    write(tmp_path / "in" / "c", [emission_image(StudyInstanceUID=uid("c"), **NAMED)])
    return tmp_path / "in"


def run(source: Path, out: Path, job: ScoreJob) -> ScoreRun:
    return score_intake(read_studies([source]), out, job)


def table(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def row_of(out: Path, status: str = "scored") -> dict[str, str]:
    return next(row for row in table(out) if row["status"].startswith(status))


def test_it_carries_what_the_report_knows(source: Path, tmp_path: Path, job: ScoreJob) -> None:
    run(source, tmp_path / "out", job)
    row = row_of(tmp_path / "out")
    expected = {
        "series_description": "CTAC 5.0 B30f", "sex": "M", "age_years": "62", "agatston": "6",
        "agatston_low": "4.5", "agatston_high": "30.25", "interval_coverage": "0.9",
        "p_0": "0.01", "p_1_100": "0.9", "p_101_400": "0.06", "p_400": "0.03",
        "gated_equivalent_agatston": "12.5", "coronary_certainty": "0.75", "uncertainty_rule": "scct2016",
        "excess_mass_mg": "1.75", "excess_mass_mg_lad": "1.5", "excess_mass_mg_lcx": "0.25", "mass_mg": "",
        "volume_mm3": "4.5", "volume_mm3_lad": "4.5", "volume_mm3_lm": "0", "mass_mg_lad": "",
        "percentile_low": "25", "percentile_high": "75",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert tuple(row) == COLUMNS
    refused = row_of(tmp_path / "out", "refused")
    empty = ("agatston", "agatston_high", "p_0", "excess_mass_mg", "percentile_low", "gated_equivalent_agatston")
    assert [refused[name] for name in empty] == [""] * len(empty)
    for file in (tmp_path / "out").rglob("result.json"):
        jsonschema.validate(json.loads(file.read_text()), SCHEMA)


def test_the_mass_by_a_calibration_factor_is_there_by_vessel(source: Path, tmp_path: Path, job: ScoreJob) -> None:
    run(source, tmp_path / "out", replace(job, mass_calibration=1.0))
    row = row_of(tmp_path / "out")
    assert float(row["mass_mg"]) == float(row["mass_mg_lad"]) > float(row["mass_mg_rca"]) == 0


def test_a_result_of_an_earlier_version_has_a_row_too(source: Path, tmp_path: Path, job: ScoreJob) -> None:
    run(source, tmp_path / "out", job)
    for file in (tmp_path / "out").rglob("result.json"):
        content = json.loads(file.read_text())
        for name in ("patient", "percentile", "uncertainty_rule"):
            del content[name]
        file.write_text(json.dumps(content))
    rows = rebuilt_rows(tmp_path / "out")
    assert len(rows) == 3
    assert {row["sex"] for row in rows} == {None}


def everything(out: Path) -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(out.rglob("*.*")) if file.is_file())


def test_without_phi_nothing_names_the_patient(source: Path, tmp_path: Path, job: ScoreJob) -> None:
    run(source, tmp_path / "out", job)
    assert not set(IDENTITY) & set(row_of(tmp_path / "out"))
    assert not [word for word in ("Zyxwvut", "ID-0047", "=A1") if word in everything(tmp_path / "out")]


def test_with_phi_every_study_names_its_patient_refused_ones_too(source: Path, tmp_path: Path, job: ScoreJob) -> None:
    run(source, tmp_path / "out", replace(job, privacy=Privacy(phi=True)))
    rows = table(tmp_path / "out")
    assert len(rows) == 3
    for row in rows:
        assert [row[name] for name in IDENTITY] == ["ID-0047", "'=A1", "Zyxwvut, Qwertz"]
        assert (row["sex"], row["age_years"]) == ("M", "62")
    assert '"ID-0047", "=A1", "Zyxwvut, Qwertz"' in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("phi", [True, False])
def test_a_resumed_run_and_the_results_alone_give_the_same_table(
    source: Path, tmp_path: Path, job: ScoreJob, phi: bool
) -> None:
    job = replace(job, privacy=Privacy(phi=phi))
    out = tmp_path / "out"
    first = run(source, out, job)
    text = (out / "results.csv").read_text()
    (out / "results.csv").write_text("another,table\n1,2\n")
    again = run(source, out, job)
    assert (out / "results.csv").read_text() == text
    assert again.rows == first.rows
    assert sorted(rebuilt_rows(out), key=str) == sorted(first.rows, key=str)
    assert job.finder.predict.calls == 1  # type: ignore[attr-defined]


def test_a_run_without_phi_removes_the_names_of_one_with_it(source: Path, tmp_path: Path, job: ScoreJob) -> None:
    run(source, tmp_path / "out", replace(job, privacy=Privacy(phi=True)))
    assert "Zyxwvut" in everything(tmp_path / "out")
    run(source, tmp_path / "out", job)
    assert "Zyxwvut" not in everything(tmp_path / "out")


def test_pseudonyms_keep_the_studies_of_a_patient_together(source: Path, tmp_path: Path, job: ScoreJob) -> None:
    pytest.importorskip("dicomanonymizer")
    keyed = replace(job, privacy=Privacy(pseudonymiser=Pseudonymiser(b"0123456789abcdef")))
    run(source, tmp_path / "out", keyed)
    rows = table(tmp_path / "out")
    assert {row["patient_id"] for row in rows} == {Pseudonymiser(b"0123456789abcdef").patient("ID-0047")}
    assert not {"accession_number", "patient_name"} & set(rows[0])
    assert {(row["age_years"], row["percentile_low"], row["series_description"]) for row in rows} == {("", "", "")}
    assert not [word for word in ("Zyxwvut", "ID-0047", "=A1") if word in everything(tmp_path / "out")]


def test_a_cohort_is_joined_without_the_names(source: Path, tmp_path: Path, job: ScoreJob) -> None:
    pytest.importorskip("pandas")
    run(source, tmp_path / "out", replace(job, privacy=Privacy(phi=True)))
    (tmp_path / "clinical.csv").write_text(f"StudyInstanceUID,patient_id,sex\n{uid('study')},ID-0047,male\n")
    joined = link(read_results([tmp_path / "out"]), tmp_path / "clinical.csv", Rules()).table
    assert joined["patient_id"].tolist() == ["ID-0047"] and joined["sex"].tolist() == ["male"]
    assert joined["sex_ctacal"].tolist() == ["M"] and joined["agatston"].tolist() == ["6"]
    assert not {"patient_name", "accession_number", "patient_id_ctacal"} & set(joined.columns)


def test_the_uids_of_dicom_objects_do_not_depend_on_phi(source: Path, tmp_path: Path, job: ScoreJob) -> None:
    objects: list[Any] = []
    for phi in (True, False):
        run(source / "a", tmp_path / f"{phi}", replace(job, outputs=("seg",), privacy=Privacy(phi=phi)))
        objects += [file.read_bytes() for file in (tmp_path / f"{phi}").rglob("seg.dcm")]
    assert objects[0] == objects[1]
