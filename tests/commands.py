"""Commands as a user types them, and the files that they write."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ctacal.cli.app import main
from tests import places
from tests.marker_study import SCHEMA

SAMPLE, LABELS = places.SAMPLE / "thorax_phantom.zip", places.SAMPLE / "thorax_phantom_labels.nii.gz"


def run(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command; returns the exit status."""
    monkeypatch.setattr(sys, "argv", ["ctacal", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def table(out: Path) -> list[dict[str, str]]:
    """Return the rows of results.csv."""
    with (out / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def results(out: Path) -> list[dict[str, Any]]:
    """Return the content of every result.json, valid by the schema."""
    found = [json.loads(file.read_text()) for file in sorted(out.rglob("result.json"))]
    for result in found:
        jsonschema.validate(result, SCHEMA)
    return found
