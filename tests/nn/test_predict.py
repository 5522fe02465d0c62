"""A model: its labels, its uncertainty if it was calibrated, its warnings about unusual scans, and its card."""

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctacal.arrays import Floats32
from ctacal.errors import Code, UsageError
from ctacal.geometry import Geometry
from ctacal.labels import Calcium
from ctacal.nn.calcium_stage import as_soft_kernel
from ctacal.nn.calibration import Calibration
from ctacal.nn.card import Measured, add_to_card
from ctacal.nn.classes import BY_VESSEL
from ctacal.nn.config import NetworkConfig
from ctacal.nn.gated import GatedScale
from ctacal.nn.mass import MassScale, excess_mass_mg
from ctacal.nn.predict import load_model
from ctacal.nn.runtime import RUNTIMES
from ctacal.prediction import ScanFigures
from ctacal.scores import SCCT_2016, score_label_map
from ctacal.uncounted import TakenFor
from ctacal.volume import Volume
from tests.nn.model_by_hand import ball, by_hand


def nearly_lad(x: Floats32) -> list[Floats32]:
    """Probability of being coronary: 0.7 to the left of the heart's centre; 0.4, not counted, to the right."""
    probability = np.zeros((len(x), len(BY_VESSEL), *x.shape[2:]), np.float32)
    chance = np.where(x[:, 5] > 0, 0.7, 0.4)
    probability[:, 0], probability[:, BY_VESSEL.index(Calcium.LAD)] = 1 - chance, chance
    return [probability, np.ones((len(x), 4), np.float32)]


@pytest.fixture(scope="module")
def two_lesions() -> Volume:
    """3 x 3 pixels of 300 HU in two slices, on either side: 2 x 9 mm2 x 3 = 54 each."""
    volume, _ = ball((3.0, 1.0, 1.0))
    middle = [n // 2 for n in volume.hu.shape]
    for column in (middle[2] - 20, middle[2] + 20):
        volume.hu[middle[0] : middle[0] + 2, middle[1] : middle[1] + 3, column : column + 3] = 300
    return volume


def test_a_calibrated_model_gives_probabilities(two_lesions: Volume) -> None:
    """Scores of 54 with probability 0.7 and 54 with 0.4: the sum is 0 with 0.18, and 108 with 0.28."""
    uncertainty = replace(by_hand(nearly_lad), calibration=Calibration())(two_lesions, SCCT_2016).uncertainty
    assert uncertainty is not None
    assert uncertainty.category_probabilities is not None and uncertainty.interval is not None
    np.testing.assert_allclose(uncertainty.category_probabilities, [0.18, 0.54, 0.28, 0.0], atol=5e-3)
    assert uncertainty.interval.low < 54.0 < uncertainty.interval.high
    assert uncertainty.interval.coverage == 0.9


def test_nothing_calibrated_is_given_under_another_rule(two_lesions: Volume) -> None:
    scale = GatedScale(scale=2.0, power=1.0, least_mg=0.5)
    model = replace(by_hand(nearly_lad), calibration=Calibration(), gated_scale=scale)
    other, renamed = (replace(SCCT_2016, name="mine", min_area_mm2=area) for area in (2.0, 1.0))
    under_other, under_same = (model(two_lesions, rule).uncertainty for rule in (other, renamed))
    assert under_other is not None and under_same is not None
    assert under_other.category_probabilities is None
    assert under_other.interval is None
    assert under_other.gated_equivalent_agatston is None
    assert under_other.rule == SCCT_2016
    assert under_other.excess_mass_mg and under_other.coronary_certainty  # what does not depend on the rule
    assert under_same.category_probabilities and under_same.gated_equivalent_agatston  # only the name differs


def test_a_model_with_a_scale_gives_a_gated_equivalent(two_lesions: Volume) -> None:
    model = replace(by_hand(nearly_lad), gated_scale=GatedScale(scale=2.0, power=1.0, least_mg=0.5))
    uncertainty = model(two_lesions, SCCT_2016).uncertainty
    assert uncertainty is not None
    mass_mg = sum(uncertainty.excess_mass_mg[vessel] for vessel in ("LM", "LAD", "LCX", "RCA"))
    assert mass_mg == pytest.approx(54 / 1000 * (300 - 40) / 1.28, rel=0.05)  # 54 mm3 of 300 HU in blood of 40
    assert uncertainty.gated_equivalent_agatston == pytest.approx(54)  # what the scan itself scores
    assert 2 * (mass_mg - 0.5) < 54
    uncertainty = replace(model, gated_scale=GatedScale(scale=20.0, power=1.0, least_mg=0.5))(
        two_lesions, SCCT_2016
    ).uncertainty
    assert uncertainty is not None
    assert uncertainty.gated_equivalent_agatston == pytest.approx(20 * (mass_mg - 0.5))


def test_mass_is_kept_by_blur() -> None:
    """The same calcium in one voxel or spread over nine; voxels below the floor, or elsewhere, add nothing."""
    classes, near = tuple(int(label) for label in BY_VESSEL), np.ones((1, 9, 9), bool)
    probability = np.zeros((1, len(classes), 9, 9), np.float32)
    probability[:, classes.index(Calcium.RCA), :, :6] = 1.0
    sharp, spread = np.full((1, 9, 9), 40.0, np.float32), np.full((1, 9, 9), 40.0, np.float32)
    sharp[0, 3, 3] = 40 + 900
    spread[0, 2:5, 2:5] = 40 + 100
    sharp[0, 4, 7] = 500
    spread[0, 7, 0:3] = 75
    sharp_mg, spread_mg = (excess_mass_mg(hu, probability, near, classes, 2.0) for hu in (sharp, spread))
    assert sharp_mg == spread_mg
    assert sharp_mg == {"LM": 0.0, "LAD": 0.0, "LCX": 0.0, "RCA": pytest.approx(900 * 2 / 1000 / 1.28, abs=0.01)}
    assert excess_mass_mg(sharp, probability[:, :3], near, (0, 5, 6), 2.0) is None


@pytest.mark.parametrize(("least", "score"), [(0.3, 108.0), (0.5, 54.0), (0.8, 0.0)])
def test_what_counts_begins_at_a_probability(two_lesions: Volume, least: float, score: float) -> None:
    answer = replace(by_hand(nearly_lad), least_coronary=least).answer(two_lesions, SCCT_2016)
    assert score_label_map(two_lesions, answer.labels, SCCT_2016)[1].agatston.total == pytest.approx(score)
    assert answer.doubts.score == pytest.approx(score)


def test_no_probabilities_without_a_calibration(two_lesions: Volume) -> None:
    uncertainty = by_hand(nearly_lad)(two_lesions, SCCT_2016).uncertainty
    assert uncertainty is not None
    assert uncertainty.category_probabilities is None and uncertainty.interval is None


def test_the_doubts_are_about_the_score_that_is_given(two_lesions: Volume) -> None:
    answer = by_hand(nearly_lad).answer(two_lesions, SCCT_2016)
    scored = score_label_map(two_lesions, answer.labels, SCCT_2016)[1].agatston.total
    assert answer.doubts.score == pytest.approx(scored) == pytest.approx(54.0)
    np.testing.assert_allclose(answer.doubts.probability, [0.4, 0.7], atol=1e-6)  # from the right to the left


def test_a_scan_without_a_bright_voxel_is_surely_0() -> None:
    volume, _ = ball((3.0, 1.0, 1.0))
    uncertainty = replace(by_hand(), calibration=Calibration())(volume, SCCT_2016).uncertainty
    assert uncertainty is not None
    assert uncertainty.category_probabilities is not None
    assert uncertainty.category_probabilities[0] == pytest.approx(1.0, abs=5e-3)


def test_what_is_unlike_the_training_range(two_lesions: Volume) -> None:
    known = {"slice_spacing_mm": (2.0, 4.0), "pixel_mm": (1.3, 2.0)}
    prediction = replace(by_hand(), training_range=known)(two_lesions, SCCT_2016)
    assert [reason.code for reason in prediction.reasons] == [Code.PIXELS_UNLIKE_TRAINING]
    assert prediction.figures is not None
    assert prediction.figures.pixel_mm == pytest.approx(1.0)
    assert not by_hand()(two_lesions, SCCT_2016).reasons


def model_folder(folder: Path, **more: Any) -> Path:
    """Write two files that are not networks, and a card that names them as networks."""
    stages = {}
    for name, config in (("heart", NetworkConfig.heart()), ("calcium", NetworkConfig())):
        (folder / f"{name}.onnx").write_bytes(name.encode())
        digest = hashlib.sha256(name.encode()).hexdigest()
        stages[name] = {
            "file": f"{name}.onnx",
            "sha256": digest,
            "classes": [0, 1],
            "recipe": {"network": asdict(config)},
        }
    card = {"format": 1, "name": "toy", "version": "1", "stages": stages, **more}
    (folder / "model.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def no_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUNTIMES, "onnxruntime", lambda content, threads: lambda x: [x])


@pytest.mark.usefixtures("no_runtime")
def test_the_card_holds_calibration_and_range(tmp_path: Path) -> None:
    calibration = Calibration(slope=0.7, interval_width=2.5, studies=120, against="true labels")
    folder = model_folder(tmp_path, facts={"licence": "Apache-2.0"})
    digest = load_model(folder).info.digest
    scale = GatedScale(scale=5.0, power=1.0, least_mg=1.0)
    rule = replace(SCCT_2016, name="mine", min_area_mm2=2.0, kvp_factors=((100.0, 1.14), (120.0, 1.0)))
    measured = Measured(
        least_coronary=0.6, least_small=0.8, calibration=calibration, training_range={"pixel_mm": (0.6, 2.0)},
        gated_scale=scale, mass_scale=MassScale(scale=3.0, power=0.7), rule=rule,
    )  # fmt: skip
    add_to_card(folder, measured)
    model = load_model(folder)
    assert model.rule == rule
    assert model.info.digest == digest
    assert model.card["facts"] == {"licence": "Apache-2.0"}
    assert model.calibration == calibration
    assert (model.gated_scale, model.least_coronary, model.least_small) == (scale, 0.6, 0.8)
    assert model.mass_scale == MassScale(scale=3.0, power=0.7)
    assert model.training_range == {"pixel_mm": (0.6, 2.0)}
    add_to_card(folder, Measured())
    assert load_model(folder).mass_scale is None, "a new calibration leaves nothing of the old one"


@pytest.mark.usefixtures("no_runtime")
def test_a_card_without_them(tmp_path: Path) -> None:
    model = load_model(model_folder(tmp_path))
    assert model.calibration is None
    assert model.least_small is None
    assert model.training_range == {}
    assert model.rule == SCCT_2016


@pytest.mark.usefixtures("no_runtime")
@pytest.mark.parametrize(
    "wrong",
    [
        {"calibration": {"slope": "steep"}},
        {"training_range": {"pixel_mm": 1.0}},
        {"rule": {"name": "mine"}},
        {"least_small": 1.5},
    ],
)
def test_a_card_that_is_wrong(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        load_model(model_folder(tmp_path, **wrong))


def test_a_kernel_that_enhances_edges_is_looked_at_through_a_blur() -> None:
    """Fine, strong noise is removed from the network's input; a bright block stays; other scans are unchanged."""
    hu = np.random.default_rng(3).normal(40, 45, (6, 64, 64)).astype(np.float32)
    hu[2:4, 30:38, 30:38] = 500
    volume = Volume(hu, Geometry.from_spacing((6, 64, 64), (3.0, 0.8, 0.8)))
    figures = ScanFigures(
        noise_sd_hu=45.0, noise_grain_mm=0.45, slice_correlation=0.0, slice_spacing_mm=3.0, pixel_mm=0.8, field_mm=50.0,
        blood_hu=40.0, border_blur_mm=None, metal_mm3=0.0,
    )  # fmt: skip
    seen = as_soft_kernel(volume, figures)
    assert (seen.hu[:2] >= 130).sum() < 0.02 * (volume.hu[:2] >= 130).sum()
    assert seen.hu[2, 33, 33] > 450
    for name, value in (("noise_grain_mm", 0.8), ("noise_sd_hu", 15.0), ("noise_grain_mm", None)):
        changed: dict[str, Any] = {name: value}
        like = replace(figures, **changed)
        assert as_soft_kernel(volume, like) is volume


SPACINGS = [(3.0, 1.0, 1.0), (5.0, 1.95, 1.95), (1.25, 1.4, 1.1), (2.5, 0.7, 0.7)]


@pytest.mark.parametrize("spacing_mm", SPACINGS)
def test_labels_come_back_on_the_scan(spacing_mm: tuple[float, float, float]) -> None:
    """Lesions on both sides of the heart and in the lung: exactly the bright voxels of the first two are labelled."""
    volume, _ = ball(spacing_mm)
    slices, rows, columns = volume.hu.shape
    reach = round(20 / spacing_mm[2])
    left, right = columns // 2 + reach, columns // 2 - reach
    for column in (left, right, 3):
        volume.hu[slices // 2 : slices // 2 + 2, rows // 2 : rows // 2 + 3, column : column + 3] = 300
    volume.hu[slices // 2, rows // 2, left] = 129
    prediction = by_hand()(volume, SCCT_2016)
    expected = np.zeros(volume.hu.shape, np.uint8)
    expected[volume.hu >= 130] = Calcium.RCA
    expected[:, :, columns // 2 :] *= 0
    expected[(volume.hu >= 130) & (np.arange(columns) >= columns // 2)] = Calcium.LAD
    expected[:, :, :8] = 0
    np.testing.assert_array_equal(prediction.labels.labels, expected)
    assert prediction.heart is not None
    assert prediction.uncertainty is not None
    assert prediction.uncertainty.coronary_certainty == pytest.approx(0.9)
    excess = (17 * (300 - 40) + (129 - 40)) * np.prod(spacing_mm) / 1000
    assert prediction.uncertainty.excess_mass_mg["LAD"] == pytest.approx(excess / 1.28, rel=0.25)  # resampled


def test_nothing_bright_needs_no_second_network() -> None:
    def never(_: Floats32) -> list[Floats32]:
        raise AssertionError

    volume, _ = ball((3.0, 1.0, 1.0))
    prediction = by_hand(never)(volume, SCCT_2016)
    assert not prediction.labels.labels.any()
    assert prediction.uncertainty is None


def test_probabilities_are_interpolated_between_pixels() -> None:
    """An island of two vessels is cut where their probabilities cross, not at the network's pixels: at -0.3 mm."""

    def sloping(x: Floats32) -> list[Floats32]:
        to_left_mm = x[:, 5] * 60.0
        probability = np.zeros((len(x), len(BY_VESSEL), *x.shape[2:]), np.float32)
        probability[:, 2] = np.clip(0.5 + (to_left_mm + 0.3) / 6, 0, 1)
        probability[:, 4] = 1 - probability[:, 2]
        return [probability, np.ones((len(x), 4), np.float32)]

    volume, _ = ball((3.0, 0.4, 0.4), (120.0, 120.0, 120.0))
    middle = tuple(n // 2 for n in volume.hu.shape)
    volume.hu[middle[0], middle[1], middle[2] - 20 : middle[2] + 20] = 300
    labels = by_hand(sloping)(volume, SCCT_2016).labels.labels[middle[0], middle[1]]
    first_left = int(np.flatnonzero(labels == Calcium.LAD)[0])
    assert (labels[first_left : middle[2] + 20] == Calcium.LAD).all()
    assert (labels[middle[2] - 20 : first_left] == Calcium.RCA).all()
    assert abs((first_left - (volume.hu.shape[2] - 1) / 2) * 0.4 + 0.3) < 1.0


def test_one_plaque_gets_one_decision() -> None:
    """The network changes its mind every few columns; the plaque is LAD as a whole, and nothing of it is left out."""

    def wavering(x: Floats32) -> list[Floats32]:
        probability = np.zeros((len(x), len(BY_VESSEL), *x.shape[2:]), np.float32)
        other = np.arange(x.shape[3]) % 4 == 0
        probability[:, BY_VESSEL.index(Calcium.LAD)] = np.where(other, 0.2, 0.8)
        probability[:, BY_VESSEL.index(Calcium.OTHER)] = np.where(other, 0.8, 0.2)
        return [probability, np.ones((len(x), 4), np.float32)]

    volume, _ = ball((3.0, 1.0, 1.0))
    middle = tuple(n // 2 for n in volume.hu.shape)
    plaque = (slice(middle[0], middle[0] + 2), slice(middle[1], middle[1] + 4), slice(middle[2], middle[2] + 16))
    volume.hu[plaque] = 300
    prediction = by_hand(wavering)(volume, SCCT_2016)
    assert (prediction.labels.labels[plaque] == Calcium.LAD).all()
    assert prediction.uncounted is not None and prediction.uncounted.islands.count == 0


def test_every_bright_voxel_is_counted_or_shown(two_lesions: Volume) -> None:
    """In the heart and just beside it; the lesion at 0.4 is possible coronary calcium that does not count."""
    prediction = by_hand(nearly_lad)(two_lesions, SCCT_2016)
    assert prediction.uncounted is not None
    shown = prediction.labels.labels.ravel() != 0
    shown[prediction.uncounted.islands.voxel] = True
    assert np.array_equal(shown.reshape(two_lesions.hu.shape), two_lesions.hu >= 130)
    assert prediction.uncounted.taken_for == (TakenFor.NO_CALCIUM,)
    assert prediction.uncounted.probability == pytest.approx([0.4])


def test_prediction_imports_no_torch() -> None:
    code = "import sys; import ctacal.nn.predict; assert not {'torch', 'onnx', 'scipy.ndimage'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no model"):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text('{"format": 2}')
    with pytest.raises(UsageError, match="another format"):
        load_model(tmp_path)
