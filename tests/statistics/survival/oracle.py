"""Numbers printed by R with their data (``tests/data/statistics``)."""

import csv
import json
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal.statistics.survival.survival_data import SurvivalData
from tests import places

FOLDER = places.DATA / "statistics"


@cache
def numbers(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return read


@cache
def columns(name: str) -> dict[str, NDArray[Any]]:
    with (FOLDER / "data" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    as_text = {key: [row[key] for row in rows] for key in rows[0]}
    return {key: np.array(text) if key == "group" else np.array(text, float) for key, text in as_text.items()}


def survival(name: str, time: str = "time", event: str = "event", unit: str = "days") -> SurvivalData:
    table = columns(name)
    return SurvivalData(table[time], table[event], unit)
