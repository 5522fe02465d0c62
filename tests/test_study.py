"""``score_study`` gives a result for every study, whatever its faults; and the result's JSON form."""

import csv
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from ctacal.dicom.choose import candidates
from ctacal.dicom.series import Study
from ctacal.dicom.stack import Stack
from ctacal.errors import Code, Reason
from ctacal.heart import HeartMask
from ctacal.islands import find_islands
from ctacal.labels import Calcium, LabelMap
from ctacal.prediction import Prediction, ScanFigures
from ctacal.result import ScoredStudy, StudyResult
from ctacal.result_json import result_json
from ctacal.results_table import COLUMNS, result_row, write_results_csv
from ctacal.scores import KVP_ADAPTED, ScoringRule
from ctacal.study import score_study
from ctacal.uncounted import TakenFor, Uncounted
from ctacal.volume import Volume
from tests.dicom_series import MARKER_HU, MARKER_INDEX, MARKER_MM, Grid, ct_series, emission_image, study_of, write
from tests.marker_study import SCHEMA, WIDE, predict_marker


def ctac(tmp_path: Path, grid: Grid = WIDE, **attributes: Any) -> Study:
    return study_of(write(tmp_path / "ct", [*ct_series(grid, **attributes), emission_image()]))


def checked(result: StudyResult) -> dict[str, Any]:
    """Return the result's JSON, valid by the schema and free of NaN."""
    content: dict[str, Any] = json.loads(json.dumps(result_json(result), allow_nan=False))
    jsonschema.validate(content, SCHEMA)
    return content


def codes(result: StudyResult) -> set[Code]:
    return {reason.code for reason in result.reasons}


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_what_was_weighed_and_not_counted_is_listed(tmp_path: Path) -> None:
    """The marker, as bone that does not count; a predictor that weighs nothing says so."""

    def not_counted(volume: Volume, rule: ScoringRule) -> Prediction:
        islands = find_islands(volume, np.nonzero(volume.hu >= rule.threshold_hu))
        counted = predict_marker(volume, rule)
        nothing = LabelMap(np.zeros_like(counted.labels.labels), volume.geometry)
        names = (TakenFor.BONE,) * islands.count
        return replace(counted, labels=nothing, uncounted=Uncounted(islands, names, np.full(islands.count, 0.25)))

    study = ctac(tmp_path)
    content = checked(score_study(study, not_counted))
    assert content["agatston"]["total"] == 0
    (island,) = content["not_counted"]["islands"]
    assert (island["taken_for"], island["coronary_probability"]) == ("bone", 0.25)
    assert island["agatston_if_counted"] == pytest.approx(6.0)
    assert island["centroid_mm"] == pytest.approx(MARKER_MM, abs=0.01)
    assert content["not_counted"]["rest"]["islands"] == 0
    assert checked(score_study(study, predict_marker))["not_counted"] is None


def test_scored(tmp_path: Path) -> None:
    result = score_study(ctac(tmp_path), predict_marker, mass_calibration=0.8)
    content = checked(result)
    assert content["status"] == "scored"
    assert content["agatston"]["total"] == pytest.approx(6.0)
    assert content["agatston"]["per_vessel"]["LAD"] == pytest.approx(6.0)
    assert content["volume_mm3"]["total"] == pytest.approx(4.5)
    assert content["mass_mg"]["total"] == pytest.approx(0.8 * MARKER_HU * 4.5 / 1000)
    assert (content["category"], content["cac_drs"]) == ("1-100", "A1/N1")
    (lesion,) = content["lesions"]
    assert lesion["centroid_mm"] == pytest.approx(MARKER_MM, abs=0.01)
    assert lesion["slices"] == [MARKER_INDEX[0]] * 2
    assert content["study"]["acquisition"]["slice_spacing_mm"] == pytest.approx(3.0)
    assert "emission" in content["study"]["why"]
    assert set(content["timing_s"]) == {"choose", "read", "predict", "quality", "score"}


def test_stack_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack is built when the candidates are ranked; decoding and the result use the same stack."""
    study, build, built = ctac(tmp_path), Stack.of, []

    def counted(*args: Any, **options: Any) -> Stack:
        built.append(1)
        return build(*args, **options)

    monkeypatch.setattr(Stack, "of", counted)
    ranked = candidates(study)
    result = score_study(study, predict_marker, ranked=ranked)
    assert isinstance(result, ScoredStudy)
    assert result.scan.stack is ranked[0].stack
    assert len(built) == 1
    assert checked(result)["agatston"] == checked(score_study(study, predict_marker))["agatston"]


def test_other_calcium_is_reported_but_not_counted(tmp_path: Path) -> None:
    result = score_study(ctac(tmp_path), lambda volume, rule: predict_marker(volume, rule, Calcium.OTHER))
    content = checked(result)
    assert (content["agatston"]["total"], content["category"]) == (0.0, "0")
    assert content["agatston"]["other"] == pytest.approx(6.0)
    assert content["lesions"][0]["vessel"] == "OTHER"


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"KVP": "140"}, Code.KVP_NOT_120),
        ({"KVP": None}, Code.KVP_NOT_120),
        ({"SliceThickness": "8"}, Code.THICK_SLICES),
        ({"ConvolutionKernel": "B70f"}, Code.SHARP_KERNEL),
    ],
)
def test_scored_with_a_warning(tmp_path: Path, attributes: dict[str, Any], code: Code) -> None:
    result = score_study(ctac(tmp_path, **attributes), predict_marker)
    assert checked(result)["status"] == "scored_with_warnings"
    assert codes(result) == {code}


def test_a_predictor_warns_of_a_scan_that_it_does_not_know(tmp_path: Path) -> None:
    def wary(volume: Volume, rule: ScoringRule) -> Prediction:
        figures = ScanFigures(70.0, 1.0, 0.0, 3.0, 1.0, 500.0, None, None, 0.0)
        reason = Reason(Code.NOISE_UNLIKE_TRAINING, "noise SD in HU: 70; the networks learnt from 10 to 40")
        return replace(predict_marker(volume, rule), reasons=(reason,), figures=figures)

    result = score_study(ctac(tmp_path), wary)
    content = checked(result)
    assert content["status"] == "scored_with_warnings"
    assert codes(result) == {Code.NOISE_UNLIKE_TRAINING}
    assert content["quality"]["figures"]["noise_sd_hu"] == 70.0
    assert content["quality"]["figures"]["blood_hu"] is None


def test_the_rule_applied_is_the_rule_at_the_scans_voltage(tmp_path: Path) -> None:
    content = checked(score_study(ctac(tmp_path, KVP="140"), predict_marker, rule=KVP_ADAPTED))
    assert content["status"] == "scored"
    assert content["rule"]["threshold_hu"] == pytest.approx(130 * 0.91)


def test_refused_is_a_result_without_a_score(tmp_path: Path) -> None:
    result = score_study(ctac(tmp_path, KVP="60"), predict_marker, rule=KVP_ADAPTED)
    content = checked(result)
    assert (content["status"], content["agatston"], content["category"]) == ("refused", None, None)
    assert codes(result) == {Code.KVP_UNKNOWN}


def test_refused_names_the_series_and_the_fault(tmp_path: Path) -> None:
    images = ct_series(WIDE)
    del images[7]
    result = score_study(study_of(write(tmp_path, images)), predict_marker)
    assert codes(result) == {Code.MISSING_SLICE}
    assert "'CTAC'" in result.reasons[0].message
    assert checked(result)["study"]["candidates"][0]["unfit"].startswith("MISSING_SLICE")


def test_a_defect_is_a_result_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken(volume: Volume, rule: ScoringRule) -> Prediction:
        raise ZeroDivisionError("network broke")

    with caplog.at_level(logging.ERROR):
        result = score_study(ctac(tmp_path), broken)
    assert codes(result) == {Code.INTERNAL_ERROR}
    assert "network broke" in checked(result)["reasons"][0]["message"]
    assert "ZeroDivisionError" in caplog.text


def test_no_memory_is_a_result_too(tmp_path: Path) -> None:
    def greedy(volume: Volume, rule: ScoringRule) -> Prediction:
        raise MemoryError

    assert codes(score_study(ctac(tmp_path), greedy)) == {Code.TOO_LARGE}


def test_an_interrupt_is_not_swallowed(tmp_path: Path) -> None:
    def stopped(volume: Volume, rule: ScoringRule) -> Prediction:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_study(ctac(tmp_path), stopped)


def test_the_same_study_gives_the_same_result(tmp_path: Path) -> None:
    study = ctac(tmp_path)
    first, second = (result_json(score_study(study, predict_marker)) for _ in range(2))
    assert first.pop("timing_s").keys() == second.pop("timing_s").keys()
    assert first == second


def test_table_keeps_refused_studies_and_disarms_formulas(tmp_path: Path) -> None:
    scored = result_json(score_study(ctac(tmp_path / "a", ConvolutionKernel="=HYPERLINK(0)"), predict_marker))
    refused = result_json(score_study(ctac(tmp_path / "b", KVP="60"), predict_marker, rule=KVP_ADAPTED))
    write_results_csv(tmp_path / "results.csv", [result_row(scored, "a"), result_row(refused, "b")])
    with (tmp_path / "results.csv").open(newline="") as file:
        header, first, second = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert first[COLUMNS.index("agatston")] == "6"
    assert first[COLUMNS.index("agatston_lad")] == "6"
    assert first[COLUMNS.index("kernel")] == "'=HYPERLINK(0)"
    assert first[COLUMNS.index("slice_spacing_mm")] == "3"
    assert second[COLUMNS.index("status")] == "refused"
    assert second[COLUMNS.index("reason_codes")] == "KVP_UNKNOWN"
    assert second[COLUMNS.index("agatston")] == ""


@pytest.mark.parametrize(("heart_slices", "told"), [(slice(7, 10), False), (slice(2, 6), True)])
def test_a_scan_that_goes_on_matters_if_the_heart_lies_near_its_end(
    tmp_path: Path, heart_slices: slice, *, told: bool
) -> None:
    def predict(volume: Volume, rule: ScoringRule) -> Prediction:
        mask = np.zeros(volume.hu.shape, bool)
        mask[heart_slices, 10:20, 10:20] = True
        return replace(predict_marker(volume, rule), heart=HeartMask(mask, volume.geometry))

    chest, abdomen = ct_series(replace(WIDE, slices=17)), ct_series(WIDE, name="abdomen", ConvolutionKernel="B70f")
    for image in abdomen:
        image.ImagePositionPatient[2] -= len(abdomen) * WIDE.slice_mm
    result = score_study(study_of(write(tmp_path, [*chest, *abdomen])), predict)
    assert (Code.SCAN_GOES_ON in codes(result)) is told
