"""Stage 3: what an island is, looked at as a whole."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ctacal.anatomy import Anatomy
from ctacal.arrays import Floats32
from ctacal.errors import UsageError
from ctacal.geometry import Geometry
from ctacal.labels import Calcium
from ctacal.nn.anatomy_stage import AnatomyMap
from ctacal.nn.checkpoint import read_checkpoint
from ctacal.nn.classes import BY_VESSEL, PLAQUE_CLASSES
from ctacal.nn.config import AugmentationConfig, NetworkConfig, Recipe, TrainConfig
from ctacal.nn.export import export_stage, weights_of
from ctacal.nn.islands import Weighed, weigh
from ctacal.nn.naming import taken_for
from ctacal.nn.networks import build
from ctacal.nn.plaque import IN_PATIENTS
from ctacal.nn.plaque_batches import PlaqueBatch, PlaqueSteps, augmented, batch_of
from ctacal.nn.plaque_inputs import FACTS, SHAPE, PlaqueInputs, facts_of, input_shapes, looked_at, plaque_inputs
from ctacal.nn.plaque_loss import PlaqueLoss, validate_plaques
from ctacal.nn.plaque_samples import Plaques, PlaqueSample, read_plaques, write_plaques
from ctacal.nn.plaque_stage import as_vessels, decided, named_by_both
from ctacal.nn.runtime import RUNTIMES, Stage
from ctacal.nn.train import Stopped, fit, train
from ctacal.prediction import ScanFigures
from ctacal.scores import SCCT_2016
from ctacal.uncounted import TakenFor
from ctacal.volume import Volume

SCAN = Geometry.from_spacing((20, 80, 80), (3.0, 1.0, 1.0))
COARSE = Geometry.from_spacing((12, 20, 20), (5.0, 4.0, 4.0), (1.5, 1.5, 1.0))
FIGURES = ScanFigures(10.0, 1.0, 0.0, 3.0, 1.0, 80.0, 40.0, 2.0, 0.0)
NAMES = [kind.name for kind in PLAQUE_CLASSES]
TINY = replace(NetworkConfig.plaque(), widths=(4, 4, 8, 8), members=2)


def anatomy() -> AnatomyMap:
    """A scan of left ventricle, in whose middle the ascending aorta stands: 12 x 12 mm, columns and rows 36 to 47."""
    likeliest = np.full(COARSE.shape, int(Anatomy.LEFT_VENTRICLE))
    likeliest[:, 9:12, 9:12] = Anatomy.ASCENDING_AORTA
    return AnatomyMap(
        np.ascontiguousarray(np.moveaxis(np.eye(len(Anatomy), dtype=np.float32)[likeliest], -1, 1)), COARSE
    )


def scan(*islands: tuple[int, int, int]) -> tuple[Volume, Weighed, Floats32]:
    """Islands of 2 x 4 x 4 voxels at (slice, row, column), each LAD at 0.7, other calcium at 0.3."""
    volume = Volume(np.full(SCAN.shape, 40.0, np.float32), SCAN)
    for at, row, column in islands:
        volume.hu[at : at + 2, row : row + 4, column : column + 4] = 300.0
    at_bright = np.nonzero(volume.hu >= 130)
    probability = np.zeros((len(at_bright[0]), len(BY_VESSEL)), np.float32)
    probability[:, BY_VESSEL.index(Calcium.LAD)] = 0.7
    probability[:, BY_VESSEL.index(Calcium.OTHER)] = 0.3
    return volume, weigh(volume, at_bright, probability, BY_VESSEL, SCCT_2016), probability


def kinds(*names: str) -> Floats32:
    return np.eye(len(NAMES), dtype=np.float32)[[NAMES.index(name) for name in names]]


def test_the_picture_lies_around_the_island_and_tells_it_from_its_neighbour() -> None:
    volume, weighed, of_voxels = scan((8, 40, 20), (8, 40, 50))
    inputs = plaque_inputs(weighed, of_voxels, np.arange(2), volume, anatomy(), FIGURES)
    assert [array.shape[1:] for array in inputs.arrays()] == list(input_shapes())
    for hu, own in zip(inputs.hu, inputs.own, strict=True):
        assert own.sum() == 2 * 4 * 4, "spacing of scan and picture are the same"
        middle = np.argwhere(own > 0).mean(axis=0)
        np.testing.assert_allclose(middle, (np.asarray(SHAPE) - 1) / 2, atol=0.5)
        assert (hu[own > 0] > 150).all(), "the middle lies half a voxel beside the scan's grid"
    assert (inputs.hu[0][:, :, 40:] > 200).any(), "the neighbour, 30 mm to the left, is in the picture"
    assert not inputs.own[0][:, :, 40:].any()


def test_beyond_the_scan_is_air_at_the_sides() -> None:
    volume, weighed, of_voxels = scan((8, 40, 2))
    inputs = plaque_inputs(weighed, of_voxels, np.arange(1), volume, anatomy(), FIGURES)
    assert (inputs.hu[0, :, :, :20] < -900).all() and (inputs.hu[0, :, :, 32:] > 0).all()


def test_the_distance_from_the_aorta_tells_its_wall_from_what_lies_beside() -> None:
    """The aorta's middle is (40, 40) of 80: an island inside, one at its wall, one 20 mm away."""
    _, weighed, of_voxels = scan((8, 40, 40), (2, 40, 46), (14, 40, 64))
    facts = facts_of(weighed, of_voxels, np.arange(3), anatomy(), FIGURES)
    assert facts.shape == (3, FACTS)
    by_row = {float(row[-4]): float(row[-1]) for row in facts}  # L from its middle, distance from the wall
    inside, wall, away = (by_row[left] for left in sorted(by_row))
    assert inside < -0.2 and abs(wall) < 0.15 and away > 0.7


def test_the_facts_of_some_islands_are_those_that_all_would_have() -> None:
    _, weighed, of_voxels = scan((8, 40, 40), (2, 40, 46), (14, 40, 64))
    facts = facts_of(weighed, of_voxels, np.arange(3), anatomy(), FIGURES)
    some = np.array([0, 2])
    np.testing.assert_array_equal(facts_of(weighed, of_voxels, some, anatomy(), FIGURES), facts[some])


def test_a_scan_without_an_aorta_has_facts_all_the_same() -> None:
    _, weighed, of_voxels = scan((8, 40, 40))
    nothing = np.zeros(COARSE.shape, np.int64)
    empty = AnatomyMap(np.ascontiguousarray(np.moveaxis(np.eye(14, dtype=np.float32)[nothing], -1, 1)), COARSE)
    facts = facts_of(weighed, of_voxels, np.arange(1), empty, replace(FIGURES, noise_sd_hu=None, noise_grain_mm=None))
    assert np.isfinite(facts).all() and (facts[0, -4:] == 0).all()


def test_only_islands_that_may_count_and_would_score_are_looked_at() -> None:
    _, weighed, _ = scan((8, 40, 20), (8, 40, 50), (14, 20, 20))
    unlikely = weighed.probability.copy()
    unlikely[1] = [0.97, 0, 0.03, 0, 0, 0]
    assert looked_at(replace(weighed, probability=unlikely, agatston=np.array([5.0, 5.0, 0.0]))).tolist() == [0]


def asked(answer: str) -> tuple[Stage, list[int]]:
    """Return a network that calls every island the same, and how many it was asked of in each run."""
    runs: list[int] = []

    def run(hu: Floats32, *_: Floats32) -> list[Floats32]:
        runs.append(len(hu))
        return [np.repeat(kinds(answer), len(hu), axis=0)]

    return Stage(run, TINY, tuple(kind.label for kind in PLAQUE_CLASSES)), runs


def test_what_it_calls_a_stent_does_not_count_and_is_named_so() -> None:
    volume, weighed, of_voxels = scan((8, 40, 20), (8, 40, 50))
    stage, runs = asked("stent")
    found = decided(weighed, of_voxels, volume, anatomy(), FIGURES, stage)
    assert runs == [2] and weighed.counted(0.5, 0.5).all() and not found.counted(0.5, 0.5).any()
    assert taken_for(found.islands, found.probability, BY_VESSEL, anatomy(), found.kinds) == (TakenFor.STENT,) * 2
    stage, _ = asked("LCX")
    found = decided(weighed, of_voxels, volume, anatomy(), FIGURES, stage)
    counted = found.counted(0.5, 0.5)
    assert counted.all() and (found.likeliest(counted) == BY_VESSEL.index(Calcium.LCX)).all()


def test_nothing_to_look_at_asks_nothing() -> None:
    volume, weighed, of_voxels = scan((8, 40, 20))
    stage, runs = asked("stent")
    unlikely = replace(weighed, probability=np.eye(6)[[0]])
    assert decided(unlikely, of_voxels, volume, anatomy(), FIGURES, stage) is unlikely and not runs


def test_a_hundred_islands_are_looked_at_in_parts() -> None:
    places = [(at, row, column) for at in (2, 7, 12) for row in range(2, 75, 8) for column in range(2, 35, 8)]
    volume, weighed, of_voxels = scan(*places)
    stage, runs = asked("aortic wall")
    found = decided(weighed, of_voxels, volume, anatomy(), FIGURES, stage)
    assert runs == [64, 64, 22] and (found.probability[:, BY_VESSEL.index(Calcium.OTHER)] == 1).all()


def test_all_that_does_not_count_is_other_calcium() -> None:
    found = as_vessels(kinds("no calcium", "LM", "aortic wall", "stent", "other calcium"))
    assert found.argmax(axis=1).tolist() == [0, 1, 5, 5, 5] and (found.sum(axis=1) == 1).all()


def test_both_networks_name_the_vessel_and_one_decides_whether_it_counts() -> None:
    """LM at 0.5 against LAD at 0.4 for the one, 0.1 against 0.8 for the other: LAD, and 0.9 coronary as before."""
    plaque = np.array([[0.0, 0.5, 0.4, 0.0, 0.0, 0.1]], np.float32)
    found = named_by_both(plaque, np.array([[0.0, 0.1, 0.8, 0.0, 0.0, 0.1]]))
    assert found[0, 1:5].sum() == pytest.approx(0.9) and found[0].argmax() == BY_VESSEL.index(Calcium.LAD)
    sure = named_by_both(np.array([[0.0, 0.99, 0.0, 0.0, 0.0, 0.01]], np.float32), np.array([[0, 0.1, 0.8, 0, 0, 0.1]]))
    assert sure[0].argmax() == BY_VESSEL.index(Calcium.LM)


def toy_plaques(seed: int = 0, islands: int = 96) -> Plaques:
    """Bright islands in the middle of soft tissue: LAD in slices of fat, aortic wall inside a structure."""
    random = np.random.default_rng(seed)
    wall = random.random(islands) < 0.5
    hu = np.full((islands, *SHAPE), -80, np.int16)
    hu[wall] = 40
    hu = (hu + random.normal(0, 5, hu.shape)).astype(np.int16)
    own = np.zeros((islands, *SHAPE), np.uint8)
    own[:, 3:6, 30:34, 30:34] = 1
    hu[own > 0] = 300
    shapes = input_shapes()
    structures = np.zeros((islands, *shapes[2]), np.uint8)
    structures[wall] = 255
    probability = np.tile(np.array([0.1, 0.0, 0.5, 0.0, 0.0, 0.4], np.float32), (islands, 1))
    truth = kinds(*("aortic wall" if at_wall else "LAD" for at_wall in wall))
    agatston = random.uniform(5, 50, islands).astype(np.float32)
    facts = random.normal(0, 1, (islands, FACTS)).astype(np.float32)
    return Plaques(hu, own, structures, facts, probability, agatston, truth, np.arange(islands) // 4)


def recipe(steps: int = 10, **changes: object) -> Recipe:
    settings = TrainConfig(
        steps=steps, sequences=32, learning_rate=5e-3, warm_up_steps=2, ema=0.8, log_every=5, validate_every=steps,
        checkpoint_every=5,
    )  # fmt: skip
    return Recipe(name="plaque", network=TINY, train=replace(settings, **changes))  # type: ignore[arg-type]


def test_it_begins_with_the_answer_of_the_calcium_network() -> None:
    plaques = toy_plaques(islands=4)
    network = build(TINY).eval()
    with torch.no_grad():
        found = network(*batch_of(plaques, np.arange(4)).inputs).softmax(dim=1).numpy()
    with_stents = plaques.probability * np.array(
        [IN_PATIENTS["no calcium"], 1, 1, 1, 1, (4 + IN_PATIENTS["stent"]) / 5]
    )
    expected = with_stents / with_stents.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(as_vessels(found), expected, atol=0.02)  # nothing is below LEAST_EVIDENCE


@pytest.mark.slow
def test_it_learns_the_wall_of_the_aorta(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    training, validation = toy_plaques(1), toy_plaques(2)
    best = fit(recipe(60, sequences=64, learning_rate=1e-2), training, validation, tmp_path)
    before, after = (
        validate_plaques(network, validation) for network in (build(TINY), read_checkpoint(best).network())
    )
    assert after.loss < 0.5 * before.loss and after.scores.exact > before.scores.exact
    assert "plaque" in (tmp_path / "log.csv").read_text(encoding="utf-8").splitlines()[0]


def test_a_run_that_was_cut_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    training, validation = toy_plaques(1), toy_plaques(2)
    fit(recipe(), training, validation, tmp_path / "whole")
    with pytest.raises(Stopped):
        fit(recipe(), training, validation, tmp_path / "cut", report=lambda step, _: step == 5)
    fit(recipe(), training, validation, tmp_path / "cut")
    whole, cut = (read_checkpoint(tmp_path / name / "last.pt").weights for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    with pytest.raises(UsageError, match="another data"):
        fit(recipe(), toy_plaques(3), validation, tmp_path / "cut")


def test_augmentation_keeps_truth_and_size_and_moves_the_picture_with_its_structures() -> None:
    plaques = toy_plaques(islands=8)
    batch = batch_of(plaques, np.arange(8))
    random = torch.Generator().manual_seed(1)
    still = AugmentationConfig(
        shift_mm=0.0, rotation_degrees=0.0, scale=(1.0, 1.0), noise_sd_hu=(0.0, 0.0), offset_hu=0.0,
        anatomy_shift_mm=0.0, anatomy_hidden_share=0.0,
    )  # fmt: skip
    same = augmented(batch, torch.zeros(FACTS), still, random)
    for before, after in zip(batch.inputs, same.inputs, strict=True):
        torch.testing.assert_close(before, after, atol=1e-3, rtol=1e-4)
    turned = augmented(batch, torch.ones(FACTS), replace(still, rotation_degrees=30.0, shift_mm=8.0), random)
    assert torch.equal(turned.truth, batch.truth) and not torch.allclose(turned.inputs[0], batch.inputs[0], atol=1)
    islands = [(hu[own > 0.5] > 150).float().mean() for hu, own in zip(turned.inputs[0], turned.inputs[1], strict=True)]
    assert min(islands) > 0.8, "the island moves with the picture"


def test_steps_are_the_same_every_time_and_differ_from_each_other() -> None:
    steps = PlaqueSteps(toy_plaques(), recipe())
    again, other = PlaqueSteps(toy_plaques(), recipe())[3], steps[4]
    assert all(torch.equal(one, two) for one, two in zip(steps[3].inputs, again.inputs, strict=True))
    assert not torch.equal(steps[3].inputs[0], other.inputs[0])


def test_a_noisy_scan_does_not_fill_the_steps_and_its_islands_weigh_more() -> None:
    """64 islands of noise in one scan, of equal score: a plaque there and islands of other scans are drawn as often."""
    plaques = replace(toy_plaques(), agatston=np.full(96, 20.0, np.float32), study=np.repeat([0, 1, 2], [65, 1, 30]))
    plaques.truth[:64] = kinds("no calcium")
    steps = PlaqueSteps(plaques, recipe())
    assert steps.share[:64] == pytest.approx(np.full(64, steps.share[64] / 2)), "the root of 16 of 64"
    assert steps.share[64:] == pytest.approx(np.full(32, steps.share[64]))
    assert (steps.share * steps.weight.numpy()).tolist() == pytest.approx([1 / 96] * 96), "the loss stays the same"
    batch = steps[0]
    assert set(batch.weight.tolist()) == {float(steps.weight[0]), float(steps.weight[64])}


def test_a_weighed_island_counts_more_in_the_loss() -> None:
    batch = batch_of(toy_plaques(islands=4), np.arange(4))
    logits = torch.zeros(4, len(NAMES))
    logits[0, NAMES.index("LAD")] = -9.0
    even, _ = PlaqueLoss()(logits, batch)
    first, _ = PlaqueLoss()(logits, batch._replace(weight=torch.tensor([4.0, 0.0, 0.0, 0.0])))
    assert not torch.isclose(even, first)
    alone, _ = PlaqueLoss()(logits[:1], PlaqueBatch(batch.inputs, batch.truth[:1], torch.ones(1)))
    torch.testing.assert_close(first, alone)


def stored(folder: Path, plaques: Plaques) -> None:
    """Write islands as two studies, and a study without any."""
    folder.mkdir(exist_ok=True)
    for name, part in (("a", slice(0, 2)), ("b", slice(2, 6))):
        inputs = PlaqueInputs(
            *(getattr(plaques, field.name)[part].astype(np.float32) for field in fields(PlaqueInputs))
        )
        inputs = replace(inputs, structures=(inputs.structures / 255).astype(np.float32))
        write_plaques(folder / f"{name}.npz", PlaqueSample(inputs, plaques.agatston[part], plaques.truth[part]))
    write_plaques(folder / "c.npz", None)


def test_samples_come_back_as_they_were_written(tmp_path: Path) -> None:
    plaques = toy_plaques()
    stored(tmp_path, plaques)
    found = read_plaques([tmp_path])
    assert found.study.tolist() == [0, 0, 1, 1, 1, 1] and len(found) == 6
    for field in fields(PlaqueInputs):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(plaques, field.name)[:6])
    assert found.digest != replace(found, agatston=found.agatston + 1).digest


def test_what_holds_no_plaques(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no samples of plaques"):
        read_plaques([tmp_path])
    (tmp_path / "a.npz").write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"a\.npz"):
        read_plaques([tmp_path])
    (tmp_path / "a.npz").unlink()
    np.savez(tmp_path / "b.npz", agatston=np.ones(1), facts=np.ones((1, 3)), truth=np.ones((1, 10)))
    with pytest.raises(UsageError, match="another version"):
        read_plaques([tmp_path])


def test_by_recipe_file_and_export(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    for folder in ("training", "validation"):
        stored(tmp_path / folder, toy_plaques())
    (tmp_path / "recipe.toml").write_text(
        'name = "plaque"\n[network]\nkind = "plaque"\nslice_mm = 3.0\nwidths = [4, 4, 8, 8]\nposition = false\n'
        'neighbours = false\nmass_head = false\n[data]\ntraining = ["training"]\nvalidation = ["validation"]\n'
        "[train]\nsteps = 2\nsequences = 4\nvalidate_every = 2\n",
        encoding="utf-8",
    )
    made = read_checkpoint(train(tmp_path / "recipe.toml", tmp_path / "run"))
    entry = export_stage(made, tmp_path / "plaque.onnx")
    content = (tmp_path / "plaque.onnx").read_bytes()
    assert entry["classes"] == [kind.label for kind in PLAQUE_CLASSES] and max(entry["parity"].values()) < 1e-5
    back = weights_of(content, made.recipe.network, tmp_path / "plaque.onnx")
    assert torch.equal(back["facts_mean"], made.averaged["facts_mean"])
    volume, weighed, of_voxels = scan((8, 40, 20))
    stage = Stage(RUNTIMES["onnxruntime"](content, 1), made.recipe.network, tuple(entry["classes"]))
    found = decided(weighed, of_voxels, volume, anatomy(), FIGURES, stage)
    assert found.kinds is not None and found.kinds.sum() == pytest.approx(1, abs=1e-5)
