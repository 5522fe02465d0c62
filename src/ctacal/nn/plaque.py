"""The network of stage 3: what an island is, from the picture and the structures around it, and from facts."""

import torch
from torch import Tensor, nn

from ctacal.nn.classes import BY_VESSEL, PLAQUE_CLASSES
from ctacal.nn.config import NetworkConfig
from ctacal.nn.inputs import (
    CALCIUM_CENTRE_HU,
    CALCIUM_HALF_WIDTH_HU,
    CALCIUM_LIMITS,
    SOFT_CENTRE_HU,
    SOFT_HALF_WIDTH_HU,
    SOFT_LIMIT,
    STRUCTURES,
)
from ctacal.nn.plaque_inputs import FACTS, SHAPE

LEAST_EVIDENCE = 0.005
"""Probabilities of the calcium network below this are raised to it: it alone never rules a class out (own choice)."""

IN_PATIENTS = {"stent": 0.35, "no calcium": 1.5}
"""How much more often an island of a class is met in patients than in training, which is rich in stents, beside a
plaque: the probabilities are multiplied by it (Saerens M et al., Neural Comput 2002;14:21-41). Chosen on validation
studies (docs/log.md)."""

DROPPED = 0.3
"""Share of the features that are left out in training (Srivastava 2014)."""


class PlaqueNet(nn.Module):
    """The inputs of ``PlaqueInputs`` -> a logit for each of ``PLAQUE_CLASSES``: the mean of the ``members``.

    In training each member sees its own part of the islands, so that they err differently. Beyond training, classes are
    as frequent as ``IN_PATIENTS``.
    """

    facts_mean: Tensor
    facts_sd: Tensor
    in_patients: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.members = nn.ModuleList(Member(config.widths) for _ in range(config.members))
        self.register_buffer("facts_mean", torch.zeros(FACTS))
        self.register_buffer("facts_sd", torch.ones(FACTS))
        frequent = torch.tensor([IN_PATIENTS.get(kind.name, 1.0) for kind in PLAQUE_CLASSES])
        self.register_buffer("in_patients", frequent.log(), persistent=False)

    def forward(self, hu: Tensor, own: Tensor, structures: Tensor, facts: Tensor, probability: Tensor) -> Tensor:
        """Return logits (islands, ``PLAQUE_CLASSES``)."""
        told = (in_windows(hu, own), structures, (facts - self.facts_mean) / self.facts_sd, evidence(probability))
        if self.training:
            parts = zip(self.members, *(tensor.tensor_split(len(self.members)) for tensor in told), strict=True)
            return torch.cat([member(*part) for member, *part in parts])
        return torch.stack([member(*told).log_softmax(dim=1) for member in self.members]).mean(dim=0) + self.in_patients


class Member(nn.Module):
    """One network. Slices are channels: plaques lie in few of them.

    It corrects the calcium network: its logits are the logs of that network's probabilities, and what it adds, which is
    nothing before training.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        first, second, third, fourth = widths
        slices = SHAPE[0]
        self.fine = nn.Sequential(_block(3 * slices, first, 2), _block(first, first), _block(first, second, 2))
        self.structures = nn.Conv2d(slices * len(STRUCTURES), second, 1)
        self.joined = nn.Sequential(
            _block(2 * second, third), _block(third, third, 2), _block(third, fourth), _block(fourth, fourth, 2)
        )
        self.facts = nn.Sequential(nn.Linear(FACTS, fourth), nn.ReLU())
        self.drop = nn.Dropout(DROPPED)
        self.last = nn.Sequential(
            nn.Linear(4 * fourth, fourth), nn.ReLU(), nn.Dropout(DROPPED), nn.Linear(fourth, len(PLAQUE_CLASSES))
        )
        self._begin_without_effect()

    def forward(self, picture: Tensor, structures: Tensor, facts: Tensor, known: Tensor) -> Tensor:
        """Return logits (islands, ``PLAQUE_CLASSES``); ``known`` are those of the calcium network."""
        features = self.fine(picture)  # (n, w1, 16, 16)
        features = self.joined(torch.cat([features, self.structures(structures)], dim=1))  # (n, w3, 4, 4)
        middle = features[:, :, 1:3, 1:3].mean(dim=(2, 3))
        seen = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3)), middle], dim=1)
        added: Tensor = self.last(torch.cat([self.drop(seen), self.facts(facts)], dim=1))
        return known + added

    @torch.no_grad()
    def _begin_without_effect(self) -> None:
        last = self.last[-1]
        assert isinstance(last, nn.Linear)
        last.weight.zero_()
        last.bias.zero_()


def in_windows(hu: Tensor, own: Tensor) -> Tensor:
    """Return (islands, 3 x slices, rows, columns): soft window, calcium window, and where the island lies."""
    soft = ((hu - SOFT_CENTRE_HU) / SOFT_HALF_WIDTH_HU).clamp(-SOFT_LIMIT, SOFT_LIMIT)
    calcium = ((hu - CALCIUM_CENTRE_HU) / CALCIUM_HALF_WIDTH_HU).clamp(*CALCIUM_LIMITS)
    return torch.cat([soft, calcium, own], dim=1)


def evidence(probability: Tensor) -> Tensor:
    """Return (islands, ``PLAQUE_CLASSES``): the logs of the calcium network's probabilities.

    What it calls other calcium is shared evenly by the classes that are it.
    """
    columns = []
    for kind in PLAQUE_CLASSES:
        alike = sum(other.label == kind.label for other in PLAQUE_CLASSES)
        columns.append(probability[:, BY_VESSEL.index(kind.label)].clamp(min=LEAST_EVIDENCE) / alike)
    return torch.stack(columns, dim=1).log()


def _block(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )
