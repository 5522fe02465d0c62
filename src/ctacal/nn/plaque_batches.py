"""The islands of a training step: they depend on seed, step and process alone, so that a resumed run is exact."""

import math
from dataclasses import fields
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import Dataset

from ctacal.arrays import Floats, Ints
from ctacal.nn.classes import PLAQUE_CLASSES
from ctacal.nn.config import AugmentationConfig, Recipe
from ctacal.nn.plaque_inputs import SHAPE, SPACING_MM, PlaqueInputs
from ctacal.nn.plaque_samples import Plaques

LEAST_WEIGHT = 0.3
"""An island is drawn with this chance plus the log of 1 + its score: large ones decide the category (own choice)."""

CROWD = 16.0
"""A scan that shows more islands than this without calcium is a noisy one: these are drawn less often, with the
root of how many more they are, and weigh as much more in the loss (own choice)."""

FACTS_NOISE = 0.1
"""SD of the noise added to the facts, in SD of each (own choice)."""

NO_CALCIUM = [kind.label for kind in PLAQUE_CLASSES].index(0)

HALF_MM = SHAPE[2] * SPACING_MM[2] / 2


class PlaqueBatch(NamedTuple):
    """Islands with their truth; the first axis is that of the islands."""

    inputs: tuple[Tensor, ...]
    """As ``PlaqueInputs``."""
    truth: Tensor
    """(islands, ``PLAQUE_CLASSES``)."""
    weight: Tensor
    """(islands,): of each in the loss, 1 in the mean."""

    def to(self, device: torch.device) -> "PlaqueBatch":
        """Return the batch on another device."""
        inputs = tuple(tensor.to(device, non_blocking=True) for tensor in self.inputs)
        return PlaqueBatch(inputs, self.truth.to(device), self.weight.to(device))


def batch_of(plaques: Plaques, chosen: Ints) -> PlaqueBatch:
    """Return some of the islands as they are, each of the same weight."""
    inputs = [
        torch.from_numpy(getattr(plaques, field.name)[chosen].astype(np.float32)) for field in fields(PlaqueInputs)
    ]
    hu, own, structures, facts, probability = inputs
    truth = torch.from_numpy(plaques.truth[chosen])
    return PlaqueBatch((hu, own, structures / 255, facts, probability), truth, torch.ones(len(truth)))


class PlaqueSteps(Dataset[PlaqueBatch]):
    """``steps[number]`` is the batch of that step in this process, the same every time."""

    def __init__(self, plaques: Plaques, recipe: Recipe, rank: int = 0) -> None:
        self.plaques, self.recipe, self.rank = plaques, recipe, rank
        matters = LEAST_WEIGHT + np.log1p(plaques.agatston.astype(np.float64))
        drawn = matters * uncrowded(plaques)
        self.share = drawn / drawn.sum()
        self.weight = torch.from_numpy((matters / matters.sum() / self.share).astype(np.float32))
        self.facts_sd = torch.from_numpy(plaques.facts.std(axis=0))

    def __len__(self) -> int:
        return self.recipe.train.steps

    def __getitem__(self, step: int) -> PlaqueBatch:
        seed = [self.recipe.train.seed, step, self.rank]
        chosen = np.random.default_rng(seed).choice(len(self.share), self.recipe.train.sequences, p=self.share)
        random = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        batch = batch_of(self.plaques, chosen)._replace(weight=self.weight[torch.from_numpy(chosen)])
        return augmented(batch, self.facts_sd, self.recipe.augmentation, random)


def uncrowded(plaques: Plaques) -> Floats:
    """Return (islands,): how often each is drawn, 1 or, without calcium in a scan that shows many such, less."""
    none = plaques.truth[:, NO_CALCIUM] > 0.5
    crowd = np.bincount(plaques.study[none], minlength=int(plaques.study.max(initial=0)) + 1)[plaques.study]
    return np.asarray(np.where(none, np.sqrt(CROWD / np.maximum(crowd, CROWD)), 1.0), np.float64)


def augmented(batch: PlaqueBatch, facts_sd: Tensor, config: AugmentationConfig, random: torch.Generator) -> PlaqueBatch:
    """Turn, scale and shift each picture with its structures, and add noise to picture and facts."""
    hu, own, structures, facts, probability = batch.inputs
    n = len(hu)
    theta = _drawn_placement(n, config, random)
    hu = _placed(hu, theta, "bilinear", "border")
    own = _placed(own, theta, "nearest", "zeros")
    astray = theta.clone()  # stage 1 errs
    astray[:, :, 2] += _uniform(random, n, 2) * config.anatomy_shift_mm / HALF_MM
    structures = _placed(structures, astray, "bilinear", "border")
    noise = torch.rand(n, 1, 1, 1, generator=random) * config.noise_sd_hu[1]
    hu = hu + noise * torch.randn(hu.shape, generator=random)
    hu = hu + config.offset_hu * _uniform(random, n, 1)[:, :, None, None]
    facts = facts + FACTS_NOISE * facts_sd * torch.randn(facts.shape, generator=random)
    hidden = torch.rand(n, 1, 1, 1, generator=random) < config.anatomy_hidden_share
    inputs = (hu, own, structures.masked_fill(hidden, 0.0), facts, probability)
    return batch._replace(inputs=inputs)


def _uniform(random: torch.Generator, *shape: int) -> Tensor:
    """Draw evenly from -1 to 1."""
    return 2 * torch.rand(shape, generator=random) - 1


def _drawn_placement(n: int, config: AugmentationConfig, random: torch.Generator) -> Tensor:
    """Return (n, 2, 3): a rotation, a scale and a shift of each picture, as ``affine_grid`` takes them."""
    angle = _uniform(random, n) * math.radians(config.rotation_degrees)
    low, high = config.scale
    scale = low + (high - low) * torch.rand(n, generator=random)
    shift = _uniform(random, n, 2) * config.shift_mm / HALF_MM
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    rows = (torch.stack([cosine, -sine, shift[:, 0]], dim=1), torch.stack([sine, cosine, shift[:, 1]], dim=1))
    return torch.stack(rows, dim=1)


def _placed(picture: Tensor, theta: Tensor, mode: str, padding: str) -> Tensor:
    grid = F.affine_grid(theta, [len(picture), 1, *picture.shape[2:]], align_corners=False)
    return F.grid_sample(picture, grid, mode=mode, padding_mode=padding, align_corners=False)
