"""A study of rest and stress: both CTACs are scored, and the result says which one counts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import validate
from pydicom import Dataset

from ctacal.compare.limits import Band, Limits
from ctacal.compare.protocol import ScanProtocol
from ctacal.dicom.series import read_studies
from ctacal.errors import Code, Refusal
from ctacal.jobs import second_scan
from ctacal.jobs.finders import Finder, baseline
from ctacal.jobs.score import EACH, Outcome, Privacy, ScoreJob, score_and_write, tasks_of
from ctacal.labels import Calcium
from ctacal.prediction import Prediction
from ctacal.report.pseudonyms import Pseudonymiser
from ctacal.results_table import COLUMNS, WORD_COLUMNS
from ctacal.scores import ScoringRule
from ctacal.volume import Volume
from tests.dicom_series import ct_series, uid, write
from tests.marker_study import SCHEMA, WIDE, predict_marker


class Predicting:
    """Scores the first scan 6 and the second 0, or refuses it."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.calls, self.refuses = 0, refuses

    def __call__(self, volume: Volume, rule: ScoringRule) -> Prediction:
        self.calls += 1
        if self.calls == 2 and self.refuses:
            raise Refusal(Code.HEART_NOT_FOUND, "no heart here")
        return predict_marker(volume, rule, Calcium.LAD if self.calls == 1 else Calcium.OTHER)


def series(name: str, time: str, **attributes: object) -> list[Dataset]:
    return ct_series(
        WIDE, name=name, StudyInstanceUID=uid("both"), SeriesDescription=f"CTAC {name}", AcquisitionTime=time,
        **attributes,
    )  # fmt: skip


def study(folder: Path, stress_time: str = "111112", **attributes: object) -> Path:
    write(folder / "rest", series("rest", "101112", SeriesNumber=3))
    write(folder / "stress", series("stress", stress_time, SeriesNumber=5, **attributes))
    return folder


def scored(folder: Path, predict: Predicting, **job: object) -> list[Outcome]:
    wanted = ScoreJob(finder=Finder(predict, baseline().model), outputs=("json",), **job)  # type: ignore[arg-type]
    (found,) = read_studies([folder]).studies
    return [score_and_write(task, folder.parent / "out", wanted) for task in tasks_of(found, wanted)]


def test_both_scans_are_scored_and_the_first_by_the_rule_counts(tmp_path: Path) -> None:
    (outcome,) = scored(study(tmp_path / "in"), Predicting())
    content = outcome.content
    validate(json.loads(json.dumps(content)), SCHEMA)
    assert content["study"]["series_description"] == "CTAC rest"
    assert content["agatston"]["total"] == 6
    second = content["second_scan"]
    assert (second["series_uid"], second["agatston"]["total"], second["category"]) == (uid("series", "stress"), 0, "0")
    remark = next(reason["message"] for reason in content["reasons"] if reason["code"] == "SECOND_CTAC")
    assert "counts, with 6; the study's other CTAC" in remark
    assert "gives 0, category 0" in remark
    assert "SEVERAL_CANDIDATES" not in [reason["code"] for reason in content["reasons"]]
    cells = [outcome.row[f"second_{name}"] for name in ("series_uid", "agatston", "category")]
    assert cells == [uid("series", "stress"), 0, "0"]
    assert {"second_series_uid", "second_agatston", "second_category"} <= set(COLUMNS)
    words = {name for name, cell in outcome.row.items() if isinstance(cell, str) and cell}
    assert words <= set(WORD_COLUMNS), "results.parquet of a batch has numbers in the other columns"


def test_other_pixels_of_the_second_scan_are_scored_again(tmp_path: Path) -> None:
    folder = study(tmp_path / "in")
    (before,) = scored(folder, Predicting(), resume=True)
    file = next((folder / "stress").iterdir())
    file.write_bytes(file.read_bytes()[:-2] + b"\x01\x00")
    (after,) = scored(folder, again := Predicting(), resume=True)
    assert again.calls == 2
    assert before.content["input_digest"] != after.content["input_digest"]
    scored(folder, unchanged := Predicting(), resume=True)
    assert unchanged.calls == 0


def test_a_second_scan_that_is_refused_is_told(tmp_path: Path) -> None:
    (outcome,) = scored(study(tmp_path / "in"), Predicting(refuses=True))
    validate(json.loads(json.dumps(outcome.content)), SCHEMA)
    assert outcome.content["second_scan"]["refused"]["code"] == "HEART_NOT_FOUND"
    assert outcome.content["second_scan"]["agatston"] is None
    assert outcome.row["second_agatston"] is None
    assert outcome.content["agatston"]["total"] == 6


@pytest.mark.parametrize(
    ("stress_time", "attributes"),
    [
        ("101112", {}),  # another reconstruction of the same scan
        ("101120", {}),
        ("111112", {"SeriesDescription": "CaScore 3.0"}),
        ("", {}),  # nobody can tell
    ],
    ids=["same moment", "within seconds", "calcium scan", "no moment"],
)
def test_what_is_no_second_ctac_is_not_scored(tmp_path: Path, stress_time: str, attributes: dict[str, object]) -> None:
    write(tmp_path / "in" / "rest", series("rest", "101112", SeriesNumber=3))
    stress = series("stress", stress_time, SeriesNumber=5)
    for image in stress:
        for keyword, value in attributes.items():
            setattr(image, keyword, value)
    write(tmp_path / "in" / "stress", stress)
    predict = Predicting()
    (outcome,) = scored(tmp_path / "in", predict)
    assert predict.calls == 1
    assert outcome.content["second_scan"] is None


def test_without_moments_another_frame_of_reference_is_another_scan(tmp_path: Path) -> None:
    (outcome,) = scored(study(tmp_path / "in", "", FrameOfReferenceUID=uid("frame", "stress")), Predicting())
    assert outcome.content["second_scan"]["agatston"]["total"] == 0


def test_a_series_that_is_asked_for_is_scored_alone(tmp_path: Path) -> None:
    for number, wanted in enumerate((EACH, uid("series", "stress"))):
        outcomes = scored(study(tmp_path / str(number)), Predicting(), series=wanted)
        assert all(outcome.content["second_scan"] is None for outcome in outcomes)


def test_pseudonyms_hide_the_second_series(tmp_path: Path) -> None:
    privacy = Privacy(pseudonymiser=Pseudonymiser(b"0123456789abcdef"))
    (outcome,) = scored(study(tmp_path / "in"), Predicting(), privacy=privacy)
    text = json.dumps(outcome.content)
    assert outcome.content["second_scan"]["agatston"]["total"] == 0
    assert uid("series", "stress") not in text
    assert "CTAC stress" not in text


@pytest.mark.parametrize(("widest", "where"), [(1.0, "beyond"), (3.0, "within")])
def test_agreement_is_judged_by_limits_that_hold_for_both_scans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, widest: float, where: str
) -> None:
    (plain,) = scored(study(tmp_path / "plain"), Predicting())
    acquired = plain.content["study"]["acquisition"]
    protocol = ScanProtocol(kvp=acquired["kvp"], slice_spacing_mm=acquired["slice_spacing_mm"])
    band = Band(mean_sqrt=(0.0, 30.0), low=(-widest, -widest), high=(widest, widest))
    fitting_ones = Limits(
        name="p", origin="simulated", bands={"agatston": band}, pairs=9, patients=3, protocol=protocol, rule="scct2016"
    )
    monkeypatch.setattr(second_scan, "simulated_limits", lambda: (fitting_ones,))
    (outcome,) = scored(study(tmp_path / "in"), Predicting())
    assert outcome.content["second_scan"]["limits_sqrt"] == [-widest, widest]
    assert any(f"{where} what two scans" in reason["message"] for reason in outcome.content["reasons"])
    monkeypatch.setattr(second_scan, "simulated_limits", lambda: (replace(fitting_ones, rule="other"),))
    (outcome,) = scored(study(tmp_path / "again"), Predicting())
    assert outcome.content["second_scan"]["limits_sqrt"] is None
