"""``ctacal samples``: training samples and test studies, from the simulator or from a site's own studies."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import typer

from ctacal.cli.progress import progress_bar
from ctacal.cli.simulate import NEEDED
from ctacal.errors import UsageError
from ctacal.jobs.samples import (
    HELD_OUT,
    InsertedSet,
    KnownSet,
    PlaqueSet,
    SampleSet,
    SiteSet,
    checked_protocols,
    make,
    network_of,
    training_protocols,
)
from ctacal.nn.config import NetworkConfig, read_recipe

What = Literal["heart", "anatomy", "calcium", "plaques", "validation", "test", "inserted", "site"]

EACH = {"heart": 6, "anatomy": 3, "calcium": 14, "plaques": 8, "validation": 10, "test": 10}
"""Scans of each patient by default: another scan costs less than another patient (own choice)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line, as typed."""

    what: What
    out: Path
    count: int = 1
    each: int = 0
    seed: int = 0
    protocols: Sequence[str] = ()
    workers: int = 1
    recipe: Path | None = None
    model: Path | None = None
    table: Path | None = None
    scans: Sequence[Path] = ()
    allow_calcium: bool = False
    hard: bool = False
    rare: bool = False


def run(options: Options) -> int:
    """Make the samples that are missing; returns the exit status: 0 all made, 1 some failed."""
    if options.hard and options.what in ("inserted", "site"):
        raise UsageError(f"--hard holds for simulated patients, not for {options.what}")
    if options.model and options.what != "plaques":
        raise UsageError(f"--model holds for plaques, not for {options.what}")
    if options.rare and options.what != "plaques":
        raise UsageError(f"--rare holds for plaques, not for {options.what}")
    if options.what == "site":
        return int(make(_site(options), complain=_complain).failed > 0)
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UsageError(f"the simulator needs {', '.join(missing)}: pip install 'ctacal[simulate]'")
    _require(options.count > 0, "-n", options.count)
    _require(options.each >= 0, "--each", options.each)
    _require(options.workers > 0, "--workers", options.workers)
    _require(0 <= options.seed < 2**20, "--seed", options.seed)
    wanted = _inserted(options) if options.what == "inserted" else _simulated(options)
    with progress_bar(f"{options.what} samples") as progress:
        made = make(wanted, workers=options.workers, progress=progress, complain=_complain)
    typer.echo(f"{options.out}: {made.files} files" + (f"; {made.failed} patients failed" if made.failed else ""))
    return int(made.failed > 0)


def _complain(problem: str) -> None:
    typer.echo(problem, err=True)


def _simulated(options: Options) -> SampleSet | KnownSet | PlaqueSet:
    default = HELD_OUT if options.what == "test" else training_protocols()
    protocols = checked_protocols(options.protocols) or default
    each = options.each or EACH[options.what]
    if options.what == "plaques":
        return PlaqueSet(
            out=options.out, count=options.count, each=each, seed=options.seed, protocols=protocols,
            hard=options.hard, rare=options.rare, model=options.model,
        )  # fmt: skip
    if options.what in ("test", "validation"):
        return KnownSet(
            out=options.out, count=options.count, each=each, seed=options.seed, protocols=protocols,
            varied=options.what == "validation", hard=options.hard,
        )  # fmt: skip
    network = network_of(options.recipe, options.what)
    return SampleSet(
        out=options.out, network=network, count=options.count, each=each, seed=options.seed, protocols=protocols,
        hard=options.hard,
    )  # fmt: skip


def _inserted(options: Options) -> InsertedSet:
    if not options.scans:
        raise UsageError("--scan names a real calcium-free scan; several take turns")
    if missing := [str(scan) for scan in options.scans if not scan.exists()]:
        raise UsageError(f"--scan: there is no {missing[0]}")
    return InsertedSet(
        out=options.out, scans=tuple(options.scans), count=options.count, seed=options.seed,
        allow_calcium=options.allow_calcium,
    )  # fmt: skip


def _site(options: Options) -> SiteSet:
    if options.table is None:
        raise UsageError("--table names the site's studies (CSV: study, labels, split)")
    network = NetworkConfig() if options.recipe is None else read_recipe(options.recipe).network
    return SiteSet(out=options.out, table=options.table, network=network)


def _require(right: bool, option: str, got: object) -> None:
    if not right:
        raise UsageError(f"{option} is {got}, which is out of range")
