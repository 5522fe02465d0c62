"""The losses, against values worked out by hand."""

import numpy as np
import pytest
import torch

from ctacal.nn.batches import Batch
from ctacal.nn.classes import BY_VESSEL, NOT_CORONARY, allowed
from ctacal.nn.config import LossConfig, NetworkConfig
from ctacal.nn.losses import SMOOTH, Loss, anatomy_loss, focal_loss, hardest, mass_loss, tversky_loss, widened
from ctacal.nn.output import Output

ALLOWED = torch.from_numpy(allowed(BY_VESSEL))
P = np.array([0.4, 0.1, 0.2, 0.05, 0.05, 0.2])
"""Background, LM, LAD, LCX, RCA, other."""


@pytest.mark.parametrize(("truth", "right"), [(0, 0.4), (2, 0.2), (5, 0.4), (6, 0.2), (NOT_CORONARY, 0.6)])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_focal_loss(truth: int, right: float, gamma: float) -> None:
    log_p = torch.from_numpy(np.log(P)).reshape(1, 6)
    loss = focal_loss(log_p, torch.tensor([truth]), ALLOWED, gamma)
    assert loss.item() == pytest.approx(-((1 - right) ** gamma) * np.log(right))


def test_focal_loss_has_a_gradient_everywhere() -> None:
    logits = torch.zeros(8, 6, requires_grad=True)
    focal_loss(logits.log_softmax(dim=1), torch.arange(8), ALLOWED, 1.5).sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad.abs().amax(dim=1) > 0).all()


def test_tversky_loss() -> None:
    p, truth = torch.tensor([1.0, 0.5, 0.5, 0.0]), torch.tensor([1.0, 1.0, 0.0, 0.0])
    assert tversky_loss(p, truth, miss=0.7).item() == pytest.approx(1 - 11.5 / (11.5 + 0.7 * 0.5 + 0.3 * 0.5))
    assert tversky_loss(truth, truth, miss=0.7).item() == 0


def test_hardest() -> None:
    assert hardest(torch.arange(10.0), 0.2).item() == 8.5
    assert hardest(torch.tensor([]), 0.2).item() == 0


def test_mass_loss_knows_what_is_not_known() -> None:
    predicted = torch.tensor([[1.0, 5.0]])
    assert mass_loss(predicted, torch.tensor([[1.0, float("nan")]])).item() == 0
    assert mass_loss(predicted, torch.full((1, 2), float("nan"))).item() == 0
    half_log = torch.tensor([[np.exp(0.5) * 2 - 1]])
    assert mass_loss(half_log, torch.tensor([[1.0]])).item() == pytest.approx(0.125)


def test_anatomy_loss() -> None:
    """Two voxels of two classes: cross-entropy by hand, weighted, and the Dice loss of the second class."""
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]]).T.reshape(1, 2, 1, 2)  # p of class 1: 0.119, 0.5
    truth = torch.tensor([[[0, 1]]])
    p = 1 / (1 + np.exp(2.0))
    dice = 1 - (2 * 0.5 + SMOOTH) / (p + 0.5 + 1 + SMOOTH)
    plain = (-np.log(1 - p) - np.log(0.5)) / 2
    assert anatomy_loss(logits, truth).item() == pytest.approx(plain + dice)
    weighted = (-np.log(1 - p) - 3 * np.log(0.5)) / 4
    assert anatomy_loss(logits, truth, (1.0, 3.0)).item() == pytest.approx(weighted + dice)


def test_widened() -> None:
    mask = torch.zeros(1, 7, 7)
    mask[0, 3, 3] = 1
    assert widened(mask, 2)[0].sum() == 25
    assert widened(mask, 0) is mask


def loss_of(hu: float, heart: float, truth: int = 0) -> dict[str, float]:
    """Return the losses of a 40 x 40 slice with one voxel that the network classifies as LAD almost with certainty."""
    logits = torch.full((1, 6, 40, 40), -8.0)
    logits[:, 0] = 8.0
    logits[0, :, 20, 20] = torch.tensor([-8.0, -8.0, 8.0, -8.0, -8.0, -8.0])
    image = torch.full((1, 40, 40), 60.0)
    image[0, 20, 20] = hu
    labels = torch.zeros(1, 40, 40, dtype=torch.int64)
    labels[0, 20, 20] = truth
    batch = Batch(
        torch.zeros(1, 6, 40, 40), image, labels, torch.full((1, 40, 40), heart), torch.full((1, 4), torch.nan)
    )
    loss = Loss(LossConfig(), NetworkConfig())
    return loss(Output(logits, torch.ones(1, 4)), batch)[1]


def test_what_can_score_weighs_most() -> None:
    ignored, dark, near, candidate = (loss_of(hu, 1.0)["focal"] for hu in (45.0, 60.0, 110.0, 150.0))
    assert ignored < 1e-6 < dark < near < candidate
    assert loss_of(150.0, 1.0)["overlap"] > 0.01 > loss_of(110.0, 1.0)["overlap"]


def test_far_from_the_heart_nothing_scores_but_bone_is_learnt() -> None:
    far = loss_of(150.0, 0.0)
    assert far["focal"] > 1 and far["top"] == 0 and far["overlap"] < 1e-6
    assert loss_of(110.0, 0.0)["focal"] == 0


def test_the_right_answer_costs_next_to_nothing() -> None:
    assert sum(loss_of(150.0, 1.0, truth=2).values()) < 1e-4
    assert loss_of(150.0, 1.0, truth=4)["vessel"] > 0.01 > loss_of(150.0, 1.0, truth=4)["overlap"]
