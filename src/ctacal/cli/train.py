"""``ctacal train``: a network by its recipe, with a progress bar; Ctrl-C leaves a run that can be continued."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path

import typer

from ctacal.jobs.train import require_training, run_training, training_job

STOPPED = 130
"""Exit status of a command that was stopped: 128 + SIGINT."""

Report = Callable[[int, Mapping[str, float]], object]


def run(recipe: Path, out: Path | None) -> int:
    """Train; returns the exit status: 0 trained, 130 stopped."""
    require_training()
    job = training_job(recipe, out)
    from ctacal.nn.train import Stopped  # torch takes seconds

    try:
        with reporting(job.recipe.name, job.recipe.train.steps) as report:
            best = run_training(job, report=report)
    except Stopped:
        print_stopped(job.out)
        return STOPPED
    if is_first_process():
        typer.echo(best)
    return 0


def print_stopped(out: Path) -> None:
    """Print, to standard error, how to continue a run that was stopped."""
    typer.echo(f"stopped; the same command resumes from {out / 'last.pt'}", err=True)


def is_first_process() -> bool:
    """Whether this is the first of the processes that ``torchrun`` started: the only one that prints."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def reporting(title: str, steps: int) -> Iterator[Report]:
    """Yield a function to call after each step: it shows progress, and returns true once the user stopped training."""
    with _stop_signals() as received, _shown(title, steps) as show:

        def report(step: int, metrics: Mapping[str, float]) -> bool:
            show(step, metrics)
            return bool(received)

        yield report


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Yield a list that receives the first Ctrl-C or SIGTERM; a second one ends the program at once."""
    received: list[int] = []

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def receive(number: int, _: object) -> None:
        received.append(number)
        restore()
        typer.echo("stopping after this step", err=True)

    before = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        restore()


@contextmanager
def _shown(title: str, steps: int) -> Iterator[Report]:
    """Yield what shows a step: a bar on a terminal; elsewhere a line at each validation."""
    if not is_first_process():
        yield lambda _step, _metrics: None
    elif not sys.stderr.isatty():
        yield _print_validation
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("loss {task.fields[loss]}  {task.fields[validation]}"),
        )  # fmt: skip
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=steps, loss="", validation="")

            def show(step: int, metrics: Mapping[str, float]) -> None:
                bar.update(task, completed=step)
                if "loss" in metrics:
                    bar.tasks[task].fields["loss"] = f"{metrics['loss']:.4f}"
                if "dice" in metrics:
                    bar.tasks[task].fields["validation"] = validation_text(metrics)

            yield show


def _print_validation(step: int, metrics: Mapping[str, float]) -> None:
    if "dice" in metrics:
        typer.echo(f"step {step}  loss {metrics['loss']:.4f}  {validation_text(metrics)}", err=True)


def validation_text(metrics: Mapping[str, float]) -> str:
    """Return kappa and Dice of a validation in words; a heart network has no kappa."""
    return "  ".join(f"{name} {metrics[name]:.3f}" for name in ("kappa", "dice") if isfinite(metrics[name]))
