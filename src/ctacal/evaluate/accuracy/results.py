"""The table that ``ctacal accuracy`` fills: a line for each test study and predictor, read back as numbers."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ctacal.atomic import write_text
from ctacal.errors import UsageError
from ctacal.labels import NAMED_VESSELS

Row = dict[str, Any]
"""A line: text, numbers as float, None where a cell is empty."""

VESSELS = tuple(vessel.name.lower() for vessel in NAMED_VESSELS)

PROBABILITIES = ("p_0", "p_1_100", "p_101_400", "p_400")
"""Of the risk categories, in order, where the predictor tells them (``Prediction.uncertainty``)."""

NO_DEPOSIT = "no_deposit"
"""In ``kinds_counted``: what was counted where there is neither calcium nor metal."""

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
    "ctacal",
    "status",
    "reason",
    "kinds_present",
    "kinds_visible",
    "kinds_counted",
)
"""``status`` is scored, refused (with a reason code) or failed (a defect). ``kinds_present``: calcium and metal in the
scan that is not coronary; ``kinds_visible``: of these, what reaches the threshold; ``kinds_counted``: what was counted
as coronary, as ``kind:Agatston``."""

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
    *PROBABILITIES,
    "seconds",
)
"""``true``: of the true label map on the same scan; ``gated``: of the same calcium on a gated, noise-free scan;
``agatston_coronary``: where the vessel is not named; ``mass_mg``: what calcium adds to the voxels, and
``gated_equivalent_agatston`` what a gated scan would score by that."""

COLUMNS = (*TEXT, *NUMBERS)


def read_results(path: Path) -> list[Row]:
    """All lines; empty where there is no such file. Raises ``UsageError`` where it is another table."""
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
        return cell
    return float(cell) if cell else None


def write_results(path: Path, rows: Iterable[Row]) -> None:
    """Write the table whole or not at all, numbers in full precision."""
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, table.getvalue())


def counted_kinds(row: Row) -> dict[str, float]:
    """``kinds_counted`` as a mapping.

    >>> counted_kinds({"kinds_counted": "lead:2.5 aortic_wall:10.0"})
    {'lead': 2.5, 'aortic_wall': 10.0}
    """
    pairs = (word.split(":") for word in row["kinds_counted"].split())
    return {kind: float(agatston) for kind, agatston in pairs}
