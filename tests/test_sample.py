"""The sample that ships with the package is read, chosen and scored according to its truth."""

import json
from typing import Any

import pytest

from ctacal.dicom.choose import Choice, choose_series
from ctacal.dicom.objects.labels import read_label_map
from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.errors import Code
from ctacal.jobs.installation import SAMPLES
from ctacal.scores import named_rule, score_label_map
from tests import places

SAMPLE = places.SAMPLE


@pytest.fixture(scope="module", params=SAMPLES)
def truth(request: pytest.FixtureRequest) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads((SAMPLE / f"{request.param}.json").read_text(encoding="utf-8"))
    return truth


@pytest.fixture(scope="module")
def choice(truth: dict[str, Any]) -> Choice:
    intake = read_studies([SAMPLE / truth["scan"]])
    assert intake.files > 20
    assert (len(intake.studies), intake.skipped, intake.not_dicom) == (1, (), 0)
    return choose_series(intake.studies[0])


def test_is_chosen_as_ctac(choice: Choice) -> None:
    assert {note.code for note in choice.notes} <= {Code.KVP_NOT_120}
    assert "attenuation-correction" in choice.why


def test_truth_is_what_the_labels_score(choice: Choice, truth: dict[str, Any]) -> None:
    volume, notes = read_volume(choice.series)
    labels = read_label_map(SAMPLE / truth["labels"], volume)
    _, scores = score_label_map(volume, labels, named_rule(truth["rule"]))
    for quantity, name in ((scores.agatston, "agatston"), (scores.volume_mm3, "volume_mm3")):
        assert quantity.total == pytest.approx(truth[name]["total"], abs=1e-3)
        assert dict(quantity.per_vessel) == pytest.approx(truth[name]["per_vessel"], abs=1e-3)
        assert quantity.other == pytest.approx(truth[name]["other"], abs=1e-3)
    assert (scores.category, scores.cac_drs, notes) == (truth["category"], truth["cac_drs"], ())


def test_is_small_and_says_that_it_is_no_patient(truth: dict[str, Any]) -> None:
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 7_000_000
    assert "not a patient" in truth["statement"]
