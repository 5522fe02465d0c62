"""Training: it learns, resumes bit for bit, and its checkpoints name their origin."""

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ctacal import __version__
from ctacal.errors import UsageError
from ctacal.labels import Calcium
from ctacal.nn.augment import whole_clip
from ctacal.nn.checkpoint import Checkpoint, read_checkpoint
from ctacal.nn.config import NetworkConfig, Recipe, TrainConfig
from ctacal.nn.samples import digest_of, write_sample
from ctacal.nn.train import Run, Stopped, fit, learning_rate, train, write_guard
from ctacal.nn.validate import predicted_labels, validate
from tests.nn.toys import TINY, TINY_ANATOMY, recipe, toy, toys, with_anatomy

HEART = NetworkConfig(
    kind="heart",
    widths=(8, 16),
    lstm_channels=4,
    pixel_mm=1.0,
    slice_mm=3.0,
    position=False,
    neighbours=False,
    mass_head=False,
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def weights(path: Path, name: str = "weights") -> dict[str, torch.Tensor]:
    content: dict[str, torch.Tensor] = getattr(read_checkpoint(path), name)
    return content


def log_of(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_learns_two_vessels_by_their_place(trained: Path) -> None:
    """Blobs that look alike: LAD, RCA and other calcium differ by their position, noise by its size."""
    rows = log_of(trained)
    assert float(rows[-1]["kappa"]) > 0.9
    assert np.mean([float(row["loss"]) for row in rows[-3:]]) < 0.5 * float(rows[0]["loss"])
    network = read_checkpoint(trained / "best.pt").network()
    unseen = toy(77, Calcium.LAD, Calcium.RCA)
    labels = predicted_labels(network, whole_clip(unseen, 8), TINY)[:, : unseen.hu.shape[1], : unseen.hu.shape[2]]
    for vessel in (Calcium.LAD, Calcium.RCA):
        found = labels[unseen.labels == vessel]
        assert (found == vessel).mean() > 0.7


class Cut(Exception):
    pass


@pytest.mark.slow
def test_five_and_a_cut_and_five_are_ten(tmp_path: Path) -> None:
    """Killed at step 7, after the checkpoint of step 5: the bits of weights, average and optimiser are the same."""
    plan = recipe(steps=10, checkpoint_every=5, validate_every=4, log_every=1)
    fit(plan, toys(), toys(), tmp_path / "whole")

    def cut(step: int, _: Mapping[str, float]) -> None:
        if step == 7:
            raise Cut

    with pytest.raises(Cut):
        fit(plan, toys(), toys(), tmp_path / "cut", report=cut)
    assert read_checkpoint(tmp_path / "cut" / "last.pt").step == 5
    torch.manual_seed(99)
    reported: list[int] = []
    fit(plan, toys(), toys(), tmp_path / "cut", report=lambda step, _: reported.append(step))
    assert reported == [6, 7, 8, 9, 10]
    whole, resumed = (read_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "cut"))
    assert same(whole.weights, resumed.weights)
    assert same(whole.averaged, resumed.averaged)
    for one, other in zip(whole.optimiser["state"].values(), resumed.optimiser["state"].values(), strict=True):
        assert same(one, other)
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "cut")


@pytest.mark.slow
def test_stopped_where_the_report_says_so_it_goes_on_from_there(tmp_path: Path) -> None:
    """No checkpoint is due at step 7, but stopping writes one; the run ends like a run that was not stopped."""
    plan = recipe(steps=10, validate_every=4, log_every=1)
    fit(plan, toys(), toys(), tmp_path / "whole")
    with pytest.raises(Stopped):
        fit(plan, toys(), toys(), tmp_path / "stopped", report=lambda step, _: step == 7)
    assert read_checkpoint(tmp_path / "stopped" / "last.pt").step == 7
    reported: dict[int, Mapping[str, float]] = {}
    fit(plan, toys(), toys(), tmp_path / "stopped", report=lambda step, metrics: reported.update({step: metrics}))
    assert list(reported) == [8, 9, 10]
    assert reported[9].keys() >= {"loss", "focal"}
    assert "kappa" in reported[8]
    whole, resumed = (read_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "stopped"))
    assert same(whole.weights, resumed.weights)
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "stopped")


@pytest.mark.slow
def test_bfloat16_trains_as_float32_does(tmp_path: Path) -> None:
    """The forward pass is rounded, the weights stay float32, and the loss falls as far."""
    losses = {}
    for bf16 in (False, True):
        out = tmp_path / str(bf16)
        fit(recipe(steps=30, log_every=1, bf16=bf16), toys(), toys()[:1], out)
        losses[bf16] = [float(row["loss"]) for row in log_of(out)]
        assert all(tensor.dtype != torch.bfloat16 for tensor in weights(out / "last.pt").values())
    assert losses[True] != losses[False]
    assert losses[True][0] == pytest.approx(losses[False][0], rel=0.05)
    assert np.mean(losses[True][-5:]) == pytest.approx(np.mean(losses[False][-5:]), rel=0.2)


def test_a_checkpoint_says_where_it_comes_from(tmp_path: Path) -> None:
    plan = recipe(steps=2)
    fit(plan, toys(), toys(), tmp_path)
    checkpoint = read_checkpoint(tmp_path / "last.pt")
    assert checkpoint.recipe == plan
    assert checkpoint.data_digest == digest_of(toys())
    assert (checkpoint.version, checkpoint.step) == (__version__, 2)
    assert not same(checkpoint.weights, checkpoint.averaged)
    assert not list(tmp_path.glob(".writing-*"))


@pytest.mark.slow
def test_another_recipe_or_other_data_do_not_resume(tmp_path: Path) -> None:
    plan = recipe(steps=2)
    fit(plan, toys(), toys(), tmp_path)
    with pytest.raises(UsageError, match="another recipe"):
        fit(recipe(steps=3), toys(), toys(), tmp_path)
    with pytest.raises(UsageError, match="another data"):
        fit(plan, toys()[:3], toys(), tmp_path)


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"not at all")
    with pytest.raises(UsageError, match="not a checkpoint"):
        read_checkpoint(tmp_path / "a.pt")
    with pytest.raises(UsageError, match="not a checkpoint"):
        read_checkpoint(tmp_path / "none.pt")


def test_fine_tuning_begins_with_a_validation_of_what_was_known(tmp_path: Path) -> None:
    fit(recipe(steps=3), toys(), toys(), tmp_path / "first")
    start = tmp_path / "first" / "best.pt"
    plan = recipe(steps=1, learning_rate=1e-9, warm_up_steps=0)
    fit(plan, toys(), toys(), tmp_path / "second", initial=start)
    known = validate(read_checkpoint(start).network(), toys(), TINY)
    assert {name: log_of(tmp_path / "second")[0][name] for name in ("step", "dice")} == {
        "step": "0",
        "dice": f"{known.to_row()['dice']:.6g}",
    }
    before, after = (read_checkpoint(tmp_path / name / "best.pt") for name in ("first", "second"))
    name = "to_pixels.weight"
    torch.testing.assert_close(before.averaged[name], after.weights[name], atol=1e-7, rtol=0)
    with pytest.raises(UsageError, match="another network"):
        fit(replace(plan, network=replace(TINY, lstm_channels=5)), toys(), toys(), tmp_path / "third", initial=start)


def test_a_network_that_sees_structures_starts_from_one_that_does_not(tmp_path: Path) -> None:
    """It says the same until it has learnt to use them."""
    fit(recipe(steps=2), toys(), toys(), tmp_path / "first")
    start = tmp_path / "first" / "best.pt"
    seeing = replace(TINY, structures=True)
    run = Run.begun(recipe(seeing, steps=1), "", tmp_path / "second", initial=start)
    known = validate(read_checkpoint(start).network(), toys(), TINY)
    assert validate(run.averaged, [with_anatomy(sample) for sample in toys()], seeing) == known


def test_an_anatomy_network_starts_from_the_trunk_of_a_heart_network(tmp_path: Path) -> None:
    samples = [with_anatomy(sample) for sample in toys()]
    fit(recipe(HEART, steps=1), samples, samples, tmp_path / "heart")
    start = tmp_path / "heart" / "best.pt"
    run = Run.begun(recipe(TINY_ANATOMY, steps=1), "", tmp_path / "anatomy", initial=start)
    known, now = read_checkpoint(start).averaged, run.averaged.state_dict()
    assert all(torch.equal(now[name], known[name]) for name in known if name.startswith("trunk."))
    assert now["head.expand.weight"].shape != known["head.expand.weight"].shape


@pytest.mark.slow
def test_what_fine_tuning_makes_worse_is_not_the_best(trained: Path, tmp_path: Path) -> None:
    start = trained / "best.pt"
    plan = recipe(steps=4, sequences=1, learning_rate=10.0, warm_up_steps=0)
    fit(plan, toys(), toys(), tmp_path, initial=start)
    assert same(weights(tmp_path / "best.pt", "averaged"), weights(start, "averaged"))


def test_guard_holds_both_validations(tmp_path: Path) -> None:
    for name, steps in (("first", 1), ("second", 2)):
        fit(recipe(steps=steps), toys(), toys(), tmp_path / name)
    first, last = write_guard(tmp_path / "first" / "best.pt", tmp_path / "second" / "last.pt", toys(), tmp_path)
    written = json.loads((tmp_path / "guard.json").read_text())
    for name, part, result in (("first", "before", first), ("second", "after", last)):
        known = validate(read_checkpoint(tmp_path / name / "last.pt").network(), toys(), TINY)
        assert known == result
        assert written[part]["dice"] == pytest.approx(known.to_row()["dice"])


def test_heart_network_learns(tmp_path: Path) -> None:
    fit(recipe(HEART, steps=25), toys()[:2], toys()[:2], tmp_path)
    assert float(log_of(tmp_path)[-1]["dice"]) > 0.9


def test_anatomy_network_learns_and_logs_each_structure(tmp_path: Path) -> None:
    samples = [with_anatomy(sample) for sample in toys()[:2]]
    plan = recipe(TINY_ANATOMY, steps=25)
    plan = replace(plan, augmentation=replace(plan.augmentation, blur_slices=(0.0, 0.5)))
    fit(plan, samples, samples, tmp_path)
    row = log_of(tmp_path)[-1]
    assert float(row["dice_left_ventricle"]) > 0.5
    assert float(row["dice_lung"]) > 0.8
    assert float(row["anatomy"]) == float(row["loss"])
    assert row["dice_bone"] == row["kappa"].replace("nan", "") == ""


def test_anatomy_network_needs_anatomy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="toy-1 holds no anatomy"):
        fit(recipe(TINY_ANATOMY, steps=1), toys()[:1], toys()[:1], tmp_path)


@pytest.mark.slow
def test_published_system_trains_by_the_same_loop(tmp_path: Path) -> None:
    """One step: every part of both networks gets a gradient."""
    plan = recipe(NetworkConfig.published(), steps=1, sequences=1)
    plan = replace(plan, sampling=replace(plan.sampling, slices=3))
    fit(plan, toys()[1:2], toys()[1:2], tmp_path)
    row = log_of(tmp_path)[0]
    assert float(row["heart"]) > 0 < float(row["focal"])
    moments = read_checkpoint(tmp_path / "last.pt").optimiser["state"]
    assert all(moment["exp_avg"].abs().max() > 0 for moment in moments.values())


def test_by_recipe_file(tmp_path: Path) -> None:
    for sample in toys():
        write_sample(tmp_path / "data", sample)
    (tmp_path / "recipe.toml").write_text(
        'name = "toy"\n[network]\nwidths = [4, 8]\nlstm_channels = 2\n'
        '[data]\ntraining = ["data"]\nvalidation = ["data"]\n'
        "[sampling]\nslices = 4\nrows = 40\ncolumns = 40\n[train]\nsteps = 2\nsequences = 1\n"
    )
    best = train(tmp_path / "recipe.toml", tmp_path / "out")
    assert read_checkpoint(best).recipe.name == "toy"
    with pytest.raises(UsageError, match="no training or no validation"):
        fit(recipe(steps=1), [], toys(), tmp_path / "none")


def test_learning_rate() -> None:
    config = TrainConfig(steps=110, warm_up_steps=10, learning_rate=1.0)
    assert learning_rate(0, config) == 0.1
    assert learning_rate(9, config) == learning_rate(10, config) == 1.0
    assert learning_rate(60, config) == pytest.approx(0.505)
    assert learning_rate(110, config) == pytest.approx(0.01)


def test_perfect_answers_have_perfect_figures() -> None:
    class Oracle(torch.nn.Module):
        """Classify the toys by the calcium window and the position."""

        def __init__(self) -> None:
            super().__init__()
            self.number = torch.nn.Parameter(torch.zeros(1))
            self.left = [sample.labels for sample in toys()]

        def forward(self, x: torch.Tensor) -> object:
            from ctacal.nn.classes import BY_VESSEL
            from ctacal.nn.output import Output

            labels = np.pad(self.left.pop(0), ((0, 0), *((0, n - 40) for n in x.shape[2:])))
            classes = np.array([BY_VESSEL.index(int(label)) for label in labels.ravel()]).reshape(labels.shape)
            return Output(torch.nn.functional.one_hot(torch.from_numpy(classes), 6).movedim(-1, 1).float())

    result = validate(Oracle(), toys(), TINY)
    assert (result.kappa, result.exact, result.sensitivity, result.specificity, result.dice) == (1, 1, 1, 1, 1)
    assert np.trace(np.array(result.table)) == len(toys())


def test_recipe_is_checked_against_the_network() -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        Recipe(name="x", sampling=replace(Recipe(name="y").sampling, rows=100))


def test_checkpoint_fields_are_all_written(tmp_path: Path) -> None:
    plan = recipe(steps=1)
    fit(plan, toys()[:2], toys()[:2], tmp_path)
    checkpoint = read_checkpoint(tmp_path / "last.pt")
    checkpoint.write(tmp_path / "copy.pt")
    back = read_checkpoint(tmp_path / "copy.pt")
    assert isinstance(back, Checkpoint)
    assert same(back.averaged, checkpoint.averaged)
    assert torch.equal(back.random_state, checkpoint.random_state)
