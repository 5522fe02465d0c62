"""``ctacal train``: a network by its recipe, with a progress bar; Ctrl-C leaves a run that can be resumed."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from math import isfinite
from pathlib import Path

import typer

from ctacal.errors import UsageError
from ctacal.nn.config import read_recipe

NEEDED = ("torch", "onnx", "onnxscript")

STOPPED = 130
"""Exit status of a command that was stopped: 128 + SIGINT."""

Report = Callable[[int, Mapping[str, float]], object]


def run(recipe: Path, out: Path | None) -> int:
    """Train; returns the exit status: 0 trained, 130 stopped."""
    require_training()
    plan = read_recipe(recipe)
    folder = out or Path("runs") / plan.name
    from ctacal.nn.train import Stopped, train

    try:
        with reporting(plan.name, plan.train.steps) as report:
            best = train(recipe, folder, report=report)
    except Stopped:
        typer.echo(f"stopped; the same command goes on from {folder / 'last.pt'}", err=True)
        return STOPPED
    if is_first_process():
        typer.echo(best)
    return 0


def require_training() -> None:
    """Raise ``UsageError`` where torch or what exports its networks is not installed."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UsageError(f"training needs {', '.join(missing)}: pip install 'ctacal[train]'")


def is_first_process() -> bool:
    """Of those that ``torchrun`` started; the one that tells."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def reporting(what: str, steps: int) -> Iterator[Report]:
    """What to call after each step: it shows how far training is, and is true once somebody asked it to stop."""
    with _asked_to_stop() as stopped, _shown(what, steps) as show:

        def report(step: int, figures: Mapping[str, float]) -> bool:
            show(step, figures)
            return bool(stopped)

        yield report


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """A list that a first Ctrl-C, or SIGTERM, puts something into; a second one ends the program at once."""
    asked: list[int] = []

    def give_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, _: object) -> None:
        asked.append(number)
        give_back()
        typer.echo("stopping after this step", err=True)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        give_back()


@contextmanager
def _shown(what: str, steps: int) -> Iterator[Report]:
    """A bar on a terminal; elsewhere a line at each validation."""
    if not is_first_process():
        yield lambda _step, _figures: None
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
            task = bar.add_task(what, total=steps, loss="", validation="")

            def show(step: int, figures: Mapping[str, float]) -> None:
                bar.update(task, completed=step)
                if "loss" in figures:
                    bar.tasks[task].fields["loss"] = f"{figures['loss']:.4f}"
                if "dice" in figures:
                    bar.tasks[task].fields["validation"] = validation_told(figures)

            yield show


def _print_validation(step: int, figures: Mapping[str, float]) -> None:
    if "dice" in figures:
        typer.echo(f"step {step}  loss {figures['loss']:.4f}  {validation_told(figures)}", err=True)


def validation_told(figures: Mapping[str, float]) -> str:
    """Kappa, and Dice, of the latest validation; a heart network has no kappa."""
    return "  ".join(f"{name} {figures[name]:.3f}" for name in ("kappa", "dice") if isfinite(figures[name]))
