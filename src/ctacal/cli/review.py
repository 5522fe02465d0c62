"""``ctacal review`` and ``ctacal annotate``: options to a reading room and the address that it is served at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from ctacal.errors import UsageError
from ctacal.jobs.reader_study import read_plan
from ctacal.jobs.reading_cases import Accepted
from ctacal.jobs.reading_rooms import READINGS, RoomJob, open_room
from ctacal.result import NOTICE
from ctacal.scores import named_rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line that both commands have, as typed."""

    readings: Path | None = None
    readers: Sequence[str] = ()
    adjudicators: Sequence[str] = ()
    administrators: Sequence[str] = ()
    plan: Path | None = None
    database: str = ""
    phi: bool = False
    host: str = "127.0.0.1"
    port: int = 0
    host_names: Sequence[str] = ()
    certificate: Path | None = None
    key: Path | None = None
    proxies: Sequence[str] = ()
    proxy_secret: Path | None = None
    user_header: str = "x-remote-user"
    no_browser: bool = False
    rule: str = "scct2016"
    mass_calibration: float | None = None
    fill_gaps: bool = False
    untilt: bool = False


def review(out: Path, images: Sequence[Path], options: Options) -> int:
    """Serve the results of a run; returns the exit status."""
    if not out.is_dir():
        raise UsageError(f"{out}: no such folder; give the folder that ctacal score or ctacal batch run wrote")
    readings = options.readings or out / READINGS
    job = RoomJob(kind="review", paths=tuple(images), out=out, readings=readings, **_common(options))
    return _serve(job, options)


def annotate(paths: Sequence[Path], options: Options) -> int:
    """Serve scans that nobody has scored; returns the exit status."""
    readings = options.readings or Path("ctacal-readings")
    job = RoomJob(kind="annotate", paths=tuple(paths), readings=readings, **_common(options))
    return _serve(job, options)


def _common(options: Options) -> dict[str, Any]:
    """Return what both commands say about readers and scans."""
    accepted = Accepted(
        rule=named_rule(options.rule),
        fill_gaps=options.fill_gaps,
        untilt=options.untilt,
        mass_calibration=options.mass_calibration,
        phi=options.phi,
    )
    return {
        "accepted": accepted,
        "readers": tuple(options.readers),
        "adjudicators": tuple(options.adjudicators),
        "administrators": tuple(options.administrators),
        "plan": read_plan(options.plan) if options.plan else None,
        "database": options.database,
    }


def _serve(job: RoomJob, options: Options) -> int:
    try:
        from ctacal.web.serve import Address, proxy_from_file, serve
    except ImportError as problem:
        raise UsageError(f"{problem.name} is missing: pip install 'ctacal[web]'") from problem
    proxy = proxy_from_file(options.proxies, options.user_header, options.proxy_secret) if options.proxies else None
    address = Address(
        host=options.host, port=options.port, names=tuple(options.host_names), certificate=options.certificate,
        key=options.key, proxy=proxy,
    )  # fmt: skip
    typer.echo("looking for studies ...", err=True)
    room = open_room(job, complain=lambda problem: typer.echo(problem, err=True))
    typer.echo(f"readings: {job.readings.absolute()} (back up this folder; its README.txt says how)", err=True)
    typer.echo(NOTICE, err=True)
    serve(room, [*room.settings.roles], address, browser=not options.no_browser, say=typer.echo)
    return 0
