"""``ctacal simulate``: CTAC studies with exact truth, one folder each, and a manifest."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ctacal.cli.progress import progress
from ctacal.errors import Refusal, UsageError

if TYPE_CHECKING:  # numba takes seconds
    from ctacal.simulate.cohort import CohortPlan
    from ctacal.simulate.scanner.protocol import ScannerProtocol
    from ctacal.simulate.study import StudyDescription

NEEDED = ("numba", "spekpy", "xraylib")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for, as typed."""

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
    """List, describe or make; returns the exit status: 0 all made, 1 some failed."""
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
        beam = f"{protocol.kvp:g} kVp, {protocol.mas:.0f} mAs, {protocol.rotation_s:g} s a turn"
        typer.echo(f"{protocol.name:24} {beam}, {slices}, {protocol.matrix}. {protocol.notes}")
    return 0


def _realism(options: Options) -> int:
    from ctacal.simulate.realism.report import write_realism

    out = _out(options)
    write_realism(out, path=options.real, protocol=_one_protocol(options), say=lambda what: typer.echo(what, err=True))
    typer.echo(out / "realism.html")
    return 0


def _insert(scan: Path, options: Options) -> int:
    """Calcium into a real scan, once a seed; the scan is refused or taken as a whole."""
    from ctacal.simulate.cohort import MOST_STUDIES
    from ctacal.simulate.insert.study import insert_study
    from ctacal.simulate.output.inserted import write_inserted
    from ctacal.simulate.scanner.protocol import load_protocol

    out, name, writers = _out(options), _one_protocol(options), _writers(options)
    protocol = None if name is None else load_protocol(name)
    seeds = [options.seed * MOST_STUDIES + k for k in range(options.count)]
    with progress("inserting", len(seeds)) as advance:
        for seed in seeds:
            try:
                study = insert_study(
                    [scan], seed=seed, protocol=protocol, lines=options.lines, allow_calcium=options.allow_calcium
                )
            except Refusal as refusal:
                typer.echo(f"{scan}  REFUSED  {refusal.reason}")
                return 1
            record = write_inserted(study, out / f"inserted-{seed}", seed=seed, writers=writers)
            typer.echo(f"inserted-{seed}  made  CTAC {record['ctac_score']['agatston']:.1f}")
            advance()
    return 0


def _one_protocol(options: Options) -> str | None:
    if len(options.protocols) > 1:
        raise UsageError(f"--centre is {', '.join(options.protocols)}, expected one")
    return options.protocols[0] if options.protocols else None


def _writers(options: Options) -> tuple[str, ...]:
    from ctacal.simulate.output.folder import DEFAULT_WRITERS, known_writers

    return known_writers(DEFAULT_WRITERS if options.write is None else map(str.strip, options.write.split(",")))


def _out(options: Options) -> Path:
    if options.out is None:
        raise UsageError("where to? give a folder: -o OUT")
    return options.out


def _descriptions(options: Options) -> list["StudyDescription"]:
    if options.replay:
        return [_replayed(options.replay)]
    plan = _plan(options)
    return [plan.description(k) for k in range(plan.count)]


def _plan(options: Options) -> "CohortPlan":
    from ctacal.simulate.cohort import CohortPlan

    return CohortPlan(
        protocols=_protocols(options.protocols),
        count=options.count,
        seed=options.seed,
        sex=options.sex,  # type: ignore[arg-type]  # checked there
        age_years=options.age_years,
        bmi=options.bmi,
        with_deposits=not options.no_calcium,
    )


def _protocols(names: Sequence[str]) -> tuple["ScannerProtocol", ...]:
    from ctacal.simulate.output.simulated import WORDS
    from ctacal.simulate.scanner.protocol import load_protocol

    return tuple(load_protocol(name) for name in names or WORDS)


def _replayed(file: Path) -> "StudyDescription":
    """The description of a study.json, or what --describe printed."""
    from ctacal.simulate.study import StudyDescription

    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        return StudyDescription.from_json(stored.get("description", stored))
    except OSError as problem:
        raise UsageError(f"--replay {file}: {problem.strerror}") from problem
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise UsageError(f"--replay {file}: no study description ({problem})") from problem


def _make(descriptions: Sequence["StudyDescription"], options: Options) -> int:
    from ctacal.simulate.cohort import MANIFEST, make_cohort

    out = _out(options)
    rows = make_cohort(descriptions, out, writers=_writers(options), workers=options.workers, resume=options.resume)
    count = {"made": 0, "kept": 0, "failed": 0}
    with progress("simulating", len(descriptions)) as advance:
        for row in rows:
            count[row["status"]] += 1
            typer.echo(_told(row))
            advance()
    told = ", ".join(f"{number} {status}" for status, number in count.items() if number)
    typer.echo(f"{told}; all listed in {out / MANIFEST}", err=True)
    return 1 if count["failed"] else 0


def _told(row: dict[str, Any]) -> str:
    if row["status"] == "failed":
        return f"{row['study']}  FAILED  {row['reason']}"
    scores = f"reference {row['reference_agatston']:.1f} ({row['reference_category']})  CTAC {row['ctac_agatston']:.1f}"
    return f"{row['study']}  {row['status']}  {row['slices']} slices  {scores}"
