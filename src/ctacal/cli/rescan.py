"""``ctacal rescan``: simulated patients scanned again and again, and the limits of repeatability that follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import typer

from ctacal.cli.progress import progress_bar
from ctacal.cli.simulate import NEEDED
from ctacal.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line, as typed."""

    out: Path
    patients: int = 1
    each: int = 3
    seed: int = 0
    protocols: Sequence[str] = ()
    model: Path | None = None
    workers: int = 1
    limits: Path | None = None


def run(options: Options) -> int:
    """Make the scans that are missing, and limits if wanted; returns the exit status: 0 all made, 1 some failed."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UsageError(f"the simulator needs {', '.join(missing)}: pip install 'ctacal[simulate]'")
    _require(options)
    from ctacal.jobs.rescans import RescanSet, make_rescans

    given = {"protocols": tuple(options.protocols)} if options.protocols else {}
    wanted = RescanSet(
        out=options.out, patients=options.patients, seed=options.seed, each=options.each, model=options.model, **given
    )
    with progress_bar("patients") as progress:
        problems = make_rescans(wanted, workers=options.workers, progress=progress)
    for problem in problems:
        typer.echo(problem, err=True)
    if options.limits:
        _write_limits(options.out, options.limits)
    return int(bool(problems))


def _write_limits(out: Path, folder: Path) -> None:
    from ctacal.jobs.rescan_limits import limits_by_centre, read_scans, write_simulated

    for limits in limits_by_centre(read_scans(out)):
        path = write_simulated(limits, folder)
        typer.echo(f"{path}: {limits.pairs} pairs of {limits.patients} patients")


def _require(options: Options) -> None:
    """Raise ``UsageError`` for a value out of range."""
    for option, value, least, most in (
        ("-n", options.patients, 1, 10**6),
        ("--each", options.each, 2, 9),
        ("--seed", options.seed, 0, 2**20),
        ("--workers", options.workers, 1, 10**3),
    ):
        if not least <= value <= most:
            raise UsageError(f"{option} is {value}, expected {least} to {most}")
