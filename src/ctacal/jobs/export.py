"""Export of checkpoints as a model for scoring, and the facts of the exported model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctacal import __version__
from ctacal.nn.card import read_card
from ctacal.nn.config import MOST_BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportJob:
    """Checkpoints and the model folder to make of them."""

    heart: Path
    calcium: Path
    out: Path
    name: str
    version: str = __version__
    plaque: Path | None = None
    """None: the model decides islands by the calcium network alone."""
    start: Path | None = None
    """The model folder from which the calcium network was trained on; ``keep`` is the share of its weights kept."""
    keep: float = 0.0
    bits: int = MOST_BITS
    """Bits of the fraction of each weight: with fewer, a zip makes less of the networks."""


@dataclass(frozen=True, slots=True)
class ExportedNetwork:
    """The size of one exported network, and its difference from torch."""

    stage: str
    parameters: int
    bytes: int
    parity: Mapping[int, float]
    """Largest difference in probability from torch, by number of slices."""


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A model folder that was written."""

    folder: Path
    name: str
    version: str
    networks: tuple[ExportedNetwork, ...]


def export_model(job: ExportJob) -> ExportedModel:
    """Export the checkpoints and check the networks against torch.

    Raises ``UsageError`` if a checkpoint is not of its stage, ``CtacalError`` if ONNX Runtime differs from torch.
    """
    from ctacal.nn.export import export  # torch takes seconds

    card = export(
        job.heart, job.calcium, job.out, name=job.name, version=job.version, plaque=job.plaque, start=job.start,
        keep=job.keep, bits=job.bits,
    )  # fmt: skip
    return exported_model(card.parent)


def export_model_again(model: Path, out: Path, version: str | None = None) -> ExportedModel:
    """Write a model's weights as the graphs of this version; its calibration stays. Raises as ``export_model``."""
    from ctacal.nn.export import export_again  # torch takes seconds

    return exported_model(export_again(model, out, version=version).parent)


def exported_model(folder: Path) -> ExportedModel:
    """Read the facts of an exported model from its card. Raises ``UsageError`` if the folder holds no model."""
    card = read_card(folder)
    networks = tuple(_network(stage, entry, folder / entry["file"]) for stage, entry in card["stages"].items())
    return ExportedModel(folder, card["name"], card["version"], networks)


def _network(stage: str, entry: Mapping[str, Any], file: Path) -> ExportedNetwork:
    parity = {int(slices): float(difference) for slices, difference in entry["parity"].items()}
    return ExportedNetwork(stage, entry["parameters"], file.stat().st_size, parity)
