"""Where the images of a run lie: noted in its folder, so that ``ctacal review`` finds them."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from ctacal.atomic import write_text

INPUTS = "inputs.json"
"""File of a run that names the places that were given to it."""


def note_inputs(out: Path, paths: Sequence[Path]) -> None:
    """Note where the images of a run lie, beside those of earlier runs into the same folder. Raises ``OSError``."""
    names = dict.fromkeys([*_noted(out), *(os.fsdecode(path.absolute()) for path in paths)])
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / INPUTS, json.dumps({"paths": [*names]}, indent=2) + "\n")


def noted_inputs(out: Path) -> tuple[Path, ...]:
    """Return where the images of a run lie; places that are gone are left out."""
    return tuple(path for path in map(Path, _noted(out)) if path.exists())


def _noted(out: Path) -> list[str]:
    try:
        content = json.loads((out / INPUTS).read_text(encoding="utf-8"))
        return [str(path) for path in content["paths"]]
    except (OSError, ValueError, LookupError, TypeError):
        return []
