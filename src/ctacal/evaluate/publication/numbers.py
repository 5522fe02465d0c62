"""Results as plain values for JSON. A number that is not finite is an error that names its place."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np


def plain(value: Any, place: str = "numbers") -> Any:
    """Return mappings, sequences, frozen results, arrays and numpy's numbers as values that JSON can hold.

    Raises ``ValueError`` naming the place of a NaN, an infinity or a value of another type.

    >>> plain({"kappa": np.float64(0.5), "n": np.int64(3), "table": np.eye(2, dtype=int)})
    {'kappa': 0.5, 'n': 3, 'table': [[1, 0], [0, 1]]}
    """
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist(), place)
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError(f"{place} is {value}: give None and a reason instead")
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name), f"{place}.{field.name}") for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, AbstractSet):
        return plain(sorted(value), place)
    if isinstance(value, Sequence):
        return [plain(item, f"{place}[{number}]") for number, item in enumerate(value)]
    raise ValueError(f"{place}: JSON cannot hold a value of type {type(value).__name__}")
