"""Export and scoring: ONNX says what torch says, at any length; the labels come back on the scan's own voxels."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from ctacal.arrays import Floats32
from ctacal.errors import Code, CtacalError, Refusal, UsageError
from ctacal.heart import HeartMask
from ctacal.labels import Calcium
from ctacal.nn.checkpoint import read_checkpoint
from ctacal.nn.classes import BY_VESSEL
from ctacal.nn.config import NetworkConfig
from ctacal.nn.export import ForScoring, checkpoint_of_model, export, weights_of, write_onnx
from ctacal.nn.heart_stage import locate_heart
from ctacal.nn.inputs import channels_of
from ctacal.nn.predict import load_model
from ctacal.nn.published import DenseFeatures, PublishedSystem
from ctacal.nn.runtime import Stage
from ctacal.scores import SCCT_2016
from ctacal.volume import Volume
from tests.nn.model_by_hand import ball, by_hand
from tests.nn.random_networks import HEART, checkpoint, stirred
from tests.nn.toys import TINY


def networks(trained: Path) -> dict[str, nn.Module]:
    """What was exported, in torch."""
    return {"heart": stirred(HEART), "calcium": read_checkpoint(trained / "best.pt").network()}


@pytest.mark.slow
@pytest.mark.parametrize(("slices", "sides"), [(1, (32, 32)), (2, (48, 80)), (23, (48, 80))])
def test_onnx_is_torch(exported: Path, trained: Path, slices: int, sides: tuple[int, int]) -> None:
    model = load_model(exported, threads=1)
    for name, network in networks(trained).items():
        stage: Stage = getattr(model, name)
        x = torch.randn(slices, channels_of(stage.config), *sides)
        with torch.no_grad():
            expected = ForScoring(network).eval()(x)
        found = stage.run(x.numpy())
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other.numpy(), atol=1e-4, rtol=1e-5)
        assert found[0].std() > 1e-3, "a network that says something"


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["heart", "calcium"])
def test_every_weight_comes_back_from_onnx(exported: Path, trained: Path, stage: str) -> None:
    """Fine-tuning goes on from the very numbers that were trained, batch normalisation's too."""
    back = checkpoint_of_model(exported, stage)
    expected = networks(trained)[stage].state_dict()
    assert back.recipe.network == {"heart": HEART, "calcium": TINY}[stage]
    assert back.averaged.keys() == expected.keys()
    for name, tensor in back.averaged.items():
        assert name.endswith("num_batches_tracked") or torch.equal(tensor, expected[name]), name


@pytest.mark.slow
def test_a_graph_without_the_weights_names_is_refused(exported: Path, tmp_path: Path) -> None:
    """As earlier versions wrote it, batch normalisation folded into the convolutions."""
    graph = onnx.load(exported / "calcium.onnx")
    renamed = next(one for one in graph.graph.initializer if one.name.endswith("running_mean"))
    renamed.name = "folded"
    onnx.save(graph, tmp_path / "calcium.onnx")
    with pytest.raises(UsageError, match=r"holds no trunk.*running_mean"):
        weights_of(tmp_path / "calcium.onnx", TINY)


@pytest.mark.slow
def test_the_card_tells_the_parity_at_each_length(exported: Path) -> None:
    for stage in json.loads((exported / "model.json").read_text())["stages"].values():
        assert stage["parity"].keys() == {"1", "3", "24"}
        assert all(0 <= difference < 1e-5 for difference in stage["parity"].values())


@pytest.mark.slow
def test_networks_that_differ_from_torch_make_no_model(
    exported: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of other weights, where the exporter should have written these."""
    heart = checkpoint(HEART, tmp_path / "heart.pt")

    def wrong(_: nn.Module, config: NetworkConfig, path: Path) -> None:
        content = onnx.load(exported / f"{config.kind}.onnx")
        for one in content.graph.initializer:
            if one.name.endswith("expand.bias"):
                one.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one) + 1, one.name))
        onnx.save(content, path)

    monkeypatch.setattr("ctacal.nn.export.write_onnx", wrong)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.json").write_text("of an earlier model")
    with pytest.raises(CtacalError, match="differs from torch"):
        export(heart, trained / "best.pt", tmp_path / "out", name="x")
    assert not (tmp_path / "out" / "model.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        replace(TINY, widths=(4, 8), lstm_channels=3, unshuffle=1, refine_channels=4, mid_lstm_channels=2),
        NetworkConfig.published(),
    ],
    ids=["every option", "published"],
)
def test_other_networks_export(tmp_path: Path, config: NetworkConfig) -> None:
    import onnxruntime

    network, channels = stirred(config), channels_of(config)
    if isinstance(network, PublishedSystem):  # one of its two DenseNets is enough, half a minute each
        network.heart.context = nn.Conv2d(1, DenseFeatures.channels, 8, stride=8)
    write_onnx(network, config, tmp_path / "one.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "one.onnx", providers=["CPUExecutionProvider"])
    for slices in (2, 7):
        x = torch.randn(slices, channels, 48, 32)
        with torch.no_grad():
            expected = ForScoring(network).eval()(x)[0].numpy()
        np.testing.assert_allclose(session.run(None, {"x": x.numpy()})[0], expected, atol=1e-4)


@pytest.mark.slow
def test_no_folder_of_the_trainer_is_in_the_graphs(exported: Path) -> None:
    for stage in ("heart", "calcium"):
        content = (exported / f"{stage}.onnx").read_bytes()
        assert b"site-packages" not in content and b"ctacal/nn" not in content


def test_the_card_names_what_it_ships_with(exported: Path) -> None:
    card = json.loads((exported / "model.json").read_text())
    assert card["facts"] == {"licence": "Apache-2.0"}
    assert card["stages"]["calcium"]["classes"] == [int(label) for label in BY_VESSEL]
    assert card["stages"]["heart"]["step"] == 7
    assert (card["name"], card["version"]) == ("toy", "3")
    assert len(load_model(exported, threads=1).info.digest) == 64


@pytest.mark.slow
def test_another_file_than_the_card_names(exported: Path, tmp_path: Path) -> None:
    for file in exported.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    content = bytearray((tmp_path / "calcium.onnx").read_bytes())
    content[-1] ^= 1
    (tmp_path / "calcium.onnx").write_bytes(content)
    with pytest.raises(UsageError, match=r"calcium\.onnx is not the file"):
        load_model(tmp_path)
    (tmp_path / "heart.onnx").unlink()
    with pytest.raises(UsageError, match=r"heart\.onnx"):
        load_model(tmp_path)


def test_prediction_imports_no_torch() -> None:
    code = "import sys; import ctacal.nn.predict; assert not {'torch', 'onnx', 'scipy.ndimage'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no model"):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text('{"format": 2}')
    with pytest.raises(UsageError, match="another format"):
        load_model(tmp_path)


def test_stages_are_not_mixed_up(tmp_path: Path) -> None:
    calcium = checkpoint(TINY, tmp_path / "calcium.pt")
    with pytest.raises(UsageError, match="expected a heart network"):
        export(calcium, calcium, tmp_path / "out", name="x")


SPACINGS = [(3.0, 1.0, 1.0), (5.0, 1.95, 1.95), (1.25, 1.4, 1.1), (2.5, 0.7, 0.7)]


@pytest.mark.parametrize("spacing_mm", SPACINGS)
def test_heart_comes_back_on_the_scan(spacing_mm: tuple[float, float, float]) -> None:
    volume, inside = ball(spacing_mm)
    heart = locate_heart(volume, by_hand().heart)
    dice = 2 * (heart.mask & inside).sum() / (heart.mask.sum() + inside.sum())
    assert dice > 0.95
    assert not heart.touches_first_slice | heart.touches_last_slice


def test_heart_cut_off_by_the_scan() -> None:
    volume, inside = ball((3.0, 1.0, 1.0))
    cut = volume.crop((slice(20, None), slice(None), slice(60, 150)))
    heart = locate_heart(cut, by_hand().heart)
    assert heart.touches_first_slice
    expected = inside[20:, :, 60:150]
    assert 2 * (heart.mask & expected).sum() / (heart.mask.sum() + expected.sum()) > 0.93


def test_no_heart() -> None:
    volume, _ = ball((3.0, 1.0, 1.0))
    with pytest.raises(Refusal) as refusal:
        locate_heart(Volume(np.full_like(volume.hu, -800), volume.geometry), by_hand().heart)
    assert refusal.value.reason.code == Code.HEART_NOT_FOUND


@pytest.mark.parametrize("spacing_mm", SPACINGS)
def test_labels_come_back_on_the_scan(spacing_mm: tuple[float, float, float]) -> None:
    """A lesion on each side of the heart, one in the lung: exactly the bright voxels of the first two are labelled."""
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
    """Class borders fall where the network's probabilities cross, not on its pixels: LAD begins at -0.3 mm."""

    def sloping(x: Floats32) -> list[Floats32]:
        to_left_mm = x[:, 5] * 60.0
        probability = np.zeros((len(x), len(BY_VESSEL), *x.shape[2:]), np.float32)
        probability[:, 2] = np.clip(0.5 + (to_left_mm + 0.3) / 200, 0, 1)
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


def test_mask_is_a_heart_mask() -> None:
    volume, _ = ball((3.0, 1.0, 1.0))
    assert isinstance(locate_heart(volume, by_hand().heart), HeartMask)
