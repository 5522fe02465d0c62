"""The clips of a training step: they depend on seed, step and process alone, so that a resumed run is exact."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ctacal.arrays import Bytes
from ctacal.categories import CATEGORIES
from ctacal.nn.augment import Clip, Random, draw_clip
from ctacal.nn.config import NetworkConfig, Recipe
from ctacal.nn.inputs import network_input
from ctacal.nn.samples import Contents, Sample, Samples, contents_of

Place = tuple[int, int]
"""Numbers of a sample and of one of its slices."""


class Batch(NamedTuple):
    """The clips of one step; the first axis of every tensor is (sequences x slices)."""

    x: Tensor
    """(s, channels, rows, columns): the network's input."""
    hu: Tensor
    """(s, rows, columns)."""
    truth: Tensor
    """(s, rows, columns), truth values of ``classes``; ``Anatomy`` values for an anatomy network."""
    heart: Tensor
    """(s, rows, columns), 0 or 1."""
    mass_mg: Tensor
    """(s, 4), NaN if not known."""

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on another device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))


def input_of(clip: Clip, network: NetworkConfig) -> Tensor:
    """Return the network's input, (slices, channels, rows, columns)."""
    return torch.from_numpy(network_input(clip.hu, clip.heart, clip.centre, clip.spacing_mm, network, clip.structures))


def truth_of(clip: Clip, network: NetworkConfig) -> Bytes:
    """Return what the network learns, (slices, rows, columns). Raises ``ValueError`` if the clip does not hold it."""
    if network.kind != "anatomy":
        return clip.labels
    if clip.anatomy is None:
        raise ValueError("a clip without anatomy cannot train an anatomy network")
    return clip.anatomy


def collate(clips: list[Clip], network: NetworkConfig) -> Batch:
    """Return the clips as one batch."""
    return Batch(
        torch.cat([input_of(clip, network) for clip in clips]),
        torch.from_numpy(np.concatenate([clip.hu for clip in clips]).astype(np.float32)),
        torch.from_numpy(np.concatenate([truth_of(clip, network) for clip in clips]).astype(np.int64)),
        torch.from_numpy(np.concatenate([clip.heart for clip in clips]).astype(np.float32)),
        torch.from_numpy(np.concatenate([clip.mass_mg for clip in clips]).astype(np.float32)),
    )


class TrainingSteps(Dataset[Batch]):
    """``steps[number]`` is the batch of that step in this process, the same every time."""

    def __init__(self, samples: Samples, recipe: Recipe, rank: int = 0) -> None:
        self.samples, self.recipe, self.rank = samples, recipe, rank
        self.choice = Choice(contents_of(samples), recipe)

    def __len__(self) -> int:
        return self.recipe.train.steps

    def __getitem__(self, step: int) -> Batch:
        random = np.random.default_rng([self.recipe.train.seed, step, self.rank])
        clips = [self._clip(random) for _ in range(self.recipe.train.sequences)]
        return collate(clips, self.recipe.network)

    def _clip(self, random: Random) -> Clip:
        index, near = self.choice.draw(random)
        sample: Sample = self.samples[index]
        recipe = self.recipe
        structures = recipe.network.structures
        return draw_clip(sample, near, recipe.sampling, recipe.augmentation, random, structures=structures)


class Choice:
    """Draws a sample and a slice: first a kind of slice (``SamplingConfig``), then the sample, then the slice."""

    def __init__(self, contents: list[Contents], recipe: Recipe) -> None:
        shares = recipe.sampling
        by_category = [
            [(n, held.coronary) for n, held in enumerate(contents) if held.coronary and held.category == category]
            for category in CATEGORIES[1:]
        ]
        others = [(n, held.other) for n, held in enumerate(contents) if held.other]
        bright = [(n, held.bright) for n, held in enumerate(contents) if held.bright]
        everything = [(n, tuple(range(held.slices))) for n, held in enumerate(contents)]
        filled = [group for group in by_category if group]
        groups = [(shares.coronary / len(filled), group) for group in filled]
        groups += [(shares.other, others), (shares.bright, bright), (shares.anywhere, everything)]
        self.groups = [(share, group) for share, group in groups if group and share > 0]
        total = sum(share for share, _ in self.groups)
        self.cumulated = np.cumsum([share / total for share, _ in self.groups])

    def draw(self, random: Random) -> Place:
        """Return the number of a sample and of one of its slices."""
        _, group = self.groups[min(int(np.searchsorted(self.cumulated, random.random())), len(self.groups) - 1)]
        index, slices = group[int(random.integers(len(group)))]
        return index, slices[int(random.integers(len(slices)))]
