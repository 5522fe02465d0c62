"""Real scans of the model card: what is known about them, and their results from ``ctacal score``."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ctacal.errors import UsageError
from ctacal.fields import read_toml

REFUSED = "refused"
"""What is expected of a scan that must not be scored, such as one without a heart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealScan:
    """One series of a real scan, as ``recipes/real_scans.toml`` describes it."""

    series_uid: str
    name: str
    source: str
    licence: str
    patient: str
    """Identifier of the patient: all series of a patient should have the same category."""
    expected: str
    """The risk category according to ``known_by``, or ``refused``; empty if it is not known."""
    known_by: str = ""
    """Source of the expected category."""
    used_for: str = "nothing but this table"
    """What else the scan was used for, such as training."""
    results: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Lines of ``results.csv`` by the digest of the model; not part of the TOML."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Description:
    """The content of the TOML file."""

    scan: tuple[RealScan, ...]
    results: tuple[str, ...] = ()
    """Paths of results.csv files, relative to the TOML file."""


def read_real_scans(path: Path, results: Mapping[str, Path] | None = None) -> list[RealScan]:
    """Read a TOML file of [[scan]] tables (fields of ``RealScan``), with what ``ctacal score --series each`` found.

    That stands in ``results``, the results.csv of each model by its digest, and in those that the file itself lists,
    relative to it. A refused study names no model in its table, so the latter tell only of those scored. Raises
    ``UsageError`` if a file or a field is missing, unknown or of another form.
    """
    described = read_toml(_Description, path)
    lines = [line for name in described.results for line in _lines(path.parent / name)]
    lines += [line | {"model_digest": digest} for digest, table in (results or {}).items() for line in _lines(table)]
    return [replace(scan, results=_results_of(scan, lines)) for scan in described.scan]


def _results_of(scan: RealScan, lines: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    return {line["model_digest"]: line for line in lines if line["series_uid"] == scan.series_uid}


def _lines(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            if absent := {"series_uid", "model_digest"} - set(table.fieldnames or ()):
                raise UsageError(f"{path}: no column {', '.join(sorted(absent))}; expected a results.csv")
            return list(table)
    except OSError as problem:
        raise UsageError(f"{path}: {problem.strerror}") from problem
    except ValueError as problem:
        raise UsageError(f"{path}: {problem}") from problem
