"""A user's own coronary centre lines: a JSON file."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ctacal.errors import UsageError
from ctacal.simulate.anatomy.canvas import curve
from ctacal.simulate.anatomy.structures import CoronarySegment, Points, Structure

VESSEL_OF = {
    "LM": Structure.LM, "LAD": Structure.LAD, "D": Structure.LAD, "LCX": Structure.LCX, "OM": Structure.LCX,
    "RCA": Structure.RCA, "PDA": Structure.RCA, "PLV": Structure.RCA,
}  # fmt: skip
"""By name; D and OM are followed by a number."""

RADIUS_MM = 1.6
"""Of an artery for which the file gives none (own choice: a mid LAD)."""


def read_lines(path: Path) -> tuple[CoronarySegment, ...]:
    """Read ``[{"name": "LAD", "points_mm": [[L, P, S], ...], "radius_mm": 1.6}, ...]``, from the origin on.

    Raises ``UsageError``, naming the line, where the file is unreadable or a line is none.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UsageError(f"{path}: no centre lines: {problem}") from problem
    if not isinstance(rows, list) or not rows:
        raise UsageError(f"{path}: expected a list of centre lines")
    return tuple(_segment(row, f"{path}, line {number}") for number, row in enumerate(rows, 1))


def _segment(row: Any, where: str) -> CoronarySegment:
    name = str(row.get("name", "")).upper() if isinstance(row, dict) else ""
    vessel = VESSEL_OF.get(name.rstrip("0123456789"))
    if vessel is None:
        raise UsageError(f"{where}: name is {name!r}, expected one of {', '.join(VESSEL_OF)}")
    points = _points(row.get("points_mm"), f"{where} ({name})")
    path = curve(points, 0.5)
    radius_mm = row.get("radius_mm", RADIUS_MM)
    if not isinstance(radius_mm, int | float) or not 0.3 <= radius_mm <= 5:
        raise UsageError(f"{where} ({name}): radius_mm is {radius_mm!r}, expected 0.3 to 5")
    return CoronarySegment(name, vessel, path, np.full(len(path), float(radius_mm)))


def _points(values: Any, where: str) -> Points:
    try:
        points = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1:] != (3,) or len(points) < 3 or not np.isfinite(points).all():
        raise UsageError(f"{where}: points_mm must be 3 or more [L, P, S] positions in mm")
    return points
