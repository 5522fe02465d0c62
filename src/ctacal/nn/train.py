"""The training loop, in one process or in several by ``torchrun``; an interrupted run resumes exactly."""

import csv
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, Subset

from ctacal.anatomy import Anatomy
from ctacal.atomic import sweep, write_text
from ctacal.errors import UsageError
from ctacal.nn.batches import Batch, TrainingSteps
from ctacal.nn.checkpoint import Checkpoint, read_checkpoint
from ctacal.nn.config import Recipe, TrainConfig, read_recipe
from ctacal.nn.export import trained
from ctacal.nn.losses import Loss
from ctacal.nn.networks import build
from ctacal.nn.plaque_batches import PlaqueBatch, PlaqueSteps
from ctacal.nn.plaque_loss import PlaqueLoss, PlaqueValidation, validate_plaques
from ctacal.nn.plaque_samples import Plaques, read_plaques
from ctacal.nn.samples import SampleFolder, Samples, digest_of, require_pixels
from ctacal.nn.validate import Validation, validate

COLUMNS = (
    "step", "learning_rate", "loss", "focal", "top", "overlap", "vessel", "mass", "heart",
    "kind", "coronary", "plaque", "kappa", "exact", "sensitivity", "specificity", "dice", "anatomy",
    *(f"dice_{structure.name.lower()}" for structure in Anatomy),
)  # fmt: skip
"""Columns of log.csv; a network leaves empty what does not apply to it."""

Metrics = Mapping[str, float]
"""Values of the log by column."""

Report = Callable[[int, Metrics], object]
"""Called after every step with the number of steps done and new metrics, if any. If it returns true, training stops."""

LEAST_FACTS_SD = 0.01
"""Added to the SD of each fact: some hardly differ between samples."""

NEW_LAYERS = {"trunk.structures.weight", "trunk.structures.bias"}
"""What a network of an earlier version may lack: a new layer starts without effect."""

VALIDATION_LIMIT = timedelta(hours=2)
"""How long the other processes wait for the process that validates (own choice)."""


class Stopped(Exception):
    """``Report`` stopped the training; ``last.pt`` holds the step it stopped at."""


def train(recipe_path: Path, out: Path, *, report: Report = lambda _step, _metrics: None) -> Path:
    """Train by a recipe file into ``out``; returns the best checkpoint. An interrupted run continues where it was.

    Raises ``UsageError`` if the recipe or its data are wrong, ``Stopped`` if ``report`` returns true.
    """
    recipe = read_recipe(recipe_path)
    data = recipe.data
    training, validation, guard = (
        samples_in([recipe_path.parent / folder for folder in folders], recipe)
        for folders in (data.training, data.validation, data.guard)
    )
    initial = recipe_path.parent / recipe.train.initial if recipe.train.initial else None
    best = fit(recipe, training, validation, out, initial=initial, report=report)
    if initial and isinstance(guard, SampleFolder) and len(guard) and int(os.environ.get("RANK", "0")) == 0:
        write_guard(initial, best, guard, out)
    return best


def samples_in(folders: Sequence[Path], recipe: Recipe) -> Samples | Plaques:
    """Return the samples of some folders, as the recipe's network takes them. Raises ``UsageError`` if it cannot."""
    return read_plaques(folders) if recipe.network.kind == "plaque" and folders else SampleFolder(folders)


def write_guard(before: Path, after: Path, guard: Samples, out: Path) -> tuple[Validation, Validation]:
    """Validate two checkpoints on the guard set, and write both results to ``guard.json``: what fine-tuning forgets."""
    first, last = (
        validate(checkpoint.network(), guard, checkpoint.recipe.network)
        for checkpoint in (read_checkpoint(before), read_checkpoint(after))
    )
    write_text(out / "guard.json", json.dumps({"before": first.to_row(), "after": last.to_row()}, indent=2) + "\n")
    return first, last


def fit(
    recipe: Recipe,
    training: Samples | Plaques,
    validation: Samples | Plaques,
    out: Path,
    *,
    initial: Path | None = None,
    report: Report = lambda _step, _metrics: None,
) -> Path:
    """Train on any samples; writes ``last.pt``, ``best.pt`` and ``log.csv`` to ``out``, and returns ``best.pt``.

    ``initial``: the checkpoint with whose averaged weights training starts; it is validated first, as the best so far.
    Raises ``UsageError`` if ``out`` holds a run of another recipe or other data, or the samples have other pixels;
    ``Stopped`` if ``report`` returns true.
    """
    if not len(training) or not len(validation):
        raise UsageError("the recipe names no training or no validation samples ([data])")
    for samples in (training, validation):
        if not isinstance(samples, Plaques):
            require_pixels(samples, recipe.network)
    sweep(out, depth=0)
    with processes() as (rank, device):
        digest = training.digest if isinstance(training, Plaques) else digest_of(training)
        run = Run.begun(recipe, digest, out, device, initial)
        if isinstance(training, Plaques) and run.step == 0 and not initial:
            run.set_facts_scale(training)
        log = _Log(out / "log.csv", run.step) if rank == 0 else None
        if run.step == 0 and initial and log:
            log.write({"step": 0, **_validated(run, validation, out)})
        for batch in _batches(training, recipe, run.step, rank):
            metrics = run.take_step(batch.to(device))
            logged = _keep(run, metrics, validation, out, log) if log else {}
            if report(run.step, logged):
                if log:
                    run.checkpoint().write(out / "last.pt")
                raise Stopped
    return out / "best.pt"


@contextmanager
def processes() -> Iterator[tuple[int, torch.device]]:
    """Yield (rank, device) of this process; joins the others if ``torchrun`` started several."""
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if gpu else torch.device("cpu")
    if alone:
        yield 0, device
        return
    torch.distributed.init_process_group("nccl" if gpu else "gloo", timeout=VALIDATION_LIMIT)
    try:
        yield torch.distributed.get_rank(), device
    finally:
        torch.distributed.destroy_process_group()


def learning_rate(step: int, config: TrainConfig) -> float:
    """Return the learning rate: linear warm-up, then half a cosine to 1 % of the highest (Loshchilov 2017)."""
    if step < config.warm_up_steps:
        return config.learning_rate * (step + 1) / config.warm_up_steps
    done = (step - config.warm_up_steps) / max(1, config.steps - config.warm_up_steps)
    cosine = 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * done, dtype=torch.float64))))
    return config.learning_rate * (0.01 + 0.99 * cosine)


def _batches(training: Samples | Plaques, recipe: Recipe, step: int, rank: int) -> Iterator[Batch | PlaqueBatch]:
    """Return the batches after ``step`` steps, in order."""
    steps: Dataset[Any]
    if isinstance(training, Plaques):
        steps = PlaqueSteps(training, recipe, rank)
    else:
        steps = TrainingSteps(training, recipe, rank)
    rest = Subset(steps, range(step, recipe.train.steps))
    loader = DataLoader(
        rest,
        batch_size=None,
        num_workers=recipe.train.loaders,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_leave_stopping_to_the_main_process,
        generator=torch.Generator(),  # not the one of dropout: a resumed run starts another loader
    )
    return iter(loader)


def _leave_stopping_to_the_main_process(_: int) -> None:
    """Ignore Ctrl-C, which reaches every process, and restore SIGTERM, which the main process handles."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _keep(run: "Run", metrics: Metrics, validation: Samples | Plaques, out: Path, log: "_Log") -> dict[str, float]:
    """After a step, log, validate and write checkpoints when due; returns what was logged."""
    config, step = run.recipe.train, run.step
    ends = step == config.steps
    validates = step % config.validate_every == 0 or ends
    logged: dict[str, float] = {}
    if step % config.log_every == 0 or validates:
        logged = {"learning_rate": learning_rate(step - 1, config), **metrics}
    if validates:
        logged |= _validated(run, validation, out)
    if logged:
        log.write({"step": step, **logged})
    if step % config.checkpoint_every == 0 or ends:
        run.checkpoint().write(out / "last.pt")
    return logged


def _validated(run: "Run", validation: Samples | Plaques, out: Path) -> dict[str, float]:
    """Validate, and write the checkpoint if it is the best so far; returns the metrics."""
    result: Validation | PlaqueValidation
    if isinstance(validation, Plaques):
        result = validate_plaques(run.averaged, validation)
    else:
        result = validate(run.averaged, validation, run.recipe.network)
    if result.quality >= run.best:
        run.best = result.quality
        run.checkpoint().write(out / "best.pt")
    return result.to_row()


@dataclass(eq=False, slots=True)
class Run:
    """The state of a training run: the only mutable object here."""

    recipe: Recipe
    data_digest: str
    device: torch.device
    network: nn.Module
    averaged: nn.Module
    trained: nn.Module
    """``network``, or its distributed wrapper."""
    optimiser: torch.optim.Optimizer
    loss: Callable[[Any, Any], tuple[torch.Tensor, dict[str, float]]]
    step: int = 0
    best: float = -1.0

    @classmethod
    def begun(
        cls,
        recipe: Recipe,
        data_digest: str,
        out: Path,
        device: torch.device = torch.device("cpu"),  # noqa: B008, it is a constant
        initial: Path | None = None,
    ) -> "Run":
        """Continue the run in ``out``, if any; otherwise start from ``initial``, or from random weights."""
        torch.manual_seed(recipe.train.seed)
        network, averaged = build(recipe.network).to(device), build(recipe.network).to(device)
        if initial:
            network.load_state_dict(_initial_weights(initial, recipe))
        averaged.load_state_dict(network.state_dict())
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch 2.13
        shared = torch.distributed.is_available() and torch.distributed.is_initialized()
        config = recipe.train
        optimiser = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)
        run = cls(
            recipe, data_digest, device, network, averaged,
            DistributedDataParallel(network) if shared else network,
            optimiser, PlaqueLoss() if recipe.network.kind == "plaque" else Loss(recipe.loss, recipe.network),
        )  # fmt: skip
        if (out / "last.pt").exists():
            run._resume(read_checkpoint(out / "last.pt"), out)
        return run

    def _resume(self, checkpoint: Checkpoint, out: Path) -> None:
        if checkpoint.recipe != self.recipe or checkpoint.data_digest != self.data_digest:
            what = "data" if checkpoint.recipe == self.recipe else "recipe"
            raise UsageError(f"{out} holds a run of another {what}; give another folder, or remove it")
        self.network.load_state_dict(checkpoint.weights)
        self.averaged.load_state_dict(checkpoint.averaged)
        self.optimiser.load_state_dict(checkpoint.optimiser)
        torch.set_rng_state(checkpoint.random_state)
        self.step, self.best = checkpoint.step, checkpoint.best

    @torch.no_grad()
    def set_facts_scale(self, plaques: Plaques) -> None:
        """Let the network know mean and SD of the facts of its training samples."""
        for network in (self.network, self.averaged):
            network.get_buffer("facts_mean").copy_(torch.from_numpy(plaques.facts.mean(axis=0)))
            network.get_buffer("facts_sd").copy_(torch.from_numpy(plaques.facts.std(axis=0) + LEAST_FACTS_SD))

    def take_step(self, batch: Batch | PlaqueBatch) -> dict[str, float]:
        """Take one step of the optimiser; returns the loss and its parts."""
        config = self.recipe.train
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, config)
        self.trained.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.bf16):
            output = self._output(batch)
        loss, parts = self.loss(output, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        self.optimiser.step()
        self._average()
        self.step += 1
        return {"loss": float(loss.detach()), **parts}

    def _output(self, batch: Batch | PlaqueBatch) -> Any:
        """Return logits for islands, an ``Output`` for slices."""
        if isinstance(batch, PlaqueBatch):
            return self.trained(*batch.inputs)
        return self.trained(batch.x.to(memory_format=torch.channels_last), self.recipe.train.sequences)

    @torch.no_grad()
    def _average(self) -> None:
        """Update the averaged weights; the average follows faster at first, when there is little to average."""
        decay = min(self.recipe.train.ema, (1 + self.step) / (10 + self.step))
        for mean, now in zip(self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(now, 1 - decay)
            else:
                mean.copy_(now)

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint from which the run can continue."""
        return Checkpoint(
            self.recipe, self.data_digest, self.step, self.network.state_dict(), self.averaged.state_dict(),
            self.optimiser.state_dict(), torch.get_rng_state(), self.best,
        )  # fmt: skip


def _initial_weights(path: Path, recipe: Recipe) -> dict[str, torch.Tensor]:
    start = trained(path, recipe.network.stage)
    weights: dict[str, torch.Tensor] = build(recipe.network).state_dict()
    shared = {name: start.averaged[name] for name, new in weights.items()
              if name in start.averaged and start.averaged[name].shape == new.shape}  # fmt: skip
    lacking = {name for name in weights if name.startswith("trunk.")} - shared.keys() - NEW_LAYERS
    if lacking or start.recipe.network.kind == "published" != recipe.network.kind:
        raise UsageError(f"{path} holds another network than the recipe's [network]")
    return weights | shared


class _Log:
    """log.csv; rows after the step at which training resumes are removed."""

    def __init__(self, path: Path, step: int) -> None:
        lines = [",".join(COLUMNS)]
        if step and path.exists():
            stored = path.read_text(encoding="utf-8").splitlines()[1:]
            lines += [
                line + "," * (len(COLUMNS) - 1 - line.count(",")) for line in stored if int(line.split(",")[0]) <= step
            ]
        write_text(path, "\n".join(lines) + "\n")
        self.path = path

    def write(self, row: Metrics) -> None:
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS).writerow({name: _short(value) for name, value in row.items()})


def _short(value: float) -> str:
    return f"{value:.6g}"
