"""``ctacal samples``: what networks are trained on, and test studies, from the simulator or a site's own studies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import typer

from ctacal.cli.progress import progress
from ctacal.cli.simulate import NEEDED
from ctacal.errors import UsageError
from ctacal.nn.config import NetworkConfig, read_recipe

What = Literal["heart", "calcium", "validation", "test", "inserted", "site"]

EACH = {"heart": 6, "calcium": 14, "validation": 10, "test": 10}
"""Scans of a patient: a new one costs less than a new patient (own choice)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for, as typed."""

    what: What
    out: Path
    count: int = 1
    each: int = 0
    seed: int = 0
    protocols: Sequence[str] = ()
    workers: int = 1
    recipe: Path | None = None
    table: Path | None = None
    scans: Sequence[Path] = ()
    allow_calcium: bool = False


def run(options: Options) -> int:
    """Make the samples that are not there yet; returns the exit status: 0 all made, 1 some failed."""
    if options.what == "site":
        return _site(options)
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UsageError(f"the simulator needs {', '.join(missing)}: pip install 'ctacal[simulate]'")
    _require(options.count > 0, "-n", options.count)
    _require(options.each >= 0, "--each", options.each)
    _require(options.workers > 0, "--workers", options.workers)
    _require(0 <= options.seed < 2**20, "--seed", options.seed)
    wanted = _inserted(options) if options.what == "inserted" else _simulated(options)
    options.out.mkdir(parents=True, exist_ok=True)
    return _told(wanted, options)


def _told(results: Iterator[str], options: Options) -> int:
    failed = 0
    with progress(f"{options.what} samples", options.count) as advance:
        for number, problem in enumerate(results):
            if problem:
                failed += 1
                typer.echo(f"patient {number}: {problem}", err=True)
            advance()
    made = sum(1 for _ in options.out.glob("[!.]*.npz"))
    typer.echo(f"{options.out}: {made} files" + (f"; {failed} patients failed" if failed else ""))
    return int(failed > 0)


def _simulated(options: Options) -> Iterator[str]:
    from ctacal.jobs.simulated_samples import HELD_OUT, KnownSet, SampleSet, make_samples, make_test_studies
    from ctacal.simulate.scanner.protocol import protocol_names
    from ctacal.simulate.training.description import PHANTOM_PROTOCOLS

    for_training = tuple(name for name in protocol_names() if name not in (*HELD_OUT, *PHANTOM_PROTOCOLS))
    protocols = _known(options.protocols) or (HELD_OUT if options.what == "test" else for_training)
    each = options.each or EACH[options.what]
    if options.what in ("test", "validation"):
        studies = KnownSet(
            out=options.out, count=options.count, each=each, seed=options.seed, protocols=protocols,
            varied=options.what == "validation",
        )  # fmt: skip
        return make_test_studies(studies, workers=options.workers)
    samples = SampleSet(
        out=options.out,
        network=_network(options),
        count=options.count,
        each=each,
        seed=options.seed,
        protocols=protocols,
    )
    return make_samples(samples, workers=options.workers)


def _inserted(options: Options) -> Iterator[str]:
    from ctacal.jobs.simulated_samples import InsertedSet, make_inserted_studies

    if not options.scans:
        raise UsageError("--scan names a real calcium-free scan; several take turns")
    if missing := [str(scan) for scan in options.scans if not scan.exists()]:
        raise UsageError(f"--scan: there is no {missing[0]}")
    wanted = InsertedSet(
        out=options.out, scans=tuple(options.scans), count=options.count, seed=options.seed,
        allow_calcium=options.allow_calcium,
    )  # fmt: skip
    return make_inserted_studies(wanted, workers=options.workers)


def _network(options: Options) -> NetworkConfig:
    """Whose pixels the samples have."""
    if options.recipe is None:
        return NetworkConfig.heart() if options.what == "heart" else NetworkConfig()
    network = read_recipe(options.recipe).network
    if (network.kind == "heart") != (options.what == "heart"):
        raise UsageError(f"{options.recipe} is no recipe for {options.what} samples")
    return network


def _known(protocols: Sequence[str]) -> tuple[str, ...]:
    from ctacal.simulate.scanner.protocol import load_protocol

    for name in protocols:
        load_protocol(name)  # now, not in a worker: it says what is wrong with it
    return tuple(protocols)


def _site(options: Options) -> int:
    """A site's own annotated studies, by a table."""
    from ctacal.nn.annotated import cache_annotated
    from ctacal.nn.heart_stage import locate_heart
    from ctacal.nn.predict import load_model

    if options.table is None:
        raise UsageError("--table names the site's studies (CSV: study, labels, split)")
    model = load_model()
    network = NetworkConfig() if options.recipe is None else read_recipe(options.recipe).network
    problems = cache_annotated(
        options.table, options.out, network, locate_heart=lambda scan: locate_heart(scan, model.heart)
    )
    for problem in problems:
        typer.echo(problem, err=True)
    return int(bool(problems))


def _require(right: bool, option: str, got: object) -> None:
    if not right:
        raise UsageError(f"{option} is {got}, which is out of range")
