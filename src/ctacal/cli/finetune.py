"""``ctacal finetune``: continue training on a site's own studies, checked on a guard set against forgetting."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ctacal.cli.export import print_model
from ctacal.cli.train import STOPPED, print_stopped, reporting, validation_text
from ctacal.errors import UsageError
from ctacal.jobs.train import require_training

if TYPE_CHECKING:  # torch takes seconds
    from ctacal.jobs.finetune import FinetuneResult
    from ctacal.nn.finetune import Outcome
    from ctacal.nn.validate import Validation


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line, as typed."""

    model: Path | None
    guard: Sequence[Path]
    no_guard: bool
    steps: int
    learning_rate: float
    allowed_fall: float
    force: bool


def run(sources: Sequence[Path], out: Path, options: Options) -> int:
    """Fine-tune and print the verdict; returns the exit status: 0 a model is written, 1 none, 130 stopped."""
    require_training()
    if bool(options.guard) == options.no_guard:
        raise UsageError("give --guard FOLDER, simulated samples that were never trained on, or --no-guard")
    from ctacal.jobs.finetune import FinetuneJob, run_finetuning
    from ctacal.nn.finetune import Plan
    from ctacal.nn.predict import WEIGHTS
    from ctacal.nn.train import Stopped

    plan = Plan(
        model=options.model or WEIGHTS, sources=sources, guard=options.guard, steps=options.steps,
        learning_rate=options.learning_rate, allowed_fall=options.allowed_fall,
    )  # fmt: skip
    job = FinetuneJob(plan=plan, out=out, force=options.force)
    try:
        with reporting("fine-tuning", plan.steps) as report:
            result = run_finetuning(job, report=report, complain=lambda problem: typer.echo(problem, err=True))
    except Stopped:
        print_stopped(out)
        return STOPPED
    _print_outcome(result.outcome)
    typer.echo(verdict_text(result))
    if result.model is None:
        return 1
    print_model(result.model)
    return 0


def _print_outcome(outcome: "Outcome") -> None:
    _print_pair("the site's validation studies", outcome.site)
    if outcome.guard:
        _print_pair("the guard set, simulated", outcome.guard)


def _print_pair(what: str, pair: "tuple[Validation, Validation]") -> None:
    before, after = (validation_text(validation.to_row()) for validation in pair)
    typer.echo(f"{what}: {before} before, {after} after")


def verdict_text(result: "FinetuneResult") -> str:
    """Return the verdict in words, with what to do about a refusal."""
    from ctacal.jobs.finetune import Verdict

    outcome = result.outcome
    if result.verdict is Verdict.NOTHING_GAINED:
        return "REFUSED: nothing was gained on the site's validation studies; no model is written"
    if result.verdict is Verdict.KEPT:
        fall = f"kappa on the guard set fell by {max(0.0, outcome.fall):.3f}" if outcome.guard else "no guard set"
        return f"KEPT: {fall}"
    fall = f"kappa on the guard set fell by {outcome.fall:.3f}, more than {outcome.allowed_fall:g}"
    if result.verdict is Verdict.FORCED:
        return f"FORCED: {fall}"
    return (
        f"REFUSED: {fall}; no model is written. Train less (--steps, --learning-rate), or mix simulated samples in;"
        " --force writes it all the same"
    )
