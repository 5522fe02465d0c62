"""A heart whose blood reads more than unenhanced blood can is refused as contrast medium, whatever the headers say."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctacal.blood import MARGIN_HU, UNENHANCED_HU, contrast_seen, highest_unenhanced_hu
from ctacal.dicom.series import Study
from ctacal.errors import Code
from ctacal.heart import ENHANCED_BONE_ABOVE_HU, HeartMask, find_heart
from ctacal.labels import LabelMap
from ctacal.noise import blood_pool_hu
from ctacal.prediction import Prediction, ScanFigures
from ctacal.result import StudyResult
from ctacal.scores import ScoringRule
from ctacal.simulate.output.series import write_series
from ctacal.study import predict_threshold, score_study
from ctacal.volume import Volume
from ctacal.whole_body import heart_slices
from tests.dicom_series import ct_series, study_of, write
from tests.marker_study import predict_marker
from tests.thorax import BLOOD, Thorax


def enhanced(blood_hu: int) -> Volume:
    """A chest whose blood reads ``blood_hu``."""
    chest = Thorax()
    chest.hu[chest.hu == BLOOD] = blood_hu
    return chest.volume(noise_hu=4)


def chest_study(folder: Path, blood_hu: int) -> Study:
    write_series(enhanced(blood_hu), folder)
    return study_of(folder)


def codes(result: StudyResult) -> list[Code]:
    return [reason.code for reason in result.reasons]


def test_unenhanced_blood_reads_more_at_a_lower_tube_voltage() -> None:
    limits = [highest_unenhanced_hu(kvp) for kvp in sorted(UNENHANCED_HU)]
    assert limits == sorted(limits, reverse=True)
    assert (highest_unenhanced_hu(60), highest_unenhanced_hu(150)) == (limits[0], limits[-1])
    assert highest_unenhanced_hu(75) == pytest.approx((limits[0] + limits[1]) / 2)


@pytest.mark.slow
def test_the_table_is_that_of_the_simulator() -> None:
    """Blood of the simulator, with a haematocrit of about 0.40, reads less, by what physics says of 0.60."""
    from ctacal.simulate.materials import Tissue
    from ctacal.simulate.scanner.attenuation import beam, tissue_hu

    for kvp, highest_hu in UNENHANCED_HU.items():
        assert highest_hu == pytest.approx(tissue_hu(beam(kvp, 7.0), Tissue.BLOOD) + 14, abs=1.5)


@pytest.mark.parametrize(("kvp", "limit_hu"), [(120.0, 81.0), (80.0, 86.0), (None, 88.0)])
def test_contrast_is_what_lies_above_the_limit(kvp: float | None, limit_hu: float) -> None:
    assert contrast_seen(limit_hu, kvp) is None
    reason = contrast_seen(limit_hu + 1, kvp)
    assert reason is not None
    assert reason.code is Code.CONTRAST_SEEN
    assert f"{limit_hu + 1:.0f} HU" in reason.message
    assert contrast_seen(None, kvp) is None
    assert MARGIN_HU >= 13, "what moves the median of the training scans"


def test_the_blood_pool_is_measured_inside_the_heart() -> None:
    volume = enhanced(BLOOD)
    assert blood_pool_hu(volume, find_heart(volume)) == pytest.approx(BLOOD, abs=2)
    nothing = HeartMask(np.zeros(volume.hu.shape, bool), volume.geometry)
    assert blood_pool_hu(volume, nothing) is None


@pytest.mark.parametrize("blood_hu", [95, 130, 300])
def test_an_enhanced_heart_is_refused_also_by_the_baseline(tmp_path: Path, blood_hu: int) -> None:
    """Its blood passes for bone where the heart is looked for, so that no heart is found."""
    result = score_study(chest_study(tmp_path, blood_hu), predict_threshold)
    assert result.status == "refused"
    assert codes(result) == [Code.CONTRAST_SEEN]
    assert f"{blood_hu} HU" in result.reasons[-1].message


@pytest.mark.parametrize("blood_hu", [30, 60, 75])
def test_thin_and_dense_blood_is_scored(tmp_path: Path, blood_hu: int) -> None:
    result = score_study(chest_study(tmp_path, blood_hu), predict_threshold)
    assert result.status != "refused"
    assert Code.CONTRAST_SEEN not in codes(result)


def seeing(blood_hu: float | None) -> Any:
    """A predictor that measures this in the heart."""

    def predict(volume: Volume, rule: ScoringRule) -> Prediction:
        figures = ScanFigures(20.0, 1.0, 0.0, 3.0, 1.0, 500.0, blood_hu, None, 0.0)
        return replace(predict_marker(volume, rule), figures=figures)

    return predict


@pytest.mark.parametrize(
    ("blood_hu", "kvp", "refused"),
    [(129.0, "120", True), (84.0, "120", True), (84.0, "80", False), (60.0, "120", False), (None, "120", False)],
)
def test_what_the_predictor_measures_decides(tmp_path: Path, blood_hu: float | None, kvp: str, refused: bool) -> None:
    study = study_of(write(tmp_path, ct_series(KVP=kvp)))
    result = score_study(study, seeing(blood_hu))
    assert (result.status == "refused") is refused
    assert (Code.CONTRAST_SEEN in codes(result)) is refused
    assert Code.CONTRAST_SEEN not in codes(score_study(study, seeing(40.0)))


def test_on_request_it_is_scored_with_a_warning(tmp_path: Path) -> None:
    study = study_of(write(tmp_path, ct_series(ContrastBolusAgent="IOMERON")))
    result = score_study(study, seeing(129.0), allow_contrast=True)
    assert result.status == "scored_with_warnings"
    assert codes(result) == [Code.CONTRAST_GIVEN, Code.CONTRAST_SEEN]


def test_the_refusal_names_the_other_series_that_fit(tmp_path: Path) -> None:
    write(tmp_path / "a", ct_series(name="other", SeriesDescription="Thorax native", SeriesNumber=7))
    write(tmp_path / "b", ct_series())
    refused = score_study(study_of(tmp_path), seeing(129.0))
    assert "--series (series 7 'Thorax native')" in refused.reasons[-1].message


def test_labels_of_a_reader_are_refused_too(tmp_path: Path) -> None:
    """A reader's label map brings no heart."""

    def labels(volume: Volume, rule: ScoringRule) -> Prediction:
        nothing = LabelMap(np.zeros(volume.hu.shape, np.uint8), volume.geometry)
        return replace(predict_marker(volume, rule), labels=nothing)

    assert codes(score_study(chest_study(tmp_path, 150), labels)) == [Code.CONTRAST_SEEN]


def test_a_scan_without_a_heart_is_not_called_enhanced(tmp_path: Path) -> None:
    chest = Thorax()
    chest.hu[chest.hu == BLOOD] = -850
    write_series(chest.volume(noise_hu=4), tmp_path)
    assert codes(score_study(study_of(tmp_path), predict_threshold)) == [Code.HEART_NOT_FOUND]


def test_the_part_of_a_large_scan_is_found_by_an_enhanced_heart() -> None:
    found = heart_slices(enhanced(200))
    assert found == find_heart(enhanced(200), bone_above_hu=ENHANCED_BONE_ABOVE_HU).bounding_box[0]
