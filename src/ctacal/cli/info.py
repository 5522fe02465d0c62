"""``ctacal info``: what is installed and whether it works; or what lies in a folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from ctacal.jobs import installation


def run(paths: Sequence[Path], *, licences: bool, self_check: bool, as_json: bool) -> int:
    """Print the installation or the series found; returns the exit status, 1 for a failed self-check or no series."""
    if paths:
        facts: Any = [installation.study_facts(study) for study in _studies(paths)]
        if not facts:
            return 1
    elif licences:
        facts = installation.licences()
    elif self_check:
        facts = installation.self_check()
    else:
        facts = installation.installation()
    typer.echo(json.dumps(facts, indent=2) if as_json else _as_text(facts))
    return 1 if self_check and not facts["passed"] else 0


def _studies(paths: Sequence[Path]) -> Any:
    from ctacal.dicom.series import read_studies

    intake = read_studies(paths)
    for file in intake.skipped:
        typer.echo(f"skipped {file.name}: {file.reason}", err=True)
    for line in intake.empty:
        typer.echo(line, err=True)
    return intake.studies


def _as_text(facts: Any, indent: str = "") -> str:
    """Nested dicts and lists as indented lines."""
    if isinstance(facts, dict):
        return "\n".join(_entry(f"{name}:", value, indent) for name, value in facts.items())
    if isinstance(facts, list):
        return "\n".join(_entry("-", value, indent) for value in facts)
    return f"{indent}{facts}"


def _entry(head: str, value: Any, indent: str) -> str:
    if isinstance(value, dict | list):
        return f"{indent}{head}\n{_as_text(value, indent + '  ')}"
    return f"{indent}{head} {value}"
