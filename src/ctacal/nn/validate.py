"""How good a network is on whole samples: category agreement first, then overlap."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ctacal.nn.augment import Clip, whole_clip
from ctacal.nn.batches import input_of
from ctacal.nn.config import NetworkConfig
from ctacal.nn.networks import classes_of
from ctacal.nn.samples import BRIGHT_HU, Sample, Samples, agatston_of
from ctacal.statistics.agreement import (
    cross_table,
    exact_agreement,
    risk_categories,
    sensitivity,
    specificity,
    weighted_kappa,
)


@dataclass(frozen=True, slots=True)
class Validation:
    """On all validation samples; what does not apply is NaN."""

    kappa: float
    """Linear weights, over the four categories."""
    exact: float
    sensitivity: float
    """Of any calcium, CAC > 0."""
    specificity: float
    dice: float
    """Of coronary voxels that score; of the heart for a heart network."""
    table: tuple[tuple[int, ...], ...]
    """(4, 4): samples by true (rows) and predicted category."""

    @property
    def quality(self) -> float:
        """What the best checkpoint is chosen by: kappa, or Dice where there are no categories; NaN counts as 0."""
        return float(np.nan_to_num(self.dice if np.isnan(self.kappa) else self.kappa))

    def to_row(self) -> dict[str, float]:
        """The figures for the log."""
        names = ("kappa", "exact", "sensitivity", "specificity", "dice")
        return {name: round(float(getattr(self, name)), 4) for name in names}


@torch.no_grad()
def validate(network: nn.Module, samples: Samples, config: NetworkConfig) -> Validation:
    """Run the network on every sample, whole."""
    network.eval()
    found = [_one(network, sample, config) for sample in samples]
    both, sizes = (sum(overlap[part] for _, _, overlap in found) for part in (0, 1))
    scores = [] if config.kind == "heart" else [(true, predicted) for true, predicted, _ in found]
    true, predicted = np.reshape(scores, (-1, 2)).T
    return _measured(true, predicted, 2 * both / sizes if sizes else float("nan"))


def _one(network: nn.Module, sample: Sample, config: NetworkConfig) -> tuple[float, float, tuple[int, int]]:
    """True and predicted Agatston score; voxels in common and in sum."""
    clip = whole_clip(sample, config.multiple)
    if config.kind == "heart":
        found = _logits(network, clip, config)[:, 0] > 0
        true = clip.heart > 0.5
        return 0.0, 0.0, _overlap(true, found)
    labels = predicted_labels(network, clip, config)
    hu = np.rint(clip.hu).astype(np.int16)
    bright = hu >= BRIGHT_HU
    true, found = (bright & (one >= 1) & (one <= 5) for one in (clip.labels, labels))
    score = agatston_of(hu, labels, clip.spacing_mm)
    return sample.agatston, score, _overlap(true, found)


def predicted_labels(network: nn.Module, clip: Clip, config: NetworkConfig) -> NDArray[np.uint8]:
    """(slices, rows, columns): the likeliest class of each voxel, as ``Calcium`` values, whatever its HU."""
    values = np.asarray(classes_of(config), np.uint8)
    return np.asarray(values[_logits(network, clip, config).argmax(axis=1)], np.uint8)


@torch.no_grad()
def _logits(network: nn.Module, clip: Clip, config: NetworkConfig) -> NDArray[np.float32]:
    device = next(network.parameters()).device
    output = network(input_of(clip, config).to(device))
    logits: torch.Tensor = output.logits.float()
    if output.heart is not None:  # the published system: no lesion outside of its heart
        logits[:, 1:] = torch.where(output.heart > 0, logits[:, 1:], -torch.inf)
    return logits.cpu().numpy()


def _overlap(true: NDArray[np.bool_], found: NDArray[np.bool_]) -> tuple[int, int]:
    return int((true & found).sum()), int(true.sum() + found.sum())


def _measured(true: NDArray[np.float64], predicted: NDArray[np.float64], dice: float) -> Validation:
    table = cross_table(risk_categories(true), risk_categories(predicted))
    figures = (
        weighted_kappa(table),
        exact_agreement(table),
        sensitivity(true > 0, predicted > 0),
        specificity(true > 0, predicted > 0),
    )
    kappa, exact, sensitive, specific = (float("nan") if one.estimate is None else one.estimate for one in figures)
    return Validation(kappa, exact, sensitive, specific, float(dice), tuple(tuple(row) for row in table.tolist()))
