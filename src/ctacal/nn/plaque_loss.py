"""Loss and validation of the plaque network."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ctacal.arrays import Floats, Mask
from ctacal.nn.classes import PLAQUE_CLASSES, is_coronary
from ctacal.nn.plaque_batches import LEAST_WEIGHT, PlaqueBatch, batch_of
from ctacal.nn.plaque_samples import Plaques
from ctacal.nn.validate import Validation, measured

CORONARY = [number for number, kind in enumerate(PLAQUE_CLASSES) if is_coronary(kind.label)]

LEAST_SHARE = 1e-4
"""Smallest probability whose log is taken."""

TOGETHER = 256
"""Islands of one run in validation."""


class PlaqueLoss:
    """Cross-entropy of the classes, and of coronary against all else, which decides the score."""

    def __call__(self, logits: Tensor, batch: PlaqueBatch) -> tuple[Tensor, dict[str, float]]:
        """Return the loss to minimise, and each part of it by name."""
        kind, coronary = ((batch.weight * part).mean() for part in losses(logits, batch.truth))
        return kind + coronary, {"kind": float(kind.detach()), "coronary": float(coronary.detach())}


def losses(logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return both parts for each island."""
    log_p = logits.float().log_softmax(dim=1)
    kind = -(truth * log_p).sum(dim=1)
    chance = log_p[:, CORONARY].exp().sum(dim=1).clamp(LEAST_SHARE, 1 - LEAST_SHARE)
    true = truth[:, CORONARY].sum(dim=1)
    return kind, -(true * chance.log() + (1 - true) * (1 - chance).log())


@dataclass(frozen=True, slots=True)
class PlaqueValidation:
    """Results on all validation studies."""

    loss: float
    """Mean over the islands, weighted as they are drawn in training."""
    scores: Validation
    """Agreement of the scores of the islands that are likelier coronary than not."""

    @property
    def quality(self) -> float:
        """What the best checkpoint is chosen by: 1 for no loss."""
        return math.exp(-self.loss)

    def to_row(self) -> dict[str, float]:
        """Return the columns for the log."""
        return {"plaque": round(self.loss, 4), **self.scores.to_row()}


@torch.no_grad()
def validate_plaques(network: nn.Module, plaques: Plaques) -> PlaqueValidation:
    """Run the network on all islands."""
    network.eval()
    logits = torch.cat([
        network(*batch_of(plaques, chosen).inputs).float()
        for chosen in np.array_split(np.arange(len(plaques.agatston)), len(plaques.agatston) // TOGETHER + 1)
        if len(chosen)
    ])  # fmt: skip
    loss = torch.stack(losses(logits, torch.from_numpy(plaques.truth))).sum(dim=0).numpy()
    weight = LEAST_WEIGHT + np.log1p(plaques.agatston)
    found = logits.softmax(dim=1)[:, CORONARY].sum(dim=1).numpy()
    true, predicted = (_scores(plaques, shares > 0.5) for shares in (plaques.truth[:, CORONARY].sum(axis=1), found))
    return PlaqueValidation(float(np.average(loss, weights=weight)), measured(true, predicted, float("nan")))


def _scores(plaques: Plaques, counted: Mask) -> Floats:
    """Return (studies with islands,): the sum of the islands that count."""
    _, study = np.unique(plaques.study, return_inverse=True)
    return np.bincount(study, plaques.agatston * counted).astype(np.float64)
