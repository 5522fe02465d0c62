"""Validation of a network on whole samples: agreement in risk categories, and overlap."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn

from ctacal.anatomy import Anatomy
from ctacal.arrays import Bytes, Floats, Floats32, Mask
from ctacal.nn.augment import Clip, whole_clip
from ctacal.nn.batches import input_of, truth_of
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
    """Results on all validation samples; what does not apply is NaN."""

    kappa: float
    """Kappa with linear weights, over the four categories."""
    exact: float
    sensitivity: float
    """Sensitivity for any calcium, CAC > 0."""
    specificity: float
    dice: float
    """Dice of coronary voxels that can score; for a heart network, of the heart; for an anatomy network, the mean over
    the structures, without ``OTHER``."""
    table: tuple[tuple[int, ...], ...]
    """(4, 4): samples by true (rows) and predicted category."""
    by_structure: Mapping[Anatomy, float] = field(default_factory=dict)
    """Dice of each structure that occurs, for an anatomy network."""

    @property
    def quality(self) -> float:
        """What the best checkpoint is chosen by: kappa, or Dice if there are no categories; NaN counts as 0."""
        return float(np.nan_to_num(self.dice if np.isnan(self.kappa) else self.kappa))

    def to_row(self) -> dict[str, float]:
        """Return the columns for the log."""
        names = ("kappa", "exact", "sensitivity", "specificity", "dice")
        structures = {f"dice_{structure.name.lower()}": dice for structure, dice in self.by_structure.items()}
        return {name: round(float(getattr(self, name)), 4) for name in names} | structures


@torch.no_grad()
def validate(network: nn.Module, samples: Samples, config: NetworkConfig) -> Validation:
    """Run the network on every whole sample."""
    network.eval()
    if config.kind == "anatomy":
        return _validated_anatomy(network, samples, config)
    found = [_validated(network, sample, config) for sample in samples]
    both, sizes = (sum(overlap[part] for _, _, overlap in found) for part in (0, 1))
    scores = [] if config.kind == "heart" else [(true, predicted) for true, predicted, _ in found]
    true, predicted = np.reshape(scores, (-1, 2)).T
    return measured(true, predicted, 2 * both / sizes if sizes else float("nan"))


def _validated(network: nn.Module, sample: Sample, config: NetworkConfig) -> tuple[float, float, tuple[int, int]]:
    """Return true and predicted Agatston score, and the overlap: voxels in common, and in sum."""
    clip = whole_clip(sample, config.multiple, structures=config.structures)
    if config.kind == "heart":
        found = _logits(network, clip, config)[:, 0] > 0
        true = clip.heart > 0.5
        return 0.0, 0.0, _overlap(true, found)
    labels = predicted_labels(network, clip, config)
    hu = np.rint(clip.hu).astype(np.int16)
    bright = hu >= BRIGHT_HU
    true, found = (bright & (drawn >= 1) & (drawn <= 5) for drawn in (clip.labels, labels))
    score = agatston_of(hu, labels, clip.spacing_mm)
    return sample.agatston, score, _overlap(true, found)


def _validated_anatomy(network: nn.Module, samples: Samples, config: NetworkConfig) -> Validation:
    """Count the voxels of each structure over all samples."""
    counts = np.zeros((len(Anatomy), len(Anatomy)), np.int64)  # true, found
    for sample in samples:
        clip = whole_clip(sample, config.multiple, structures=config.structures)
        found = _logits(network, clip, config).argmax(axis=1)
        pairs = truth_of(clip, config).astype(np.int64) * len(Anatomy) + found
        counts += np.bincount(pairs.ravel(), minlength=counts.size).reshape(counts.shape)
    sizes = counts.sum(axis=0) + counts.sum(axis=1)
    dice = {structure: round(2 * int(counts[structure, structure]) / int(sizes[structure]), 4)
            for structure in Anatomy if sizes[structure]}  # fmt: skip
    mean = float(np.mean([value for structure, value in dice.items() if structure]))
    nothing = np.zeros(0)
    return replace(measured(nothing, nothing, mean), by_structure=dice)


def predicted_labels(network: nn.Module, clip: Clip, config: NetworkConfig) -> Bytes:
    """Return (slices, rows, columns): the likeliest class of each voxel as ``Calcium`` value, whatever its HU."""
    values = np.asarray(classes_of(config), np.uint8)
    return np.asarray(values[_logits(network, clip, config).argmax(axis=1)], np.uint8)


@torch.no_grad()
def _logits(network: nn.Module, clip: Clip, config: NetworkConfig) -> Floats32:
    device = next(network.parameters()).device
    output = network(input_of(clip, config).to(device))
    logits: torch.Tensor = output.logits.float()
    if output.heart is not None:  # the published system: no lesion outside the heart
        logits[:, 1:] = torch.where(output.heart > 0, logits[:, 1:], -torch.inf)
    return logits.cpu().numpy()


def _overlap(true: Mask, found: Mask) -> tuple[int, int]:
    return int((true & found).sum()), int(true.sum() + found.sum())


def measured(true: Floats, predicted: Floats, dice: float) -> Validation:
    """Return how true and predicted scores, (studies,), agree."""
    table = cross_table(risk_categories(true), risk_categories(predicted))
    figures = (
        weighted_kappa(table),
        exact_agreement(table),
        sensitivity(true > 0, predicted > 0),
        specificity(true > 0, predicted > 0),
    )
    kappa, exact, sensitive, specific = (float("nan") if f.estimate is None else f.estimate for f in figures)
    return Validation(kappa, exact, sensitive, specific, float(dice), tuple(tuple(row) for row in table.tolist()))
