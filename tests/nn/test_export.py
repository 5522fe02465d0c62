"""Export: ONNX Runtime and torch give the same output for any number of slices; weights and card can be read back."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from ctacal.anatomy import Anatomy
from ctacal.errors import CtacalError, UsageError
from ctacal.nn.anatomy_stage import find_anatomy
from ctacal.nn.card import read_card, write_card
from ctacal.nn.checkpoint import Checkpoint, read_checkpoint
from ctacal.nn.classes import BY_VESSEL
from ctacal.nn.config import NetworkConfig
from ctacal.nn.export import (
    ForScoring,
    checkpoint_of_model,
    export,
    export_again,
    export_stage,
    mixed,
    rounded,
    weights_of,
    write_onnx,
)
from ctacal.nn.inputs import STRUCTURES, channels_of, own_channels_of, with_structures
from ctacal.nn.predict import load_model
from ctacal.nn.published import DenseFeatures, PublishedSystem
from ctacal.nn.runtime import RUNTIMES, Stage
from tests.nn.model_by_hand import ball
from tests.nn.random_networks import HEART, checkpoint, stirred
from tests.nn.toys import TINY, TINY_ANATOMY, recipe


def networks(trained: Path) -> dict[str, nn.Module]:
    """Return the exported network in torch."""
    return {"heart": stirred(HEART), "calcium": read_checkpoint(trained / "best.pt").network()}


@pytest.mark.slow
@pytest.mark.parametrize(("slices", "sides"), [(1, (32, 32)), (2, (48, 80)), (23, (48, 80))])
def test_onnx_gives_the_output_of_torch(exported: Path, trained: Path, slices: int, sides: tuple[int, int]) -> None:
    model = load_model(exported, threads=1)
    for name, network in networks(trained).items():
        stage: Stage = getattr(model, name)
        x = torch.randn(slices, channels_of(stage.config), *sides)
        with torch.no_grad():
            expected = ForScoring(network).eval()(x)
        found = stage.run(x.numpy())
        assert len(found) == len(expected)
        for output, wanted in zip(found, expected, strict=True):
            assert output.shape == wanted.shape
            np.testing.assert_allclose(output, wanted.numpy(), atol=1e-4, rtol=1e-5)
        assert found[0].std() > 1e-3, "the output is not constant"


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["heart", "calcium"])
def test_every_weight_comes_back_from_onnx(exported: Path, trained: Path, stage: str) -> None:
    """Fine-tuning starts from exactly the numbers that were trained, those of batch normalisation too."""
    back = checkpoint_of_model(exported, stage)
    expected = networks(trained)[stage].state_dict()
    assert back.recipe.network == {"heart": HEART, "calcium": TINY}[stage]
    assert back.averaged.keys() == expected.keys()
    for name, tensor in back.averaged.items():
        assert name.endswith("num_batches_tracked") or torch.equal(tensor, expected[name]), name


@pytest.mark.slow
def test_a_graph_without_the_weights_names_is_refused(exported: Path) -> None:
    """Earlier versions folded batch normalisation into the convolutions."""
    graph = onnx.load(exported / "calcium.onnx")
    renamed = next(tensor for tensor in graph.graph.initializer if tensor.name.endswith("running_mean"))
    renamed.name = "folded"
    with pytest.raises(UsageError, match=r"FILE holds no trunk.*running_mean"):
        weights_of(graph.SerializeToString(), TINY, Path("FILE"))


@pytest.mark.slow
def test_the_card_holds_the_parity_at_each_length(exported: Path) -> None:
    for stage in json.loads((exported / "model.json").read_text())["stages"].values():
        assert stage["parity"].keys() == {"1", "3", "24"}
        assert all(0 <= difference < 1e-5 for difference in stage["parity"].values())


@pytest.mark.slow
def test_networks_that_differ_from_torch_make_no_model(
    exported: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exporter writes a file with other weights."""
    heart = checkpoint(HEART, tmp_path / "heart.pt")

    def wrong(_: nn.Module, config: NetworkConfig, path: Path) -> None:
        content = onnx.load(exported / f"{config.kind}.onnx")
        for tensor in content.graph.initializer:
            if tensor.name.endswith("expand.bias"):
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + 1, tensor.name))
        onnx.save(content, path)

    monkeypatch.setattr("ctacal.nn.export.write_onnx", wrong)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.json").write_text("an earlier model")
    with pytest.raises(CtacalError, match="differs from torch"):
        export(heart, trained / "best.pt", tmp_path / "out", name="x")
    assert not (tmp_path / "out" / "model.json").exists()


@pytest.mark.slow
@pytest.mark.ci
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
        network.heart.add_module("context", nn.Conv2d(1, DenseFeatures.channels, 8, stride=8))
    write_onnx(network, config, tmp_path / "one.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "one.onnx", providers=["CPUExecutionProvider"])
    for slices in (2, 7):
        x = torch.randn(slices, channels, 48, 32)
        with torch.no_grad():
            expected = ForScoring(network).eval()(x)[0].numpy()
        np.testing.assert_allclose(session.run(None, {"x": x.numpy()})[0], expected, atol=1e-4)


@pytest.mark.slow
def test_anatomy_network_exports_and_comes_back(tmp_path: Path) -> None:
    """Export checks the parity with torch; the stage reads the file by its entry, and finds classes that sum to 1."""
    made = read_checkpoint(checkpoint(TINY_ANATOMY, tmp_path / "anatomy.pt"))
    entry = export_stage(made, tmp_path / "anatomy.onnx")
    assert entry["classes"] == [int(structure) for structure in Anatomy]
    run = RUNTIMES["onnxruntime"]((tmp_path / "anatomy.onnx").read_bytes(), 1)
    volume, _ = ball((3.0, 1.0, 1.0))
    found = find_anatomy(volume, Stage(run, TINY_ANATOMY, tuple(entry["classes"])))
    assert found.probability.shape[1] == len(Anatomy)
    np.testing.assert_allclose(found.probability.sum(axis=1), 1, atol=1e-5)


@pytest.mark.slow
def test_structures_are_an_input_of_their_own(tmp_path: Path) -> None:
    """The graph gives what torch gives where they are channels."""
    config = replace(TINY, structures=True)
    network = stirred(config).eval()
    nn.init.normal_(network.get_parameter("trunk.structures.weight"))  # which begins without effect
    write_onnx(network, config, tmp_path / "calcium.onnx")
    run = RUNTIMES["onnxruntime"]((tmp_path / "calcium.onnx").read_bytes(), 1)
    own, told = torch.randn(3, own_channels_of(config), 32, 48), torch.rand(3, len(STRUCTURES), 8, 12)
    together = torch.from_numpy(with_structures(own.numpy(), told.numpy()))
    with torch.no_grad():
        expected = network(together, 1).logits.softmax(dim=1).numpy()
    np.testing.assert_allclose(run(own.numpy(), told.numpy())[0], expected, atol=1e-5)
    assert np.abs(run(own.numpy(), 0 * told.numpy())[0] - expected).max() > 1e-3, "they have an effect"


@pytest.mark.slow
def test_the_graphs_of_a_model_are_written_again_beside_its_calibration(exported: Path, tmp_path: Path) -> None:
    card = read_card(exported)
    shutil.copytree(exported, tmp_path / "model")
    write_card(tmp_path / "model", card | {"least_coronary": 0.6})
    again = read_card(export_again(tmp_path / "model", tmp_path / "again", version="4").parent)
    assert (again["version"], again["least_coronary"], again["facts"]) == ("4", 0.6, card["facts"])
    assert load_model(tmp_path / "again", threads=1).least_coronary == 0.6
    for stage in ("heart", "calcium"):
        first, second = (onnx.load(folder / f"{stage}.onnx").graph for folder in (exported, tmp_path / "again"))
        assert list(first.initializer) == list(second.initializer)
        assert again["stages"][stage]["recipe"] == card["stages"][stage]["recipe"]


@pytest.mark.slow
def test_no_folder_of_the_trainer_is_in_the_graphs(exported: Path) -> None:
    for stage in ("heart", "calcium"):
        content = (exported / f"{stage}.onnx").read_bytes()
        assert b"site-packages" not in content and b"ctacal/nn" not in content


@pytest.mark.slow
def test_networks_of_a_model_folder_are_exported_again(exported: Path, tmp_path: Path) -> None:
    export(exported, exported, tmp_path, name="again")
    for stage in ("heart", "calcium"):
        first, again = (onnx.load(folder / f"{stage}.onnx").graph for folder in (exported, tmp_path))
        assert list(first.initializer) == list(again.initializer)


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


def test_a_share_to_keep_needs_where_training_started(tmp_path: Path) -> None:
    both = checkpoint(HEART, tmp_path / "heart.pt"), checkpoint(TINY, tmp_path / "calcium.pt")
    with pytest.raises(UsageError, match="go together"):
        export(*both, tmp_path / "model", name="x", keep=0.4)


def test_stages_are_not_mixed_up(tmp_path: Path) -> None:
    calcium = checkpoint(TINY, tmp_path / "calcium.pt")
    with pytest.raises(UsageError, match="expected a heart or anatomy network"):
        export(calcium, calcium, tmp_path / "out", name="x")


def test_weights_between_the_start_and_what_was_learnt() -> None:
    """New layers stay as trained; a share outside of 0 to 1 is refused."""
    begun, gone = (checkpoint_with(value) for value in (1.0, 3.0))
    new = replace(gone, averaged=gone.averaged | {"added": torch.tensor([7.0])})
    between = mixed(new, begun, 0.25).averaged
    assert between["weight"].tolist() == [2.5] and between["added"].tolist() == [7.0]
    assert between["count"].tolist() == [3], "counters are not mixed"
    with pytest.raises(UsageError, match="expected 0 to 1"):
        mixed(new, begun, 1.5)


def test_rounded_weights_differ_by_half_of_the_last_bit_at_most() -> None:
    weights = torch.tensor([0.0, 1.0, -3.0, 1 / 3, -1e-5, 1e5])
    begun = replace(checkpoint_with(1.0), averaged={"weight": weights, "count": torch.tensor([1000])})
    found = rounded(begun, 8).averaged
    assert found["count"].tolist() == [1000] and found["weight"][:3].tolist() == [0.0, 1.0, -3.0]
    assert 0 < ((found["weight"] - weights)[3:] / weights[3:]).abs().max() <= 2**-9
    assert not (found["weight"].view(torch.int32) & (2**15 - 1)).any(), "bits are left that cost bytes"
    again = rounded(replace(begun, averaged=found), 8).averaged
    assert torch.equal(again["weight"], found["weight"])
    assert rounded(begun, 23) is begun
    with pytest.raises(UsageError, match="expected 1 to 23"):
        rounded(begun, 24)


def checkpoint_with(value: float) -> Checkpoint:
    weights = {"weight": torch.tensor([value]), "count": torch.tensor([int(value)])}
    return Checkpoint(recipe(steps=1), "", 0, weights, weights, {}, torch.get_rng_state(), 0.0)
