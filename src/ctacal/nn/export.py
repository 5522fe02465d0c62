"""A model for scoring: ONNX files of any number of slices, and a card with their digests."""

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ctacal import __version__
from ctacal.atomic import whole_file, write_text
from ctacal.errors import UsageError
from ctacal.nn.checkpoint import Checkpoint, read_checkpoint
from ctacal.nn.config import NetworkConfig
from ctacal.nn.convlstm import BothWays
from ctacal.nn.inputs import channels_of
from ctacal.nn.networks import classes_of, parameters_of

OPSET = 20
"""Of ONNX: the newest that every runtime of 2024 and later reads (own choice)."""

CARD_NAME = "model.json"

MAX_SLICES, MAX_SIDE = 4096, 4096
"""Written to the graph as upper bounds (own choice)."""


class ForScoring(nn.Module):
    """A network as scoring calls it: probabilities, not logits; one scan, so one sequence."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(slices, channels, rows, columns) -> probability (slices, classes, rows, columns), mass_mg (slices, 4)."""
        answer = self.network(x, 1)
        if answer.logits.shape[1] == 1:
            return (answer.logits.sigmoid(),)
        probability = answer.logits.softmax(dim=1)
        if answer.heart is not None:  # the published system: no lesion outside of its heart
            inside = (answer.heart > 0).to(probability.dtype)
            lesion = probability[:, 1:] * inside
            probability = torch.cat([1 - lesion.sum(dim=1, keepdim=True), lesion], dim=1)
        return (probability,) if answer.mass_mg is None else (probability, answer.mass_mg)


def export(heart: Path, calcium: Path, out: Path, *, name: str, facts: Mapping[str, Any] | None = None) -> Path:
    """Write the checkpoints' averaged weights as a model folder; returns its card, ``model.json``.

    ``facts`` (figures, limits, licence) go to the card as they are. Raises ``UsageError`` where a checkpoint is not of
    the stage it is given for.
    """
    checkpoints = {"heart": read_checkpoint(heart), "calcium": read_checkpoint(calcium)}
    if checkpoints["heart"].recipe.network.kind != "heart" or checkpoints["calcium"].recipe.network.kind == "heart":
        raise UsageError(f"expected a heart network in {heart} and a calcium network in {calcium}")
    stages = {stage: _export_one(checkpoint, out / f"{stage}.onnx") for stage, checkpoint in checkpoints.items()}
    card = {"format": 1, "name": name, "version": __version__, "stages": stages, "facts": dict(facts or {})}
    write_text(out / CARD_NAME, json.dumps(card, indent=2) + "\n")
    return out / CARD_NAME


def _export_one(checkpoint: Checkpoint, path: Path) -> dict[str, Any]:
    """Write the file; what the card says of it."""
    network = checkpoint.network()
    write_onnx(network, checkpoint.recipe.network, path)
    return {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "parameters": parameters_of(network),
        "classes": [int(label) for label in classes_of(checkpoint.recipe.network)],
        "recipe": checkpoint.recipe.to_json(),
        "step": checkpoint.step,
        "data_sha256": checkpoint.data_digest,
        "trained_with": checkpoint.version,
    }


def write_onnx(network: nn.Module, config: NetworkConfig, path: Path) -> None:
    """Write one network, its slices, rows and columns left open; scoring asserts nothing about their number."""
    model = ForScoring(network).eval()
    _set_scan(model, True)
    n = torch.export.Dim("slices", min=2, max=MAX_SLICES)
    rows, columns = (
        config.multiple * torch.export.Dim(side, min=2, max=MAX_SIDE // config.multiple) for side in ("rows", "columns")
    )
    names = ["probability", "mass_mg"][: 2 if getattr(network, "mass", None) is not None else 1]
    example = torch.zeros(5, channels_of(config), 4 * config.multiple, 3 * config.multiple)
    try:
        with whole_file(path) as temporary, _quiet_torch():
            torch.onnx.export(
                model, (example,), temporary, dynamo=True, opset_version=OPSET, input_names=["x"], output_names=names,
                dynamic_shapes=({0: n, 2: rows, 3: columns},), external_data=False, verbose=False, optimize=True,
            )  # fmt: skip
    finally:
        _set_scan(model, False)


@contextmanager
def _quiet_torch() -> Iterator[None]:
    """Torch's exporter tells of its own deprecations and of libraries that are not needed here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _set_scan(model: nn.Module, on: bool) -> None:
    """One loop over the slices in the graph; the published system's three-slice loops are unrolled as they are."""
    for module in model.modules():
        if isinstance(module, BothWays):
            module.to_head.as_scan = module.to_feet.as_scan = on
