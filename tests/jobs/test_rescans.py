"""A run of rescans makes what is missing, and no scan twice."""

from pathlib import Path

import numpy as np
import pytest

from ctacal.errors import Code, Refusal
from ctacal.heart import HeartMask
from ctacal.jobs import rescans
from ctacal.jobs.rescan_limits import read_scans
from ctacal.jobs.rescans import RescanSet, make_rescans, read_rescans
from ctacal.labels import Calcium, LabelMap
from ctacal.prediction import ModelInfo, Prediction, Uncertainty
from ctacal.scores import ScoringRule
from ctacal.simulate.anatomy.calcium import CalciumDescription, Deposit, Kind
from ctacal.simulate.anatomy.description import draw_patient
from ctacal.simulate.training.anatomy_cache import AnatomyCache, Sampling
from ctacal.simulate.training.rescans import grown
from ctacal.volume import Volume

pytestmark = pytest.mark.slow

CRUDE = Sampling(slice_mm=5.0, pixel_mm=2.5, views=60, detector_mm=2.5, states=2, margin_mm=(20.0, 50.0))
MUCH = CalciumDescription((Deposit(Kind.CORONARY, "LAD", 0.3, 0.0, 20.0, 3.0, 300.0, 1000.0, 1),))
CENTRES = ("hawkeye_slow",)


class BrightIsCalcium:
    """A model that counts all that is bright in the middle of the image."""

    info = ModelInfo("bright", "1", "a" * 64)
    scans = 0

    def __call__(self, volume: Volume, rule: ScoringRule) -> Prediction:
        self.scans += 1
        if self.scans == 3:
            raise Refusal(Code.HEART_NOT_FOUND, "the third scan shows no heart")
        labels = np.zeros(volume.hu.shape, np.uint8)
        n = volume.hu.shape[1] // 2
        middle = (slice(None), slice(n - 40, n + 10), slice(n - 20, n + 30))
        labels[middle] = np.where(volume.hu[middle] >= rule.threshold_hu, np.uint8(Calcium.LAD), 0)
        heart = HeartMask(labels > 0, volume.geometry)
        return Prediction(
            LabelMap(labels, volume.geometry), self.info, heart, Uncertainty(gated_equivalent_agatston=5.0)
        )


@pytest.fixture(scope="module")
def cache() -> AnatomyCache:
    return AnatomyCache.of(draw_patient(3), (CalciumDescription(()), MUCH, grown(MUCH)), CRUDE)


@pytest.fixture
def model(cache: AnatomyCache, monkeypatch: pytest.MonkeyPatch) -> BrightIsCalcium:
    found = BrightIsCalcium()
    monkeypatch.setattr(rescans, "draw_rescanned_anatomy", lambda _seed: cache)
    monkeypatch.setattr(rescans, "load_model", lambda _folder, threads: found)
    return found


def test_makes_what_is_missing_and_keeps_what_is_there(tmp_path: Path, model: BrightIsCalcium) -> None:
    wanted = RescanSet(out=tmp_path, patients=1, seed=7, each=2, protocols=CENTRES)
    assert make_rescans(wanted) == []
    path = wanted.path(7_000_000)
    found = read_rescans(path)
    assert [(row["draw"], row["grown"], row["scan"]) for row in found] == [
        ("1", "0", "0"), ("1", "0", "1"), ("0", "0", "0"), ("0", "0", "1"), ("1", "1", "0"),
    ]  # fmt: skip
    assert [row["status"] for row in found] == ["scored", "scored", "refused", "scored", "scored"]
    assert found[2]["reason"] == "HEART_NOT_FOUND"
    assert found[2]["agatston"] == ""
    scores = [float(row["agatston"]) for row in found if row["draw"] == "1"]
    assert min(scores) > 100
    assert len(set(scores)) == 3
    assert float(found[4]["true_mass_mg"]) > 1.2 * float(found[0]["true_mass_mg"])
    assert found[0]["gated_equivalent_agatston"] == "5.0000"

    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:4]) + lines[4][:20], encoding="utf-8")  # as if it had been interrupted
    make_rescans(wanted)
    assert model.scans == 7
    assert [row["scan"] for row in read_scans(tmp_path)] == [row["scan"] for row in found]


def test_scans_that_another_model_scored_are_made_again(tmp_path: Path, model: BrightIsCalcium) -> None:
    wanted = RescanSet(out=tmp_path, patients=1, seed=7, each=1, protocols=CENTRES)
    make_rescans(wanted)
    before = model.scans
    model.info = ModelInfo("bright", "2", "b" * 64)
    make_rescans(wanted)
    assert model.scans == 2 * before
    assert {row["model_digest"] for row in read_scans(tmp_path)} == {"b" * 64}


def test_no_two_scans_share_a_seed() -> None:
    wanted = RescanSet(out=Path(), patients=2, seed=7, each=9)
    seeds = [
        scan.seed(patient, wanted.protocols.index(scan.centre))
        for patient in wanted.patient_seeds
        for scan in rescans._scans(wanted)
    ]
    assert len(set(seeds)) == len(seeds)


def test_a_patient_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_seed: int) -> AnatomyCache:
        raise ValueError("no such patient")

    monkeypatch.setattr(rescans, "draw_rescanned_anatomy", fails)
    monkeypatch.setattr(rescans, "load_model", lambda _folder, threads: None)
    wanted = RescanSet(out=tmp_path, patients=1, seed=7, protocols=CENTRES)
    assert make_rescans(wanted) == ["patient 1: ValueError: no such patient"]
