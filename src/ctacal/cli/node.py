"""``ctacal node``: a node that runs, what is wrong with its configuration, and how it stands."""

import json
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import typer

from ctacal.errors import NotPossible, UsageError
from ctacal.jobs.node.config import read_config

PARTS = {
    "receiver": "ctacal.node.receiver",
    "keeper": "ctacal.node.keeper",
    "scorer": "ctacal.node.scorers",
    "sender": "ctacal.node.sender",
    "alarms": "ctacal.node.alarms",
    "http": "ctacal.web.node_serve",
}
"""The module of each process."""

SAMPLES = {"node.toml": "the configuration", "ctacal-node.service": "the unit for systemd"}


def run(path: Path) -> int:
    """Run a node until it is stopped; returns the exit status."""
    config = read_config(path)
    _require_packages()
    from ctacal.node.supervisor import supervise

    supervise(config, {name: module for name, module in PARTS.items() if name != "http" or config.http.port})
    return 0


def run_check(path: Path, *, as_json: bool) -> int:
    """Print what is well and what is not; returns the exit status: 1 if anything is wrong."""
    config = read_config(path)
    _require_packages()
    from ctacal.node.check import checks

    wrong = 0
    for check in checks(config):
        wrong += not check.is_ok
        if as_json:
            content = {"what": check.what, "ok": check.is_ok, "warning": check.is_warning, "found": check.found}
            typer.echo(json.dumps(content))
        else:
            word = "WRONG" if not check.is_ok else "note " if check.is_warning else "ok   "
            typer.echo(f"{word} {check.what}: {check.found}")
    if not as_json:
        typer.echo("all is well" if not wrong else f"{wrong} wrong")
    return int(wrong > 0)


def run_status(path: Path, *, as_json: bool) -> int:
    """Print how a node stands; returns the exit status: 1 if it does not run, or a person must act."""
    from ctacal.jobs.node.overview import overview_json
    from ctacal.jobs.node.status import node_status

    status = node_status(read_config(path))
    if as_json:
        typer.echo(json.dumps(overview_json(status.overview) | {"runs": status.runs, "to_do": list(status.to_do)}))
    else:
        for line in status.lines:
            typer.echo(line)
    return int(not status.runs or bool(status.to_do))


def run_give_up(path: Path, *, destination: str, delivery: int | None, to: str) -> int:
    """Give up what cannot be delivered, or send it elsewhere; returns the exit status."""
    from ctacal.jobs.node.status import opened_ledger
    from ctacal.jobs.node.wishes import give_up

    config = read_config(path)
    if (delivery is None) == (not destination):
        raise UsageError("say which results: --destination NAME, or --delivery NUMBER")
    with opened_ledger(config) as ledger:
        try:
            number = give_up(
                ledger, config, delivery_id=delivery, destination=destination or None, to=to, by="command line"
            )
        except NotPossible as problem:
            raise UsageError(str(problem)) from problem
    typer.echo(f"{number} result{'' if number == 1 else 's'} " + (f"sent to {to}" if to else "given up"))
    return 0


def run_link(path: Path) -> int:
    """Print a link that signs a person in to the pages; returns the exit status."""
    from ctacal.jobs.node.sign_in import sign_in_link

    typer.echo(sign_in_link(read_config(path)))
    return 0


def run_sample(name: str) -> int:
    """Print a file to begin with."""
    if name not in SAMPLES:
        raise UsageError(f"no sample is called {name!r}; known: {', '.join(SAMPLES)}")
    typer.echo(files("ctacal.node").joinpath("sample", name).read_text(encoding="utf-8"), nl=False)
    return 0


def _require_packages() -> None:
    """Raise ``UsageError`` if a package of the extra is missing: its processes would start again and again."""
    for name in ("pynetdicom", "httpx", "starlette", "uvicorn", "prometheus_client", "python_multipart"):
        if find_spec(name) is None:
            raise UsageError(f"{name} is missing: pip install 'ctacal[node]'")
