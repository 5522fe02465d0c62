"""The model that ships, with its third network, scores the sample according to its truth."""

import json

import pytest

from ctacal.dicom.choose import choose_series
from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.labels import Calcium
from ctacal.nn.predict import load_model
from ctacal.scores import SCCT_2016, score_label_map
from ctacal.uncounted import TakenFor
from tests import places


def test_it_names_the_plaque_and_leaves_the_wall_of_the_aorta() -> None:
    truth = json.loads((places.SAMPLE / "simulated_ctac.json").read_text(encoding="utf-8"))
    model = load_model(threads=1)
    volume, _ = read_volume(choose_series(read_studies([places.SAMPLE / truth["scan"]]).studies[0]).series)
    prediction = model(volume, SCCT_2016)
    _, scores = score_label_map(volume, prediction.labels, SCCT_2016)
    assert scores.agatston.total == pytest.approx(truth["agatston"]["total"], abs=1e-3)
    assert scores.agatston.per_vessel[Calcium.LAD.name] == scores.agatston.total
    assert prediction.uncounted is not None
    left = zip(prediction.uncounted.taken_for, prediction.uncounted.probability.tolist(), strict=True)
    walls = [chance for name, chance in left if name in (TakenFor.ASCENDING_AORTA, TakenFor.AORTA)]
    assert walls and max(walls) < 0.05, "its deposit of 114"
