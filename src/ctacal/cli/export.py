"""``ctacal export``: two checkpoints become a model folder that scores without torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from ctacal import __version__
from ctacal.cli.train import require_training
from ctacal.errors import CtacalError, UsageError


def run(heart: Path, calcium: Path, out: Path, *, name: str, version: str | None) -> int:
    """Export and tell; returns the exit status: 0 exported, 1 the exported networks differ from torch's."""
    require_training()
    from ctacal.nn.export import export

    try:
        card = export(heart, calcium, out, name=name, version=version or __version__)
    except UsageError:
        raise
    except CtacalError as problem:
        typer.echo(f"ctacal: {problem}", err=True)
        return 1
    tell(card)
    return 0


def tell(card_file: Path) -> None:
    """The model's size, and how far it is from torch at each length of scan."""
    card = json.loads(card_file.read_text(encoding="utf-8"))
    for stage, told in card["stages"].items():
        typer.echo(_told(stage, told, card_file.with_name(told["file"])))
    typer.echo(f"{card['name']} {card['version']} in {card_file.parent}")


def _told(stage: str, entry: Mapping[str, Any], file: Path) -> str:
    megabytes = file.stat().st_size / 1e6
    parity = ", ".join(f"{difference:.1e} ({slices} slices)" for slices, difference in entry["parity"].items())
    return f"{stage}: {entry['parameters'] / 1e6:.2f} M parameters, {megabytes:.1f} MB; from torch at most {parity}"
