"""Export to a model for scoring: ONNX files for any number of slices, and a card; and reading the weights back."""

import hashlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ctacal import __version__
from ctacal.atomic import whole_file
from ctacal.errors import CtacalError, UsageError
from ctacal.fields import from_fields
from ctacal.nn.card import CARD_NAME, onnx_bytes, read_card, write_card
from ctacal.nn.checkpoint import Checkpoint, read_checkpoint
from ctacal.nn.config import MOST_BITS, NetworkConfig, Recipe
from ctacal.nn.convlstm import BothWays
from ctacal.nn.inputs import STRUCTURE_PIXELS, STRUCTURES, own_channels_of
from ctacal.nn.networks import build, classes_of, parameters_of
from ctacal.nn.plaque_inputs import PlaqueInputs, input_shapes
from ctacal.nn.predict import WEIGHTS, load_model

OPSET = 20
"""Version of the ONNX operators: the newest that all runtimes since 2024 read (own choice)."""

PARITY = 1e-4
"""Largest difference from torch, in probability, that is accepted."""

PARITY_SLICES = (1, 3, 24)
"""Numbers of slices at which the difference is measured (own choice)."""

INPUTS = ("x", "structures")
"""Names of the inputs of a graph; only a network with ``structures = true`` has the second."""

PLAQUE_SHAPES = input_shapes()
"""Shape of each input of a plaque network for one island."""

PLAQUE_INPUTS = tuple(field.name for field in fields(PlaqueInputs))
"""Names of the inputs of a plaque network's graph."""

MAX_SLICES, MAX_SIDE = 4096, 4096
"""Upper bounds that are written to the graph (own choice)."""


class ForScoring(nn.Module):
    """A network as scoring calls it: it gives probabilities, not logits, for one sequence, the scan."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, structures: Tensor | None = None) -> tuple[Tensor, ...]:
        """(slices, channels, rows, columns) -> probability (slices, classes, rows, columns), mass_mg (slices, 4).

        ``structures`` is the second input of a network with ``structures = true``. It has a coarser resolution than
        ``x``: as channels of ``x`` it would take 16 times the memory.
        """
        output = self.network(x, 1) if structures is None else self.network(x, 1, structures)
        if output.logits.shape[1] == 1:
            return (output.logits.sigmoid(),)
        probability = softmax_in_steps(output.logits)
        if output.heart is not None:  # the published system: no lesion outside the heart
            inside = (output.heart > 0).to(probability.dtype)
            lesion = probability[:, 1:] * inside
            probability = torch.cat([1 - lesion.sum(dim=1, keepdim=True), lesion], dim=1)
        return (probability,) if output.mass_mg is None else (probability, output.mass_mg)


class PlaqueForScoring(nn.Module):
    """A plaque network as scoring calls it: it gives probabilities, not logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, hu: Tensor, own: Tensor, structures: Tensor, facts: Tensor, probability: Tensor
    ) -> tuple[Tensor, ...]:
        """``PlaqueInputs`` -> probability (islands, ``PLAQUE_CLASSES``)."""
        return (self.network(hu, own, structures, facts, probability).softmax(dim=1),)


def for_scoring(network: nn.Module, config: NetworkConfig) -> nn.Module:
    """Return the network as scoring calls it."""
    return (PlaqueForScoring if config.kind == "plaque" else ForScoring)(network).eval()


def softmax_in_steps(logits: Tensor) -> Tensor:
    """Softmax over the classes, in steps: the runtime's own transposes the whole tensor and took 14 % of the time."""
    powers = (logits - logits.amax(dim=1, keepdim=True)).exp()
    return powers / powers.sum(dim=1, keepdim=True)


def export(
    heart: Path,
    calcium: Path,
    out: Path,
    *,
    name: str,
    version: str = __version__,
    plaque: Path | None = None,
    facts: Mapping[str, Any] | None = None,
    start: Path | None = None,
    keep: float = 0.0,
    bits: int = MOST_BITS,
) -> Path:
    """Write the checkpoints' averaged weights as a model folder; returns its card, ``model.json``.

    ``heart``, ``calcium`` and ``plaque``, which a model may lack, are checkpoints, or folders of models that hold such
    a network. With ``start``, the model
    folder from which the calcium network was trained on, its weights ``keep`` that share. With fewer ``bits`` of the
    fraction, a zip makes less of the weights: of 10 some 40 % less. ``facts`` (figures, limits,
    licence) go to the card as they are. Raises ``UsageError`` if a network is not of the stage it is given for,
    ``CtacalError`` if the output of ONNX Runtime differs from that of torch; there is no card then.
    """
    paths = {"heart": heart, "calcium": calcium} | ({"plaque": plaque} if plaque else {})
    checkpoints = {stage: trained(path, stage) for stage, path in paths.items()}
    if bool(start) != (keep > 0):
        raise UsageError("a share of weights to keep and the model folder that they come from go together")
    if start:
        checkpoints["calcium"] = mixed(checkpoints["calcium"], checkpoint_of_model(start), keep)
    checkpoints = {stage: rounded(checkpoint, bits) for stage, checkpoint in checkpoints.items()}
    networks = {stage: checkpoint.recipe.network for stage, checkpoint in checkpoints.items()}
    for stage, network in networks.items():
        if network.stage != stage:
            wanted = "heart or anatomy" if stage == "heart" else stage
            raise UsageError(f"expected a {wanted} network in {paths[stage]}, found a network of kind {network.kind!r}")
    for stage, needs in (("calcium", networks["calcium"].structures), ("plaque", "plaque" in networks)):
        if needs and networks["heart"].kind != "anatomy":
            raise UsageError(
                f"the network in {paths[stage]} needs the anatomy; {heart} holds a network of the heart alone"
            )
    (out / CARD_NAME).unlink(missing_ok=True)  # of an earlier export, whose files are replaced
    stages = {stage: export_stage(checkpoint, out / f"{stage}.onnx") for stage, checkpoint in checkpoints.items()}
    return write_card(
        out, {"format": 1, "name": name, "version": version, "stages": stages, "facts": dict(facts or {})}
    )


def export_again(model: Path, out: Path, *, version: str | None = None) -> Path:
    """Write a model's own weights as the graphs of this version of ctacal; returns the card of ``out``.

    Calibration and facts stay, since the networks answer as before. Raises ``UsageError`` if the weights cannot be read
    back, ``CtacalError`` as ``export`` does.
    """
    card = read_card(model)
    out.mkdir(parents=True, exist_ok=True)
    stages = {}
    for stage, entry in card["stages"].items():
        made = export_stage(checkpoint_of_model(model, stage), out / f"{stage}.onnx")
        stages[stage] = entry | {key: made[key] for key in ("file", "sha256", "parity")}
    return write_card(out, card | {"version": version or card["version"], "stages": stages})


def mixed(checkpoint: Checkpoint, start: Checkpoint, keep: float) -> Checkpoint:
    """Return the checkpoint with averaged weights between those that training started from and its own.

    ``keep`` is the share of the former, 0 to 1 (Wortsman M et al., CVPR 2022: Robust fine-tuning of zero-shot models):
    what was learnt from much data is not lost to little. Layers that are new stay as they were trained. Raises
    ``UsageError`` for another share.
    """
    if not 0 <= keep <= 1:
        raise UsageError(f"the share of the weights to keep is {keep:g}, expected 0 to 1")
    known = start.averaged
    between = {
        name: now.lerp(known[name], keep) if name in known and now.dtype.is_floating_point else now
        for name, now in checkpoint.averaged.items()
    }
    return replace(checkpoint, averaged=between)


def rounded(checkpoint: Checkpoint, bits: int) -> Checkpoint:
    """Return the checkpoint with averaged weights whose fraction has that many bits: the nearest, to even.

    Rounding again changes nothing. Raises ``UsageError`` for fewer than 1 bit, or more than a float32 has.
    """
    if not 1 <= bits <= MOST_BITS:
        raise UsageError(f"the fraction of a weight is to have {bits} bits, expected 1 to {MOST_BITS}")
    if bits == MOST_BITS:
        return checkpoint
    weights = {name: _rounded(tensor, bits) for name, tensor in checkpoint.averaged.items()}
    return replace(checkpoint, averaged=weights)


def _rounded(weights: Tensor, bits: int) -> Tensor:
    if not weights.dtype.is_floating_point:
        return weights
    fraction, exponent = torch.frexp(weights)  # fraction from 1/2 to 1
    return torch.ldexp((fraction * 2 ** (bits + 1)).round() / 2 ** (bits + 1), exponent)


def export_stage(checkpoint: Checkpoint, path: Path) -> dict[str, Any]:
    """Write the averaged weights as ONNX; returns the card's entry. Raises ``CtacalError`` as ``export`` does."""
    network, config = checkpoint.network(), checkpoint.recipe.network
    write_onnx(network, config, path)
    return {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "parameters": parameters_of(network),
        "classes": [int(label) for label in classes_of(config)],
        "parity": _checked_parity(network, config, path),
        "recipe": checkpoint.recipe.to_json(),
        "step": checkpoint.step,
        "data_sha256": checkpoint.data_digest,
        "trained_with": checkpoint.version,
    }


def _checked_parity(network: nn.Module, config: NetworkConfig, path: Path) -> dict[str, float]:
    found = {str(slices): difference(network, config, path, slices) for slices in PARITY_SLICES}
    if max(found.values()) > PARITY:
        raise CtacalError(f"{path} differs from torch by {max(found.values()):.1e} in probability, at most {PARITY:g}")
    return found


@torch.no_grad()
def difference(network: nn.Module, config: NetworkConfig, path: Path, slices: int) -> float:
    """Return the largest difference in probability between torch and ONNX Runtime, on noise of that many slices."""
    import onnxruntime

    inputs = _noise(network, config, slices)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    named = {name: value.numpy() for name, value in zip(_names(config), inputs, strict=False)}
    found, expected = session.run(None, named)[0], for_scoring(network, config)(*inputs)[0]
    return float(np.abs(found - expected.numpy()).max())


def _names(config: NetworkConfig) -> tuple[str, ...]:
    """Return the names of the inputs of the graph."""
    return PLAQUE_INPUTS if config.kind == "plaque" else INPUTS


def _noise(network: nn.Module, config: NetworkConfig, slices: int) -> tuple[Tensor, ...]:
    """Return inputs of noise, for that many slices, or islands."""
    random = torch.Generator().manual_seed(slices)
    if config.kind == "plaque":
        return _noisy_islands(network, slices, random)
    shapes = _shapes(config, 5 * config.multiple, 4 * config.multiple)
    return tuple(torch.randn(slices, *shape, generator=random) for shape in shapes)


def _noisy_islands(network: nn.Module, islands: int, random: torch.Generator) -> tuple[Tensor, ...]:
    """Return islands in noise, with facts as in training: far from these, one class would be certain."""
    hu, own, structures, facts, probability = (
        torch.randn(islands, *shape, generator=random) for shape in PLAQUE_SHAPES
    )
    facts = network.get_buffer("facts_mean") + network.get_buffer("facts_sd") * facts
    return 40 + 20 * hu, (own > 3).float(), 0 * structures + 0.1, facts, probability.softmax(dim=1)


def trained(path: Path, stage: str) -> Checkpoint:
    """Read a trained network, ``heart`` or ``calcium``, from a checkpoint or from the folder of a model.

    Raises ``UsageError`` if it is neither.
    """
    return checkpoint_of_model(path, stage) if path.is_dir() else read_checkpoint(path)


def checkpoint_of_model(folder: Path = WEIGHTS, stage: str = "calcium") -> Checkpoint:
    """Read the torch weights of a model folder back from its ONNX file, to start fine-tuning from.

    ``write_onnx`` keeps every weight under its torch name, so the weights ship only once. Raises ``UsageError`` if
    the folder holds no model, or a model whose weights cannot be read back.
    """
    load_model(folder, threads=1)  # checks the digests
    card = read_card(folder)["stages"][stage]
    recipe = from_fields(Recipe, card["recipe"])
    weights = weights_of(onnx_bytes(folder, stage), recipe.network, folder / card["file"])
    return Checkpoint(
        recipe, card["data_sha256"], card["step"], weights, weights, {}, torch.get_rng_state(), -1.0,
        card["trained_with"],
    )  # fmt: skip


def weights_of(content: bytes, config: NetworkConfig, path: Path) -> dict[str, Tensor]:
    """Read the initialisers of an ONNX file by their torch names; counters of batches are not in it.

    Raises ``UsageError``, which names ``path``, if a tensor is missing or has another shape.
    """
    import onnx
    from onnx import numpy_helper

    stored = {tensor.name: tensor for tensor in onnx.load_from_string(content).graph.initializer}
    weights: dict[str, Tensor] = build(config).state_dict()
    for name, tensor in weights.items():
        if name.endswith("num_batches_tracked"):
            continue
        if f"network.{name}" not in stored:
            raise UsageError(f"{path} holds no {name}: not exported by this version of ctacal")
        array = numpy_helper.to_array(stored[f"network.{name}"])
        if array.shape != tuple(tensor.shape):
            raise UsageError(f"{path}: {name} has the shape {array.shape}, expected {tuple(tensor.shape)}")
        weights[name] = torch.from_numpy(array.copy())
    return weights


def write_onnx(network: nn.Module, config: NetworkConfig, path: Path) -> None:
    """Write one network for any number of slices, rows and columns; a plaque network for any number of islands."""
    model = for_scoring(network, config)
    _set_scan(model, True)
    names = ["probability", "mass_mg"][: 2 if getattr(network, "mass", None) is not None else 1]
    example, shapes = _plaque_example() if config.kind == "plaque" else _example(config)
    try:
        with _quiet_torch():
            program = torch.export.export(model, example, dynamic_shapes=shapes, strict=True)
            made = torch.onnx.export(
                program, example, dynamo=True, opset_version=OPSET, input_names=list(_names(config)[: len(example)]),
                output_names=names, verbose=False, optimize=False,
            )  # fmt: skip
    finally:
        _set_scan(model, False)
    assert made is not None
    _tidy(made.model)
    with whole_file(path) as temporary:
        made.save(temporary, external_data=False)
        forget_traces(temporary)


Example = tuple[tuple[Tensor, ...], tuple[dict[int, Any], ...]]
"""Inputs to trace a network with, and which of their sizes may differ in use."""


def _example(config: NetworkConfig) -> Example:
    n = torch.export.Dim("slices", min=2, max=MAX_SLICES)
    rows, columns = (torch.export.Dim(side, min=2, max=MAX_SIDE // config.multiple) for side in ("rows", "columns"))
    steps = (config.multiple, config.multiple // STRUCTURE_PIXELS)
    inputs = tuple(torch.zeros(5, *shape) for shape in _shapes(config, 4 * config.multiple, 3 * config.multiple))
    return inputs, tuple({0: n, 2: step * rows, 3: step * columns} for step, _ in zip(steps, inputs, strict=False))


def _plaque_example() -> Example:
    n = torch.export.Dim("islands", min=1, max=MAX_SLICES)
    return tuple(torch.zeros(5, *shape) for shape in PLAQUE_SHAPES), tuple({0: n} for _ in PLAQUE_SHAPES)


def _shapes(config: NetworkConfig, rows: int, columns: int) -> list[tuple[int, int, int]]:
    """Return (channels, rows, columns) of each input of the graph."""
    own = (own_channels_of(config), rows, columns)
    if not config.structures:
        return [own]
    return [own, (len(STRUCTURES), rows // STRUCTURE_PIXELS, columns // STRUCTURE_PIXELS)]


def forget_traces(path: Path) -> None:
    """Remove from the graph where each node was traced: it names the folders of who exported it."""
    import onnx

    model = onnx.load(path)
    for graph in _graphs(model.graph):
        for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
            del part.metadata_props[:]
            part.doc_string = ""
    del model.metadata_props[:]
    onnx.save(model, path)


def _graphs(graph: Any) -> Iterator[Any]:
    """Yield the graph and the graphs of its loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def _tidy(model: Any) -> None:
    """Fold constants, but no weights (batch normalisation, the transposed head): fine-tuning needs them as they were
    trained, and the runtime folds them when it loads."""
    from onnxscript import optimizer

    weights = set(model.graph.initializers)
    optimizer.fold_constants_ir(
        model,
        should_fold=lambda node: False if any(value and value.name in weights for value in node.inputs) else None,
    )
    optimizer.remove_unused_nodes(model)


@contextmanager
def _quiet_torch() -> Iterator[None]:
    """Silence torch's exporter, which warns of its own deprecations and of libraries that are not needed here."""
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
    """Switch export as a loop over the slices on or off; the published system's loops of three slices stay unrolled."""
    for module in model.modules():
        if isinstance(module, BothWays):
            module.to_head.as_scan = module.to_feet.as_scan = on
