"""The table of ``ctacal accuracy``: one row for each test study and predictor."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ctacal.atomic import write_text
from ctacal.categories import CATEGORY_KEYS
from ctacal.errors import UsageError
from ctacal.labels import NAMED_VESSELS
from ctacal.spreadsheets import as_text, as_written

Row = dict[str, Any]
"""A row: text, numbers as float, None if a cell is empty."""

VESSELS = tuple(vessel.name.lower() for vessel in NAMED_VESSELS)
"""Names of the vessels in the columns."""

NO_DEPOSIT = "no_deposit"
"""Key in ``kinds_counted`` of what was counted in voxels without calcium or metal."""

TEXT = (
    "cohort",
    "cohort_kind",
    "study",
    "study_digest",
    "patient",
    "centre",
    "predictor",
    "model_version",
    "model_digest",
    "settings_digest",
    "ctacal",
    "status",
    "reason",
    "kinds_present",
    "kinds_visible",
    "kinds_counted",
)
"""Columns of text. ``settings_digest``: of the scoring rule, of what was measured of a model after export, such as its
threshold of probability, and of its runtime. ``status`` is scored, refused (with a reason code) or failed (a defect).
``kinds_present``: calcium and metal in the scan that is not coronary; ``kinds_visible``: those of these kinds that
reach the threshold; ``kinds_counted``: those that were counted as coronary, as ``kind:Agatston``."""

NUMBERS = (
    "true_agatston",
    *(f"true_{vessel}" for vessel in VESSELS),
    "gated_agatston",
    *(f"gated_{vessel}" for vessel in VESSELS),
    *(f"true_mass_mg_{vessel}" for vessel in VESSELS),
    "agatston",
    *(f"agatston_{vessel}" for vessel in VESSELS),
    "agatston_coronary",
    *(f"mass_mg_{vessel}" for vessel in VESSELS),
    "gated_equivalent_agatston",
    "certainty",
    *CATEGORY_KEYS,
    "seconds",
)
"""Columns of numbers. ``true``: from the true label map on the same scan; ``gated``: from the same calcium on a gated,
noise-free scan; ``agatston_coronary``: coronary calcium without a named vessel; ``mass_mg``: mass of the
calcium, from the HU that it adds to the voxels; ``gated_equivalent_agatston``: score of a gated scan, estimated from
that mass; then the probability of each risk category."""

COLUMNS = (*TEXT, *NUMBERS)


def read_results(path: Path) -> list[Row]:
    """Return all rows, or none if there is no such file. Raises ``UsageError`` if it is another table."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        if tuple(table.fieldnames or ()) != COLUMNS:
            raise UsageError(f"{path}: not a table of this version's ctacal accuracy; choose another folder (-o)")
        try:
            return [{name: _value(name, cell) for name, cell in line.items()} for line in table]
        except ValueError as problem:
            raise UsageError(f"{path}: {problem}") from problem


def _value(name: str, cell: str) -> Any:
    if name in TEXT:
        return as_written(cell)
    return float(cell) if cell else None


def write_results(path: Path, rows: Iterable[Row]) -> None:
    """Write the table, whole or not at all, with numbers in full precision."""
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    write_text(path, table.getvalue())


def _cell(value: Any) -> Any:
    return as_text(value) if isinstance(value, str) else value


def counted_kinds(row: Row) -> dict[str, float]:
    """Return ``kinds_counted`` of a row as a mapping.

    >>> counted_kinds({"kinds_counted": "lead:2.5 aortic_wall:10.0"})
    {'lead': 2.5, 'aortic_wall': 10.0}
    """
    pairs = (word.split(":") for word in row["kinds_counted"].split())
    return {kind: float(agatston) for kind, agatston in pairs}
