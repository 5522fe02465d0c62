"""``ctacal batch``: turns options into a plan or a run, and prints where a run stands."""

import json
import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import typer

from ctacal.cli.batch_progress import duration, row_progress
from ctacal.cli.progress import progress_bar
from ctacal.errors import UsageError, system_message
from ctacal.jobs.batch import run as running
from ctacal.jobs.batch.collect import collect
from ctacal.jobs.batch.finding import Sources
from ctacal.jobs.batch.places import FolderPlace, Place, open_place
from ctacal.jobs.batch.plan import make_plan
from ctacal.jobs.batch.scripts import job_manifest, sbatch_script
from ctacal.jobs.batch.settings import Settings
from ctacal.jobs.batch.share import share_from
from ctacal.jobs.batch.status import Status, status_of
from ctacal.jobs.finders import Runtime
from ctacal.names import printable
from ctacal.result import NOTICE

HANDED_BACK = 75
"""Exit status of a runner that was asked to stop: EX_TEMPFAIL of sysexits(3), try again."""


OnPool = Callable[[Callable[[], None]], object]
STOPPING = (signal.SIGTERM, signal.SIGINT)
"""Signals that make a runner hand back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """The options of ``plan``, as typed."""

    paths: Sequence[str]
    lists: Sequence[Path]
    idc: Sequence[Path]
    depth: int | None
    sizes: bool
    shards: int | None
    predictor: str | None
    model: Path | None
    runtime: Runtime | None
    rule: str
    mass_calibration: float | None
    series: str
    fill_gaps: bool
    untilt: bool
    allow_contrast: bool
    write: str
    phi: bool
    pseudonymise: Path | None

    @property
    def sources(self) -> Sources:
        """What is scored."""
        return Sources(
            paths=tuple(self.paths),
            lists=tuple(self.lists),
            idc=tuple(self.idc),
            depth=self.depth,
            count_bytes=self.sizes,
        )

    @property
    def settings(self) -> Settings:
        """How it is scored."""
        return Settings(**{name: getattr(self, name) for name in Settings.__dataclass_fields__})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of ``run``, as typed."""

    shard: str
    processes: int | None
    memory_mb: int
    time_s: float
    retry_failed: bool
    engine: Literal["local", "ray"]
    ray_address: str | None
    print_sbatch: int | None
    print_job: int | None


def run_plan(out: str, options: PlanOptions) -> int:
    """Plan a run and say what it holds."""
    place = open_place(out)
    plan = make_plan(options.sources, options.settings, place, options.shards)
    size = "" if plan.size_bytes is None else f", {plan.size_bytes / 1e9:.1f} GB"
    typer.echo(f"run {plan.name}: {plan.total:,} rows{size} in {len(plan.rows)} shards, in {place.text}")
    if plan.total == 1:
        typer.echo("a single row is scored by a single process; --depth splits a folder", err=True)
    return 0


def run_run(run: str, options: RunOptions) -> int:
    """Score; returns the exit status: 0 each row has an outcome, 1 a disk or network failed, 75 handed back."""
    try:
        return _run(open_place(run), options)
    except OSError as problem:  # 2 would tell a scheduler that the command is wrong, and another try useless
        where = f"{printable(problem.filename)}: " if problem.filename else ""
        typer.echo(f"ctacal: {where}{system_message(problem)}; run it again", err=True)
        return 1


def _run(place: Place, options: RunOptions) -> int:
    if options.print_sbatch or options.print_job:
        _print_scripts(place.text, options)
        return 0
    how = running.RunOptions(
        share=share_from(options.shard),
        processes=options.processes,
        memory_mb=options.memory_mb,
        time_s=options.time_s,
        retry_failed=options.retry_failed,
    )
    with _Stopper() as stopper:
        on_pool = stopper.on_pool
        is_ray = options.engine == "ray"
        done = _on_ray(place, how, options.ray_address, on_pool) if is_ray else _here(place, how, on_pool)
    _summarise(done, place.text)
    if done.handed_back:
        return HANDED_BACK
    return 1 if done.postponed else 0


def _here(place: Place, how: running.RunOptions, on_pool: OnPool) -> running.BatchRun:
    with row_progress() as on_row:
        return running.run_batch(place, how, running.Watch(on_row=on_row, on_pool=on_pool))


def _on_ray(place: Place, how: running.RunOptions, address: str | None, on_pool: OnPool) -> running.BatchRun:
    from ctacal.batch.ray_engine import run_on_ray

    with progress_bar("scoring") as shown:
        return run_on_ray(place, how, address=address, on_pool=on_pool, progress=shown)


def _print_scripts(run: str, options: RunOptions) -> None:
    if options.print_sbatch:
        typer.echo(sbatch_script(run, options.print_sbatch, memory_mb=options.memory_mb, time_s=options.time_s))
    if options.print_job:
        typer.echo(job_manifest(run, options.print_job, memory_mb=options.memory_mb, time_s=options.time_s))


class _Stopper:
    """SIGTERM and Ctrl-C hand back what is in hand, also while a model is still being loaded; a second Ctrl-C ends."""

    def __init__(self) -> None:
        self._stop: Callable[[], None] | None = None
        self._is_asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._ask) for number in STOPPING}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_pool(self, stop: Callable[[], None]) -> None:
        """Take the function that stops the run."""
        self._stop = stop
        if self._is_asked:
            stop()
            return
        for number in STOPPING:
            signal.signal(number, self._ask)  # again: Ray has a handler of its own, which ends the program

    def _ask(self, _number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._is_asked = True
        if self._stop:
            self._stop()


def _summarise(done: running.BatchRun, run: str) -> None:
    typer.echo(f"{done.done:,} of {done.total:,} rows done, {done.failed:,} of them gave nothing", err=True)
    if done.handed_back:
        typer.echo("stopped as asked; the same command goes on from here", err=True)
    if done.postponed:
        typer.echo(f"{done.postponed:,} rows are left, because a disk or network failed; run it again", err=True)
    typer.echo(f"tables: ctacal batch collect {run}", err=True)
    typer.echo(NOTICE, err=True)


def run_status(run: str, price: float | None, *, as_json: bool) -> int:
    """Print how a run stands; returns 0."""
    status = status_of(open_place(run), price)
    typer.echo(json.dumps(asdict(status)) if as_json else _in_words(status))
    return 0


def _in_words(status: Status) -> str:
    lines = [
        f"run {status.run}: {status.done:,} of {status.total:,} rows done ({status.done / max(status.total, 1):.1%})",
        f"studies: {status.scored:,} scored, {status.refused:,} refused; rows without a result: {status.failed:,}",
        *(f"  {count:9,}  {reason}" for reason, count in status.reasons),
        f"runners: {status.runners_alive} alive on {status.cores_alive} cores, {status.runners_lost} lost",
    ]
    if status.rows_per_minute:
        left = "" if status.left_s is None else f", {duration(status.left_s)} left"
        lines.append(f"rate: {status.rows_per_minute:,.1f} rows a minute{left}")
    if status.core_seconds_per_1000:
        cost = "" if status.cost_per_1000 is None else f", {status.cost_per_1000:.2f} at that price"
        lines.append(f"1,000 studies: {status.core_seconds_per_1000 / 3600:.2f} core hours{cost}")
    if status.read_bytes:
        planned = "" if status.read_share is None else f", {status.read_share:.0%} of what these sources hold"
        lines.append(
            f"read: {status.read_bytes / 1e9:,.2f} GB from {status.files:,} files{planned};"
            f" {status.requests:,} requests to stores"
        )
    return "\n".join(lines)


def run_collect(run: str, out: Path | None) -> int:
    """Write the tables; returns 1 if rows gave nothing or are left."""
    place = open_place(run)
    if out is None:
        if not isinstance(place, FolderPlace):
            raise UsageError(f"{place.text} is no folder; say where the tables go (-o)")
        out = place.folder
    done = collect(place, out)
    typer.echo(
        f"studies: {done.studies:,}; rows: {done.rows:,}, without a result {done.failed:,}, still to do {done.left:,}; "
        f"tables in {out}"
    )
    if done.in_several_rows:
        typer.echo(f"{done.in_several_rows:,} studies lie in several rows: see several_rows.csv", err=True)
    return 0 if not done.failed and not done.left else 1
