"""``ctacal calibrate``: what validation studies show is written to the model, and read back by it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ctacal.cli.app import app
from ctacal.cli.calibrate import LEAST_CORONARY, Known, best_threshold
from ctacal.geometry import Geometry
from ctacal.labels import Calcium
from ctacal.nn.calibration import CATEGORY_KEYS, LesionDoubts
from ctacal.nn.fitness import Figures
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
        facts = StudyFacts(k, "drawn", reference_agatston=20.0 * side**2 if k % 2 else 0.0)
        write_test_study(folder / f"known-{k:02d}.npz", volume, labels, None, facts)
    return folder


def calibrate(model: Path, cohort: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["calibrate", str(cohort), "--model", str(model)])
    return result.exit_code, result.output + str(result.exception or "")


def test_a_model_comes_to_know_itself(tmp_path: Path) -> None:
    model, cohort = write_hand_model(tmp_path / "model"), write_cohort(tmp_path / "validation", 48)
    assert calibrate(model, cohort) == (0, f"{model / 'model.json'}: calibrated on 48 studies, 0 not scored\n")
    loaded = load_model(model)
    assert loaded.calibration is not None and loaded.calibration.studies == 48
    assert loaded.training_range["noise_sd_hu"][0] == pytest.approx(5, abs=1)
    study = read_test_study(cohort / "known-05.npz")  # 45 by the rule
    told = loaded(study.volume, SCCT_2016).uncertainty
    assert told is not None
    assert max(CATEGORY_KEYS, key=lambda name: told[name]) == "p_1_100"
    assert sum(told[name] for name in CATEGORY_KEYS) == pytest.approx(1)


def test_too_few_are_refused_and_the_model_stays(tmp_path: Path) -> None:
    model, cohort = write_hand_model(tmp_path / "model"), write_cohort(tmp_path / "validation", 5)
    before = (model / "model.json").read_bytes()
    status, told = calibrate(model, cohort)
    assert status != 0 and "expected at least 40 validation studies, got 5" in told
    assert (model / "model.json").read_bytes() == before
    assert calibrate(model, tmp_path)[0] != 0


def test_a_broken_study_is_told_and_left_out(tmp_path: Path) -> None:
    model, cohort = write_hand_model(tmp_path / "model"), write_cohort(tmp_path / "validation", 44)
    (cohort / "known-44.npz").write_bytes(b"no study")
    (cohort / ".writing-x.npz").write_bytes(b"half a study")  # of a run beside: no study yet
    shutil.copy(cohort / "known-00.npz", cohort / "known-45.npz")
    status, told = calibrate(model, cohort)
    assert status == 1 and "known-44.npz" in told and "calibrated on 45 studies, 1 not scored" in told
    assert json.loads((model / "model.json").read_text())["calibration"]["studies"] == 45


def known(true: float, *lesions: tuple[float, float]) -> Known:
    """A study whose lesions, (probability, score) each, count from each threshold on."""
    chance, score = np.asarray(lesions, float).reshape(-1, 2).T
    doubts = tuple(
        LesionDoubts(chance, np.repeat(score[:, None], 3, axis=1), float(score[chance >= least].sum()))
        for least in LEAST_CORONARY
    )
    return Known(doubts, Figures(**dict.fromkeys(Figures.__slots__, None)), 0.0, true, None)


def test_the_threshold_parts_false_lesions_from_true_ones() -> None:
    found = [known(0.0, (0.55, 20.0)) for _ in range(20)] + [known(150.0, (0.75, 150.0)) for _ in range(20)]
    assert LEAST_CORONARY[best_threshold(found)] == pytest.approx(0.65)


def test_where_all_thresholds_agree_it_is_one_half() -> None:
    found = [known(0.0) for _ in range(5)] + [known(50.0, (0.99, 50.0)) for _ in range(5)]
    assert LEAST_CORONARY[best_threshold(found)] == 0.5
