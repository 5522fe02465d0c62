"""``ctacal simulate``: CTAC studies with exact truth, one folder each, and a manifest."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ctacal.cli.progress import progress_bar
from ctacal.errors import Refusal, UsageError

if TYPE_CHECKING:  # numba takes seconds
    from ctacal.simulate.study import StudyDescription

NEEDED = ("numba", "spekpy", "xraylib")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line."""

    out: Path | None = None
    protocols: Sequence[str] = ()
    count: int = 1
    seed: int = 0
    workers: int = 1
    resume: bool = False
    sex: str | None = None
    age_years: float | None = None
    bmi: float | None = None
    no_calcium: bool = False
    write: str | None = None
    replay: Path | None = None
    list_protocols: bool = False
    describe: bool = False
    realism: bool = False
    real: Path | None = None
    insert: Path | None = None
    lines: Path | None = None
    allow_calcium: bool = False


def run(options: Options) -> int:
    """List, describe or make studies; returns the exit status: 0 all made, 1 some failed."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UsageError(f"the simulator needs {', '.join(missing)}: pip install 'ctacal[simulate]'")
    if options.list_protocols:
        return _list_protocols()
    if options.realism:
        return _realism(options)
    if options.insert:
        return _insert(options.insert, options)
    descriptions = _descriptions(options)
    if options.describe:
        for description in descriptions:
            typer.echo(json.dumps(description.to_json()))
        return 0
    return _make(descriptions, options)


def _list_protocols() -> int:
    from ctacal.simulate.scanner.protocol import load_protocol, protocol_names

    for protocol in (load_protocol(name) for name in protocol_names()):
        slices = f"{protocol.thickness_mm:g} mm every {protocol.spacing_mm:g} mm"
        beam = f"{protocol.kvp:g} kVp, {protocol.mas:.0f} mAs, {protocol.rotation_s:g} s per rotation"
        typer.echo(f"{protocol.name:24} {beam}, {slices}, {protocol.matrix}. {protocol.notes}")
    return 0


def _realism(options: Options) -> int:
    from ctacal.simulate.realism.report import write_realism

    out = _out(options)
    write_realism(
        out,
        path=options.real,
        protocol=_single_protocol(options),
        on_step=lambda step: typer.echo(step, err=True),
    )
    typer.echo(out / "realism.html")
    return 0


def _insert(scan: Path, options: Options) -> int:
    from ctacal.jobs.simulate import Insertion, insert_calcium
    from ctacal.simulate.scanner.protocol import load_protocol

    out, name = _out(options), _single_protocol(options)
    job = Insertion(
        scan=scan, out=out, protocol=None if name is None else load_protocol(name), seed=options.seed,
        count=options.count, lines=options.lines, allow_calcium=options.allow_calcium, writers=_writers(options),
    )  # fmt: skip
    with progress_bar("inserting", job.count) as advance:
        try:
            for number, (study, record) in enumerate(insert_calcium(job), 1):
                typer.echo(f"{study}  made  CTAC {record['ctac_score']['agatston']:.1f}")
                advance(number, job.count)
        except Refusal as refusal:
            typer.echo(f"{scan}  REFUSED  {refusal.reason}")
            return 1
    return 0


def _single_protocol(options: Options) -> str | None:
    if len(options.protocols) > 1:
        raise UsageError(f"--centre is {', '.join(options.protocols)}, expected one")
    return options.protocols[0] if options.protocols else None


def _writers(options: Options) -> tuple[str, ...]:
    from ctacal.simulate.output.folder import DEFAULT_WRITERS, known_writers

    return known_writers(DEFAULT_WRITERS if options.write is None else map(str.strip, options.write.split(",")))


def _out(options: Options) -> Path:
    if options.out is None:
        raise UsageError("no output folder: give one with -o OUT")
    return options.out


def _descriptions(options: Options) -> list["StudyDescription"]:
    from ctacal.jobs.simulate import cohort_protocols, stored_description
    from ctacal.simulate.cohort import CohortPlan

    if options.replay:
        return [stored_description(options.replay)]
    plan = CohortPlan(
        protocols=cohort_protocols(options.protocols),
        count=options.count,
        seed=options.seed,
        sex=options.sex,  # type: ignore[arg-type]  # checked there
        age_years=options.age_years,
        bmi=options.bmi,
        with_deposits=not options.no_calcium,
    )
    return [plan.description(k) for k in range(plan.count)]


def _make(descriptions: Sequence["StudyDescription"], options: Options) -> int:
    from ctacal.simulate.cohort import MANIFEST, make_cohort

    out = _out(options)
    rows = make_cohort(descriptions, out, writers=_writers(options), workers=options.workers, resume=options.resume)
    count = {"made": 0, "kept": 0, "failed": 0}
    with progress_bar("simulating", len(descriptions)) as advance:
        for number, row in enumerate(rows, 1):
            count[row["status"]] += 1
            typer.echo(_line(row))
            advance(number, len(descriptions))
    summary = ", ".join(f"{number} {status}" for status, number in count.items() if number)
    typer.echo(f"{summary}; all listed in {out / MANIFEST}", err=True)
    return 1 if count["failed"] else 0


def _line(row: dict[str, Any]) -> str:
    """Return the line that is printed of a study."""
    if row["status"] == "failed":
        return f"{row['study']}  FAILED  {row['reason']}"
    scores = f"reference {row['reference_agatston']:.1f} ({row['reference_category']})  CTAC {row['ctac_agatston']:.1f}"
    return f"{row['study']}  {row['status']}  {row['slices']} slices  {scores}"
