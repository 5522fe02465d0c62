"""``ctacal finetune``: the networks go on with a site's own studies, guarded against forgetting."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ctacal.cli.export import tell
from ctacal.cli.train import STOPPED, reporting, require_training, validation_told
from ctacal.errors import UsageError

if TYPE_CHECKING:  # torch takes seconds
    from ctacal.nn.finetune import Outcome
    from ctacal.nn.validate import Validation


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for, as typed."""

    model: Path | None
    guard: Sequence[Path]
    no_guard: bool
    steps: int
    learning_rate: float
    allowed_fall: float
    force: bool


def run(sources: Sequence[Path], out: Path, options: Options) -> int:
    """Fine-tune and judge; returns the exit status: 0 a model is written, 1 none, 130 stopped."""
    require_training()
    if bool(options.guard) == options.no_guard:
        raise UsageError("give --guard FOLDER, simulated samples that were never trained on, or --no-guard")
    from ctacal.nn.finetune import Plan, finetune, write_tuned_model
    from ctacal.nn.predict import WEIGHTS
    from ctacal.nn.train import Stopped

    plan = Plan(
        model=options.model or WEIGHTS, sources=sources, guard=options.guard, steps=options.steps,
        learning_rate=options.learning_rate, allowed_fall=options.allowed_fall,
    )  # fmt: skip
    try:
        with reporting("fine-tuning", plan.steps) as report:
            outcome = finetune(plan, out, report=report, complain=lambda problem: typer.echo(problem, err=True))
    except Stopped:
        typer.echo(f"stopped; the same command goes on from {out / 'last.pt'}", err=True)
        return STOPPED
    shutil.rmtree(out / "model", ignore_errors=True)  # of an earlier run
    if not _judged(outcome, force=options.force):
        return 1
    tell(write_tuned_model(outcome, plan.model, out / "model", name="fine-tuned"))
    return 0


def _judged(outcome: "Outcome", *, force: bool) -> bool:
    """Print before, after and the verdict; returns whether the model may be written."""
    _tell("the site's validation studies", outcome.site)
    if outcome.guard:
        _tell("the guard, simulated", outcome.guard)
    if not outcome.gained:
        typer.echo("REFUSED: nothing was gained on the site's validation studies; no model is written")
        return False
    if outcome.forgot:
        told = f"kappa on the guard fell by {outcome.fall:.3f}, more than {outcome.allowed_fall:g}"
        typer.echo(
            f"FORCED: {told}"
            if force
            else f"REFUSED: {told}; no model is written. Train less (--steps,"
            " --learning-rate), or mix simulated samples in; --force writes it all the same"
        )
        return force
    typer.echo("KEPT: " + (f"kappa on the guard fell by {max(0.0, outcome.fall):.3f}" if outcome.guard else "no guard"))
    return True


def _tell(what: str, pair: "tuple[Validation, Validation]") -> None:
    before, after = (validation_told(one.to_row()) for one in pair)
    typer.echo(f"{what}: {before} before, {after} after")
