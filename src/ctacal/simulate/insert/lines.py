"""``read_lines``: coronary centre lines from a JSON file of the user."""

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
"""Vessel by the name of the line; D and OM are followed by a number."""

RADIUS_MM = 1.6
"""Radius of an artery if the file gives none (own choice: a mid LAD)."""


def read_lines(path: Path) -> tuple[CoronarySegment, ...]:
    """Read ``[{"name": "LAD", "points_mm": [[L, P, S], ...], "radius_mm": 1.6}, ...]``; points begin at the origin.

    Raises ``UsageError`` if the file cannot be read, or, naming the line, if a line is not valid.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UsageError(f"{path}: no centre lines: {problem}") from problem
    if not isinstance(rows, list) or not rows:
        raise UsageError(f"{path}: expected a list of centre lines")
    return tuple(_segment(row, f"{path}, line {number}") for number, row in enumerate(rows, 1))


def _segment(row: Any, source: str) -> CoronarySegment:
    name = str(row.get("name", "")).upper() if isinstance(row, dict) else ""
    vessel = VESSEL_OF.get(name.rstrip("0123456789"))
    if vessel is None:
        raise UsageError(f"{source}: name is {name!r}, expected one of {', '.join(VESSEL_OF)}")
    points = _points(row.get("points_mm"), f"{source} ({name})")
    path = curve(points, 0.5)
    radius_mm = row.get("radius_mm", RADIUS_MM)
    if not isinstance(radius_mm, int | float) or not 0.3 <= radius_mm <= 5:
        raise UsageError(f"{source} ({name}): radius_mm is {radius_mm!r}, expected 0.3 to 5")
    return CoronarySegment(name, vessel, path, np.full(len(path), float(radius_mm)))


def _points(values: Any, source: str) -> Points:
    try:
        points = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1:] != (3,) or len(points) < 3 or not np.isfinite(points).all():
        raise UsageError(f"{source}: points_mm must be 3 or more [L, P, S] positions in mm")
    return points
