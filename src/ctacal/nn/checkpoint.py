"""Checkpoints: weights, averaged weights, optimiser and random state, with their origin; written atomically."""

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ctacal import __version__
from ctacal.atomic import whole_file
from ctacal.errors import UsageError
from ctacal.fields import from_fields
from ctacal.nn.config import Recipe
from ctacal.nn.networks import build

FORMAT = 1


@dataclass(frozen=True, eq=False, slots=True)
class Checkpoint:
    """The state from which training continues."""

    recipe: Recipe
    data_digest: str
    step: int
    """Steps done."""
    weights: dict[str, Any]
    averaged: dict[str, Any]
    """Exponential moving average of the weights, which is validated and exported."""
    optimiser: dict[str, Any]
    random_state: torch.Tensor
    best: float
    """Best validation result so far."""
    version: str = __version__
    """Version of ctacal that wrote it."""

    def write(self, path: Path) -> None:
        """Write to a temporary file, flush, rename."""
        content = {"format": FORMAT, "recipe": json.dumps(self.recipe.to_json())}
        content |= {name: getattr(self, name) for name in self.__slots__ if name != "recipe"}
        with whole_file(path) as temporary:
            torch.save(content, temporary)

    def network(self) -> nn.Module:
        """Return the network with the averaged weights, for evaluation."""
        network = build(self.recipe.network)
        network.load_state_dict(self.averaged)
        return network.eval()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU; nothing but tensors and plain values is unpickled.

    Raises ``UsageError`` if it is not a checkpoint, or has another format.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content.pop("format") != FORMAT:
            raise UsageError(f"{path}: a checkpoint of another format; train again")
        recipe = from_fields(Recipe, json.loads(content.pop("recipe")))
        return Checkpoint(recipe=recipe, **content)
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError, EOFError, pickle.UnpicklingError) as problem:
        raise UsageError(f"{path}: not a checkpoint ({problem})") from problem
