"""The sample that ships with the package is read, chosen and scored as its truth says."""

import json
from pathlib import Path

import pytest

import ctacal
from ctacal.dicom.choose import Choice, choose_series
from ctacal.dicom.series import read_studies
from ctacal.labels import read_label_map
from ctacal.scores import named_rule, score_label_map
from ctacal.volume import read_volume

SAMPLE = Path(ctacal.__file__).parent / "sample"
TRUTH = json.loads((SAMPLE / "thorax_phantom.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def choice() -> Choice:
    intake = read_studies([SAMPLE / TRUTH["scan"]])
    assert (intake.files, len(intake.studies), intake.skipped, intake.not_dicom) == (48, 1, (), 0)
    return choose_series(intake.studies[0])


def test_is_chosen_as_ctac_without_a_warning(choice: Choice) -> None:
    assert choice.notes == ()
    assert "attenuation-correction" in choice.why


def test_truth_is_what_the_labels_score(choice: Choice) -> None:
    volume, notes = read_volume(choice.series)
    labels = read_label_map(SAMPLE / TRUTH["labels"], volume)
    _, scores = score_label_map(volume, labels, named_rule(TRUTH["rule"]))
    for quantity, name in ((scores.agatston, "agatston"), (scores.volume_mm3, "volume_mm3")):
        assert quantity.total == pytest.approx(TRUTH[name]["total"], abs=1e-3)
        assert dict(quantity.per_vessel) == pytest.approx(TRUTH[name]["per_vessel"], abs=1e-3)
        assert quantity.other == pytest.approx(TRUTH[name]["other"], abs=1e-3)
    assert (scores.category, scores.cac_drs, notes) == (TRUTH["category"], TRUTH["cac_drs"], ())


def test_is_small_and_says_that_it_is_drawn() -> None:
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 3_000_000
    assert "not a patient" in TRUTH["statement"]
