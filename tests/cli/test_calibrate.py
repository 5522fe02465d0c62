"""``ctacal calibrate``: the calibration is written to the model's card, and the model reads it back."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ctacal.categories import CATEGORIES
from ctacal.cli.app import app
from ctacal.geometry import Geometry
from ctacal.labels import Calcium
from ctacal.nn.card import Measured
from ctacal.nn.known_study import StudyFacts, read_test_study, write_test_study
from ctacal.nn.predict import load_model
from ctacal.scores import SCCT_2016
from ctacal.volume import Volume
from tests.nn.hand_model import write_hand_model

GRID = Geometry.from_spacing((8, 48, 48), (5.0, 3.0, 3.0))


def write_cohort(folder: Path, count: int) -> Path:
    """Soft tissue in air, with noise; every other study has a plaque of its own size."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(count):
        hu = np.full(GRID.shape, -1000.0)
        hu[:, 4:44, 4:44] = 40 + rng.normal(0, 5 + k % 7, (8, 40, 40))
        labels = np.zeros(GRID.shape, np.uint8)
        side = 1 + k % 5
        if k % 2:
            hu[3, 20 : 20 + side, 20 : 20 + side], labels[3, 20 : 20 + side, 20 : 20 + side] = 300 + k, Calcium.LAD
        volume = Volume(hu.astype(np.float32), GRID)
        facts = StudyFacts(
            k,
            "drawn",
            reference_agatston=20.0 * side**2 if k % 2 else 0.0,
            mass_mg={"LAD": 5.0 * side if k % 2 else 0.0},
        )
        write_test_study(folder / f"known-{k:02d}.npz", volume, labels, None, facts)
    return folder


def calibrate(model: Path, cohort: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["calibrate", str(cohort), "--model", str(model), *options])
    return result.exit_code, result.output + str(result.exception or "")


@pytest.mark.slow
def test_a_calibrated_model_gives_probabilities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three thresholds are tried, for speed."""
    monkeypatch.setattr("ctacal.jobs.calibrate.LEAST_CORONARY", (0.45, 0.5, 0.55))
    model, cohort = write_hand_model(tmp_path / "model"), write_cohort(tmp_path / "validation", 42)
    status, printed = calibrate(model, cohort)
    assert status == 0 and f"{model / 'model.json'}: calibrated on 42 studies, 0 not scored\n" in printed
    assert printed.startswith("an island counts from 0.5 on, the smallest from 0.5\n")
    loaded = load_model(model)
    assert loaded.calibration is not None and loaded.calibration.studies == 42
    assert loaded.mass_scale is not None and loaded.mass_scale.studies == 21
    assert loaded.training_range["noise_sd_hu"][0] == pytest.approx(5, abs=1)
    study = read_test_study(cohort / "known-05.npz")  # 45 by the rule
    found = loaded(study.volume, SCCT_2016).uncertainty
    assert found is not None
    assert found.category_probabilities is not None
    assert np.argmax(found.category_probabilities) == CATEGORIES.index("1-100")
    assert sum(found.category_probabilities) == pytest.approx(1)


def test_too_few_studies_are_refused_and_the_model_stays(tmp_path: Path) -> None:
    model, cohort = write_hand_model(tmp_path / "model"), write_cohort(tmp_path / "validation", 5)
    before = (model / "model.json").read_bytes()
    status, printed = calibrate(model, cohort)
    assert status != 0 and "expected at least 40 validation studies, got 5" in printed
    assert (model / "model.json").read_bytes() == before
    assert calibrate(model, tmp_path)[0] != 0
    assert "expected at least 30 unusual studies, got 5" in calibrate(model, cohort, "--unusual", str(cohort))[1]
    assert "nothing" in calibrate(model, cohort, "--unusual", str(tmp_path / "nothing"))[1]


def test_a_broken_study_is_reported_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fit itself, which needs more studies, is tested above."""
    fitted: list[int] = []

    def fit(_: object, studies: list[object], _unusual: object) -> Measured:
        fitted.append(len(studies))
        return Measured(least_small=0.75)

    monkeypatch.setattr("ctacal.cli.calibrate.calibrate", fit)
    model, cohort = write_hand_model(tmp_path / "model"), write_cohort(tmp_path / "validation", 2)
    (cohort / "known-2.npz").write_bytes(b"no study")
    (cohort / ".writing-x.npz").write_bytes(b"half a study")  # another run is writing it
    shutil.copy(cohort / "known-00.npz", cohort / "known-3.npz")
    status, printed = calibrate(model, cohort)
    assert status == 1 and "known-2.npz" in printed and "calibrated on 3 studies, 1 not scored" in printed
    assert fitted == [3]
