"""``ctacal compare``: turns options into a job of comparisons, or of limits, and prints its outcome."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from ctacal.cli.finder import chosen_finder
from ctacal.cli.progress import progress_bar
from ctacal.compare.comparison import Terms
from ctacal.compare.limits import read_limits, simulated_limits, write_limits
from ctacal.compare.reasons import Doubt
from ctacal.errors import Refusal, UsageError
from ctacal.evaluate.readings.form import NO_OPTIONS, FormOptions, form_of
from ctacal.jobs.compare import Compared, CompareJob, CompareRun, compare_courses, compare_two
from ctacal.jobs.finders import Runtime
from ctacal.jobs.score import RESULTS, Limits, Privacy
from ctacal.names import printable
from ctacal.report.comparison_outputs import DEFAULT_KINDS, known_kinds
from ctacal.report.pseudonyms import Pseudonymiser
from ctacal.scores import named_rule

TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".parquet", ".xlsx", ".xlsm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line, as typed."""

    repeatability: bool = False
    limits: Path | None = None
    name: str = ""
    decides: str = "agatston"
    accept: Sequence[str] = ()
    bmi: float | None = None
    columns: Sequence[str] = ()
    form: FormOptions = NO_OPTIONS
    predictor: str | None = None
    model: Path | None = None
    runtime: Runtime | None = None
    rule: str = "scct2016"
    mass_calibration: float | None = None
    series_a: str | None = None
    series_b: str | None = None
    fill_gaps: bool = False
    untilt: bool = False
    allow_contrast: bool = False
    write: str = ",".join(DEFAULT_KINDS)
    phi: bool = False
    pseudonymise: Path | None = None
    as_json: bool = False


def run(paths: Sequence[Path], out: Path, options: Options) -> int:
    """Compare and write; returns the exit status: 0 all scored, 1 some scan refused, or nothing to compare."""
    if options.repeatability:
        return _limits(paths, out, options)
    try:
        done = _compare(paths, out, options)
    except Refusal as refusal:
        typer.echo(str(refusal), err=True)
        return 1
    _summarise(done, out)
    return 0 if done.compared and not done.refused else 1


def _limits(paths: Sequence[Path], out: Path, options: Options) -> int:
    from ctacal.jobs.compare_tables import TableTerms, declared, limits_of_table

    if len(paths) != 1 or out.suffix.lower() != ".json":
        raise UsageError("--repeatability takes one table of pairs, and -o names the file of limits: -o limits.json")
    how = TableTerms(columns=declared(options.columns), form=form_of(options.form))
    limits = limits_of_table(paths[0], options.name or paths[0].stem, options.decides, how)
    write_limits(limits, out)
    for note in limits.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"limits of {', '.join(limits.bands)} from {limits.in_words}: {limits.protocol.in_words}", err=True)
    typer.echo(f"{printable(out)}; give them with: ctacal compare A B --limits {printable(out)} -o OUT", err=True)
    return 0


def _compare(paths: Sequence[Path], out: Path, options: Options) -> CompareRun:
    terms = _terms(options)
    if len(paths) == 1 and _is_table(paths[0]):
        from ctacal.jobs.compare_tables import TableTerms, compare_table, declared

        how = TableTerms(columns=declared(options.columns), form=form_of(options.form))
        done = compare_table(paths[0], out, terms, how)
        for compared in done.compared:
            _print(compared, as_json=options.as_json)
        return done
    job = _job(options, terms)
    if len(paths) == 2:
        done = compare_two(paths[0], paths[1], out, job)
        _print(done.compared[0], as_json=options.as_json)
        return done
    if options.series_a or options.series_b:
        raise UsageError("--series-a and --series-b are for two scans that are named: ctacal compare A B")
    with progress_bar("comparing") as progress:
        return compare_courses(
            paths,
            out,
            job,
            on_compared=lambda compared: _print(compared, as_json=options.as_json),
            progress=progress,
        )


def _is_table(path: Path) -> bool:
    return (path / RESULTS).is_file() if path.is_dir() else path.suffix.lower() in TABLE_ENDINGS


def _terms(options: Options) -> Terms:
    known = {str(doubt): doubt for doubt in Doubt}
    if unknown := [name for name in options.accept if name not in known]:
        raise UsageError(f"--accept {unknown[0]}: no such doubt; docs/compare.md lists them")
    if options.bmi is not None and not 10 <= options.bmi <= 100:
        raise UsageError(f"--bmi {options.bmi:g}: expected kg/m2, 10 to 100")
    return Terms(
        limits=read_limits(options.limits) if options.limits else None,
        simulated=simulated_limits(),
        accept=frozenset(known[name] for name in options.accept),
        bmi=options.bmi,
    )


def _job(options: Options, terms: Terms) -> CompareJob:
    key = options.pseudonymise
    return CompareJob(
        finder=chosen_finder(options.predictor, options.model, options.runtime),
        terms=terms,
        rule=named_rule(options.rule),
        outputs=known_kinds(options.write),
        privacy=Privacy(phi=options.phi, pseudonymiser=Pseudonymiser.from_file(key) if key else None),
        accepted=Limits(fill_gaps=options.fill_gaps, untilt=options.untilt, allow_contrast=options.allow_contrast),
        series=(options.series_a, options.series_b),
        mass_calibration=options.mass_calibration,
    )


def _print(compared: Compared, *, as_json: bool) -> None:
    content = compared.content
    if as_json:
        typer.echo(json.dumps(content))
        return
    before, after = (scan["study_uid"] or scan["label"] for scan in content["scans"])
    change = content["changes"].get("agatston", {}).get("total")
    numbers = f"  Agatston {change['before']:.1f} -> {change['after']:.1f}" if change else ""
    reasons = "; ".join(f"{reason['code']}: {reason['message']}" for reason in content["reasons"])
    typer.echo(f"{before} -> {after}{numbers}  {content['verdict'].upper()}{f'  [{reasons}]' if reasons else ''}")
    for problem in compared.problems:
        typer.echo(str(problem), err=True)


def _summarise(done: CompareRun, out: Path) -> None:
    for line in done.left_out:
        typer.echo(f"left out: {line}", err=True)
    counts = {
        verdict: sum(one.content["verdict"] == verdict for one in done.compared)
        for verdict in ("within", "beyond", "not comparable")
    }
    found = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    typer.echo(f"comparisons: {found}; in {printable(out)}", err=True)
    typer.echo("Research use only, not a medical device.", err=True)
