"""Loss functions: classification of the voxels that can score, overlap of lesions and vessels, calcium mass, heart."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from ctacal.labels import CORONARY_LABELS, NAMED_VESSELS, Calcium
from ctacal.nn.batches import Batch
from ctacal.nn.classes import allowed, is_coronary
from ctacal.nn.config import LossConfig, NetworkConfig
from ctacal.nn.inputs import HEART_REACH_MM
from ctacal.nn.networks import classes_of
from ctacal.nn.output import Output

SMOOTH = 10.0
"""Voxels added to numerator and denominator of overlap losses: in a clip without calcium, a few false voxels cost
little (own choice)."""


class Loss:
    """The loss of one kind of network, with its parts for the log."""

    def __init__(self, config: LossConfig, network: NetworkConfig) -> None:
        self.config, self.kind = config, network.kind
        self.classes = classes_of(network)
        self.reach = round(HEART_REACH_MM / network.pixel_mm)
        self.allowed = torch.from_numpy(allowed(self.classes))  # (truths, classes)

    def __call__(self, output: Output, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the loss to minimise, and each part of it by name."""
        parts = self._parts(output, batch)
        return torch.stack(list(parts.values())).sum(), {name: float(part.detach()) for name, part in parts.items()}

    def _parts(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        if self.kind == "heart":
            return {"heart": heart_loss(output.logits, batch.heart)}
        if self.kind == "anatomy":
            return {"anatomy": anatomy_loss(output.logits, batch.truth, self.config.anatomy_weights)}
        parts = self._calcium(output.logits, batch)
        if output.mass_mg is not None:
            parts["mass"] = self.config.mass_weight * mass_loss(output.mass_mg, batch.mass_mg)
        if output.heart is not None:
            parts["heart"] = self.config.heart_weight * heart_loss(output.heart, batch.heart)
        return parts

    def _calcium(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the parts over all calcium and the voxels that can, or nearly can, score; no others matter."""
        config = self.config
        near_heart = widened(batch.heart, self.reach) > 0.5  # (s, r, c)
        calcium = is_in(batch.truth, tuple(Calcium))
        counted = (batch.hu >= config.candidate_hu) | (near_heart & (batch.hu >= config.asked_hu)) | calcium
        hu, truth, near_heart, calcium = (
            batch.hu[counted],
            batch.truth[counted],
            near_heart[counted],
            calcium[counted],
        )  # (n,)
        log_p = logits.movedim(1, -1)[counted].float().log_softmax(dim=1)  # (n, classes)
        focal = focal_loss(log_p, truth, self.allowed.to(logits.device), config.focal_gamma)  # (n,)
        candidate = near_heart & (hu >= config.candidate_hu)
        weight = 1.0 + (config.near_weight - 1) * (near_heart & (hu >= config.near_hu))
        weight = weight + (config.candidate_weight - config.near_weight) * candidate + config.calcium_weight * calcium
        p = log_p.exp()
        return {
            "focal": (weight * focal).sum() / weight.sum().clamp(min=1.0),
            "top": config.top_weight * hardest(focal[candidate], config.top_share),
            "overlap": config.overlap_weight * self._coronary_overlap(p, truth, candidate),
            "vessel": config.vessel_weight * self._vessel_overlap(p, truth, candidate),
        }

    def _coronary_overlap(self, p: Tensor, truth: Tensor, candidate: Tensor) -> Tensor:
        coronary = [index for index, label in enumerate(self.classes) if is_coronary(label)]
        return tversky_loss(
            p[:, coronary].sum(dim=1)[candidate],
            is_in(truth, CORONARY_LABELS)[candidate].float(),
            miss=self.config.tversky_miss,
        )

    def _vessel_overlap(self, p: Tensor, truth: Tensor, candidate: Tensor) -> Tensor:
        """Return the mean Dice loss of the named vessels in the batch; 0 for a network without vessels."""
        losses = [
            tversky_loss(p[:, index][candidate], (truth == label)[candidate].float(), miss=0.5)
            for index, label in enumerate(self.classes)
            if label in NAMED_VESSELS and bool((candidate & (truth == label)).any())
        ]
        return torch.stack(losses).mean() if losses else p.sum() * 0.0


def focal_loss(log_p: Tensor, truth: Tensor, allowed: Tensor, gamma: float) -> Tensor:
    """(n, classes) log-probabilities, (n,) truth -> (n,): -(1 - p)^gamma log p (Lin 2017).

    p is the summed probability of all classes that the truth allows.
    """
    fits = allowed[truth]  # (n, classes)
    log_right = log_p.masked_fill(~fits, -torch.inf).logsumexp(dim=1)
    return -((1 - log_right.exp()).clamp(min=0.0) ** gamma) * log_right if gamma else -log_right


def hardest(losses: Tensor, share: float) -> Tensor:
    """Return the mean of the highest losses."""
    if not losses.numel():
        return losses.sum()
    return losses.topk(max(1, round(share * losses.numel()))).values.mean()


def tversky_loss(p: Tensor, truth: Tensor, *, miss: float) -> Tensor:
    """Return 1 - Tversky index (Salehi 2017); with ``miss`` 0.5 it is the Dice loss."""
    hit = (p * truth).sum() + SMOOTH
    missed, false = ((1 - p) * truth).sum(), (p * (1 - truth)).sum()
    return 1 - hit / (hit + miss * missed + (1 - miss) * false)


def mass_loss(predicted_mg: Tensor, true_mg: Tensor) -> Tensor:
    """Return the smooth L1 of log(1 + mg) over the known masses: 1 mg for 2 mg costs about as much as 100 for 150."""
    known = ~true_mg.isnan()
    if not known.any():
        return predicted_mg.sum() * 0.0
    return F.smooth_l1_loss(predicted_mg[known].log1p(), true_mg[known].log1p())


def heart_loss(logit: Tensor, heart: Tensor) -> Tensor:
    """Return cross-entropy plus Dice loss of (s, 1, r, c) logits."""
    logit = logit[:, 0].float()
    p = logit.sigmoid()
    dice = 1 - (2 * (p * heart).sum() + 1) / (p.sum() + heart.sum() + 1)
    return F.binary_cross_entropy_with_logits(logit, heart) + dice


def anatomy_loss(logits: Tensor, truth: Tensor, weights: tuple[float, ...] = ()) -> Tensor:
    """Return cross-entropy, with a weight for each class, plus the mean Dice loss of all classes but the first.

    (s, classes, r, c) logits, (s, r, c) class numbers. A class absent from clip and answer has a Dice loss of 0.
    """
    classes = logits.shape[1]
    truth = truth.reshape(-1)  # (voxels,)
    log_p = logits.movedim(1, -1).reshape(-1, classes).float().log_softmax(dim=1)  # in rows: a fifth of the time
    right = log_p.gather(1, truth[:, None])[:, 0]
    both = logits.new_zeros(classes, dtype=log_p.dtype).index_add(0, truth, right.exp())
    sizes = log_p.exp().sum(dim=0) + torch.bincount(truth, minlength=classes)
    dice = 1 - (2 * both + SMOOTH) / (sizes + SMOOTH)
    weight = torch.tensor(weights or (1.0,) * classes, device=logits.device)[truth]
    return -(weight * right).sum() / weight.sum() + dice[1:].mean()


def widened(mask: Tensor, pixels: int) -> Tensor:
    """Grow (s, r, c) of 0 and 1 in plane, by a square."""
    if pixels == 0:
        return mask
    along_rows = F.max_pool2d(mask[:, None], (2 * pixels + 1, 1), stride=1, padding=(pixels, 0))
    return F.max_pool2d(along_rows, (1, 2 * pixels + 1), stride=1, padding=(0, pixels))[:, 0]


def is_in(truth: Tensor, labels: tuple[int, ...]) -> Tensor:
    """Return whether each true label is among ``labels``."""
    return torch.isin(truth, torch.tensor(labels, device=truth.device))
