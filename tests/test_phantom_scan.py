"""A real scan with known truth: a QRM cardiac calcification phantom, scored from shuffled DICOM files."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctacal.dicom.choose import choose_series
from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.errors import Code
from ctacal.labels import Calcium, LabelMap
from ctacal.scores import SCCT_2016, Scores, score_label_map
from ctacal.volume import Volume
from tests import places

pytestmark = pytest.mark.reference

EXPECTED = json.loads((places.DATA / "qrm_phantom_expected.json").read_text())
PLACES = {  # (row, column) of each insert's axis, read off the scan; 20 voxels (10 mm) around hold one insert only
    "5 mm 800 mg/mL": (220, 180),
    "5 mm 400 mg/mL": (151, 291),
    "5 mm 200 mg/mL": (281, 298),
    "3 mm 800 mg/mL": (221, 206),
    "3 mm 400 mg/mL": (173, 280),
    "3 mm 200 mg/mL": (260, 285),
}
REPRODUCED = ("5 mm 800 mg/mL", "5 mm 400 mg/mL", "5 mm 200 mg/mL", "3 mm 800 mg/mL", "3 mm 400 mg/mL")
REACH = 10
SLICES = slice(18, 27)


@cache
def phantom(folder: Path) -> Volume:
    study = read_studies([folder]).studies[0]
    return read_volume(choose_series(study).series)[0]


def scored(volume: Volume, name: str) -> Scores:
    row, column = PLACES[name]
    labels = np.zeros(volume.hu.shape, np.uint8)
    labels[SLICES, row - REACH : row + REACH + 1, column - REACH : column + REACH + 1] = Calcium.CORONARY
    factor = EXPECTED["mass_calibration_factor"]
    return score_label_map(volume, LabelMap(labels, volume.geometry), SCCT_2016, mass_calibration=factor)[1]


def expected(name: str) -> dict[str, Any]:
    return next(insert for insert in EXPECTED["inserts"] if insert["name"] == name)


@pytest.mark.parametrize("name", PLACES)
def test_published_scores_are_reproduced(reference_data: Path, name: str) -> None:
    scores, published = scored(phantom(reference_data / "qrm_phantom_canon"), name), expected(name)
    assert scores.mass_mg is not None
    assert scores.agatston.total == pytest.approx(published["agatston"], abs=0.1)
    assert scores.volume_mm3.total == pytest.approx(published["volume_mm3"], abs=0.1)
    assert scores.mass_mg.total == pytest.approx(published["mass_mg"], rel=0.01)


def test_scan_is_read_as_it_was_acquired(reference_data: Path) -> None:
    study = read_studies([reference_data / "qrm_phantom_canon"]).studies[0]
    choice = choose_series(study)
    volume = phantom(reference_data / "qrm_phantom_canon")
    assert [note.code for note in choice.notes] == [Code.GATED_CALCIUM_SCAN]
    assert volume.hu.shape == (47, 512, 512)
    assert volume.hu.dtype == np.int16
    np.testing.assert_allclose(volume.geometry.spacing_mm, (3.0, 0.488, 0.488), rtol=1e-6)
    np.testing.assert_allclose(volume.geometry.to_patient_mm((0, 0, 0)), (-128.5058, -106.00581, 534.875), atol=1e-4)
