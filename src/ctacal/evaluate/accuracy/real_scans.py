"""Real scans of the model card: what is known of them, and what ``ctacal score`` said."""

import csv
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ctacal.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class RealScan:
    """One series of a real scan, as ``recipes/real_scans.toml`` describes it."""

    series_uid: str
    name: str
    source: str
    licence: str
    patient: str
    """Series of the same patient must agree in category."""
    expected: str
    """The risk category, and in ``known_by`` who says so; empty where it is not known."""
    known_by: str = ""
    used_for: str = "nothing but this table"
    """Whether anything was trained on it."""
    results: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Lines of ``ctacal score`` by the model's digest."""


def read_real_scans(path: Path) -> list[RealScan]:
    """Read a TOML of [[scan]] tables (fields of ``RealScan``) and the results.csv files that ``results`` lists.

    These are written by ``ctacal score --series each``; paths are relative to the TOML.
    Raises ``UsageError`` where something is missing or of another form.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        lines = [line for name in content["results"] for line in _lines(path.parent / name)]
        return [
            RealScan(**scan, results={line["model_digest"]: line for line in lines if _is_of(line, scan)})
            for scan in content["scan"]
        ]
    except (OSError, ValueError, TypeError, KeyError) as problem:
        raise UsageError(f"{path}: {type(problem).__name__}: {problem}") from problem


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _is_of(line: Mapping[str, str], scan: Mapping[str, str]) -> bool:
    return line["series_uid"] == scan["series_uid"]
