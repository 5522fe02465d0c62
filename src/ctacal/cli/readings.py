"""``ctacal readings``: check the readings of a folder, write them as files, and report on them."""

import json
from dataclasses import asdict
from pathlib import Path

import typer

from ctacal.cli.progress import progress_bar
from ctacal.errors import UsageError
from ctacal.jobs.reading_exports import WRITERS, ExportJob, export_readings
from ctacal.jobs.reading_folder import INDEX, ReadingFolder, verify
from ctacal.jobs.reading_index import ReadingIndex
from ctacal.jobs.reading_report import ReaderReport, reports


def run_verify(folder: Path) -> int:
    """Check a folder; returns the exit status: 0 nothing was altered, 1 something was."""
    found = verify(folder)
    for fault in found.faults:
        typer.echo(f"FAULT {fault}")
    for note in found.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{found.readings} readings, {found.events} events, {found.signatures} signatures")
    typer.echo(f"newest signature: {found.head or 'none'}")
    typer.echo("nothing was altered" if not found.faults else f"{len(found.faults)} faults")
    return int(bool(found.faults))


def run_export(folder: Path, out: Path, write: str, *, unsigned: bool, organisation: str, database: str) -> int:
    """Write the readings of a folder; returns the exit status: 0 all of them, 1 some not."""
    writers = tuple(name.strip() for name in write.split(",") if name.strip())
    if unknown := [name for name in writers if name not in WRITERS]:
        raise UsageError(f"--write {unknown[0]}: known are {', '.join(WRITERS)}")
    job = ExportJob(
        folder=ReadingFolder(folder), index=_index(folder, database), out=out, writers=writers, unsigned=unsigned,
        organisation=organisation,
    )  # fmt: skip
    with progress_bar("exporting") as progress:
        exported = export_readings(job, progress=progress)
    for problem in exported.problems:
        typer.echo(f"not exported: {problem}", err=True)
    typer.echo(f"{exported.readings} readings exported, {len(exported.problems)} not; in {out}", err=True)
    return int(bool(exported.problems))


def run_report(folder: Path, database: str, *, as_json: bool) -> int:
    """Print the report on the reading itself; returns the exit status 0."""
    found = reports(_index(folder, database), with_model=True)
    if as_json:
        typer.echo(json.dumps([asdict(report) for report in found]))
        return 0
    for report in found:
        typer.echo(_line(report))
    if not found:
        typer.echo("nothing was read yet", err=True)
    return 0


def _index(folder: Path, database: str) -> ReadingIndex:
    if not (folder / "cases").is_dir():
        raise UsageError(f"{folder}: holds no readings (no folder cases/)")
    if not database and not (folder / INDEX).is_file():
        raise UsageError(f"{folder}: has no list; start ctacal review or annotate once, which makes it again")
    return ReadingIndex(database or folder / INDEX)


def _line(report: ReaderReport) -> str:
    words = [f"{report.reader}, {report.session}: {report.signed} signed, {report.started} begun"]
    if report.median_s is not None:
        words.append(
            f"median {report.median_s:.0f} s (quartiles {report.quartile_1_s:.0f} to {report.quartile_3_s:.0f} s)"
        )
        words.append(f"median {report.median_edits:.0f} edits")
    if report.amended:
        words.append(f"{report.amended} amended")
    if report.model and report.model.studies:
        kappa = "not defined" if report.model.kappa is None else f"{report.model.kappa:.2f}"
        share = (report.model.same_category or 0.0) * 100
        words.append(f"with the model on {report.model.studies}: same category {share:.0f} %, kappa {kappa}")
    return "; ".join(words)
